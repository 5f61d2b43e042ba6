//! `cargo xtask …`: parses, finds the root, and hands over to one file a verb. Order and words only, no mathematics.

#[macro_use]
extern crate longtail_artifact; // `println!` that a reader who left does not end

mod asan;
mod bench;
mod binaries;
mod bundle;
mod child;
mod cli;
mod cuda;
mod data;
mod doctor;
mod done;
mod estimate;
mod fetch;
mod fits;
mod fmt;
mod images;
mod lint;
mod list;
mod openblas;
mod plan;
mod plan_view;
mod reproduce;
mod run;
mod run_lock;
mod seeds;
mod session;
mod setup;
mod simd;
mod stage_command;
mod stage_device;
mod status;
mod test;
mod timings;
mod workspace;

use std::process::ExitCode;

use crate::cli::{Cli, DataVerb, Verb};

fn main() -> ExitCode {
    longtail_artifact::cli::run_main(|| {
        let cli: Cli = longtail_artifact::cli::parse();
        let root = workspace::root()?;
        match cli.verb {
            Verb::Reproduce(arguments) => reproduce::run(&root, &arguments),
            Verb::Run(arguments) => run::run(&root, &arguments),
            Verb::Status(arguments) => status::run(&root, &arguments),
            Verb::List(arguments) => list::run(&root, &arguments),
            Verb::Doctor(arguments) => doctor::run(&root, &arguments),
            Verb::Data(DataVerb::Check(arguments)) => data::check(&root, &arguments),
            Verb::Data(DataVerb::Synthesize(arguments)) => data::synthesize(&root, &arguments),
            Verb::Data(DataVerb::Pack(arguments)) => data::pack(&root, &arguments),
            Verb::Bundle(arguments) => bundle::run(&root, &arguments),
            Verb::Test(arguments) => test::run(&root, &arguments),
            Verb::Fmt(arguments) => fmt::run(&root, &arguments),
            Verb::Lint(arguments) => lint::run(&root, &arguments),
            Verb::Bench(arguments) => bench::run(&root, &arguments),
        }
    })
}
