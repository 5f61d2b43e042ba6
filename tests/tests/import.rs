//! A network that others trained: its weights through `features import`, dumps, means and classifiers, on a made-up tree.

use std::path::Path;
use std::process::Command;

use longtail_artifact::TensorFile;
use longtail_tests::{Outcome, Stage, TinyRun, binary, finish, root, stage_command, xtask};

/// A ResNet-50, since the weights are stage 1's own: our backbone's tensors have torchvision's names.
const NETWORK: [(&str, &str); 1] = [("representation_defaults.backbone", "resnet50")];

fn features(arguments: &[&str], paths: &[&Path]) -> Outcome {
    let mut command = Command::new(binary("features"));
    command.args(arguments).args(paths);
    finish(&mut command)
}

fn start(run: &TinyRun, stage: &Stage, more: &[&str]) -> Outcome {
    finish(stage_command(run, stage, 2).args(more))
}

#[test]
fn imported_weights_give_the_features_of_the_network_that_they_are_of() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let tree = folder.path().join("tree");
    let sizes =
        ["--classes", "6", "--train-images", "60", "--val-per-class", "4", "--test-per-class", "3", "--side", "40"];
    let made = finish(xtask().args(["data", "synthesize", "imagenet-lt", "--out"]).arg(&tree).args(sizes));
    assert_eq!(made.code, Some(0), "{}", made.words);
    let run = || TinyRun::of(&root().join("tests/recipes/tiny-photos.yaml"), Some(&tree), &NETWORK);

    let trained = run();
    for name in ["representation", "features"] {
        let done = start(&trained, &Stage::one(name, "ce", None), &[]);
        assert_eq!(done.code, Some(0), "{}", done.words);
    }
    let weights = trained.layout().representation("ce").join("backbone.safetensors");

    // A finished stage 1 is no place for another network.
    let call = ["import", "--architecture", "resnet50", "--image-side", "32"];
    let out = trained.layout().representation("mpcl").join("backbone.safetensors");
    let beside = trained.layout().representation("ce").join("other.safetensors");
    let refused = features(&call, &[&weights, Path::new("--out"), &beside]);
    assert!(refused.code == Some(2) && refused.words.contains("finished stage"), "{}", refused.words);
    assert!(!beside.exists() && !out.exists());

    let imported = run();
    let stage1 = imported.layout().representation("ce");
    let done = features(&call, &[&weights, Path::new("--out"), &stage1.join("backbone.safetensors")]);
    assert_eq!(done.code, Some(0), "{}", done.words);
    let stage = Stage::one("features", "ce", None);
    let refused = start(&imported, &stage, &[]);
    assert!(refused.code == Some(2) && refused.words.contains("--accept-stale"), "{}", refused.words);
    // Without the split, which stage 1 draws: it is drawn now, as it would have been.
    let other = ["--accept-stale", "--set", "data.normalize={mean: [0.5, 0.5, 0.5], std: [0.2, 0.2, 0.2]}"];
    let refused = start(&imported, &stage, &other);
    assert!(
        refused.code == Some(2) && refused.words.contains("images normalised by [0.485, 0.456, 0.406]"),
        "{}",
        refused.words
    );
    let done = start(&imported, &stage, &["--accept-stale"]);
    assert_eq!(done.code, Some(0), "{}", done.words);
    for name in ["train", "meta", "val", "test", "train-view-1"] {
        let dump = |run: &TinyRun| {
            let path = run.layout().features("ce").join(format!("{name}.safetensors"));
            TensorFile::open(&path).and_then(|file| file.tensors()).expect("a dump")
        };
        assert!(dump(&trained) == dump(&imported), "{name} differs");
    }

    let train = imported.layout().features("ce").join("train.safetensors");
    let files = [stage1.join("prototypes.safetensors"), stage1.join("head.safetensors")];
    let done = features(&["means"], &[&train, Path::new("--prototypes"), &files[0], Path::new("--head"), &files[1]]);
    assert_eq!(done.code, Some(0), "{}", done.words);
    for method in ["joint", "crt", "mpfa"] {
        let done = start(&imported, &Stage::one("classifier", "ce", Some(method)), &["--accept-stale"]);
        assert!(done.code == Some(0) && done.words.contains("percent"), "{}", done.words);
    }
}
