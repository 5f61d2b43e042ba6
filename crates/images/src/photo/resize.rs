//! Pillow's resizing of a stretch of decoded pixels to a square, computing only what is wanted.

use crate::resample::{ResampleAxis, resample_columns, resample_rows};

use crate::decode::Pixels;

/// One axis of a resize, in pixels of the (reduced) image as it was decoded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    /// The image's length: the filter ends there.
    pub length: usize,
    /// Where the first output begins.
    pub from: f64,
    /// Where the last output ends.
    pub to: f64,
    /// How many outputs lie between.
    pub outputs: usize,
    /// The first output that is wanted.
    pub first: usize,
}

impl Stretch {
    /// `from..from + length` of `whole` stored pixels, in an image that the codec reduced `by`.
    pub fn new(whole: usize, from: usize, length: usize, outputs: usize, by: u32) -> Self {
        let reduced = whole.div_ceil(by as usize);
        let place = |at: usize| (at as f64 / f64::from(by)).min(reduced as f64);
        Self { length: reduced, from: place(from), to: place(from + length), outputs, first: 0 }
    }

    /// The first stored pixel and the number of stored pixels that `count` outputs are made of, with a margin.
    pub fn window(&self, count: usize, by: u32, whole: usize) -> (u32, u32) {
        let scale = (self.to - self.from) / self.outputs as f64;
        let margin = scale.max(1.0) + 2.0;
        let first = (self.from + self.first as f64 * scale - margin).max(0.0) as usize;
        let end = (self.from + (self.first + count) as f64 * scale + margin).ceil() as usize;
        let (first, end) = (first * by as usize, (end * by as usize).min(whole));
        (first as u32, (end - first) as u32)
    }
}

/// Buffers.
#[derive(Debug, Default)]
pub(super) struct ResizeScratch {
    x: ResampleAxis,
    y: ResampleAxis,
    between: Vec<u8>,
    /// What came out, `(side, 3, side)`.
    pub image: Vec<u8>,
}

impl ResizeScratch {
    /// `side` outputs along both axes, into [`ResizeScratch::image`].
    ///
    /// # Panics
    /// If `pixels` lacks one that is needed.
    pub fn resize(&mut self, pixels: &Pixels<'_>, x: &Stretch, y: &Stretch, side: usize) {
        self.x.set(x.length, x.from, x.to, x.outputs, x.first, side);
        self.y.set(y.length, y.from, y.to, y.outputs, y.first, side);
        self.x.shift(pixels.left);
        let (top, bottom) = self.y.inputs();
        self.y.shift(top);
        let rows = bottom - top;
        assert!(top >= pixels.top && bottom <= pixels.top + pixels.height, "all rows that are needed");
        assert!(self.x.inputs().1 <= pixels.width, "all columns that are needed");
        self.between.resize(rows * 3 * side, 0);
        self.image.resize(side * 3 * side, 0);
        resample_rows(
            &pixels.rgb[(top - pixels.top) * pixels.stride..],
            pixels.stride,
            rows,
            &self.x,
            &mut self.between,
        );
        resample_columns(&self.between, 3 * side, &self.y, &mut self.image);
    }
}
