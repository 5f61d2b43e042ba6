//! Balanced features: class statistics, the law of each generated row, and exact sampling from it.
//!
//! [`ClassStore`] holds the rows by class, [`BaseRows`] reads them through Tukey's power; [`ClassFactors`] the covariances as factors; a generator ([`mpfa_laws`](calibration),
//! [`tailcalib_laws`](tailcalib)) writes one [`RowLaws`] entry per source row; [`LowRankSampler`] draws from it;
//! [`BalancedEpoch`] hands real and generated rows out in shuffled batches without ever holding all of them.

mod base_rows;
pub mod calibration;
mod class_store;
mod counts;
mod draw;
mod epoch;
mod factors;
pub mod gpu;
mod laws;
mod low_rank;
mod moments;
mod neighbors;
#[cfg(feature = "cuda")]
mod on_cuda;
pub mod tailcalib;
mod transform;

pub use base_rows::BaseRows;
pub use class_store::ClassStore;
pub use counts::{Remainder, RowPlan, is_tail};
pub use draw::{DrawRows, OnHost};
pub use epoch::{BalancedEpoch, EpochMemory};
pub use factors::{ClassFactors, degrees_of_freedom};
pub use laws::{Component, NO_CLASS, RowLaws};
pub use low_rank::{FeatureModel, LowRankSampler, SamplerScratch};
pub use moments::{covariance, mean};
pub use neighbors::{Neighbors, most_similar, nearest};
#[cfg(feature = "cuda")]
pub use on_cuda::OnCuda;
pub use transform::{FeatureTransform, Tukey, norm, normalize, normalize_rows, tukey_rows};
