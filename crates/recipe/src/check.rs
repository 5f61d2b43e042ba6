//! Ranges, and what is wrong with a field before its line is known.

use std::fmt::Display;

use crate::error::{RecipeError, nearest};
use crate::locate::Source;

/// A field that does not hold, by its dotted path.
#[derive(Debug)]
pub(crate) struct Problem {
    path: String,
    kind: Kind,
    /// It is about the name that the path ends in, and not about what stands under it.
    is_of_name: bool,
}

#[derive(Debug)]
enum Kind {
    Range { value: String, legal: String, source_note: String },
    Missing { key: String, expected: String },
    Unknown { key: String, legal: Vec<String> },
    Conflict { what: String, help: String },
}

impl Problem {
    /// Whether the field is known, and its value outside its range.
    pub fn is_about_a_number(&self) -> bool {
        matches!(self.kind, Kind::Range { .. })
    }

    /// The field that does not hold.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The error for a person: with file, line and column, or the `--set` it comes from.
    pub fn locate(self, source: &Source) -> RecipeError {
        let Problem { path, kind, is_of_name } = self;
        let place = Box::new(if is_of_name { source.key_place(&path) } else { source.place(&path) });
        let path = match path.split_once('.') {
            Some((map, name)) if is_of_name => format!("{map}.{name:?}"),
            _ => path,
        };
        match kind {
            Kind::Range { value, legal, source_note } => {
                RecipeError::OutOfRange { place, path, value, legal, source_note }
            }
            Kind::Missing { key, expected } => RecipeError::MissingKey { place, path, key, expected },
            Kind::Unknown { key, legal } => {
                let nearest = nearest(&key, legal.iter().map(String::as_str));
                RecipeError::UnknownKey { place, path, key, legal, nearest }
            }
            Kind::Conflict { what, help } => RecipeError::Conflict { place, path, what, help },
        }
    }
}

/// An interval of real numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    low: f64,
    high: f64,
    low_open: bool,
    high_open: bool,
}

impl Span {
    /// [low, high]
    pub const fn closed(low: f64, high: f64) -> Self {
        Span { low, high, low_open: false, high_open: false }
    }
    /// (low, high]
    pub const fn above(low: f64, high: f64) -> Self {
        Span { low, high, low_open: true, high_open: false }
    }
    /// [low, high)
    pub const fn below(low: f64, high: f64) -> Self {
        Span { low, high, low_open: false, high_open: true }
    }

    fn contains(self, value: f64) -> bool {
        // NaN compares false with everything, so it is in no span.
        (if self.low_open { value > self.low } else { value >= self.low })
            && (if self.high_open { value < self.high } else { value <= self.high })
    }

    fn words(self) -> String {
        let left = if self.low_open { '(' } else { '[' };
        let right = if self.high_open { ')' } else { ']' };
        format!("in {left}{}, {}{right}", self.low, self.high)
    }
}

/// A field's path while it is resolved.
#[derive(Debug, Clone)]
pub(crate) struct At(String);

impl At {
    /// A top-level field.
    pub fn root(key: &str) -> Self {
        At(key.to_string())
    }

    /// The field `key` below.
    pub fn key(&self, key: impl Display) -> Self {
        At(format!("{}.{key}", self.0))
    }

    /// `value` or `default`, within `legal` (both ends included).
    pub fn count(
        &self,
        key: &str,
        value: Option<usize>,
        default: usize,
        legal: std::ops::RangeInclusive<usize>,
        source: &str,
    ) -> Result<usize, Problem> {
        let value = value.unwrap_or(default);
        if legal.contains(&value) {
            return Ok(value);
        }
        let words = if legal.start() == legal.end() {
            legal.start().to_string()
        } else {
            format!("from {} to {}", legal.start(), legal.end())
        };
        Err(self.key(key).range(value, words, source))
    }

    /// `value` or `default`, within `legal`.
    pub fn real(&self, key: &str, value: Option<f64>, default: f64, legal: Span, source: &str) -> Result<f64, Problem> {
        let value = value.unwrap_or(default);
        self.key(key).in_span(value, legal, source)
    }

    /// `value` itself, within `legal`.
    pub fn in_span(&self, value: f64, legal: Span, source: &str) -> Result<f64, Problem> {
        match legal.contains(value) {
            true => Ok(value),
            // With an exponent where it is very large or small: 1e300, not 1 and 300 zeros.
            false => Err(self.range(format!("{value:?}").trim_end_matches(".0"), legal.words(), source)),
        }
    }

    /// A value outside its range.
    pub fn range(&self, value: impl Display, legal: impl Into<String>, source: &str) -> Problem {
        let kind = Kind::Range { value: value.to_string(), legal: legal.into(), source_note: source.to_string() };
        self.problem(kind)
    }

    fn problem(&self, kind: Kind) -> Problem {
        Problem { path: self.0.clone(), kind, is_of_name: false }
    }

    /// A field below that has no default and is absent.
    pub fn missing(&self, key: &str, expected: &str) -> Problem {
        let kind = Kind::Missing { key: key.to_string(), expected: expected.to_string() };
        self.problem(kind)
    }

    /// A name that leads nowhere.
    pub fn unknown(&self, name: &str, legal: Vec<String>) -> Problem {
        self.problem(Kind::Unknown { key: name.to_string(), legal })
    }

    /// A field that does not go with another.
    pub fn conflict(&self, what: impl Into<String>, help: impl Into<String>) -> Problem {
        self.problem(Kind::Conflict { what: what.into(), help: help.into() })
    }

    /// A text that reports and terminals show: lines of any words, and nothing that moves a cursor or a colour.
    pub fn shown_text(&self, text: &str) -> Result<(), Problem> {
        match text.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
            None => Ok(()),
            Some(found) => Err(self.conflict(
                format!(
                    "the text contains the control character U+{:04X}, which must not reach terminals and reports",
                    found as u32
                ),
                "take it out",
            )),
        }
    }

    /// The field below that is called `name`, which becomes a folder: see [`At::folder_name`].
    pub fn entry(&self, name: &str) -> Result<Self, Problem> {
        let at = self.key(name);
        at.folder_name(name).map_err(|problem| Problem { is_of_name: true, ..problem })?;
        Ok(at)
    }

    /// A name that becomes a folder: lower-case letters, digits, `_`, `-`, `.`, at most 64, the first a letter or digit.
    pub fn folder_name(&self, name: &str) -> Result<(), Problem> {
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-' | '.');
        let starts_well = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        if starts_well && name.len() <= 64 && name.chars().all(legal) {
            return Ok(());
        }
        Err(self.range(
            format!("`{name}`"),
            "made of a to z, 0 to 9, `_`, `-` and `.`, start with a letter or digit, and have at most 64 characters",
            "it names a folder",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_know_their_ends_and_refuse_nan() {
        assert!(Span::above(0.0, 1.0).contains(1.0) && !Span::above(0.0, 1.0).contains(0.0));
        assert!(Span::below(0.0, 1.0).contains(0.0) && !Span::below(0.0, 1.0).contains(1.0));
        assert!(!Span::closed(0.0, 1.0).contains(f64::NAN));
        assert_eq!(Span::above(0.0, 1.0).words(), "in (0, 1]");
    }

    #[test]
    fn names_that_leave_their_folder_are_refused() {
        let at = At::root("recipe");
        for bad in ["", "..", "../x", "a/b", "-a", "A", "é"] {
            assert!(at.folder_name(bad).is_err(), "{bad}");
        }
        assert!(at.folder_name("cifar100-lt_if.5").is_ok());
        assert!(at.shown_text("two lines\nwith α\t").is_ok() && at.shown_text("\u{1b}[31mred").is_err());
        for name in ["x\n\n## y", "a b", "# a", "<b>"] {
            assert!(at.folder_name(name).is_err(), "{name:?} would open a heading");
        }
    }
}
