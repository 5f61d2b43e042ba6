//! What the kernels can refuse.

/// Input that a kernel cannot take. Wrong lengths are programming errors and panic instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpsError {
    /// A label is not a class.
    #[error("label {label} of sample {sample} is out of range: there are {num_classes} classes")]
    LabelOutOfRange {
        /// Index of the sample in the batch.
        sample: usize,
        /// The offending label.
        label: u32,
        /// Number of classes; labels lie in `0..num_classes`.
        num_classes: usize,
    },
    /// Neither labels nor soft targets, or both.
    #[error("cross-entropy takes either labels or soft targets, {given}")]
    Targets {
        /// What was given instead: "but got both" or "but got neither".
        given: &'static str,
    },
    /// Label smoothing outside `[0, 1)`.
    #[error("label smoothing must lie in [0, 1), got {smoothing}")]
    Smoothing {
        /// The offending value as text.
        smoothing: String,
    },
    /// A slice whose length does not fit the shape.
    #[error("`{name}` has {found} elements, expected {expected}")]
    Length {
        /// Name of the argument with the wrong length.
        name: &'static str,
        /// Number of elements it has.
        found: usize,
        /// The length that the shape asks for.
        expected: usize,
    },
    /// A weighted mean over nothing.
    #[error("the class weights of the batch sum to zero: the mean loss is undefined")]
    ZeroWeight,
}
