//! `report.md`.

use crate::escape::markdown as escaped;
use crate::facts::facts;
use crate::figures::Figure;
use crate::summary::Summary;
use crate::words::{choices, grid, notes};

/// The report as Markdown; figures are linked.
pub fn report_markdown(summary: &Summary, figures: &[Figure]) -> String {
    let mut text = format!("# {}\n\n", escaped(&summary.recipe));
    if !summary.description.is_empty() {
        text.push_str(&format!("{}\n\n", escaped(&summary.description)));
    }
    let grid = grid(summary);
    text.push_str(&line(grid.head.iter().map(|word| escaped(word))));
    let numbers = grid.lines.first().map_or(&[][..], |line| line.as_slice());
    text.push_str(&line(numbers.iter().map(|cell| if cell.number { "---:" } else { "---" }.to_owned())));
    for cells in &grid.lines {
        text.push_str(&line(cells.iter().map(|cell| {
            let text = format!("{}{}", escaped(&cell.text), cell.mark);
            if cell.best { format!("**{text}**") } else { text }
        })));
    }
    text.push('\n');
    for (index, note) in notes(summary).iter().enumerate() {
        text.push_str(&format!("{}. {}\n", index + 1, escaped(note)));
    }
    if !notes(summary).is_empty() {
        text.push('\n');
    }
    text.push_str("## How to read it\n\n");
    for fact in facts(summary) {
        text.push_str(&format!("- {}\n", escaped(&fact)));
    }
    chosen(summary, &mut text);
    if !figures.is_empty() {
        text.push_str("\n## Figures\n");
        for figure in figures {
            text.push_str(&format!("\n![{}](figures/{})\n", escaped(&figure.words), figure.name));
        }
    }
    text
}

fn chosen(summary: &Summary, text: &mut String) {
    if summary.rows.iter().all(|row| row.choices.is_empty()) {
        return;
    }
    text.push_str(
        "\n## Chosen on data\n\n| row | seed | chosen | by | validation accuracy |\n|---|---|---|---|---:|\n",
    );
    for cells in choices(summary) {
        text.push_str(&line(cells.iter().map(|cell| escaped(cell))));
    }
}

fn line(cells: impl IntoIterator<Item = String>) -> String {
    let cells: Vec<String> = cells.into_iter().collect();
    format!("| {} |\n", cells.join(" | "))
}
