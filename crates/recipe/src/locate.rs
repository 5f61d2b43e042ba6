//! The line and column of a field, from the YAML parser itself.
//!
//! serde_yaml keeps no positions in its tree, but it puts one on every error. So a position is found by reading the
//! text once more along a path and failing on purpose where the path ends.

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use serde_yaml::Value;

use crate::error::Place;

const HERE: &str = "the place that was looked for";

/// The text of a recipe, and what was changed in it by hand.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    /// The file, as the caller named it.
    pub name: &'a str,
    /// Text of the line.
    pub text: &'a str,
    /// Path and YAML of each `--set`, in order.
    pub overrides: &'a [(String, String)],
}

impl Source<'_> {
    /// Where the value of the field at dotted `path` comes from: an override, its own line, the defaults that are
    /// shared between entries, or, when it is not written at all, the nearest field above it that is.
    pub fn place(&self, path: &str) -> Place {
        self.place_by(path, find)
    }

    /// The same of the name that `path` ends in, where it stands as a key.
    pub fn key_place(&self, path: &str) -> Place {
        self.place_by(path, find_key)
    }

    fn place_by(&self, path: &str, find_it: impl Fn(&str, &str) -> Option<(usize, usize)>) -> Place {
        for candidate in std::iter::once(path.to_string()).chain(shared(path)) {
            // The last override of a path is the one that counts.
            if let Some((set, value)) = self.overrides.iter().rev().find(|(set, _)| covers(set, &candidate)) {
                return Place::Set { path: set.clone(), value: value.clone() };
            }
            if let Some(found) = find_it(self.text, &candidate) {
                return self.text_place(found);
            }
        }
        let mut above = path;
        while let Some(end) = above.rfind('.') {
            above = &above[..end];
            if let Some(found) = find(self.text, above) {
                return self.text_place(found);
            }
        }
        Place::File { name: self.name.to_string() }
    }

    /// A place for a position of the parser.
    pub fn text_place(&self, (line, column): (usize, usize)) -> Place {
        let text = self.text.lines().nth(line.saturating_sub(1)).unwrap_or("").to_string();
        Place::Text { name: self.name.to_string(), line, column, text }
    }
}

/// Whether an override of `set` decides the value at `path`.
fn covers(set: &str, path: &str) -> bool {
    path.strip_prefix(set).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The path in `representation_defaults` or `head_training_defaults` that `path` would take its value from.
pub(crate) fn shared(path: &str) -> Option<String> {
    let mut parts = path.splitn(3, '.');
    match (parts.next()?, parts.next()?, parts.next()?) {
        ("representations", _, rest) => Some(format!("representation_defaults.{rest}")),
        ("classifiers", _, rest) => {
            let (_, rest) = rest.split_once(".training.")?;
            Some(format!("head_training_defaults.{rest}"))
        }
        _ => None,
    }
}

/// 1-based line and column of the value at dotted `path`, if the text has it.
pub(crate) fn find(text: &str, path: &str) -> Option<(usize, usize)> {
    walk(text, Walk { path: Some(path), end: End::Value })
}

/// 1-based line and column of the name that dotted `path` ends in, if the text has it as a key.
fn find_key(text: &str, path: &str) -> Option<(usize, usize)> {
    walk(text, Walk { path: Some(path), end: End::Key })
}

/// 1-based line and column of the second `key` in the map at dotted `path`, the whole text if that is empty.
pub(crate) fn find_repeated(text: &str, path: &str, key: &str) -> Option<(usize, usize)> {
    walk(text, Walk { path: Some(path).filter(|path| !path.is_empty()), end: End::Repeated(key) })
}

/// What of dotted `path` is left below `key`, where it leads there; nothing at its end. A name may hold dots itself, so a path is
/// compared with the names that there are, and not cut at its dots.
pub(crate) fn below<'a>(path: &'a str, key: &str) -> Option<Option<&'a str>> {
    let rest = path.strip_prefix(key)?;
    if rest.is_empty() { Some(None) } else { rest.strip_prefix('.').map(Some) }
}

/// The first step of a path into a list, and what is left below.
pub(crate) fn entry(path: &str) -> Option<(usize, Option<&str>)> {
    let (step, rest) = path.split_once('.').map_or((path, None), |(step, rest)| (step, Some(rest)));
    Some((step.parse().ok()?, rest))
}

fn walk(text: &str, walk: Walk) -> Option<(usize, usize)> {
    let failure = walk.deserialize(serde_yaml::Deserializer::from_str(text)).err()?;
    // Any other failure is about text that is not YAML, and then nobody asks for a path.
    let location = failure.location().filter(|_| failure.to_string().contains(HERE))?;
    Some((location.line(), location.column()))
}

/// Goes along `path` and fails at its end.
#[derive(Clone, Copy)]
struct Walk<'a> {
    /// What is left of it; nothing at its end.
    path: Option<&'a str>,
    end: End<'a>,
}

/// What a walk is to fail at.
#[derive(Clone, Copy)]
enum End<'a> {
    /// The value of the entry.
    Value,
    /// The key of the entry.
    Key,
    /// In the map there, this key where it stands for the second time.
    Repeated(&'a str),
}

/// Reads a key, and fails on purpose if it is `failing`.
struct Key<'a> {
    failing: Option<&'a str>,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        // The error must arise while the key is read, to get the key's position.
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Key<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("a key that is a word")
    }
    fn visit_str<E: Error>(self, key: &str) -> Result<Value, E> {
        if self.failing == Some(key) { Err(E::custom(HERE)) } else { Ok(key.into()) }
    }
    fn visit_bool<E: Error>(self, key: bool) -> Result<Value, E> {
        Ok(key.into())
    }
    fn visit_u64<E: Error>(self, key: u64) -> Result<Value, E> {
        Ok(key.into())
    }
    fn visit_i64<E: Error>(self, key: i64) -> Result<Value, E> {
        Ok(key.into())
    }
    fn visit_f64<E: Error>(self, key: f64) -> Result<Value, E> {
        Ok(key.into())
    }
    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Walk<'_> {
    fn scalar<E: Error>(&self) -> Result<(), E> {
        if self.path.is_none() { Err(E::custom(HERE)) } else { Ok(()) }
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("anything")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.scalar()
    }
    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.scalar()
    }
    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.scalar()
    }
    fn visit_i128<E: Error>(self, _: i128) -> Result<(), E> {
        self.scalar()
    }
    fn visit_u128<E: Error>(self, _: u128) -> Result<(), E> {
        self.scalar()
    }
    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.scalar()
    }
    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        self.scalar()
    }
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.scalar()
    }
    fn visit_none<E: Error>(self) -> Result<(), E> {
        self.scalar()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Some(path) = self.path else {
            return Err(A::Error::custom(HERE));
        };
        let (index, rest) = entry(path).unwrap_or((usize::MAX, None));
        for _ in 0..index {
            if items.next_element::<IgnoredAny>()?.is_none() {
                return Ok(());
            }
        }
        items.next_element_seed(Walk { path: rest, ..self })?;
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let Some(path) = self.path else {
            let End::Repeated(repeated) = self.end else {
                return Err(A::Error::custom(HERE));
            };
            let mut failing = None;
            while let Some(key) = entries.next_key_seed(Key { failing })? {
                if key.as_str() == Some(repeated) {
                    failing = Some(repeated);
                }
                entries.next_value::<IgnoredAny>()?;
            }
            return Ok(());
        };
        let failing = matches!(self.end, End::Key).then_some(path);
        while let Some(key) = entries.next_key_seed(Key { failing })? {
            match key.as_str().and_then(|key| below(path, key)) {
                Some(rest) => entries.next_value_seed(Walk { path: rest, ..self })?,
                None => drop(entries.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "a: 1\nb:\n  - c: 2\n  - {d: [x, y], e: null}\nf:\n";

    #[test]
    fn finds_values_in_both_styles() {
        assert_eq!(find(TEXT, "a"), Some((1, 4)));
        assert_eq!(find(TEXT, "b.0.c"), Some((3, 8)));
        assert_eq!(find(TEXT, "b.1.d.1"), Some((4, 13)));
        assert_eq!(find(TEXT, "b.1.e"), Some((4, 20)));
        assert_eq!(find(TEXT, "b.2"), None);
        assert_eq!(find(TEXT, "a.z"), None);
    }

    #[test]
    fn finds_the_second_of_two_keys() {
        let text = "a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\na: 2\n";
        assert_eq!(find_repeated(text, "b", "c"), Some((5, 3)));
        assert_eq!(find_repeated(text, "", "a"), Some((6, 1)));
        assert_eq!(find_repeated(text, "b", "d"), None);
    }

    #[test]
    fn names_with_dots_are_found_and_keys_too() {
        let text = "a:\n  b: 1\n  b.c:\n    d: 2\n  \"..\":\n    e: 3\n";
        assert_eq!(find(text, "a.b.c.d"), Some((4, 8)));
        assert_eq!(find(text, "a....e"), Some((6, 8)));
        assert_eq!(find_key(text, "a..."), Some((5, 3)));
        assert_eq!(find_key(text, "a.b.c"), Some((3, 3)));
        assert_eq!(find_key(text, "a.z"), None);
    }

    #[test]
    fn a_field_that_is_absent_points_at_what_holds_it() {
        let source = Source { name: "r", text: TEXT, overrides: &[] };
        assert!(matches!(source.place("b.0.zzz"), Place::Text { line: 3, .. }));
        assert!(matches!(source.place("zzz"), Place::File { .. }));
    }

    #[test]
    fn shared_defaults_and_overrides_are_where_a_value_comes_from() {
        let text = "representation_defaults:\n  lr: 0\nrepresentations:\n  ce: {}\n";
        let source = Source { name: "r", text, overrides: &[] };
        assert!(matches!(source.place("representations.ce.lr"), Place::Text { line: 2, .. }));
        let overrides = [("representations.ce.lr".to_string(), "0".to_string())];
        let source = Source { name: "r", text, overrides: &overrides };
        assert!(matches!(source.place("representations.ce.lr"), Place::Set { .. }));
    }
}
