//! Changes that hints ask for, as words that do what they say when they are typed.
//!
//! A field of one representation or classifier is named under that entry, never under the defaults that entries share: what an entry
//! sets itself beats them, so a change of the defaults may be without effect, and the entry's own path never is. It is also the
//! only path in the `recipe.yaml` of a run, which a stage reads and which no longer knows what was shared.

use std::fmt::Display;

/// `--set representations.VARIANT.FIELD=VALUE`, the value as YAML.
pub fn set_representation(variant: &str, field: &str, value: impl Display) -> String {
    set_words(&format!("representations.{variant}.{field}"), &value.to_string())
}

/// `--set classifiers.NAME.METHOD.FIELD=VALUE`, the value as YAML; `name` is the recipe's, `method` what it is.
pub fn set_classifier(name: &str, method: &str, field: &str, value: impl Display) -> String {
    set_words(&format!("classifiers.{name}.{method}.{field}"), &value.to_string())
}

/// `--set PATH=VALUE` for a shell: a value that a shell would read into is put in quotes.
pub fn set_words(path: &str, yaml: &str) -> String {
    format!("--set {path}={}", shell_word(yaml))
}

/// `text` as one word of a shell's command, in quotes where it needs them.
pub fn shell_word(text: &str) -> String {
    // A zero byte stands in no word of a command.
    shlex::try_quote(text).map_or_else(|_| text.to_owned(), |word| word.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_through_a_shell_as_they_are() {
        assert_eq!(set_representation("ce", "batch_size", 17), "--set representations.ce.batch_size=17");
        let alpha = set_classifier("mine", "mpfa", "alpha", "{fixed: 0.4}");
        assert_eq!(alpha, "--set classifiers.mine.mpfa.alpha='{fixed: 0.4}'");
        for value in ["\"it's #5\"", "", "$HOME `x`", "a\\b!"] {
            let words = shlex::split(&set_words("description", value)).expect("a command");
            assert_eq!(words, ["--set".to_owned(), format!("description={value}")]);
        }
    }
}
