//! Ctrl-C: the first one asks, the second one ends.

use std::io::BufRead;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

static FLAG: AtomicBool = AtomicBool::new(false);
static INSTALLED: OnceLock<()> = OnceLock::new();

/// The exit code of a run that was interrupted: 128 + SIGINT.
const INTERRUPTED_CODE: i32 = 130;

/// The run was interrupted after it had saved its state; [`crate::run_main`] exits with 130.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

/// Whether the user asked to stop: finish the step, write a checkpoint, return [`Interrupted`].
pub fn interrupted() -> bool {
    FLAG.load(Ordering::Relaxed)
}

fn ask_to_stop() {
    if FLAG.swap(true, Ordering::Relaxed) {
        std::process::exit(INTERRUPTED_CODE); // writes are atomic, so this is safe at any moment
    }
}

/// The first Ctrl-C sets the flag of [`interrupted`], the second ends the process at once with 130.
///
/// Under `cargo xtask` (environment `LONGTAIL_CONTROL=stdin`) the stage hears its parent through stdin instead: a line `interrupt`
/// is the first Ctrl-C, and the end of the input, which is xtask's death, ends the stage too.
pub fn install_interrupt_handler() {
    INSTALLED.get_or_init(|| {
        if std::env::var_os("LONGTAIL_CONTROL").is_some_and(|value| value == "stdin") {
            std::thread::spawn(|| {
                for line in std::io::stdin().lock().lines().map_while(Result::ok) {
                    if line.trim() == "interrupt" {
                        ask_to_stop();
                    }
                }
                std::process::exit(INTERRUPTED_CODE);
            });
        }
        if let Err(error) = ctrlc::set_handler(|| {
            ask_to_stop();
            eprintln!("stopping after this step (once more: at once)");
        }) {
            eprintln!("warning: Ctrl-C cannot be caught ({error}); it will end the run at once");
        }
    });
}
