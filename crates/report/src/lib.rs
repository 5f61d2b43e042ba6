//! Tables, plots and the comparison with the paper's numbers, from artifacts alone.
//!
//! [`collect()`] reads the predictions of every row and seed and scores them; [`render`] writes `report.md`,
//! `report.html`, `report.json` and `figures/*.svg` from that. Nothing is computed twice, nothing is trained, and the
//! same artifacts give the same bytes: no date, no host, no path.

#[macro_use]
#[allow(unused_imports, reason = "what is printed here one day must not end a run either")]
extern crate longtail_artifact; // `println!` that a reader who left does not end

mod collect;
mod error;
mod figures;
mod groups;
mod html;
mod json;
mod markdown;
mod render;
mod runs;
mod summary;
mod table;
mod words;

pub use collect::{Prediction, collect, predictions_file};
pub use error::ReportError;
pub use groups::{GroupSizes, Groups, group_accuracy};
pub use json::report_json;
pub use markdown::report_markdown;
pub use render::{File, render};
pub use runs::{SeedRun, seed_runs};
pub use summary::{ClassPoint, RowSummary, Summary, Verdict, summarize};
pub use table::terminal_table;
