//! What stage 3 says on the terminal is what it did.

mod common;

use std::process::Command;

use common::run_folder::RunFolder;
use common::{classifier, recipe, toy_data};
use longtail_classifier::method::base::{Context, method};
use longtail_classifier::{ClassifierError, MemoryJournal};
use longtail_training::Compute;

/// Runs the binary on a variant `ce`; it must succeed.
fn said(run: &RunFolder, method: &str, more: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_classifier"));
    command.args(["--variant", "ce", "--method", method]).args(more);
    let output = command.arg("--recipe").arg(&run.recipe).arg("--run").arg(run.layout.run()).output();
    let output = output.expect("the binary starts");
    let words = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(0), "{method}: {words}");
    words
}

#[test]
fn a_tau_that_was_given_was_not_chosen() {
    let run = RunFolder::new();
    assert!(said(&run, "tau_norm", &[]).contains("chosen on validation: {\"tau\":"));
    let one = said(&run, "tau_norm", &["--set", "classifiers.tau_norm.tau_norm.taus=[0.5]"]);
    assert!(one.contains("ce+tau_norm") && !one.contains("chosen"), "{one}");
}

#[test]
fn what_is_kept_although_it_is_stale_is_not_up_to_date() {
    let run = RunFolder::new();
    said(&run, "tau_norm", &[]);
    assert!(said(&run, "tau_norm", &["--accept-stale"]).contains("up to date"));
    let kept = said(&run, "tau_norm", &["--accept-stale", "--set", "classifiers.tau_norm.tau_norm.taus=[0.5]"]);
    assert!(kept.contains("stale") && kept.contains("kept as it is") && !kept.contains("up to date"), "{kept}");
}

fn fit(yaml: &str, journal: &mut MemoryJournal) -> Result<(), ClassifierError> {
    let data = toy_data(&[120, 60, 30, 15, 8, 4], 12);
    let (classifier, groups) = (classifier(yaml), recipe("{joint: {}}").data.shot_groups);
    method(&classifier).fit(&data, &mut Context { seed: 11, groups, journal, compute: Compute::cpu() }).map(|_| ())
}

#[test]
fn rows_that_are_kept_are_not_said_to_be_drawn_a_block_at_a_time() {
    let note = |yaml: &str| {
        let mut journal = MemoryJournal::default();
        fit(yaml, &mut journal).expect("fits");
        journal.notes[0].clone()
    };
    let training = "training: {epochs: 2, batch_size: 32}";
    let (once, every) = (format!("{{tailcalib: {{{training}}}}}"), format!("{{tailcalib_x: {{{training}}}}}"));
    assert!(note(&once).contains("all rows at once are kept:"), "{}", note(&once));
    assert!(note(&every).contains("all rows at once would be"), "{}", note(&every));
}

#[test]
fn after_the_last_epoch_there_is_none_to_go_on_from() {
    let yaml = "{crt: {training: {epochs: 3, batch_size: 32}}}";
    let note = |stop_after: usize| {
        let mut first = MemoryJournal { stop_after: Some(stop_after), ..MemoryJournal::default() };
        fit(yaml, &mut first).expect_err("stopped");
        let mut second = MemoryJournal::resumed_from(first.saved.take().expect("saved on stopping"));
        fit(yaml, &mut second).expect("fits");
        second.notes[0].clone()
    };
    assert_eq!(note(2), "continuing from epoch 3, after 0 of its batches");
    assert_eq!(note(3), "all epochs are already done; scoring the head");
}
