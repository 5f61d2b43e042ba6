//! `println!`, `print!`, `eprintln!` and `eprint!` for programs whose reader may leave.
//!
//! The standard library's panic when nobody reads any more: `cargo xtask reproduce … | head -n 1` would end a run at its second line,
//! and a terminal that is closed would end it before its checkpoint is written. Ours go on with the work. A crate with a program takes them with
//! `#[macro_use] extern crate longtail_artifact;` in its root, and calls them as usual.

use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::sync::Mutex;

/// What became of stdout.
#[derive(Debug)]
enum Stdout {
    /// All that was printed was written.
    Open,
    /// Whoever read it has all that was wanted.
    Left,
    /// It cannot be written, which somebody should know.
    Failed(io::Error),
}

static STDOUT: Mutex<Stdout> = Mutex::new(Stdout::Open);

fn note(result: io::Result<()>, stdout: &mut Stdout) {
    if let Err(error) = result {
        *stdout = if is_gone(&error) { Stdout::Left } else { Stdout::Failed(error) };
    }
}

/// A pipe without a reader, or a terminal that was closed.
fn is_gone(error: &io::Error) -> bool {
    const INPUT_OUTPUT_ERROR: i32 = 5;
    error.kind() == ErrorKind::BrokenPipe || cfg!(unix) && error.raw_os_error() == Some(INPUT_OUTPUT_ERROR)
}

/// Writes to stdout; after the first failure, nothing any more.
#[doc(hidden)]
pub fn to_stdout(words: fmt::Arguments<'_>) {
    let mut stdout = STDOUT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if matches!(*stdout, Stdout::Open) {
        note(io::stdout().write_fmt(words), &mut stdout);
    }
}

/// Writes to stderr. Nobody can be told where that fails.
#[doc(hidden)]
pub fn to_stderr(words: fmt::Arguments<'_>) {
    let _ = io::stderr().write_fmt(words);
}

/// Writes what is still held back of stdout.
///
/// # Errors
/// Something that was printed could not be written, for another reason than that its reader left.
pub(crate) fn finish() -> Result<(), io::Error> {
    let mut stdout = STDOUT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if matches!(*stdout, Stdout::Open) {
        note(io::stdout().flush(), &mut stdout);
    }
    match std::mem::replace(&mut *stdout, Stdout::Left) {
        Stdout::Failed(error) => Err(error),
        Stdout::Open | Stdout::Left => Ok(()),
    }
}

/// As the standard library's, but a reader that left ends nothing.
#[macro_export]
macro_rules! print {
    ($($words:tt)*) => { $crate::print::to_stdout(::std::format_args!($($words)*)) };
}

/// As the standard library's, but a reader that left ends nothing.
#[macro_export]
macro_rules! println {
    () => { $crate::print::to_stdout(::std::format_args!("\n")) };
    ($($words:tt)*) => { $crate::print::to_stdout(::std::format_args!("{}\n", ::std::format_args!($($words)*))) };
}

/// As the standard library's, but a closed terminal ends nothing.
#[macro_export]
macro_rules! eprint {
    ($($words:tt)*) => { $crate::print::to_stderr(::std::format_args!($($words)*)) };
}

/// As the standard library's, but a closed terminal ends nothing.
#[macro_export]
macro_rules! eprintln {
    () => { $crate::print::to_stderr(::std::format_args!("\n")) };
    ($($words:tt)*) => { $crate::print::to_stderr(::std::format_args!("{}\n", ::std::format_args!($($words)*))) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_left_is_no_failure_and_a_full_disk_is_one() {
        for (error, left) in [
            (io::Error::from(ErrorKind::BrokenPipe), true),
            (io::Error::from(ErrorKind::StorageFull), false),
            (io::Error::other("wires cut"), false),
        ] {
            let mut stdout = Stdout::Open;
            note(Err(error), &mut stdout);
            assert_eq!(matches!(stdout, Stdout::Left), left, "{stdout:?}");
        }
    }
}
