//! Numbers and words that are none: refused at once, with what they must be.

use std::process::Command;

use longtail_tests::{binary, finish, tiny_recipe, xtask};

#[test]
fn a_wrong_number_is_told_what_it_must_be() {
    let stage = |more: &[&str]| {
        let mut command = Command::new(binary("representation"));
        command.arg("--recipe").arg(tiny_recipe()).args(["--run", "none", "--variant", "ce"]);
        finish(command.args(more))
    };
    let plan = |more: &[&str]| finish(xtask().args(["reproduce", "fashion-mnist-lt", "--dry-run"]).args(more));
    for (outcome, words) in [
        (stage(&["--seed", "-1"]), "`-1` is not a whole number of 0 or more"),
        (stage(&["--seed", "99999999999999999999"]), "is too large"),
        (stage(&["--threads", "0"]), "`--threads 0`: it must be from 1 to 1024"),
        (stage(&["--threads", "100000"]), "`--threads 100000`: it must be from 1 to 1024"),
        (plan(&["--seed", "-1"]), "`-1` is not a whole number of 0 or more"),
        (plan(&["--seed", "1.5"]), "`1.5` is not a whole number of 0 or more"),
        (plan(&["--seeds", "-1"]), "-1 is not in 1..=1000"),
        (plan(&["--threads", "0"]), "0 is not in 1..=1024"),
        (plan(&["--threads", "-2"]), "-2 is not in 1..=1024"),
        (
            finish(xtask().args(["data", "synthesize", "imagenet-lt", "--out", "x", "--classes", "-4"])),
            "`-4` is not a whole",
        ),
    ] {
        assert!(outcome.code == Some(2) && outcome.words.contains(words), "{words}: {}", outcome.words);
    }
}

#[test]
fn vector_instructions_are_forced_by_name_and_a_wrong_name_is_refused_by_every_program() {
    let with = |mut command: Command, word: &str| finish(command.env("LONGTAIL_SIMD", word));
    for word in ["avx9", "AVX2", ""] {
        for name in ["representation", "features", "classifier", "datasets"] {
            let mut command = Command::new(binary(name));
            match name {
                "datasets" => command.args(["check", "fashion-mnist"]),
                "classifier" => command.args(["--recipe", "r", "--run", "r", "--variant", "v", "--method", "m"]),
                _ => command.args(["--recipe", "r", "--run", "r", "--variant", "v"]),
            };
            let outcome = with(command, word);
            let refused = outcome
                .words
                .contains(&format!("LONGTAIL_SIMD is `{word}`, but this processor supports only portable"));
            assert!(outcome.code == Some(2) && refused, "{name}: {}", outcome.words);
        }
        let mut plan = xtask();
        plan.args(["reproduce", "fashion-mnist-lt", "--dry-run"]);
        assert_eq!(with(plan, word).code, Some(2));
    }
    let mut doctor = xtask();
    doctor.arg("doctor");
    assert!(with(doctor, "portable").words.contains("the portable kernels, set by LONGTAIL_SIMD"));
    let mut check = Command::new(binary("datasets"));
    check.args(["check", "fashion-mnist"]);
    assert_eq!(with(check, "portable").code, Some(0));
}
