//! Batch normalisation: statistics, application, gradient, derivative along a direction.

use super::memory::{Activation, GpuVec, View, ViewMut, optional};
use super::{Argument, Driver, GpuError, check_len, int, launch_each, launch_on_channels, long};
use crate::BatchNormShape;

/// Threads of a block that takes sums: so many channels (or fewer) beside one another, the rest in rows.
const SUM_THREADS: u32 = 256;
/// Most blocks that take sums, over all channels.
const SUM_BLOCKS: usize = 1024;
/// Threads of a block that adds up one channel's partial sums.
const FINISH_THREADS: u32 = 128;

/// Room for partial sums, and the way a shape is cut for them.
#[derive(Debug)]
pub struct GpuNorm<D: Driver> {
    partial: GpuVec<f32, D>,
}

impl<D: Driver> Default for GpuNorm<D> {
    fn default() -> Self {
        Self { partial: GpuVec::default() }
    }
}

/// Elements of a pack: 16 bytes.
fn pack<A: Activation>() -> usize {
    16 / size_of::<A>()
}

/// Whether channels come in packs and every activation begins where a pack may (one that is absent does).
fn is_wide<A: Activation>(channels: usize, activations: &[Argument]) -> bool {
    let fits = |argument: &Argument| matches!(argument, Argument::Address(address) if address.is_multiple_of(16));
    channels.is_multiple_of(pack::<A>()) && activations.iter().all(fits)
}

/// How rows and channels are cut into blocks: a function of the shape alone, so that sums are always taken in one order.
struct Cut {
    block: (u32, u32),
    columns: usize,
    rows: usize,
    rows_per_block: usize,
}

impl Cut {
    fn of(s: &BatchNormShape) -> Self {
        let wide = s.channels.next_power_of_two().min(32) as u32;
        let high = SUM_THREADS / wide;
        let columns = s.channels.div_ceil(wide as usize);
        let most = (SUM_BLOCKS / columns).max(1);
        let rows_per_block = s.rows.div_ceil(most).max(4 * high as usize);
        Self { block: (wide, high), columns, rows: s.rows.div_ceil(rows_per_block), rows_per_block }
    }

    fn grid(&self) -> (u32, u32) {
        (self.columns as u32, self.rows as u32)
    }
}

/// A batch norm's numbers in use, `(channels)` each.
#[derive(Debug)]
pub struct NormNumbers<'a> {
    /// Receives the mean of each channel, `(C,)`.
    pub mean: ViewMut<'a, f32>,
    /// `1/√(variance + ε)`.
    pub inv_std: ViewMut<'a, f32>,
    /// `γ·inv_std`.
    pub scale: ViewMut<'a, f32>,
    /// `β − mean·inv_std·γ`.
    pub shift: ViewMut<'a, f32>,
}

impl NormNumbers<'_> {
    fn check(&self, what: &str, channels: usize) {
        for (name, view) in
            [("mean", &self.mean), ("inv_std", &self.inv_std), ("scale", &self.scale), ("shift", &self.shift)]
        {
            check_len(what, name, view.len(), channels);
        }
    }
}

/// The batch's own statistics of `x` (rows, channels), into `numbers`; running mean and variance (unbiased) follow by `momentum`
/// where they are given.
///
/// # Errors
/// The device's.
///
/// # Panics
/// If lengths do not fit.
#[allow(unsafe_code)]
pub fn gpu_norm_statistics<D: Driver, A: Activation>(
    driver: &D,
    room: &mut GpuNorm<D>,
    s: &BatchNormShape,
    x: View<'_, A>,
    (gamma, beta): (View<'_, f32>, View<'_, f32>),
    epsilon: f32,
    running: Option<(f32, ViewMut<'_, f32>, ViewMut<'_, f32>)>,
    numbers: NormNumbers<'_>,
) -> Result<(), GpuError> {
    check_len("norm_statistics", "x", x.len(), s.len());
    for (name, len) in [("gamma", gamma.len()), ("beta", beta.len())] {
        check_len("norm_statistics", name, len, s.channels);
    }
    numbers.check("norm_statistics", s.channels);
    let cut = Cut::of(s);
    room.partial.reserve(driver, cut.rows * 2 * s.channels)?;
    let sums =
        [x.argument(), long(s.rows), int(s.channels), int(cut.rows_per_block), room.partial.view_mut().argument()];
    let (momentum, running_mean, running_var) = match &running {
        Some((momentum, mean, var)) => {
            check_len("norm_statistics", "running mean", mean.len(), s.channels);
            check_len("norm_statistics", "running variance", var.len(), s.channels);
            (*momentum, mean.argument(), var.argument())
        }
        None => (0.0, Argument::Address(0), Argument::Address(0)),
    };
    let finish = [
        room.partial.view().argument(),
        int(cut.rows),
        x.argument(),
        long(s.rows),
        int(s.channels),
        gamma.argument(),
        beta.argument(),
        Argument::Float(epsilon),
        Argument::Float(momentum),
        running_mean,
        running_var,
        numbers.mean.argument(),
        numbers.inv_std.argument(),
        numbers.scale.argument(),
        numbers.shift.argument(),
    ];
    // SAFETY: lengths were checked; the partial sums have room for two numbers a channel and block.
    unsafe {
        driver.launch(A::kernel(["norm_moments", "norm_moments_bf16"]), cut.grid(), cut.block, &sums)?;
        driver.launch(
            A::kernel(["norm_statistics", "norm_statistics_bf16"]),
            (s.channels as u32, 1),
            (FINISH_THREADS, 1),
            &finish,
        )
    }
}

/// The numbers of a batch norm that goes by running statistics.
///
/// # Errors
/// The device's.
///
/// # Panics
/// If lengths do not fit.
#[allow(unsafe_code)]
pub fn gpu_norm_running<D: Driver>(
    driver: &D,
    (running_mean, running_var): (View<'_, f32>, View<'_, f32>),
    (gamma, beta): (View<'_, f32>, View<'_, f32>),
    epsilon: f32,
    numbers: NormNumbers<'_>,
) -> Result<(), GpuError> {
    let channels = running_mean.len();
    for (name, len) in [("running variance", running_var.len()), ("gamma", gamma.len()), ("beta", beta.len())] {
        check_len("norm_running", name, len, channels);
    }
    numbers.check("norm_running", channels);
    let arguments = [
        running_mean.argument(),
        running_var.argument(),
        gamma.argument(),
        beta.argument(),
        Argument::Float(epsilon),
        int(channels),
        numbers.mean.argument(),
        numbers.inv_std.argument(),
        numbers.scale.argument(),
        numbers.shift.argument(),
    ];
    // SAFETY: the checks above give every buffer the length that the kernel accesses.
    unsafe { launch_each(driver, "norm_running", channels, &arguments) }
}

/// `y ← relu?(scale·x + shift + residual?)`
///
/// # Errors
/// The device's.
///
/// # Panics
/// If lengths do not fit.
#[allow(unsafe_code)]
pub fn gpu_norm_apply<D: Driver, A: Activation>(
    driver: &D,
    x: View<'_, A>,
    (scale, shift): (View<'_, f32>, View<'_, f32>),
    residual: Option<View<'_, A>>,
    relu: bool,
    y: ViewMut<'_, A>,
) -> Result<(), GpuError> {
    let (len, channels) = (y.len(), scale.len());
    check_len("norm_apply", "x", x.len(), len);
    check_len("norm_apply", "shift", shift.len(), channels);
    check_len("norm_apply", "residual", residual.map_or(len, View::len), len);
    assert!(channels > 0 && len.is_multiple_of(channels), "norm_apply: whole rows");
    let arguments = [
        x.argument(),
        scale.argument(),
        shift.argument(),
        optional(residual),
        Argument::Int(i32::from(relu)),
        long(len),
        int(channels),
        y.argument(),
    ];
    // SAFETY: the checks above give every buffer the length that the kernel accesses.
    unsafe {
        match is_wide::<A>(channels, &[arguments[0], arguments[3], arguments[7]]) {
            true => {
                let kernel = A::kernel(["norm_apply_wide", "norm_apply_wide_bf16"]);
                launch_on_channels(driver, kernel, (len / pack::<A>(), channels / pack::<A>()), &arguments)
            }
            false => {
                launch_on_channels(driver, A::kernel(["norm_apply", "norm_apply_bf16"]), (len, channels), &arguments)
            }
        }
    }
}

/// Per channel `Σ v` and `Σ v·(x − mean)`, left in `room` for the next call; `v` is `dy`, zero where `y` (if given) is not positive.
/// With `y`, `v` is written back to `dy`.
///
/// # Errors
/// The device's.
///
/// # Panics
/// If lengths do not fit.
#[allow(unsafe_code)]
pub fn gpu_norm_products<D: Driver, A: Activation>(
    driver: &D,
    room: &mut GpuNorm<D>,
    s: &BatchNormShape,
    dy: ViewMut<'_, A>,
    y: Option<View<'_, A>>,
    x: View<'_, A>,
    mean: View<'_, f32>,
) -> Result<(), GpuError> {
    for (name, len) in [("dy", dy.len()), ("y", y.map_or(s.len(), View::len)), ("x", x.len())] {
        check_len("norm_products", name, len, s.len());
    }
    check_len("norm_products", "mean", mean.len(), s.channels);
    let cut = Cut::of(s);
    room.partial.reserve(driver, cut.rows * 2 * s.channels)?;
    let arguments = [
        dy.argument(),
        optional(y),
        Argument::Int(i32::from(y.is_some())),
        x.argument(),
        mean.argument(),
        long(s.rows),
        int(s.channels),
        int(cut.rows_per_block),
        room.partial.view_mut().argument(),
    ];
    // SAFETY: the checks above give every buffer its length; the partial sums have room for two numbers per channel and block.
    unsafe { driver.launch(A::kernel(["norm_products", "norm_products_bf16"]), cut.grid(), cut.block, &arguments) }
}

/// From the sums in `room`: γ's and β's gradient, and what takes the gradient through the batch norm.
///
/// # Shapes
/// `(channels)`; `rest` is slope and offset of [`gpu_norm_through`].
///
/// # Errors
/// The device's.
///
/// # Panics
/// If lengths do not fit.
#[allow(unsafe_code)]
pub fn gpu_norm_gradient_sums<D: Driver>(
    driver: &D,
    room: &GpuNorm<D>,
    s: &BatchNormShape,
    (inv_std, scale): (View<'_, f32>, View<'_, f32>),
    batch_stats: bool,
    (dgamma, dbeta): (ViewMut<'_, f32>, ViewMut<'_, f32>),
    rest: (ViewMut<'_, f32>, ViewMut<'_, f32>),
) -> Result<(), GpuError> {
    let lens = [inv_std.len(), scale.len(), dgamma.len(), dbeta.len(), rest.0.len(), rest.1.len()];
    lens.into_iter().for_each(|len| check_len("norm_gradient_sums", "a vector", len, s.channels));
    let cut = Cut::of(s);
    assert!(room.partial.len() >= cut.rows * 2 * s.channels, "norm_gradient_sums: no sums were taken");
    let arguments = [
        room.partial.view().argument(),
        int(cut.rows),
        long(s.rows),
        int(s.channels),
        inv_std.argument(),
        scale.argument(),
        Argument::Int(i32::from(batch_stats)),
        dgamma.argument(),
        dbeta.argument(),
        rest.0.argument(),
        rest.1.argument(),
    ];
    // SAFETY: the checks above give every buffer the length that the kernel accesses.
    unsafe { driver.launch("norm_gradient_sums", (s.channels as u32, 1), (FINISH_THREADS, 1), &arguments) }
}

/// From the sums in `room`, taken over a convolution's tangent: slope and offset of the batch norm's tangent.
///
/// # Shapes
/// `(channels)`
///
/// # Errors
/// The device's.
///
/// # Panics
/// If lengths do not fit.
#[allow(unsafe_code)]
pub fn gpu_norm_tangent_sums<D: Driver>(
    driver: &D,
    room: &GpuNorm<D>,
    s: &BatchNormShape,
    (inv_std, scale): (View<'_, f32>, View<'_, f32>),
    (gamma_dot, beta_dot): (View<'_, f32>, View<'_, f32>),
    batch_stats: bool,
    rest: (ViewMut<'_, f32>, ViewMut<'_, f32>),
) -> Result<(), GpuError> {
    let lens = [inv_std.len(), scale.len(), gamma_dot.len(), beta_dot.len(), rest.0.len(), rest.1.len()];
    lens.into_iter().for_each(|len| check_len("norm_tangent_sums", "a vector", len, s.channels));
    let cut = Cut::of(s);
    assert!(room.partial.len() >= cut.rows * 2 * s.channels, "norm_tangent_sums: no sums were taken");
    let arguments = [
        room.partial.view().argument(),
        int(cut.rows),
        long(s.rows),
        int(s.channels),
        inv_std.argument(),
        scale.argument(),
        gamma_dot.argument(),
        beta_dot.argument(),
        Argument::Int(i32::from(batch_stats)),
        rest.0.argument(),
        rest.1.argument(),
    ];
    // SAFETY: the checks above give every buffer the length that the kernel accesses.
    unsafe { driver.launch("norm_tangent_sums", (s.channels as u32, 1), (FINISH_THREADS, 1), &arguments) }
}

/// `out ← scale·v + slope·(x − mean) + offset + residual?`, zero where `y` (if given) is not positive: a batch norm's gradient or
/// tangent.
///
/// # Shapes
/// - `v`, `x`, `residual`, `y`, `out`: `(rows, channels)`  - `numbers`: scale, slope, mean, offset, `(channels)` each
///
/// # Errors
/// The device's.
///
/// # Panics
/// If lengths do not fit.
#[allow(unsafe_code)]
pub fn gpu_norm_through<D: Driver, A: Activation>(
    driver: &D,
    (v, x): (View<'_, A>, View<'_, A>),
    [scale, slope, mean, offset]: [View<'_, f32>; 4],
    residual: Option<View<'_, A>>,
    y: Option<View<'_, A>>,
    out: ViewMut<'_, A>,
) -> Result<(), GpuError> {
    let (len, channels) = (out.len(), scale.len());
    for found in [v.len(), x.len(), residual.map_or(len, View::len), y.map_or(len, View::len)] {
        check_len("norm_through", "an activation", found, len);
    }
    [slope, mean, offset].into_iter().for_each(|view| check_len("norm_through", "a vector", view.len(), channels));
    assert!(channels > 0 && len.is_multiple_of(channels), "norm_through: whole rows");
    let arguments = [
        v.argument(),
        x.argument(),
        scale.argument(),
        slope.argument(),
        mean.argument(),
        offset.argument(),
        optional(residual),
        optional(y),
        long(len),
        int(channels),
        out.argument(),
    ];
    // SAFETY: the checks above give every buffer the length that the kernel accesses.
    unsafe {
        match is_wide::<A>(channels, &[arguments[0], arguments[1], arguments[6], arguments[7], arguments[10]]) {
            true => {
                let kernel = A::kernel(["norm_through_wide", "norm_through_wide_bf16"]);
                launch_on_channels(driver, kernel, (len / pack::<A>(), channels / pack::<A>()), &arguments)
            }
            false => launch_on_channels(
                driver,
                A::kernel(["norm_through", "norm_through_bf16"]),
                (len, channels),
                &arguments,
            ),
        }
    }
}
