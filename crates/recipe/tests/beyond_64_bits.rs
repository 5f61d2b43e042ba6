//! A whole number that is too large for any type is refused in the words of its field.

mod common;

use common::{set, with, words};

#[test]
fn the_range_that_is_told_is_the_fields_own() {
    const LARGE: &str = "99999999999999999999";
    for (from, to, expected) in [
        ("epochs: 20", format!("epochs: {LARGE}"), format!("epochs` is {LARGE}, but must be from 1 to 100000")),
        ("epochs: 20", format!("epochs: -{LARGE}"), format!("must be a whole number, 0 or more, found `-{LARGE}`")),
        ("lr: 0.1", format!("lr: {LARGE}"), format!("lr` is {LARGE}, but must be in (0, 100]")),
        ("lr: 0.1", format!("lr: -{LARGE}"), format!("lr` is -{LARGE}, but must be in (0, 100]")),
        (
            "recipe: small",
            format!("recipe: small\nseed: {LARGE}"),
            format!("must be a number, 18446744073709551615 or less, found `{LARGE}`"),
        ),
    ] {
        let said = words(with(from, &to));
        assert!(said.contains(&expected), "{to}: {said}");
        let line = to.lines().last().unwrap_or_default();
        assert!(said.starts_with("small.yaml:") && said.contains(&format!("{line}\n")), "{to}: {said}");
        assert!(!said.contains("9223372036854775808"), "{to}: {said}");
    }
    for (path, value, expected) in [
        ("representations.mpcl.epochs", LARGE, format!("is {LARGE}, but must be from 1 to 100000")),
        ("representations.mpcl.batch_size", LARGE, format!("is {LARGE}, but must be from 2 to 65536")),
        ("data.subset_seed", LARGE, format!("must be a whole number from 0 to 4294967295, found `{LARGE}`")),
        ("data.shot_groups", "{many_above: 99999999999999999999}", format!("found `{LARGE}`")),
    ] {
        let said = words(set(path, value));
        let from = format!("--set {path}={value}: ");
        assert!(said.contains(&expected) && said.contains(&from), "{path}: {said}");
        assert!(!said.contains("18446744073709551615") && !said.contains("u128"), "{path}: {said}");
    }
    // One that its type cannot hold is written well, and no other way to write it is told.
    let said = words(set("data.subset_seed", "99999999999"));
    assert!(said.contains("from 0 to 4294967295, found `99999999999`") && !said.contains("write it as"), "{said}");
}
