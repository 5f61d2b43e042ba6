//! Matrices by rows: what a small network and the numbers that a step reports need beside products.

use super::memory::{View, ViewMut, optional};
use super::{Argument, Driver, GpuError, check_len, int, launch_each, long};

/// Threads of a block that shares one row.
const ROW_THREADS: u32 = 128;
/// Threads of the block that takes a sum of everything.
const TOTAL_THREADS: u32 = 256;

/// `y += bias` in every row, then `max(y, 0)` with `relu`.
///
/// # Shapes
/// - `y`: `(rows, bias.len())`
///
/// # Errors
/// The device's.
///
/// # Panics
/// If `y` has no whole rows.
#[allow(unsafe_code)]
pub fn gpu_bias<D: Driver>(driver: &D, y: ViewMut<'_, f32>, bias: View<'_, f32>, relu: bool) -> Result<(), GpuError> {
    assert!(y.len().is_multiple_of(bias.len().max(1)), "bias: {} elements in rows of {}", y.len(), bias.len());
    let arguments = [y.argument(), bias.argument(), Argument::Int(i32::from(relu)), long(y.len()), int(bias.len())];
    // SAFETY: `y` has whole rows as long as `bias`.
    unsafe { launch_each(driver, "rows_bias", y.len(), &arguments) }
}

/// `dy ← 0` where `y` is not positive.
///
/// # Errors
/// The device's.
///
/// # Panics
/// If the lengths differ.
#[allow(unsafe_code)]
pub fn gpu_relu_gradient<D: Driver>(driver: &D, dy: ViewMut<'_, f32>, y: View<'_, f32>) -> Result<(), GpuError> {
    check_len("relu gradient", "y", y.len(), dy.len());
    // SAFETY: both buffers have as many elements as the kernel accesses.
    unsafe { launch_each(driver, "rows_relu_gradient", dy.len(), &[dy.argument(), y.argument(), long(dy.len())]) }
}

/// The sum of each column, taken row after row.
///
/// # Shapes
/// - `x`: `(rows, out.len())`  - `out`: overwritten
///
/// # Errors
/// The device's.
///
/// # Panics
/// If `x` has no whole rows.
#[allow(unsafe_code)]
pub fn gpu_column_sums<D: Driver>(driver: &D, x: View<'_, f32>, out: ViewMut<'_, f32>) -> Result<(), GpuError> {
    let columns = out.len();
    assert!(x.len().is_multiple_of(columns.max(1)), "column sums: {} elements in rows of {columns}", x.len());
    let rows = x.len() / columns.max(1);
    let arguments = [x.argument(), int(rows), int(columns), out.argument()];
    // SAFETY: `x` has `rows` whole rows as long as `out`.
    unsafe { launch_each(driver, "rows_column_sums", columns, &arguments) }
}

/// Rows `from` of `x` one after the other, each times its number in `scale` where there is one.
///
/// # Shapes
/// - `x`: `(K, dim)`  - `from`: `(rows)`, below K  - `scale`: `(K)`  - `out`: `(rows, dim)`, overwritten
///
/// # Errors
/// The device's.
///
/// # Panics
/// If lengths do not fit.
#[allow(unsafe_code)]
pub fn gpu_gather<D: Driver>(
    driver: &D,
    x: View<'_, f32>,
    dim: usize,
    from: &Places<'_>,
    scale: Option<View<'_, f32>>,
    out: ViewMut<'_, f32>,
) -> Result<(), GpuError> {
    let rows = x.len() / dim;
    check_len("gather", "x", x.len(), rows * dim);
    check_len("gather", "scale", scale.map_or(rows, View::len), rows);
    check_len("gather", "out", out.len(), from.view.len() * dim);
    let arguments =
        [x.argument(), from.argument("gather", rows), optional(scale), int(dim), long(out.len()), out.argument()];
    // SAFETY: every place is a row of `x`: `Places` checked them before they went there.
    unsafe { launch_each(driver, "rows_gather", out.len(), &arguments) }
}

/// Numbers of rows on the device that were checked before they went there.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    view: View<'a, i32>,
    below: usize,
}

impl<'a> Places<'a> {
    /// Copies `places` to `buffer`.
    ///
    /// # Errors
    /// The device's.
    ///
    /// # Panics
    /// If one of them is not below `below`, or the buffer is too short.
    pub fn write<D: Driver>(
        driver: &D,
        places: &[u32],
        below: usize,
        buffer: &'a mut super::GpuVec<i32, D>,
    ) -> Result<Self, GpuError> {
        assert!(places.iter().all(|&place| (place as usize) < below), "every place is below {below}");
        let signed: Vec<i32> = places.iter().map(|&place| place as i32).collect();
        buffer.view_mut().part(0..signed.len()).write(driver, &signed)?;
        Ok(Self { view: buffer.view().part(0..signed.len()), below })
    }

    /// Places `range` of them.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn part(self, range: std::ops::Range<usize>) -> Self {
        Self { view: self.view.part(range), below: self.below }
    }

    pub(super) fn len(self) -> usize {
        self.view.len()
    }

    /// As a kernel's argument, which takes them for rows of `rows`.
    pub(super) fn argument(self, what: &str, rows: usize) -> Argument {
        assert!(self.below <= rows, "{what}: places below {} of {rows} rows", self.below);
        self.view.argument()
    }
}

/// The inner product of each pair of rows.
///
/// # Shapes
/// - `a`, `b`: `(out.len(), dim)`  - `out`: overwritten
///
/// # Errors
/// The device's.
///
/// # Panics
/// If lengths do not fit.
#[allow(unsafe_code)]
pub fn gpu_dots<D: Driver>(
    driver: &D,
    a: View<'_, f32>,
    b: View<'_, f32>,
    dim: usize,
    out: ViewMut<'_, f32>,
) -> Result<(), GpuError> {
    let rows = out.len();
    check_len("dots", "a", a.len(), rows * dim);
    check_len("dots", "b", b.len(), rows * dim);
    if rows == 0 {
        return Ok(());
    }
    let arguments = [a.argument(), b.argument(), int(dim), out.argument()];
    // SAFETY: the checks above give every buffer the length that the kernel accesses.
    unsafe { driver.launch("rows_dots", (rows as u32, 1), (ROW_THREADS, 1), &arguments) }
}

/// What [`gpu_total`] takes of a vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Total {
    /// Sum of the elements.
    Sum,
    /// Smallest element.
    Least,
    /// Euclidean norm.
    Norm,
    /// The sum of its elements' roots: of squared lengths, the lengths'.
    Roots,
}

/// One number of a whole vector, times `factor`.
///
/// # Shapes
/// - `out`: one element, overwritten, or added to with `accumulate`
///
/// # Errors
/// The device's.
///
/// # Panics
/// If `out` has not one element.
#[allow(unsafe_code)]
pub fn gpu_total<D: Driver>(
    driver: &D,
    x: View<'_, f32>,
    kind: Total,
    factor: f32,
    accumulate: bool,
    out: ViewMut<'_, f32>,
) -> Result<(), GpuError> {
    check_len("total", "out", out.len(), 1);
    let kind = match kind {
        Total::Sum => 0,
        Total::Least => 1,
        Total::Norm => 2,
        Total::Roots => 3,
    };
    let arguments = [
        x.argument(),
        long(x.len()),
        Argument::Int(kind),
        Argument::Float(factor),
        Argument::Int(i32::from(accumulate)),
        out.argument(),
    ];
    // SAFETY: `x` has as many elements, `out` one.
    unsafe { driver.launch("rows_total", (1, 1), (TOTAL_THREADS, 1), &arguments) }
}

/// `x *= factor`
///
/// # Errors
/// The device's.
#[allow(unsafe_code)]
pub fn gpu_scale<D: Driver>(driver: &D, x: ViewMut<'_, f32>, factor: f32) -> Result<(), GpuError> {
    let arguments = [x.argument(), Argument::Float(factor), long(x.len())];
    // SAFETY: it goes over as many elements as there are.
    unsafe { launch_each(driver, "rows_scale", x.len(), &arguments) }
}

/// `w ← keep·w − rate·g`
///
/// # Errors
/// The device's.
///
/// # Panics
/// If the lengths differ.
#[allow(unsafe_code)]
pub fn gpu_shrink_step<D: Driver>(
    driver: &D,
    w: ViewMut<'_, f32>,
    g: View<'_, f32>,
    keep: f32,
    rate: f32,
) -> Result<(), GpuError> {
    check_len("shrink step", "g", g.len(), w.len());
    let arguments = [w.argument(), g.argument(), Argument::Float(keep), Argument::Float(rate), long(w.len())];
    // SAFETY: both buffers have as many elements as the kernel accesses.
    unsafe { launch_each(driver, "rows_shrink_step", w.len(), &arguments) }
}
