//! Words of recipes and of files of other programs stay words, in every format.
#![allow(clippy::unwrap_used)] // a test may stop where it stands

mod common;

use common::*;
use longtail_report::*;
use serde_json::json;

/// What could be markup somewhere; the last words say that all of it was shown.
const NASTY: [&str; 7] = [
    "x\n\n## heading shown",
    "a | b || c shown",
    "`code` *star* _under_ [link](http://x) shown",
    "<script>alert(1)</script> &lt; shown",
    "\u{1b}[31mred \0 \u{7} \u{85} \u{2028} \u{202e} shown",
    "- item\n1. one\n> quote\n--- shown",
    "] shown ![",
];

fn files(words: &str) -> Vec<File> {
    // Recipes refuse control characters; what is set here is what a report must bear all the same.
    let mut recipe = recipe();
    recipe.description = words.to_owned();
    recipe.rows[0].note = Some(words.to_owned());
    let mut predictions: Vec<Prediction> = (0..3).map(|row| prediction(&recipe, row, 0)).collect();
    // The metadata of predictions are words of whoever wrote the file.
    let raw = recipe.description.clone();
    predictions[1].chosen.insert(raw.clone(), json!(raw));
    let mut collected = collected(predictions, Some(SplitFacts { dataset: Some("fashion_mnist".into()), ..split() }));
    collected.left_out.push(Exception { seed: 1, rows: vec!["ce+joint".into()], reasons: vec![raw] });
    let summary = summarize(&recipe, &collected);
    let terminal = terminal_table(&summary);
    let control = terminal.chars().find(|c| c.is_control() && *c != '\n' || *c == '\u{202e}');
    assert_eq!(control, None, "{words}: {terminal:?}");
    render(&summary).unwrap()
}

#[test]
fn markdown_has_the_lines_of_the_report_and_no_others() {
    let plain = files("plain words shown");
    let shape = |text: &str| -> Vec<String> {
        // What each line begins with, and the cells of a table.
        let begins = |line: &str| line.split_whitespace().next().unwrap_or_default().to_owned();
        let cells = |line: &str| line.replace("\\\\", "").replace("\\|", "").matches('|').count();
        let is_words = |line: &str| !line.is_empty() && !line.starts_with(['#', '|', '-', '!', '1']);
        text.lines()
            .map(|line| if is_words(line) { "words".into() } else { format!("{} {}", begins(line), cells(line)) })
            .collect()
    };
    for words in NASTY {
        let markdown = &files(words)[0].text;
        assert_eq!(shape(markdown), shape(&plain[0].text), "{words}:\n{markdown}");
        assert_eq!(markdown.matches("shown").count(), plain[0].text.matches("shown").count(), "{words}:\n{markdown}");
        // What is left without the characters that a backslash makes plain.
        let bare = unescaped(markdown);
        for markup in ["<", "`", "](http", "*star"] {
            assert!(!bare.contains(markup), "{words}:\n{markdown}");
        }
    }
}

fn unescaped(markdown: &str) -> String {
    let mut characters = markdown.chars();
    let mut bare = String::new();
    while let Some(c) = characters.next() {
        if c == '\\' {
            characters.next();
        } else {
            bare.push(c);
        }
    }
    bare
}

#[test]
fn pages_and_drawings_hold_no_foreign_element() {
    let tags = |text: &str| text.matches('<').count();
    let plain = files("plain words shown");
    for words in NASTY {
        let nasty = files(words);
        for (file, as_plain) in nasty.iter().zip(&plain).filter(|(file, _)| !file.name.ends_with(".md")) {
            assert_eq!(tags(&file.text), tags(&as_plain.text), "{}: {words}", file.name);
            let control = file.text.chars().find(|c| c.is_control() && *c != '\n' || *c == '\u{202e}');
            assert_eq!(control, None, "{}: {words}", file.name);
        }
    }
}

#[test]
fn very_long_words_fit() {
    let name = "n".repeat(64);
    let text = RECIPE.replace("joint", &name).replace(&format!("{name}: ,"), &format!("{name}: {{joint: {{}}}},"));
    let recipe = recipe_of(&text);
    let predictions = (0..3).map(|row| prediction(&recipe, row, 0)).collect();
    let files = render(&summarize(&recipe, &collected(predictions, Some(split())))).unwrap();
    assert!(files[0].text.contains(&name), "the table has the whole name");
    // Words beside a legend's line have room for some thirty characters; titles, for readers, are whole.
    for line in files[3].text.lines().filter(|line| !line.contains("<title>")) {
        assert!(!line.contains(&"n".repeat(40)), "{line}");
    }
    assert!(files[1].text.contains("overflow-wrap: anywhere"));
}
