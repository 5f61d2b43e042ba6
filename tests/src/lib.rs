//! What the end-to-end tests share: the real binaries, built once; the tiny recipe; stages run and killed; runs compared.
//!
//! The tests themselves are in `tests/`. Helpers panic where a test would: nothing here is for other code.

mod binaries;
mod compare;
mod corrupt;
mod png;
mod quoted;
mod stages;
mod tiny;
mod workspace;

pub use binaries::{PREBUILT_VARIABLE, binary, xtask};
pub use compare::{artifacts, assert_same_bits, snapshot};
pub use corrupt::{Corruption, corrupt};
pub use png::png;
pub use quoted::{Quoted, Text, quoted_commands};
pub use stages::{Kills, Outcome, Stage, finish, has_checkpoint, run_all, run_killed, stage_command};
pub use tiny::{TinyRun, tiny_recipe};
pub use workspace::{root, tracked_files};
