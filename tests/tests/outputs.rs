//! What programs write: never over what they read, nor over a finished stage's files, nor over what is another's.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use longtail_artifact::{
    Begin, BeginOptions, ImageMatch, NamedTensor, RunLayout, StageRun, StageSpec, TensorData, hash_file, write_tensors,
};
use longtail_tests::{Kills, Stage, TinyRun, binary, finish, run_all, snapshot, stage_command};
use serde_json::{Value, json};

fn tool(arguments: &[&OsStr]) -> (Option<i32>, String) {
    let output = Command::new(binary("features")).args(arguments).output().expect("starts");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// A finished stage 2 with a training and a validation dump.
fn stage(folder: &Path) -> [PathBuf; 2] {
    let spec = StageSpec {
        stage: "features",
        code_version: 1,
        recipe_part: Value::Null,
        inputs: vec![],
        device: "cpu".into(),
        images: ImageMatch::Same,
    };
    let Ok(Begin::Run(run)) = StageRun::begin(folder, &spec, BeginOptions::default()) else { panic!("it is new") };
    let files = ["train.safetensors", "val.safetensors"];
    let u32s = |name: &str, values: Vec<u32>| NamedTensor {
        name: name.into(),
        shape: vec![values.len()],
        data: TensorData::U32(values),
    };
    let hashes = files.map(|name| {
        let features = TensorData::F32(vec![1.0, 0.0, 0.5, 0.5, 0.0, 1.0]);
        let features = NamedTensor { name: "features".into(), shape: vec![3, 2], data: features };
        let tensors = [features, u32s("labels", vec![0, 0, 1]), u32s("class_counts", vec![2, 1])];
        write_tensors(&folder.join(name), &tensors, &Value::Null).expect("writable");
        (name, hash_file(&folder.join(name)).expect("readable"))
    });
    run.finish(&hashes).expect("finishes");
    files.map(|name| folder.join(name))
}

#[test]
fn no_tool_writes_over_what_it_reads_or_what_a_stage_made() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let folder = dir.path().join("features/ce");
    let [train, val] = stage(&folder);
    let before = [&train, &val].map(|path| std::fs::read(path).expect("readable"));
    let twisted = folder.join("../ce/train.safetensors");
    let hard = dir.path().join("hard.npz");
    std::fs::hard_link(&train, &hard).expect("linkable");
    let png = dir.path().join("figure.png");
    let beside = folder.join("prototypes.safetensors");
    let word = OsStr::new;
    let cases: [(Vec<&OsStr>, &str); 9] = [
        (vec![word("export"), train.as_ref(), word("--npz"), train.as_ref()], "which this command reads"),
        (vec![word("export"), train.as_ref(), word("--npz"), twisted.as_ref()], "which this command reads"),
        (vec![word("export"), train.as_ref(), word("--npz"), hard.as_ref()], "which this command reads"),
        (vec![word("export"), val.as_ref(), word("--npz"), train.as_ref()], "manifest.json lists this file"),
        (vec![word("export"), val.as_ref(), word("--npz"), png.as_ref()], "does not end in .npz"),
        (vec![word("means"), train.as_ref(), word("--prototypes"), val.as_ref()], "manifest.json lists this file"),
        (vec![word("means"), train.as_ref(), word("--prototypes"), beside.as_ref()], "folder of a finished stage"),
        (
            vec![
                word("plot"),
                word("--train"),
                train.as_ref(),
                word("--val"),
                val.as_ref(),
                word("--out"),
                png.as_ref(),
            ],
            "does not end in .svg",
        ),
        (
            vec![
                word("plot"),
                word("--train"),
                train.as_ref(),
                word("--val"),
                val.as_ref(),
                word("--out"),
                val.as_ref(),
            ],
            "which this command reads",
        ),
    ];
    for (arguments, wanted) in cases {
        let (code, said) = tool(&arguments);
        assert!(code == Some(2) && said.contains(wanted) && said.contains("hint: "), "{arguments:?}: {said}");
    }
    assert!([&train, &val].map(|path| std::fs::read(path).expect("readable")) == before);
    assert!(!png.exists() && !beside.exists());
    let npz = folder.join("train.npz");
    let (code, said) = tool(&[word("export"), train.as_ref(), word("--npz"), npz.as_ref()]);
    assert!(code == Some(0) && npz.exists(), "an archive of the user's may lie beside the dumps: {said}");
}

const RECIPE: &str = "\
recipe: small
data: {dataset: fashion_mnist, imbalance_factor: 100, shot_groups: {many_above: 1000, few_below: 200}}
representations: {ce: {method: {ce: {}}}}
classifiers: {joint: }
";

fn run_folder(folder: &Path) {
    std::fs::write(folder.join("small.yaml"), RECIPE).expect("writable");
    let path = RunLayout::new(folder.join("seed-0")).classifier("ce", "joint").join("predictions.safetensors");
    let tensor = |name: &str, values: &[u32]| NamedTensor {
        name: name.to_owned(),
        shape: vec![values.len()],
        data: TensorData::U32(values.to_vec()),
    };
    let labels: Vec<u32> = (0..10).collect();
    let counts = [5990, 3591, 2153, 1290, 773, 463, 278, 166, 99, 59];
    let tensors = [tensor("class_counts", &counts), tensor("labels", &labels), tensor("predicted", &labels)];
    write_tensors(&path, &tensors, &json!({"chosen": {}})).expect("writable");
    let recipe = longtail_recipe::read_str(RECIPE, "small.yaml", &[]).expect("sound");
    let part = recipe.classifier_part("ce", "joint").expect("known");
    let manifest = json!({"stage": "classifier", "key": "", "code_version": 1, "recipe_part": part, "inputs": {},
                          "outputs": {}, "device": "cpu"});
    std::fs::write(path.with_file_name("manifest.json"), manifest.to_string()).expect("writable");
}

fn report(folder: &Path, out: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(binary("report"));
    command.arg("--recipe").arg(folder.join("small.yaml")).arg("--runs").arg(folder).arg("--out").arg(out).args(more);
    command.output().expect("the binary starts")
}

#[test]
fn a_stages_folder_and_other_figures_are_left_alone() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    run_folder(dir.path());
    let stage = dir.path().join("seed-0/classifier/ce/joint");
    let manifest = std::fs::read(stage.join("manifest.json")).expect("there");
    let output = report(dir.path(), &stage, &["--force"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains("finished stage `classifier`"), "{said}");
    assert!(
        std::fs::read(stage.join("manifest.json")).expect("there") == manifest && !stage.join("report.md").exists()
    );

    let paper = dir.path().join("paper");
    std::fs::create_dir_all(paper.join("figures")).expect("writable");
    std::fs::write(paper.join("figures/mine.svg"), "<svg/>").expect("writable");
    for more in [&[][..], &["--force"]] {
        let output = report(dir.path(), &paper, more);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(paper.join("report.md").exists() && paper.join("figures/mine.svg").exists());
    }
    // A figure of the last report, for a row that is no longer shown, goes.
    let path = paper.join("manifest.json");
    let text = std::fs::read_to_string(&path).expect("there");
    let mut manifest: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    manifest["outputs"]["figures/old.svg"] = json!({"bytes": 1, "blake3": "", "mtime_ns": 0});
    std::fs::write(&path, manifest.to_string()).expect("writable");
    std::fs::write(paper.join("figures/old.svg"), "x").expect("writable");
    report(dir.path(), &paper, &["--force"]);
    assert!(!paper.join("figures/old.svg").exists() && paper.join("figures/mine.svg").exists());
}

fn datasets(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(binary("datasets"));
    command.args(arguments).env_remove("LONGTAIL_DATA").env_remove("LONGTAIL_PACK").current_dir(std::env::temp_dir());
    let output = command.output().expect("the binary runs");
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[test]
fn a_pack_is_called_so_and_replaces_no_list_or_image() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let tree = folder.path().join("tree").display().to_string();
    let sizes = ["--classes", "2", "--train-images", "6", "--val-per-class", "1", "--test-per-class", "1"];
    let (code, said) = datasets(&[&["synthesize", "imagenet-lt", "--out", &tree, "--side", "40"], &sizes[..]].concat());
    assert_eq!(code, Some(0), "{said}");
    let list = std::fs::read_dir(&tree)
        .expect("a tree")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .expect("a list");
    let before = std::fs::read(&list).expect("readable");
    let pack = ["pack", "imagenet-lt", "--data", &tree, "--set", "data.image_side=32", "--out"];
    for (out, wanted) in [(list.display().to_string(), "does not end in .pack"), (tree.clone(), "is a folder")] {
        let (code, said) = datasets(&[&pack[..], &[&out]].concat());
        assert!(code == Some(2) && said.contains(wanted) && said.contains("hint: "), "{said}");
    }
    assert_eq!(std::fs::read(&list).expect("readable"), before);
}

#[test]
fn generated_rows_do_not_replace_files_of_the_run_though_forced() {
    let run = TinyRun::new(&[
        ("rows", "[{representation: mpcl, classifier: mpfa}]"),
        ("representation_defaults.epochs", "2"),
    ]);
    run_all(&run, 2, &mut Kills::default());
    let before = snapshot(&run.dir);
    let (layout, npz) = (run.layout(), run.dir.join("rows.npz"));
    for (out, wanted) in [
        (layout.features("mpcl").join("train.safetensors"), "which this command reads"),
        (layout.representation("mpcl").join("head.safetensors"), "which this command reads"),
        (layout.classifier("mpcl", "mpfa").join("predictions.safetensors"), "manifest.json lists this file"),
        (layout.split(), "split"),
        (npz, "does not end in .safetensors"),
    ] {
        let stage = stage_command(&run, &Stage::one("classifier", "mpcl", Some("mpfa")), 2);
        let mut command = Command::new(binary("classifier"));
        command.arg("generate").args(stage.get_args()).arg("--force").arg("--out").arg(&out);
        let outcome = finish(&mut command);
        let said = outcome.words;
        assert!(outcome.code == Some(2) && said.contains(wanted) && said.contains("hint: "), "{said}");
    }
    assert!(snapshot(&run.dir) == before);
}
