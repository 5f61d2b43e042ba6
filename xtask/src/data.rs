//! `data check NAME`, `data synthesize LAYOUT` and `data pack NAME`: hand over to the `datasets` binary, which alone knows layouts and readers.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use crate::binaries::{self, Gpus};
use crate::child::{self, Stdout};
use crate::cli::{DataCheckArgs, DataPackArgs, DataSynthesizeArgs, SetupArgs};
use crate::setup::{self, Need};
use crate::{stage_command, workspace};

pub fn check(root: &Path, arguments: &DataCheckArgs) -> Result<ExitCode> {
    let file = workspace::recipe_file(root, &arguments.name)?;
    workspace::read_recipe(&file, &arguments.set, None)?;
    let (data, set) = (arguments.data.as_deref(), &arguments.set);
    let words = stage_command::data_check(&file, data, set, arguments.images, false, arguments.json)?;
    hand_over(root, arguments.setup, &words)
}

pub fn synthesize(root: &Path, arguments: &DataSynthesizeArgs) -> Result<ExitCode> {
    hand_over(root, arguments.setup, &stage_command::data_synthesize(arguments)?)
}

pub fn pack(root: &Path, arguments: &DataPackArgs) -> Result<ExitCode> {
    let file = workspace::recipe_file(root, &arguments.name)?;
    workspace::read_recipe(&file, &arguments.set, None)?;
    hand_over(root, arguments.setup, &stage_command::data_pack(&file, arguments)?)
}

fn hand_over(root: &Path, setup: SetupArgs, words: &[OsString]) -> Result<ExitCode> {
    setup::ensure(&[Need::CCompiler], setup)?;
    let binaries = binaries::build(root, &["longtail-datasets"], Gpus::No)?;
    let code = child::run(root, binaries.path("datasets")?, words, Stdout::Inherit)?;
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(2)))
}
