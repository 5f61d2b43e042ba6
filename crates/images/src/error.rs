//! What can be wrong with what is asked of a transform. What can be wrong with a file's bytes is
//! [`PhotoProblem`](crate::decode::PhotoProblem).

/// A transform was asked for something that makes no sense for these images.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {problem}")]
pub struct TransformError {
    /// The setting.
    pub what: &'static str,
    /// The offending value and what is allowed.
    pub problem: String,
}
