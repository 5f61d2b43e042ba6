//! Tables, plots and the comparison with the paper's numbers, from artifacts alone.
//!
//! For whoever wants a run's numbers: [`collect()`], [`summarize`] and [`render`], in that order. Not here: anything that computes a
//! prediction; a report reads files alone.
//!
//! [`collect()`] reads what every row and seed left behind and says what of it counts; [`summarize`] scores it; [`render`]
//! writes `report.md`, `report.html`, `report.json` and `figures/*.svg` from that. Nothing is computed twice, nothing is
//! trained, and the same artifacts give the same bytes: no date, no host, no path. What a report says of a run stands in the
//! run's files; from the recipe it has names, notes, shot groups, the paper's numbers and the expected ranges alone.

#[macro_use]
#[allow(unused_imports, reason = "what is printed here one day must not end a run either")]
extern crate longtail_artifact; // `println!` that a reader who left does not end

mod choices;
mod collect;
mod eligible;
mod error;
mod escape;
mod facts;
mod figures;
mod groups;
mod html;
mod json;
mod markdown;
mod origin;
mod prediction;
mod recipe_fields;
mod render;
mod runs;
mod split_facts;
mod summary;
mod table;
mod words;

pub use choices::{Choice, ChosenBy};
pub use collect::{Collected, Exception, collect};
pub use error::ReportError;
pub use facts::exceptions;
pub use groups::{GroupSizes, Groups, group_accuracy};
pub use json::report_json;
pub use markdown::report_markdown;
pub use origin::Origin;
pub use prediction::{Prediction, predictions_file};
pub use render::{File, render};
pub use runs::{SeedRun, seed_runs};
pub use split_facts::SplitFacts;
pub use summary::{ClassPoint, RowSummary, Summary, Verdict, summarize};
pub use table::terminal_table;
