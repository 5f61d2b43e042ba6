//! A pipeline's YAML, parsed into a raw form and resolved into a checked one.
//!
//! A recipe names data, representations (stage 1), classifiers (stage 3) and the rows of a table. Whoever holds a [`Recipe`] need not
//! check it: only [`read`] and [`read_str`] make one, with every default filled in and every range checked. Not here: anything that
//! a recipe is about; this crate reads no images and knows no files but recipes.
//!
//! - [`Recipe`]: the whole; [`DataRecipe`], [`RepresentationRecipe`] and [`ClassifierRecipe`] are its parts, whose fields' docs give
//!   meaning, range, default and source.
//! - [`RecipeError`]: what is wrong, with line, column and the nearest right word.
//! - [`Unfit`]: why a recipe's settings do not fit the images that there are.
//!
//! ```
//! let text = "
//! data: {dataset: fashion_mnist, imbalance_factor: 100}
//! representations: {ce: {method: {ce: {}}, epochs: 20}}
//! classifiers: {crt: , tau_norm: }
//! ";
//! let recipe = longtail_recipe::read_str(text, "mine.yaml", &[])?;
//! assert_eq!(recipe.representation("ce")?.batch_size, 256); // a default
//! assert_eq!(recipe.rows.len(), 2); // every representation with every classifier
//!
//! let changes = [("representations.ce.epochs".to_owned(), "0".to_owned())]; // as `--set` has them
//! let error = longtail_recipe::read_str(text, "mine.yaml", &changes).expect_err("out of range");
//! assert!(error.to_string().contains("1 to 100000"));
//! # Ok::<(), longtail_recipe::RecipeError>(())
//! ```
//!
//! # Inside
//!
//! [`read`] is the only code of the workspace that knows the YAML crate. It goes through these steps, each a module:
//!
//! 1. the bytes become text, `text`, a tree (syntax and duplicate keys are refused here) and raw types that mirror it (unknown
//!    keys and wrong types are refused here), named `Raw…`; a field without a value is refused, `without_value`;
//! 2. `--set path=value` pairs change the tree, one after the other, each checked against the raw types, `overrides`;
//! 3. `representation_defaults` and `head_training_defaults` go under each entry, `merge`;
//! 4. what is left out takes its default, every number is checked against its range, and the parts against each other,
//!    the functions named `resolve`;
//! 5. an error finds the line and column of the field it is about, `locate`.
//!
//! A part of a recipe is one file, with both of its forms, defaults, ranges and docs: `whole` has all of it, `data/`, `stage1/`, `features` and `rows`
//! its parts. A method is one file too: `method/` for stage 1, `classifier/` for stage 3; so is a loss of stage 1 that has settings, `loss/`. It
//! holds both forms of the method's settings, their defaults, ranges and docs, and `settings::Settings` for them. One line in the list of
//! its folder registers it; enums, lists of words and what goes into a stage's key are made from that list. The JSON schema for editors is
//! made from the types as well, by a test (`schema`).

mod beyond;
mod check;
mod choices;
mod classifier;
mod data;
mod error;
mod explain;
mod features;
mod fit;
mod locate;
mod loss;
mod merge;
mod method;
mod numbers;
mod overrides;
mod parts;
mod preset;
mod read;
mod read_past;
mod rows;
mod said;
#[cfg(test)]
mod schema;
mod settings;
mod stage1;
mod suggest;
mod text;
mod told;
mod whole;
mod without_value;

pub use classifier::*;
pub use data::*;
pub use error::{Place, RecipeError};
pub use features::FeaturesRecipe;
pub use fit::{Misfit, SingleImage, SplitSizes, Unfit};
pub use loss::*;
pub use method::*;
pub use read::{read, read_str};
pub use rows::{Accuracies, ExpectedRanges, Row};
pub use stage1::{
    Augmentation, Backbone, CudaPrecision, HeadKind, RepresentationRecipe, Sampler, Schedule, StepSchedule, WdGroups,
};
pub use told::{set_classifier, set_representation, set_words, shell_word};
pub use whole::Recipe;
