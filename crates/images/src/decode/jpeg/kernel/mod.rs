//! The arithmetic of JPEG decoding, to the byte what libjpeg gives: Huffman codes, inverse cosine transforms (its accurate integer one and
//! the reduced ones), its triangle upsampling, and its colour conversion.

mod colour;
mod entropy;
mod fixed;
mod huffman;
mod idct;
#[cfg(target_arch = "x86_64")]
mod idct_avx2;
mod progressive;
mod reduced;
mod upsample;

pub use colour::ycc_row_to_rgb;
pub use entropy::{JPEG_ZIGZAG, NoJpegCode, UnitBlock, jpeg_units};
pub use huffman::{EntropyBits, HuffmanTable};
pub use idct::jpeg_idct;
pub use progressive::{ScanBand, jpeg_band, jpeg_first, jpeg_first_refined};
pub use reduced::jpeg_idct_reduced;
pub use upsample::{double_row, sum_rows_3_1, widen_rows};
