//! Softmax cross-entropy, and rows on the unit sphere.

use super::memory::{View, ViewMut, optional};
use super::{Argument, Driver, GpuError, check_len, int};

/// Threads of a block that shares one row.
const ROW_THREADS: u32 = 128;

/// What a cross-entropy is taken of; as [`CrossEntropySpec`](crate::CrossEntropySpec) with labels.
#[derive(Debug, Clone, Copy)]
pub struct GpuCrossEntropy<'a> {
    /// `(rows)`; a label below zero leaves its row out.
    pub labels: View<'a, i32>,
    /// `(classes)`: added to every row's logits.
    pub offsets: Option<View<'a, f32>>,
    /// `(classes)`.
    pub class_weights: Option<View<'a, f32>>,
    /// `(rows)`.
    pub row_weights: Option<View<'a, f32>>,
    /// Label smoothing.
    pub smoothing: f32,
    /// What the sum over rows is multiplied with: 1/rows for a mean.
    pub factor: f32,
}

/// The loss of each row, by the class weights but without its own, and the gradient of `factor·Σ weights·loss` for the logits.
///
/// # Shapes
/// - `logits`, `dlogits`: `(rows, classes)`  - `losses`: `(rows)`
///
/// # Errors
/// The device's.
///
/// # Panics
/// If lengths do not fit. Labels are not checked: one that is no class counts as none.
#[allow(unsafe_code)]
pub fn gpu_cross_entropy<D: Driver>(
    driver: &D,
    spec: &GpuCrossEntropy<'_>,
    logits: View<'_, f32>,
    classes: usize,
    losses: ViewMut<'_, f32>,
    dlogits: Option<ViewMut<'_, f32>>,
) -> Result<(), GpuError> {
    let rows = losses.len();
    check_len("cross_entropy", "logits", logits.len(), rows * classes);
    check_len("cross_entropy", "labels", spec.labels.len(), rows);
    check_len("cross_entropy", "dlogits", dlogits.as_ref().map_or(rows * classes, ViewMut::len), rows * classes);
    check_len("cross_entropy", "offsets", spec.offsets.map_or(classes, View::len), classes);
    check_len("cross_entropy", "class_weights", spec.class_weights.map_or(classes, View::len), classes);
    check_len("cross_entropy", "row_weights", spec.row_weights.map_or(rows, View::len), rows);
    if rows == 0 {
        return Ok(());
    }
    let arguments = [
        logits.argument(),
        spec.labels.argument(),
        optional(spec.offsets),
        optional(spec.class_weights),
        optional(spec.row_weights),
        Argument::Float(spec.smoothing),
        Argument::Float(spec.factor),
        int(classes),
        losses.argument(),
        dlogits.map_or(Argument::Address(0), |view| view.argument()),
    ];
    // SAFETY: lengths were checked; a label is only compared, never used as a place.
    unsafe { driver.launch("cross_entropy", (rows as u32, 1), (ROW_THREADS, 1), &arguments) }
}

/// Rows over their norms, each norm at least 1e-12; and the norms.
///
/// # Shapes
/// - `x`, `unit`: `(rows, dim)`  - `norms`: `(rows)`
///
/// # Errors
/// The device's.
///
/// # Panics
/// If lengths do not fit.
#[allow(unsafe_code)]
pub fn gpu_unit_rows<D: Driver>(
    driver: &D,
    x: View<'_, f32>,
    dim: usize,
    unit: ViewMut<'_, f32>,
    norms: ViewMut<'_, f32>,
) -> Result<(), GpuError> {
    let rows = norms.len();
    check_len("unit_rows", "x", x.len(), rows * dim);
    check_len("unit_rows", "unit", unit.len(), rows * dim);
    if rows == 0 {
        return Ok(());
    }
    let arguments = [x.argument(), int(dim), Argument::Float(1e-12), unit.argument(), norms.argument()];
    // SAFETY: the checks above give every buffer the length that the kernel accesses.
    unsafe { driver.launch("unit_rows", (rows as u32, 1), (ROW_THREADS, 1), &arguments) }
}

/// `out = factor·(I − uuᵀ)·v/‖x‖`, or added to it: how unit rows move along `v`, and the adjoint of that.
///
/// # Shapes
/// - `v`, `unit`, `out`: `(rows, dim)`  - `norms`: `(rows)`
///
/// # Errors
/// The device's.
///
/// # Panics
/// If lengths do not fit.
#[allow(unsafe_code)]
pub fn gpu_unit_rows_tangent<D: Driver>(
    driver: &D,
    v: View<'_, f32>,
    unit: View<'_, f32>,
    norms: View<'_, f32>,
    dim: usize,
    factor: f32,
    accumulate: bool,
    out: ViewMut<'_, f32>,
) -> Result<(), GpuError> {
    let rows = norms.len();
    for (name, len) in [("v", v.len()), ("unit", unit.len()), ("out", out.len())] {
        check_len("unit_rows_tangent", name, len, rows * dim);
    }
    if rows == 0 {
        return Ok(());
    }
    let arguments = [
        v.argument(),
        unit.argument(),
        norms.argument(),
        int(dim),
        Argument::Float(factor),
        Argument::Int(i32::from(accumulate)),
        out.argument(),
    ];
    // SAFETY: the checks above give every buffer the length that the kernel accesses.
    unsafe { driver.launch("unit_rows_tangent", (rows as u32, 1), (ROW_THREADS, 1), &arguments) }
}
