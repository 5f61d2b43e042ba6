//! A report replaces the files of an earlier report, and no file that somebody else put there.
#![allow(clippy::unwrap_used)] // a test may stop where it stands

use std::path::Path;
use std::process::Command;

use longtail_artifact::{NamedTensor, TensorData, code_versions, write_tensors};
use longtail_recipe::read_str;
use longtail_report::predictions_file;
use serde_json::json;

const RECIPE: &str = "recipe: small\ndata: {dataset: fashion_mnist, imbalance_factor: 100}\n\
                      representations: {ce: {method: {ce: {}}}}\nclassifiers: {joint: }\n";

/// Predictions of ten images, of which `wrong` are wrong.
fn predict(folder: &Path, wrong: u32) {
    fs_err::write(folder.join("small.yaml"), RECIPE).unwrap();
    let path = predictions_file(&folder.join("seed-0"), "ce", "joint");
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    let tensor = |name: &str, values: Vec<u32>| NamedTensor {
        name: name.to_owned(),
        shape: vec![values.len()],
        data: TensorData::U32(values),
    };
    let predicted = (0..10).map(|image| if image < wrong { 9 - image } else { image }).collect();
    let counts = vec![5990, 3591, 2153, 1290, 773, 463, 278, 166, 99, 59];
    let tensors = [tensor("class_counts", counts), tensor("labels", (0..10).collect()), tensor("predicted", predicted)];
    write_tensors(&path, &tensors, &json!({"chosen": {}})).unwrap();
    let part = read_str(RECIPE, "small.yaml", &[]).unwrap().classifier_part("ce", "joint").unwrap();
    let manifest = json!({"stage": "classifier", "key": "", "code_version": code_versions::CLASSIFIER, "recipe_part": part,
                          "inputs": {}, "outputs": {}, "device": "cpu"});
    fs_err::write(path.with_file_name("manifest.json"), manifest.to_string()).unwrap();
}

fn report(folder: &Path, out: &Path, more: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_report"));
    command.arg("--recipe").arg(folder.join("small.yaml")).arg("--runs").arg(folder).arg("--out").arg(out);
    let output = command.args(more).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[test]
fn a_file_of_the_users_with_the_name_of_ours_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    predict(folder, 2);
    for name in ["report.md", "report.html", "report.json", "figures/ce+joint.svg"] {
        let out = folder.join(name.replace('/', "-"));
        fs_err::create_dir_all(out.join(name).parent().unwrap()).unwrap();
        fs_err::write(out.join(name), "mine").unwrap();
        for more in [&[][..], &["--force"]] {
            let (code, said) = report(folder, &out, more);
            assert!(
                code == Some(2) && said.contains(&format!("would replace `{name}`, which it did not write")),
                "{said}"
            );
            assert!(said.contains("hint: give --out a separate folder"), "{said}");
        }
        assert_eq!(fs_err::read_to_string(out.join(name)).unwrap(), "mine");
        let there: Vec<_> = fs_err::read_dir(&out).unwrap().collect();
        assert_eq!(there.len(), 1, "nothing else was written: {there:?}");
    }
}

#[test]
fn a_report_replaces_its_own_files_also_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    predict(folder, 2);
    let out = folder.join("out");
    assert_eq!(report(folder, &out, &[]).0, Some(0));
    let before = fs_err::read(out.join("report.md")).unwrap();
    predict(folder, 5);
    assert_eq!(report(folder, &out, &[]).0, Some(0));
    assert_ne!(fs_err::read(out.join("report.md")).unwrap(), before);
    assert!(!out.join("checkpoints").exists());
    // Killed between the first file and the manifest: what was begun is known for its own.
    fs_err::remove_file(out.join("manifest.json")).unwrap();
    fs_err::write(out.join("report.md"), "half a").unwrap();
    assert_eq!(report(folder, &out, &[]).0, Some(2), "nothing says whose it is");
    fs_err::create_dir(out.join("checkpoints")).unwrap();
    let names = ["report.md", "report.html", "report.json", "figures/ce+joint.svg"];
    fs_err::write(out.join("checkpoints/files.json"), json!(names).to_string()).unwrap();
    let (code, said) = report(folder, &out, &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(out.join("manifest.json").is_file() && !out.join("checkpoints").exists());
}
