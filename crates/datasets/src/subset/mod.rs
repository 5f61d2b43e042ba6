//! Subsets of image sets as files of their own: the lossless codec for their pixels.
//!
//! [`compress`] and [`decompress`] take and give the raw bytes of a whole set of small photographs, `(N, H, W, C)`.

mod codec;
mod image;
mod model;
mod predict;
mod range_coder;

pub use codec::{SubsetError, compress, decompress};
