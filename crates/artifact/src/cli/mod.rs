//! What every binary has in common: the command line, errors in our words, interrupts, progress bars, threads.

pub mod disk;
mod errors;
mod interrupt;
mod overrides;
mod parse;
mod progress;
mod threads;

pub use errors::{Hint, WithHint, explained, run_main};
pub use interrupt::{Interrupted, install_interrupt_handler, interrupted};
pub use overrides::overrides;
pub use parse::parse;
pub use progress::progress;
pub use threads::{MOST_THREADS, init_threads, threads_parser};
