//! What the kernel tests share: numbers, central differences, forced paths.
#![allow(dead_code)]

use std::sync::{Mutex, MutexGuard};

use longtail_ops::{
    BatchNormShape, ConvShape, NormRest, Real, SimdPath, available_simd_paths, batch_norm_tangent, normal,
    set_simd_path, stream,
};

/// `len` standard normals, a function of `name` alone.
pub fn normals(name: &str, len: usize) -> Vec<f64> {
    let mut rng = stream(0, name, 0, 0);
    (0..len).map(|_| normal(&mut rng)).collect()
}

pub fn single(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&v| v as f32).collect()
}

pub fn inner(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The largest difference, relative to the largest magnitude of `expected`.
pub fn error(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(1e-30f64, |m, v| m.max(v.abs()));
    found.iter().zip(expected).fold(0.0, |m, (a, b)| {
        let difference = (a - b).abs() / scale;
        if difference.is_nan() { f64::INFINITY } else { f64::max(m, difference) }
    })
}

pub fn error_single(found: &[f32], expected: &[f64]) -> f64 {
    error(&found.iter().map(|&v| f64::from(v)).collect::<Vec<_>>(), expected)
}

/// The central difference of `f` along each coordinate of `at`.
pub fn gradient(at: &[f64], mut f: impl FnMut(&[f64]) -> f64) -> Vec<f64> {
    const STEP: f64 = 1e-5;
    let mut moved = at.to_vec();
    (0..at.len())
        .map(|i| {
            moved[i] = at[i] + STEP;
            let above = f(&moved);
            moved[i] = at[i] - STEP;
            let below = f(&moved);
            moved[i] = at[i];
            (above - below) / (2.0 * STEP)
        })
        .collect()
}

/// The central difference of a vector function along a direction.
pub fn tangent(mut f: impl FnMut(f64) -> Vec<f64>) -> Vec<f64> {
    const STEP: f64 = 1e-6;
    let (above, below) = (f(STEP), f(-STEP));
    above.iter().zip(&below).map(|(a, b)| (a - b) / (2.0 * STEP)).collect()
}

pub fn step(at: &[f64], size: f64, direction: &[f64]) -> Vec<f64> {
    at.iter().zip(direction).map(|(a, d)| a + size * d).collect()
}

static PATH: Mutex<()> = Mutex::new(());

/// Runs `test` once for each vector path of this processor. The path is one for the process, so
/// tests that force it take turns.
pub fn on_each_path(mut test: impl FnMut(SimdPath)) {
    let _turn = hold_path();
    for path in available_simd_paths() {
        set_simd_path(Some(path));
        test(path);
    }
    set_simd_path(None);
}

/// Keeps the path as it is while the guard lives: for tests that compare bits.
pub fn hold_path() -> MutexGuard<'static, ()> {
    PATH.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Runs `task` on a pool of `threads`.
pub fn with_threads<R: Send>(threads: usize, task: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a thread pool").install(task)
}

/// `rest`: stride, padding, dilation, groups.
pub const fn shape(
    batch: usize,
    hw: (usize, usize),
    channels: (usize, usize),
    kernel: usize,
    rest: [usize; 4],
) -> ConvShape {
    let [stride, padding, dilation, groups] = rest;
    ConvShape {
        batch,
        height: hw.0,
        width: hw.1,
        in_channels: channels.0,
        out_channels: channels.1,
        kernel,
        stride,
        padding,
        dilation,
        groups,
    }
}

/// Calls `visit(output index, input index, weight index)` for every product of the convolution.
pub fn products(s: &ConvShape, mut visit: impl FnMut(usize, usize, usize)) {
    let (group_in, group_out) = (s.in_channels / s.groups, s.out_channels / s.groups);
    let inside = |out: usize, tap: usize, size: usize| {
        (out * s.stride + tap * s.dilation).checked_sub(s.padding).filter(|&at| at < size)
    };
    for n in 0..s.batch {
        for oy in 0..s.out_height() {
            for ox in 0..s.out_width() {
                for ky in 0..s.kernel {
                    for kx in 0..s.kernel {
                        let (Some(iy), Some(ix)) = (inside(oy, ky, s.height), inside(ox, kx, s.width)) else {
                            continue;
                        };
                        for o in 0..s.out_channels {
                            for i in 0..group_in {
                                let out = ((n * s.out_height() + oy) * s.out_width() + ox) * s.out_channels + o;
                                let input =
                                    ((n * s.height + iy) * s.width + ix) * s.in_channels + o / group_out * group_in + i;
                                visit(out, input, ((o * group_in + i) * s.kernel + ky) * s.kernel + kx);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// How `y = relu(γ·x̂ + β + residual)` moves when its inputs do: `ẏ = γ·x̂' + γ̇·x̂ + β̇ + residual_dot`, zero where the ReLU was
/// shut, with `x̂' = inv_std·(ẋ − mean(ẋ) − x̂·mean(x̂·ẋ))` on this batch's statistics (`batch_stats`), else `inv_std·ẋ`: the
/// coefficients of [`batch_norm_tangent`] by their formulas, in f64.
pub fn batch_norm_jvp<T: Real>(
    s: &BatchNormShape,
    (x, x_dot): (&[T], &[T]),
    [mean, inv_std, gamma, gamma_dot, beta_dot]: [&[T]; 5],
    residual_dot: Option<&[T]>,
    relu_y: Option<&[T]>,
    y_dot: &mut [T],
    batch_stats: bool,
) {
    let of_channel = |c: usize| {
        let [m, inv, g, g_dot, b_dot] = [mean, inv_std, gamma, gamma_dot, beta_dot].map(|values| values[c].to_f64());
        let (mut mean_dot, mut projection) = (0.0, 0.0);
        if batch_stats {
            for index in (c..s.len()).step_by(s.channels) {
                mean_dot += x_dot[index].to_f64() / s.rows as f64;
                projection += x_dot[index].to_f64() * (x[index].to_f64() - m) * inv / s.rows as f64;
            }
        }
        [g * inv, g_dot * inv - g * inv * inv * projection, b_dot - g * inv * mean_dot].map(T::from_f64)
    };
    let coefficients: Vec<[T; 3]> = (0..s.channels).map(of_channel).collect();
    let [scale, slope, offset] = [0, 1, 2].map(|which| coefficients.iter().map(|all| all[which]).collect::<Vec<T>>());
    let rest = NormRest { slope: &slope, centre: mean, offset: &offset };
    batch_norm_tangent(s, x, x_dot, &scale, &rest, residual_dot, relu_y, y_dot);
}
