//! A pack knows the photographs that it was made from, and is not read in the place of others.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use longtail_artifact::{ImageMatch, RunLayout};
use longtail_datasets::identity::{Identified, identify, load_accepting};
use longtail_datasets::pack::{self, Kind, MadeFrom, Pack, PackKey, PackWriter, Packed, Shrinker, partial};
use longtail_datasets::read::photos;
use longtail_datasets::synthesize::{Layout, Options, synthesize};
use longtail_datasets::{DataSource, DatasetError, Split, load_identified};
use longtail_recipe::{DataRecipe, OnBadImage};

const IMAGES: usize = 20 + 4 * 3 + 4 * 2;

fn tree() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("temporary folder");
    let out = folder.path().join("tree");
    let (layout, classes, train_images) = (Layout::ImagenetLt, 4, 20);
    let options = Options {
        layout,
        out: out.clone(),
        classes,
        train_images,
        val_per_class: 3,
        test_per_class: 2,
        seed: 5,
        side: 72,
    };
    synthesize(&options).expect("a tree");
    (folder, out)
}

const RECIPE: &str = "data: {dataset: imagenet_lt, image_side: 56, meta_per_class: 1, packed: true}\n\
                      representations: {ce: {method: {ce: {}}}}\nclassifiers: {joint: }\n";

fn recipe() -> DataRecipe {
    longtail_recipe::read_str(RECIPE, "t.yaml", &[]).expect("valid").data
}

fn files(tree: &Path) -> DataSource {
    photos::read(recipe().dataset, Some(tree)).expect("in order").into_files(56)
}

fn place(tree: &Path) -> PathBuf {
    tree.join("longtail-imagenet_lt.pack")
}

fn datasets(tree: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_datasets"));
    command.args(arguments).arg("--data").arg(tree).env_remove("LONGTAIL_DATA").env_remove("LONGTAIL_PACK");
    let output = command.current_dir(tree).output().expect("the binary runs");
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

fn pack(tree: &Path) -> (Option<i32>, String) {
    datasets(tree, &["pack", "imagenet-lt", "--set", "data.image_side=56"])
}

fn check(tree: &Path, more: &[&str]) -> (Option<i32>, String) {
    std::fs::write(tree.join("t.yaml"), RECIPE).expect("writable");
    datasets(tree, &[&["check", "--recipe", "t.yaml"], more].concat())
}

/// How the photographs stand to the pack and to the run's split, and how many were hashed for that.
fn look(tree: &Path, run: &RunLayout) -> (Identified, u64) {
    let hashed = AtomicU64::new(0);
    let count = |_, _| {
        hashed.fetch_add(1, Ordering::Relaxed);
    };
    let now = identify(&recipe(), Some(tree), std::slice::from_ref(run), &count).expect("readable");
    (now, hashed.into_inner())
}

/// Another picture of the same length, as far as its name and its length say.
fn change(path: &Path) -> Vec<u8> {
    let bytes = std::fs::read(path).expect("there");
    let mut other = bytes.clone();
    let middle = other.len() / 2;
    other[middle] ^= 1;
    std::fs::write(path, other).expect("writable");
    bytes
}

#[test]
fn photographs_that_changed_are_named_wherever_their_pack_is_used() {
    let (_folder, tree) = tree();
    assert_eq!(pack(&tree).0, Some(0));
    let run = RunLayout::new(tree.join("run"));
    let (source, images) = load_identified(&recipe(), Some(&tree), &run, &|_, _| {}).expect("a pack");
    Split::load_or_create(&run, &recipe(), &source).expect("drawn");
    images.record(&run).expect("writable");
    assert_eq!(images.matches(&run), ImageMatch::Same);

    let test = files(&tree).test.images.photos().expect("photos").path(1);
    let before = change(&test);
    let why = format!(
        "was made from photographs that have changed since: {}, 1 of {IMAGES} files differ, first: ",
        tree.display()
    );
    let (now, hashed) = look(&tree, &run);
    assert_eq!(hashed, 1, "only what looks changed");
    let verdict = now.matches(&run);
    assert!(verdict.reason().is_some_and(|words| words.contains(&why) && words.ends_with("has other contents")));
    let refused = load_identified(&recipe(), Some(&tree), &run, &|_, _| {}).expect_err("other photographs");
    assert!(matches!(refused, DatasetError::OtherPhotographs { .. }) && refused.to_string().contains(&why));
    let hint = refused.hint().expect("a hint");
    assert!(hint.contains("delete `") && hint.contains("--accept-stale"), "{hint}");
    let (accepted, images) = load_accepting(&recipe(), Some(&tree), &run, &|_, _| {}).expect("as it is");
    assert_eq!(accepted.hash, source.hash);
    assert!(images.note().is_some_and(|note| note.contains(&why)));

    let (code, words) = check(&tree, &[]);
    assert!(code == Some(2) && words.contains("PROBLEM") && words.contains(&why), "{words}");
    assert!(words.ends_with("or restore its photographs\n"), "{words}");
    let (code, words) = check(&tree, &["--accept-stale"]);
    assert!(code == Some(1) && words.contains(&why), "{words}");
    let (code, words) = pack(&tree);
    assert!(code == Some(2) && words.contains(&why) && words.contains("hint: delete `"), "{words}");

    // Put back, they are those of the pack at whatever time; and made again it is another pack.
    std::fs::write(&test, before).expect("writable");
    let (code, words) = pack(&tree);
    assert!(code == Some(0) && words.contains("nothing to do"), "{words}");
    assert_eq!(look(&tree, &run).0.matches(&run), ImageMatch::Same);
    change(&test);
    std::fs::remove_file(place(&tree)).expect("there");
    assert_eq!(pack(&tree).0, Some(0));
    let verdict = look(&tree, &run).0.matches(&run);
    let reason = verdict.reason().expect("other images");
    assert!(reason.contains(&format!("2 of {} files differ, first: ", IMAGES + 1)), "{reason}");
}

#[test]
fn photographs_are_hashed_once_and_what_is_not_there_is_said() {
    let (_folder, tree) = tree();
    assert_eq!(pack(&tree).0, Some(0));
    let run = RunLayout::new(tree.join("run"));
    assert_eq!(look(&tree, &run).1, 0, "they were hashed as they were packed");
    // A pack that was copied alone is compared once; a run's note does for the next time.
    std::fs::remove_file(pack::index_file(&place(&tree))).expect("there");
    let (now, hashed) = look(&tree, &run);
    assert_eq!((hashed, now.note()), (IMAGES as u64, None));
    now.record(&run).expect("writable");
    assert_eq!(look(&tree, &run).1, 0);
    assert_eq!(check(&tree, &[]).0, Some(1), "a small tree is not the published set");
    std::fs::remove_file(run.images()).expect("there");
    assert_eq!(look(&tree, &run).1, 0, "a check notes what it found");

    let [train, test] = files(&tree).photo_sets().try_into().map(|sets: [_; 2]| sets.map(Clone::clone)).expect("two");
    std::fs::remove_file(test.path(0)).expect("there");
    let note = |words: &str| {
        let (now, _) = look(&tree, &run);
        assert!(now.note().is_some_and(|note| note.starts_with(words) && note.contains("it is unknown whether they have changed")), "{now:?}");
        assert!(load_identified(&recipe(), Some(&tree), &run, &|_, _| {}).is_ok());
        for (code, said) in [pack(&tree), check(&tree, &[])] {
            assert!(code != Some(2) && said.contains(words), "{said}");
        }
    };
    note(&format!("1 of the {IMAGES} photographs that `"));
    // Some photograph must be there, or nobody could tell where they would be.
    (1..train.len()).for_each(|index| std::fs::remove_file(train.path(index)).expect("there"));
    note(&format!("{} of the {IMAGES} photographs that `", train.len()));
}

#[test]
fn a_photograph_that_could_not_be_read_and_is_there_now_is_another() {
    let (_folder, tree) = tree();
    let path = files(&tree).train.images.photos().expect("photos").path(2);
    let bytes = std::fs::read(&path).expect("there");
    std::fs::remove_file(&path).expect("there");
    let skip = ["pack", "imagenet-lt", "--set", "data.image_side=56", "--set", "data.on_bad_image=skip"];
    let (code, words) = datasets(&tree, &skip);
    assert!(code == Some(0) && words.contains("left out: "), "{words}");
    assert_eq!(datasets(&tree, &skip).0, Some(0), "it is still not there");
    std::fs::write(&path, bytes).expect("writable");
    let (code, words) = datasets(&tree, &skip);
    assert!(
        code == Some(2) && words.contains(&format!("1 of {IMAGES} files differ")) && words.contains("is new"),
        "{words}"
    );
}

#[test]
fn a_pack_that_was_begun_goes_on_up_to_the_first_photograph_that_changed() {
    let (folder, tree) = tree();
    let source = files(&tree);
    let shrinker = Shrinker::new(64, 95);
    let encode = |bytes: &[u8]| shrinker.shrink(bytes).map_err(|problem| problem.to_string());
    let key = PackKey::new("imagenet_lt", &source.hash, IMAGES, 64, 95);
    let make = |file: &Path| {
        let mut first = None;
        let mut hear = |making| {
            if let pack::Making::Writing(images, _) = making {
                first.get_or_insert(images);
            }
        };
        pack::make(&source, &key, file, OnBadImage::Skip, &encode, &mut hear).expect("made");
        first.expect("heard")
    };
    let (old, begun, new) =
        (folder.path().join("old.pack"), folder.path().join("begun.pack"), folder.path().join("new.pack"));
    make(&old);
    // Thirty images are there when it stops.
    let old = Pack::open(&old).expect("sound");
    let mut writer = PackWriter::open(&begun, &key, &mut |_, _| {}).expect("writable");
    for index in 0..30 {
        let Packed::Image(bytes) = old.get(index).expect("sound") else { panic!("all are images") };
        writer.push(Kind::Image, bytes, old.origin(index).expect("noted")).expect("writable");
    }
    writer.flush().expect("writable");
    drop(writer);
    assert!(partial(&begun).exists());
    change(&source.train.images.photos().expect("photos").path(17));
    assert_eq!(make(&begun), 17);
    make(&new);
    assert!(std::fs::read(&begun).expect("there") == std::fs::read(&new).expect("there"));
}

/// The same images as version 1 of the format wrote them.
fn as_version_1(file: &Path) {
    let pack = Pack::open(file).expect("sound");
    let mut head = pack.key().head();
    head[7] = 1;
    let (mut bytes, mut entries) = (head.clone(), Vec::new());
    for index in 0..pack.len() {
        let (kind, image) = match pack.get(index).expect("sound") {
            Packed::Image(image) => (Kind::Image, image),
            Packed::Bad(why) => (Kind::Bad, why.as_bytes()),
        };
        let entry = pack::Entry::new(bytes.len() as u64 + 24, kind, image);
        bytes.extend(entry.record());
        bytes.extend(image);
        entries.extend(entry.bytes());
    }
    let (at, identity) = (bytes.len() as u64, blake3::Hasher::new().update(&head).update(&entries).finalize());
    bytes.extend(entries);
    bytes
        .extend([&at.to_le_bytes()[..], &(pack.len() as u64).to_le_bytes(), identity.as_bytes(), b"LTPACKED"].concat());
    std::fs::write(file, bytes).expect("writable");
}

#[test]
fn a_pack_that_says_nothing_of_its_photographs_is_read_with_a_warning_and_not_called_in_order() {
    let (_folder, tree) = tree();
    assert_eq!(pack(&tree).0, Some(0));
    as_version_1(&place(&tree));
    let run = RunLayout::new(tree.join("run"));
    let (source, images) = load_identified(&recipe(), Some(&tree), &run, &|_, _| {}).expect("it is read");
    let why = "and did not record the contents of the photographs";
    assert!(images.note().is_some_and(|note| note.contains(why)));
    assert_eq!(look(&tree, &run).1, 0, "there is nothing to compare with");
    let (_, words) = check(&tree, &[]);
    assert!(words.contains(why) && !words.contains("PROBLEM       `"), "{words}");
    let (code, words) = pack(&tree);
    assert!(code == Some(2) && words.contains(why) && words.contains("hint: delete `"), "{words}");
    // Made again from the same photographs it has the same identity: what was trained on it stays up to date.
    std::fs::remove_file(place(&tree)).expect("there");
    assert_eq!(pack(&tree).0, Some(0));
    let (again, images) = load_identified(&recipe(), Some(&tree), &run, &|_, _| {}).expect("a pack");
    assert_eq!((again.hash, images.note()), (source.hash, None));
    assert_eq!(
        pack::look(&files(&tree), &Pack::open(&place(&tree)).expect("sound"), &|_, _| {}).ok(),
        Some(MadeFrom::These)
    );
}
