//! Nobody reads on, or the disk behind stdout is full: the work is done all the same, and no success is claimed for words that were lost.
#![cfg(unix)]

use std::process::{Command, Stdio};

use longtail_tests::{binary, finish, tiny_recipe, xtask};

/// Runs with a stdout, and if asked a stderr, whose reader has left before the first word.
fn with_no_reader(command: &mut Command, stderr_too: bool) -> Option<i32> {
    let closed = || {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        Stdio::from(writer)
    };
    command.stdin(Stdio::null()).stdout(closed());
    command.stderr(if stderr_too { closed() } else { Stdio::null() });
    command.status().expect("starts").code()
}

#[test]
fn a_reader_that_leaves_stops_no_run() {
    let runs = tempfile::tempdir().expect("a temporary folder");
    let reproduce = || {
        let mut command = xtask();
        command.arg("reproduce").arg(tiny_recipe()).arg("--runs").arg(runs.path());
        command.args(["--set", "rows=[{representation: ce, classifier: joint}]"]);
        command
    };
    assert_eq!(with_no_reader(&mut reproduce(), true), Some(0));
    assert!(runs.path().join("tiny/report/report.html").is_file(), "the report is made");
    let again = finish(&mut reproduce());
    assert!(again.words.contains("nothing to do"), "{}", again.words);

    // Every kind of program that prints: nothing of theirs is a fault of the program.
    let seed = runs.path().join("tiny/seed-0");
    let train = seed.join("features/ce/train.safetensors");
    let mut stage = Command::new(binary("classifier"));
    stage.args(["--variant", "ce", "--method", "joint", "--json", "--force", "--recipe"]).arg(seed.join("recipe.yaml"));
    let mut inspect = Command::new(binary("features"));
    inspect.arg("inspect").arg(&train);
    let mut check = Command::new(binary("datasets"));
    check.args(["check", "fashion-mnist"]);
    let mut list = xtask();
    list.arg("list");
    for command in [stage.arg("--run").arg(&seed), &mut inspect, &mut check, &mut list] {
        assert_eq!(with_no_reader(command, true), Some(0), "{command:?}");
    }
    let mut differs = Command::new(binary("features"));
    differs.arg("diff").arg(&train).arg(seed.join("features/ce/test.safetensors"));
    assert_eq!(with_no_reader(&mut differs, false), Some(1), "the code is the answer");
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_behind_stdout_is_said() {
    let full = std::fs::File::options().write(true).open("/dev/full").expect("Linux has it");
    let mut list = xtask();
    let outcome = list.arg("list").stdout(full).stderr(Stdio::piped()).spawn().expect("starts").wait_with_output();
    let outcome = outcome.expect("ends");
    let words = String::from_utf8_lossy(&outcome.stderr);
    assert!(outcome.status.code() == Some(2) && words.contains("cannot write to stdout"), "{words}");
}
