//! From a file to a checked recipe.

use std::path::{Path, PathBuf};

use serde_yaml::Value;

use crate::beyond::in_words_of_the_field;
use crate::error::{RecipeError, nearest};
use crate::explain::explain;
use crate::locate::Source;
use crate::merge::merge_defaults;
use crate::overrides;
use crate::whole::Recipe;
use crate::whole::resolve;
use crate::whole::{RawRecipe, typed};
use crate::{text, without_value};

/// The most bytes a recipe may have: a hundred times the largest in `pipelines/`.
const LARGEST: u64 = 1 << 20;

/// Reads a recipe, changes it by `overrides` (dotted path, YAML value), fills in defaults and checks it.
///
/// # Errors
/// Every [`RecipeError`]: what is wrong, where in the file, and what was expected.
pub fn read(path: &Path, overrides: &[(String, String)]) -> Result<Recipe, RecipeError> {
    let io = |source| RecipeError::Io { path: path.to_path_buf(), source };
    let metadata = match fs_err::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(RecipeError::Missing { path: path.to_path_buf(), nearby_names: recipes_nearby(path) });
        }
        other => other.map_err(io)?,
    };
    if metadata.len() > LARGEST {
        return Err(RecipeError::TooLarge { path: path.to_path_buf(), bytes: metadata.len(), limit: LARGEST });
    }
    let bytes = fs_err::read(path).map_err(io)?;
    read_bytes(&bytes, &path.display().to_string(), overrides)
}

/// The same for text that is in memory; `name` stands for the file's name in errors, and its stem is the default of
/// `recipe`.
///
/// # Errors
/// As [`read`], but for those about files.
pub fn read_str(text: &str, name: &str, overrides: &[(String, String)]) -> Result<Recipe, RecipeError> {
    read_bytes(text.as_bytes(), name, overrides)
}

fn read_bytes(bytes: &[u8], name: &str, overrides: &[(String, String)]) -> Result<Recipe, RecipeError> {
    let text = text::decode(bytes, name)?;
    let read = |text: &str, overrides: &[(String, String)]| read_text(text, name, overrides);
    read(&text, overrides).map_err(|error| in_words_of_the_field(error, &text, overrides, read))
}

fn read_text(text: &str, name: &str, overrides: &[(String, String)]) -> Result<Recipe, RecipeError> {
    // The tree first: it refuses what is not YAML and keys that stand twice. Then the types, for their lines.
    let plain = Source { name, text, overrides: &[] };
    let mut tree: Value = serde_yaml::from_str(text).map_err(|error| explain(&plain, &error))?;
    if tree.is_null() {
        tree = Value::Mapping(Default::default());
    } else {
        let reader = serde_yaml::Deserializer::from_str(text);
        let checked: Result<RawRecipe, _> = serde_yaml::with::singleton_map_recursive::deserialize(reader);
        checked.map_err(|error| explain(&plain, &error))?;
    }
    if let Some(path) = without_value::first(&tree) {
        return Err(RecipeError::NoValue { place: Box::new(plain.place(&path)), path });
    }
    for (path, value) in overrides {
        overrides::apply(&mut tree, path, value)?;
    }
    merge_defaults(&mut tree);
    let raw = typed(&tree).map_err(|error| explain(&plain, &error))?;
    let stem = Path::new(name).file_stem().and_then(|stem| stem.to_str()).unwrap_or("recipe");
    resolve(raw, stem).map_err(|problem| problem.locate(&Source { name, text, overrides }))
}

/// Names of recipes beside `path`, or in `pipelines/`, the likeliest first.
fn recipes_nearby(path: &Path) -> Vec<String> {
    let folder = match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_path_buf(),
        _ => PathBuf::from("."),
    };
    let mut found = Vec::new();
    for folder in [folder, PathBuf::from("pipelines")] {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            let file = entry.path();
            if file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
                found.push(file.display().to_string());
            }
        }
    }
    // A folder's order is the file system's.
    found.sort();
    found.dedup();
    if let Some(best) = nearest(&path.display().to_string(), found.iter().map(String::as_str)) {
        found.retain(|name| *name != best);
        found.insert(0, best);
    }
    found.truncate(8);
    found
}
