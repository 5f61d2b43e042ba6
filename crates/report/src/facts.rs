//! How the numbers came about, in sentences. Each one says what the files of the runs show (splits, manifests, predictions),
//! never what the recipe asks for; where no file says it, there is no sentence, or one that says so.

use std::collections::BTreeMap;

use longtail_artifact::counted;

use crate::choices::ChosenBy;
use crate::collect::Exception;
use crate::split_facts::SplitFacts;
use crate::summary::{RowSummary, Summary};
use crate::words::{paper_columns, pinned};

/// All sentences, in the order of the report.
pub(crate) fn facts(summary: &Summary) -> Vec<String> {
    let mut facts = Vec::new();
    if summary.rows.iter().any(RowSummary::counts) {
        facts.push(measure(summary));
        facts.push(data(summary));
        facts.extend(parts(summary));
        facts.push(choices(summary));
        facts.extend(epochs(summary));
    }
    facts.extend(seeds(summary));
    facts.extend(exceptions(summary));
    facts.extend(code(summary));
    facts.extend(devices(summary));
    if !paper_columns(summary).is_empty() {
        facts.push("paper: the number in the paper, as quoted by the recipe.".to_owned());
    }
    if pinned(summary) {
        facts.push("expected: the recipe's range for the mean of the row.".to_owned());
    }
    let notes = summary.rows.iter().any(|row| row.note.is_some());
    match (summary.description.is_empty(), notes) {
        (true, false) => {}
        (false, false) => facts.push("The line under the title comes from the recipe.".to_owned()),
        (true, true) => facts.push("Notes come from the recipe.".to_owned()),
        (false, true) => facts.push("The line under the title and the notes come from the recipe.".to_owned()),
    }
    facts
}

/// What the numbers are. The report itself computes them, with the recipe's groups.
fn measure(summary: &Summary) -> String {
    let groups = summary.shot_groups;
    let sizes = &summary.sizes;
    let mut text = format!(
        "Top-1 accuracy on the test set, in percent. many: classes with more than {}; few: fewer than {}; medium: the \
         rest ({}, {} and {}); each is the mean over its classes{}. all: over all test images.",
        counted(groups.many_above, "training image"),
        groups.few_below,
        sizes.many,
        sizes.medium,
        counted(sizes.few, "class"),
        if summary.untested_classes > 0 { " that have test images" } else { "" }
    );
    if summary.rows.iter().filter(|row| row.counts()).any(|row| row.mean.named().iter().any(|(_, mean)| mean.is_none()))
    {
        text.push_str(" n/a: no class of the group has test images.");
    }
    text
}

fn data(summary: &Summary) -> String {
    let split = first_split(summary);
    let dataset = split.and_then(|split| split.dataset.as_deref()).unwrap_or("a data set not named in any file");
    let drawn = split
        .and_then(|split| split.imbalance_factor)
        .map_or(String::new(), |factor| format!(" (drawn with imbalance factor {factor})"));
    let counts = &summary.class_counts;
    let (most, fewest) = (counts.iter().max().unwrap_or(&0), counts.iter().min().unwrap_or(&0));
    let total: u64 = counts.iter().map(|count| u64::from(*count)).sum();
    let mut text = format!(
        "Data: {dataset}{drawn}: {} of {most} to {}, {total} in all; {}",
        counted(counts.len(), "class"),
        counted(*fewest, "training image"),
        counted(summary.test_images, "test image")
    );
    if summary.untested_classes > 0 {
        text.push_str(&format!(", none of {}", counted(summary.untested_classes, "class")));
    }
    text.push('.');
    if let Some(skipped) = split.map(|split| split.skipped).filter(|skipped| *skipped > 0) {
        text.push_str(&format!(" {} cannot be decoded and {} left out.", images(skipped), is_are(skipped)));
    }
    text
}

/// The first of the splits of those seeds that count.
fn first_split(summary: &Summary) -> Option<&SplitFacts> {
    summary.splits.values().next()
}

/// Validation set, meta set, and who learned from the meta set.
fn parts(summary: &Summary) -> Vec<String> {
    let Some(split) = first_split(summary) else {
        let most = summary.rows.iter().flat_map(|row| &row.val_images).flatten().max();
        let val = match most {
            None => "predictions do not record whether there were validation images".to_owned(),
            Some(0) => "predictions hold no validation images".to_owned(),
            Some(most) => format!("predictions hold {} for validation", images(*most)),
        };
        return vec![format!("The runs have no split file, so the role of each image is unknown; {val}.")];
    };
    let mut facts = vec![match (split.val, split.meta) {
        (0, 0) => "There is no meta set and no validation set.".to_owned(),
        (0, _) => format!("{} There is no validation set.", meta_set(split)),
        (val, 0) => format!("There is no meta set. The validation set: {}.", images(val)),
        (val, _) if split.val_is_meta() => {
            format!("The validation set is the meta set: {}{}.", images(val), apart(split))
        }
        (val, _) => {
            let shared = match split.val_in_meta {
                0 => String::new(),
                shared => format!(", {shared} of them also in the meta set"),
            };
            format!("{} The validation set: {}{shared}.", meta_set(split), images(val))
        }
    }];
    if split.meta > 0 {
        let learners = variants(summary, |origin| origin.has_meta_network());
        facts.push(match (learners.len(), split.val_is_meta()) {
            (0, _) => "No meta-network learned from the meta set.".to_owned(),
            (1, false) => format!("The meta-network of {} learned from the meta set.", learners.join(", ")),
            (_, false) => format!("The meta-networks of {} learned from the meta set.", learners.join(", ")),
            (1, true) => format!("The meta-network of {} learned from the same images.", learners.join(", ")),
            (_, true) => format!("The meta-networks of {} learned from the same images.", learners.join(", ")),
        });
    }
    let differs = |other: &SplitFacts| SplitFacts { hash: String::new(), ..other.clone() };
    if summary.splits.values().any(|other| differs(other) != differs(split)) {
        facts.push(format!(
            "The seeds have different splits; this is the one of seed {}.",
            summary.splits.keys().next().unwrap_or(&0)
        ));
    }
    facts
}

fn meta_set(split: &SplitFacts) -> String {
    if split.meta == split.train && split.meta_in_train == split.meta {
        return "The meta set is the training set.".to_owned();
    }
    format!("The meta set: {}{}.", images(split.meta), apart(split))
}

/// Whether the images of the meta set are training images too.
fn apart(split: &SplitFacts) -> String {
    match split.meta_in_train {
        0 => ", none of them a training image".to_owned(),
        all if all == split.meta => ", which are also training images".to_owned(),
        some => format!(", {some} of them also training images"),
    }
}

/// The representations of rows that count of which `is` holds for a seed.
fn variants(summary: &Summary, is: impl Fn(&crate::origin::Origin) -> bool) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for row in &summary.rows {
        if row.origins.iter().any(|(_, origin)| is(origin)) && !names.contains(&row.representation.as_str()) {
            names.push(&row.representation);
        }
    }
    names
}

/// Which hyper-parameters were chosen on which data.
fn choices(summary: &Summary) -> String {
    let chosen = |by: ChosenBy| -> Vec<String> {
        let mut rows: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for row in &summary.rows {
            for choice in row.choices.iter().filter(|choice| choice.by == by) {
                let rows = rows.entry(&choice.name).or_default();
                if !rows.contains(&row.method()) {
                    rows.push(row.method());
                }
            }
        }
        rows.into_iter().map(|(name, rows)| format!("{name} ({})", rows.join(", "))).collect()
    };
    let sentences = [
        (chosen(ChosenBy::Validation), "Chosen on validation data, never on the test set: "),
        (chosen(ChosenBy::Meta), "Adapted to losses on the meta set: "),
        (chosen(ChosenBy::Unknown), "Chosen on data that the predictions do not record: "),
    ];
    let sentences: Vec<String> = sentences
        .into_iter()
        .filter(|(names, _)| !names.is_empty())
        .map(|(names, words)| format!("{words}{}.", names.join(", ")))
        .collect();
    if sentences.is_empty() { "No hyper-parameter was chosen on data.".to_owned() } else { sentences.join(" ") }
}

/// A stage of ours writes its files after its last epoch. Of a backbone without stage 1's manifest nothing is known.
fn epochs(summary: &Summary) -> Vec<String> {
    let foreign = variants(summary, |origin| !origin.trained_here());
    if foreign.is_empty() {
        return vec!["Every number is from the last epoch; no best epoch was selected.".to_owned()];
    }
    vec![format!(
        "Stage 1 has no manifest for {}: it is unknown who trained its backbone and for how many epochs.",
        foreign.join(", ")
    )]
}

fn seeds(summary: &Summary) -> Vec<String> {
    let of_rows: Vec<&[u64]> = summary.rows.iter().filter(|row| row.counts()).map(|row| row.seeds.as_slice()).collect();
    let single = of_rows.iter().filter(|seeds| seeds.len() == 1).count();
    let mut facts = Vec::new();
    if of_rows.is_empty() {
        let nothing = summary.left_out.is_empty() && summary.unfinished.iter().all(|entry| entry.rows.is_empty());
        facts.push(if nothing { "Nothing was run yet." } else { "No row counts." }.to_owned());
    } else if single == of_rows.len() {
        facts.push("One seed per row, so there is no standard deviation.".to_owned());
    } else {
        let rest = if single > 0 { "; rows of one seed have none" } else { "" };
        facts.push(format!("Mean ± sample standard deviation (n − 1) over the seeds of the row{rest}."));
    }
    if of_rows.windows(2).any(|pair| pair[0] != pair[1]) {
        facts.push("Not all rows have the same seeds; see the column.".to_owned());
    }
    facts
}

/// What is not in the table, or in it against the rule: a sentence for each seed and reason.
pub fn exceptions(summary: &Summary) -> Vec<String> {
    let mut facts: Vec<String> =
        summary.left_out.iter().map(|entry| format!("Left out: {}.", in_words(summary, entry))).collect();
    facts.extend(
        summary
            .accepted
            .iter()
            .map(|entry| format!("Counted because of --accept-stale: {}.", in_words(summary, entry))),
    );
    // That a row was run by no seed stands in the table.
    let counted = |name: &String| summary.rows.iter().any(|row| row.counts() && row.method() == *name);
    for entry in &summary.unfinished {
        let rows: Vec<String> = entry.rows.iter().filter(|row| counted(row)).cloned().collect();
        if !rows.is_empty() {
            let entry = Exception { rows, ..entry.clone() };
            facts.push(format!("Not finished: {}.", in_words(summary, &entry)));
        }
    }
    facts
}

/// `seed 1 (ce+joint): why; why`.
fn in_words(summary: &Summary, entry: &Exception) -> String {
    let rows = if entry.rows.len() == summary.rows.len() { "all rows".to_owned() } else { entry.rows.join(", ") };
    let reasons = match entry.reasons.len() {
        0 => String::new(),
        count if count > MOST_REASONS => {
            format!(": {}; and {} more", entry.reasons[..MOST_REASONS].join("; "), count - MOST_REASONS)
        }
        _ => format!(": {}", entry.reasons.join("; ")),
    };
    format!("seed {} ({rows}){reasons}", entry.seed)
}

/// More reasons are counted.
const MOST_REASONS: usize = 4;

/// Code versions that are not this program's.
fn code(summary: &Summary) -> Vec<String> {
    let mut found: BTreeMap<(&str, u32, u32), Vec<String>> = BTreeMap::new();
    for row in summary.rows.iter().filter(|row| row.counts()) {
        for (stage, current, manifest) in row.origins.iter().flat_map(|(_, origin)| origin.stages()) {
            let rows = found.entry((stage, manifest.code_version, current)).or_default();
            if !rows.contains(&row.method()) {
                rows.push(row.method());
            }
        }
    }
    let others = found.into_iter().filter(|((_, version, current), _)| version != current);
    others
        .map(|((stage, version, current), rows)| {
            format!(
                "Stage {stage} ran with code version {version} for {}; this program has {current}, which may give \
                 other numbers.",
                rows.join(", ")
            )
        })
        .collect()
}

/// Devices, unless all is from a CPU.
fn devices(summary: &Summary) -> Option<String> {
    let mut found: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for (seed, origin) in summary.rows.iter().flat_map(|row| &row.origins) {
        for (_, _, manifest) in origin.stages() {
            let seeds = found.entry(&manifest.device).or_default();
            if let Err(place) = seeds.binary_search(seed) {
                seeds.insert(place, *seed);
            }
        }
    }
    if found.keys().all(|device| *device == "cpu") {
        return None;
    }
    let parts: Vec<String> = found
        .iter()
        .map(|(device, seeds)| {
            let numbers: Vec<String> = seeds.iter().map(u64::to_string).collect();
            let stages = if found.len() > 1 { "stages" } else { "all stages" };
            let word = if seeds.len() == 1 { "seed" } else { "seeds" };
            format!("{}: {stages} of {word} {}", crate::escape::plain(device), numbers.join(", "))
        })
        .collect();
    let roundings = if found.len() > 1 { " Rounding differs between devices." } else { "" };
    Some(format!("Computed on {}.{roundings}", parts.join("; on ")))
}

fn images(count: usize) -> String {
    counted(count, "image")
}

fn is_are(count: usize) -> &'static str {
    if count == 1 { "is" } else { "are" }
}
