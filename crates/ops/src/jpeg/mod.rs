//! The arithmetic of JPEG decoding, to the byte what libjpeg gives: inverse cosine transforms (its accurate integer one and
//! the reduced ones), its triangle upsampling, and its colour conversion.

mod colour;
mod idct;
#[cfg(target_arch = "x86_64")]
mod idct_avx2;
mod reduced;
mod upsample;

pub use colour::{ycc_row_to_rgb, ycc_row_to_rgb_at};
pub use idct::jpeg_idct;
pub use reduced::jpeg_idct_reduced;
pub use upsample::{double_row, sum_rows_3_1, widen_rows};
