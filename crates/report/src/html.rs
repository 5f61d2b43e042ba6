//! `report.html`: one page that needs nothing beside it.

use askama::Template;

use crate::error::ReportError;
use crate::figures::Figure;
use crate::summary::Summary;
use crate::words::{Grid, facts, grid, notes};

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    summary: &'a Summary,
    grid: Grid,
    notes: Vec<String>,
    facts: Vec<String>,
    chosen: Vec<[String; 4]>,
    figures: &'a [Figure],
}

/// The page, figures inside.
///
/// # Errors
/// [`ReportError::Page`] when the template cannot be filled in.
pub(crate) fn report_html(summary: &Summary, figures: &[Figure]) -> Result<String, ReportError> {
    let chosen = summary.rows.iter().flat_map(|row| {
        row.chosen.iter().map(|(seed, chosen, accuracy)| {
            let accuracy = accuracy.map_or("–".to_owned(), |accuracy| format!("{accuracy:.2}"));
            [row.method(), seed.to_string(), chosen.clone(), accuracy]
        })
    });
    let page = Page {
        summary,
        grid: grid(summary),
        notes: notes(summary),
        facts: facts(summary),
        chosen: chosen.collect(),
        figures,
    };
    Ok(page.render()?)
}
