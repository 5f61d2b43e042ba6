//! The words and cells that Markdown, HTML and the terminal share.

use longtail_artifact::percent;

use crate::choices::Choice;
use crate::groups::Groups;
use crate::summary::{RowSummary, Summary, Verdict};

/// A cell of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    pub text: String,
    /// The number of a note, as in ` [1]`.
    pub mark: String,
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
    let paper_columns = paper_columns(summary);
    let pinned = pinned(summary);
    let mut head: Vec<String> =
        ["representation", "classifier", "many", "medium", "few", "all"].map(String::from).into();
    head.extend(paper_columns.iter().map(|name| format!("paper: {name}")));
    if pinned {
        head.push("expected".to_owned());
    }
    head.push("seeds".to_owned());
    let lines = summary.rows.iter().enumerate().map(|(index, row)| {
        let mark = if row.note.is_some() { format!(" [{}]", note_number(summary, index)) } else { String::new() };
        let mut line = vec![word(row.representation.clone()), Cell { mark, ..word(row.classifier.clone()) }];
        for (name, mean) in row.mean.named() {
            let std = row.std.as_ref().and_then(|std| std.get(name).copied().flatten());
            line.push(Cell { best: is_best(summary, name, *mean), ..number(accuracy(row, *mean, std)) });
        }
        for name in &paper_columns {
            let text = paper(row, name).map_or("–".to_owned(), |value| format!("{value:.1}"));
            line.push(number(text));
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

/// The groups of which the paper has a number for some row.
pub(crate) fn paper_columns(summary: &Summary) -> Vec<&'static str> {
    let names = Groups::<()>::default().named().map(|(name, _)| name);
    names.into_iter().filter(|name| summary.rows.iter().any(|row| paper(row, name).is_some())).collect()
}

/// Whether the recipe expects anything of any row.
pub(crate) fn pinned(summary: &Summary) -> bool {
    summary.rows.iter().any(|row| row.expected.named().iter().any(|(_, range)| range.is_some()))
}

fn word(text: String) -> Cell {
    Cell { text, mark: String::new(), number: false, best: false }
}

fn number(text: String) -> Cell {
    Cell { number: true, ..word(text) }
}

fn paper(row: &RowSummary, name: &str) -> Option<f64> {
    row.paper.as_ref()?.get(name).copied().flatten()
}

/// `52.31`, `52.31 ± 0.40`, `n/a` for an empty group, `not run`.
pub(crate) fn accuracy(row: &RowSummary, mean: Option<f64>, std: Option<f64>) -> String {
    match (mean, std) {
        _ if row.seeds.is_empty() => "not run".to_owned(),
        (None, _) => "n/a".to_owned(),
        (Some(mean), None) => percent(mean),
        (Some(mean), Some(std)) => format!("{} ± {}", percent(mean), percent(std)),
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
                    let value = value.map_or("n/a".to_owned(), |value| outside(value, *low, *high));
                    format!("{name} {value} not in [{low}, {high}]")
                })
                .collect();
            format!("OUTSIDE: {}", groups.join("; "))
        }
    }
}

/// A value outside a range, in so many digits that it looks outside, too.
fn outside(value: f64, low: f64, high: f64) -> String {
    let in_digits = |digits: usize| format!("{value:.digits$}");
    let looks_inside = |text: &String| text.parse().is_ok_and(|shown: f64| (low..=high).contains(&shown));
    (2..12).map(in_digits).find(|text| !looks_inside(text)).unwrap_or_else(|| value.to_string())
}

/// What the bold numbers of a table are; nothing where there are none.
pub(crate) fn bold(grid: &Grid) -> &'static str {
    let any = grid.lines.iter().flatten().any(|cell| cell.best);
    if any { "; the largest value of each column is bold" } else { "" }
}

/// 1-based, among the rows that have a note.
fn note_number(summary: &Summary, index: usize) -> usize {
    summary.rows[..=index].iter().filter(|row| row.note.is_some()).count()
}

/// What was chosen on data, as lines of a table: row, seed, what, by which data, validation accuracy.
pub(crate) fn choices(summary: &Summary) -> Vec<[String; 5]> {
    let of_row = |row: &RowSummary| -> Vec<[String; 5]> {
        let line = |choice: &Choice| {
            let accuracy = choice.val_accuracy.map_or("–".to_owned(), percent);
            let what = format!("{} = {}", choice.name, choice.value);
            [row.method(), choice.seed.to_string(), what, choice.by.words().to_owned(), accuracy]
        };
        row.choices.iter().map(line).collect()
    };
    summary.rows.iter().flat_map(of_row).collect()
}

/// The notes in the order of their numbers.
pub(crate) fn notes(summary: &Summary) -> Vec<String> {
    summary.rows.iter().filter_map(|row| row.note.clone()).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use longtail_recipe::ShotGroups;

    /// Shot groups can only come from a recipe.
    pub(crate) fn shot_groups(many_above: u32, few_below: u32) -> ShotGroups {
        ShotGroups::new(many_above, few_below)
    }
}
