//! Batch norm: statistics, application, gradient, tangent.

use longtail_ops::{BatchNormShape, Real, batch_norm_apply, batch_norm_backward, batch_norm_statistics};

use crate::common::{batch_norm_jvp, normals, on_each_path};
use crate::{Unaligned, check, places, spoiled, with_special};

/// Everything that the batch norm functions read; `x`, `residual`, `dy` and `x_dot` get the special values.
#[derive(Clone)]
struct NormInput {
    s: BatchNormShape,
    x: Vec<f64>,
    residual: Vec<f64>,
    dy: Vec<f64>,
    x_dot: Vec<f64>,
    /// The output of another batch: which elements the ReLU let through.
    y: Vec<f64>,
    /// Per channel: mean, 1/σ, γ, β, γ̇, β̇.
    channel: [Vec<f64>; 6],
}

/// Mean, variance; `y`; `dx`, `dgamma`, `dbeta`, `dresidual`; `ẏ`.
const NORM_RESULTS: [&str; 8] = ["mean", "var", "y", "dx", "dgamma", "dbeta", "dresidual", "y_dot"];

/// The formulas of the functions' documentation, in f64.
fn norm_naive(n: &NormInput, batch_stats: bool) -> [Vec<f64>; 8] {
    let (channels, rows) = (n.s.channels, n.s.rows as f64);
    let [mean, inv_std, gamma, beta, gamma_dot, beta_dot] = &n.channel;
    let sum = |f: &dyn Fn(usize) -> f64, c: usize| (c..n.s.len()).step_by(channels).map(f).sum::<f64>();
    let each = |f: &dyn Fn(usize) -> f64| (0..channels).map(f).collect::<Vec<f64>>();
    let all = |f: &dyn Fn(usize, usize) -> f64| (0..n.s.len()).map(|i| f(i, i % channels)).collect::<Vec<f64>>();

    let own_mean = each(&|c| sum(&|i| n.x[i], c) / rows);
    let own_var = each(&|c| sum(&|i| (n.x[i] - own_mean[c]).powi(2), c) / rows);
    let hat = |i: usize| (n.x[i] - mean[i % channels]) * inv_std[i % channels];
    let y = all(&|i, c| {
        let y = hat(i) * gamma[c] + beta[c] + n.residual[i];
        if y < 0.0 { 0.0 } else { y }
    });
    let open = |i: usize, v: f64| if n.y[i] > 0.0 { v } else { 0.0 };
    let g = |i: usize| open(i, n.dy[i]);
    let dbeta = each(&|c| sum(&g, c));
    let dgamma = each(&|c| sum(&|i| g(i) * hat(i), c));
    let of_batch = |v: f64| if batch_stats { v } else { 0.0 };
    let dx = all(&|i, c| {
        let through = if batch_stats { dbeta[c] / rows + hat(i) * dgamma[c] / rows } else { 0.0 };
        gamma[c] * inv_std[c] * (g(i) - through)
    });
    let mean_dot = each(&|c| of_batch(sum(&|i| n.x_dot[i], c) / rows));
    let projection = each(&|c| of_batch(sum(&|i| n.x_dot[i] * hat(i), c) / rows));
    let y_dot = all(&|i, c| {
        let through = if batch_stats { mean_dot[c] + hat(i) * projection[c] } else { 0.0 };
        let hat_dot = inv_std[c] * (n.x_dot[i] - through);
        open(i, gamma[c] * hat_dot + gamma_dot[c] * hat(i) + beta_dot[c])
    });
    let dresidual = all(&|i, _| g(i));
    [own_mean, own_var, y, dx, dgamma, dbeta, dresidual, y_dot]
}

fn norm_found<T: Real>(n: &NormInput, batch_stats: bool) -> [Unaligned<T>; 8] {
    let of = |values: &Vec<f64>| Unaligned::<T>::new(values);
    let (x, residual, dy, x_dot, y_before) = (of(&n.x), of(&n.residual), of(&n.dy), of(&n.x_dot), of(&n.y));
    let [mean, inv_std, gamma, beta, gamma_dot, beta_dot] = n.channel.each_ref().map(of);
    let (all, each) = (|| Unaligned::<T>::filled(n.s.len()), || Unaligned::<T>::filled(n.s.channels));
    let (mut own_mean, mut own_var, mut dgamma, mut dbeta) = (each(), each(), each(), each());
    let (mut y, mut dx, mut dresidual, mut y_dot) = (all(), all(), all(), all());
    batch_norm_statistics(&n.s, &x, &mut own_mean, &mut own_var);
    batch_norm_apply(&n.s, &x, &mean, &inv_std, &gamma, &beta, Some(&residual), true, &mut y);
    let dr = Some((&mut dresidual[..], false));
    let open = Some(&y_before[..]);
    batch_norm_backward(
        &n.s,
        &x,
        open,
        &mean,
        &inv_std,
        &gamma,
        &dy,
        &mut dx,
        &mut dgamma,
        &mut dbeta,
        dr,
        batch_stats,
    );
    let channel: [&[T]; 5] = [&mean, &inv_std, &gamma, &gamma_dot, &beta_dot];
    batch_norm_jvp(&n.s, (&x, &x_dot), channel, None, open, &mut y_dot, batch_stats);
    [own_mean, own_var, y, dx, dgamma, dbeta, dresidual, y_dot]
}

fn check_norms<T: Real>() {
    // The last has more than one block.
    for (height, width, channels) in [(7, 8, 1), (5, 5, 3), (1, 1, 5), (7, 8, 16), (5, 5, 17), (7, 8, 40), (31, 33, 17)]
    {
        let s = BatchNormShape { rows: height * width, channels };
        let of = |name: &str| normals(name, s.len());
        let channel = ["mean", "inv_std", "gamma", "beta", "gamma_dot", "beta_dot"].map(|name| normals(name, channels));
        let clean = NormInput {
            s,
            x: of("x"),
            residual: of("residual"),
            dy: of("dy"),
            x_dot: of("x_dot"),
            y: of("y"),
            channel,
        };
        let mut cases = Vec::new();
        for (field, values) in
            [("x", &clean.x), ("residual", &clean.residual), ("dy", &clean.dy), ("x_dot", &clean.x_dot)]
        {
            for (name, values) in with_special(values, &places(1, height, width, channels)) {
                let mut case = clean.clone();
                *match field {
                    "x" => &mut case.x,
                    "residual" => &mut case.residual,
                    "dy" => &mut case.dy,
                    _ => &mut case.x_dot,
                } = values;
                cases.push((format!("{field} is {name}"), case));
            }
        }
        for batch_stats in [false, true] {
            on_each_path(|path| {
                let clean = norm_found::<T>(&clean, batch_stats);
                for (name, case) in &cases {
                    let (found, naive) = (norm_found::<T>(case, batch_stats), norm_naive(case, batch_stats));
                    for (result, what) in NORM_RESULTS.iter().enumerate() {
                        let must = spoiled(&naive[result]);
                        let what = format!("{what}, {path:?}, {s:?}, batch_stats {batch_stats}, {name}");
                        // Zero is what a shut ReLU makes of an infinity, and of everything else: neither spoiled nor as before.
                        let may: Vec<bool> = naive[result].iter().map(|v| !v.is_finite() || *v == 0.0).collect();
                        let zeros = found[result].iter().zip(&naive[result]).filter(|(_, naive)| **naive == 0.0);
                        assert!(zeros.into_iter().all(|(found, _)| *found == T::ZERO), "{what}: a zero");
                        check(&what, &found[result], &clean[result], &must, &may);
                    }
                }
            });
        }
    }
}

#[test]
fn batch_norm_in_f32() {
    check_norms::<f32>();
}

#[test]
fn batch_norm_in_f64() {
    check_norms::<f64>();
}
