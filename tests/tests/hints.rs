//! What a hint says to type is typed here, and works.

use std::path::{Path, PathBuf};

use longtail_tests::{Outcome, Stage, TinyRun, binary, finish, stage_command, tiny_recipe, xtask};

/// `train`, `val` and `test` folders of made-up JPEGs of three classes.
fn images(root: &Path, train_images: usize) -> PathBuf {
    let tree = root.join("tree");
    let sizes = ["--classes", "3", "--val-per-class", "3", "--test-per-class", "2", "--side", "40"];
    let mut command = std::process::Command::new(binary("datasets"));
    command.args(["synthesize", "imagenet-lt", "--out"]).arg(&tree).args(sizes);
    let made = finish(command.args(["--train-images", &train_images.to_string()]));
    assert_eq!(made.code, Some(0), "{}", made.words);
    for part in ["train", "val", "test"] {
        let text = std::fs::read_to_string(tree.join(format!("ImageNet_LT_{part}.txt"))).expect("a list");
        for (number, line) in text.lines().enumerate() {
            let (path, label) = line.rsplit_once(' ').expect("path and label");
            let class = root.join("images").join(part).join(format!("class-{label}"));
            std::fs::create_dir_all(&class).expect("writable");
            std::fs::copy(tree.join(path), class.join(format!("{number}.jpg"))).expect("a copy");
        }
    }
    root.join("images")
}

/// A recipe of photographs whose one representation sets its own batch, as `settings` says.
fn recipe(root: &Path, settings: &str) -> PathBuf {
    let path = root.join("small.yaml");
    let text = format!(
        "data: {{dataset: image_folder, image_side: 32, resize_short: 32, meta_source: none}}\n\
         representation_defaults: {{epochs: 1, batch_size: 64, lr: 0.05}}\n\
         representations: {{ce: {{method: {{ce: {{}}}}, backbone: resnet50, {settings}}}}}\n\
         classifiers: {{joint: }}\n"
    );
    std::fs::write(&path, text).expect("writable");
    path
}

/// The first `--set PATH=VALUE` of what was said, as a shell takes it apart.
fn change(outcome: &Outcome) -> (String, String) {
    let rest = outcome.words.split_once("--set ").expect("a change is named").1;
    let end = rest.find(['\n', '`', ' ', ',']).unwrap_or(rest.len());
    let words = shlex::split(&rest[..end]).expect("a word");
    let (path, value) = words[0].split_once('=').expect("path and value");
    (path.to_owned(), value.to_owned())
}

#[test]
fn a_change_that_is_named_is_that_of_the_entry_that_sets_the_value() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let images = images(root.path(), 33);
    for (settings, refusal) in [
        ("batch_size: 16", "33 training images in batches of 16"),
        ("batch_size: 40, drop_last: true", "leaves no batch in an epoch"),
    ] {
        let file = recipe(root.path(), settings);
        let stage = Stage::one("representation", "ce", None);
        let run = TinyRun::of(&file, Some(&images), &[]);
        let refused = finish(&mut stage_command(&run, &stage, 2));
        assert!(refused.code == Some(2) && refused.words.contains(refusal), "{}", refused.words);
        let (path, value) = change(&refused);
        // By hand on the stage, which reads the resolved recipe; and on the recipe as it was written, as xtask does.
        let followed = finish(stage_command(&run, &stage, 2).arg("--set").arg(format!("{path}={value}")));
        assert_eq!(followed.code, Some(0), "{settings}: {path}={value}: {}", followed.words);
        let written = longtail_recipe::read(&file, &[(path, value.clone())]).expect("a sound change");
        assert_eq!(written.representation("ce").expect("there").batch_size.to_string(), value);
    }
}

#[test]
fn a_command_that_is_named_takes_the_recipe_as_it_was_typed() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let folder = root.path().join("some where");
    std::fs::create_dir(&folder).expect("writable");
    // Its name is not that of its file, and neither is one of `pipelines/`.
    let file = folder.join("two.yaml");
    std::fs::copy(tiny_recipe(), &file).expect("a copy");
    let runs = root.path().join("runs");
    let mut command = xtask();
    command.arg("reproduce").arg(&file).args(["--from", "classifier", "--set", "features={views: 1}", "--runs"]);
    let refused = finish(command.arg(&runs));
    assert!(refused.code == Some(2) && refused.words.contains("cannot start at `classifier`"), "{}", refused.words);
    follow(&refused, &file);

    let text = "data: {dataset: image_folder}\nrepresentations: {ce: {method: {ce: {}}}}\nclassifiers: {joint: }\n";
    std::fs::write(&file, text).expect("writable");
    let mut command = xtask();
    let refused = finish(command.arg("reproduce").arg(&file).arg("--runs").arg(&runs).env_remove("LONGTAIL_DATA"));
    assert!(refused.code == Some(2) && refused.words.contains("needs photographs"), "{}", refused.words);
    follow(&refused, &file);
}

/// Types the last `cargo xtask reproduce …` of what was said, as a dry run.
fn follow(refused: &Outcome, file: &Path) {
    let rest = refused.words.rsplit_once("cargo xtask reproduce").expect("a command is named").1;
    let end = rest.find(['`', '\n']).unwrap_or(rest.len());
    let words = shlex::split(&rest[..end]).expect("words of a command");
    assert_eq!(Path::new(&words[0]), file);
    let mut command = xtask();
    command.arg("reproduce").args(words.iter().filter(|word| *word != "--dry-run")).arg("--dry-run");
    let followed = finish(&mut command);
    assert_eq!(followed.code, Some(0), "{rest}: {}", followed.words);
}

#[test]
fn one_is_not_said_as_several() {
    let root = tempfile::tempdir().expect("a temporary folder");
    for part in ["train", "test"] {
        for class in ["a", "b"] {
            let place = root.path().join(part).join(class);
            std::fs::create_dir_all(&place).expect("writable");
            if part == "train" || class == "a" {
                std::fs::write(place.join("1.jpg"), b"\xFF\xD8\xFF\xE0").expect("writable");
            }
        }
    }
    let mut check = std::process::Command::new(binary("datasets"));
    let checked = finish(check.args(["check", "image-folder", "--data"]).arg(root.path()));
    assert!(checked.words.contains("1 of 1 image is found") || checked.words.contains("1 image"), "{}", checked.words);
    let mut plan = xtask();
    plan.args(["run", "representation"]).arg(tiny_recipe()).args(["--variant", "ce", "--dry-run", "--runs"]);
    let plan = finish(plan.arg(root.path().join("runs")));
    assert!(plan.code == Some(0) && plan.words.contains("1 stage to run"), "{}", plan.words);
    for said in [checked.words, plan.words] {
        let several = ["images", "stages", "classes", "files", "rows", "batches"];
        let wrong = several.iter().find(|noun| said.contains(&format!(" 1 {noun}")));
        assert_eq!(wrong, None, "{said}");
    }
}
