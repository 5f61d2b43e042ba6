//! What a person reads when a recipe is wrong: snapshots of every kind of error.
#![allow(clippy::unwrap_used)] // a test may stop where it stands

mod common;

use common::{GOOD, with, words};
use longtail_recipe::{read, read_str};

fn error(from: &str, to: &str) -> String {
    words(with(from, to))
}

fn set(path: &str, value: &str) -> String {
    words(common::set(path, value))
}

macro_rules! errors {
    ($($name:ident: $($from:expr => $to:expr),+;)+) => {
        #[test]
        fn in_the_file() {
            let mut all = String::new();
            $($(all.push_str(&format!("--- {}: {:?} -> {:?}\n{}\n\n", stringify!($name), $from, $to, error($from, $to)));)+)+
            insta::assert_snapshot!("in_the_file", all);
        }
    };
}

errors! {
    syntax: "data:\n" => "data: [\n", "  dataset" => "\tdataset", "recipe: small" => "--- a\n--- b\nrecipe: small";
    unknown_key: "lambda:" => "lamda:", "recipe: small" => "recipes: small", "lr: 1.0e-4" => "learning_rate: 1";
    unknown_choice: "cifar100" => "cifar10", "{ce: {}}" => "{cee: {}}";
    renamed: "    method: {ce: {}}" => "    method: {ce: {}}\n    backbone: {resnet: 32}",
        "    method: {ce: {}}" => "    method: {ce: {}}\n    backbone: {resnet_two_headed: 32}";
    wrong_type: "epochs: 20" => "epochs: twenty", "epochs: 20" => "epochs: 2.5", "epochs: 20" => "epochs: -2",
        "lr: 0.1" => "lr: fast", "{ce: {}}" => "ce", "{ce: {}}" => "{ce: {}, mpcl: {}}", "[10, 15]" => "10",
        "[20, 60]" => "[20]", "meta_network: {lr: 1.0e-4}" => "meta_network: 3";
    twice: "  tau_norm:\n" => "  tau_norm:\n  crt:\n", "  lr: 0.1" => "  epochs: 3";
    missing: "  dataset: cifar100\n" => "", "    method: {ce: {}}" => "    lr: 1", "  tau_norm:\n" => "  mine:\n",
        "classifier: joint, " => "";
    range: "epochs: 20" => "epochs: 0", "imbalance_factor: 100" => "imbalance_factor: 0.5",
        "imbalance_factor: 100" => "imbalance_factor: 900", "lr: 0.1" => "lr: .nan", "lambda: 0.5" => "lambda: -1",
        "fixed: 0.4" => "fixed: 1.4", "all: 38.3" => "all: 138.3", "[20, 60]" => "[60, 20]", "[10, 15]" => "[10, 20]",
        "    method: {ce: {}}" => "    method: {ce: {}}\n    backbone: {cifar_resnet: 33}", "epochs: 4" => "epochs: 0",
        "recipe: small" => "recipe: ../small", "lr: 1.0e-4" => "max_angle_deg: 181";
    together: "lambda: 0.5" => "ema: {debias: true}", "lambda: 0.5" => "t_th_frac: 1", "lambda: 0.5" => "lambda_ramp_epochs: 17",
        "  imbalance_factor: 100" => "  meta_source: none",
        "dataset: cifar100" => "dataset: fashion_mnist\n  normalize: {mean: [0.1, 0.2, 0.3]}",
        "    method: {ce: {}}" => "    method: {ce: {}}\n    nesterov: true\n    momentum: 0";
    names: "classifier: joint" => "classifier: joi", "representation: mpcl" => "representation: mcpl",
        "representation: mpcl, classifier: mpfa" => "representation: ce, classifier: joint";
}

#[test]
fn from_set() {
    let cases = [
        ("representations.ce.epochs", "0"),
        ("representations.ce.epochs", "x"),
        ("representations.ce.epochs", "[1"),
        ("representations.cee.epochs", "3"),
        ("representations.ce.epoch", "3"),
        ("representations.ce.method.mpcl.tau", "1"),
        ("classifiers.crt.training.lr", "1"),
        ("rows.2.note", "x"),
        ("rows.one.note", "x"),
        ("data.dataset.x", "1"),
        ("data..dataset", "1"),
        ("sed", "3"),
        ("representation_defaults.lr", "0"),
        ("classifiers.mpfa.mpfa.alpha", "{search: {low: 0.9}}"),
    ];
    let all: Vec<String> = cases.iter().map(|(path, value)| set(path, value)).collect();
    insta::assert_snapshot!("from_set", all.join("\n\n"));
}

#[test]
fn settings_that_need_what_the_data_lack() {
    let none = GOOD
        .replace("  imbalance_factor: 100", "  meta_source: none")
        .replace("{lambda: 0.5,", "{prototypes: empirical,");
    let tau = read_str(&none, "small.yaml", &[]).expect_err("τ has nothing to be chosen on").to_string();
    let one = [("classifiers.tau_norm".to_string(), "{tau_norm: {taus: [1.0]}}".to_string())];
    let alpha = none.replace("{fixed: 0.4}", "{adaptive: 0.2}");
    let alpha = read_str(&alpha, "small.yaml", &one).expect_err("α has nothing to adapt to").to_string();
    read_str(&none, "small.yaml", &one).expect("one τ needs no choice");
    let cosine = GOOD.replace("    method: {ce: {}}", "    method: {ce: {}}\n    head: {cosine: 16}");
    let cosine = cosine.replace("classifier: joint", "classifier: tau_norm");
    let cosine = read_str(&cosine, "small.yaml", &[]).expect_err("a cosine head has no norms").to_string();
    let grey = GOOD.replace("cifar100", "fashion_mnist").replace("  lr: 0.1", "  augmentation: autoaugment_cutout");
    let grey = read_str(&grey, "small.yaml", &[]).expect_err("one channel").to_string();
    insta::assert_snapshot!("together", [tau, alpha, cosine, grey].join("\n\n"));
}

#[test]
fn networks_and_augmentations_that_do_not_fit_the_images() {
    let with = |dataset: &str, line: &str| {
        let data = format!("  dataset: {dataset}\n");
        let text = GOOD
            .replace("  dataset: cifar100\n  imbalance_factor: 100\n", &data)
            .replace("    method: {ce: {}}", &format!("    method: {{ce: {{}}}}\n    {line}"));
        read_str(&text, "small.yaml", &[])
    };
    let refused = [
        ("imagenet_lt", "backbone: {cifar_resnet: 32}"),
        ("imagenet_lt", "augmentation: basic"),
        ("inaturalist2018", "augmentation: autoaugment_cutout"),
        ("cifar100", "augmentation: random_resized_crop"),
        ("fashion_mnist", "backbone: resnet50"),
        ("cifar100", "micro_batch: 1"),
        ("cifar100", "micro_batch: 70000"),
        ("cifar100", "activation_checkpointing: 3"),
    ];
    let all: Vec<String> =
        refused.iter().map(|(dataset, line)| with(dataset, line).expect_err(line).to_string()).collect();
    insta::assert_snapshot!("photo_networks", all.join("\n\n"));
    for (dataset, line) in [
        ("imagenet_lt", "backbone: resnet152"),
        ("cifar100", "backbone: resnext50_32x4d"),
        ("image_folder", "augmentation: none"),
        ("image_folder", "augmentation: random_resized_crop"),
        ("fashion_mnist", "micro_batch: 2"),
    ] {
        with(dataset, line).unwrap_or_else(|error| panic!("{dataset}, {line}: {error}"));
    }
}

#[test]
fn files_that_are_not_there_or_not_text() {
    let folder = std::env::temp_dir().join(format!("longtail-recipe-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    std::fs::write(folder.join("cifar.yaml"), "a: 1").expect("writable");
    let missing = read(&folder.join("cifer.yaml"), &[]).expect_err("there is none").to_string();
    std::fs::write(folder.join("latin1.yaml"), b"recipe: x\ndescription: caf\xe9\n").expect("writable");
    let latin1 = read(&folder.join("latin1.yaml"), &[]).expect_err("not UTF-8").to_string();
    std::fs::write(folder.join("huge.yaml"), vec![b'#'; (1 << 20) + 1]).expect("writable");
    let huge = read(&folder.join("huge.yaml"), &[]).expect_err("too large").to_string();
    let folder_name = folder.display().to_string();
    std::fs::remove_dir_all(&folder).expect("removable");
    let all = [missing, latin1, huge].join("\n").replace(&folder_name, "FOLDER");
    insta::assert_snapshot!("files", all);
}
