//! Ctrl-C, SIGTERM and SIGHUP: the first one asks, the second one ends.

use std::io::BufRead;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

static FLAG: AtomicBool = AtomicBool::new(false);
static FIRST_ASKED: OnceLock<Instant> = OnceLock::new();
static INSTALLED: OnceLock<()> = OnceLock::new();

/// The exit code of a run that was interrupted: 128 + SIGINT.
const INTERRUPTED_CODE: i32 = 130;
/// What comes within this time is one request: `timeout` signals a program and then its group, a terminal's end brings the kernel's SIGHUP and the
/// shell's.
const TOGETHER: Duration = Duration::from_millis(300);

/// The run was interrupted after it had saved its state; [`crate::run_main`] exits with 130.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

/// Whether somebody asked to stop: finish the step, write a checkpoint, return [`Interrupted`].
pub fn interrupted() -> bool {
    FLAG.load(Ordering::Relaxed)
}

/// Whether this is the first request; a later one ends the process.
fn ask_to_stop() -> bool {
    let first = FIRST_ASKED.get_or_init(Instant::now).elapsed();
    let again = FLAG.swap(true, Ordering::Relaxed);
    if again && first > TOGETHER {
        std::process::exit(INTERRUPTED_CODE); // writes are atomic, so this is safe at any moment
    }
    !again
}

/// The first Ctrl-C, SIGTERM (schedulers, `kill`) or SIGHUP (a closed terminal) sets the flag of [`interrupted`], the second ends the process at
/// once with 130. A SIGHUP that is ignored, as under `nohup`, stays ignored.
///
/// Under `cargo xtask` (environment `LONGTAIL_CONTROL=stdin`) the stage hears its parent through stdin instead: a line `interrupt`
/// is the first Ctrl-C, and the end of the input, which is xtask's death, ends the stage too. A scheduler may signal both; that
/// is one request, so what comes as a signal never ends such a stage at once.
pub fn install_interrupt_handler() {
    INSTALLED.get_or_init(|| {
        let has_parent = std::env::var_os("LONGTAIL_CONTROL").is_some_and(|value| value == "stdin");
        if has_parent {
            std::thread::spawn(|| {
                for line in std::io::stdin().lock().lines().map_while(Result::ok) {
                    if line.trim() == "interrupt" {
                        FLAG.store(true, Ordering::Relaxed);
                    }
                }
                std::process::exit(INTERRUPTED_CODE);
            });
        }
        let was_ignored = hangup::is_ignored();
        let installed = ctrlc::set_handler(move || {
            if has_parent {
                FLAG.store(true, Ordering::Relaxed);
            } else if ask_to_stop() {
                eprintln!("stopping after this step (press Ctrl-C again to stop at once)");
            }
        });
        if was_ignored {
            hangup::ignore();
        }
        if let Err(error) = installed {
            eprintln!("warning: Ctrl-C cannot be caught ({error}); it will end the run at once");
        }
    });
}

/// SIGHUP as our parent left it to us.
#[cfg(unix)]
mod hangup {
    /// Whether it is ignored, as `nohup` arranges.
    #[allow(unsafe_code)]
    pub fn is_ignored() -> bool {
        let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: without a new action the call only writes the present one into `action`, which zeroes are a valid value of.
        unsafe {
            libc::sigaction(libc::SIGHUP, std::ptr::null(), action.as_mut_ptr()) == 0
                && action.assume_init().sa_sigaction == libc::SIG_IGN
        }
    }

    /// Ignores it again, after a handler for all signals was installed.
    #[allow(unsafe_code)]
    pub fn ignore() {
        // SAFETY: no handler of ours is involved in ignoring a signal.
        unsafe {
            libc::signal(libc::SIGHUP, libc::SIG_IGN);
        }
    }
}

#[cfg(not(unix))]
mod hangup {
    pub fn is_ignored() -> bool {
        false
    }

    pub fn ignore() {}
}
