//! What every binary has in common: arguments, errors in our words, interrupts, progress bars, threads.

mod args;
pub mod disk;
mod errors;
mod interrupt;
mod progress;
mod threads;

pub use args::{StageArgs, overrides};
pub use errors::{Hint, WithHint, run_main};
pub use interrupt::{Interrupted, install_interrupt_handler, interrupted};
pub use progress::progress;
pub use threads::init_threads;
