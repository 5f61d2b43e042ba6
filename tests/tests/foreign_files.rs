//! Files of other programs: labels of 64 bits, features, head and prototypes of other widths.

use std::path::Path;
use std::process::Command;

use longtail_artifact::{NamedTensor, TensorData, TensorFile, write_tensors};
use longtail_tests::{Kills, Outcome, Stage, TinyRun, binary, finish, run_all, stage_command};

/// Writes a file again with `change` made to each tensor; its metadata stays.
fn rewrite(path: &Path, change: impl Fn(&mut NamedTensor)) {
    let file = TensorFile::open(path).expect("sound");
    let (mut tensors, metadata) = (file.tensors().expect("plain"), file.metadata().clone());
    drop(file);
    tensors.iter_mut().for_each(change);
    write_tensors(path, &tensors, &metadata).expect("writable");
}

/// As NumPy would write it: whole numbers of 64 bits, numbers of double width.
fn widen(tensor: &mut NamedTensor) {
    tensor.data = match &tensor.data {
        TensorData::U32(values) => TensorData::I64(values.iter().map(|value| i64::from(*value)).collect()),
        TensorData::F32(values) => TensorData::F64(values.iter().map(|value| f64::from(*value)).collect()),
        other => other.clone(),
    };
}

fn features(arguments: &[&str], paths: &[&Path]) -> Outcome {
    finish(Command::new(binary("features")).args(arguments).args(paths))
}

#[test]
fn files_of_other_programs_are_taken_where_no_value_is_lost() {
    let run = TinyRun::new(&[
        ("rows", "[{representation: mpcl, classifier: mpfa}]"),
        ("representation_defaults.epochs", "2"),
    ]);
    run_all(&run, 2, &mut Kills::default());
    let (dumps, stage1) = (run.layout().features("mpcl"), run.layout().representation("mpcl"));
    let predictions = run.layout().classifier("mpcl", "mpfa").join("predictions.safetensors");
    let before = std::fs::read(&predictions).expect("there");
    let names = ["train", "meta", "val", "test"].map(|name| dumps.join(format!("{name}.safetensors")));
    let stage1 = ["head", "prototypes"].map(|name| stage1.join(format!("{name}.safetensors")));
    names.iter().chain(&stage1).for_each(|path| rewrite(path, widen));

    let stage = Stage::one("classifier", "mpcl", Some("mpfa"));
    let start = || finish(stage_command(&run, &stage, 2).args(["--force", "--accept-stale"]));
    let outcome = start();
    assert_eq!(outcome.code, Some(0), "{}", outcome.words);
    assert!(std::fs::read(&predictions).expect("there") == before, "the same numbers give the same predictions");

    let [train, _, val, _] = &names;
    for (arguments, wanted) in [(vec!["inspect"], "I64"), (vec!["inspect", "--json"], "rows_per_class")] {
        let outcome = features(&arguments, &[train]);
        assert!(outcome.code == Some(0) && outcome.words.contains(wanted), "{}", outcome.words);
    }
    let outcome = features(&["diff"], &[train, val]);
    assert_eq!(outcome.code, Some(1), "{}", outcome.words);
    let out = run.dir.join("own/prototypes.safetensors");
    let outcome = features(&["means"], &[train, Path::new("--prototypes"), &out]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.words);

    // A value that f32 rounds, and a label that is none.
    rewrite(train, |tensor| {
        if let ("features", TensorData::F64(values)) = (tensor.name.as_str(), &mut tensor.data) {
            values[1] = 0.1;
        }
    });
    let outcome = start();
    let said = &outcome.words;
    assert!(outcome.code == Some(2) && said.contains("holds 0.1 at flat index 1") && said.contains("astype"), "{said}");
    let outcome = features(&["inspect"], &[train]);
    assert!(outcome.code == Some(0) && outcome.words.contains("no stage accepts this file"), "{}", outcome.words);
    rewrite(train, |tensor| {
        if let ("features", TensorData::F64(values)) = (tensor.name.as_str(), &mut tensor.data) {
            values[1] = 0.125;
        }
        if let ("labels", TensorData::I64(values)) = (tensor.name.as_str(), &mut tensor.data) {
            values[2] = -1;
        }
    });
    let outcome = start();
    let said = &outcome.words;
    assert!(outcome.code == Some(2) && said.contains("holds -1 at flat index 2") && said.contains("hint: "), "{said}");
}
