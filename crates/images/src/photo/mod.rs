//! Photos: from the bytes of a file to the numbers that a network reads.
//!
//! What is done is what torchvision's transforms do to Pillow's images: random resized crop, flip and colour jitter to train, resize
//! and centre crop to score, then the normalisation. The chances are drawn from our own streams.

mod adjust;
mod crop;
mod orient;
mod resize;
mod transform;

pub use adjust::{Adjustment, ColorJitter};
pub use crop::Crop;
pub use transform::{Draw, PhotoScratch, PhotoSpec, PhotoTransform};
