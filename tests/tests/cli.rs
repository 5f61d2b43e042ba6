//! The words of the command line: help with examples, clear refusals, JSON where it is asked for.

use longtail_tests::{PREBUILT_VARIABLE, binary, finish, xtask};
use std::process::Command;

#[test]
fn every_verb_and_binary_helps_with_an_example() {
    for verb in ["reproduce", "run", "status", "list", "doctor", "test", "fmt", "lint", "bench"] {
        let outcome = finish(xtask().args([verb, "--help"]));
        assert_eq!(outcome.code, Some(0), "{verb}");
        assert!(outcome.words.contains("cargo xtask"), "{verb}: {}", outcome.words);
        assert!(outcome.words.contains("Example"), "{verb}: {}", outcome.words);
    }
    for verb in ["check", "synthesize"] {
        let outcome = finish(xtask().args(["data", verb, "--help"]));
        assert!(outcome.words.contains("Example"), "data {verb}: {}", outcome.words);
    }
    for name in ["datasets", "representation", "features", "classifier", "report"] {
        let outcome = finish(Command::new(binary(name)).arg("--help"));
        assert_eq!(outcome.code, Some(0), "{name}");
        assert!(outcome.words.contains("Example"), "{name} --help shows no example: {}", outcome.words);
    }
}

#[test]
fn list_and_doctor_speak_json() {
    let list: serde_json::Value = serde_json::from_str(&finish(xtask().args(["list", "--json"])).words).expect("JSON");
    let names: Vec<&str> =
        list.as_array().expect("a list").iter().filter_map(|entry| entry["recipe"].as_str()).collect();
    assert!(names.contains(&"fashion-mnist-lt"), "{names:?}");
    let outcome = finish(xtask().args(["doctor", "--json"]));
    let doctor: serde_json::Value = serde_json::from_str(&outcome.words).expect("JSON");
    assert!(doctor.as_array().is_some_and(|findings| findings.len() >= 6), "{doctor}");
}

#[test]
fn a_wrong_verb_is_refused_with_code_2() {
    let outcome = finish(xtask().arg("reprodcue"));
    assert_eq!(outcome.code, Some(2), "{}", outcome.words);
    assert!(outcome.words.contains("reproduce"), "{}", outcome.words);
}

#[test]
fn the_embedded_data_is_in_order() {
    // Here xtask builds for itself, as a user's does.
    let outcome = finish(xtask().env_remove(PREBUILT_VARIABLE).args(["data", "check", "fashion-mnist-lt"]));
    assert_eq!(outcome.code, Some(0), "{}", outcome.words);
}
