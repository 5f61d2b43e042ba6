//! Named sets of defaults.

use serde::Deserialize;

/// Where a method starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(crate) enum Preset {
    /// The documented defaults.
    #[default]
    Defaults,
    /// The paper's equations to the letter.
    PaperLiteral,
}
