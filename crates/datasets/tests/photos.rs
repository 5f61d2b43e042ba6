//! Photo sets from disk to batches: layouts, both conventions, the census, and what a bad image does.

use std::path::Path;
use std::sync::Arc;

use longtail_artifact::RunLayout;
use longtail_datasets::read::photos::{self, PhotoSource};
use longtail_datasets::synthesize::{Layout, Options, synthesize};
use longtail_datasets::{
    DataSource, DatasetError, EvalLoader, Loader, LoaderOptions, MetaLoader, Split, Transform, load_for,
};
use longtail_recipe::{Augmentation, DataRecipe, Dataset, MetaAug, Sampler};

const CLASSES: usize = 4;

fn tree(layout: Layout) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("temporary folder");
    let out = folder.path().join("tree");
    let options = Options {
        layout,
        out,
        classes: CLASSES,
        train_images: 40,
        val_per_class: 5,
        test_per_class: 3,
        seed: 1,
        side: 24,
    };
    synthesize(&options).expect("a tree");
    folder
}

fn recipe(dataset: &str, more: &str) -> DataRecipe {
    let text = format!(
        "data: {{dataset: {dataset}, image_side: 32{more}}}\nrepresentations: {{ce: {{method: {{ce: {{}}}}}}}}\nclassifiers: {{joint: }}"
    );
    longtail_recipe::read_str(&text, "t.yaml", &[]).unwrap_or_else(|error| panic!("{error}")).data
}

fn read(dataset: Dataset, dir: &Path) -> PhotoSource {
    photos::read(dataset, Some(dir)).unwrap_or_else(|error| panic!("{error}"))
}

fn error(dataset: Dataset, dir: &Path) -> (String, String) {
    let error = photos::read(dataset, Some(dir)).expect_err("not in order");
    (error.to_string(), error.hint().unwrap_or_default())
}

fn rename(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.parent().expect("a folder")).expect("folder");
    std::fs::rename(from, to).expect("renaming");
}

/// `val/WNID/FILE` to `val/FILE`.
fn flatten(images: &Path) {
    for class in std::fs::read_dir(images.join("val")).expect("val").flatten().filter(|entry| entry.path().is_dir()) {
        for file in std::fs::read_dir(class.path()).expect("a class").flatten() {
            rename(&file.path(), &images.join("val").join(file.file_name()));
        }
        std::fs::remove_dir(class.path()).expect("empty");
    }
}

/// The same for the list.
fn flatten_list(list: &Path) {
    let text = std::fs::read_to_string(list).expect("a list");
    let flat = text.lines().map(|line| {
        let parts: Vec<&str> = line.split('/').collect();
        format!("val/{}\n", parts[parts.len() - 1])
    });
    std::fs::write(list, flat.collect::<String>()).expect("writing");
}

#[test]
fn lists_and_disks_of_either_convention_are_the_same_data_set() {
    let mut hashes = Vec::new();
    for (flat_disk, flat_list) in [(false, false), (true, false), (false, true), (true, true)] {
        let folder = tree(Layout::ImagenetLt);
        let root = folder.path().join("tree");
        if flat_disk {
            flatten(&root);
        }
        if flat_list {
            flatten_list(&root.join("ImageNet_LT_test.txt"));
        }
        let source = read(Dataset::ImagenetLt, &root);
        for path in source.test.paths.iter() {
            assert!(source.test_root.join(path).is_file(), "{path}");
            assert_eq!(path.split('/').count(), if flat_disk { 2 } else { 3 }, "{path}");
        }
        assert!(source.layout.contains(if flat_disk { "val/FILE" } else { "val/WNID/FILE" }), "{}", source.layout);
        hashes.push(source.hash);
    }
    assert!(hashes.iter().all(|hash| *hash == hashes[0]), "{hashes:?}");
}

#[test]
fn images_and_lists_are_found_where_people_have_them() {
    let reference = tree(Layout::ImagenetLt);
    let hash = read(Dataset::ImagenetLt, &reference.path().join("tree")).hash;
    for (images, lists) in [
        ("ILSVRC/Data/CLS-LOC", "ImageNet_LT"),
        ("images", ""),
        ("", "data/ImageNet_LT"),
        ("imagenet", "imagenet/ImageNet_LT"),
    ] {
        let folder = tree(Layout::ImagenetLt);
        let (from, to) = (folder.path().join("tree"), folder.path().join("disk"));
        for name in ["train", "val"] {
            rename(&from.join(name), &to.join(images).join(name));
        }
        for name in ["train", "val", "test"] {
            let name = format!("ImageNet_LT_{name}.txt");
            rename(&from.join(&name), &to.join(lists).join(&name));
        }
        assert_eq!(read(Dataset::ImagenetLt, &to).hash, hash, "images in `{images}`, lists in `{lists}`");
    }
}

#[test]
fn lists_and_json_of_inaturalist_give_the_same_images_in_the_same_order() {
    let folder = tree(Layout::Inaturalist2018);
    let root = folder.path().join("tree");
    let from_lists = read(Dataset::Inaturalist2018, &root);
    for name in ["iNaturalist18_train.txt", "iNaturalist18_val.txt"] {
        std::fs::remove_file(root.join(name)).expect("removing");
    }
    let from_json = read(Dataset::Inaturalist2018, &root);
    assert!(from_json.layout.starts_with("train2018.json"), "{}", from_json.layout);
    assert_eq!(from_lists.hash, from_json.hash);
    assert_eq!((&from_lists.train.paths, &from_lists.train.labels), (&from_json.train.paths, &from_json.train.labels));
    assert_eq!(from_lists.class_names, from_json.class_names);
    std::fs::remove_file(root.join("val2018.json")).expect("removing");
    let (message, hint) = error(Dataset::Inaturalist2018, &root);
    assert!(message.contains("val2018.json` is missing, although"), "{message}");
    assert!(hint.contains("120 GB"), "{hint}");
}

#[test]
fn a_tree_of_folders_is_a_data_set() {
    let folder = tree(Layout::ImagenetLt);
    let (root, plain) = (folder.path().join("tree"), folder.path().join("plain"));
    rename(&root.join("train"), &plain.join("train"));
    rename(&root.join("val"), &plain.join("val"));
    let source = read(Dataset::ImageFolder, &plain);
    assert!(source.val.is_none() && source.notes[0].contains("`val/` is the test set"));
    let drawn = Split::draw(
        &recipe("image_folder", ""),
        &source.clone().into_data(photo(&recipe("image_folder", ""))).expect("no pack"),
    );
    let message = drawn.expect_err("no validation images").to_string();
    assert!(message.contains("use `lt_balanced_draws` or `none`"), "{message}");
    assert_eq!((source.class_names.len(), source.test.len()), (CLASSES, 12));
    assert!(source.class_names.is_sorted());
    rename(&plain.join("val"), &plain.join("test"));
    let tested = read(Dataset::ImageFolder, &plain);
    assert_eq!((tested.test.len(), tested.notes.len()), (12, 0));
    std::fs::create_dir_all(plain.join("val").join(&source.class_names[1])).expect("folder");
    let file = plain.join("val").join(&source.class_names[1]).join("a.JPEG");
    std::fs::copy(plain.join(tested.test.paths.get(0)), file).expect("copying");
    assert_eq!(read(Dataset::ImageFolder, &plain).val.expect("there").labels, [1]);
    let (message, _) = error(Dataset::ImageFolder, folder.path());
    assert!(message.starts_with("image folder: no files found"), "{message}");
}

fn photo(recipe: &DataRecipe) -> &longtail_recipe::PhotoRecipe {
    recipe.photo.as_ref().expect("a photo set")
}

#[test]
fn what_is_not_there_is_said_on_one_screen() {
    let empty = tempfile::tempdir().expect("temporary folder");
    let (message, hint) = error(Dataset::ImagenetLt, empty.path());
    assert_eq!(message, format!("ImageNet-LT: no files found; looked in `{}`", empty.path().display()));
    for words in
        ["138 GB", "6.3 GB", "ImageNet_LT_train.txt", "DIR/train/n01440764", "data synthesize imagenet-lt", "2014"]
    {
        assert!(hint.contains(words), "{words}: {hint}");
    }
    assert!(hint.lines().count() < 24, "one screen");
    std::fs::write(empty.path().join("ILSVRC2012_img_train.tar"), []).expect("writing");
    let (message, hint) = error(Dataset::ImagenetLt, empty.path());
    assert!(message.contains("is an archive that is not unpacked"), "{message}");
    assert!(hint.contains("tar -xf ILSVRC2012_img_train.tar -C train"), "{hint}");

    let folder = tree(Layout::ImagenetLt);
    let root = folder.path().join("tree");
    rename(&root.join("ImageNet_LT_val.txt"), &root.join("kept"));
    assert!(error(Dataset::ImagenetLt, &root).0.contains("ImageNet_LT_val.txt` is missing"));
    rename(&root.join("kept"), &root.join("ImageNet_LT_val.txt"));
    rename(&root.join("train"), &root.join("elsewhere"));
    let (message, hint) = error(Dataset::ImagenetLt, &root);
    assert!(message.contains("JPEG` is missing, although"), "{message}");
    assert!(hint.starts_with("none of the images in that list was found"), "{hint}");
    for name in ["train", "val", "test"] {
        std::fs::remove_file(root.join(format!("ImageNet_LT_{name}.txt"))).expect("removing");
    }
    rename(&root.join("elsewhere"), &root.join("train"));
    let (_, hint) = error(Dataset::ImagenetLt, &root);
    assert!(hint.starts_with(&format!("there are images in `{}` but no lists", root.display())), "{hint}");
    assert!(error(Dataset::ImagenetLt, Path::new("/no/such")).1.starts_with("`/no/such` does not exist\n"));
}

#[test]
fn lists_that_contradict_each_other_are_refused() {
    let folder = tree(Layout::ImagenetLt);
    let root = folder.path().join("tree");
    let list = |name: &str| root.join(format!("ImageNet_LT_{name}.txt"));
    let train = std::fs::read_to_string(list("train")).expect("a list");
    let val = std::fs::read_to_string(list("val")).expect("a list");
    let first = train.lines().next().expect("a line");
    std::fs::write(list("val"), format!("{val}{first}\n")).expect("writing");
    let message = error(Dataset::ImagenetLt, &root).0;
    assert!(
        message.contains("ImageNet_LT_val.txt`:21: ") && message.contains("is also in another list: line 1 of"),
        "{message}"
    );
    std::fs::write(list("val"), format!("{val}train/n00000000/x.JPEG 9\n")).expect("writing");
    assert!(
        error(Dataset::ImagenetLt, &root)
            .0
            .contains("`:21: the label is 9, but the largest label in the training list is 3")
    );
    std::fs::write(list("val"), format!("{val}train/n00000000/x.JPEG 1\n")).expect("writing");
    assert!(error(Dataset::ImagenetLt, &root).0.contains("`:21: label 1 is the folder `n00000000` here, but was `"));
    // An image to learn from is none to be tested on.
    std::fs::write(list("val"), &val).expect("writing");
    let test = std::fs::read_to_string(list("test")).expect("a list");
    for (other, line) in [("train", first), ("val", val.lines().next().expect("a line"))] {
        std::fs::write(list("test"), format!("{line}\n{test}")).expect("writing");
        let message = error(Dataset::ImagenetLt, &root).0;
        let expected = format!("is also in another list: line 1 of `{}`", list(other).display());
        assert!(message.contains("ImageNet_LT_test.txt`:1: ") && message.contains(&expected), "{message}");
    }
    let (path, label) = test.lines().next().and_then(|line| line.rsplit_once(' ')).expect("a line");
    let flat = format!("val/{} {label}", path.rsplit('/').next().expect("a file"));
    std::fs::write(list("test"), format!("{test}{flat}\n")).expect("writing");
    assert!(
        error(Dataset::ImagenetLt, &root).0.contains("is already in the list: line 1 of"),
        "the same image in two forms"
    );
}

fn source(folder: &Path, recipe: &DataRecipe) -> DataSource {
    load_for(recipe, Some(&folder.join("tree"))).unwrap_or_else(|error| panic!("{error}"))
}

fn loader(source: &DataSource, split: &Split, recipe: &DataRecipe, prefetch: usize) -> Loader {
    let options = LoaderOptions {
        sampler: Sampler::InstanceBalanced,
        batch_size: 7,
        drop_last: false,
        total_epochs: 2,
        seed: 3,
        purpose: "t",
        prefetch,
    };
    let set = Arc::new(source.train.clone());
    let transform = Transform::train(Augmentation::RandomResizedCropJitter, recipe, set.shape()).expect("fits");
    Loader::new(set, split.train.clone(), transform, options).expect("valid")
}

#[test]
fn threads_and_prefetch_change_no_bit_of_a_batch_of_photos() {
    let folder = tree(Layout::ImagenetLt);
    let recipe = recipe("imagenet_lt", ", meta_per_class: 2");
    let source = source(folder.path(), &recipe);
    let split = Split::draw(&recipe, &source).expect("drawable");
    let epoch = |loader: &Loader| -> Vec<_> { loader.epoch(1).map(|batch| batch.expect("a batch")).collect() };
    let straight = epoch(&loader(&source, &split, &recipe, 0));
    assert_eq!(straight.iter().map(|batch| batch.len).sum::<usize>(), 40);
    assert_eq!(straight[0].images.len(), 7 * 32 * 32 * 3);
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        for prefetch in [0, 1, 4] {
            let loader = loader(&source, &split, &recipe, prefetch);
            assert!(pool.install(|| epoch(&loader)) == straight, "{threads} threads, prefetch {prefetch}");
        }
    }
    let meta = Transform::meta(MetaAug::CropFlip, Augmentation::RandomResizedCropJitter, &recipe, source.train.shape());
    let set = Arc::new(source.train.clone());
    let meta = MetaLoader::new(set, &split, meta.expect("fits"), 8, 3, "meta").expect("valid");
    let batch = meta.batch(0).expect("a batch");
    assert_eq!((batch.len, batch.labels.iter().max()), (8, Some(&3)));
    let pixels = longtail_datasets::EvalTransform::with_statistics(&[0.5; 3], &[0.5; 3], source.train.shape());
    let wrong = EvalLoader::new(Arc::new(source.train), vec![0], pixels.expect("valid"), 1, 0);
    assert!(wrong.err().expect("pixels").to_string().contains("photo transforms are only for photographs"));
}

#[test]
fn a_bad_image_names_its_path_and_its_line() {
    let folder = tree(Layout::ImagenetLt);
    let recipe = recipe("imagenet_lt", ", meta_per_class: 2");
    let source = source(folder.path(), &recipe);
    let split = Split::draw(&recipe, &source).expect("drawable");
    let files = source.train.images.photos().expect("photos");
    let (gone, broken) = (files.path(4), files.path(11));
    std::fs::remove_file(&gone).expect("removing");
    std::fs::write(&broken, b"bad").expect("writing");
    let eval = Transform::eval(&recipe, source.train.shape()).expect("fits");
    let first_error = |indices: Vec<u32>| {
        let loader = EvalLoader::new(Arc::new(source.train.clone()), indices, eval.clone(), 16, 1).expect("valid");
        loader.iter().find_map(Result::err).expect("a bad image")
    };
    let error = first_error(vec![0, 11, 4]);
    let expected = format!(
        "`{}` (line 12 of `{}`): ",
        broken.display(),
        folder.path().join("tree/ImageNet_LT_train.txt").display()
    );
    assert!(error.to_string().starts_with(&expected), "{error}");
    assert!(error.hint().expect("a hint").contains("on_bad_image=skip"));
    assert!(first_error(vec![0, 4, 11]).to_string().contains("(line 5 of "));
    let mut epoch = loader(&source, &split, &recipe, 2).epoch(0);
    assert!(matches!(epoch.find_map(Result::err), Some(DatasetError::BadImage { .. })));
}

#[test]
fn the_census_is_taken_once_and_its_findings_stand_in_the_split() {
    let folder = tree(Layout::ImagenetLt);
    let recipe = recipe("imagenet_lt", ", meta_per_class: 2, on_bad_image: skip");
    let source = source(folder.path(), &recipe);
    let whole = Split::draw(&recipe, &source).expect("drawable");
    let photos = source.train.images.photos().expect("photos");
    let bad = [3, whole.meta[0], whole.val[1]];
    std::fs::write(photos.path(3), b"bad").expect("writing");
    bad[1..].iter().for_each(|&index| std::fs::remove_file(photos.path(index as usize)).expect("removing"));
    std::fs::write(source.test.images.photos().expect("photos").path(5), b"bad").expect("writing");

    let run = RunLayout::new(folder.path().join("run"));
    let seen = std::sync::atomic::AtomicU64::new(0);
    let count = |_, all| {
        assert_eq!(all, 72);
        seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    };
    let split = Split::load_or_create_with(&run, &recipe, &source, &count).expect("drawn");
    assert_eq!(seen.load(std::sync::atomic::Ordering::Relaxed), 72);
    let mut expected = bad.to_vec();
    expected.sort_unstable();
    assert_eq!((&split.skipped.train, split.skipped.test.as_slice()), (&expected, [5].as_slice()));
    for part in [&split.train, &split.meta, &split.val] {
        assert!(part.iter().all(|index| !bad.contains(index)));
    }
    assert_eq!((split.train.len(), split.meta.len(), split.val.len(), split.test.len()), (39, 7, 11, 11));
    assert_eq!(split.class_counts.iter().sum::<u32>(), 39);
    let text = String::from_utf8_lossy(&std::fs::read(run.split()).expect("the file")).into_owned();
    assert!(text.contains("No such file") && text.contains(photos.relative(3)), "reasons stand in the file");

    // A second call, and later stages, decode nothing: whatever happens to an image now is an error where it is needed.
    std::fs::write(photos.path(20), b"bad").expect("writing");
    let again = Split::load_or_create_with(&run, &recipe, &source, &|_, _| panic!("no second census")).expect("read");
    assert_eq!((&again, &Split::load(&run.split(), &source).expect("strict")), (&split, &split));
    let failing = crate::recipe("imagenet_lt", ", meta_per_class: 2");
    let replaced = Split::load_or_create(&run, &failing, &source).expect("other settings, another file");
    assert!(replaced.skipped.train.is_empty() && replaced.train.len() == 40);
}
