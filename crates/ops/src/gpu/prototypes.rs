//! Moving averages of rows, by class.

use super::memory::{View, ViewMut};
use super::{Argument, Driver, GpuError, check_len, int};

/// Threads of a block that shares one row.
const ROW_THREADS: u32 = 128;

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
    // SAFETY: lengths were checked; a label is only compared.
    unsafe { driver.launch("prototype_update", (classes as u32, 1), (ROW_THREADS, 1), &arguments) }
}
