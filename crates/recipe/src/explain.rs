//! An error of parsing, with its place and a suggestion.

use crate::error::{Place, RecipeError};
use crate::locate::{Source, find, find_repeated};
use crate::said::{Said, take_apart};
use crate::suggest;

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
