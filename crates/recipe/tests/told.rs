//! What errors offer, and where they point: examples of the field at hand, suggestions that fit the images, names with dots, and
//! values of `--set` that YAML would not take whole.

mod common;

use common::{GOOD, set, with, words};
use longtail_recipe::{read_str, set_representation};

/// `--set PATH=VALUE` of a hint, taken apart as a shell and xtask do.
fn change(hint: &str) -> (String, String) {
    let words = shlex::split(hint).expect("words of a command");
    let [flag, change] = words.as_slice() else { panic!("two words: {hint}") };
    let (path, value) = change.split_once('=').expect("path and value");
    assert_eq!(flag, "--set");
    (path.to_string(), value.to_string())
}

#[test]
fn a_choice_is_told_in_its_own_words() {
    for (field, value, told) in [
        ("head", "3", "must be `linear`, `{cosine: 16}` or `normed_linear`, found `3`"),
        ("head", "{cosine: 16, linear: 1}", "must be `linear`, `{cosine: 16}` or `normed_linear`, found"),
        ("schedule", "3", "must be `cosine`, `{step: {milestones: [120, 160]}}` or `constant`, found `3`"),
        ("backbone", "cifar_resnet", "or `{cifar_resnet_two_headed: 32}`, found a word alone"),
        ("method", "ce", "must be `{ce: {}}` or `{mpcl: {}}`, found a word alone"),
        ("loss", "[ce]", "must be `ce`, `balanced_softmax`, `class_balanced` or `{ldam: {}}`, found a list"),
        ("sampler", "{square_root: 1}", "`square_root` or `progressively_balanced`, found a map"),
    ] {
        let changed = words(set(&format!("representations.ce.{field}"), value));
        assert!(changed.contains(told), "--set {field}={value}: {changed}");
        let (from, to) = match field {
            "method" => ("    method: {ce: {}}".to_string(), format!("    method: {value}")),
            _ => ("    method: {ce: {}}".to_string(), format!("    method: {{ce: {{}}}}\n    {field}: {value}")),
        };
        let written = words(with(&from, &to));
        assert!(written.contains(told) && written.starts_with("small.yaml:1"), "{field}: {value}: {written}");
    }
    let said = words(set("classifiers.mpfa.mpfa.alpha", "0.4"));
    assert!(said.contains("`{fixed: 0.4}`, `{adaptive: 0.2}`") && !said.contains("ce"), "{said}");
    let said =
        words(with("    method: {mpcl: {lambda: 0.5,", "    method: {mpcl: {ema: {momentum: 0.9}, lambda: 0.5,"));
    assert!(said.contains("must be `{fixed: 0.4}` or `{per_class: 2.0}`, found `0.9`"), "{said}");
    let said = words(set("data.dataset", "3"));
    assert!(said.contains("`fashion_mnist`") && said.contains("`image_folder`, found `3`"), "{said}");
}

#[test]
fn only_what_the_images_take_is_suggested() {
    let base = |dataset: &str| {
        GOOD.replace("  dataset: cifar100\n  imbalance_factor: 100\n", &format!("  dataset: {dataset}\n"))
    };
    let suggestion = |said: &str| Some(said.split_once("did you mean `")?.1.split_once("`?")?.0.to_string());
    for (dataset, word, wanted) in [
        ("fashion_mnist", "resnet32", Some("{cifar_resnet: 32}")),
        ("cifar100", "resnet20", Some("{cifar_resnet: 20}")),
        ("cifar100", "resnet15", Some("resnet152")),
        // 28 pixels: no network for ImageNet.
        ("fashion_mnist", "resnet51", None),
        // 224 pixels: no network for CIFAR.
        ("imagenet_lt", "resnet_50", Some("resnet50")),
        ("imagenet_lt", "cifar_resnett", None),
    ] {
        let text = base(dataset);
        let overrides = [("representations.ce.backbone".to_string(), word.to_string())];
        let said = words(read_str(&text, "small.yaml", &overrides));
        assert_eq!(suggestion(&said).as_deref(), wanted, "--set, {dataset}, {word}: {said}");
        let text = text.replace("    method: {ce: {}}", &format!("    method: {{ce: {{}}}}\n    backbone: {word}"));
        let said = words(read_str(&text, "small.yaml", &[]));
        assert_eq!(suggestion(&said).as_deref(), wanted, "{dataset}, {word}: {said}");
        if let Some(wanted) = wanted {
            let text = text.replace(&format!("backbone: {word}"), &format!("backbone: {wanted}"));
            read_str(&text, "small.yaml", &[]).unwrap_or_else(|error| panic!("suggested and refused: {error}"));
        }
    }
    // The same of fields whose words do not all fit.
    let text = base("fashion_mnist");
    let overrides = [("representations.ce.augmentation".to_string(), "random_resized_cropp".to_string())];
    let said = words(read_str(&text, "small.yaml", &overrides));
    assert_eq!(suggestion(&said), None, "{said}");
}

#[test]
fn a_value_of_set_is_taken_whole_or_refused() {
    for (value, dropped) in [
        ("see issue #5", "`#5`, which it reads as a comment"),
        ("#5", "`#5`, which it reads as a comment"),
        ("!new run", "`!new`, which it reads as a tag"),
        ("&fast run", "`&fast`, which it reads as the name of an anchor"),
        ("it's # 1", "`# 1`, which it reads as a comment"),
    ] {
        let said = words(set("description", value));
        assert!(said.contains(&format!("YAML ignores {dropped}")), "{said}");
        let hint = said.split_once("did you mean `").and_then(|(_, rest)| rest.split_once("`?")).expect("a hint").0;
        let (path, quoted) = change(hint);
        assert_eq!(set(&path, &quoted).expect("followed").description, value, "{hint}");
    }
    let said = words(set("representations.ce.epochs", "3 # quick"));
    assert!(said.contains("YAML ignores `# quick`") && !said.contains("did you mean"), "{said}");
    assert_eq!(set("description", "see issue#5").expect("no comment").description, "see issue#5");
    assert_eq!(set("description", "'see #5'").expect("quoted").description, "see #5");
}

#[test]
fn every_refusal_says_where() {
    let said = words(with("recipe: small", "recipe: small\ndescription: 5"));
    assert!(said.starts_with("small.yaml:2:14: `description` must be text, found `5`"), "{said}");
    assert!(said.contains("put it in quotes: \"5\""), "{said}");
    let said = words(with("recipe: small", "recipe: 1"));
    assert!(said.starts_with("small.yaml:1:9: `recipe` must be text, found `1`"), "{said}");
    let said = words(with("note: ours", "note: 2"));
    assert!(said.contains("`rows.1.note` must be text, found `2`") && said.starts_with("small.yaml:"), "{said}");
    let said = words(set("seed", "18446744073709551616"));
    assert!(
        said.starts_with(
            "--set seed=18446744073709551616: it must be a number, 18446744073709551615 or less, found `18"
        ),
        "{said}"
    );
    let said = words(set("data", "{dataset: cifar100, subset_seed: -9999999999999999999999}"));
    assert!(said.contains("must be a whole number from 0 to 4294967295, found `-9999999999999999999999`"), "{said}");
    assert!(!said.contains("i128") && !said.contains("9223372036854775808"), "{said}");
    let said = words(with("lr: 0.1", "lr: 1e300"));
    assert!(said.contains("is 1e300, but must be in (0, 100]"), "{said}");
}

#[test]
fn a_name_that_is_no_folder_is_pointed_at() {
    for (from, to, place) in [
        ("  joint:\n", "  joint:\n  \"..\": {joint: {}}\n", "small.yaml:18:3: `classifiers.\"..\"` is `..`"),
        ("  joint:\n", "  joint:\n  a/b:\n    joint: {}\n", "small.yaml:18:3: `classifiers.\"a/b\"` is `a/b`"),
        ("  ce:\n", "  Ce:\n    method: {ce: {}}\n  ce:\n", "small.yaml:9:3: `representations.\"Ce\"` is `Ce`"),
    ] {
        let said = words(with(from, to));
        assert!(said.starts_with(place), "{said}");
    }
}

#[test]
fn a_name_with_dots_is_found_by_set_and_by_errors() {
    let text = GOOD.replace("  ce:\n", "  ce.v1.5:\n").replace("representation: ce,", "representation: ce.v1.5,");
    let hint = set_representation("ce.v1.5", "epochs", 7);
    let recipe = read_str(&text, "small.yaml", &[change(&hint)]).expect("followed");
    assert_eq!(recipe.representation("ce.v1.5").expect("there").epochs, 7);
    let low = text.replace("    method: {ce: {}}", "    method: {ce: {}}\n    epochs: 0");
    let said = words(read_str(&low, "small.yaml", &[]));
    assert!(said.starts_with("small.yaml:11:13: `representations.ce.v1.5.epochs` is 0"), "{said}");
}

#[test]
fn a_change_of_an_entry_counts_wherever_its_value_comes_from() {
    let own = GOOD.replace("    method: {ce: {}}", "    method: {ce: {}}\n    epochs: 9");
    let resolved = read_str(GOOD, "small.yaml", &[]).expect("sound").to_yaml();
    for text in [GOOD, &own, &resolved] {
        let recipe = read_str(text, "small.yaml", &[change(&set_representation("ce", "epochs", 7))]).expect("followed");
        assert_eq!(recipe.representation("ce").expect("there").epochs, 7);
        assert_eq!(recipe.representation("mpcl").expect("there").epochs, 20, "another entry stays");
    }
}
