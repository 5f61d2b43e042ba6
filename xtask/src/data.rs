//! `data check NAME`: hands over to the `datasets` binary, which alone knows the readers.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use crate::child::{self, Stdout};
use crate::cli::DataCheckArgs;
use crate::setup::{self, Need};
use crate::{binaries, stage_command, workspace};

pub fn run(root: &Path, arguments: &DataCheckArgs) -> Result<ExitCode> {
    let file = workspace::recipe_file(root, &arguments.name)?;
    workspace::read_recipe(&file, &[], None)?;
    setup::ensure(&[Need::CCompiler], arguments.setup)?;
    let binaries = binaries::build(root, &["longtail-datasets"])?;
    let words = stage_command::data_check(&file, arguments.data.as_deref(), arguments.images, arguments.json)?;
    let code = child::run(root, binaries.path("datasets")?, &words, Stdout::Inherit)?;
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(2)))
}
