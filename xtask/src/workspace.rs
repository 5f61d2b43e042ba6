//! Where the repository is, how its paths are shown, and which recipe a name means.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use longtail_artifact::cli::WithHint;
use longtail_recipe::Recipe;

/// The folder that holds the workspace's `Cargo.toml`.
///
/// `cargo run` says where; the built program started by hand looks upwards from the current folder.
pub fn root() -> Result<PathBuf> {
    if let Some(manifest_dir) = std::env::var_os("CARGO_MANIFEST_DIR")
        && let Some(root) = Path::new(&manifest_dir).parent().filter(|folder| is_root(folder))
    {
        return Ok(root.to_owned());
    }
    let here = std::env::current_dir().context("cannot determine the current folder")?;
    here.ancestors()
        .find(|folder| is_root(folder))
        .map(Path::to_owned)
        .with_context(|| format!("no longtail checkout at or above {}", here.display()))
        .hint("change to the folder that holds `pipelines/` and `xtask/`")
}

/// Says that a folder is a bundle (`cargo xtask bundle`), which stands for a checkout where there is none.
pub const BUNDLE_FILE: &str = "bundle.json";

fn is_root(folder: &Path) -> bool {
    let is_checkout = folder.join("xtask").join("Cargo.toml").is_file();
    (is_checkout || folder.join(BUNDLE_FILE).is_file()) && folder.join("pipelines").is_dir()
}

/// `path` as the user typed it, made absolute against the current folder: children run in the root.
pub fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("cannot make {} absolute", path.display()))
}

/// Folder for all runs: relative to the root unless given as an absolute path.
pub fn runs_dir(root: &Path, runs: &Path) -> Result<PathBuf> {
    if runs == Path::new("runs") { Ok(root.join("runs")) } else { absolute(runs) }
}

/// `path` without the root in front, for messages.
pub fn shown<'a>(root: &Path, path: &'a Path) -> std::path::Display<'a> {
    path.strip_prefix(root).unwrap_or(path).display()
}

/// The file of the recipe called `name`: a path when it looks like one, else `pipelines/NAME.yaml`.
pub fn recipe_file(root: &Path, name: &str) -> Result<PathBuf> {
    let looks_like_a_path = name.contains(['/', '\\']) || name.ends_with(".yaml") || name.ends_with(".yml");
    if looks_like_a_path {
        let path = absolute(Path::new(name))?;
        if !path.is_file() {
            return Err(anyhow::anyhow!("no recipe at {}", path.display()))
                .hint("give a path to a YAML file, or a name from `cargo xtask list`");
        }
        return Ok(path);
    }
    let path = root.join("pipelines").join(format!("{name}.yaml"));
    if path.is_file() {
        return Ok(path);
    }
    let names = recipe_names(root)?;
    let known =
        if names.is_empty() { "pipelines/ is empty".to_owned() } else { format!("recipes: {}", names.join(", ")) };
    Err(anyhow::anyhow!("no recipe called `{name}`: {} does not exist", shown(root, &path))).hint(&known)
}

/// The names of all recipes in `pipelines/`, sorted.
pub fn recipe_names(root: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs_err::read_dir(root.join("pipelines"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "yaml")
            && let Some(stem) = path.file_stem()
        {
            names.push(stem.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// `PATH=VALUE` of `--set`, split at the first `=`.
fn parse_overrides(set: &[String]) -> Result<Vec<(String, String)>> {
    set.iter()
        .map(|text| match text.split_once('=') {
            Some((path, value)) if !path.trim().is_empty() => Ok((path.trim().to_owned(), value.trim().to_owned())),
            _ => Err(anyhow::anyhow!("--set {text}: expected PATH=VALUE"))
                .hint("for example --set representations.ce.epochs=5"),
        })
        .collect()
}

/// Reads and checks a recipe; `seed` beats both the file and `--set seed=…`.
pub fn read_recipe(file: &Path, set: &[String], seed: Option<u64>) -> Result<Recipe> {
    let mut overrides = parse_overrides(set)?;
    if let Some(seed) = seed {
        overrides.push(("seed".to_owned(), seed.to_string()));
    }
    Ok(longtail_recipe::read(file, &overrides)?)
}

#[cfg(test)]
mod tests {
    use super::parse_overrides;

    #[test]
    fn overrides_split_at_the_first_equals_sign() {
        let parsed = parse_overrides(&["a.b = c=d".to_owned()]).expect("well-formed");
        assert_eq!(parsed, [("a.b".to_owned(), "c=d".to_owned())]);
        assert!(parse_overrides(&["no-equals".to_owned()]).is_err());
        assert!(parse_overrides(&["=5".to_owned()]).is_err());
    }
}
