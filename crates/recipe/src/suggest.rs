//! What may have been meant, of which nothing is said that would be refused in its turn.

use serde_yaml::{Mapping, Value};

use crate::choices;
use crate::error::{listed, near};
use crate::locate::{below, entry, shared};
use crate::merge::merge_defaults;
use crate::said::{ITS_CHOICES, Said, take_apart};
use crate::whole::resolve;
use crate::whole::{RawRecipe, typed};
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
    in_tree(&serde_yaml::from_str(text).ok()?, path, key, legal)
}

/// The same in a tree.
pub(crate) fn in_tree(tree: &Value, path: &str, key: &str, legal: &[String]) -> Option<String> {
    let there = at(tree, root_or(path))?;
    let free = legal.iter().map(String::as_str).filter(|word| there.get(*word).is_none());
    near(key, free).into_iter().find_map(|word| {
        let forms = match there {
            Value::String(_) => forms(word, choices::depth(key).filter(|_| choices::renamed(key) == Some(word))),
            Value::Mapping(entries) => {
                let renamed = |(name, value): (&Value, &Value)| match name.as_str() == Some(key) {
                    true => (word.into(), value.clone()),
                    false => (name.clone(), value.clone()),
                };
                vec![entries.iter().map(renamed).collect::<Mapping>().into()]
            }
            _ => return None,
        };
        let form = forms.into_iter().find(|form| is_sound(&with(tree, path, form), path))?;
        Some(if there.is_string() { in_line(&form) } else { word.to_string() })
    })
}

/// A choice as a word alone, and as a map with settings: those of an example, or the depth that stood behind an old name.
fn forms(word: &str, depth: Option<(&str, usize)>) -> Vec<Value> {
    let settings = match depth {
        Some((_, depth)) => depth.into(),
        None => serde_yaml::from_str(choices::example(word)).unwrap_or_default(),
    };
    vec![word.into(), Mapping::from_iter([(word.into(), settings)]).into()]
}

/// What serde left open: where a value stands that it named no path of, and the words of a choice.
pub(crate) fn completed(said: Said, tree: impl FnOnce() -> Value) -> Said {
    let Said::Type { path, found, expected, help } = said else {
        return said;
    };
    if !path.is_empty() && expected != ITS_CHOICES {
        return Said::Type { path, found, expected, help };
    }
    let tree = tree();
    let path = if path.is_empty() { blamed(&tree).unwrap_or(path) } else { path };
    let expected = if expected == ITS_CHOICES { all_choices(&tree, &path).unwrap_or(expected) } else { expected };
    Said::Type { path, found, expected, help }
}

/// Everything that the choice at dotted `path` may be, each as it is written.
fn all_choices(tree: &Value, path: &str) -> Option<String> {
    // No choice is called so; the refusal lists those there are.
    const NONE: &str = "?";
    let legal = match mistake(&with(tree, path, &NONE.into())) {
        Some(Said::Unknown { path: there, key, legal }) if there == path && key == NONE => legal,
        // serde may name the settings of the choice that stands there.
        _ => return path.rsplit_once('.').and_then(|(above, _)| all_choices(tree, above)),
    };
    let holds = |form: &Value| !is_below(mistake(&with(tree, path, form)).as_ref(), path);
    let written: Vec<String> =
        legal.iter().flat_map(|word| forms(word, None)).filter(holds).map(|form| in_line(&form)).collect();
    Some(listed(&written))
}

/// The value that is wrong, by taking one after the other out: the deepest without which the mistake is another, or none. Looked for
/// in the tree itself: where text is wanted, a text's `5` is taken and a tree's is not.
fn blamed(tree: &Value) -> Option<String> {
    let mistake = |tree: &Value| typed(tree).err().map(|error| error.to_string());
    let wrong = mistake(tree)?;
    let mut path: Option<String> = None;
    loop {
        let steps: Vec<String> = match at(tree, path.as_deref())? {
            Value::Mapping(entries) => entries.keys().filter_map(Value::as_str).map(str::to_string).collect(),
            Value::Sequence(items) => (0..items.len()).map(|index| index.to_string()).collect(),
            _ => return path,
        };
        let is_to_blame = |step: &String| {
            let mut rest = tree.clone();
            match at_mut(&mut rest, path.as_deref()) {
                Some(Value::Mapping(entries)) => drop(entries.remove(step.as_str())),
                Some(Value::Sequence(items)) => drop(step.parse().map(|index: usize| items.remove(index))),
                _ => {}
            }
            mistake(&rest).as_ref() != Some(&wrong)
        };
        let Some(step) = steps.iter().find(|step| is_to_blame(step)) else {
            return path;
        };
        path = Some(path.map_or_else(|| step.clone(), |path| format!("{path}.{step}")));
    }
}

/// Whether nothing is wrong with the field at dotted `path`: neither its type nor how it goes with the others. Mistakes elsewhere
/// are no fault of it, and a number out of its range is none of its name.
fn is_sound(tree: &Value, path: &str) -> bool {
    if let Some(said) = mistake(tree) {
        return said.path().is_some() && !is_below(Some(&said), path);
    }
    let mut tree = tree.clone();
    merge_defaults(&mut tree);
    let Ok(raw) = typed(&tree) else {
        return true;
    };
    match resolve(raw, "recipe") {
        Ok(_) => true,
        Err(problem) => {
            let starts = |place: &str| place.starts_with(path);
            problem.is_about_a_number()
                || !(starts(problem.path()) || shared(problem.path()).is_some_and(|place| starts(&place)))
        }
    }
}

fn is_below(said: Option<&Said>, path: &str) -> bool {
    said.and_then(Said::path).is_some_and(|other| other.starts_with(path))
}

/// What is wrong with a tree's types, with its path: errors of text have one, those of trees have none.
pub(crate) fn mistake(tree: &Value) -> Option<Said> {
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
        scalar => {
            let written = serde_yaml::to_string(scalar).unwrap_or_default().trim().to_string();
            match scalar.as_str() {
                // In double quotes, as a shell's word stands in single ones; and in one line, whatever it holds.
                Some(text) if written != text => serde_json::Value::from(text).to_string(),
                _ => written,
            }
        }
    }
}

/// `tree` with `value` at dotted `path`.
fn with(tree: &Value, path: &str, value: &Value) -> Value {
    let mut changed = tree.clone();
    if let Some(place) = at_mut(&mut changed, root_or(path)) {
        *place = value.clone();
    }
    changed
}

/// serde calls the root by no name.
fn root_or(path: &str) -> Option<&str> {
    Some(path).filter(|path| !path.is_empty())
}

fn at<'a>(tree: &'a Value, path: Option<&str>) -> Option<&'a Value> {
    let Some(path) = path else {
        return Some(tree);
    };
    match tree {
        Value::Mapping(entries) => entries.iter().find_map(|(key, value)| at(value, below(path, key.as_str()?)?)),
        Value::Sequence(items) => {
            let (index, rest) = entry(path)?;
            at(items.get(index)?, rest)
        }
        _ => None,
    }
}

fn at_mut<'a>(tree: &'a mut Value, path: Option<&str>) -> Option<&'a mut Value> {
    let Some(path) = path else {
        return Some(tree);
    };
    match tree {
        Value::Mapping(entries) => {
            entries.iter_mut().find_map(|(key, value)| at_mut(value, below(path, key.as_str()?)?))
        }
        Value::Sequence(items) => {
            let (index, rest) = entry(path)?;
            at_mut(items.get_mut(index)?, rest)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_fits_in_a_line() {
        let value: Value = serde_yaml::from_str("a:\n  b: [1, 0.5]\n  c: {}\nd: word").expect("YAML");
        assert_eq!(in_line(&value), "{a: {b: [1, 0.5], c: {}}, d: word}");
        assert_eq!(in_line(&"see #5".into()), "'see #5'".replace('\'', "\""));
        assert_eq!(in_line(&"two\nlines".into()), r#""two\nlines""#);
    }
}
