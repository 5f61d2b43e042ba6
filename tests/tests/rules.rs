//! Rules of the repository: sizes, who may know whom, no machine's paths, recipes that resolve, a true table of crates.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use longtail_tests::{root, tracked_files};

/// A crate may depend only on crates before it (ARCHITECTURE.md).
const ORDER: [&str; 14] = [
    "artifact",
    "recipe",
    "metrics",
    "linalg",
    "ops",
    "images",
    "datasets",
    "backbone",
    "training",
    "stage",
    "representation",
    "features",
    "classifier",
    "report",
];
/// Stages meet in files: none of these may know another.
const STAGES: [&str; 4] = ["representation", "features", "classifier", "report"];
const MOST_LINES: usize = 450;
const MOST_BYTES: u64 = 1_000_000;

fn rust_files() -> Vec<PathBuf> {
    tracked_files().into_iter().filter(|file| file.extension().is_some_and(|extension| extension == "rs")).collect()
}

fn text(file: &Path) -> String {
    std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The `longtail-*` names under one heading of a manifest, without the prefix.
fn dependencies(manifest: &str, heading: &str) -> Vec<String> {
    manifest
        .lines()
        .skip_while(|line| line.trim() != heading)
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.strip_prefix("longtail-"))
        .map(|line| line.split(['.', ' ', '=']).next().unwrap_or_default().to_owned())
        .collect()
}

fn manifest(folder: &str) -> String {
    text(&Path::new(folder).join("Cargo.toml"))
}

#[test]
fn no_rust_file_is_longer_than_a_person_reads_at_once() {
    let long: Vec<String> = rust_files()
        .iter()
        .map(|file| (file, text(file).lines().count()))
        .filter(|(_, lines)| *lines > MOST_LINES)
        .map(|(file, lines)| format!("{}: {lines} lines", file.display()))
        .collect();
    assert!(long.is_empty(), "more than {MOST_LINES} lines; one idea a file: {long:#?}");
}

#[test]
fn xtask_main_is_a_match() {
    let lines = text(Path::new("xtask/src/main.rs")).lines().count();
    assert!(lines < 100, "xtask/src/main.rs has {lines} lines");
}

#[test]
fn crates_know_only_crates_above_them() {
    for (place, name) in ORDER.iter().enumerate() {
        let known = dependencies(&manifest(&format!("crates/{name}")), "[dependencies]");
        for other in known {
            let above = ORDER.iter().position(|candidate| *candidate == other);
            assert!(above.is_some_and(|above| above < place), "`{name}` may not depend on `{other}`");
            let both_stages = STAGES.contains(name) && STAGES.contains(&other.as_str());
            assert!(!both_stages, "stages meet in files: `{name}` may not depend on `{other}`");
        }
    }
}

#[test]
fn xtask_links_no_mathematics() {
    let known: BTreeSet<String> = dependencies(&manifest("xtask"), "[dependencies]").into_iter().collect();
    let allowed: BTreeSet<String> = ["artifact", "recipe"].into_iter().map(str::to_owned).collect();
    assert_eq!(known, allowed, "xtask depends on recipe and artifact alone");
}

#[test]
fn candle_stays_out_of_the_crates_that_do_no_tensor_mathematics() {
    for name in ["artifact", "recipe", "metrics", "linalg", "ops", "images", "datasets", "report"] {
        assert!(!manifest(&format!("crates/{name}")).contains("candle"), "`{name}` must not know candle");
    }
}

#[test]
fn versions_stand_in_the_root_manifest_alone() {
    let members =
        ORDER.iter().map(|name| format!("crates/{name}")).chain(["bench", "xtask", "tests"].map(str::to_owned));
    for folder in members {
        for line in manifest(&folder).lines() {
            let pinned = line.contains("version = \"") || line.trim_start().starts_with("path = \"../");
            assert!(!pinned, "{folder}/Cargo.toml names a version of its own: {line}");
        }
    }
}

#[test]
fn unsafe_is_where_the_plan_allows_it() {
    let allowed = ["crates/ops/", "crates/images/", "crates/artifact/", "crates/linalg/"];
    for file in rust_files() {
        let name = file.to_string_lossy().into_owned();
        let opens_block = |line: &str| {
            let code = line.split("//").next().unwrap_or_default();
            ["unsafe {", "unsafe fn ", "unsafe impl ", "unsafe extern "].iter().any(|word| code.contains(word))
        };
        // This file names the words it looks for.
        if allowed.iter().any(|folder| name.starts_with(folder)) || name.ends_with("tests/rules.rs") {
            continue;
        }
        assert!(!text(&file).lines().any(opens_block), "{name} uses unsafe");
    }
}

#[test]
fn no_machine_stands_in_a_tracked_file() {
    // Written apart, so that this file does not find itself.
    let folders = ["work", "root", "home", "farm", "tmp/env"].map(|name| format!("/{name}/"));
    for file in tracked_files() {
        let name = file.to_string_lossy().into_owned();
        if name == "Cargo.lock" {
            continue;
        }
        let Ok(text) = std::fs::read_to_string(root().join(&file)) else {
            continue; // not text
        };
        for (number, line) in text.lines().enumerate() {
            for folder in &folders {
                let found = line.match_indices(folder.as_str()).any(|(at, _)| {
                    let before = line[..at].chars().next_back();
                    !before
                        .is_some_and(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.' | '-' | '}'))
                });
                assert!(!found, "{name}:{} holds a path of one machine: {line}", number + 1);
            }
        }
    }
}

#[test]
fn only_the_embedded_data_is_large() {
    for file in tracked_files() {
        let bytes = std::fs::metadata(root().join(&file)).expect("a tracked file exists").len();
        let fine = bytes <= MOST_BYTES || file.starts_with("data/fashion-mnist");
        assert!(fine, "{} has {bytes} bytes", file.display());
    }
}

#[test]
fn every_recipe_resolves_and_comes_back_the_same() {
    let recipes: Vec<PathBuf> = tracked_files()
        .into_iter()
        .filter(|file| file.starts_with("pipelines") && file.extension().is_some_and(|extension| extension == "yaml"))
        .chain(["tiny", "tiny-photos"].map(|name| PathBuf::from(format!("tests/recipes/{name}.yaml"))))
        .collect();
    for file in recipes {
        let recipe = longtail_recipe::read(&root().join(&file), &[])
            .unwrap_or_else(|error| panic!("{} does not resolve:\n{error}", file.display()));
        let stem = file.file_stem().expect("a file has a name").to_string_lossy();
        assert_eq!(recipe.recipe, stem, "a recipe is called as its file");
        let again =
            longtail_recipe::read_str(&recipe.to_yaml(), "recipe.yaml", &[]).expect("the resolved form is read again");
        assert_eq!(recipe, again, "{}", file.display());
    }
}

#[test]
fn recipes_in_pipelines_open_with_source_numbers_time_and_command() {
    for file in tracked_files().into_iter().filter(|file| file.starts_with("pipelines")) {
        if file.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let text = text(&file);
        let header: String =
            text.lines().take_while(|line| line.starts_with('#')).collect::<Vec<_>>().join("\n").to_lowercase();
        for word in ["source", "expected", "time", "cargo xtask reproduce"] {
            assert!(header.contains(word), "{} does not say `{word}` in its header", file.display());
        }
    }
}

#[test]
fn the_architecture_page_names_every_crate_and_folder() {
    let page = text(Path::new("ARCHITECTURE.md"));
    for entry in std::fs::read_dir(root().join("crates")).expect("a readable folder") {
        let name = entry.expect("a readable entry").file_name().to_string_lossy().into_owned();
        assert!(ORDER.contains(&name.as_str()), "crates/{name} has no place in the order of this test");
        assert!(page.contains(&format!("| `{name}` |")), "ARCHITECTURE.md does not list `{name}`");
    }
    for folder in ["xtask/", "bench/", "tests/", "pipelines/", "data/", "crates/"] {
        assert!(page.contains(&format!("`{folder}`")), "ARCHITECTURE.md does not name `{folder}`");
    }
}

#[test]
fn libraries_open_with_docs_and_hold_no_code() {
    for name in ORDER {
        let file = PathBuf::from(format!("crates/{name}/src/lib.rs"));
        let text = text(&file);
        assert!(text.starts_with("//!"), "{} does not open with docs", file.display());
        let code = text
            .lines()
            .find(|line| line.starts_with("fn ") || line.starts_with("pub fn ") || line.starts_with("impl"));
        assert!(code.is_none(), "{}: docs, `mod` lines and re-exports only: {code:?}", file.display());
    }
}

#[test]
fn stages_have_one_frame() {
    // What `stage` does for all of them; its home is there, and a stage that did it itself would come to differ.
    let of_the_frame = [
        "install_interrupt_handler(",
        "load_identified",
        "load_accepting",
        "identity::compare",
        "indicatif",
        "check_simd(",
        "BeginOptions {",
        "longtail_recipe::read(",
        "Compute::gpus(",
        "longtail_artifact::run_main",
    ];
    for file in rust_files() {
        let name = file.to_string_lossy().into_owned();
        let of_a_stage = ["representation", "features", "classifier"];
        if of_a_stage.iter().any(|stage| name.starts_with(&format!("crates/{stage}/src/"))) {
            let text = text(&file);
            let found = of_the_frame.iter().find(|word| text.contains(**word));
            assert!(found.is_none(), "{name}: `{found:?}` is the frame's: see `crates/stage`");
        }
    }
}

#[test]
fn enums_of_recipes_are_closed() {
    // A new word is a compile error in every place that must know it, not a `_` arm that quietly takes it for another.
    let of_recipes = |file: &Path| file.starts_with("crates/recipe/src") && !file.ends_with("error.rs");
    for file in rust_files().into_iter().filter(|file| of_recipes(file)) {
        let text = text(&file);
        for (line, next) in text.lines().zip(text.lines().skip(1)) {
            let open = line.trim() == "#[non_exhaustive]" && next.trim_start().starts_with("pub enum ");
            assert!(!open, "{}: `{next}` is open", file.display());
        }
    }
}
