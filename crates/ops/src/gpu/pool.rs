//! Pools, the parameter-free shortcut, channels side by side.

use super::memory::{Activation, View, ViewMut};
use super::{Argument, Driver, GpuError, check_len, int, launch_each, long};
use crate::{PoolShape, ShortcutShape};

/// [`global_avg_pool`](crate::global_avg_pool) on the device; what is pooled is `f32` whatever the activations are.
///
/// # Errors
/// The device's.
///
/// # Panics
/// If lengths do not fit.
#[allow(unsafe_code)]
pub fn gpu_mean_pool<D: Driver, A: Activation>(
    driver: &D,
    (batch, pixels, channels): (usize, usize, usize),
    x: View<'_, A>,
    y: ViewMut<'_, f32>,
) -> Result<(), GpuError> {
    check_len("mean_pool", "x", x.len(), batch * pixels * channels);
    check_len("mean_pool", "y", y.len(), batch * channels);
    let arguments = [x.argument(), int(batch), int(pixels), int(channels), y.argument()];
    // SAFETY: the checks above give every buffer the length that the kernel accesses.
    unsafe { launch_each(driver, A::kernel(["pool_mean", "pool_mean_bf16"]), batch * channels, &arguments) }
}

/// [`global_avg_pool_backward`](crate::global_avg_pool_backward) on the device.
///
/// # Errors
/// The device's.
///
/// # Panics
/// If lengths do not fit.
#[allow(unsafe_code)]
pub fn gpu_mean_pool_gradient<D: Driver, A: Activation>(
    driver: &D,
    (batch, pixels, channels): (usize, usize, usize),
    dy: View<'_, f32>,
    dx: ViewMut<'_, A>,
) -> Result<(), GpuError> {
    check_len("mean_pool_gradient", "dx", dx.len(), batch * pixels * channels);
    check_len("mean_pool_gradient", "dy", dy.len(), batch * channels);
    let arguments = [dy.argument(), int(batch), int(pixels), int(channels), dx.argument()];
    // SAFETY: the checks above give every buffer the length that the kernel accesses.
    unsafe {
        launch_each(
            driver,
            A::kernel(["pool_mean_gradient", "pool_mean_gradient_bf16"]),
            batch * pixels * channels,
            &arguments,
        )
    }
}

/// The sizes that all three kernels of a max pool take.
fn pool_sizes(s: &PoolShape) -> [Argument; 9] {
    [s.batch, s.height, s.width, s.channels, s.kernel, s.stride, s.padding, s.out_height(), s.out_width()].map(int)
}

fn check_pool(what: &str, s: &PoolShape, input: usize, output: usize, winners: usize) {
    check_len(what, "the input", input, s.input_len());
    check_len(what, "the output", output, s.output_len());
    check_len(what, "winners", winners, s.output_len());
    assert!((1..=16).contains(&s.kernel) && s.stride > 0 && 2 * s.padding <= s.kernel, "{what}: sizes of a pool");
}

/// [`max_pool`](crate::max_pool) on the device.
///
/// # Errors
/// The device's.
///
/// # Panics
/// If lengths do not fit.
#[allow(unsafe_code)]
pub fn gpu_max_pool<D: Driver, A: Activation>(
    driver: &D,
    s: &PoolShape,
    x: View<'_, A>,
    y: ViewMut<'_, A>,
    winners: ViewMut<'_, u8>,
) -> Result<(), GpuError> {
    check_pool("max_pool", s, x.len(), y.len(), winners.len());
    let arguments = [&[x.argument()][..], &pool_sizes(s), &[y.argument(), winners.argument()]].concat();
    // SAFETY: the checks above give every buffer the length that the kernel accesses.
    unsafe { launch_each(driver, A::kernel(["pool_max", "pool_max_bf16"]), s.output_len(), &arguments) }
}

/// [`max_pool_backward`](crate::max_pool_backward) on the device.
///
/// # Errors
/// The device's.
///
/// # Panics
/// If lengths do not fit.
#[allow(unsafe_code)]
pub fn gpu_max_pool_gradient<D: Driver, A: Activation>(
    driver: &D,
    s: &PoolShape,
    dy: View<'_, A>,
    winners: View<'_, u8>,
    dx: ViewMut<'_, A>,
) -> Result<(), GpuError> {
    check_pool("max_pool_gradient", s, dx.len(), dy.len(), winners.len());
    let arguments = [&[dy.argument(), winners.argument()][..], &pool_sizes(s), &[dx.argument()]].concat();
    // SAFETY: lengths were checked; winners are only compared.
    unsafe {
        launch_each(driver, A::kernel(["pool_max_gradient", "pool_max_gradient_bf16"]), s.input_len(), &arguments)
    }
}

/// [`max_pool_tangent`](crate::max_pool_tangent) on the device. `winners` are those that [`gpu_max_pool`] left for this shape.
///
/// # Errors
/// The device's.
///
/// # Panics
/// If lengths do not fit.
#[allow(unsafe_code)]
pub fn gpu_max_pool_tangent<D: Driver, A: Activation>(
    driver: &D,
    s: &PoolShape,
    x_dot: View<'_, A>,
    winners: View<'_, u8>,
    y_dot: ViewMut<'_, A>,
) -> Result<(), GpuError> {
    check_pool("max_pool_tangent", s, x_dot.len(), y_dot.len(), winners.len());
    let arguments = [&[x_dot.argument(), winners.argument()][..], &pool_sizes(s), &[y_dot.argument()]].concat();
    // SAFETY: lengths were checked, and the kernel reads no place outside the image whatever the winners say.
    unsafe { launch_each(driver, A::kernel(["pool_max_tangent", "pool_max_tangent_bf16"]), s.output_len(), &arguments) }
}

fn shortcut_sizes(s: &ShortcutShape) -> [Argument; 9] {
    let before = (s.out_channels - s.in_channels) / 2;
    [s.batch, s.height, s.width, s.in_channels, s.out_channels, s.stride, before, s.out_height(), s.out_width()]
        .map(int)
}

/// [`option_a_shortcut`](crate::option_a_shortcut) on the device.
///
/// # Errors
/// The device's.
///
/// # Panics
/// If lengths do not fit.
#[allow(unsafe_code)]
pub fn gpu_shortcut<D: Driver, A: Activation>(
    driver: &D,
    s: &ShortcutShape,
    x: View<'_, A>,
    y: ViewMut<'_, A>,
) -> Result<(), GpuError> {
    check_len("shortcut", "x", x.len(), s.input_len());
    check_len("shortcut", "y", y.len(), s.output_len());
    let arguments = [&[x.argument()][..], &shortcut_sizes(s), &[y.argument()]].concat();
    // SAFETY: the checks above give every buffer the length that the kernel accesses.
    unsafe { launch_each(driver, A::kernel(["shortcut", "shortcut_bf16"]), s.output_len(), &arguments) }
}

/// [`option_a_shortcut_backward`](crate::option_a_shortcut_backward) on the device.
///
/// # Errors
/// The device's.
///
/// # Panics
/// If lengths do not fit.
#[allow(unsafe_code)]
pub fn gpu_shortcut_gradient<D: Driver, A: Activation>(
    driver: &D,
    s: &ShortcutShape,
    dy: View<'_, A>,
    dx: ViewMut<'_, A>,
    accumulate: bool,
) -> Result<(), GpuError> {
    check_len("shortcut_gradient", "dx", dx.len(), s.input_len());
    check_len("shortcut_gradient", "dy", dy.len(), s.output_len());
    let accumulate = Argument::Int(i32::from(accumulate));
    let arguments = [&[dy.argument()][..], &shortcut_sizes(s), &[accumulate, dx.argument()]].concat();
    // SAFETY: the checks above give every buffer the length that the kernel accesses.
    unsafe {
        launch_each(driver, A::kernel(["shortcut_gradient", "shortcut_gradient_bf16"]), s.input_len(), &arguments)
    }
}

/// Copies `channels` channels of each row to their place among `width`, from `first` on.
///
/// # Errors
/// The device's.
///
/// # Panics
/// If lengths do not fit.
#[allow(unsafe_code)]
pub fn gpu_concat_part<D: Driver, A: Activation>(
    driver: &D,
    x: View<'_, A>,
    channels: usize,
    (first, width): (usize, usize),
    y: ViewMut<'_, A>,
) -> Result<(), GpuError> {
    let rows = x.len() / channels.max(1);
    assert!(first + channels <= width && x.len() == rows * channels, "concat_part: a place among the channels");
    check_len("concat_part", "y", y.len(), rows * width);
    let arguments = [x.argument(), long(rows), int(channels), int(first), int(width), y.argument()];
    // SAFETY: the checks above give every buffer the length that the kernel accesses.
    unsafe { launch_each(driver, A::kernel(["concat_part", "concat_part_bf16"]), rows * channels, &arguments) }
}

/// The adjoint of [`gpu_concat_part`].
///
/// # Errors
/// The device's.
///
/// # Panics
/// If lengths do not fit.
#[allow(unsafe_code)]
pub fn gpu_concat_part_gradient<D: Driver, A: Activation>(
    driver: &D,
    dy: View<'_, A>,
    channels: usize,
    (first, width): (usize, usize),
    dx: ViewMut<'_, A>,
    accumulate: bool,
) -> Result<(), GpuError> {
    let rows = dx.len() / channels.max(1);
    assert!(first + channels <= width && dx.len() == rows * channels, "concat_part: a place among the channels");
    check_len("concat_part_gradient", "dy", dy.len(), rows * width);
    let accumulate = Argument::Int(i32::from(accumulate));
    let arguments = [dy.argument(), long(rows), int(channels), int(first), int(width), accumulate, dx.argument()];
    // SAFETY: the checks above give every buffer the length that the kernel accesses.
    unsafe {
        launch_each(
            driver,
            A::kernel(["concat_part_gradient", "concat_part_gradient_bf16"]),
            rows * channels,
            &arguments,
        )
    }
}

/// `y += x`
///
/// # Errors
/// The device's.
///
/// # Panics
/// If the lengths differ.
#[allow(unsafe_code)]
pub fn gpu_add<D: Driver, A: Activation>(driver: &D, y: ViewMut<'_, A>, x: View<'_, A>) -> Result<(), GpuError> {
    check_len("add", "x", x.len(), y.len());
    let arguments = [y.argument(), x.argument(), long(y.len())];
    // SAFETY: both buffers have as many elements as the kernel accesses.
    unsafe { launch_each(driver, A::kernel(["activations_add", "activations_add_bf16"]), y.len(), &arguments) }
}
