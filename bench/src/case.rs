//! A case as it is written on one line: library, kind, then `name=value`.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Instant;

use anyhow::{Context, Result};

/// One repetition; returns its seconds.
pub type Repetition = Box<dyn FnMut() -> Result<f64>>;

/// What to run.
#[derive(Debug, PartialEq)]
pub struct Case {
    pub library: String,
    pub kind: String,
    values: BTreeMap<String, String>,
}

impl Case {
    pub fn parse(text: &str) -> Result<Self> {
        let mut words = text.split_whitespace().map(str::to_owned);
        let library = words.next().context("a case opens with its library")?;
        let kind = words.next().context("a library is followed by the kind of case")?;
        let values = words
            .map(|word| {
                let (name, value) = word.split_once('=').with_context(|| format!("`{word}` is not NAME=VALUE"))?;
                Ok((name.to_owned(), value.to_owned()))
            })
            .collect::<Result<_>>()?;
        Ok(Self { library, kind, values })
    }

    pub fn word(&self, name: &str) -> Result<&str> {
        self.values.get(name).map(String::as_str).with_context(|| format!("the case gives no `{name}`"))
    }

    pub fn number(&self, name: &str) -> Result<usize> {
        let word = self.word(name)?;
        word.parse().with_context(|| format!("`{name}={word}` is not a whole number"))
    }

    /// Whether it is to run on a GPU.
    pub fn is_on_gpu(&self) -> bool {
        self.values.get("device").is_some_and(|device| device == "cuda")
    }

    /// A number that may be left out.
    pub fn number_or(&self, name: &str, otherwise: usize) -> Result<usize> {
        if self.values.contains_key(name) { self.number(name) } else { Ok(otherwise) }
    }
}

/// The case is sound, but this build cannot run it.
#[derive(Debug)]
pub struct Absent(pub String);

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Absent {}

/// Seconds that `work` takes.
pub fn timed<E: Into<anyhow::Error>>(work: impl FnOnce() -> Result<(), E>) -> Result<f64> {
    let began = Instant::now();
    work().map_err(Into::into)?;
    Ok(began.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::Case;

    #[test]
    fn a_case_is_library_kind_and_values() {
        let case = Case::parse("ours step net=resnet32 batch=128").expect("well-formed");
        assert_eq!((case.library.as_str(), case.kind.as_str()), ("ours", "step"));
        assert_eq!(case.word("net").expect("given"), "resnet32");
        assert_eq!(case.number("batch").expect("given"), 128);
        assert!(case.number("net").is_err());
        assert_eq!(case.number_or("batch", 7).expect("given"), 128);
        assert_eq!(case.number_or("size", 7).expect("left out"), 7);
        assert!(case.number_or("net", 7).is_err());
        assert!(case.number("size").is_err());
        assert!(Case::parse("ours").is_err());
        assert!(Case::parse("ours step batch").is_err());
    }
}
