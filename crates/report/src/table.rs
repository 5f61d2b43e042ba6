//! The table for a terminal.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, ContentArrangement, Table};

use crate::facts::facts;
use crate::summary::Summary;
use crate::words::{grid, notes};

/// The table, the notes and how to read it.
pub fn terminal_table(summary: &Summary) -> String {
    let grid = grid(summary);
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(&grid.head);
    for line in &grid.lines {
        table.add_row(line.iter().map(|cell| {
            let alignment = if cell.number { CellAlignment::Right } else { CellAlignment::Left };
            comfy_table::Cell::new(format!("{}{}", cell.text, cell.mark)).set_alignment(alignment)
        }));
    }
    let mut text = format!("{table}\n");
    for (index, note) in notes(summary).iter().enumerate() {
        text.push_str(&format!("[{}] {note}\n", index + 1));
    }
    for fact in facts(summary) {
        text.push_str(&format!("{fact}\n"));
    }
    text
}
