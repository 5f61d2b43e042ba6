//! What the recipe gave is not listed as chosen: on the terminal, in JSON, and in the files.

mod common;

use std::process::Command;

use common::run_folder::RunFolder;
use longtail_artifact::TensorFile;
use serde_json::{Value, json};

/// The JSON that stage 3 prints, and the metadata of predictions and head.
fn run(folder: &RunFolder, taus: &str) -> [Value; 3] {
    let mut command = Command::new(env!("CARGO_BIN_EXE_classifier"));
    command.args(["--variant", "ce", "--method", "tau_norm", "--json", "--set"]);
    command.arg(format!("classifiers.tau_norm.tau_norm.taus={taus}"));
    let output = command.arg("--recipe").arg(&folder.recipe).arg("--run").arg(folder.layout.run()).output();
    let output = output.expect("the binary starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let out = folder.layout.classifier("ce", "tau_norm");
    let metadata = |name: &str| TensorFile::open(&out.join(name)).expect("written").metadata().clone();
    let printed = serde_json::from_slice(&output.stdout).expect("JSON");
    [printed, metadata("predictions.safetensors"), metadata("head.safetensors")]
}

#[test]
fn a_tau_that_was_given_is_listed_as_given() {
    let folder = RunFolder::new();
    for found in run(&folder, "[0.5]") {
        assert_eq!((&found["chosen"], &found["given"]), (&json!({}), &json!({"tau": 0.5})), "{found}");
    }
    let [printed, predictions, head] = run(&folder, "[0.5, 1]");
    for found in [&printed, &predictions, &head] {
        assert!(found["chosen"]["tau"].is_number(), "{found}");
    }
    assert_eq!(printed["given"], json!({}));
    assert!(predictions.get("given").is_none() && head.get("given").is_none(), "as before where it was chosen");
}
