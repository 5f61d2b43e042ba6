//! The arguments of `fmt` and `lint`.

use clap::Args;

use super::SetupArgs;

#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask fmt
  cargo xtask fmt --check")]
pub struct FmtArgs {
    /// Change nothing: show what rustfmt would change, and leave with 1 if there is any
    #[arg(long)]
    pub check: bool,
    #[command(flatten)]
    pub setup: SetupArgs,
}

#[derive(Args)]
#[command(after_help = "\
Example:
  cargo xtask lint

Clippy on every target, tests and examples too, then rustdoc; a warning of either fails.")]
pub struct LintArgs {
    #[command(flatten)]
    pub setup: SetupArgs,
}
