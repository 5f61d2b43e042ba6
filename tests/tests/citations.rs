//! Every document that code, recipes and documents cite exists, and so does every section and table row that is cited.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use longtail_tests::{root, tracked_files};

/// Where a document may lie that is cited by its bare name.
const HOMES: [&str; 5] = ["", "docs", "docs/method", "results", "data"];

/// What is written into `report/`: no document of the repository.
const OUTPUTS: [&str; 1] = ["report.md"];

/// Tests that make up documents.
const MADE_UP: [&str; 2] = ["tests/tests/citations.rs", "tests/tests/quoted_commands.rs"];

/// A citation: the document as it is written, and the sections and rows that follow its name.
#[derive(Debug, PartialEq, Eq)]
struct Citation {
    document: String,
    sections: Vec<String>,
    rows: Vec<usize>,
}

fn is_name_letter(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '/' | '.')
}

/// The next word of a list of sections: `§5`, `§4.1`, `5` behind `section`, or a number behind `row`.
fn number_at(text: &str) -> Option<(&str, &str)> {
    let end = text
        .char_indices()
        .find(|(at, letter)| {
            !(letter.is_ascii_digit()
                || (*letter == '.' && text[at + 1..].starts_with(|next: char| next.is_ascii_digit())))
        })
        .map_or(text.len(), |(at, _)| at);
    (end > 0).then(|| text.split_at(end))
}

/// Reads `§2, §3, §7 and §9`, `§5 rows 13 to 30 and 38` and the like from the beginning of `text`.
fn list(mut text: &str) -> (Vec<String>, Vec<usize>) {
    let (mut sections, mut rows) = (Vec::new(), Vec::new());
    let mut in_rows = false;
    loop {
        let before = text;
        text = text.trim_start_matches(['`', '\'', ',', ' ', '–']);
        for word in ["and ", "to ", "section "] {
            text = text.strip_prefix(word).unwrap_or(text);
        }
        if let Some(rest) = text.strip_prefix('§') {
            let Some((number, rest)) = number_at(rest) else { break };
            sections.push(number.to_owned());
            (in_rows, text) = (false, rest);
        } else if let Some(rest) = text.strip_prefix("rows ").or_else(|| text.strip_prefix("row ")) {
            (in_rows, text) = (true, rest);
        } else if let Some((number, rest)) = number_at(text) {
            let section_word = before.trim_start_matches(' ').starts_with("section ");
            match number.parse() {
                Ok(row) if in_rows => rows.push(row),
                _ if section_word => sections.push(number.to_owned()),
                _ => break,
            }
            text = rest;
        } else {
            break;
        }
    }
    (sections, rows)
}

fn citations(line: &str) -> Vec<Citation> {
    line.match_indices(".md")
        .filter(|(at, _)| {
            !line[at + 3..]
                .starts_with(|next: char| next.is_ascii_alphanumeric() || next == '"' && line[..*at].ends_with('"'))
        })
        .filter_map(|(at, _)| {
            let start = line[..at].char_indices().rev().take_while(|(_, letter)| is_name_letter(*letter)).last()?.0;
            // `TAG:README.md` is a file of the repository that the tag names (docs/method/methods.md §0).
            if line[..start].ends_with([':', '}', '…']) {
                return None;
            }
            let document = line[start..at + 3].to_owned();
            let (sections, rows) = list(&line[at + 3..]);
            Some(Citation { document, sections, rows })
        })
        .collect()
}

/// The document that a citation in `file` means.
fn find(file: &Path, document: &str) -> Option<PathBuf> {
    let beside = file.parent().map(|folder| folder.join(document));
    HOMES
        .iter()
        .map(|home| Path::new(home).join(document))
        .chain(beside)
        .find(|candidate| root().join(candidate).is_file())
}

/// Numbers of a document's headings: `## 4. Title`, `### 4.1 Title`.
fn headings(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter(|line| line.starts_with("##"))
        .filter_map(|line| number_at(line.trim_start_matches(['#', ' '])).map(|(number, _)| number.to_owned()))
        .collect()
}

/// First cells of the tables below the heading of a section, as far as they are numbers.
fn rows_below(text: &str, section: &str) -> BTreeSet<usize> {
    let is_heading = |line: &str, number: &str| {
        line.starts_with("##")
            && number_at(line.trim_start_matches(['#', ' '])).is_some_and(|(found, _)| found == number)
    };
    text.lines()
        .skip_while(|line| !is_heading(line, section))
        .skip(1)
        .take_while(|line| !line.starts_with("##"))
        .filter_map(|line| line.strip_prefix("| ")?.split('|').next()?.trim().parse().ok())
        .collect()
}

#[test]
fn a_citation_is_read_as_people_write_it() {
    let one = |document: &str, sections: &[&str], rows: &[usize]| Citation {
        document: document.to_owned(),
        sections: sections.iter().map(|section| (*section).to_owned()).collect(),
        rows: rows.to_vec(),
    };
    let read = |line: &str| citations(line);
    assert_eq!(read("(protocol.md §1.3)."), [one("protocol.md", &["1.3"], &[])]);
    assert_eq!(read("docs/a.md §4.1 to §4.3; more"), [one("docs/a.md", &["4.1", "4.3"], &[])]);
    assert_eq!(
        read("a.md §2, §3, §7 and §9 and b.md §5 fill"),
        [one("a.md", &["2", "3", "7", "9"], &[]), one("b.md", &["5"], &[])]
    );
    assert_eq!(read("a.md §3 and §5 rows 13 to 30 and 38; the"), [one("a.md", &["3", "5"], &[13, 30, 38])]);
    assert_eq!(read("a.md section 7: the lists"), [one("a.md", &["7"], &[])]);
    assert_eq!(read("`a.md`, 20 classes"), [one("a.md", &[], &[])]);
    assert_eq!(read("a.mdx"), []);
    assert_eq!(read("(OTHER:README.md)"), []);
}

#[test]
fn every_cited_document_section_and_row_exists() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for file in tracked_files() {
        let kind = file.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        if !["rs", "md", "yaml", "toml", "sh", "py", "cu", "cuh"].contains(&kind)
            || MADE_UP.iter().any(|test| file == Path::new(test))
        {
            continue;
        }
        let Ok(text) = std::fs::read_to_string(root().join(&file)) else { continue };
        for (number, line) in text.lines().enumerate() {
            for citation in citations(line) {
                let place = format!("{}:{}", file.display(), number + 1);
                if OUTPUTS.iter().any(|name| citation.document.ends_with(name)) || citation.document == ".md" {
                    continue;
                }
                let Some(document) = find(&file, &citation.document) else {
                    wrong.push(format!("{place}: there is no {}", citation.document));
                    continue;
                };
                seen += 1;
                let cited = std::fs::read_to_string(root().join(&document)).expect("a document is text");
                let known = headings(&cited);
                for section in citation.sections.iter().filter(|section| !known.contains(*section)) {
                    wrong.push(format!("{place}: {} has no §{section}", document.display()));
                }
                // Rows are those of the last section before them.
                if let Some(section) = citation.sections.last() {
                    let there = rows_below(&cited, section);
                    for row in citation.rows.iter().filter(|row| !there.contains(row)) {
                        wrong.push(format!("{place}: {} §{section} has no row {row}", document.display()));
                    }
                }
            }
        }
    }
    assert!(seen > 100, "only {seen} citations were found: the reader of this test is broken");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
