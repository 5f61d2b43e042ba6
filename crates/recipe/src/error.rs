//! What can be wrong with a recipe, in words for the person who wrote it.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

use crate::choices;

/// Everything that [`crate::read`] refuses, and look-ups of names that a recipe lacks.
///
/// The text names the file, line and column, quotes the line with a caret, and ends with what to do.
#[derive(Debug, Error)]
pub enum RecipeError {
    /// There is no such file.
    #[error("there is no recipe `{}`{}", path.display(), nearby(nearby_names))]
    Missing {
        /// The path that was asked for.
        path: PathBuf,
        /// Recipes in the same folder, or in `pipelines/`.
        nearby_names: Vec<String>,
    },
    /// The file could not be read.
    #[error("cannot read the recipe `{}`", path.display())]
    Io {
        /// Path of the recipe file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// More bytes than any recipe has.
    #[error("`{}` has {bytes} bytes; a recipe has at most {limit}", path.display())]
    TooLarge {
        /// Path of the recipe file.
        path: PathBuf,
        /// Size of the file in bytes.
        bytes: u64,
        /// The most that is read.
        limit: u64,
    },
    /// A byte that is not text.
    #[error("{name}:{line}:{column}: the bytes here are not UTF-8; a recipe is a UTF-8 text file")]
    NotUtf8 {
        /// Name of the recipe file.
        name: String,
        /// Line, counted from 1.
        line: usize,
        /// 1-based, in bytes.
        column: usize,
    },
    /// Text, but not as we read it.
    #[error(
        "`{name}` is {encoding} text; a recipe is UTF-8\n  = help: save it as UTF-8, or: iconv -f {encoding} -t UTF-8 {name} > utf8.yaml"
    )]
    OtherEncoding {
        /// Name of the recipe file.
        name: String,
        /// Encoding that was detected.
        encoding: &'static str,
    },
    /// No text has one: the file was cut, or is none.
    #[error(
        "{name}:{line}:{column}: a zero byte here, which a text file cannot have\n  = help: the file is damaged (an incomplete copy, a full disk) or not a recipe; copy it again, or delete everything from here on"
    )]
    NulByte {
        /// Name of the recipe file.
        name: String,
        /// Line, counted from 1.
        line: usize,
        /// 1-based, in bytes.
        column: usize,
    },
    /// A field that is named and given nothing.
    #[error("{place}: {} has no value{}\n  = help: give it a value, or leave the field out for its default; `{{}}` is an empty map", field(path), place.excerpt())]
    NoValue {
        /// File, line and column of the mistake.
        place: Box<Place>,
        /// Dotted path of the field, such as `data.imbalance_factor`.
        path: String,
    },
    /// Not YAML.
    #[error("{place}: this is not YAML: {what}{}", place.excerpt())]
    Syntax {
        /// File, line and column of the mistake.
        place: Box<Place>,
        /// The parser's words.
        what: String,
    },
    /// A key that no field has.
    #[error("{place}: {} does not accept `{key}`; it accepts {}{}{}", field(path), listed(legal), place.excerpt(), suggestion(nearest))]
    UnknownKey {
        /// File, line and column of the mistake.
        place: Box<Place>,
        /// The field that holds the key; empty at the top.
        path: String,
        /// The unknown key, or the unknown choice.
        key: String,
        /// What is accepted there.
        legal: Vec<String>,
        /// The accepted word closest to it.
        nearest: Option<String>,
    },
    /// A value of another type than the field takes.
    #[error("{place}: {} must be {expected}, found {found}{}{}", field(path), place.excerpt(), helped(help))]
    WrongType {
        /// File, line and column of the mistake.
        place: Box<Place>,
        /// Dotted path of the field, such as `data.imbalance_factor`.
        path: String,
        /// What stands there.
        found: String,
        /// What may stand there.
        expected: String,
        /// How to write it, where that is plain.
        help: Option<String>,
    },
    /// A field without a default is not there.
    #[error("{place}: {} needs `{key}`: {expected}{}", field(path), place.excerpt())]
    MissingKey {
        /// Where it is missing from.
        place: Box<Place>,
        /// The field that needs it; empty at the top.
        path: String,
        /// Name of the missing field.
        key: String,
        /// What it may be.
        expected: String,
    },
    /// A number outside its range.
    #[error("{place}: {} is {value}, but must be {legal} ({source_note}){}", field(path), place.excerpt())]
    OutOfRange {
        /// File, line and column of the mistake.
        place: Box<Place>,
        /// Dotted path of the field, such as `data.imbalance_factor`.
        path: String,
        /// The value that was given, or followed from a default.
        value: String,
        /// The legal range in words.
        legal: String,
        /// Why, or by which source.
        source_note: String,
    },
    /// Fields that do not go together.
    #[error("{place}: {}: {what}{}\n  = help: {help}", field(path), place.excerpt())]
    Conflict {
        /// File, line and column of the mistake.
        place: Box<Place>,
        /// Dotted path of the field, such as `data.imbalance_factor`.
        path: String,
        /// What does not fit, and why.
        what: String,
        /// What to change.
        help: String,
    },
    /// A `--set` whose path leads nowhere.
    #[error("--set {path}={value}: {what}{}", suggestion(nearest))]
    Override {
        /// Path as given to `--set`.
        path: String,
        /// Value as given to `--set`.
        value: String,
        /// What is wrong.
        what: String,
        /// The path that may have been meant.
        nearest: Option<String>,
    },
    /// A variant or method that the recipe does not have.
    #[error("recipe `{recipe}` has no {kind} `{name}`; it has {}{}", listed(known), suggestion(nearest))]
    UnknownName {
        /// Name of the recipe.
        recipe: String,
        /// `representation` or `classifier`.
        kind: &'static str,
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
        /// The closest of those.
        nearest: Option<String>,
    },
}

/// Where in a recipe something stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the text.
    Text {
        /// The file, as the caller named it.
        name: String,
        /// Line, counted from 1.
        line: usize,
        /// 1-based, in characters.
        column: usize,
        /// Full text of the line.
        text: String,
    },
    /// In an override.
    Set {
        /// The path before the `=`.
        path: String,
        /// The YAML after it.
        value: String,
    },
    /// Somewhere in the file.
    File {
        /// The file, as the caller named it.
        name: String,
    },
}

impl Place {
    /// The quoted line with a caret under the column, or nothing.
    fn excerpt(&self) -> String {
        let Place::Text { line, column, text, .. } = self else {
            return String::new();
        };
        // Long lines are shown around the column; a tab is one column for the parser, so it is shown as one.
        const BEFORE: usize = 60;
        const AFTER: usize = 40;
        let start = column.saturating_sub(1).saturating_sub(BEFORE);
        let shown: String =
            text.chars().skip(start).take(BEFORE + AFTER).map(|c| if c.is_control() { ' ' } else { c }).collect();
        let margin = " ".repeat(line.to_string().len());
        let caret = " ".repeat(column.saturating_sub(1).saturating_sub(start));
        format!("\n{margin} |\n{line} | {}\n{margin} | {caret}^", shown.trim_end())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Text { name, line, column, .. } => write!(f, "{name}:{line}:{column}"),
            Place::Set { path, value } => write!(f, "from --set {path}={value}"),
            Place::File { name } => f.write_str(name),
        }
    }
}

fn field(path: &str) -> String {
    if path.is_empty() { "the recipe".to_string() } else { format!("`{path}`") }
}

fn suggestion(nearest: &Option<String>) -> String {
    nearest.as_ref().map_or_else(String::new, |name| format!("\n  = help: did you mean `{name}`?"))
}

fn helped(help: &Option<String>) -> String {
    help.as_ref().map_or_else(String::new, |help| format!("\n  = help: {help}"))
}

fn nearby(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!("; there are {}", listed(names)) }
}

/// `a`, `b` or `c`.
pub(crate) fn listed(names: &[String]) -> String {
    match names {
        [] => "nothing".to_string(),
        [one] => format!("`{one}`"),
        [first @ .., last] => {
            let first: Vec<String> = first.iter().map(|name| format!("`{name}`")).collect();
            format!("{} or `{last}`", first.join(", "))
        }
    }
}

/// The candidate closest to `word`, if one is close enough to be a slip of the finger.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    near(word, candidates).into_iter().next().map(str::to_string)
}

/// All candidates that are close enough to `word`, the closest first, equals in the list's order.
pub(crate) fn near<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let renamed = choices::renamed(word);
    let score = |candidate: &str| match renamed == Some(candidate) {
        true => 2.0,
        false => strsim::normalized_damerau_levenshtein(word, candidate),
    };
    let scored = candidates.into_iter().map(|candidate| (score(candidate), candidate));
    let mut near: Vec<(f64, &str)> = scored.filter(|(score, _)| *score >= 0.5).collect();
    near.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    near.into_iter().map(|(_, candidate)| candidate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_takes_a_slip_and_leaves_a_stranger() {
        assert_eq!(nearest("epoch", ["epochs", "lr"]), Some("epochs".to_string()));
        assert_eq!(nearest("zzz", ["epochs", "lr"]), None);
    }

    #[test]
    fn nearest_knows_old_names() {
        let words = ["resnet50", "resnet101", "cifar_resnet"];
        assert_eq!(nearest("resnet", words), Some("cifar_resnet".to_string()));
        assert_eq!(nearest("resnet5", words), Some("resnet50".to_string()));
        assert_eq!(nearest("resnet32", words), Some("cifar_resnet".to_string()));
        assert_eq!(near("resnet10", words), ["resnet101", "resnet50"]);
    }

    #[test]
    fn the_caret_stands_under_the_column_of_a_long_line() {
        let place = Place::Text { name: "r.yaml".into(), line: 7, column: 151, text: format!("{}x", "a".repeat(150)) };
        let excerpt = place.excerpt();
        let lines: Vec<&str> = excerpt.lines().collect();
        let caret = lines[3].find('^').expect("a caret");
        assert_eq!(lines[2].as_bytes()[caret], b'x');
    }
}
