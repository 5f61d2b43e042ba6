//! What a stage computes on.

use std::fmt::{self, Display, Formatter};

/// What computes. Its words stand in plans, manifests and checkpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Device {
    /// The processor: `cpu`.
    Cpu,
    /// NVIDIA's GPU of this number, counted from 0: `cuda:0`.
    Cuda(usize),
}

impl Display for Device {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => formatter.write_str("cpu"),
            Self::Cuda(ordinal) => write!(formatter, "cuda:{ordinal}"),
        }
    }
}
