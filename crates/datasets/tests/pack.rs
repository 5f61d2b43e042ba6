//! Packs as people make and read them: from a tree of JPEG files to the images that loaders get.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use longtail_artifact::RunLayout;
use longtail_datasets::pack::{self, PackKey, Shrinker, partial};
use longtail_datasets::read::photos;
use longtail_datasets::synthesize::{Layout, Options, synthesize};
use longtail_datasets::{DataSource, DatasetError, PhotoFiles, Split};
use longtail_recipe::{DataRecipe, OnBadImage, PhotoRecipe};

/// Sides around 72: some are above the pack's 64 and some below.
fn tree(train_images: usize) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("temporary folder");
    let out = folder.path().join("tree");
    let layout = Layout::ImagenetLt;
    synthesize(&Options {
        layout,
        out: out.clone(),
        classes: 4,
        train_images,
        val_per_class: 3,
        test_per_class: 2,
        seed: 5,
        side: 72,
    })
    .expect("a tree");
    (folder, out)
}

fn recipe(more: &str) -> DataRecipe {
    let text = format!(
        "data: {{dataset: imagenet_lt, image_side: 56, meta_per_class: 1{more}}}\nrepresentations: {{ce: {{method: {{ce: {{}}}}}}}}\nclassifiers: {{joint: }}"
    );
    longtail_recipe::read_str(&text, "t.yaml", &[]).unwrap_or_else(|error| panic!("{error}")).data
}

fn photo(recipe: &DataRecipe) -> &PhotoRecipe {
    recipe.photo.as_ref().expect("a photo set")
}

fn files(tree: &Path) -> DataSource {
    let data = recipe("");
    photos::read(data.dataset, Some(tree)).expect("in order").into_files(56)
}

/// From the pack beside the tree's images, whatever the environment says.
fn packed(tree: &Path, data: &DataRecipe) -> Result<DataSource, DatasetError> {
    photos::read(data.dataset, Some(tree)).expect("in order").into_data_of(photo(data), None)
}

fn datasets(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_datasets"));
    command.args(arguments).env_remove("LONGTAIL_DATA").env_remove("LONGTAIL_PACK").current_dir(std::env::temp_dir());
    command
}

/// Packs `tree` as a person does; exit code and words.
fn pack_by_hand(tree: &Path, more: &[&str]) -> (Option<i32>, String) {
    let data = tree.display().to_string();
    let mut command = datasets(&["pack", "imagenet-lt", "--data", &data, "--set", "data.image_side=56"]);
    let output = command.args(more).output().expect("the binary runs");
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

fn place(tree: &Path) -> PathBuf {
    tree.join("longtail-imagenet_lt.pack")
}

fn photo_files(source: &DataSource) -> [&PhotoFiles; 2] {
    [&source.train, &source.test].map(|set| set.images.photos().expect("photos"))
}

fn bytes_of(files: &PhotoFiles) -> Vec<Vec<u8>> {
    let read = |index| {
        let mut bytes = b"left over".to_vec();
        files.read(index, &mut bytes).unwrap_or_else(|error| panic!("{error}"));
        bytes
    };
    (0..files.len()).map(read).collect()
}

#[test]
fn loaders_get_small_photos_as_they_are_and_large_ones_made_smaller() {
    let (_folder, tree) = tree(40);
    let (code, words) = pack_by_hand(&tree, &[]);
    assert_eq!(code, Some(0), "{words}");
    for expected in
        ["60 images of imagenet_lt", "short side at most 64, quality 95", "about ", " free\n", "data.packed=true"]
    {
        assert!(words.contains(expected), "{expected}\n{words}");
    }
    let (original, found) = (files(&tree), packed(&tree, &recipe("")).expect("a pack"));
    assert_ne!(original.hash, found.hash, "stages see that they read a pack");
    let shrinker = Shrinker::new(64, 95);
    let mut smaller = 0;
    for (original, found) in photo_files(&original).into_iter().zip(photo_files(&found)) {
        for (original, found) in bytes_of(original).iter().zip(bytes_of(found)) {
            let expected = shrinker.shrink(original).expect("sound");
            smaller += usize::from(expected.is_some());
            assert!(found == expected.unwrap_or_else(|| original.clone()));
        }
    }
    assert!(smaller > 5 && smaller < 55, "{smaller} of 60");
    // A second time nothing is made, and another pack is not put in its place.
    let before = std::fs::metadata(place(&tree)).expect("there").modified().expect("a time");
    let (code, words) = pack_by_hand(&tree, &[]);
    assert!(code == Some(0) && words.contains("nothing to do"), "{words}");
    let (code, words) = pack_by_hand(&tree, &["--short", "70"]);
    assert!(
        code == Some(2) && words.contains("short side at most 64") && words.contains("short side at most 70"),
        "{words}"
    );
    assert_eq!(std::fs::metadata(place(&tree)).expect("there").modified().expect("a time"), before);
    // Elsewhere it is, and is read from there by name.
    let out = tree.join("other.pack").display().to_string();
    let (code, words) = pack_by_hand(&tree, &["--short", "70", "--out", &out, "--json"]);
    assert_eq!(code, Some(0), "{words}");
    let object: serde_json::Value = serde_json::from_str(&words).expect("JSON alone");
    assert_eq!((&object["short"], &object["images"], &object["bad"]), (&70.into(), &60.into(), &0.into()));
    let file = tree.parent().expect("a folder").join("small.yaml");
    std::fs::write(
        &file,
        "data: {dataset: imagenet_lt, image_side: 60, meta_per_class: 1, packed: true}\nrepresentations: {ce: {method: {ce: {}}}}\nclassifiers: {joint: }\n",
    )
    .expect("writable");
    let (file, dir) = (file.display().to_string(), tree.display().to_string());
    let mut check = datasets(&["check", "--recipe", &file, "--data", &dir, "--images"]);
    let beside = check.output().expect("the binary runs");
    let words = String::from_utf8_lossy(&beside.stderr);
    assert_eq!(beside.status.code(), Some(2), "{words}");
    assert!(
        words.contains("short side of at most 64, but `data.resize_short` is 69") && words.contains("--short 69"),
        "{words}"
    );
    let named = check.env("LONGTAIL_PACK", &out).output().expect("the binary runs");
    let words = String::from_utf8_lossy(&named.stdout);
    assert_eq!(named.status.code(), Some(1), "a small tree is not the published set: {words}");
    assert!(words.contains("40 of 40 images are found, 0 of them cannot be decoded"), "{words}");
    assert!(words.contains("other.pack"), "{words}");
}

#[test]
fn the_bytes_are_the_same_on_any_number_of_threads_and_after_any_end() {
    let (folder, tree) = tree(300);
    let source = files(&tree);
    let shrinker = Shrinker::new(48, 95);
    let encode = |bytes: &[u8]| shrinker.shrink(bytes).map_err(|problem| problem.to_string());
    let images = source.train.len() + source.test.len();
    let key = PackKey::new("imagenet_lt", &source.hash, images, 48, 95);
    let straight = folder.path().join("straight.pack");
    let estimate = pack::estimate(&source, &straight, &encode);
    pack::make(&source, &key, &straight, OnBadImage::Fail, &encode, &mut |_| {}).expect("made");
    let expected = std::fs::read(&straight).expect("there");
    let ratio = estimate.bytes as f64 / expected.len() as f64;
    assert!((0.8..1.25).contains(&ratio), "estimated {}, made {}", estimate.bytes, expected.len());
    // One thread writes after every 64 images; the encoder fails before the end of the third 64, and the next start goes on.
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
    let torn = folder.path().join("torn.pack");
    let count = std::sync::atomic::AtomicUsize::new(0);
    let failing = |bytes: &[u8]| match count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
        150 => Err("the power went".to_owned()),
        _ => encode(bytes),
    };
    let error = one
        .install(|| pack::make(&source, &key, &torn, OnBadImage::Fail, &failing, &mut |_| {}))
        .expect_err("image 150")
        .to_string();
    assert!(error.contains("(line 151 of ") && error.ends_with(": the power went"), "{error}");
    assert!(!torn.exists() && partial(&torn).exists());
    let mut first = None;
    one.install(|| {
        pack::make(&source, &key, &torn, OnBadImage::Fail, &encode, &mut |making| {
            if let pack::Making::Writing(images, _) = making {
                first.get_or_insert(images);
            }
        })
    })
    .expect("made");
    assert_eq!(first, Some(150));
    assert!(std::fs::read(&torn).expect("there") == expected);
    assert!(!partial(&torn).exists());
}

#[test]
fn killed_and_started_again_it_becomes_the_same_file() {
    let (folder, tree) = tree(2000);
    let data = tree.display().to_string();
    let out = |name: &str| folder.path().join(name).display().to_string();
    let start = |out: &str, threads: &str| {
        let set = "data.image_side=32";
        let mut command =
            datasets(&["pack", "imagenet-lt", "--data", &data, "--set", set, "--out", out, "--threads", threads]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary starts")
    };
    let (straight, killed) = (out("straight.pack"), out("killed.pack"));
    let begun = std::time::Instant::now();
    assert!(start(&straight, "2").wait().expect("ends").success());
    let whole = begun.elapsed();
    let mut kills = 0;
    for part in [0.3, 0.2, 0.4] {
        let mut child = start(&killed, "1");
        std::thread::sleep(Duration::from_secs_f64(whole.as_secs_f64() * part));
        if child.try_wait().expect("a child").is_none() {
            child.kill().expect("a living child");
            kills += 1;
        }
        child.wait().expect("ends");
    }
    assert!(kills > 0, "it was over before any kill, in {whole:?}");
    assert!(start(&killed, "3").wait().expect("ends").success());
    assert!(std::fs::read(&straight).expect("there") == std::fs::read(&killed).expect("there"));
}

#[test]
fn a_missing_a_damaged_and_a_foreign_pack_are_told_apart() {
    let (_folder, tree) = tree(20);
    let message = |tree: &Path| {
        let error = packed(tree, &recipe(", packed: true")).expect_err("no good pack");
        format!("{error}\n{}", error.hint().unwrap_or_default())
    };
    let missing = message(&tree);
    assert!(
        missing.contains("does not exist") && missing.contains("cargo xtask data pack RECIPE --data DIR"),
        "{missing}"
    );
    assert_eq!(pack_by_hand(&tree, &[]).0, Some(0));
    let good = std::fs::read(place(&tree)).expect("there");
    // The lists change: one image fewer.
    let list = tree.join("ImageNet_LT_test.txt");
    let lines = std::fs::read_to_string(&list).expect("a list");
    let fewer = lines.trim_end().rsplit_once('\n').expect("several lines").0;
    std::fs::write(&list, fewer).expect("writable");
    let foreign = message(&tree);
    assert!(
        foreign.contains("40 images of imagenet_lt with BLAKE3") && foreign.contains("these are 39 images"),
        "{foreign}"
    );
    let (code, words) = pack_by_hand(&tree, &[]);
    assert!(code == Some(2) && words.contains("these are 39 images") && words.contains("delete"), "{words}");
    std::fs::write(&list, lines).expect("writable");
    // An image's bytes change: opening does not read it, taking it does, and skipping bad images does not skip it.
    let mut bad = good.clone();
    bad[600] ^= 1;
    std::fs::write(place(&tree), &bad).expect("writable");
    let data = recipe(", packed: true, on_bad_image: skip");
    let source = packed(&tree, &data).expect("its entries are sound");
    let layout = RunLayout::new(tree.as_path());
    let error = Split::load_or_create(&layout, &data, &source).expect_err("damaged").to_string();
    assert!(error.contains("is damaged or not a pack: the bytes of image 0"), "{error}");
    assert!(!layout.split().exists());
    std::fs::write(place(&tree), &good[..good.len() - 1]).expect("writable");
    assert!(message(&tree).contains("does not end like a finished pack"));
    let (code, words) = pack_by_hand(&tree, &[]);
    assert!(code == Some(2) && words.contains("hint: delete"), "{words}");
}

#[test]
fn bad_photos_stop_the_pack_or_are_left_out_as_the_recipe_says() {
    let (_folder, tree) = tree(20);
    let original = files(&tree);
    let [train, _] = photo_files(&original);
    std::fs::remove_file(train.path(3)).expect("there");
    let torn = std::fs::read(train.path(11)).expect("there");
    std::fs::write(train.path(11), &torn[..torn.len() / 2]).expect("writable");
    let (code, words) = pack_by_hand(&tree, &[]);
    assert_eq!(code, Some(2), "{words}");
    assert!(
        words.contains("(line 4 of ") && words.contains("data.on_bad_image=skip") && !place(&tree).exists(),
        "{words}"
    );
    let (code, words) = pack_by_hand(&tree, &["--set", "data.on_bad_image=skip"]);
    assert_eq!(code, Some(0), "{words}");
    // A pack with gaps does for who allows them, and is said to have them.
    let (code, again) = pack_by_hand(&tree, &["--set", "data.on_bad_image=skip"]);
    assert!(code == Some(0) && again.contains("left out when the pack was made"), "{again}");
    let (code, again) = pack_by_hand(&tree, &[]);
    assert!(
        code == Some(2) && again.contains("leaves out 2 images") && again.contains("hint: repair the images"),
        "{again}"
    );
    let named = |index: usize| format!("left out: {}\n", train.path(index).display());
    assert!(words.contains(&named(3)) && words.contains(&named(11)) && words.contains("38 images in"), "{words}");
    // The census of the pack is the census of the files.
    let split = |data: &DataRecipe, source: &DataSource, name: &str| {
        let layout = RunLayout::new(tree.join(name));
        Split::load_or_create(&layout, data, source).unwrap_or_else(|error| panic!("{error}"))
    };
    let data = recipe(", on_bad_image: skip");
    let from_files = split(&data, &original, "files");
    assert_eq!(from_files.skipped.train, [3, 11]);
    let data = recipe(", packed: true, on_bad_image: skip");
    let source = packed(&tree, &data).expect("a pack");
    assert_eq!(split(&data, &source, "pack"), from_files);
    // Who does not skip is stopped by the first bad image, with its line.
    let error = photo_files(&source)[0].read(3, &mut Vec::new()).expect_err("bad").to_string();
    assert!(error.contains("(line 4 of ") && error.contains("No such file"), "{error}");
}
