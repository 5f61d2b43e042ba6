//! `--set path=value`: changes of the YAML tree before it is typed.

use serde_yaml::{Mapping, Value};

use crate::classifier::ClassifierRecipe;
use crate::error::{RecipeError, nearest};
use crate::explain::{Said, take_apart};
use crate::merge::{CHOICES, write_out};
use crate::read::typed;

/// Applies one override. The path's segments are parted by dots, a number counts into a list, the value is YAML.
///
/// # Errors
/// [`RecipeError::Override`] when the path leads through a value, to an entry that is not there, or to a field that no
/// part of a recipe has, and when the value does not fit the field.
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
    set(tree, &segments, value).map_err(|(what, nearest)| refuse(what, nearest))?;
    typed(tree).map(|_| ()).map_err(|error| {
        let (what, nearest) = in_words(&error, &segments);
        refuse(what, nearest)
    })
}

type Refusal = (String, Option<String>);

fn set(tree: &mut Value, segments: &[&str], value: Value) -> Result<(), Refusal> {
    let mut here = tree;
    for (depth, segment) in segments.iter().enumerate() {
        let walked = segments[..depth].join(".");
        refuse_another_choice(here, segments, depth)?;
        here = match here {
            Value::Sequence(items) => {
                let count = items.len();
                segment
                    .parse::<usize>()
                    .ok()
                    .and_then(|index| items.get_mut(index))
                    .ok_or_else(|| (format!("`{walked}` has entries 0 to {}", count.saturating_sub(1)), None))?
            }
            Value::Null if walked == "rows" => {
                let what = "the recipe lists no rows: it pairs every representation with every classifier";
                return Err((what.to_string(), None));
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
                        let best = best.map(|best| replaced(segments, 1, &best));
                        return Err((
                            format!("`{}` has no `{segment}`; it has {}", segments[0], names.join(", ")),
                            best,
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
                let shown = serde_yaml::to_string(scalar).unwrap_or_default();
                return Err((format!("`{walked}` is `{}`, which has no fields", shown.trim()), None));
            }
        };
    }
    *here = value;
    Ok(())
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
fn refuse_another_choice(here: &Value, segments: &[&str], depth: usize) -> Result<(), Refusal> {
    let is_choice = match depth {
        0 | 1 => false,
        2 if segments[0] == "classifiers" => true,
        _ => CHOICES.contains(&segments[depth - 1]),
    };
    let Value::Mapping(entries) = here else {
        return Ok(());
    };
    let Some(made) = entries.keys().next().and_then(Value::as_str) else {
        return Ok(());
    };
    if !is_choice || made == segments[depth] {
        return Ok(());
    }
    let walked = segments[..depth].join(".");
    if ClassifierRecipe::NAMES.contains(&segments[depth]) || OTHER_CHOICES.contains(&segments[depth]) {
        let asked = segments[depth];
        let what =
            format!("`{walked}` is `{made}`; to choose another, give it whole: --set {walked}='{{{asked}: {{}}}}'");
        return Err((what, None));
    }
    let mut suggestion: Vec<&str> = segments.to_vec();
    suggestion.insert(depth, made);
    Err((format!("`{walked}` is `{made}`, and its settings stand under that name"), Some(suggestion.join("."))))
}

fn in_words(error: &serde_yaml::Error, segments: &[&str]) -> Refusal {
    match take_apart(&error.to_string()) {
        Said::Unknown { key, legal, .. } => {
            let best = nearest(&key, legal.iter().map(String::as_str));
            let best = match segments.iter().rposition(|segment| *segment == key) {
                Some(position) => best.map(|best| replaced(segments, position, &best)),
                None => best,
            };
            (format!("there is no `{key}` here; it may be {}", crate::error::listed(&legal)), best)
        }
        Said::Type { found, expected, .. } => (format!("it must be {expected}, found {found}"), None),
        Said::Duplicate { key, .. } => (format!("`{key}` stands here twice"), None),
        Said::Other(what) => (what, None),
    }
}

fn replaced(segments: &[&str], position: usize, with: &str) -> String {
    let mut segments = segments.to_vec();
    segments[position] = with;
    segments.join(".")
}
