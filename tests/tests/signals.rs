//! SIGTERM and SIGHUP, as schedulers and closed terminals send them: the step is finished, a checkpoint written, and the code is 130.
#![cfg(target_os = "linux")]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use longtail_tests::{Stage, TinyRun, binary, finish, has_checkpoint, stage_command, tiny_recipe, xtask};

/// Far more than a test waits for, and no checkpoint but the one that a signal asks for.
const LONG: [(&str, &str); 2] =
    [("representation_defaults.epochs", "2000"), ("representation_defaults.checkpoint_minutes", "600")];

fn wait_for(what: &str, mut there: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !there() {
        assert!(begun.elapsed() < Duration::from_secs(120), "waited for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn send(signal: &str, to: u32) {
    let sent = Command::new("kill").args([&format!("-{signal}"), &to.to_string()]).status().expect("there is a `kill`");
    assert!(sent.success(), "{signal} to {to}");
}

/// The program with SIGHUP as a terminal leaves it: the tests themselves may run under `nohup`.
fn with_hangup(command: &Command, ignored: bool) -> Command {
    let mut wrapped = Command::new("sh");
    let trap = if ignored { "trap '' HUP; exec \"$@\"" } else { "exec env --default-signal=HUP \"$@\"" };
    wrapped.args(["-c", trap, "sh"]).arg(command.get_program()).args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        wrapped.current_dir(folder);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    wrapped.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    wrapped
}

fn code(mut child: Child) -> Option<i32> {
    child.wait().expect("the program ends").code()
}

/// Stage 1 of a fresh run, at work.
fn training(run: &TinyRun, ignored: bool) -> Child {
    let command = stage_command(run, &Stage::one("representation", "ce", None), 1);
    let child = with_hangup(&command, ignored).spawn().expect("the stage starts");
    let metrics = run.layout().representation("ce").join("checkpoints/metrics.jsonl");
    wait_for("training", || metrics.is_file());
    child
}

#[test]
fn a_stage_started_by_hand_leaves_a_checkpoint() {
    // `timeout` signals a program and then its group: what comes together is one request.
    for signals in [&["TERM"][..], &["HUP"], &["TERM", "TERM"], &["HUP", "TERM", "HUP"]] {
        let run = TinyRun::new(&LONG);
        let child = training(&run, false);
        signals.iter().for_each(|signal| send(signal, child.id()));
        assert_eq!(code(child), Some(130), "{signals:?}");
        assert!(has_checkpoint(&run.layout().representation("ce")), "{signals:?}");
    }
}

#[test]
fn a_second_request_later_ends_at_once_and_nohup_is_heeded() {
    let run = TinyRun::new(&LONG);
    let child = training(&run, true);
    send("HUP", child.id());
    std::thread::sleep(Duration::from_millis(500));
    send("TERM", child.id());
    assert_eq!(code(child), Some(130));
    // The SIGHUP was none, so the SIGTERM half a second later was the first request and not the second.
    assert!(has_checkpoint(&run.layout().representation("ce")));
}

/// `cargo xtask reproduce` of a long stage, at work, and the process of its stage.
fn reproducing(runs: &Path) -> (Child, u32) {
    let mut command = xtask();
    command.arg("reproduce").arg(tiny_recipe()).arg("--runs").arg(runs).args(["--threads", "1"]);
    for (path, value) in LONG.iter().chain(&[("rows", "[{representation: ce, classifier: joint}]")]) {
        command.args(["--set", &format!("{path}={value}")]);
    }
    let child = with_hangup(&command, false).spawn().expect("xtask starts");
    wait_for("training", || runs.join("tiny/seed-0/representation/ce/checkpoints/metrics.jsonl").is_file());
    let id = child.id();
    let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).expect("Linux says");
    let stage = children.split_whitespace().next().expect("a stage runs").parse().expect("a number");
    (child, stage)
}

#[test]
fn xtask_passes_them_on_once() {
    for (signal, to_both) in [("TERM", false), ("HUP", false), ("TERM", true)] {
        let runs = tempfile::tempdir().expect("a temporary folder");
        let (child, stage) = reproducing(runs.path());
        // A scheduler may signal every process of a job.
        if to_both {
            send(signal, stage);
        }
        send(signal, child.id());
        assert_eq!(code(child), Some(130), "{signal}");
        assert!(has_checkpoint(&runs.path().join("tiny/seed-0/representation/ce")), "{signal}, to both: {to_both}");
    }
}

#[test]
fn a_pack_goes_on_where_a_signal_stopped_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (tree, pack) = (folder.path().join("tree"), folder.path().join("photos.pack"));
    let sizes = ["--classes", "5", "--train-images", "400", "--side", "300"];
    let made = finish(xtask().args(["data", "synthesize", "imagenet-lt", "--out"]).arg(&tree).args(sizes));
    assert_eq!(made.code, Some(0), "{}", made.words);
    // By hand and by xtask, which starts the same program.
    let by_hand = || {
        let mut command = Command::new(binary("datasets"));
        command.args(["pack", "imagenet-lt"]);
        command
    };
    let by_xtask = || {
        let mut command = xtask();
        command.args(["data", "pack", "imagenet-lt"]);
        command
    };
    for (signal, start) in [("TERM", &by_hand as &dyn Fn() -> Command), ("HUP", &by_xtask)] {
        let command = || {
            let mut command = start();
            command.arg("--data").arg(&tree).arg("--out").arg(&pack).args(["--threads", "1"]);
            command
        };
        let child = with_hangup(&command(), false).spawn().expect("starts");
        let partial = folder.path().join("photos.pack.partial");
        wait_for("the first images", || partial.metadata().is_ok_and(|data| data.len() > 100_000) || pack.is_file());
        send(signal, child.id());
        assert_eq!(code(child), Some(130), "{signal}");
        assert!(partial.is_file() && !pack.exists(), "{signal}");
        let again = finish(&mut command());
        assert!(again.code == Some(0) && again.words.contains("continuing after"), "{}", again.words);
        std::fs::remove_file(&pack).expect("made");
    }
}
