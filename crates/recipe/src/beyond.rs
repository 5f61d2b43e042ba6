//! Whole numbers beyond 64 bits, which the YAML crate cannot hold: the range that is told of them is their field's all the same.

use crate::error::{Place, RecipeError};
use crate::whole::Recipe;

/// What is expected of a number that no field holds, until its field has been asked.
pub(crate) const EXPECTED: &str = "a number from -9223372036854775808 to 18446744073709551615";

/// `error` in the words of the field that it is about. The recipe is read once more (`again`, of text and overrides) with the largest
/// number that can be held in that one's place, and what is said then is said of the number that stands there.
pub(crate) fn in_words_of_the_field(
    error: RecipeError,
    text: &str,
    overrides: &[(String, String)],
    again: impl FnOnce(&str, &[(String, String)]) -> Result<Recipe, RecipeError>,
) -> RecipeError {
    let Some(number) = number(&error) else { return error };
    let stand_in = if number.starts_with('-') { i64::MIN.to_string() } else { u64::MAX.to_string() };
    let changed: Vec<(String, String)> =
        overrides.iter().map(|(path, value)| (path.clone(), value.replace(&number, &stand_in))).collect();
    let words = |words: String| words.replace(&stand_in, &number);
    let told = match again(&text.replace(&number, &stand_in), &changed) {
        Err(RecipeError::OutOfRange { place, path, value, legal, source_note }) if is(&value, &stand_in) => {
            RecipeError::OutOfRange { place: restored(*place, &words), path, value: number.clone(), legal, source_note }
        }
        Err(RecipeError::WrongType { place, path, found, expected, help }) if found.contains(&stand_in) => {
            RecipeError::WrongType { place: restored(*place, &words), path, found: words(found), expected, help }
        }
        Err(RecipeError::Override { path, value, what, nearest }) if what.contains(&stand_in) => {
            RecipeError::Override { path, value: words(value), what: words(what), nearest }
        }
        _ => error,
    };
    // A field that takes all that can be held, or a number that could not be put in another's place.
    match told {
        RecipeError::WrongType { place, path, found, expected, help } if expected == EXPECTED => {
            RecipeError::WrongType { place, path, found, expected: held(&number), help }
        }
        RecipeError::Override { path, value, what, nearest } => {
            RecipeError::Override { path, value, what: what.replace(EXPECTED, &held(&number)), nearest }
        }
        told => told,
    }
}

/// The number, where the error is of one.
fn number(error: &RecipeError) -> Option<String> {
    let quoted = match error {
        RecipeError::WrongType { found, expected, .. } if expected == EXPECTED => found.as_str(),
        RecipeError::Override { what, .. } => what.split_once(EXPECTED)?.1.split_once("found ")?.1,
        _ => return None,
    };
    quoted.split('`').nth(1).map(str::to_owned)
}

/// Whether a refused `value` is the number that was put in the place of another, as itself or as a real one.
fn is(value: &str, stand_in: &str) -> bool {
    value == stand_in || matches!((value.parse::<f64>(), stand_in.parse::<f64>()), (Ok(a), Ok(b)) if a == b)
}

fn restored(place: Place, words: &dyn Fn(String) -> String) -> Box<Place> {
    Box::new(match place {
        Place::Text { name, line, column, text } => Place::Text { name, line, column, text: words(text) },
        Place::Set { path, value } => Place::Set { path, value: words(value) },
        place @ Place::File { .. } => place,
    })
}

/// What a field takes at most, or at least.
fn held(number: &str) -> String {
    match number.starts_with('-') {
        true => format!("a number, {} or more", i64::MIN),
        false => format!("a number, {} or less", u64::MAX),
    }
}
