//! Generated features: means of rows' laws, and noise that is added row by row.

use super::memory::{View, ViewMut};
use super::rows::Places;
use super::{Argument, Driver, GpuError, check_len, int, launch_each, long};

/// What the means of a block of rows are made of.
#[derive(Debug, Clone, Copy)]
pub struct RowMeans<'a> {
    /// `(N, d)`
    pub base: View<'a, f32>,
    /// `(K, d)`
    pub means: View<'a, f32>,
    /// Of each row the base row that it starts from.
    pub source: Places<'a>,
    /// Of each row the weight of that.
    pub weight: View<'a, f32>,
    /// `(rows, slots)`: classes; any one with a weight of zero for none.
    pub classes: Places<'a>,
    /// `(rows, slots)`
    pub mean_weights: View<'a, f32>,
}

/// `out = weight·base + Σ mean_weight·mean`, row by row.
///
/// # Shapes
/// - `out`: `(rows, d)`, overwritten
///
/// # Errors
/// The device's.
///
/// # Panics
/// If lengths do not fit, or a place is no row of what it points into.
#[allow(unsafe_code)]
pub fn gpu_row_means<D: Driver>(
    driver: &D,
    rows: &RowMeans<'_>,
    (slots, dim): (usize, usize),
    out: ViewMut<'_, f32>,
) -> Result<(), GpuError> {
    let count = rows.source.len();
    check_len("row_means", "out", out.len(), count * dim);
    check_len("row_means", "weight", rows.weight.len(), count);
    check_len("row_means", "classes", rows.classes.len(), count * slots);
    check_len("row_means", "mean_weights", rows.mean_weights.len(), count * slots);
    let arguments = [
        rows.base.argument(),
        rows.means.argument(),
        rows.source.argument("row_means", rows.base.len() / dim),
        rows.weight.argument(),
        rows.classes.argument("row_means", rows.means.len() / dim),
        rows.mean_weights.argument(),
        int(slots),
        int(dim),
        long(out.len()),
        out.argument(),
    ];
    // SAFETY: lengths were checked, and places before they went there.
    unsafe { launch_each(driver, "generate_means", out.len(), &arguments) }
}

/// `out[target[r]] += coefficient[r]·noise[r]`. Where a target comes twice, one of the two may be lost.
///
/// # Shapes
/// - `noise`: `(rows, d)`, or `(rows)` for one number a row  - `out`: rows of d
///
/// # Errors
/// The device's.
///
/// # Panics
/// If lengths do not fit, or a target is no row of `out`.
#[allow(unsafe_code)]
pub fn gpu_add_rows<D: Driver>(
    driver: &D,
    noise: View<'_, f32>,
    target: Places<'_>,
    coefficient: View<'_, f32>,
    dim: usize,
    out: ViewMut<'_, f32>,
) -> Result<(), GpuError> {
    let rows = target.len();
    let one_for_all = noise.len() == rows && dim > 1;
    check_len("add_rows", "noise", noise.len(), if one_for_all { rows } else { rows * dim });
    check_len("add_rows", "coefficient", coefficient.len(), rows);
    assert!(out.len().is_multiple_of(dim), "add_rows: whole rows");
    let arguments = [
        noise.argument(),
        Argument::Int(i32::from(one_for_all)),
        target.argument("add_rows", out.len() / dim),
        coefficient.argument(),
        int(dim),
        long(rows * dim),
        out.argument(),
    ];
    // SAFETY: lengths were checked, and targets before they went there.
    unsafe { launch_each(driver, "generate_add", rows * dim, &arguments) }
}
