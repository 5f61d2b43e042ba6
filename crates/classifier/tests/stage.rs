//! The binary on a whole run folder: outputs, second run, kill and resume, bad input.

mod common;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use common::run_folder::{COUNTS, DIM, RunFolder, f32s, feature_tensors, u32s, write};
use common::toy_data;
use longtail_artifact::{TensorFile, hash_file};
use longtail_classifier::Inputs;
use longtail_training::HeadWeights;
use proptest::prelude::*;
use serde_json::{Value, json};

const METHODS: [&str; 8] = ["joint", "crt", "lws", "tau_norm", "ncm", "tailcalib", "tailcalib_x", "mpfa"];

fn command(run: &RunFolder, method: &str, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_classifier"));
    command.args(["--variant", "ce", "--method", method]).args(more);
    command.arg("--recipe").arg(&run.recipe).arg("--run").arg(run.layout.run());
    command
}

fn start(run: &RunFolder, method: &str, more: &[&str]) -> Output {
    command(run, method, more).output().expect("the binary starts")
}

fn words(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn succeed(run: &RunFolder, method: &str, more: &[&str]) -> String {
    let output = start(run, method, more);
    assert_eq!(output.status.code(), Some(0), "{method}: {}", words(&output));
    words(&output)
}

/// Runs, expects exit code 2 and all of `expected` in what it says.
fn refuse(run: &RunFolder, method: &str, more: &[&str], expected: &[&str]) {
    let output = start(run, method, more);
    let said = words(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.starts_with("error: ") && !said.contains("panicked") && !said.contains("bug in the program"),
        "{said}"
    );
    for part in expected {
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
}

fn hashes(folder: &Path) -> Vec<String> {
    ["head.safetensors", "predictions.safetensors"].map(|name| hash_file(&folder.join(name)).expect("written")).to_vec()
}

/// `metrics.jsonl` without its time field.
fn metrics(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("metrics.jsonl")).expect("written");
    let parse = |line: &str| -> Value {
        let mut value: Value = serde_json::from_str(line).expect("one object a line");
        value.as_object_mut().expect("an object").remove("wall_secs");
        value
    };
    text.lines().map(parse).collect()
}

#[test]
fn every_method_writes_its_files_and_a_second_run_does_nothing() {
    let run = RunFolder::new();
    for method in METHODS {
        let said = succeed(&run, method, &[]);
        assert!(said.contains("ce+") && said.contains("few"), "{said}");
        if ["mpfa", "tailcalib", "tailcalib_x"].contains(&method) {
            assert!(said.contains("workspace"), "{said}");
        }
        let folder = run.classifier(method);
        let predictions = TensorFile::open(&folder.join("predictions.safetensors")).expect("readable");
        let rows = predictions.expect_u32("labels", &[None]).expect("labels").len();
        assert_eq!(rows, 50);
        predictions.expect_f32("logits", &[Some(rows), Some(10)]).expect("finite logits");
        predictions.expect_u32("predicted", &[Some(rows)]).expect("predictions");
        predictions.expect_u32("val_predicted", &[Some(50)]).expect("validation");
        assert!(predictions.metadata()["val_accuracy"].as_f64().expect("a fraction") > 0.2, "{method}");
        assert!(predictions.metadata()["chosen"].is_object());
        let head = TensorFile::open(&folder.join("head.safetensors")).expect("readable");
        assert!(head.metadata()["kind"].is_string());
        assert!(folder.join("manifest.json").exists() && !folder.join("checkpoints").exists());
        let before = hashes(&folder);
        assert!(succeed(&run, method, &[]).contains("up to date"), "{method}");
        succeed(&run, method, &["--force", "--threads", "1", "--quiet"]);
        assert_eq!(hashes(&folder), before, "{method}: one thread, same bits");
    }
    let said = succeed(&run, "tau_norm", &["--force", "--json"]);
    let summary: Value = serde_json::from_str(said.trim()).expect("one JSON object");
    assert!(summary["chosen"]["tau"].is_number() && summary["test_accuracy"]["all"].is_number(), "{summary}");
}

/// Kills and restarts `method` until it ends or has been started 40 times, then lets it end: the bits of a straight run.
fn killed_run_ends_like_a_straight_one(method: &str, more: &[&str], wait: u64) {
    let straight = RunFolder::new();
    succeed(&straight, method, more);
    let run = RunFolder::new();
    let (mut kills, mut with_checkpoint) = (0, 0);
    for attempt in 0..40u64 {
        let mut child = command(&run, method, more)
            .env("LONGTAIL_CHECKPOINT_EVERY_STEPS", "3")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        // Past the first checkpoints, at another moment each time.
        std::thread::sleep(Duration::from_millis(25 + (attempt * 37 + wait) % 60));
        match child.try_wait().expect("a child") {
            Some(status) => {
                assert_eq!(status.code(), Some(0), "{method}");
                break;
            }
            None => {
                child.kill().expect("alive");
                child.wait().expect("a child");
                kills += 1;
                let checkpoints = std::fs::read_dir(run.classifier(method).join("checkpoints"));
                with_checkpoint += usize::from(checkpoints.is_ok_and(|mut files| {
                    files.any(|file| file.is_ok_and(|file| file.path().extension().is_some_and(|e| e == "safetensors")))
                }));
            }
        }
    }
    let said = succeed(&run, method, more);
    assert!(with_checkpoint > 0, "{method}: of {kills} kills none came after a checkpoint");
    let goes_on = ["continuing from epoch", "all epochs are already done", "up to date"];
    assert!(goes_on.iter().any(|words| said.contains(words)), "{method}: {said}");
    assert_eq!(hashes(&run.classifier(method)), hashes(&straight.classifier(method)), "{method}");
    assert_eq!(metrics(&run.classifier(method)), metrics(&straight.classifier(method)), "{method}");
}

#[test]
fn a_killed_run_ends_with_the_bits_of_a_straight_one() {
    for (index, method) in ["crt", "tailcalib_x", "mpfa"].into_iter().enumerate() {
        let more = ["--set", &format!("classifiers.{method}.{method}.training.epochs=150")];
        killed_run_ends_like_a_straight_one(method, &more, index as u64 * 11);
    }
}

#[test]
fn a_run_killed_inside_its_only_epoch_ends_with_the_bits_of_a_straight_one() {
    // One row a batch and one epoch: every checkpoint lies inside it.
    let more = |name: &str, value: u32| format!("classifiers.mpfa.mpfa.training.{name}={value}");
    killed_run_ends_like_a_straight_one("mpfa", &["--set", &more("epochs", 1), "--set", &more("batch_size", 1)], 7);
}

#[test]
fn help_has_examples_and_unknown_names_are_explained() {
    let run = RunFolder::new();
    let help = Command::new(env!("CARGO_BIN_EXE_classifier")).arg("--help").output().expect("the binary starts");
    assert!(words(&help).contains("Examples:") && words(&help).contains("--method mpfa"));
    refuse(&run, "mpfq", &[], &["mpfq", "mpfa"]);
    refuse(&run, "mpfa", &["--set", "classifiers.mpfa.mpfa.tukey=3"], &["tukey"]);
    refuse(&run, "mpfa", &["--device", "cuda"], &["cuda"]);
}

#[test]
fn upstream_that_is_stale_or_missing_is_refused_and_finished_files_stay() {
    let run = RunFolder::new();
    succeed(&run, "joint", &[]);
    let before = hashes(&run.classifier("joint"));
    // A recipe that asks for another representation.
    refuse(&run, "joint", &["--set", "representations.ce.epochs=3"], &["representation", "epochs", "hint: "]);
    write(&run.representation("backbone"), &[f32s("conv1.weight", vec![1], &[2.0])], &json!({}));
    refuse(&run, "joint", &[], &["classifier", "hint: "]);
    // Told to take stale files, it still says that these features are another backbone's.
    refuse(&run, "ncm", &["--accept-stale"], &["train.safetensors", "backbone", "hint: "]);
    assert_eq!(hashes(&run.classifier("joint")), before);
    let run = RunFolder::new();
    std::fs::remove_dir_all(run.layout.features("ce")).expect("removable");
    refuse(&run, "joint", &[], &["features", "hint: "]);
}

#[test]
fn each_bad_input_is_named() {
    let data = toy_data(&COUNTS, DIM);
    let (features, labels, counts) = (data.train.features(), data.train.labels(), &data.class_counts);
    let changed = |change: &dyn Fn(&RunFolder), expected: &[&str]| {
        let run = RunFolder::new();
        change(&run);
        refuse(&run, "mpfa", &["--accept-stale"], expected);
        assert!(!run.classifier("mpfa").join("manifest.json").exists());
    };
    let replace = |name: &'static str, tensors: Vec<longtail_artifact::NamedTensor>| {
        move |run: &RunFolder| {
            write(&run.features(name), &tensors, &run.dump_metadata(name));
        }
    };
    let mut with_nan = features.to_vec();
    with_nan[7] = f32::NAN;
    changed(
        &replace("train", feature_tensors(&with_nan, labels, counts, DIM)),
        &["train.safetensors", "features", "7"],
    );
    let half = labels.len() / 2;
    let misshapen = vec![f32s("features", vec![half * DIM], &features[..half * DIM]), u32s("labels", &labels[..half])];
    changed(&replace("val", misshapen), &["val.safetensors", "features"]);
    let kept: Vec<usize> = (0..labels.len()).filter(|&row| labels[row] != 4).collect();
    let rows: Vec<f32> = kept.iter().flat_map(|&row| data.train.row(row).to_vec()).collect();
    let without: Vec<u32> = kept.iter().map(|&row| labels[row]).collect();
    let mut zero = counts.clone();
    zero[4] = 0;
    changed(&replace("train", feature_tensors(&rows, &without, &zero, DIM)), &["class 4"]);
    let mut wrong_counts = counts.clone();
    wrong_counts[2] += 1;
    changed(&replace("train", feature_tensors(features, labels, &wrong_counts, DIM)), &["class 2", "41", "40"]);
    let mut large = labels.to_vec();
    large[3] = 99;
    changed(
        &replace("train", feature_tensors(features, &large, counts, DIM)),
        &["row 3", "99", "the classes are 0 to 9"],
    );
    changed(
        &replace("meta", feature_tensors(&features[..DIM - 1], &[0], counts, DIM - 1)),
        &["meta.safetensors", "dimension"],
    );
    changed(&|run| std::fs::remove_file(run.features("test")).expect("removable"), &["test.safetensors"]);
    let prototypes = |run: &RunFolder| {
        let values = vec![1.0; 10 * (DIM + 1)];
        let tensors = ["empirical", "meta"].map(|name| f32s(name, vec![10, DIM + 1], &values));
        let all = [&tensors[..], &[u32s("seen", &[1; 10])]].concat();
        write(&run.representation("prototypes"), &all, &json!({}));
    };
    changed(&prototypes, &["prototypes.safetensors", "dimension 7", "has 6"]);
    let head = |run: &RunFolder| {
        let head = HeadWeights::linear(&vec![1.0; 9 * DIM], &[0.0; 9]).expect("sizes fit");
        head.save(&run.representation("head"), &json!({})).expect("writable");
    };
    changed(&head, &["head.safetensors", "classes 9", "has 10"]);
    let order = |run: &RunFolder| {
        let mut other = labels.to_vec();
        other.swap(0, labels.len() - 1);
        write(&run.features("train-view-2"), &feature_tensors(features, &other, counts, DIM), &run.dump_metadata("v"));
    };
    let run = RunFolder::new();
    order(&run);
    refuse(&run, "tailcalib_x", &["--accept-stale"], &["train-view-2.safetensors", "labels"]);
    let truncate = |run: &RunFolder| {
        let bytes = std::fs::read(run.features("val")).expect("readable");
        std::fs::write(run.features("val"), &bytes[..bytes.len() - 5]).expect("writable");
    };
    changed(&truncate, &["val.safetensors", "damaged"]);
}

/// Loads a run folder whose file `which` has one change; whatever happens, no panic.
fn load_damaged(run: &RunFolder, which: usize, change: impl FnOnce(&mut Vec<u8>)) {
    let path = match which {
        0 => run.features("train"),
        1 => run.features("val"),
        2 => run.features("train-view-1"),
        3 => run.representation("head"),
        _ => run.representation("prototypes"),
    };
    let whole = std::fs::read(&path).expect("readable");
    let mut bytes = whole.clone();
    change(&mut bytes);
    std::fs::write(&path, &bytes).expect("writable");
    if let Err(error) = Inputs::load(&run.layout, "ce", 2) {
        assert!(!error.to_string().is_empty());
    }
    std::fs::write(&path, whole).expect("writable");
}

#[test]
fn flipped_bits_and_cut_files_never_panic() {
    let run = RunFolder::new();
    assert!(Inputs::load(&run.layout, "ce", 2).is_ok());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let cases = (0usize..5, any::<prop::sample::Index>(), 0u32..8, any::<bool>());
    let outcome = runner.run(&cases, |(which, at, bit, cut)| {
        load_damaged(&run, which, |bytes| {
            // half of the changes hit the header, where sizes and offsets stand
            let at = if bit % 2 == 0 { at.index(bytes.len().min(400)) } else { at.index(bytes.len()) };
            if cut {
                bytes.truncate(at);
            } else {
                bytes[at] ^= 1 << bit;
            }
        });
        Ok(())
    });
    outcome.expect("no panic");
}

#[test]
fn the_first_interrupt_saves_and_exits_with_130() {
    let straight = RunFolder::new();
    let more = ["--set", "classifiers.mpfa.mpfa.training.epochs=600"];
    succeed(&straight, "mpfa", &more);
    let run = RunFolder::new();
    let mut child = command(&run, "mpfa", &more)
        .env("LONGTAIL_CONTROL", "stdin")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    std::thread::sleep(Duration::from_millis(60));
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(b"interrupt\n").expect("it listens");
    let output = child.wait_with_output().expect("a child");
    drop(stdin);
    assert_eq!(output.status.code(), Some(130), "{}", words(&output));
    assert!(
        run.classifier("mpfa").join("checkpoints").exists() && !run.classifier("mpfa").join("manifest.json").exists()
    );
    assert!(succeed(&run, "mpfa", &more).contains("continuing from epoch"));
    assert_eq!(hashes(&run.classifier("mpfa")), hashes(&straight.classifier("mpfa")));
    assert_eq!(metrics(&run.classifier("mpfa")), metrics(&straight.classifier("mpfa")));
}

fn generate(run: &RunFolder, method: &str, out: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_classifier"));
    command.args(["generate", "--variant", "ce", "--method", method, "--out"]).arg(out).args(more);
    command.arg("--recipe").arg(&run.recipe).arg("--run").arg(run.layout.run());
    command.output().expect("the binary starts")
}

#[test]
fn generated_rows_are_written_beside_the_real_ones() {
    let run = RunFolder::new();
    let file = run.layout.run().join("generated.safetensors");
    for method in ["mpfa", "tailcalib", "tailcalib_x"] {
        let output = generate(&run, method, &file, &["--per-class", "7", "--force"]);
        assert_eq!(output.status.code(), Some(0), "{method}: {}", words(&output));
        let read = TensorFile::open(&file).expect("readable");
        let labels = read.expect_u32("generated_labels", &[None]).expect("labels");
        let rows = read.expect_f32("generated", &[Some(labels.len()), Some(DIM)]).expect("rows");
        let real_labels = read.expect_u32("real_labels", &[None]).expect("labels");
        read.expect_f32("real", &[Some(real_labels.len()), Some(DIM)]).expect("rows");
        assert!(rows.chunks(DIM).all(|row| (row.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-4), "{method}");
        let largest = *COUNTS.iter().max().expect("classes");
        for (class, &count) in COUNTS.iter().enumerate() {
            let of = |labels: &[u32]| labels.iter().filter(|&&label| label as usize == class).count();
            let missing = largest - count;
            assert_eq!(of(&labels), missing.min(7), "{method}: class {class}");
            assert_eq!(of(&real_labels), if missing == 0 { 0 } else { count }, "{method}: class {class}");
        }
        assert_eq!(read.metadata()["kind"], "generated");
        assert!(read.metadata()["tukey"].is_number());
    }
    let before = hash_file(&file).expect("written");
    let again = generate(&run, "tailcalib_x", &file, &["--per-class", "7", "--force", "--threads", "1"]);
    assert_eq!((again.status.code(), hash_file(&file).expect("written")), (Some(0), before), "one thread, same bits");

    let fresh = run.layout.run().join("other.safetensors");
    for (method, out, more, expected) in [
        ("mpfa", &file, vec![], vec!["exists already", "--force"]),
        ("crt", &fresh, vec![], vec!["generates no rows", "mpfa, tailcalib or tailcalib_x"]),
        ("mpfa", &fresh, vec!["--classes", "99"], vec!["there is no class 99", "10 classes"]),
        ("mpfa", &fresh, vec!["--classes", "0"], vec!["no row is generated for class 0"]),
        ("mpfa", &fresh, vec!["--per-class", "0"], vec!["nothing to write"]),
    ] {
        let output = generate(&run, method, out, &more);
        let said = words(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("hint: ") && expected.iter().all(|part| said.contains(part)), "{said}");
        assert!(!fresh.exists());
    }

    // Rows come from stage 1's prototypes too: a changed file of it is refused, as the stage does.
    let prototypes = run.layout.representation("ce").join("prototypes.safetensors");
    let mut bytes = std::fs::read(&prototypes).expect("readable");
    *bytes.last_mut().expect("not empty") ^= 1;
    std::fs::write(&prototypes, bytes).expect("writable");
    let output = generate(&run, "mpfa", &fresh, &[]);
    let said = words(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("prototypes.safetensors") && !fresh.exists(), "{said}");
}
