//! `bench`: runs the speed examples of the crates. A group is the `examples/` folder of one crate.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Result, anyhow};
use clap::ValueEnum;
use longtail_artifact::cli::WithHint;

use crate::binaries;
use crate::child::run_tool;
use crate::cli::{BenchArgs, BenchGroup};
use crate::setup::{self, Need};

impl BenchGroup {
    fn name(self) -> &'static str {
        match self {
            BenchGroup::Ops => "ops",
            BenchGroup::Step => "step",
            BenchGroup::Mpcl => "mpcl",
            BenchGroup::Generate => "generate",
        }
    }

    /// The folder of `crates/` whose examples make up the group.
    fn crate_name(self) -> &'static str {
        match self {
            BenchGroup::Ops => "ops",
            BenchGroup::Step => "backbone",
            BenchGroup::Mpcl => "representation",
            BenchGroup::Generate => "classifier",
        }
    }
}

pub fn run(root: &Path, arguments: &BenchArgs) -> Result<ExitCode> {
    let asked_by_name = !arguments.groups.is_empty();
    let groups = if asked_by_name { arguments.groups.as_slice() } else { BenchGroup::value_variants() };
    let mut work = Vec::new();
    for group in groups {
        let examples = examples(&root.join("crates").join(group.crate_name()).join("examples"))?;
        if examples.is_empty() && asked_by_name {
            return Err(anyhow!("group `{}` has no speed example yet", group.name()))
                .hint(&format!("one is a file in crates/{}/examples/", group.crate_name()));
        }
        if examples.is_empty() {
            eprintln!("{}: no speed example yet", group.name());
        }
        work.extend(examples.into_iter().map(|example| (*group, example)));
    }
    setup::ensure(&[Need::CCompiler, Need::OpenBlas], arguments.setup)?;
    for (group, example) in work {
        println!("== {}: {example}", group.name());
        let mut command = Command::new(binaries::cargo());
        command.current_dir(root).args(["run", "--quiet", "--release", "-p"]);
        command.arg(format!("longtail-{}", group.crate_name())).args(["--example", &example]);
        if !run_tool(&mut command)? {
            return Err(anyhow!("speed example `{example}` of group `{}` failed", group.name()))
                .hint("its own message stands above");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The names of the examples in a folder, sorted; none when it does not exist.
fn examples(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    if folder.is_dir() {
        for entry in fs_err::read_dir(folder)? {
            let path = entry?.path();
            let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
            if path.extension().is_some_and(|extension| extension == "rs") {
                names.extend(stem);
            }
        }
    }
    names.sort();
    Ok(names)
}
