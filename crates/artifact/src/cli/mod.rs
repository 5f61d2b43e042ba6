//! What every binary has in common: arguments, errors in our words, interrupts, progress bars, threads.

mod args;
pub mod disk;
mod errors;
mod interrupt;
mod parse;
mod progress;
mod threads;

pub use args::{StageArgs, overrides};
pub use errors::{Hint, WithHint, run_main};
pub use interrupt::{Interrupted, install_interrupt_handler, interrupted};
pub use parse::parse;
pub use progress::progress;
pub use threads::{MOST_THREADS, init_threads, threads_parser};
