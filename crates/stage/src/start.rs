//! How a stage's program starts, before it knows what to do.

use std::process::ExitCode;

use clap::Parser;
use longtail_artifact::{ArtifactError, init_threads, install_interrupt_handler};

use crate::StageArgs;

/// `main` of a stage's program: its command line, a processor that can run the kernels, then `body`; errors in our words.
///
/// Exit codes: [`longtail_artifact::run_main`]'s.
pub fn run_main<Cli: Parser>(body: impl FnOnce(Cli) -> anyhow::Result<ExitCode>) -> ExitCode {
    longtail_artifact::run_main(|| {
        let cli = longtail_artifact::cli::parse();
        longtail_ops::check_simd()?;
        body(cli)
    })
}

impl StageArgs {
    /// Threads, and from here on a Ctrl-C asks for a checkpoint first. Of the stage alone: a tool has nothing to save, and ends at once.
    ///
    /// # Errors
    /// A number of threads that cannot be.
    pub fn prepare(&self) -> Result<(), ArtifactError> {
        init_threads(self.threads)?;
        install_interrupt_handler();
        Ok(())
    }
}
