//! Shot groups and accuracies: one formula for training, classifiers, tools and reports.
//!
//! - [`ShotGroup`]: which group a class belongs to by its training images, and how many classes each group has.
//! - [`evaluate`]: accuracies by class, by group and over all images. [`accuracy`]: over all images alone.
//! - [`argmax_rows`]: from logits to predictions.
//!
//! Numbers are fractions in [0, 1]; a group without classes has none. Not here: tensors and files.
//!
//! ```
//! use longtail_metrics::{argmax_rows, evaluate};
//! use longtail_recipe::ShotGroups;
//!
//! let predicted = argmax_rows(&[2.0, 1.0, 0.0, 3.0, 5.0, 4.0], 2); // of three images, logits of two classes
//! let accuracy = evaluate(&predicted, &[0, 1, 1], &[500, 5], ShotGroups::default())?;
//! assert_eq!((accuracy.many, accuracy.medium, accuracy.few), (Some(1.0), None, Some(0.5)));
//! # Ok::<(), longtail_metrics::MetricsError>(())
//! ```

mod accuracy;
mod shot_groups;

pub use accuracy::{GroupAccuracy, MetricsError, accuracy, argmax_rows, evaluate};
pub use shot_groups::{ShotGroup, group_sizes};
