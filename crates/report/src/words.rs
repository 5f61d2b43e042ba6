//! The words and cells that Markdown, HTML and the terminal share.

use longtail_recipe::{Dataset, MetaSource};

use crate::groups::Groups;
use crate::summary::{RowSummary, Summary, Verdict};

/// A cell of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    pub text: String,
    /// Numbers stand to the right.
    pub number: bool,
    /// The largest of its column.
    pub best: bool,
}

/// The table in words: a head and a line for each row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grid {
    pub head: Vec<String>,
    pub lines: Vec<Vec<Cell>>,
}

/// The whole table: columns that no row fills are left out.
pub(crate) fn grid(summary: &Summary) -> Grid {
    let paper_columns: Vec<&str> = Groups::<()>::default()
        .named()
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| summary.rows.iter().any(|row| paper(row, name).is_some()))
        .collect();
    let pinned = summary.rows.iter().any(|row| row.expected.named().iter().any(|(_, range)| range.is_some()));
    let mut head: Vec<String> =
        ["representation", "classifier", "many", "medium", "few", "all"].map(String::from).into();
    head.extend(paper_columns.iter().map(|name| format!("paper: {name}")));
    if pinned {
        head.push("expected".to_owned());
    }
    head.push("seeds".to_owned());
    let lines = summary.rows.iter().enumerate().map(|(index, row)| {
        let mark = if row.note.is_some() { format!(" [{}]", note_number(summary, index)) } else { String::new() };
        let mut line = vec![word(row.representation.clone()), word(format!("{}{mark}", row.classifier))];
        for (name, mean) in row.mean.named() {
            let std = row.std.as_ref().and_then(|std| std.get(name).copied().flatten());
            line.push(Cell { text: accuracy(row, *mean, std), number: true, best: is_best(summary, name, *mean) });
        }
        for name in &paper_columns {
            let text = paper(row, name).map_or("–".to_owned(), |value| format!("{value:.1}"));
            line.push(Cell { text, number: true, best: false });
        }
        if pinned {
            line.push(word(expected(row)));
        }
        let seeds: Vec<String> = row.seeds.iter().map(u64::to_string).collect();
        line.push(word(if seeds.is_empty() { "–".to_owned() } else { seeds.join(", ") }));
        line
    });
    Grid { head, lines: lines.collect() }
}

fn word(text: String) -> Cell {
    Cell { text, number: false, best: false }
}

fn paper(row: &RowSummary, name: &str) -> Option<f64> {
    row.paper.as_ref()?.get(name).copied().flatten()
}

/// `52.31`, `52.31 ± 0.40`, `n/a` for an empty group, `not run`.
pub(crate) fn accuracy(row: &RowSummary, mean: Option<f64>, std: Option<f64>) -> String {
    match (mean, std) {
        _ if row.seeds.is_empty() => "not run".to_owned(),
        (None, _) => "n/a".to_owned(),
        (Some(mean), None) => format!("{mean:.2}"),
        (Some(mean), Some(std)) => format!("{mean:.2} ± {std:.2}"),
    }
}

fn is_best(summary: &Summary, name: &str, value: Option<f64>) -> bool {
    let of_column = summary.rows.iter().filter_map(|row| row.mean.get(name).copied().flatten());
    let most = of_column.clone().fold(f64::NEG_INFINITY, f64::max);
    // One row is not the best of anything.
    value == Some(most) && of_column.count() > 1
}

/// `inside`, or what is outside.
pub(crate) fn expected(row: &RowSummary) -> String {
    match &row.verdict {
        Verdict::Unpinned if row.expected.named().iter().any(|(_, range)| range.is_some()) => "not run".to_owned(),
        Verdict::Unpinned => "–".to_owned(),
        Verdict::Inside => "inside".to_owned(),
        Verdict::Outside(groups) => {
            let groups: Vec<String> = groups
                .iter()
                .map(|(name, value, [low, high])| {
                    let value = value.map_or("n/a".to_owned(), |value| format!("{value:.2}"));
                    format!("{name} {value} not in [{low}, {high}]")
                })
                .collect();
            format!("OUTSIDE: {}", groups.join("; "))
        }
    }
}

/// 1-based, among the rows that have a note.
fn note_number(summary: &Summary, index: usize) -> usize {
    summary.rows[..=index].iter().filter(|row| row.note.is_some()).count()
}

/// The notes in the order of their numbers.
pub(crate) fn notes(summary: &Summary) -> Vec<String> {
    summary.rows.iter().filter_map(|row| row.note.clone()).collect()
}

/// How the numbers came about: one sentence each.
pub(crate) fn facts(summary: &Summary) -> Vec<String> {
    let groups = summary.shot_groups;
    let sizes = if summary.class_counts.is_empty() {
        String::new()
    } else {
        format!(" ({}, {} and {} classes)", summary.sizes.many, summary.sizes.medium, summary.sizes.few)
    };
    let mut facts = vec![format!(
        "Top-1 accuracy on the test set, in percent. many: more than {} training images of the class; few: fewer than \
         {}; medium: the rest{sizes}; each is the mean over its classes. all: over test images. n/a: no class in the \
         group.",
        groups.many_above, groups.few_below
    )];
    if let (Some(most), Some(fewest)) = (summary.class_counts.iter().max(), summary.class_counts.iter().min()) {
        let total: u64 = summary.class_counts.iter().map(|count| u64::from(*count)).sum();
        facts.push(format!(
            "Data: {}{}: {} classes of {most} to {fewest} training images, {total} in all; {} test \
             images.",
            summary.dataset,
            summary.imbalance_factor.map_or_else(String::new, |factor| format!(", imbalance factor {factor}")),
            summary.class_counts.len(),
            summary.test_images
        ));
    }
    facts.push(match summary.meta_source {
        MetaSource::Metasaug if summary.dataset == Dataset::Inaturalist2018.name() => format!(
            "The meta set is {} images of each class, which are training images too; there is no validation set, and \
                 no hyper-parameter was chosen on data.",
            summary.meta_per_class
        ),
        // ImageNet-LT, or a folder of photos: there is a validation list.
        MetaSource::Metasaug if summary.imbalance_factor.is_none() => format!(
            "Hyper-parameters were chosen on validation data, never on the test set: on the images of the validation \
                 list but for {} of each class, from which the meta-network learns.",
            summary.meta_per_class
        ),
        MetaSource::Metasaug => format!(
            "Hyper-parameters were chosen on validation data, never on the test set. The validation set is the \
                 meta set: {} images of each class, held out before the long-tailed draw; the meta-network learns from \
                 the same images.",
            summary.meta_per_class
        ),
        MetaSource::LtBalancedDraws if summary.dataset == Dataset::ImagenetLt.name() => {
            "The meta batches are class-balanced draws from the training set. Hyper-parameters were chosen on the \
                 validation list, never on the test set."
                .to_owned()
        }
        _ if summary.dataset == Dataset::ImagenetLt.name() => {
            "There is no meta set. Hyper-parameters were chosen on the validation list, never on the test set."
                .to_owned()
        }
        MetaSource::LtBalancedDraws => "The meta batches are class-balanced draws from the training set; there is no \
                                            validation set, and no hyper-parameter was chosen on data."
            .to_owned(),
        _ => "There is no meta set and no validation set; no hyper-parameter was chosen on data.".to_owned(),
    });
    facts.push("Every number is of the last epoch; no epoch was picked.".to_owned());
    let most = summary.rows.iter().map(|row| row.seeds.len()).max().unwrap_or(0);
    facts.push(match most {
        0 => "Nothing was run yet.".to_owned(),
        1 => "One seed: no deviation can be given.".to_owned(),
        _ => "Over several seeds: mean ± sample standard deviation (n − 1).".to_owned(),
    });
    if summary.rows.iter().any(|row| row.paper.is_some()) {
        facts.push("paper: the number printed in the paper, as the recipe quotes it.".to_owned());
    }
    facts
}

#[cfg(test)]
pub(crate) mod tests {
    use longtail_recipe::ShotGroups;

    /// Shot groups can only come from a recipe.
    pub(crate) fn shot_groups(many_above: u32, few_below: u32) -> ShotGroups {
        let text = format!(
            "data: {{dataset: cifar100, shot_groups: {{many_above: {many_above}, few_below: {few_below}}}}}\n\
             representations: {{ce: {{method: {{ce: {{}}}}}}}}\nclassifiers: {{joint: }}\n"
        );
        longtail_recipe::read_str(&text, "test.yaml", &[]).expect("the recipe holds").data.shot_groups
    }
}
