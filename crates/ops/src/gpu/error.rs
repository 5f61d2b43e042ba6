//! What a GPU can answer.

/// Why the device did not do as it was told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GpuError {
    /// No memory is left.
    #[error("the GPU does not have {} MiB left: use a smaller batch_size or micro_batch, or close other programs on it", bytes.div_ceil(1 << 20))]
    OutOfMemory {
        /// Bytes asked for.
        bytes: usize,
    },
    /// The device's own words.
    #[error("the GPU failed at {what}: {message}")]
    Device {
        /// What was being done.
        what: String,
        /// What the driver or library said.
        message: String,
    },
}

impl GpuError {
    /// From what a library said.
    pub fn device(what: impl Into<String>, message: impl std::fmt::Display) -> Self {
        Self::Device { what: what.into(), message: message.to_string() }
    }
}
