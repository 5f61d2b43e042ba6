//! What may have been meant, of which nothing is said that would be refused in its turn.

use serde_yaml::{Mapping, Value};

use crate::error::nearest;
use crate::explain::{Said, take_apart};
use crate::merge::merge_defaults;
use crate::raw::RawRecipe;
use crate::read::typed;
use crate::resolve::resolve;
use crate::without_value;

/// Whether a recipe's tree would be taken. A number out of its range is a mistake of its own, and no reason to keep silent
/// about the field's name; where the recipe was no whole one to begin with (`before`), types alone are asked for.
pub(crate) fn is_accepted(before: &Value, tree: &Value) -> bool {
    let resolved = |tree: &Value| {
        let mut tree = tree.clone();
        merge_defaults(&mut tree);
        let raw = typed(&tree).ok()?;
        match resolve(raw, "recipe") {
            Ok(_) => Some(true),
            Err(problem) => Some(problem.is_about_a_number()),
        }
    };
    typed(tree).is_ok()
        && without_value::first(tree).is_none()
        && (resolved(before) != Some(true) || resolved(tree) == Some(true))
}

/// The word for `key` at dotted `path` of a file's tree: of `legal`, near to it, not there yet, and accepted. A choice that stands
/// as a word alone may have to become a map, and is then written as one.
pub(crate) fn in_file(text: &str, path: &str, key: &str, legal: &[String]) -> Option<String> {
    let tree: Value = serde_yaml::from_str(text).ok()?;
    let there = at(&tree, path)?;
    let free = legal.iter().map(String::as_str).filter(|word| there.get(*word).is_none());
    let best = nearest(key, free)?;
    let forms = match there {
        Value::String(_) => {
            let map = |value: Value| Value::Mapping(Mapping::from_iter([(best.as_str().into(), value)]));
            vec![best.as_str().into(), map(Mapping::new().into()), map(32.into())]
        }
        Value::Mapping(entries) => {
            let renamed = |(name, value): (&Value, &Value)| match name.as_str() == Some(key) {
                true => (best.as_str().into(), value.clone()),
                false => (name.clone(), value.clone()),
            };
            vec![entries.iter().map(renamed).collect::<Mapping>().into()]
        }
        _ => return None,
    };
    let form = forms.into_iter().find(|form| {
        let mut changed = tree.clone();
        if let Some(place) = at_mut(&mut changed, path) {
            *place = form.clone();
        }
        // Another mistake elsewhere is no fault of this word.
        mistake(&changed).is_none_or(|said| match said {
            Said::Unknown { path: other, .. }
            | Said::Type { path: other, .. }
            | Said::Duplicate { path: other, .. } => !other.starts_with(path),
            Said::Other(_) => false,
        })
    })?;
    Some(if there.is_string() { in_line(&form) } else { best })
}

/// What is wrong with a tree's types, with its path: errors of text have one, those of trees have none.
fn mistake(tree: &Value) -> Option<Said> {
    let text = serde_yaml::to_string(tree).ok()?;
    let reader = serde_yaml::Deserializer::from_str(&text);
    let checked: Result<RawRecipe, _> = serde_yaml::with::singleton_map_recursive::deserialize(reader);
    checked.err().map(|error| take_apart(&error.to_string()))
}

/// A value as YAML in one line.
pub(crate) fn in_line(value: &Value) -> String {
    match value {
        Value::Mapping(entries) => {
            let entries: Vec<String> =
                entries.iter().map(|(key, value)| format!("{}: {}", in_line(key), in_line(value))).collect();
            format!("{{{}}}", entries.join(", "))
        }
        Value::Sequence(items) => format!("[{}]", items.iter().map(in_line).collect::<Vec<_>>().join(", ")),
        scalar => serde_yaml::to_string(scalar).unwrap_or_default().trim().to_string(),
    }
}

fn at<'a>(tree: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').filter(|step| !step.is_empty()).try_fold(tree, |here, step| match here {
        Value::Sequence(items) => items.get(step.parse::<usize>().ok()?),
        other => other.get(step),
    })
}

fn at_mut<'a>(tree: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    path.split('.').filter(|step| !step.is_empty()).try_fold(tree, |here, step| match here {
        Value::Sequence(items) => items.get_mut(step.parse::<usize>().ok()?),
        other => other.get_mut(step),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_fits_in_a_line() {
        let value: Value = serde_yaml::from_str("a:\n  b: [1, 0.5]\n  c: {}\nd: word").expect("YAML");
        assert_eq!(in_line(&value), "{a: {b: [1, 0.5], c: {}}, d: word}");
    }
}
