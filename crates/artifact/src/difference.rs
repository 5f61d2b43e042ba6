//! Which fields of two recipe parts differ.

use std::collections::BTreeSet;

use serde_json::Value;

/// More than so many differences are counted, not listed.
const MOST: usize = 8;

/// One line per field that differs: `representation.epochs: 10 → 20`. Sorted by path; empty when the values are equal.
pub(crate) fn differences(before: &Value, now: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    compare("", before, now, &mut lines);
    if lines.len() > MOST {
        let more = lines.len() - MOST;
        lines.truncate(MOST);
        lines.push(format!("and {more} more fields"));
    }
    lines
}

fn compare(path: &str, before: &Value, now: &Value, lines: &mut Vec<String>) {
    match (before, now) {
        (Value::Object(old), Value::Object(new)) => {
            let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for key in keys {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                match (old.get(key), new.get(key)) {
                    (Some(old), Some(new)) => compare(&path, old, new, lines),
                    (Some(old), None) => lines.push(format!("{path}: {} → not set", short(old))),
                    (None, Some(new)) => lines.push(format!("{path}: not set → {}", short(new))),
                    (None, None) => {}
                }
            }
        }
        (old, new) if old != new => {
            let path = if path.is_empty() { "recipe" } else { path };
            lines.push(format!("{path}: {} → {}", short(old), short(new)));
        }
        _ => {}
    }
}

fn short(value: &Value) -> String {
    const LONGEST: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_are_named_down_to_the_leaf() {
        let before = json!({"representation": {"epochs": 10, "method": {"ce": {}}}, "seed": 0});
        let now = json!({"representation": {"epochs": 20, "method": {"mpcl": {"tau": 0.07}}}, "seed": 0});
        assert_eq!(
            differences(&before, &now),
            [
                "representation.epochs: 10 → 20",
                "representation.method.ce: {} → not set",
                "representation.method.mpcl: not set → {\"tau\":0.07}"
            ]
        );
        assert!(differences(&now, &now).is_empty());
    }
}
