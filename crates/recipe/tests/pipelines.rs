//! Every recipe of `pipelines/` resolves, says where it is from, and survives being written and read again.
#![allow(clippy::unwrap_used)] // a test may stop where it stands

use std::path::PathBuf;

use longtail_recipe::{read, read_str};

fn pipelines() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../pipelines");
    let mut found: Vec<PathBuf> = std::fs::read_dir(&folder)
        .expect("the workspace has a folder pipelines")
        .map(|entry| entry.expect("its entries are readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    found.sort();
    found
}

#[test]
fn every_pipeline_resolves_and_round_trips() {
    let files = pipelines();
    assert!(files.len() >= 5, "found {files:?}");
    for file in files {
        let recipe = read(&file, &[]).unwrap_or_else(|error| panic!("{error}"));
        let stem = file.file_stem().and_then(|stem| stem.to_str()).expect("a UTF-8 name");
        assert_eq!(recipe.recipe, stem, "a recipe is called after its file");
        assert!(!recipe.description.is_empty(), "{stem}: `cargo xtask list` shows the description");
        let again = read_str(&recipe.to_yaml(), "recipe.yaml", &[]).unwrap_or_else(|error| panic!("{stem}: {error}"));
        assert_eq!(recipe, again, "{stem}");
        for variant in recipe.used_representations() {
            assert_eq!(recipe.representation_part(variant).unwrap(), again.representation_part(variant).unwrap());
        }
    }
}

#[test]
fn every_pipeline_opens_with_source_expected_numbers_time_and_command() {
    for file in pipelines() {
        let text = std::fs::read_to_string(&file).expect("readable");
        let header: Vec<&str> = text.lines().take_while(|line| line.starts_with('#')).collect();
        // Editors complete and check the recipe by it.
        assert_eq!(header[0], "# yaml-language-server: $schema=recipe.schema.json", "{}", file.display());
        for key in ["# source:", "# expected:", "# time:", "# command:"] {
            assert!(header.iter().any(|line| line.starts_with(key)), "{}: no line `{key}`", file.display());
        }
    }
}
