//! The census of bad photographs is taken again when that is asked for, and only then.

use std::path::{Path, PathBuf};

use longtail_artifact::RunLayout;
use longtail_datasets::{Split, load_for};

fn put(root: &Path, path: &str, bytes: &[u8]) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("folder");
    std::fs::write(path, bytes).expect("writing");
}

#[test]
fn a_photograph_that_was_mended_comes_back_with_a_new_census() {
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../images/tests/golden/decode/420.jpg");
    let good = std::fs::read(golden).expect("golden file");
    let folder = tempfile::tempdir().expect("temporary folder");
    for path in ["train/a/1.jpg", "train/a/2.jpg", "train/b/1.jpg", "test/a/1.jpg", "test/b/1.jpg"] {
        put(folder.path(), path, &good);
    }
    put(folder.path(), "train/a/2.jpg", &good[..200]);
    let recipe = |bad: &str| {
        let text = format!(
            "data: {{dataset: image_folder, image_side: 32, meta_source: none, on_bad_image: {bad}}}\n\
             representations: {{ce: {{method: {{ce: {{}}}}}}}}\nclassifiers: {{joint: }}"
        );
        longtail_recipe::read_str(&text, "t.yaml", &[]).expect("a sound recipe").data
    };
    let skip = recipe("skip");
    let source = load_for(&skip, Some(folder.path())).expect("a good tree");
    let (run_folder, silent) = (tempfile::tempdir().expect("temporary folder"), |_, _| {});
    let run = RunLayout::new(run_folder.path());
    let first = Split::of_run(&run, &skip, &source, false, &silent).expect("drawn");
    assert_eq!((first.train.len(), first.skipped.train.as_slice()), (2, &[1][..]));
    put(folder.path(), "train/a/2.jpg", &good);
    let kept = Split::of_run(&run, &skip, &source, false, &|_, _| panic!("no second census")).expect("read");
    assert_eq!(kept, first);
    let anew = Split::of_run(&run, &skip, &source, true, &silent).expect("drawn again");
    assert_eq!((anew.train.len(), anew.skipped.train.len()), (3, 0));
    // Where nothing is left out there is no census to take.
    let fail = recipe("fail");
    Split::of_run(&run, &fail, &source, true, &|_, _| panic!("no census")).expect("drawn");
}
