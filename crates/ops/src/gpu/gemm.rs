//! Matrices in device memory.

use super::memory::{Activation, View, ViewMut};

/// Sizes of a product, and how often it is taken: `op(a)` is `(m, k)`, `op(b)` is `(k, n)`, `c` is `(m, n)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GemmSize {
    /// Rows of the result.
    pub m: usize,
    /// Columns of the result.
    pub n: usize,
    /// Length of the sums.
    pub k: usize,
    /// Products beside one another; 1 for a single one.
    pub batch: usize,
}

/// A row-major matrix to read, or several at equal distances.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a, A = f32> {
    /// Elements of the matrix, in the stated layout.
    pub view: View<'a, A>,
    /// From one row to the next.
    pub row: usize,
    /// From one matrix to the next; 0 for the same one each time.
    pub next: usize,
    /// Whether its transpose takes part.
    pub turned: bool,
}

/// A row-major matrix to write, or several at equal distances.
#[derive(Debug)]
pub struct MatrixMut<'a, A = f32> {
    /// Elements of the matrix, in the stated layout.
    pub view: ViewMut<'a, A>,
    /// From one row to the next.
    pub row: usize,
    /// From one matrix to the next.
    pub next: usize,
}

impl<'a, A: Activation> Matrix<'a, A> {
    /// A single matrix of rows of `columns` without gaps.
    pub fn plain(view: View<'a, A>, columns: usize) -> Self {
        Self { view, row: columns, next: 0, turned: false }
    }

    /// Returns the transpose.
    pub fn turned(self) -> Self {
        Self { turned: true, ..self }
    }
}

impl<'a, A: Activation> MatrixMut<'a, A> {
    /// A single matrix of rows of `columns` without gaps.
    pub fn plain(view: ViewMut<'a, A>, columns: usize) -> Self {
        Self { view, row: columns, next: 0 }
    }
}

/// Panics where a product would leave its matrices.
#[cfg_attr(not(any(feature = "cuda", feature = "emulate")), allow(dead_code))]
pub(super) fn check<A: Activation>(size: GemmSize, a: &Matrix<'_, A>, b: &Matrix<'_, A>, c: &MatrixMut<'_, A>) {
    let GemmSize { m, n, k, batch } = size;
    assert!(m > 0 && n > 0 && k > 0 && batch > 0, "gemm: a product of {size:?}");
    let stored = |rows: usize, columns: usize, turned: bool| if turned { (columns, rows) } else { (rows, columns) };
    let fits = |name: &str, len: usize, row: usize, next: usize, (rows, columns): (usize, usize)| {
        let needed = (batch - 1) * next + (rows - 1) * row + columns;
        assert!(row >= columns && len >= needed, "gemm: {name} has {len} elements in rows of {row} for {size:?}");
    };
    fits("a", a.view.len(), a.row, a.next, stored(m, k, a.turned));
    fits("b", b.view.len(), b.row, b.next, stored(k, n, b.turned));
    fits("c", c.view.len(), c.row, c.next, (m, n));
    assert!(batch == 1 || c.next > 0, "gemm: results that lie on one another");
}
