//! The rows and seeds of a report: which there are, which count, and why the others do not.

use std::collections::BTreeMap;

use longtail_recipe::Recipe;

use crate::eligible::{against_others, reasons};
use crate::error::ReportError;
use crate::origin::Origin;
use crate::prediction::{self, Prediction, predictions_file};
use crate::runs::SeedRun;
use crate::split_facts::SplitFacts;

/// What the folders of the seeds hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Collected {
    /// What counts, row by row and seed by seed.
    pub predictions: Vec<Prediction>,
    /// What is finished and does not count.
    pub left_out: Vec<Exception>,
    /// What counts although something speaks against it, by `--accept-stale`.
    pub accepted: Vec<Exception>,
    /// Rows that a seed has not finished.
    pub unfinished: Vec<Exception>,
    /// The splits of the seeds that count, where they have one.
    pub splits: BTreeMap<u64, SplitFacts>,
}

/// Rows of one seed that are not like the others, for the same reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exception {
    /// Random seed of the run.
    pub seed: u64,
    /// `VARIANT+METHOD`, in the recipe's order.
    pub rows: Vec<String>,
    /// In words, without a path; none for what is only unfinished.
    pub reasons: Vec<String>,
}

/// A finished row of a seed, before its predictions are read.
struct Candidate<'a> {
    row: usize,
    run: &'a SeedRun,
    origin: Origin,
    reasons: Vec<String>,
}

/// Reads and checks the predictions of every row and seed.
///
/// A row whose numbers are not those of `recipe`, or not like those of the other seeds, is left out; with `accept_stale` it
/// counts and is named. Seeds that are [optional](SeedRun::optional) are left out for whatever reason.
///
/// # Errors
/// A file that is damaged, whose labels or predictions name classes that do not exist, that was made from another training
/// set or scored on other test images than the first, or that has other test images than its split.
pub fn collect(recipe: &Recipe, runs: &[SeedRun], accept_stale: bool) -> Result<Collected, ReportError> {
    let mut collected = Collected::default();
    let mut splits: BTreeMap<u64, SplitFacts> = BTreeMap::new();
    let mut candidates = Vec::new();
    // Those that must count come first: the others are measured by them.
    let (optional, asked): (Vec<&SeedRun>, Vec<&SeedRun>) = runs.iter().partition(|run| run.optional);
    for run in asked.into_iter().chain(optional) {
        let mut found = match of_run(recipe, run, &mut splits) {
            Ok(found) => found,
            Err(error) if run.optional => {
                let rows = recipe.rows.iter().map(method).collect();
                collected.left_out.push(Exception { seed: run.seed, rows, reasons: vec![error.without_path()] });
                continue;
            }
            Err(error) => return Err(error),
        };
        for (row, of) in recipe.rows.iter().enumerate() {
            if !found.iter().any(|candidate| candidate.row == row) {
                note(&mut collected.unfinished, run.seed, method(of), Vec::new());
            }
        }
        candidates.append(&mut found);
    }
    compare(&mut candidates, &splits);
    for candidate in candidates {
        let Candidate { row, run, origin, reasons } = candidate;
        let of = &recipe.rows[row];
        if !reasons.is_empty() {
            let accepted = accept_stale && !run.optional;
            let list = if accepted { &mut collected.accepted } else { &mut collected.left_out };
            note(list, run.seed, method(of), reasons.clone());
            if !accepted {
                continue;
            }
        }
        let split = splits.get(&run.seed);
        // What was accepted may be of another split.
        let test = split.filter(|_| reasons.is_empty()).map(|split| split.test);
        let path = predictions_file(&run.dir, &of.representation, &of.classifier);
        let read = prediction::read((row, run.seed), &path, origin, test).and_then(|prediction| {
            collected.predictions.first().map_or(Ok(()), |first| prediction.is_comparable_with(first))?;
            Ok(prediction)
        });
        match read {
            Ok(prediction) => {
                collected.predictions.push(prediction);
                collected.splits.extend(split.map(|split| (run.seed, split.clone())));
            }
            Err(error) if run.optional => {
                note(&mut collected.left_out, run.seed, method(of), vec![error.without_path()]);
            }
            Err(error) => return Err(error),
        }
    }
    collected.predictions.sort_by_key(|prediction| (prediction.row, prediction.seed));
    Ok(collected)
}

/// The finished rows of one run, with what its own files say against them. Its split joins `splits`.
fn of_run<'a>(
    recipe: &Recipe,
    run: &'a SeedRun,
    splits: &mut BTreeMap<u64, SplitFacts>,
) -> Result<Vec<Candidate<'a>>, ReportError> {
    let mut candidates = Vec::new();
    for (row, of) in recipe.rows.iter().enumerate() {
        // The manifest is written last: without it the stage has not finished.
        let path = predictions_file(&run.dir, &of.representation, &of.classifier);
        if let Some(origin) = Origin::read(&run.dir, of)?.filter(|_| path.is_file()) {
            candidates.push(Candidate { row, run, origin, reasons: Vec::new() });
        }
    }
    if candidates.is_empty() {
        return Ok(candidates);
    }
    let split = SplitFacts::read(&run.layout())?;
    for candidate in &mut candidates {
        candidate.reasons = reasons(recipe, run.seed, &recipe.rows[candidate.row], &candidate.origin, split.as_ref())?;
        candidate.reasons.extend(run.other_images.clone());
    }
    splits.extend(split.map(|split| (run.seed, split)));
    Ok(candidates)
}

/// Adds what speaks against candidates beside those against which nothing speaks.
fn compare(candidates: &mut [Candidate<'_>], splits: &BTreeMap<u64, SplitFacts>) {
    let split = |candidate: &Candidate<'_>| splits.get(&candidate.run.seed);
    let sound: Vec<&Candidate<'_>> = candidates.iter().filter(|candidate| candidate.reasons.is_empty()).collect();
    let first = sound.iter().find_map(|candidate| split(candidate));
    let found: Vec<Vec<String>> = candidates
        .iter()
        .map(|candidate| {
            let row: Vec<&Origin> =
                sound.iter().filter(|other| other.row == candidate.row).map(|other| &other.origin).collect();
            against_others((&candidate.origin, split(candidate)), first, &row)
        })
        .collect();
    for (candidate, more) in candidates.iter_mut().zip(found) {
        candidate.reasons.extend(more);
    }
}

/// Adds a row of a seed to `list`, beside the rows that stand there for the same reasons.
fn note(list: &mut Vec<Exception>, seed: u64, row: String, reasons: Vec<String>) {
    match list.iter_mut().find(|entry| entry.seed == seed && entry.reasons == reasons) {
        Some(entry) => entry.rows.push(row),
        None => list.push(Exception { seed, rows: vec![row], reasons }),
    }
}

fn method(row: &longtail_recipe::Row) -> String {
    format!("{}+{}", row.representation, row.classifier)
}
