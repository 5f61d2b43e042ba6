//! Which fields of two recipe parts differ.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::code_versions::of_part;

/// More than so many differences are counted, not listed.
const MOST: usize = 8;

/// A field in which two recipe parts differ.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldDifference<'a> {
    /// The keys on the way to it; none if the parts are no maps.
    pub path: Vec<&'a str>,
    /// What it was; `None` where it was not set.
    pub before: Option<&'a Value>,
    /// Value in the recipe now; `None` if the field is gone.
    pub now: Option<&'a Value>,
}

impl FieldDifference<'_> {
    /// Where it is no field of a recipe but the version of some code: of which code.
    pub fn code(&self) -> Option<&'static str> {
        of_part(self.path.last()?)
    }

    /// Before and now of such a version. Code had none as long as it had one version.
    pub fn versions(&self) -> [u64; 2] {
        [self.before, self.now].map(|version| version.and_then(Value::as_u64).unwrap_or(1))
    }
}

/// The fields in which two recipe parts differ, down to the leaves, sorted by path; none when the values are equal. A version of code that
/// one of them alone has comes with a field of the recipe (a cosine head that was a linear one), which is then what is told. A part that never
/// was a file goes through [`as_read`] first.
pub fn field_differences<'a>(before: &'a Value, now: &'a Value) -> Vec<FieldDifference<'a>> {
    let mut found = Vec::new();
    compare(&mut Vec::new(), Some(before), Some(now), &mut found);
    if found.iter().any(|field| field.code().is_none()) {
        found.retain(|field| field.code().is_none() || (field.before.is_some() && field.now.is_some()));
    }
    found
}

/// The value after a trip through text, as a manifest's went: serde_json may read a float one bit off, and 0.1 + 0.2 in
/// a recipe must not make its stage stale for ever.
pub fn as_read(value: &Value) -> Value {
    serde_json::from_str(&value.to_string()).expect("the text of a value is JSON")
}

/// One line per field that differs: `representation.epochs: 10 → 20`. Sorted by path; empty when the values are equal.
pub(crate) fn differences(before: &Value, now: &Value) -> Vec<String> {
    let fields = field_differences(before, now);
    let shown = |value: Option<&Value>| value.map_or_else(|| "not set".to_owned(), short);
    let mut lines: Vec<String> = Vec::new();
    for field in fields.iter().take(MOST) {
        if let Some(code) = field.code() {
            let [before, now] = field.versions();
            lines.push(format!("code version of {code}: {before} → {now}"));
            continue;
        }
        let path = if field.path.is_empty() { "recipe".to_owned() } else { field.path.join(".") };
        lines.push(format!("{path}: {} → {}", shown(field.before), shown(field.now)));
    }
    if fields.len() > MOST {
        lines.push(format!("and {} more fields", fields.len() - MOST));
    }
    lines
}

fn compare<'a>(
    path: &mut Vec<&'a str>,
    before: Option<&'a Value>,
    now: Option<&'a Value>,
    found: &mut Vec<FieldDifference<'a>>,
) {
    match (before, now) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let keys: BTreeSet<&'a String> = old.keys().chain(new.keys()).collect();
            for key in keys {
                path.push(key);
                compare(path, old.get(key), new.get(key), found);
                path.pop();
            }
        }
        (before, now) if before != now => found.push(FieldDifference { path: path.clone(), before, now }),
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

    /// A key that no recipe has says nothing to whoever wrote one.
    #[test]
    fn a_version_of_code_is_told_as_one_and_only_where_it_is_the_reason() {
        let part = |head: Value, version: Option<u32>| {
            let mut part = json!({"representation": {"head": head}});
            if let Some(version) = version {
                part["cosine_head"] = json!(version);
            }
            part
        };
        let cosine = || json!({"cosine": 16});
        let of = |before: Value, now: Value| differences(&before, &now);
        let code = |versions: &str| vec![format!("code version of the training of cosine heads: {versions}")];
        assert_eq!(of(part(cosine(), None), part(cosine(), Some(2))), code("1 → 2"));
        assert_eq!(of(part(cosine(), Some(2)), part(cosine(), Some(3))), code("2 → 3"));
        let other_head = of(part(json!("linear"), None), part(cosine(), Some(2)));
        assert_eq!(other_head, ["representation.head: \"linear\" → {\"cosine\":16}"]);
        let photos = of(json!({"data": {"seed": 1}}), json!({"data": {"seed": 1, "photo_pixels": 2}}));
        assert_eq!(photos, ["code version of the decoding of photographs: 1 → 2"]);
    }
}
