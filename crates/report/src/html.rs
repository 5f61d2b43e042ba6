//! `report.html`: one page that needs nothing beside it.

use askama::Template;

use crate::error::ReportError;
use crate::facts::facts;
use crate::figures::Figure;
use crate::summary::Summary;
use crate::words::{Grid, bold, choices, grid, notes};

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    summary: &'a Summary,
    grid: Grid,
    notes: Vec<String>,
    facts: Vec<String>,
    bold: &'static str,
    chosen: Vec<[String; 5]>,
    figures: &'a [Figure],
}

/// The page, figures inside.
///
/// # Errors
/// [`ReportError::Page`] when the template cannot be filled in.
pub(crate) fn report_html(summary: &Summary, figures: &[Figure]) -> Result<String, ReportError> {
    let grid = grid(summary);
    let page = Page {
        summary,
        bold: bold(&grid),
        grid,
        notes: notes(summary),
        facts: facts(summary),
        chosen: choices(summary),
        figures,
    };
    Ok(page.render()?)
}
