//! Fields without a value, numbers written another way, encodings, and suggestions that hold what they promise.

mod common;

use common::{GOOD, set, with, words};
use longtail_recipe::{read, read_str};

#[test]
fn a_field_without_a_value_is_a_mistake() {
    for (from, to, place) in [
        ("epochs: 20", "epochs:", "small.yaml:6:"),
        ("lr: 0.1", "lr: ~", "small.yaml:7:7"),
        ("lr: 0.1", "lr: null", "small.yaml:7:7"),
        ("  epochs: 4", "  schedule:", "small.yaml:15:"),
        ("note: ours", "note: ", "small.yaml:"),
        ("rows:\n", "features:\nrows:\n", "small.yaml:"),
        ("{lambda: 0.5,", "{lambda: ,", "small.yaml:"),
    ] {
        let said = words(with(from, to));
        assert!(said.starts_with(place) && said.contains("has no value") && said.contains("help:"), "{to}: {said}");
    }
    // A method's bare name stands for its defaults, and what is empty on purpose stays.
    read_str(GOOD, "small.yaml", &[]).expect("`joint:` alone");
    with("rows:\n", "features: {}\nrows:\n").expect("an empty map");
}

#[test]
fn a_set_without_a_value_is_a_mistake() {
    for (path, value) in [("representation_defaults.lr", ""), ("representation_defaults.epochs", " "), ("rows", "")] {
        let said = words(set(path, value));
        assert!(said.contains("there is nothing after the `=`"), "{said}");
    }
    for (path, value) in [("representation_defaults.lr", "~"), ("seed", "null"), ("classifiers.crt", "null")] {
        assert!(words(set(path, value)).contains("this is not a value"), "{path}={value}");
    }
    let said = words(set("representations.mpcl.method", "{mpcl: {lambda: }}"));
    assert!(said.contains("`representations.mpcl.method.mpcl.lambda` has no value"), "{said}");
}

#[test]
fn numbers_are_told_as_they_are_written() {
    for (from, to, wanted) in [
        (
            "epochs: 20",
            "epochs: 99999999999999999999999999",
            "epochs` is 99999999999999999999999999, but must be from 1 to 100000",
        ),
        ("epochs: 20", "epochs: \"20\"", "write it as 20, with digits only and without quotes"),
        ("epochs: 20", "epochs: 1e2", "write it as 100, with digits only and without quotes"),
        ("epochs: 20", "epochs: 1_000", "write it as 1000, with digits only and without quotes"),
        ("lr: 0.1", "lr: \"0.05\"", "write it as 0.05, without quotes"),
        ("lr: 0.1", "lr: 0,05", "write it as 0.05, without quotes"),
        ("lr: 0.1", "lr: inf", "it must be a finite number"),
        ("lr: 0.1", "lr: .inf", "is inf, but must be in (0, 100]"),
        ("lr: 0.1", "lr: .nan", "is NaN, but must be in (0, 100]"),
        ("lr: 0.1", "nesterov: yes", "write it as true, without quotes"),
    ] {
        let said = words(with(from, to));
        assert!(said.contains(wanted) && !said.contains("u128"), "{to}: {said}");
    }
    assert!(words(set("representation_defaults.lr", "'0.05'")).contains("write it as 0.05, without quotes"));
    for lr in ["1e-3", ".5", "5.", "+0.1", "1E-3"] {
        with("lr: 0.1", &format!("lr: {lr}")).unwrap_or_else(|error| panic!("{lr} is a number: {error}"));
    }
}

#[test]
fn a_mark_and_other_line_ends_change_nothing_and_other_encodings_are_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("small.yaml");
    let plain = read_str(GOOD, "small.yaml", &[]).expect("sound");
    let crlf = GOOD.replace('\n', "\r\n");
    for bytes in
        [format!("\u{feff}{GOOD}").into_bytes(), crlf.clone().into_bytes(), format!("\u{feff}{crlf}").into_bytes()]
    {
        std::fs::write(&path, bytes).expect("writable");
        assert_eq!(read(&path, &[]).expect("the same recipe"), plain);
    }
    std::fs::write(&path, crlf.replace("lr: 0.1", "lr: fast")).expect("writable");
    assert!(words(read(&path, &[])).contains("small.yaml:7:7"));
    let utf16: Vec<u8> = format!("\u{feff}{GOOD}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (bytes, wanted) in [(utf16, "is UTF-16 text"), ([GOOD.as_bytes(), b"\0\0\0"].concat(), "a zero byte here")] {
        std::fs::write(&path, bytes).expect("writable");
        let said = words(read(&path, &[]));
        assert!(said.contains(wanted) && said.contains("help:"), "{said}");
    }
    let said = words(with("  dataset", "\tdataset"));
    assert!(said.contains("indent with spaces"), "{said}");
}

/// What stands behind `did you mean`.
fn suggestion(said: &str) -> Option<String> {
    let rest = said.split_once("did you mean `")?.1;
    Some(rest[..rest.rfind("`?")?].to_string())
}

#[test]
fn what_is_suggested_would_be_taken() {
    let base = GOOD.replace("  lr: 0.1\n", "  lr: 0.1\n  backbone: {cifar_resnet: 20}\n");
    let set = |path: &str, value: &str| read_str(&base, "small.yaml", &[(path.to_string(), value.to_string())]);
    for (path, value, wanted) in [
        ("representation_defaults.backbone.resnet", "32", Some("representation_defaults.backbone.cifar_resnet")),
        (
            "representation_defaults.backbone.cifar_resnet_two_headed",
            "32",
            Some("--set representation_defaults.backbone='{cifar_resnet_two_headed: 32}'"),
        ),
        ("representations.ce.epoch", "3", Some("representations.ce.epochs")),
        ("representations.cee.epochs", "3", Some("representations.ce.epochs")),
        ("classifiers.crt.training.lr", "1", Some("classifiers.crt.crt.training.lr")),
        ("classifiers.crt.trainning.lr", "1", None),
        ("representations.ce.method.mpcl.tau", "1", Some("--set representations.ce.method='{mpcl: {tau: 1}}'")),
        ("representations.mpcl.schedule.cosine", "1", Some("--set representations.mpcl.schedule=cosine")),
        ("classifiers.mpfa.mpfa.alpha.adaptive", "0.2", Some("--set classifiers.mpfa.mpfa.alpha='{adaptive: 0.2}'")),
        ("sed", "3", Some("seed")),
        ("data.meta_source", "metasaugg", Some("metasaug")),
    ] {
        let said = words(set(path, value));
        let found = suggestion(&said);
        assert_eq!(found.as_deref(), wanted, "{path}={value}: {said}");
        // Taken at its word.
        let Some(found) = found else { continue };
        let pair = match found.strip_prefix("--set ").and_then(|rest| rest.split_once('=')) {
            Some((path, value)) => (path.to_string(), value.trim_matches('\'').to_string()),
            None if path.ends_with("meta_source") => (path.to_string(), found),
            None => (found, value.to_string()),
        };
        if let Err(error) = read_str(&base, "small.yaml", std::slice::from_ref(&pair)) {
            panic!("`{pair:?}` was suggested and is refused: {error}");
        }
    }
}

#[test]
fn suggestions_in_a_file_would_be_taken_too() {
    for (from, to, wanted) in [
        ("{ce: {}}", "cee", Some("{ce: {}}")),
        ("{ce: {}}", "{cee: {}}", Some("ce")),
        ("    method: {ce: {}}", "    method: {ce: {}}\n    backbone: cifar_resnett", Some("{cifar_resnet: 32}")),
        ("    method: {ce: {}}", "    method: {ce: {}}\n    backbone: {resnet: 32}", Some("cifar_resnet")),
        ("  epochs: 20", "  epochs: 20\n  epoch: 3", None),
        ("lambda: 0.5,", "lamda: 0.5,", Some("lambda")),
    ] {
        let said = words(with(from, to));
        assert_eq!(suggestion(&said).as_deref(), wanted, "{to}: {said}");
    }
    // What does not fit the images is not offered.
    let grey = GOOD.replace("cifar100", "fashion_mnist").replace("  lr: 0.1", "  augmentation: random_resized_crop");
    let said = words(read_str(&grey, "small.yaml", &[]));
    assert!(said.contains("use `basic` or `none`"), "{said}");
}

#[test]
fn cifar_networks_and_augmentations_take_folders_of_small_images() {
    let folder = |side: usize, more: &str| {
        let text = format!(
            "data: {{dataset: image_folder, image_side: {side}, resize_short: {side}}}\n\
             representations: {{ce: {{method: {{ce: {{}}}}, {more}}}}}\nclassifiers: {{joint: }}\n"
        );
        read_str(&text, "folder.yaml", &[])
    };
    for more in [
        "backbone: {cifar_resnet: 32}",
        "backbone: {cifar_resnet_two_headed: 32}, augmentation: basic",
        "backbone: {cifar_resnet: 32}, augmentation: autoaugment_cutout",
        "backbone: resnet50, augmentation: basic",
    ] {
        for side in [32, 64] {
            folder(side, more).unwrap_or_else(|error| panic!("{side}: {more}: {error}"));
        }
        if more.contains("cifar") || more.contains("basic") {
            let said = words(folder(65, more));
            assert!(said.contains("`data.image_side` to 64 or less"), "{said}");
        }
    }
}

#[test]
fn texts_that_are_shown_hold_no_control_characters() {
    let said = words(with("note: ours", "note: \"a\\u001B[31m\""));
    assert!(said.contains("`rows.1.note`") && said.contains("U+001B"), "{said}");
    let said = words(with("recipe: small", "recipe: small\ndescription: \"a\\u0007\""));
    assert!(said.contains("`description`"), "{said}");
    with("note: ours", "note: \"two\\nlines\"").expect("lines are text");
    assert!(words(with("  ce:\n", "  \"x\\n\\n## y\":\n")).contains("it names a folder"));
}
