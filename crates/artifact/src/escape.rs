//! Words from recipes and from files of other programs, made harmless: what every format needs, and SVG, which several programs draw.

/// `text` as one line of visible characters: line breaks, tabs and control characters become single spaces; characters that
/// turn the direction of writing, or that XML does not know, are left out.
pub fn plain(text: &str) -> String {
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

/// `text` as the text, or the value of an attribute, of an SVG element.
pub fn svg(text: &str) -> String {
    plain(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
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
    fn svg_text_is_text() {
        assert_eq!(svg("a<b>&\u{1}c"), "a&lt;b&gt;&amp; c");
    }
}
