//! serde_yaml's errors in our words.

use crate::beyond;
use crate::error::{Place, RecipeError};
use crate::locate::{Source, find, find_repeated};
use crate::numbers::{Wanted, advice};
use crate::suggest;

/// What serde says, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// An unknown field or variant.
    Unknown { path: String, key: String, legal: Vec<String> },
    /// A wrong type, or a number the type cannot hold.
    Type { path: String, found: String, expected: String, help: Option<String> },
    /// A key twice in one map.
    Duplicate { path: String, key: String },
    /// Any other problem, in the words of the parser.
    Other(String),
}

impl Said {
    /// The field that it is about, where serde said.
    pub fn path(&self) -> Option<&str> {
        match self {
            Said::Unknown { path, .. } | Said::Type { path, .. } | Said::Duplicate { path, .. } => Some(path),
            Said::Other(_) => None,
        }
    }
}

/// Stands for the words of a choice until they are known: see [`suggest::completed`].
pub(crate) const ITS_CHOICES: &str = "one of its choices";

/// An error of parsing `source`'s text.
pub(crate) fn explain(source: &Source, error: &serde_yaml::Error) -> RecipeError {
    let tree = || serde_yaml::from_str(source.text).unwrap_or_default();
    let said = suggest::completed(take_apart(&error.to_string()), tree);
    // serde_yaml points at the start of the map that has a key twice.
    let repeated = match &said {
        Said::Duplicate { path, key } => find_repeated(source.text, path, key),
        _ => None,
    };
    let location = repeated.or_else(|| error.location().map(|location| (location.line(), location.column())));
    // Of some values the parser does not say where they stand; then the path does.
    let location = location.or_else(|| said.path().and_then(|path| find(source.text, path)));
    let place = Box::new(match location {
        Some(location) => source.text_place(location),
        None => Place::File { name: source.name.to_string() },
    });
    match said {
        Said::Unknown { path, key, legal } => {
            let nearest = suggest::in_file(source.text, &path, &key, &legal);
            RecipeError::UnknownKey { place, path, key, legal, nearest }
        }
        Said::Type { path, found, expected, help } => RecipeError::WrongType { place, path, found, expected, help },
        Said::Duplicate { path, key } => RecipeError::Conflict {
            place,
            path,
            what: format!("`{key}` is given twice"),
            help: "keep one of the two".to_string(),
        },
        Said::Other(what) => {
            let what = if is_tab(&place) { format!("{what}: there is a tab here; indent with spaces") } else { what };
            RecipeError::Syntax { place, what }
        }
    }
}

/// Whether a line is indented with a tab up to the place, which YAML does not allow.
fn is_tab(place: &Place) -> bool {
    match place {
        Place::Text { text, column, .. } => text.chars().take(*column).any(|c| c == '\t'),
        _ => false,
    }
}

/// Splits a message of serde_yaml into its path, kind and words.
pub(crate) fn take_apart(message: &str) -> Said {
    let message = without_location(message);
    const KINDS: [&str; 8] = [
        "unknown field ",
        "unknown variant ",
        "invalid type: ",
        "invalid value: ",
        "invalid length ",
        "duplicate field ",
        "duplicate entry ",
        "unknown entry ",
    ];
    let Some((start, kind)) =
        KINDS.iter().filter_map(|kind| message.find(kind).map(|start| (start, *kind))).min_by_key(|(start, _)| *start)
    else {
        return Said::Other(message.to_string());
    };
    let path = dotted(message[..start].trim_end_matches(": "));
    let words = &message[start + kind.len()..];
    match kind {
        "unknown field " | "unknown variant " => {
            let mut quoted = in_backticks(words).into_iter();
            let key = quoted.next().unwrap_or_default();
            Said::Unknown { path, key, legal: quoted.collect() }
        }
        "duplicate field " | "duplicate entry " => Said::Duplicate { path, key: quoted_word(words) },
        "invalid length " => {
            let (found, expected) = words.split_once(", expected ").unwrap_or((words, ""));
            Said::Type { path, found: format!("a list of {found}"), expected: expected_in_words(expected), help: None }
        }
        _ => {
            let (found, expected) = words.rsplit_once(", expected ").unwrap_or((words, ""));
            // A whole number that is refused where one is wanted is written well, and out of the type's range.
            let wanted =
                Wanted::of(expected).filter(|wanted| *wanted != Wanted::Whole || !found.trim().starts_with("integer "));
            let help = value_of(found).zip(wanted).and_then(|(value, wanted)| advice(value, wanted));
            let found = match (found_in_words(found), expected) {
                (map, "map with a single key") if map == "a map" => "a map of several keys".to_string(),
                (found, _) => found,
            };
            Said::Type { path, found, expected: expected_in_words(expected), help }
        }
    }
}

/// The message without serde_yaml's own first " at line 3 column 4".
fn without_location(message: &str) -> &str {
    match message.rfind(" at line ") {
        Some(end) if message[end..].contains(" column ") && !message[end..].contains('`') => &message[..end],
        _ => message,
    }
}

/// `rows[0].paper` as `rows.0.paper`, the form that `--set` takes.
fn dotted(path: &str) -> String {
    path.replace('[', ".").replace(']', "")
}

fn in_backticks(words: &str) -> Vec<String> {
    words.split('`').skip(1).step_by(2).map(str::to_string).collect()
}

fn quoted_word(words: &str) -> String {
    words.split(['`', '"']).nth(1).unwrap_or(words).to_string()
}

fn found_in_words(found: &str) -> String {
    let found = found.trim();
    match found {
        "unit value" | "Option value" => "nothing".to_string(),
        "map" => "a map".to_string(),
        "sequence" => "a list".to_string(),
        "unit variant" => "a word alone".to_string(),
        "newtype variant" => "a map".to_string(),
        _ => value_of(found).map_or_else(|| found.to_string(), |value| format!("`{value}`")),
    }
}

/// The scalar that serde found, as it stands in the file but for quotes.
fn value_of(found: &str) -> Option<&str> {
    let value = ["string ", "integer ", "floating point ", "boolean "]
        .iter()
        .find_map(|kind| found.trim().strip_prefix(kind))?;
    // A number beyond 64 bits comes with its type behind it.
    let value = value.trim_end_matches(" as u128").trim_end_matches(" as i128");
    Some(value.trim_matches(['`', '"']))
}

fn expected_in_words(expected: &str) -> String {
    match expected.trim() {
        "usize" | "u64" => "a whole number, 0 or more".to_string(),
        "u32" => "a whole number from 0 to 4294967295".to_string(),
        "f64" | "f32" => "a number".to_string(),
        // Of a number beyond 64 bits, which no field takes.
        "any YAML value" => beyond::EXPECTED.to_string(),
        "a boolean" => "true or false".to_string(),
        "a string" => "text".to_string(),
        "a sequence" => "a list".to_string(),
        "an array of length 2" => "a list of two numbers, [low, high]".to_string(),
        "a map" => "a map of names".to_string(),
        other if other.starts_with("struct ") => "a map of settings".to_string(),
        other if other.contains("variant") || other.contains("enum") || other == "map with a single key" => {
            ITS_CHOICES.to_string()
        }
        "" => "something else".to_string(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_path_and_the_words() {
        assert_eq!(
            take_apart("rows[0].paper.al: invalid type: string \"x at line 2\", expected f64 at line 3 column 4"),
            Said::Type {
                path: "rows.0.paper.al".into(),
                found: "`x at line 2`".into(),
                expected: "a number".into(),
                help: None
            }
        );
        assert_eq!(
            take_apart("data: unknown field `sed`, expected `seed` or `set` at line 1 column 1"),
            Said::Unknown { path: "data".into(), key: "sed".into(), legal: vec!["seed".into(), "set".into()] }
        );
        assert_eq!(take_apart("did not find expected key"), Said::Other("did not find expected key".into()));
    }
}
