//! The command line, with words that a person understands where a number is none.

use std::num::{IntErrorKind, ParseIntError};

use clap::error::{ContextKind, ContextValue};
use clap::{Command, Parser};

/// `Cli::parse()` in our words: `--seed -1` is a wrong number and not an unknown flag, and a number that is none is told what it must be.
///
/// Prints help or the error itself, and ends the process, with 0 or 2.
pub fn parse<Cli: Parser>() -> Cli {
    let arguments = std::env::args_os();
    let matches = with_negative_numbers(Cli::command()).try_get_matches_from(arguments);
    let parsed = matches.map_err(explained).and_then(|matches| Cli::from_arg_matches(&matches));
    parsed.unwrap_or_else(|error| error.exit())
}

/// Lets every option take `-1`, so that what reads its value can say why it is none.
fn with_negative_numbers(command: Command) -> Command {
    let command = command.mut_args(|argument| {
        let takes_a_value = argument.get_long().is_some() && argument.get_action().takes_values();
        if takes_a_value { argument.allow_negative_numbers(true) } else { argument }
    });
    command.mut_subcommands(with_negative_numbers)
}

/// The error, with what a whole number must be in place of the standard library's words.
fn explained(error: clap::Error) -> clap::Error {
    let cause = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref::<ParseIntError>());
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let (Some(cause), Some(option), Some(value)) =
        (cause, text(ContextKind::InvalidArg), text(ContextKind::InvalidValue))
    else {
        return error;
    };
    let why = match cause.kind() {
        IntErrorKind::PosOverflow => format!("`{value}` is too large; the largest is {}", u64::MAX),
        _ => format!("`{value}` is not a whole number of 0 or more"),
    };
    clap::Error::raw(error.kind(), format!("`{option}`: {why}\n\nFor more information, try '--help'.\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, FromArgMatches};

    #[derive(Parser)]
    struct Cli {
        #[command(subcommand)]
        verb: Verb,
    }

    #[derive(clap::Subcommand)]
    enum Verb {
        Go {
            #[arg(long)]
            seed: u64,
            #[arg(long, value_parser = clap::value_parser!(u32).range(1..=9))]
            threads: Option<u32>,
        },
    }

    fn refusal(words: &[&str]) -> String {
        let matches = with_negative_numbers(Cli::command()).try_get_matches_from([&["x", "go"], words].concat());
        explained(matches.expect_err("no number")).to_string()
    }

    #[test]
    fn a_number_that_is_none_is_told_what_it_must_be() {
        assert!(
            refusal(&["--seed", "-1"]).starts_with("error: `--seed <SEED>`: `-1` is not a whole number of 0 or more\n")
        );
        assert!(refusal(&["--seed", "1.5"]).contains("`1.5` is not a whole number"));
        assert!(
            refusal(&["--seed", "99999999999999999999"]).contains("is too large; the largest is 18446744073709551615")
        );
        assert!(refusal(&["--seed", "1", "--threads", "-3"]).contains("-3 is not in 1..=9"));
        assert!(refusal(&["--seed", "1", "-1"]).contains("unexpected argument"));
        let fine = with_negative_numbers(Cli::command()).try_get_matches_from(["x", "go", "--seed", "7"]);
        let Verb::Go { seed, threads } = Cli::from_arg_matches(&fine.expect("parses")).expect("typed").verb;
        assert_eq!((seed, threads), (7, None));
    }
}
