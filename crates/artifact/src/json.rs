//! Canonical JSON: the same value is always the same text.

use serde_json::Value;

/// `value` as compact JSON with the keys of every object sorted by their bytes.
///
/// Numbers are printed by serde_json: the shortest form that reads back to the same bits.
pub fn canonical_json(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    text
}

fn write(value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut keys: Vec<&String> = fields.keys().collect();
            keys.sort();
            text.push('{');
            for (place, key) in keys.into_iter().enumerate() {
                if place > 0 {
                    text.push(',');
                }
                text.push_str(&Value::String(key.clone()).to_string());
                text.push(':');
                write(&fields[key.as_str()], text);
            }
            text.push('}');
        }
        Value::Array(entries) => {
            text.push('[');
            for (place, entry) in entries.iter().enumerate() {
                if place > 0 {
                    text.push(',');
                }
                write(entry, text);
            }
            text.push(']');
        }
        other => text.push_str(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_are_sorted_at_every_depth() {
        let value = json!({"b": [1, {"z": null, "a": "x\"y"}], "a": 0.1});
        assert_eq!(canonical_json(&value), r#"{"a":0.1,"b":[1,{"a":"x\"y","z":null}]}"#);
    }

    #[test]
    fn a_number_comes_back_to_the_bit() {
        // 0.2023f32 as f64: serde_json without its feature `float_roundtrip` reads it one bit off, and a stage would look stale.
        let value = json!([f64::from(0.2023f32), 0.1, 5e-324]);
        let back: Value = serde_json::from_str(&canonical_json(&value)).expect("JSON");
        assert_eq!(back, value);
    }
}
