//! The commands that documents, recipes, helps and messages quote, each with its place.

use std::collections::BTreeMap;

/// What a quoted command calls.
const PROGRAMS: [&str; 5] = ["representation", "features", "classifier", "datasets", "report"];

/// A command as it stands somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quoted {
    /// `README.md:17`.
    pub place: String,
    /// The command alone: lines joined, comments gone, variables put in.
    pub text: String,
    /// Whether it is named inside a sentence, where `cargo xtask status` may stand without what it needs.
    pub in_prose: bool,
}

/// How a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Text {
    /// Fences and backticks.
    Markdown,
    /// Lines: the header of a recipe, a help, a screen. What two blanks set apart from a command is not part of it.
    Plain,
    /// Backticks in comments and messages.
    Rust,
}

/// Every command in a text.
pub fn quoted_commands(file: &str, text: &str, kind: Text) -> Vec<Quoted> {
    let mut found = match kind {
        Text::Markdown => {
            let (prose, code) = split_fences(text);
            let mut found = spans(file, &prose);
            found.extend(lines(file, &code, true));
            found
        }
        Text::Plain => {
            // A span in backticks ends with them, and not with its line.
            let mut found = spans(file, text);
            found.extend(lines(file, &text.replace('`', "\u{0}"), false));
            found
        }
        Text::Rust => spans(file, text),
    };
    // Not those that stand for many: `cargo xtask …`, and the usage above a help's options.
    let stands_for_many = |text: &str| ["…", "...", " [", " <"].iter().any(|mark| text.contains(mark));
    found.retain(|quoted| !stands_for_many(&quoted.text) && quoted.text.split_whitespace().count() > 2);
    found.sort_by_key(|quoted| number(&quoted.place));
    found
}

fn number(place: &str) -> usize {
    place.rsplit(':').next().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// A Markdown text twice, of as many lines each: without its fenced blocks, and these alone.
fn split_fences(text: &str) -> (String, String) {
    let (mut prose, mut code, mut inside) = (String::new(), String::new(), false);
    for line in text.lines() {
        let fence = line.trim_start().starts_with("```");
        if !fence {
            if inside { code += line } else { prose += line }
        }
        inside ^= fence;
        prose.push('\n');
        code.push('\n');
    }
    (prose, code)
}

/// Commands in backticks; those of a document may go on in the next line.
fn spans(file: &str, text: &str) -> Vec<Quoted> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices('`') {
        let rest = &text[at + 1..];
        let Some(end) = rest.find('`').filter(|_| is_command(rest)) else { continue };
        let place = format!("{file}:{}", text[..at].matches('\n').count() + 1);
        let words: Vec<&str> =
            rest[..end].split_whitespace().filter(|word| !matches!(*word, "//" | "///" | "//!" | "\\")).collect();
        found.push(Quoted { place, text: words.join(" "), in_prose: true });
    }
    found
}

fn is_command(text: &str) -> bool {
    let text = text.trim_start();
    let script = text
        .strip_prefix("sh ")
        .is_some_and(|rest| rest.split(' ').next().is_some_and(|word| word.ends_with("run.sh")));
    let program = |name: &str| {
        text.strip_prefix(name).is_some_and(|rest| rest.starts_with(" --") || rest.starts_with(" generate"))
    };
    text.starts_with("cargo xtask ")
        || text.starts_with("cargo run ")
        || script
        || PROGRAMS.iter().any(|name| program(name))
}

/// Commands that stand in lines of their own, or end one. `shell`: a comment begins with `#`; else two blanks end the command.
fn lines(file: &str, text: &str, shell: bool) -> Vec<Quoted> {
    let mut found = Vec::new();
    let mut variables: BTreeMap<String, String> = BTreeMap::new();
    let mut lines = text.lines().enumerate();
    while let Some((row, line)) = lines.next() {
        let mut whole = line.trim_start_matches(['#', ' ']).trim_end().to_owned();
        while let Some(head) = whole.strip_suffix('\\') {
            let Some((_, next)) = lines.next() else { break };
            whole = format!("{} {}", head.trim_end(), next.trim_start_matches(['#', ' ']).trim_end());
        }
        for part in whole.split("; ") {
            let assigned = part
                .split_once('=')
                .filter(|(name, _)| !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric()));
            if let Some((name, value)) = assigned {
                let value = value.split_whitespace().next().unwrap_or_default();
                variables.insert(name.to_owned(), put_in(value, &variables));
            }
        }
        let Some(start) = start_of_command(&whole, shell) else { continue };
        let command = &whole[start..];
        let ends = [command.find(if shell { " #" } else { "  " }), command.find(" > ")];
        let end = ends.into_iter().flatten().min().unwrap_or(command.len());
        let text = put_in(command[..end].trim_end_matches(['.', ',', ')', ' ']), &variables);
        found.push(Quoted { place: format!("{file}:{}", row + 1), text, in_prose: false });
    }
    found
}

/// Where in a line a command begins: a program's name only where nothing but a word and a colon stands before.
fn start_of_command(line: &str, shell: bool) -> Option<usize> {
    let names_program =
        |line: &str| PROGRAMS.iter().any(|name| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
    let tools = [
        " --",
        " inspect ",
        " diff ",
        " export ",
        " plot ",
        " import ",
        " means ",
        " generate ",
        " check ",
        " synthesize ",
        " pack ",
        " subset ",
        " unpack ",
    ];
    if names_program(line) && tools.iter().any(|tool| line.contains(tool)) {
        return Some(0);
    }
    let begins = |words: &str| line.find(words).filter(|at| *at == 0 || !shell && line[..*at].ends_with([' ', ':']));
    ["cargo xtask ", "cargo run ", "sh run.sh ", "sh bundle/run.sh "].into_iter().filter_map(begins).min()
}

/// `$NAME` by its value, as far as it is known.
fn put_in(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut text = text.to_owned();
    for (name, value) in variables {
        text = text.replace(&format!("${name}"), value);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str, kind: Text) -> Vec<(String, String)> {
        quoted_commands("x", text, kind).into_iter().map(|quoted| (quoted.place, quoted.text)).collect()
    }

    fn pair(place: &str, text: &str) -> (String, String) {
        (place.to_owned(), text.to_owned())
    }

    #[test]
    fn a_document_quotes_in_fences_and_in_backticks_that_may_go_on_in_the_next_line() {
        let text = "Say `cargo run --release -p\nlongtail-ops --example speed` and `cargo xtask`.\n```sh\nRUN=runs/a; S1=$RUN/b\n\
                    features means $RUN/f \\\n  --head $S1/h   # a comment\n```\n`cargo xtask …`, `features`";
        let expected = [
            pair("x:1", "cargo run --release -p longtail-ops --example speed"),
            pair("x:5", "features means runs/a/f --head runs/a/b/h"),
        ];
        assert_eq!(texts(text, Text::Markdown), expected);
    }

    #[test]
    fn a_plain_text_sets_explanations_apart_with_blanks() {
        let text = "# command:   cargo xtask reproduce a --data DIR     on less\n#            one: cargo xtask run x a\n#   cargo xtask bench \\\n#     --quick";
        let expected = [
            pair("x:1", "cargo xtask reproduce a --data DIR"),
            pair("x:2", "cargo xtask run x a"),
            pair("x:3", "cargo xtask bench --quick"),
        ];
        assert_eq!(texts(text, Text::Plain), expected);
    }
}
