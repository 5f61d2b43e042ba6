//! `reproduce NAME`: every stage that the recipe's rows need, then the report.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use crate::cli::{ReproduceArgs, Stage};
use crate::plan::Filter;
use crate::session::{self, Request};

pub fn run(root: &Path, arguments: &ReproduceArgs) -> Result<ExitCode> {
    let filter = Filter { first: arguments.from.filter(|stage| *stage != Stage::Representation), ..Filter::default() };
    session::run(
        root,
        Request {
            recipe: &arguments.recipe,
            seeds: arguments.seeds,
            filter,
            execute: &arguments.execute,
            report: true,
        },
    )
}
