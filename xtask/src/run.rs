//! `run STAGE NAME`: one stage, of every variant and method that the filters let through.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use longtail_artifact::cli::WithHint;

use crate::cli::{RunArgs, Stage};
use crate::plan::Filter;
use crate::session::{self, Request};

pub fn run(root: &Path, arguments: &RunArgs) -> Result<ExitCode> {
    if !arguments.method.is_empty() && arguments.stage != Stage::Classifier {
        return Err(anyhow!("--method chooses classifiers; stage `{}` has none", arguments.stage.name()))
            .hint("drop --method");
    }
    if !arguments.variant.is_empty() && arguments.stage == Stage::Report {
        return Err(anyhow!("--variant: there is one report for all variants")).hint("drop --variant");
    }
    let filter = Filter {
        variants: arguments.variant.clone(),
        methods: arguments.method.clone(),
        first: None,
        only: Some(arguments.stage),
    };
    let report = arguments.stage == Stage::Report;
    session::run(root, Request { recipe: &arguments.recipe, seeds: 1, filter, execute: &arguments.execute, report })
}
