//! Into the transformed domain and back: input tiles, gradient tiles, weights.
//!
//! With `Bᵀ = [1 0 −1 0; 0 1 1 0; 0 −1 1 0; 0 1 0 −1]`, `G = [1 0 0; ½ ½ ½; ½ −½ ½; 0 0 1]` and
//! `Aᵀ = [1 1 1 0; 0 1 −1 −1]`, a 2×2 tile of outputs is `Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A` for the 3×3
//! weight `g` and the 4×4 tile of inputs `d`.
//!
//! # Source
//! Lavin and Gray 2016, *Fast Algorithms for Convolutional Neural Networks*, section 4.1.

use super::lanes::Lanes;
use super::{BLOCK, Blocked};
use crate::Real;

/// Frequencies along one axis.
pub(super) const SIDE: usize = 4;
/// Elements of one row of frequencies of one block of channels of one tile.
pub(super) const ROW: usize = SIDE * BLOCK;

/// The tiles `first .. first + count` of a strip that is `columns` tiles wide.
#[derive(Clone, Copy)]
pub(super) struct Chunk {
    pub columns: usize,
    pub first: usize,
    pub count: usize,
}

/// Tiles of a chunk that stand side by side in one row of the strip.
pub(super) struct Stretch {
    pub row: usize,
    pub column: usize,
    /// From the chunk's first tile on.
    pub index: usize,
    pub length: usize,
}

impl Chunk {
    pub fn stretches(self) -> impl Iterator<Item = Stretch> {
        let mut index = 0;
        std::iter::from_fn(move || {
            let (row, column) = ((self.first + index) / self.columns, (self.first + index) % self.columns);
            let length = (self.columns - column).min(self.count - index);
            index += length;
            (length > 0).then_some(Stretch { row, column, index: index - length, length })
        })
    }
}

/// `Bᵀ` times one column of four.
#[inline(always)]
#[allow(unsafe_code)]
unsafe fn input_axis<T: Real, V: Lanes<T>>([a, b, c, d]: [V; SIDE]) -> [V; SIDE] {
    // SAFETY: the caller vouches for the instructions of `V`.
    unsafe { [a.sub(c), b.add(c), c.sub(b), b.sub(d)] }
}

/// `Bᵀ` times the column of four pixels from `pixel` on.
#[inline(always)]
#[allow(unsafe_code)]
unsafe fn input_column<T: Real, V: Lanes<T>>(pixel: *const T, row_step: usize) -> [V; SIDE] {
    // SAFETY: the caller vouches for the instructions of `V` and for four pixels.
    unsafe {
        input_axis::<T, V>([
            V::load(pixel),
            V::load(pixel.add(row_step)),
            V::load(pixel.add(2 * row_step)),
            V::load(pixel.add(3 * row_step)),
        ])
    }
}

/// `A` times one column of two, its last sign turned to plus.
#[inline(always)]
#[allow(unsafe_code)]
unsafe fn gradient_axis<T: Real, V: Lanes<T>>(a: V, b: V) -> [V; SIDE] {
    // SAFETY: the caller vouches for the instructions of `V`.
    unsafe { [a, a.add(b), a.sub(b), b] }
}

/// `Bᵀ d B` of every tile of the chunk, as (frequency row, block, tile, frequency column, channel).
///
/// # Safety
/// The processor must have the instructions of `V`; the source must have 2·rows + 2 by 2·columns +
/// 2 pixels for each of `blocks` blocks and the chunk's tiles; `values` must have room for `blocks ·
/// count · SIDE · ROW` elements.
#[inline(always)]
#[allow(unsafe_code)]
pub(super) unsafe fn input_tiles<T: Real, V: Lanes<T>>(
    source: Blocked<'_, T>,
    chunk: Chunk,
    blocks: usize,
    values: *mut T,
) {
    let row_len = blocks * chunk.count * ROW;
    for block in 0..blocks {
        for Stretch { row, column, index, length } in chunk.stretches() {
            for lane in (0..BLOCK).step_by(V::LANES) {
                // SAFETY: the caller vouches for the pixels of these tiles, rows 2·row .. 2·row + 4
                // and columns 2·column .. 2·(column + length) + 2, and for the room in `values`.
                unsafe {
                    let mut from = source.data.as_ptr().add(block * source.block_step + 2 * row * source.row_step);
                    from = from.add(2 * column * BLOCK + lane);
                    let mut to = values.add((block * chunk.count + index) * ROW + lane);
                    // Neighbouring tiles share two columns of input.
                    let step = source.row_step;
                    let mut a = input_column::<T, V>(from, step);
                    let mut b = input_column::<T, V>(from.add(BLOCK), step);
                    for _ in 0..length {
                        from = from.add(2 * BLOCK);
                        let c = input_column::<T, V>(from, step);
                        let d = input_column::<T, V>(from.add(BLOCK), step);
                        for r in 0..SIDE {
                            let frequencies = input_axis::<T, V>([a[r], b[r], c[r], d[r]]);
                            for x in 0..SIDE {
                                frequencies[x].store(to.add(r * row_len + x * BLOCK));
                            }
                        }
                        (a, b) = (c, d);
                        to = to.add(ROW);
                    }
                }
            }
        }
    }
}

/// `A dy Aᵀ` of every tile of the chunk, in the layout of [`input_tiles`], but for the sign: the
/// last row and the last column are turned to plus, and [`weight_gradient`] turns them back.
///
/// # Safety
/// As [`input_tiles`], with 2·rows by 2·columns pixels.
#[inline(always)]
#[allow(unsafe_code)]
pub(super) unsafe fn gradient_tiles<T: Real, V: Lanes<T>>(
    dy: Blocked<'_, T>,
    chunk: Chunk,
    blocks: usize,
    values: *mut T,
) {
    let row_len = blocks * chunk.count * ROW;
    for block in 0..blocks {
        for Stretch { row, column, index, length } in chunk.stretches() {
            for lane in (0..BLOCK).step_by(V::LANES) {
                // SAFETY: the caller guarantees the 2·rows by 2·columns pixels of these tiles and the room in `values`.
                unsafe {
                    let mut from = dy.data.as_ptr().add(block * dy.block_step + 2 * row * dy.row_step);
                    from = from.add(2 * column * BLOCK + lane);
                    let mut to = values.add((block * chunk.count + index) * ROW + lane);
                    for _ in 0..length {
                        let left = gradient_axis::<T, V>(V::load(from), V::load(from.add(dy.row_step)));
                        let right =
                            gradient_axis::<T, V>(V::load(from.add(BLOCK)), V::load(from.add(dy.row_step + BLOCK)));
                        for r in 0..SIDE {
                            let frequencies = gradient_axis::<T, V>(left[r], right[r]);
                            for x in 0..SIDE {
                                frequencies[x].store(to.add(r * row_len + x * BLOCK));
                            }
                        }
                        from = from.wrapping_add(2 * BLOCK);
                        to = to.add(ROW);
                    }
                }
            }
        }
    }
}

/// `G g Gᵀ` of sixteen weights at once: nine taps to sixteen frequencies.
pub(super) fn weight<T: Real>(taps: &[[T; BLOCK]; 9]) -> [[T; BLOCK]; SIDE * SIDE] {
    let half = T::from_f64(0.5);
    let mut result = [[T::ZERO; BLOCK]; SIDE * SIDE];
    for lane in 0..BLOCK {
        let axis = |[a, b, c]: [T; 3]| {
            let even = half * (a + c);
            [a, even + half * b, even - half * b, c]
        };
        let columns: [[T; SIDE]; 3] =
            std::array::from_fn(|x| axis([taps[x][lane], taps[3 + x][lane], taps[6 + x][lane]]));
        for r in 0..SIDE {
            let row = axis([columns[0][r], columns[1][r], columns[2][r]]);
            for x in 0..SIDE {
                result[r * SIDE + x][lane] = row[x];
            }
        }
    }
    result
}

/// `Gᵀ f G` of sixteen weights at once, the sign of [`gradient_tiles`] turned back: sixteen
/// frequencies to nine taps.
pub(super) fn weight_gradient<T: Real>(frequencies: &[[T; BLOCK]; SIDE * SIDE]) -> [[T; BLOCK]; 9] {
    let half = T::from_f64(0.5);
    let mut result = [[T::ZERO; BLOCK]; 9];
    for lane in 0..BLOCK {
        let axis = |[a, b, c, d]: [T; SIDE]| {
            let even = half * (b + c);
            [a + even, half * (b - c), even - d]
        };
        let columns: [[T; 3]; SIDE] =
            std::array::from_fn(|x| axis(std::array::from_fn(|r| frequencies[r * SIDE + x][lane])));
        for ky in 0..3 {
            let row = axis(std::array::from_fn(|x| columns[x][ky]));
            for kx in 0..3 {
                result[3 * ky + kx][lane] = row[kx];
            }
        }
    }
    result
}
