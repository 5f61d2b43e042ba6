//! `--set path=value`: changes of the YAML tree before it is typed.

use serde_yaml::{Mapping, Value};

use crate::classifier::ClassifierRecipe;
use crate::error::{RecipeError, nearest};
use crate::explain::{Said, take_apart};
use crate::merge::{CHOICES, write_out};
use crate::read::typed;
use crate::{suggest, without_value};

/// Applies one override. The path's segments are parted by dots, a number counts into a list, the value is YAML.
///
/// # Errors
/// [`RecipeError::Override`] when the path leads through a value, to an entry that is not there, or to a field that no
/// part of a recipe has, and when the value does not fit the field, or there is none.
pub(crate) fn apply(tree: &mut Value, path: &str, text: &str) -> Result<(), RecipeError> {
    let refuse = |what: String, nearest: Option<String>| RecipeError::Override {
        path: path.to_string(),
        value: text.to_string(),
        what,
        nearest,
    };
    let value: Value =
        serde_yaml::from_str(text).map_err(|error| refuse(format!("the value is not YAML: {error}"), None))?;
    let segments: Vec<&str> = path.split('.').collect();
    if segments.iter().any(|segment| segment.is_empty()) {
        return Err(refuse("a path is names parted by single dots, as in `data.imbalance_factor`".to_string(), None));
    }
    if value.is_null() {
        let what = match text.trim() {
            "" => {
                "nothing stands behind the `=` (a shell variable that is not set?); give a value, or leave the --set out"
            }
            _ => "this is no value; give one, or leave the --set out",
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
    typed(tree).map_err(|error| told(in_words(&error, &segments)))?;
    match without_value::first(tree) {
        Some(field) => Err(refuse(format!("`{field}` has no value there; give it one, or leave it out"), None)),
        None => Ok(()),
    }
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
                let words = || format!("--set {}='{}'", path.join("."), suggest::in_line(&value));
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
                let what = "the recipe lists no rows: it pairs every representation with every classifier";
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
        _ => CHOICES.contains(&segments[depth - 1]),
    }
}

/// Words of the choices of `merge::CHOICES` that carry settings.
const OTHER_CHOICES: [&str; 11] = [
    "ce",
    "mpcl",
    "cifar_resnet",
    "cifar_resnet_two_headed",
    "cosine",
    "step",
    "fixed",
    "per_class",
    "adaptive",
    "search",
    "linear",
];

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
    if ClassifierRecipe::NAMES.contains(&asked) || OTHER_CHOICES.contains(&asked) {
        let what = format!("`{walked}` is `{made}`, and another choice is given whole");
        return Err((what, Meant::wholes(&segments[..depth], &segments[depth..], value)));
    }
    let mut below = owned(segments);
    below.insert(depth, made.to_string());
    let mut meant = vec![Meant::Path(below)];
    meant.extend(nearest(asked, [made]).map(|made| Meant::Path(replaced(segments, depth, &made))));
    Err((format!("`{walked}` is `{made}`, and its settings stand under that name"), meant))
}

fn in_words(error: &serde_yaml::Error, segments: &[&str]) -> Refusal {
    match take_apart(&error.to_string()) {
        Said::Unknown { key, legal, .. } => {
            let best = nearest(&key, legal.iter().map(String::as_str));
            let best = best.map(|best| match segments.iter().rposition(|segment| *segment == key) {
                Some(position) => Meant::Path(replaced(segments, position, &best)),
                None => Meant::Word(best),
            });
            let what = format!("there is no `{key}` here; it may be {}", crate::error::listed(&legal));
            (what, best.into_iter().collect())
        }
        Said::Type { found, expected, help, .. } => {
            let help = help.map_or_else(String::new, |help| format!("; {help}"));
            (format!("it must be {expected}, found {found}{help}"), vec![])
        }
        Said::Duplicate { key, .. } => (format!("`{key}` stands here twice"), vec![]),
        Said::Other(what) => (what, vec![]),
    }
}

fn replaced(segments: &[&str], position: usize, with: &str) -> Vec<String> {
    let mut segments = owned(segments);
    segments[position] = with.to_string();
    segments
}
