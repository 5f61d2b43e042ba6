//! What contrasting features with prototypes needs beside the softmax.

use super::memory::{View, ViewMut};
use super::{Argument, Driver, GpuError, check_len, int};

/// Threads of a block that shares one row.
const ROW_THREADS: u32 = 128;

/// The derivative along a direction of a softmax cross-entropy, and what its own gradient is made of.
///
/// With `p = softmax(s)` and one-hot targets t: `values_r = factor·Σ (p − t)·ṡ`; then `s ← factor·(p − t)` and
/// `ṡ ← factor·p·(ṡ − Σ p·ṡ)`. With `s = u·ĉᵀ/τ` and `ṡ = u̇·ĉᵀ/τ`, the gradient of the sum of values for ĉ is
/// `(sᵀ·u̇ + ṡᵀ·u)/τ`.
///
/// # Shapes
/// - `s`, `s_dot`: `(rows, classes)`, overwritten  - `labels`: `(rows)`; one below zero leaves its row out
/// - `values`: `(rows)`, overwritten
///
/// # Errors
/// The device's.
///
/// # Panics
/// If lengths do not fit.
///
/// # Source
/// mpcl_mpfa.md §4.2.
#[allow(unsafe_code)]
pub fn gpu_contrast_direction<D: Driver>(
    driver: &D,
    s: ViewMut<'_, f32>,
    s_dot: ViewMut<'_, f32>,
    labels: View<'_, i32>,
    factor: f32,
    values: ViewMut<'_, f32>,
) -> Result<(), GpuError> {
    let rows = values.len();
    if rows == 0 {
        return Ok(());
    }
    let classes = s.len() / rows;
    check_len("contrast direction", "s", s.len(), rows * classes);
    check_len("contrast direction", "s_dot", s_dot.len(), rows * classes);
    check_len("contrast direction", "labels", labels.len(), rows);
    let arguments =
        [s.argument(), s_dot.argument(), labels.argument(), int(classes), Argument::Float(factor), values.argument()];
    // SAFETY: the checks above give every buffer the length that the kernel accesses; a label is only compared.
    unsafe { driver.launch("contrast_direction", (rows as u32, 1), (ROW_THREADS, 1), &arguments) }
}

/// The largest angle between rows and their centres.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AngleBound {
    /// Cosine of the largest angle.
    pub cosine: f32,
    /// Sine of the largest angle.
    pub sine: f32,
}

impl AngleBound {
    /// Of an angle in degrees.
    pub fn degrees(angle: f64) -> Self {
        let (sine, cosine) = angle.to_radians().sin_cos();
        Self { cosine: cosine as f32, sine: sine as f32 }
    }
}

/// Rows further than the bound from `center` turned back onto the cone around it, their length kept; the others as they are.
///
/// # Shapes
/// - `moved`, `center`, `out`: `(rows, dim)`
///
/// # Errors
/// The device's.
///
/// # Panics
/// If lengths do not fit.
#[allow(unsafe_code)]
pub fn gpu_bound_angle<D: Driver>(
    driver: &D,
    moved: View<'_, f32>,
    center: View<'_, f32>,
    dim: usize,
    bound: AngleBound,
    out: ViewMut<'_, f32>,
) -> Result<(), GpuError> {
    let rows = moved.len() / dim;
    for (name, len) in [("moved", moved.len()), ("center", center.len()), ("out", out.len())] {
        check_len("bound_angle", name, len, rows * dim);
    }
    if rows == 0 {
        return Ok(());
    }
    let arguments = [
        moved.argument(),
        center.argument(),
        Argument::Float(bound.cosine),
        Argument::Float(bound.sine),
        int(dim),
        out.argument(),
    ];
    // SAFETY: the checks above give every buffer the length that the kernel accesses.
    unsafe { driver.launch("bound_angle", (rows as u32, 1), (ROW_THREADS, 1), &arguments) }
}

/// The gradient for `moved` in the place of that for the bounded rows.
///
/// # Shapes
/// - `gradient`, `moved`, `center`: `(rows, dim)`
///
/// # Errors
/// The device's.
///
/// # Panics
/// If lengths do not fit.
#[allow(unsafe_code)]
pub fn gpu_bound_angle_gradient<D: Driver>(
    driver: &D,
    gradient: ViewMut<'_, f32>,
    moved: View<'_, f32>,
    center: View<'_, f32>,
    dim: usize,
    bound: AngleBound,
) -> Result<(), GpuError> {
    let rows = moved.len() / dim;
    for (name, len) in [("gradient", gradient.len()), ("moved", moved.len()), ("center", center.len())] {
        check_len("bound_angle gradient", name, len, rows * dim);
    }
    if rows == 0 {
        return Ok(());
    }
    let arguments = [
        gradient.argument(),
        moved.argument(),
        center.argument(),
        Argument::Float(bound.cosine),
        Argument::Float(bound.sine),
        int(dim),
    ];
    // SAFETY: the checks above give every buffer the length that the kernel accesses.
    unsafe { driver.launch("bound_angle_gradient", (rows as u32, 1), (ROW_THREADS, 1), &arguments) }
}

/// Every class's moving average takes in the batch's rows of it, in batch order.
///
/// With the class's rows `u_1 … u_q`: `c ← m^q·c + (1−m)·Σ_j m^{q−j}·u_j` (per sample) or `c ← m·c + (1−m)·mean_j u_j`; then
/// c/‖c‖ on the sphere. Classes without a row stay as they are.
///
/// # Shapes
/// - `prototypes`: `(K, dim)`  - `rows`: `(n, dim)`  - `labels`: `(n)`  - `rates`: `(K)`, 1 − m, which keeps its digits where
///   m is near 1
///
/// # Errors
/// The device's.
///
/// # Panics
/// If lengths do not fit.
///
/// # Source
/// Eq. 1; mpcl_mpfa.md §5 rows 1 to 5.
#[allow(unsafe_code)]
pub fn gpu_prototype_update<D: Driver>(
    driver: &D,
    prototypes: ViewMut<'_, f32>,
    rows: View<'_, f32>,
    labels: View<'_, i32>,
    rates: View<'_, f32>,
    per_sample: bool,
    on_sphere: bool,
) -> Result<(), GpuError> {
    let (n, classes) = (labels.len(), rates.len());
    if n == 0 || classes == 0 {
        return Ok(());
    }
    let dim = rows.len() / n;
    check_len("prototype update", "rows", rows.len(), n * dim);
    check_len("prototype update", "prototypes", prototypes.len(), classes * dim);
    let arguments = [
        prototypes.argument(),
        rows.argument(),
        labels.argument(),
        int(n),
        int(dim),
        rates.argument(),
        Argument::Int(i32::from(per_sample)),
        Argument::Int(i32::from(on_sphere)),
    ];
    // SAFETY: the checks above give every buffer the length that the kernel accesses; a label is only compared.
    unsafe { driver.launch("prototype_update", (classes as u32, 1), (ROW_THREADS, 1), &arguments) }
}
