//! Fields that are named and given nothing: `epochs:`, `lr: ~`. Their default would be taken, which nobody asked for.

use serde_yaml::Value;

/// The dotted path of the first field without a value. `classifiers` may name a method alone, and then means its defaults.
pub(crate) fn first(tree: &Value) -> Option<String> {
    look(tree, &mut Vec::new())
}

fn look(value: &Value, path: &mut Vec<String>) -> Option<String> {
    let mut below = |step: String, value: &Value| {
        path.push(step);
        let found = look(value, path);
        path.pop();
        found
    };
    match value {
        Value::Null => {
            let bare_name = path.len() == 2 && path[0] == "classifiers";
            (!bare_name && !path.is_empty()).then(|| path.join("."))
        }
        Value::Mapping(entries) => entries.iter().find_map(|(key, value)| below(key.as_str()?.to_string(), value)),
        Value::Sequence(items) => items.iter().enumerate().find_map(|(index, value)| below(index.to_string(), value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_found_at_any_depth_but_for_a_bare_classifier() {
        let first = |text: &str| first(&serde_yaml::from_str(text).expect("YAML"));
        assert_eq!(first("a: 1\nb: {c: [1, {d: ~}]}"), Some("b.c.1.d".to_string()));
        assert_eq!(first("features:\n"), Some("features".to_string()));
        assert_eq!(first("classifiers: {crt: , lws: }\nrows: []\nfeatures: {}\n"), None);
        assert_eq!(first("classifiers:\n"), Some("classifiers".to_string()));
        assert_eq!(first("classifiers: {crt: {crt: }}"), Some("classifiers.crt.crt".to_string()));
    }
}
