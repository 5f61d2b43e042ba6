//! Hyper-parameters that a method took by what it saw in data: which, and in which data.

use serde_json::Value;

use crate::escape::plain;
use crate::prediction::Prediction;

/// One hyper-parameter that one seed of a row chose.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// Random seed of the run.
    pub seed: u64,
    /// The hyper-parameter's name.
    pub name: String,
    /// Its value; of a long list only the length.
    pub value: String,
    /// What it was chosen by.
    pub by: ChosenBy,
    /// The row's accuracy on validation data in percent, where there are any.
    pub val_accuracy: Option<f64>,
}

/// The data that a hyper-parameter was chosen by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChosenBy {
    /// Accuracy on validation data.
    Validation,
    /// Losses on the meta set.
    Meta,
    /// The file does not say, and holds no validation images.
    Unknown,
}

impl ChosenBy {
    /// In words, for a cell of a table.
    pub fn words(self) -> &'static str {
        match self {
            Self::Validation => "validation data",
            Self::Meta => "the meta set",
            Self::Unknown => "not known",
        }
    }
}

/// What `prediction` chose, name by name. A value that the recipe gave is no choice.
pub(crate) fn choices(prediction: &Prediction) -> Vec<Choice> {
    let validated = prediction.val_images.map_or(prediction.val_accuracy.is_some(), |images| images > 0);
    let chosen = prediction.chosen.iter().filter(|(name, _)| prediction.origin.had_a_choice(name));
    chosen
        .map(|(name, value)| Choice {
            seed: prediction.seed,
            name: plain(name),
            value: match value {
                Value::Array(values) if values.len() > 4 => format!("{} values", values.len()),
                Value::String(text) => plain(text),
                other => plain(&other.to_string()),
            },
            by: match name.as_str() {
                // MPFA's adaptive α follows the classes' losses on the meta set.
                "alpha_per_class" => ChosenBy::Meta,
                _ if validated => ChosenBy::Validation,
                _ => ChosenBy::Unknown,
            },
            val_accuracy: prediction.val_accuracy.map(|fraction| 100.0 * fraction),
        })
        .collect()
}
