//! What users read is plain English: phrases that made newcomers stumble stay out, docs and SAFETY comments say something, and the README
//! opens with the purpose, a picture and the two commands.

use std::path::Path;

use longtail_tests::{root, tracked_files};

/// Phrases of earlier texts, in lower case. Each has a plain form: "stands above" is "see above", "goes on" is "continues".
const STUMBLES: [&str; 24] = [
    "stand above",
    "stands above",
    "goes on where it was",
    "going on from epoch",
    "is there twice",
    "stands here twice",
    "no such device answers",
    "what speaks against",
    "what is there",
    "are others than",
    "packs of before",
    "a pack of before",
    "is of code version",
    "is no device",
    "is no value",
    "is no whole number",
    "order and words, no mathematics",
    "one file a verb",
    "never half anything",
    "stand in no table",
    "is as good as ours",
    "to the same bits",
    "when left out",
    "made-up tree",
];
/// Docs that say nothing to someone who does not already know the code.
const EMPTY_DOCS: [&str; 8] =
    ["/// d.", "/// n.", "/// N.", "/// c.", "/// K.", "/// Where.", "/// The field.", "/// As above."];

fn text(file: &Path) -> String {
    std::fs::read_to_string(root().join(file)).unwrap_or_default()
}

/// Lines of a file that a user may see: all of a document, and those of a program that have a string.
fn shown(file: &Path) -> Vec<(usize, String)> {
    let all = text(file);
    let is_program = file.extension().is_some_and(|extension| extension == "rs");
    let lines = all.lines().enumerate().filter(|(_, line)| !is_program || line.contains('"'));
    lines.map(|(at, line)| (at + 1, line.to_lowercase())).collect()
}

fn is_read_by_users(file: &Path) -> bool {
    let name = file.to_string_lossy();
    let kind = file.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let is_text = ["md", "yaml", "txt", "sh", "html"].contains(&kind);
    (is_text || kind == "rs" && !name.contains("tests/")) && !name.starts_with("docs/method")
}

#[test]
fn phrases_that_made_newcomers_stumble_stay_out() {
    let mut found = Vec::new();
    for file in tracked_files().into_iter().filter(|file| is_read_by_users(file)) {
        for (number, line) in shown(&file) {
            for phrase in STUMBLES.iter().filter(|phrase| line.contains(**phrase)) {
                found.push(format!("{}:{number}: `{phrase}`", file.display()));
            }
        }
    }
    assert!(found.is_empty(), "say it in plain words:\n{}", found.join("\n"));
}

#[test]
fn docs_and_safety_comments_give_a_meaning_or_a_reason() {
    let mut found = Vec::new();
    for file in tracked_files().into_iter().filter(|file| file.extension().is_some_and(|extension| extension == "rs")) {
        let name = file.to_string_lossy().into_owned();
        if name.ends_with("tests/plain_words.rs") {
            continue;
        }
        for (number, line) in text(&file).lines().enumerate() {
            let line = line.trim();
            if EMPTY_DOCS.contains(&line) || line.starts_with("// SAFETY: as ") || line == "// SAFETY: the caller's." {
                found.push(format!("{name}:{}: {line}", number + 1));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_readme_opens_with_the_purpose_a_picture_and_the_two_commands() {
    let readme = text(Path::new("README.md"));
    let place = |words: &str| readme.find(words).unwrap_or_else(|| panic!("the README has no `{words}`"));
    let places = [
        place("long-tailed"),
        place("![Accuracy"),
        place("cargo xtask reproduce fashion-mnist-lt --setup --yes"),
        place("cargo xtask test --setup --yes"),
        place("## Methods"),
    ];
    assert!(places.is_sorted(), "{places:?}");
    assert!(
        readme[..place("cargo xtask test --setup --yes")].lines().count() < 40,
        "the two commands are on the first screen"
    );
    let picture = root().join("docs/fashion-mnist-lt.svg");
    let bytes = std::fs::metadata(picture).expect("the README's picture").len();
    assert!((1_000..60_000).contains(&bytes), "{bytes} bytes");
}
