//! Errors as a person reads them: what, why, and what to do.

use std::fmt;
use std::process::ExitCode;

use crate::cli::interrupt::{Interrupted, interrupted};
use crate::{ArtifactError, print};

/// What the user can do; carried along an [`anyhow::Error`] and printed last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint(pub String);

#[derive(Debug)]
struct Hinted {
    hint: Hint,
    inner: anyhow::Error,
}

impl fmt::Display for Hinted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(formatter)
    }
}

impl std::error::Error for Hinted {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.inner.source()
    }
}

/// Adds a hint to an error.
pub trait WithHint<T> {
    /// The same result; an error also carries `hint`. The hint nearest to the cause is the one that is printed.
    ///
    /// # Errors
    /// Those of `self`.
    fn hint(self, hint: &str) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> WithHint<T> for Result<T, E> {
    fn hint(self, hint: &str) -> anyhow::Result<T> {
        self.map_err(|error| anyhow::Error::new(Hinted { hint: Hint(hint.to_owned()), inner: error.into() }))
    }
}

/// The error with the hint that its own type knows, if any: what a library's error becomes in a binary.
pub fn explained(error: impl Into<anyhow::Error>, hint: Option<String>) -> anyhow::Error {
    let inner = error.into();
    match hint {
        Some(hint) => anyhow::Error::new(Hinted { hint: Hint(hint), inner }),
        None => inner,
    }
}

/// The hint nearest to the cause.
fn find_hint(error: &anyhow::Error) -> Option<String> {
    let mut found = None;
    for cause in error.chain() {
        if let Some(hinted) = cause.downcast_ref::<Hinted>() {
            found = find_hint(&hinted.inner).or(Some(hinted.hint.0.clone())).or(found);
        } else if let Some(hint) = cause.downcast_ref::<ArtifactError>().and_then(ArtifactError::hint) {
            found = Some(hint);
        }
    }
    found
}

/// `error: …`, a `cause: …` line for each level below, `hint: …`.
pub(crate) fn render(error: &anyhow::Error) -> String {
    let mut messages: Vec<String> = Vec::new();
    for cause in error.chain() {
        let message = cause.to_string();
        // Transparent wrappers repeat their source word for word.
        if messages.last() != Some(&message) {
            messages.push(message);
        }
    }
    let mut text = String::new();
    for (level, message) in messages.iter().enumerate() {
        let label = if level == 0 { "error: " } else { "  cause: " };
        let indent = " ".repeat(label.len());
        text += &format!("{label}{}\n", message.trim_end().replace('\n', &format!("\n{indent}")));
    }
    if let Some(hint) = find_hint(error) {
        text += &format!("hint: {hint}\n");
    }
    text
}

/// [`Interrupted`] anywhere in the chain, inside hints too. A `transparent` wrapper hides it from the chain; then the flag
/// and the word together tell.
fn is_interruption(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.is::<Interrupted>()
            || cause.downcast_ref::<Hinted>().is_some_and(|hinted| is_interruption(&hinted.inner))
            || (interrupted() && cause.to_string() == Interrupted.to_string())
    })
}

/// Runs a binary: errors are rendered in our words, a panic becomes a message without a trace.
///
/// Exit codes: what `body` returns; 2 for an error or a panic, and where something that was printed could not be written; 130 after
/// [`Interrupted`]. That the reader of stdout left (`features inspect FILE | head`) changes nothing.
pub fn run_main(body: impl FnOnce() -> anyhow::Result<ExitCode>) -> ExitCode {
    std::panic::set_hook(Box::new(|info| {
        let what = match (info.payload().downcast_ref::<&str>(), info.payload().downcast_ref::<String>()) {
            (Some(text), _) => (*text).to_owned(),
            (_, Some(text)) => text.clone(),
            _ => "no message".to_owned(),
        };
        let place = info.location().map_or_else(String::new, |at| format!(" ({}:{})", at.file(), at.line()));
        eprintln!("error: this is a bug in the program: {what}{place}");
        eprintln!("hint: finished files did not change; please report the line above and the command you ran");
    }));
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)) {
        Ok(Ok(code)) => match print::finish() {
            Ok(()) => code,
            Err(error) => {
                eprintln!("error: cannot write to stdout: {error}\nhint: the work is done and its files are written");
                ExitCode::from(2)
            }
        },
        Ok(Err(error)) if is_interruption(&error) => {
            eprintln!("interrupted; run the same command again to continue");
            ExitCode::from(130)
        }
        Ok(Err(error)) => {
            eprint!("{}", render(&error));
            ExitCode::from(2)
        }
        Err(_) => ExitCode::from(2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context, anyhow};

    #[test]
    fn the_user_reads_what_why_and_what_to_do() {
        let error = Err::<(), _>(anyhow!("`x` was made for another recipe"))
            .hint("make it again")
            .context("cannot start stage `classifier`")
            .hint("a hint further from the cause")
            .expect_err("made as one");
        assert_eq!(
            render(&error),
            "error: cannot start stage `classifier`\n  cause: `x` was made for another recipe\nhint: make it again\n"
        );
    }

    #[test]
    fn an_interruption_is_found_under_context_and_hint() {
        let error = Err::<(), _>(Interrupted).hint("go on").context("stage").expect_err("made as one");
        assert!(is_interruption(&error));
        assert!(!is_interruption(&anyhow!("interrupted")), "the word alone is not enough");
    }

    #[test]
    fn an_error_of_a_file_brings_its_own_hint() {
        let error = anyhow::Error::new(ArtifactError::Locked { path: "runs/x".into() });
        assert!(render(&error).contains("hint: "), "{}", render(&error));
    }
}
