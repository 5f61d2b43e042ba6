//! Optimiser steps on flat slices.
//!
//! Everything elementwise is cut into fixed chunks that threads share; no element depends on
//! another, so the number of threads changes nothing.

use std::ops::Range;

use rayon::prelude::*;

use crate::Real;
use crate::simd::{Kernel, dispatch};

/// Elements of one task.
const CHUNK: usize = 1 << 15;

/// The numbers of one SGD step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SgdStep {
    /// Learning rate.
    pub lr: f64,
    /// Momentum, in `[0, 1)`. Zero leaves `buf` equal to the gradient.
    pub momentum: f64,
    /// Nesterov's form.
    pub nesterov: bool,
    /// Weight decay, added to the gradient as `weight_decay · w`.
    pub weight_decay: f64,
}

/// One SGD step in place: `g' = g + wd·w`, `buf = μ·buf + g'`, `w −= lr·(buf, or g' + μ·buf with
/// Nesterov)`.
///
/// `decay_ranges`: where weight decay applies (sorted, disjoint); `None` means everywhere. `buf`
/// starts as zeros.
///
/// # Source
/// `torch.optim.SGD` with dampening 0.
pub fn sgd_step<T: Real>(w: &mut [T], g: &[T], buf: &mut [T], step: SgdStep, decay_ranges: Option<&[Range<usize>]>) {
    assert!(
        w.len() == g.len() && w.len() == buf.len(),
        "sgd_step: {} weights, {} gradients, {} momenta",
        w.len(),
        g.len(),
        buf.len()
    );
    for_each_decay(w.len(), decay_ranges, |range, decays| {
        let weight_decay = if decays { step.weight_decay } else { 0.0 };
        let (w, g, buf) = (&mut w[range.clone()], &g[range.clone()], &mut buf[range]);
        w.par_chunks_mut(CHUNK).zip(g.par_chunks(CHUNK)).zip(buf.par_chunks_mut(CHUNK)).for_each(|((w, g), buf)| {
            dispatch(Sgd {
                w,
                g,
                buf,
                lr: T::from_f64(step.lr),
                momentum: T::from_f64(step.momentum),
                weight_decay: T::from_f64(weight_decay),
                nesterov: step.nesterov,
            });
        });
    });
}

struct Sgd<'a, T> {
    w: &'a mut [T],
    g: &'a [T],
    buf: &'a mut [T],
    lr: T,
    momentum: T,
    weight_decay: T,
    nesterov: bool,
}

impl<T: Real> Kernel for Sgd<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let Self { w, g, buf, lr, momentum, weight_decay, nesterov } = self;
        for ((w, &g), buf) in w.iter_mut().zip(g).zip(buf) {
            let g = g + weight_decay * *w;
            *buf = momentum * *buf + g;
            let direction = if nesterov { g + momentum * *buf } else { *buf };
            *w -= lr * direction;
        }
    }
}

/// The numbers of one Adam step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamStep {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the first moment (0.9).
    pub beta1: f64,
    /// Decay of the second moment (0.999).
    pub beta2: f64,
    /// Added to the root of the second moment (1e-8).
    pub eps: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// `true`: AdamW's decay, `w −= lr·wd·w`; `false`: added to the gradient.
    pub decoupled: bool,
}

impl Default for AdamStep {
    fn default() -> Self {
        Self { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0, decoupled: false }
    }
}

/// One Adam step in place; `t` counts steps from 1; `m` and `v` start as zeros. `decay_ranges` as
/// in [`sgd_step`].
///
/// # Source
/// `torch.optim.Adam` and `AdamW` without AMSGrad.
/// # Panics
/// When lengths differ or `t` is zero.
pub fn adam_step<T: Real>(
    w: &mut [T],
    g: &[T],
    m: &mut [T],
    v: &mut [T],
    t: u64,
    step: AdamStep,
    decay_ranges: Option<&[Range<usize>]>,
) {
    let len = w.len();
    assert!(g.len() == len && m.len() == len && v.len() == len, "adam_step: slices of different lengths");
    assert!(t > 0, "adam_step: steps count from 1");
    let power = t as f64;
    let correction1 = 1.0 - step.beta1.powf(power);
    let correction2 = 1.0 - step.beta2.powf(power);
    for_each_decay(len, decay_ranges, |range, decays| {
        let weight_decay = if decays { step.weight_decay } else { 0.0 };
        let (shrink, l2) = if step.decoupled { (1.0 - step.lr * weight_decay, 0.0) } else { (1.0, weight_decay) };
        let (w, g) = (&mut w[range.clone()], &g[range.clone()]);
        let (m, v) = (&mut m[range.clone()], &mut v[range]);
        w.par_chunks_mut(CHUNK)
            .zip(g.par_chunks(CHUNK))
            .zip(m.par_chunks_mut(CHUNK))
            .zip(v.par_chunks_mut(CHUNK))
            .for_each(|(((w, g), m), v)| {
                dispatch(Adam {
                    w,
                    g,
                    m,
                    v,
                    beta1: T::from_f64(step.beta1),
                    beta2: T::from_f64(step.beta2),
                    rate: T::from_f64(step.lr / correction1),
                    root_scale: T::from_f64(1.0 / correction2.sqrt()),
                    eps: T::from_f64(step.eps),
                    shrink: T::from_f64(shrink),
                    l2: T::from_f64(l2),
                });
            });
    });
}

struct Adam<'a, T> {
    w: &'a mut [T],
    g: &'a [T],
    m: &'a mut [T],
    v: &'a mut [T],
    beta1: T,
    beta2: T,
    rate: T,
    root_scale: T,
    eps: T,
    shrink: T,
    l2: T,
}

impl<T: Real> Kernel for Adam<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let Self { w, g, m, v, beta1, beta2, rate, root_scale, eps, shrink, l2 } = self;
        for (((w, &g), m), v) in w.iter_mut().zip(g).zip(m).zip(v) {
            let g = g + l2 * *w;
            *m = beta1 * *m + (T::ONE - beta1) * g;
            *v = beta2 * *v + (T::ONE - beta2) * g * g;
            *w = shrink * *w - rate * *m / (v.sqrt() * root_scale + eps);
        }
    }
}

/// Calls `task` for each stretch of `0..len`, with whether it decays.
fn for_each_decay(len: usize, ranges: Option<&[Range<usize>]>, mut task: impl FnMut(Range<usize>, bool)) {
    let Some(ranges) = ranges else {
        return task(0..len, true);
    };
    let mut at = 0;
    for range in ranges {
        assert!(
            at <= range.start && range.start <= range.end && range.end <= len,
            "decay range {range:?} is out of order or beyond the {len} weights"
        );
        task(at..range.start, false);
        task(range.clone(), true);
        at = range.end;
    }
    task(at..len, false);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sgd_by_hand() {
        let (mut w, g, mut buf) = ([1.0f64, 1.0], [0.5, 0.5], [0.0, 0.0]);
        let step = SgdStep { lr: 0.1, momentum: 0.9, nesterov: false, weight_decay: 0.1 };
        sgd_step(&mut w, &g, &mut buf, step, Some(&[0..0, 1..2]));
        assert_eq!(buf, [0.5, 0.6]);
        assert_eq!(w, [1.0 - 0.05, 1.0 - 0.06]);
        sgd_step(&mut w, &g, &mut buf, SgdStep { nesterov: true, weight_decay: 0.0, ..step }, None);
        let expected = 0.95 - 0.1 * (0.5 + 0.9 * (0.9 * 0.5 + 0.5));
        assert!((w[0] - expected).abs() < 1e-15);
    }

    /// The first Adam step moves each weight by lr against the gradient's sign.
    #[test]
    fn adam_first_step() {
        let (mut w, mut m, mut v) = ([1.0f64, 2.0], [0.0; 2], [0.0; 2]);
        adam_step(&mut w, &[0.3, -40.0], &mut m, &mut v, 1, AdamStep { lr: 0.01, ..AdamStep::default() }, None);
        assert!((w[0] - 0.99).abs() < 1e-8 && (w[1] - 2.01).abs() < 1e-8, "{w:?}");
        let decay = AdamStep { lr: 0.01, weight_decay: 0.5, decoupled: true, ..AdamStep::default() };
        let (mut w, mut m, mut v) = ([1.0f64], [0.0], [0.0]);
        adam_step(&mut w, &[0.0], &mut m, &mut v, 1, decay, None);
        assert!((w[0] - 0.995).abs() < 1e-15);
    }

    #[test]
    #[should_panic(expected = "decay range")]
    fn overlapping_ranges_are_refused() {
        let step = SgdStep { lr: 0.1, momentum: 0.0, nesterov: false, weight_decay: 0.1 };
        sgd_step(&mut [0.0f32; 4], &[0.0; 4], &mut [0.0; 4], step, Some(&[0..3, 2..4]));
    }
}
