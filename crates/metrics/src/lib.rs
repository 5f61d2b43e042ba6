//! Shot groups and accuracies: one formula for training, classifiers, tools and reports.
//!
//! - [`ShotGroup`]: which group a class belongs to by its training images, and how many classes each group has.
//! - [`evaluate`]: accuracies by class, by group and over all images. [`accuracy`]: over all images alone.
//! - [`argmax_rows`]: from logits to predictions.

mod accuracy;
mod shot_groups;

pub use accuracy::{GroupAccuracy, MetricsError, accuracy, argmax_rows, evaluate};
pub use shot_groups::{ShotGroup, group_sizes};
