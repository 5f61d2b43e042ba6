//! All files of a report.

use crate::error::ReportError;
use crate::figures::figures;
use crate::html::report_html;
use crate::json::report_json;
use crate::markdown::report_markdown;
use crate::summary::Summary;

/// One file to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its path in the report's folder, with `/`.
    pub name: String,
    /// Content of the file.
    pub text: String,
}

/// `report.md`, `report.html`, `report.json` and `figures/*.svg`: a function of the summary alone.
///
/// # Errors
/// A figure that cannot be drawn, a page that cannot be filled in.
pub fn render(summary: &Summary) -> Result<Vec<File>, ReportError> {
    let figures = figures(summary)?;
    let mut json = report_json(summary).to_string();
    json.push('\n');
    let mut files = vec![
        File { name: "report.md".to_owned(), text: report_markdown(summary, &figures) },
        File { name: "report.html".to_owned(), text: report_html(summary, &figures)? },
        File { name: "report.json".to_owned(), text: json },
    ];
    files.extend(figures.into_iter().map(|figure| File { name: format!("figures/{}", figure.name), text: figure.svg }));
    Ok(files)
}
