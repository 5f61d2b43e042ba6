//! Vectors as long as the weights.

use half::bf16;

use super::memory::{View, ViewMut};
use super::{Argument, Driver, GpuError, check_len, launch_each, long};

/// `y += a·x`
///
/// # Errors
/// The device's.
///
/// # Panics
/// If the lengths differ.
#[allow(unsafe_code)]
pub fn gpu_axpy<D: Driver>(driver: &D, y: ViewMut<'_, f32>, a: f32, x: View<'_, f32>) -> Result<(), GpuError> {
    check_len("axpy", "x", x.len(), y.len());
    let arguments = [y.argument(), Argument::Float(a), x.argument(), long(y.len())];
    // SAFETY: both buffers have as many elements as the kernel accesses.
    unsafe { launch_each(driver, "flat_axpy", y.len(), &arguments) }
}

/// `y ← x`, each to the nearest.
///
/// # Errors
/// The device's.
///
/// # Panics
/// If the lengths differ.
#[allow(unsafe_code)]
pub fn gpu_narrow<D: Driver>(driver: &D, x: View<'_, f32>, y: ViewMut<'_, bf16>) -> Result<(), GpuError> {
    check_len("narrow", "x", x.len(), y.len());
    let arguments = [x.argument(), long(y.len()), y.argument()];
    // SAFETY: both buffers have as many elements as the kernel accesses.
    unsafe { launch_each(driver, "flat_narrow", y.len(), &arguments) }
}

/// `y ← x`
///
/// # Errors
/// The device's.
///
/// # Panics
/// If the lengths differ.
#[allow(unsafe_code)]
pub fn gpu_widen<D: Driver>(driver: &D, x: View<'_, bf16>, y: ViewMut<'_, f32>) -> Result<(), GpuError> {
    check_len("widen", "x", x.len(), y.len());
    let arguments = [x.argument(), long(y.len()), y.argument()];
    // SAFETY: both buffers have as many elements as the kernel accesses.
    unsafe { launch_each(driver, "flat_widen", y.len(), &arguments) }
}

/// What an SGD step goes by. The learning rate lies on the device, so that a recorded step can be given another.
#[derive(Debug, Clone, Copy)]
pub struct SgdNumbers<'a> {
    /// Learning rate, one element.
    pub rate: View<'a, f32>,
    /// Momentum.
    pub momentum: f32,
    /// Nesterov's form.
    pub nesterov: bool,
    /// Weight decay.
    pub weight_decay: f32,
    /// Of each weight, whether it decays.
    pub decays: View<'a, u8>,
}

/// [`sgd_step`](crate::sgd_step) on the device.
///
/// # Errors
/// The device's.
///
/// # Panics
/// If the lengths differ.
#[allow(unsafe_code)]
pub fn gpu_sgd<D: Driver>(
    driver: &D,
    w: ViewMut<'_, f32>,
    g: View<'_, f32>,
    buffer: ViewMut<'_, f32>,
    step: &SgdNumbers<'_>,
) -> Result<(), GpuError> {
    for (name, len) in [("g", g.len()), ("buffer", buffer.len()), ("decays", step.decays.len())] {
        check_len("sgd", name, len, w.len());
    }
    check_len("sgd", "rate", step.rate.len(), 1);
    let arguments = [
        w.argument(),
        g.argument(),
        buffer.argument(),
        step.rate.argument(),
        Argument::Float(step.momentum),
        Argument::Float(step.weight_decay),
        step.decays.argument(),
        Argument::Int(i32::from(step.nesterov)),
        long(w.len()),
    ];
    // SAFETY: all vectors are as long as the weights, the rate is one number.
    unsafe { launch_each(driver, "flat_sgd", w.len(), &arguments) }
}

/// Which step a virtual step takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VirtualKind {
    /// `w − lr·g`
    Plain,
    /// The optimiser's, with momentum.
    Momentum,
    /// The optimiser's, in Nesterov's form.
    Nesterov,
}

/// Where a step would lead: into `out`; nothing else changes.
///
/// # Errors
/// The device's.
///
/// # Panics
/// If the lengths differ.
#[allow(unsafe_code)]
pub fn gpu_virtual_step<D: Driver>(
    driver: &D,
    kind: VirtualKind,
    w: View<'_, f32>,
    g: View<'_, f32>,
    buffer: View<'_, f32>,
    step: &SgdNumbers<'_>,
    out: ViewMut<'_, f32>,
) -> Result<(), GpuError> {
    for (name, len) in [("g", g.len()), ("buffer", buffer.len()), ("decays", step.decays.len()), ("out", out.len())] {
        check_len("virtual step", name, len, w.len());
    }
    check_len("virtual step", "rate", step.rate.len(), 1);
    let arguments = [
        w.argument(),
        g.argument(),
        buffer.argument(),
        step.rate.argument(),
        Argument::Float(step.momentum),
        Argument::Float(step.weight_decay),
        step.decays.argument(),
        Argument::Int(kind as i32),
        long(w.len()),
        out.argument(),
    ];
    // SAFETY: all vectors are as long as the weights, the rate is one number.
    unsafe { launch_each(driver, "flat_virtual_step", w.len(), &arguments) }
}

/// What an Adam step goes by.
#[derive(Debug, Clone, Copy)]
pub struct AdamNumbers<'a> {
    /// Learning rate, one element.
    pub rate: View<'a, f32>,
    /// `1 − β₁ᵗ` and `1 − β₂ᵗ`.
    pub corrections: View<'a, f32>,
    /// Decay rates β₁ and β₂ of the two moments, in [0, 1).
    pub betas: (f32, f32),
    /// ε added to the root of the second moment.
    pub epsilon: f32,
    /// What weights are multiplied with first: 1 but for decoupled decay.
    pub shrink: f32,
    /// Decay that is added to the gradient.
    pub l2: f32,
}

/// [`adam_step`](crate::adam_step) on the device.
///
/// # Errors
/// The device's.
///
/// # Panics
/// If the lengths differ.
#[allow(unsafe_code)]
pub fn gpu_adam<D: Driver>(
    driver: &D,
    w: ViewMut<'_, f32>,
    g: View<'_, f32>,
    m: ViewMut<'_, f32>,
    v: ViewMut<'_, f32>,
    step: &AdamNumbers<'_>,
) -> Result<(), GpuError> {
    for (name, len) in [("g", g.len()), ("m", m.len()), ("v", v.len())] {
        check_len("adam", name, len, w.len());
    }
    check_len("adam", "rate", step.rate.len(), 1);
    check_len("adam", "corrections", step.corrections.len(), 2);
    let arguments = [
        w.argument(),
        g.argument(),
        m.argument(),
        v.argument(),
        step.rate.argument(),
        Argument::Float(step.betas.0),
        Argument::Float(step.betas.1),
        Argument::Float(step.epsilon),
        Argument::Float(step.shrink),
        Argument::Float(step.l2),
        step.corrections.argument(),
        long(w.len()),
    ];
    // SAFETY: all vectors are as long as the weights, the rate is one number and the corrections are two.
    unsafe { launch_each(driver, "flat_adam", w.len(), &arguments) }
}
