//! What stops stage 3, with the value and the place.

use std::path::{Path, PathBuf};

use longtail_artifact::{ArtifactError, Interrupted, counted};
use longtail_linalg::LinalgError;
use longtail_metrics::MetricsError;
use longtail_training::TrainingError;
use thiserror::Error;

/// Everything that can go wrong in this crate.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClassifierError {
    /// A class without a training image: no mean, no covariance, nothing to balance.
    #[error("class {class} of {num_classes} has no training feature")]
    EmptyClass {
        /// The first such class.
        class: usize,
        /// Classes in all.
        num_classes: usize,
    },
    /// A label that is no class.
    #[error("row {row} has label {label}, but the classes are 0 to {}", num_classes.saturating_sub(1))]
    Label {
        /// The first such row.
        row: usize,
        /// Label of the sample.
        label: u32,
        /// Classes in all.
        num_classes: usize,
    },
    /// Two inputs disagree in size.
    #[error("{what}: {found} values, expected {expected}")]
    Shape {
        /// Name of the input with the wrong length.
        what: String,
        /// Number of values it has.
        found: usize,
        /// Number of values it needs.
        expected: usize,
    },
    /// Two files disagree in size.
    #[error("`{path}` has {what} {found}, but `{other}` has {expected}")]
    Mismatch {
        /// The file that does not fit.
        path: PathBuf,
        /// Which number of it: "feature dimension", say.
        what: &'static str,
        /// What the file says.
        found: String,
        /// The file it must fit.
        other: PathBuf,
        /// What that one says.
        expected: String,
    },
    /// A file was made from another backbone, split or recipe.
    #[error("`{path}` was made from {what} {found}, but the run now has {expected}")]
    Provenance {
        /// Path of the file.
        path: PathBuf,
        /// What it was made from.
        what: &'static str,
        /// Hash or value in the file.
        found: String,
        /// Hash or value now.
        expected: String,
    },
    /// A feature file whose class counts are not those of its labels.
    #[error("`{path}` says class {class} has {}, but {found} of its labels are {class}", counted(*said, "image"))]
    Counts {
        /// Path of the file.
        path: PathBuf,
        /// The first class that differs.
        class: usize,
        /// `class_counts`.
        said: u32,
        /// Number of labels of this class in the file.
        found: u32,
    },
    /// Tukey's power of a negative feature.
    #[error(
        "feature {value} at row {row}, column {column} is negative: Tukey's power λ = {lambda} needs features of at least 0"
    )]
    NegativeFeature {
        /// Row in the sorted store or in the file.
        row: usize,
        /// Column of the value.
        column: usize,
        /// The negative value.
        value: f32,
        /// λ of Tukey's power.
        lambda: f64,
    },
    /// A prototype of zero length.
    #[error("the prototype of class {class} is zero: stage 1 never saw this class, or none of its entries is positive")]
    NoPrototype {
        /// Label of the class.
        class: usize,
    },
    /// LAPACK could not factor a class.
    #[error("the covariance of class {class} ({rows} rows of {dim} dimensions) cannot be factored")]
    Factor {
        /// Label of the class.
        class: usize,
        /// Number of training rows N_k of the class.
        rows: usize,
        /// Feature dimension d.
        dim: usize,
        /// What LAPACK said.
        source: LinalgError,
    },
    /// A method that needs a linear stage-1 head met another.
    #[error("`{method}` {why}, but stage 1 of this variant trained a {found} head")]
    Head {
        /// Name of the method in the recipe.
        method: &'static str,
        /// What it does that needs one.
        why: &'static str,
        /// The head found.
        found: &'static str,
    },
    /// A method needs features that the split leaves out.
    #[error("`{method}` needs {what}, but `{path}` has no images")]
    NoData {
        /// Name of the method in the recipe.
        method: &'static str,
        /// What the method needs the images for.
        what: &'static str,
        /// The empty file.
        path: PathBuf,
    },
    /// The method's name is not in the recipe, or the recipe asks for what this build does not know.
    #[error("{0}")]
    Recipe(String),
    /// What is wrong with a file's contents.
    #[error("`{path}` cannot be used")]
    File {
        /// Path of the file.
        path: PathBuf,
        /// What is wrong.
        source: Box<ClassifierError>,
    },
    /// Ctrl-C: a checkpoint was written.
    #[error("interrupted; the next run continues from the last checkpoint")]
    Interrupted(#[source] Interrupted),
    /// A file. (Not transparent: the hint that comes with it is found by walking the sources.)
    #[error("{0}")]
    Artifact(#[from] ArtifactError),
    /// A head or its training.
    #[error("{0}")]
    Training(#[from] TrainingError),
    /// A count of right answers.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// An error of the device.
    #[error("the classifier's device: {0}")]
    Gpu(#[from] longtail_ops::gpu::GpuError),
}

impl From<candle_core::Error> for ClassifierError {
    fn from(error: candle_core::Error) -> Self {
        Self::Training(error.into())
    }
}

impl ClassifierError {
    /// The same error with the file it is about.
    pub(crate) fn of_file(self, path: &Path) -> Self {
        Self::File { path: path.to_path_buf(), source: Box::new(self) }
    }
}
