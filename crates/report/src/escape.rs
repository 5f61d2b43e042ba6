//! Words from recipes and from files of other programs, made harmless: one rule for each format.
//!
//! [`plain`] is for every format: the summary holds nothing else. Markdown, here, and SVG add their own escape on top (`plain` and
//! SVG's are `artifact`'s, as `features plot` draws too); HTML's is askama's, which the template applies to every `{{ … }}`.

pub(crate) use longtail_artifact::escape::{plain, svg};

/// `text` as Markdown that shows it as it is, wherever it stands: in a heading, a cell of a table, an item of a list.
pub(crate) fn markdown(text: &str) -> String {
    let characters: Vec<char> = plain(text).chars().collect();
    let mut escaped = String::with_capacity(characters.len());
    for (index, &c) in characters.iter().enumerate() {
        let before = index.checked_sub(1).map(|index| characters[index]);
        let after = characters.get(index + 1).copied();
        let letter = |neighbour: Option<char>| neighbour.is_some_and(char::is_alphanumeric);
        let special = match c {
            '\\' | '`' | '*' | '[' | ']' | '<' | '>' | '|' | '~' | '$' => true,
            // Inside a word it is a character like others: tau_norm.
            '_' => !(letter(before) && letter(after)),
            // An entity; alone it is a character.
            '&' => letter(after) || after == Some('#'),
            // Headings, lists and rules begin with these.
            '#' | '=' => index == 0,
            '+' | '-' => index == 0 && ends_a_marker(after),
            '.' | ')' => index > 0 && ends_a_marker(after) && characters[..index].iter().all(char::is_ascii_digit),
            _ => false,
        };
        if special {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// Whether what stands before `after` can be the marker of a list, or the beginning of a rule.
fn ends_a_marker(after: Option<char>) -> bool {
    matches!(after, None | Some(' ' | '+' | '-'))
}

/// `text` in at most `most` characters, its middle left out where it is longer.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    let characters: Vec<char> = text.chars().collect();
    if characters.len() <= most || most < 3 {
        return text.to_owned();
    }
    let (front, back) = (most / 2, most - 1 - most / 2);
    let (front, back) = (&characters[..front], &characters[characters.len() - back..]);
    format!("{}…{}", front.iter().collect::<String>(), back.iter().collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_markdown_is_markup() {
        assert_eq!(markdown("x\n\n## y"), "x ## y");
        assert_eq!(markdown("## y"), r"\## y");
        assert_eq!(markdown("- a | b"), r"\- a \| b");
        assert_eq!(markdown("12. x"), r"12\. x");
        assert_eq!(markdown("---"), r"\---");
        assert_eq!(markdown("-1.50 or 12.50"), "-1.50 or 12.50");
        assert_eq!(markdown("12.50 ± 0.10"), "12.50 ± 0.10");
        assert_eq!(markdown("[1]: http://x"), r"\[1\]: http://x");
        assert_eq!(markdown("<script>`*_a_*`~~&lt;"), r"\<script\>\`\*\_a\_\*\`\~\~\&lt;");
        assert_eq!(markdown("ce+tau_norm, 0.5 & 1 (one)"), "ce+tau_norm, 0.5 & 1 (one)");
        assert_eq!(markdown(r"\| \"), r"\\\| \\");
    }

    #[test]
    fn long_words_lose_their_middle() {
        assert_eq!(shortened("abcdefghij", 5), "ab…ij");
        assert_eq!(shortened("abcde", 5), "abcde");
    }
}
