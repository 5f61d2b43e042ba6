//! `--set path=value`: changes of the YAML tree before it is typed.

use serde_yaml::{Mapping, Value};

use crate::classifier::ClassifierRecipe;
use crate::error::{RecipeError, near, nearest};
use crate::locate::below;
use crate::merge::write_out;
use crate::said::{Said, take_apart};
use crate::whole::typed;
use crate::{choices, read_past, suggest, told, without_value};

/// Applies one override. The path's segments are parted by dots, a number counts into a list, the value is YAML.
///
/// # Errors
/// [`RecipeError::Override`] when the path leads through a value, to an entry that is not there, or to a field that no
/// part of a recipe has, and when the value does not fit the field, or there is none, or YAML would not take all of it.
pub(crate) fn apply(tree: &mut Value, path: &str, text: &str) -> Result<(), RecipeError> {
    let refuse = |what: String, nearest: Option<String>| RecipeError::Override {
        path: path.to_string(),
        value: text.to_string(),
        what,
        nearest,
    };
    let value: Value = serde_yaml::from_str(text).map_err(|error| refuse(not_yaml(&error), None))?;
    let segments = segments(tree, path);
    if segments.iter().any(|segment| segment.is_empty()) {
        return Err(refuse(
            "a path is a list of names separated by single dots, as in `data.imbalance_factor`".to_string(),
            None,
        ));
    }
    if let Some(part) = read_past::find(text, &value) {
        let what = format!("YAML ignores {part}; put the whole value in quotes, or leave that part out");
        return Err(refuse(what, quoted(tree, path, &segments, text)));
    }
    if value.is_null() {
        let what = match text.trim() {
            "" => "there is nothing after the `=` (an unset shell variable?); give a value, or leave out this --set",
            _ => "this is not a value; give one, or leave out this --set",
        };
        return Err(refuse(what.to_string(), None));
    }
    let before = tree.clone();
    let told = |refusal: Refusal| {
        let (what, meant) = refusal;
        let found = meant.into_iter().find_map(|meant| meant.accepted(&before, &value));
        refuse(what, found)
    };
    set(tree, &segments, value.clone()).map_err(told)?;
    typed(tree).map_err(|error| told(in_words(tree, &error, &segments)))?;
    match without_value::first(tree) {
        Some(field) => Err(refuse(format!("`{field}` has no value here; give it one, or leave it out"), None)),
        None => Ok(()),
    }
}

/// The path's names. Those of representations and classifiers may hold dots.
fn segments<'a>(tree: &Value, path: &'a str) -> Vec<&'a str> {
    if let Some((map, rest)) = path.split_once('.')
        && matches!(map, "representations" | "classifiers")
        && let Some(Value::Mapping(entries)) = tree.get(map)
        && let names = entries.keys().filter_map(Value::as_str).filter(|name| below(rest, name).is_some())
        && let Some(name) = names.max_by_key(|name| name.len())
    {
        let settings = below(rest, name).flatten();
        return [map, &rest[..name.len()]]
            .into_iter()
            .chain(settings.into_iter().flat_map(|path| path.split('.')))
            .collect();
    }
    path.split('.').collect()
}

/// The parser's words in ours.
fn not_yaml(error: &serde_yaml::Error) -> String {
    match take_apart(&error.to_string()) {
        Said::Type { path, found, expected, .. } => {
            let place = if path.is_empty() { "it".to_string() } else { format!("`{path}` in it") };
            format!("{place} must be {expected}, found {found}")
        }
        Said::Duplicate { key, .. } => format!("`{key}` is in it twice"),
        _ => format!("the value is not YAML: {error}"),
    }
}

/// The same change with its value in quotes, if the field takes text.
fn quoted(tree: &Value, path: &str, segments: &[&str], text: &str) -> Option<String> {
    let (value, mut changed) = (Value::from(text.trim()), tree.clone());
    let taken = set(&mut changed, segments, value.clone()).is_ok() && typed(&changed).is_ok();
    taken.then(|| told::set_words(path, &suggest::in_line(&value)))
}

/// What is wrong, and what may have been meant, the likeliest first.
type Refusal = (String, Vec<Meant>);

/// Something that may have been meant.
#[derive(Debug)]
enum Meant {
    /// The same value under another path.
    Path(Vec<String>),
    /// A choice with its settings, in place of the one that is made.
    Whole { path: Vec<String>, value: Value },
    /// A word inside the value.
    Word(String),
}

impl Meant {
    /// In words, if it would be taken.
    fn accepted(self, before: &Value, value: &Value) -> Option<String> {
        let takes = |path: &[String], value: &Value| {
            let (path, mut tree) = (path.iter().map(String::as_str).collect::<Vec<_>>(), before.clone());
            set(&mut tree, &path, value.clone()).is_ok() && suggest::is_accepted(before, &tree)
        };
        match self {
            Meant::Path(path) => takes(&path, value).then(|| path.join(".")),
            Meant::Whole { path, value } => {
                let words = || told::set_words(&path.join("."), &suggest::in_line(&value));
                takes(&path, &value).then(words)
            }
            Meant::Word(word) => Some(word),
        }
    }

    /// The choice that `rest` walks through, written out: `[mpcl, tau]` and 1 are `{mpcl: {tau: 1}}`. Else it alone, as a map or as
    /// a word.
    fn wholes(walked: &[&str], rest: &[&str], value: &Value) -> Vec<Self> {
        let nested = |steps: &[&str], value: Value| {
            let map = |value, step: &&str| Value::Mapping(Mapping::from_iter([(Value::from(*step), value)]));
            steps.iter().rev().fold(value, map)
        };
        let forms =
            [nested(rest, value.clone()), nested(&rest[..1], Value::Mapping(Mapping::new())), Value::from(rest[0])];
        forms.map(|value| Self::Whole { path: owned(walked), value }).into_iter().collect()
    }
}

fn owned(segments: &[&str]) -> Vec<String> {
    segments.iter().map(|segment| segment.to_string()).collect()
}

fn set(tree: &mut Value, segments: &[&str], value: Value) -> Result<(), Refusal> {
    let mut here = tree;
    for (depth, segment) in segments.iter().enumerate() {
        let walked = segments[..depth].join(".");
        refuse_another_choice(here, segments, depth, &value)?;
        here = match here {
            Value::Sequence(items) => {
                let count = items.len();
                segment
                    .parse::<usize>()
                    .ok()
                    .and_then(|index| items.get_mut(index))
                    .ok_or_else(|| (format!("`{walked}` has entries 0 to {}", count.saturating_sub(1)), vec![]))?
            }
            Value::Null if walked == "rows" => {
                let what = "the recipe lists no rows, so every representation is paired with every classifier";
                return Err((what.to_string(), vec![]));
            }
            Value::Null | Value::Mapping(_) => {
                if here.is_null() {
                    *here = Value::Mapping(Mapping::new());
                }
                let Value::Mapping(entries) = here else {
                    continue;
                };
                // A new name would be a new variant: nearly always a slip, and it would train for hours.
                if depth == 1 && matches!(segments[0], "representations" | "classifiers") {
                    let names: Vec<&str> = entries.keys().filter_map(Value::as_str).collect();
                    if !names.contains(segment) {
                        let best = nearest(segment, names.iter().copied());
                        let best = best.map(|best| Meant::Path(replaced(segments, 1, &best)));
                        return Err((
                            format!("`{}` has no `{segment}`; it has {}", segments[0], names.join(", ")),
                            best.into_iter().collect(),
                        ));
                    }
                }
                let key = Value::from(*segment);
                let entry = entries.entry(key.clone()).or_insert(Value::Null);
                if depth == 1 && segments[0] == "classifiers" && segments.len() > 2 {
                    write_out(&key, entry);
                }
                entry
            }
            scalar => {
                let shown = suggest::in_line(scalar);
                let meant = match is_choice(segments, depth) {
                    true => Meant::wholes(&segments[..depth], &segments[depth..], &value),
                    false => vec![],
                };
                return Err((format!("`{walked}` is `{shown}`, which has no fields"), meant));
            }
        };
    }
    *here = value;
    Ok(())
}

/// Whether the first `depth` segments lead to a choice.
fn is_choice(segments: &[&str], depth: usize) -> bool {
    match depth {
        0 | 1 => false,
        2 if segments[0] == "classifiers" => true,
        _ => choices::FIELDS.contains(&segments[depth - 1]),
    }
}

/// A choice that is made already cannot be walked through under another name.
fn refuse_another_choice(here: &Value, segments: &[&str], depth: usize, value: &Value) -> Result<(), Refusal> {
    let Value::Mapping(entries) = here else {
        return Ok(());
    };
    let Some(made) = entries.keys().next().and_then(Value::as_str) else {
        return Ok(());
    };
    let asked = segments.get(depth).copied().unwrap_or_default();
    if !is_choice(segments, depth) || made == asked {
        return Ok(());
    }
    let walked = segments[..depth].join(".");
    if ClassifierRecipe::NAMES.contains(&asked) || choices::is_choice(asked) {
        let what = format!("`{walked}` is `{made}`; to choose another one, replace it as a whole");
        return Err((what, Meant::wholes(&segments[..depth], &segments[depth..], value)));
    }
    let mut below = owned(segments);
    below.insert(depth, made.to_string());
    let mut meant = vec![Meant::Path(below)];
    meant.extend(nearest(asked, [made]).map(|made| Meant::Path(replaced(segments, depth, &made))));
    Err((format!("`{walked}` is `{made}`, and its settings are under that name"), meant))
}

/// `tree` is the changed one.
fn in_words(tree: &Value, error: &serde_yaml::Error, segments: &[&str]) -> Refusal {
    let said = suggest::mistake(tree).unwrap_or_else(|| take_apart(&error.to_string()));
    match suggest::completed(said, || tree.clone()) {
        Said::Unknown { path, key, legal } => {
            let meant = match segments.iter().rposition(|segment| *segment == key) {
                Some(position) => near(&key, legal.iter().map(String::as_str))
                    .into_iter()
                    .map(|best| Meant::Path(replaced(segments, position, best)))
                    .collect(),
                None => suggest::in_tree(tree, &path, &key, &legal).map(Meant::Word).into_iter().collect(),
            };
            (format!("`{key}` is unknown here; use {}", crate::error::listed(&legal)), meant)
        }
        Said::Type { found, expected, help, .. } => {
            let help = help.map_or_else(String::new, |help| format!("; {help}"));
            (format!("it must be {expected}, found {found}{help}"), vec![])
        }
        Said::Duplicate { key, .. } => (format!("`{key}` is given twice"), vec![]),
        Said::Other(what) => (what, vec![]),
    }
}

fn replaced(segments: &[&str], position: usize, with: &str) -> Vec<String> {
    let mut segments = owned(segments);
    segments[position] = with.to_string();
    segments
}
