//! Parts of a value's text that YAML ignores without a word: comments, tags, anchors, what follows the end of a document.

use serde_yaml::Value;

/// The part of `text` that is not in its `value`, in words; `None` where all of it is.
pub(crate) fn find(text: &str, value: &Value) -> Option<String> {
    let text = text.trim();
    if let Some(comment) = comment(text, value) {
        return Some(format!("`{comment}`, which it reads as a comment"));
    }
    let first = text.split_whitespace().next().unwrap_or_default();
    if first.starts_with('&') {
        return Some(format!("`{first}`, which it reads as the name of an anchor"));
    }
    if let Some(tag) = tag(value) {
        return Some(format!("`{tag}`, which it reads as a tag"));
    }
    let Value::String(words) = value else {
        return None;
    };
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let is_plain = !text.starts_with(['"', '\'', '|', '>']);
    (is_plain && one_line(text) != one_line(words)).then(|| format!("all but `{}`", one_line(words)))
}

/// What stands behind a `#`, if the value is the same without it.
fn comment<'a>(text: &'a str, value: &Value) -> Option<&'a str> {
    let may_begin = |(at, c): &(usize, char)| *c == '#' && !text[..*at].ends_with(|c: char| !c.is_whitespace());
    text.char_indices().filter(may_begin).find_map(|(at, _)| {
        let end = text[at..].find('\n').map_or(text.len(), |length| at + length);
        let without = format!("{}{}", &text[..at], &text[end..]);
        let same = serde_yaml::from_str::<Value>(&without).is_ok_and(|other| other == *value);
        same.then(|| text[at..end].trim_end())
    })
}

fn tag(value: &Value) -> Option<String> {
    match value {
        Value::Tagged(tagged) => Some(tagged.tag.to_string()),
        Value::Mapping(entries) => entries.iter().find_map(|(key, value)| tag(key).or_else(|| tag(value))),
        Value::Sequence(items) => items.iter().find_map(tag),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<String> {
        find(text, &serde_yaml::from_str(text).expect("YAML"))
    }

    #[test]
    fn what_yaml_reads_past_is_found() {
        for (text, part) in [
            ("see issue #5", "`#5`, which it reads as a comment"),
            ("3 # epochs", "`# epochs`, which it reads as a comment"),
            ("#5", "`#5`, which it reads as a comment"),
            ("{a: 1, # one\n b: 2}", "`# one`, which it reads as a comment"),
            ("&fast run", "`&fast`, which it reads as the name of an anchor"),
            ("!new run", "`!new`, which it reads as a tag"),
            ("[!new run]", "`!new`, which it reads as a tag"),
            ("run\n...", "all but `run`"),
        ] {
            assert_eq!(found(text).as_deref(), Some(part), "{text}");
        }
    }

    #[test]
    fn what_yaml_takes_whole_is_left_alone() {
        for text in [
            "see issue#5",
            "\"see issue #5\"",
            "'it''s # 5'",
            "|\n  see # 5",
            "two\n  lines",
            "R&D, 100 %!",
            "a: b",
            "[1, 2.50]",
            "1e-3",
            "{a: 'x # y'}",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
    }
}
