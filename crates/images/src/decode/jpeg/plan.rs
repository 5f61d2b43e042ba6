//! Which units a window needs, and how large each component's part of them is.

use std::ops::Range;

use super::super::Window;
use super::frame::Frame;

/// How one component is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scale {
    /// Samples along (and down) a block: 8, 4, 2 or 1.
    pub size: usize,
    /// Pixels of the picture for one sample, along and down: 1 to 4.
    pub wide: usize,
    pub high: usize,
    /// Samples of the whole component, along and down, without padding.
    pub width: usize,
    pub height: usize,
}

/// What is decoded of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub reduce: usize,
    /// Columns and rows of the reduced picture that are painted.
    pub x: Range<usize>,
    pub y: Range<usize>,
    /// Units of a row of the frame.
    pub per_row: usize,
    /// Columns and rows of units whose samples are made.
    pub columns: Range<usize>,
    pub rows: Range<usize>,
    pub scales: Vec<Scale>,
}

impl Plan {
    /// # Source
    /// libjpeg's `jdmaster.c`: components with less samples are reduced less, as far as that comes out even.
    pub fn new(frame: &Frame, window: Window, reduce: u32) -> Self {
        let reduce = reduce as usize;
        let least = 8 / reduce;
        let scales: Vec<Scale> = frame
            .components
            .iter()
            .map(|component| {
                let fits = |most: usize, own: usize, size: usize| (most * least).is_multiple_of(own * size * 2);
                let mut size = least;
                while size < 8 && fits(frame.most_h, component.h, size) && fits(frame.most_v, component.v, size) {
                    size *= 2;
                }
                Scale {
                    size,
                    wide: frame.most_h * least / (component.h * size),
                    high: frame.most_v * least / (component.v * size),
                    width: (frame.width * component.h * size).div_ceil(frame.most_h * 8),
                    height: (frame.height * component.v * size).div_ceil(frame.most_v * 8),
                }
            })
            .collect();
        let most = |of: fn(&Scale) -> usize| scales.iter().map(of).max().expect("a component");
        let axis = |first: u32, count: u32, whole: usize, factor: usize, unit: usize| {
            let (first, end) = (first as usize / reduce, (first + count) as usize);
            // From a whole sample on where several pixels share one.
            let painted = first / factor * factor..end.div_ceil(reduce);
            // A sample more on each side, of which those at the border are widened.
            let margin = if factor > 1 { factor } else { 0 };
            let units = whole.div_ceil(unit * reduce);
            let needed = painted.start.saturating_sub(margin) / unit..(painted.end + margin).div_ceil(unit).min(units);
            (painted, needed)
        };
        let (x, columns) = axis(window.left, window.width, frame.width, most(|scale| scale.wide), frame.most_h * least);
        let (y, rows) = axis(window.top, window.height, frame.height, most(|scale| scale.high), frame.most_v * least);
        Self { reduce, x, y, per_row: frame.units().0, columns, rows, scales }
    }
}
