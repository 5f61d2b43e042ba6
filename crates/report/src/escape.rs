//! Words from recipes and from files of other programs, made harmless: one rule for each format, and all of them here.
//!
//! [`plain`] is for every format: the summary holds nothing else. Markdown and SVG add their own escape on top; HTML's is
//! askama's, which the template applies to every `{{ … }}`.

/// `text` as one line of visible characters: line breaks, tabs and control characters become single spaces; characters that
/// turn the direction of writing, or that XML does not know, are left out.
pub(crate) fn plain(text: &str) -> String {
    let harmless: String = text
        .chars()
        .filter(|c| !turns_writing(*c) && !matches!(c, '\u{feff}' | '\u{fffe}' | '\u{ffff}'))
        .map(|c| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c })
        .collect();
    harmless.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A line that starts or isolates right-to-left writing shows the words after it in another order.
fn turns_writing(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

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

/// `text` as the text of an SVG element.
pub(crate) fn svg(text: &str) -> String {
    plain(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
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
    fn every_format_starts_from_one_visible_line() {
        assert_eq!(plain(" x\n\n## y\t\u{1b}[31mred\u{7}\u{0} "), "x ## y [31mred");
        assert_eq!(plain("a\u{2028}b\u{85}c\u{202e}d\u{feff}"), "a b cd");
        assert_eq!(plain("τ = 0.5, 學習"), "τ = 0.5, 學習");
    }

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
    fn svg_text_is_text() {
        assert_eq!(svg("a<b>&\u{1}c"), "a&lt;b&gt;&amp; c");
    }

    #[test]
    fn long_words_lose_their_middle() {
        assert_eq!(shortened("abcdefghij", 5), "ab…ij");
        assert_eq!(shortened("abcde", 5), "abcde");
    }
}
