//! Fields whose value is a choice: a word, or a map of one key that holds the choice's settings.

/// These fields (`schema` holds them, and what follows, against the types). Another choice replaces the one that is made, the same choice is merged.
pub(crate) const FIELDS: [&str; 7] = ["method", "backbone", "head", "loss", "schedule", "momentum", "alpha"];

/// Choices beside the methods of stage 3, and settings that each takes, as an example.
pub(crate) const SETTINGS: [(&str, &str); 11] = [
    ("ce", "{}"),
    ("mpcl", "{}"),
    ("cifar_resnet", "32"),
    ("cifar_resnet_two_headed", "32"),
    ("cosine", "16"),
    ("ldam", "{}"),
    ("step", "{milestones: [120, 160]}"),
    ("fixed", "0.4"),
    ("per_class", "2.0"),
    ("adaptive", "0.2"),
    ("search", "{}"),
];

/// Whether a choice of any of [`FIELDS`] is called `word`.
pub(crate) fn is_choice(word: &str) -> bool {
    SETTINGS.iter().any(|(name, _)| *name == word)
}

/// Settings that the choice called `word` takes, as YAML.
pub(crate) fn example(word: &str) -> &'static str {
    SETTINGS.iter().find(|(name, _)| *name == word).map_or("{}", |(_, settings)| settings)
}

/// Words that had another name once, and the name.
const RENAMED: [(&str, &str); 2] = [("resnet", "cifar_resnet"), ("resnet_two_headed", "cifar_resnet_two_headed")];

/// What `word` is called today: an old name, or one with the depth of a CIFAR network behind it, as papers write it.
pub(crate) fn renamed(word: &str) -> Option<&'static str> {
    let name = match depth(word) {
        Some((name, depth)) if depth >= 8 && (depth - 2) % 6 == 0 => name,
        Some(_) => return None,
        None => word,
    };
    RENAMED.iter().find(|(old, _)| *old == name).map(|(_, new)| *new)
}

/// `resnet32` as `resnet` and 32.
pub(crate) fn depth(word: &str) -> Option<(&str, usize)> {
    let name = word.trim_end_matches(|c: char| c.is_ascii_digit());
    Some((name, word[name.len()..].parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_names_are_known_with_and_without_a_depth() {
        assert_eq!(renamed("resnet"), Some("cifar_resnet"));
        assert_eq!(renamed("resnet32"), Some("cifar_resnet"));
        assert_eq!(renamed("resnet_two_headed"), Some("cifar_resnet_two_headed"));
        assert_eq!((renamed("resnet18"), renamed("resnet1"), renamed("epoch")), (None, None, None), "no 6n+2");
    }
}
