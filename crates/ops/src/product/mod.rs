//! Products whose rows are added to rows anywhere in a matrix.
//!
//! `y[t_i, :] += c_i · Σ_j left[i, j] · right[j, :]` for many small `left`s and `right`s in turn. The right side is packed by the
//! caller, 64 columns at a time, so that it may be computed while it is packed and never exists as a whole. Tasks share the
//! matrix by columns: each owns some columns of every row ([`split_columns`]), so no two write to one place, and the order in
//! which an element's terms are added is that of the calls.

mod tile;

use std::marker::PhantomData;
use std::ops::Range;

use tile::{Job, add_tiles};

/// Columns of one packed panel.
pub const PANEL: usize = 64;

/// Terms that are summed before they are multiplied by a row's coefficient and added to it.
const MOST_TERMS: usize = 512;

/// A row of the left side: where its product goes, and times what.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Target {
    /// The row of the matrix.
    pub row: u32,
    /// Factor c of this term.
    pub coefficient: f32,
}

/// Some columns of every row of a row-major matrix, to be written by one task.
#[derive(Debug)]
pub struct ColumnsMut<'a> {
    first: *mut f32,
    rows: usize,
    stride: usize,
    columns: Range<usize>,
    matrix: PhantomData<&'a mut [f32]>,
}

// SAFETY: a `ColumnsMut` is a mutable borrow of its own columns, which no other one shares (see `split_columns`); f32 is Send.
#[allow(unsafe_code)]
unsafe impl Send for ColumnsMut<'_> {}

/// Cuts a row-major matrix of `stride` columns into strips of `width` columns (the last may be narrower).
///
/// # Panics
/// When the matrix has no whole number of rows, or `width` is no multiple of [`PANEL`].
pub fn split_columns(matrix: &mut [f32], stride: usize, width: usize) -> Vec<ColumnsMut<'_>> {
    assert!(stride > 0 && matrix.len().is_multiple_of(stride), "{} values in rows of {stride}", matrix.len());
    assert!(width > 0 && width.is_multiple_of(PANEL), "strips of {width} columns are no whole panels");
    let (first, rows) = (matrix.as_mut_ptr(), matrix.len() / stride);
    let strip = |start: usize| ColumnsMut {
        first,
        rows,
        stride,
        columns: start..(start + width).min(stride),
        matrix: PhantomData,
    };
    (0..stride).step_by(width).map(strip).collect()
}

impl ColumnsMut<'_> {
    /// Which columns these are.
    pub fn columns(&self) -> Range<usize> {
        self.columns.clone()
    }

    /// Elements that a packed right side of `terms` rows takes for these columns.
    pub fn packed_len(&self, terms: usize) -> usize {
        self.columns.len().div_ceil(PANEL) * terms * PANEL
    }

    /// Where in a packed right side of `terms` rows element `(term, column)` of the `panel`-th panel's first column lies.
    ///
    /// A panel is `(terms, 64)` row-major; panels follow each other. What lies beyond the last column is read but not used: it
    /// must be finite or anything else that the caller likes, as long as it is initialised.
    pub fn packed_at(terms: usize, panel: usize, term: usize) -> usize {
        (panel * terms + term) * PANEL
    }

    /// `y[t_i, columns] += c_i · Σ_j left[i, j] · packed[j, :]`.
    ///
    /// # Shapes
    /// - `left`: `(targets.len(), terms)` - `packed`: [`packed_len`](Self::packed_len) elements
    /// # Panics
    /// When a slice is too short or a target lies outside the matrix.
    pub fn add_product(&mut self, targets: &[Target], left: &[f32], terms: usize, packed: &[f32]) {
        assert!(left.len() == targets.len() * terms, "left side: {} values, {} rows", left.len(), targets.len());
        assert!(packed.len() >= self.packed_len(terms), "packed side: {} values for {terms} terms", packed.len());
        assert!(targets.iter().all(|target| (target.row as usize) < self.rows), "a target lies outside the matrix");
        let width = self.columns.len();
        for from in (0..terms).step_by(MOST_TERMS) {
            let count = MOST_TERMS.min(terms - from);
            for panel in 0..width.div_ceil(PANEL) {
                let job = Job {
                    targets,
                    left: &left[from..],
                    left_stride: terms,
                    packed: &packed[Self::packed_at(terms, panel, from)..],
                    terms: count,
                    out: self.first.wrapping_add(self.columns.start + panel * PANEL),
                    out_stride: self.stride,
                    columns: PANEL.min(width - panel * PANEL),
                };
                // SAFETY: the assertions above, with (i): left holds (targets.len() − 1)·terms + from + count elements, (ii) the
                // packed side holds `count` rows of 64 from `packed_at` on, (iii) `out` plus a target's row times the stride plus
                // `columns` lies in the matrix, in columns that are this borrow's alone.
                #[allow(unsafe_code)]
                unsafe {
                    add_tiles(&job);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(len: usize, step: usize) -> Vec<f32> {
        (0..len).map(|i| ((i * step) % 23) as f32 - 11.0).collect()
    }

    /// The right side `(terms, columns)` packed for one strip.
    fn pack(strip: &ColumnsMut<'_>, right: &[f32], columns: usize, terms: usize) -> Vec<f32> {
        let mut packed = vec![f32::NAN; strip.packed_len(terms)];
        for (panel, start) in strip.columns().step_by(PANEL).enumerate() {
            for term in 0..terms {
                let at = ColumnsMut::packed_at(terms, panel, term);
                let width = PANEL.min(strip.columns().end - start);
                packed[at..at + width].copy_from_slice(&right[term * columns + start..][..width]);
            }
        }
        packed
    }

    #[test]
    fn small_whole_numbers_come_out_exactly_on_every_path() {
        for path in crate::available_simd_paths() {
            crate::set_simd_path(Some(path));
            for (columns, rows, terms) in [(1, 1, 1), (64, 7, 3), (70, 13, 5), (200, 20, 1100), (64, 6, 0)] {
                let (left, right) = (numbers(rows * terms, 7), numbers(terms * columns, 5));
                let mut found = numbers((rows + 2) * columns, 3);
                let mut wanted = found.clone();
                let targets: Vec<Target> = (0..rows)
                    .map(|i| Target { row: ((i * 5) % (rows + 2)) as u32, coefficient: (i % 3) as f32 - 1.0 })
                    .collect();
                for (i, target) in targets.iter().enumerate() {
                    for column in 0..columns {
                        let sum: f32 = (0..terms).map(|j| left[i * terms + j] * right[j * columns + column]).sum();
                        wanted[target.row as usize * columns + column] += target.coefficient * sum;
                    }
                }
                for mut strip in split_columns(&mut found, columns, 128) {
                    let packed = pack(&strip, &right, columns, terms);
                    strip.add_product(&targets, &left, terms, &packed);
                }
                assert_eq!(found, wanted, "{path:?}: {rows} rows, {terms} terms, {columns} columns");
            }
        }
        crate::set_simd_path(None);
    }

    #[test]
    fn sums_are_those_of_f64() {
        let (columns, rows, terms) = (150, 15, 1300);
        let wave = |len: usize, step: f32| -> Vec<f32> { (0..len).map(|i| (i as f32 * step).sin()).collect() };
        let (left, right) = (wave(rows * terms, 0.37), wave(terms * columns, 0.11));
        let targets: Vec<Target> = (0..rows as u32).map(|row| Target { row: row / 2, coefficient: 0.7 }).collect();
        for path in crate::available_simd_paths() {
            crate::set_simd_path(Some(path));
            let mut out = vec![0.5f32; rows * columns];
            for mut strip in split_columns(&mut out, columns, 64) {
                let packed = pack(&strip, &right, columns, terms);
                strip.add_product(&targets, &left, terms, &packed);
            }
            for (at, &found) in out.iter().enumerate() {
                let (row, column) = (at / columns, at % columns);
                let term = |i: usize, j: usize| f64::from(left[i * terms + j]) * f64::from(right[j * columns + column]);
                let products = (0..rows).filter(|i| i / 2 == row).flat_map(|i| (0..terms).map(move |j| (i, j)));
                let (sum, size) = products.fold((0.5, 0.5), |(sum, size), (i, j)| {
                    (sum + f64::from(0.7f32) * term(i, j), size + (0.7 * term(i, j)).abs())
                });
                let error = (f64::from(found) - sum).abs();
                assert!(error <= 2e-6 * size, "{path:?}: ({row}, {column}) is {found}, in f64 {sum}");
            }
        }
        crate::set_simd_path(None);
    }

    #[test]
    fn a_rows_bits_do_not_depend_on_its_company() {
        let (columns, terms) = (96, 700);
        let left: Vec<f32> = (0..11 * terms).map(|i| (i as f32 * 0.37).sin()).collect();
        let right: Vec<f32> = (0..terms * columns).map(|i| (i as f32 * 0.11).cos()).collect();
        let targets: Vec<Target> = (0..11).map(|row| Target { row, coefficient: 0.3 }).collect();
        let product = |ends: &[usize], width: usize| {
            let mut out = vec![1f32; 11 * columns];
            for mut strip in split_columns(&mut out, columns, width) {
                let packed = pack(&strip, &right, columns, terms);
                let mut start = 0;
                for &end in ends {
                    strip.add_product(&targets[start..end], &left[start * terms..end * terms], terms, &packed);
                    start = end;
                }
            }
            out
        };
        let whole = product(&[11], 128);
        assert_eq!(product(&[1, 4, 11], 64), whole);
    }

    #[test]
    #[should_panic(expected = "a target lies outside the matrix")]
    fn a_target_outside_panics_in_words() {
        let mut y = [0f32; 4];
        let mut strips = split_columns(&mut y, 2, 64);
        strips[0].add_product(&[Target { row: 2, coefficient: 1.0 }], &[1.0], 1, &[0.0; 64]);
    }
}
