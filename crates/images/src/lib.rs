//! Bytes to pixels: decoding, orientation, resampling, augmentation, normalisation.
//!
//! [`decode`] makes RGB pixels of a file's bytes, [`photo`] what a network reads of a photo of any size, [`transform`] what it reads of
//! pixels that are stored in its size; [`Transform`] is the one that a recipe asks for. All of it gives Pillow's and torchvision's bytes,
//! given the same chances, and the chances are a function of the random stream that the caller hands over: images can be made in any
//! order and on any thread.

mod choose;
pub mod decode;
mod error;
pub mod photo;
mod pixels;
mod resample;
mod shape;
pub mod transform;

pub use choose::Transform;
pub use error::TransformError;
pub use resample::{ResampleAxis, resample_columns, resample_rows};
pub use shape::ImageShape;
pub use transform::{EvalTransform, TrainTransform};
