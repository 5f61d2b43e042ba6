//! The pack: one file with every photo of a data set, made smaller once, for disks and decoders that are too slow for the
//! originals.
//!
//! [`make`] writes it, [`Pack`] reads it; `data.packed: true` makes [`crate::PhotoFiles`] take images from it. A photo whose
//! short side is above the pack's is resized to it (both axes by one factor, as torchvision's `Resize` does) and stored as a
//! JPEG of quality 95 with the chroma at half size, as Pillow would save it; another one is stored as it is. EXIF's orientation
//! is kept. So:
//!
//! - scoring sees the same picture but for one more JPEG compression, if the pack's short side is `resize_short`, its least;
//! - training crops are cut from the smaller picture: a crop of a tenth of a 500×375 photo has 137×137 pixels in the file and
//!   93×93 in a pack of short side 256, so it is blurred more when it is enlarged to 224. `--short` trades this for size.
//!
//! The pack's identity, a hash of all its images, is part of the data set's ([`crate::DataSource::hash`]), and through the split
//! of every stage's key. It also notes what the photographs were ([`MadeFrom`]): where they are there and others now, it is not read.

mod format;
mod made_from;
mod make;
mod origin;
mod place;
mod read;
mod shrink;
mod small;
mod write;

use std::path::Path;

pub use format::{Entry, Kind, Origin, PackKey};
pub use made_from::MadeFrom;
pub use make::{Estimate, Making, estimate, find, make};
pub use origin::look;
pub use place::{PACK_VARIABLE, attach, index_file, of_other_photographs, pack_file};
pub use read::{Pack, PackPart, Packed};
pub use shrink::Shrinker;
pub use small::small_jpeg;
pub use write::{PackWriter, partial};

use crate::error::DatasetError;

/// JPEG quality where nobody says another.
pub const QUALITY: u8 = 95;

fn problem(path: &Path, problem: String, hint: String) -> DatasetError {
    DatasetError::Pack { path: path.to_owned(), problem, hint }
}
