//! Batch normalisation: values against naive loops, gradients and tangents against central
//! differences, bits against thread counts.

mod common;

use common::{
    batch_norm_jvp, error, error_single, gradient, hold_path, inner, normals, on_each_path, single, step, tangent,
    with_threads,
};
use longtail_ops::{
    BatchNormShape, Real, batch_norm_apply, batch_norm_backward, batch_norm_statistics, inverse_std, update_running,
};
use proptest::prelude::*;

const EPS: f64 = 1e-5;

/// One batch norm's numbers.
#[derive(Clone)]
struct Setup {
    s: BatchNormShape,
    x: Vec<f64>,
    gamma: Vec<f64>,
    beta: Vec<f64>,
    residual: Option<Vec<f64>>,
    relu: bool,
    /// Running statistics to use instead of the batch's.
    running: Option<(Vec<f64>, Vec<f64>)>,
}

struct Output {
    mean: Vec<f64>,
    inv_std: Vec<f64>,
    y: Vec<f64>,
}

fn setup(rows: usize, channels: usize, residual: bool, relu: bool, batch_stats: bool) -> Setup {
    let s = BatchNormShape { rows, channels };
    Setup {
        s,
        x: normals("x", s.len()),
        gamma: normals("gamma", channels),
        beta: normals("beta", channels),
        residual: residual.then(|| normals("residual", s.len())),
        relu,
        running: (!batch_stats)
            .then(|| (normals("mean", channels), normals("var", channels).iter().map(|v| 0.5 + v * v).collect())),
    }
}

fn forward(n: &Setup) -> Output {
    let zeros = vec![0.0; n.s.channels];
    let (mut mean, mut var, mut inv_std, mut y) = (zeros.clone(), zeros.clone(), zeros, vec![0.0; n.s.len()]);
    match &n.running {
        Some((m, v)) => (mean, var) = (m.clone(), v.clone()),
        None => batch_norm_statistics(&n.s, &n.x, &mut mean, &mut var),
    }
    inverse_std(&var, EPS, &mut inv_std);
    batch_norm_apply(&n.s, &n.x, &mean, &inv_std, &n.gamma, &n.beta, n.residual.as_deref(), n.relu, &mut y);
    Output { mean, inv_std, y }
}

fn cases() -> impl Iterator<Item = Setup> {
    (0..8).map(|flags| setup(9, 3, flags & 1 > 0, flags & 2 > 0, flags & 4 > 0))
}

#[test]
fn statistics_agree_with_two_plain_passes_on_every_path() {
    on_each_path(|path| {
        for (rows, channels) in [(1, 1), (5, 3), (3000, 16), (700, 37), (40, 300)] {
            let s = BatchNormShape { rows, channels };
            // A large common offset: a sum of squares would lose all digits here.
            let x: Vec<f64> = normals("x", s.len()).iter().map(|v| v + 1000.0).collect();
            let column = |c: usize| x.iter().skip(c).step_by(channels);
            let means: Vec<f64> = (0..channels).map(|c| column(c).sum::<f64>() / rows as f64).collect();
            let vars: Vec<f64> =
                (0..channels).map(|c| column(c).map(|v| (v - means[c]).powi(2)).sum::<f64>() / rows as f64).collect();
            let (mut mean, mut var) = (vec![0f32; channels], vec![0f32; channels]);
            batch_norm_statistics(&s, &single(&x), &mut mean, &mut var);
            assert!(error_single(&mean, &means) < 1e-6, "{path:?}, {s:?}");
            // In f32 the numbers themselves are rounded to 6e-5, and so are their deviations.
            assert!(error_single(&var, &vars) < 1e-3 || rows == 1, "{path:?}, {s:?}: {}", error_single(&var, &vars));
            let (mut mean, mut var) = (vec![0f64; channels], vec![0f64; channels]);
            batch_norm_statistics(&s, &x, &mut mean, &mut var);
            assert!(error(&mean, &means) < 1e-13 && error(&var, &vars) < 1e-9, "{path:?}, {s:?}");
        }
    });
}

#[test]
fn apply_agrees_with_the_formula_on_every_path() {
    on_each_path(|path| {
        for n in cases().chain([setup(1000, 16, true, true, true), setup(77, 130, true, false, true)]) {
            let out = forward(&n);
            let expected: Vec<f64> = (0..n.s.len())
                .map(|i| {
                    let c = i % n.s.channels;
                    let y = (n.x[i] - out.mean[c]) * out.inv_std[c] * n.gamma[c] + n.beta[c];
                    let y = y + n.residual.as_ref().map_or(0.0, |r| r[i]);
                    if n.relu { y.max(0.0) } else { y }
                })
                .collect();
            assert!(error(&out.y, &expected) < 1e-13, "{path:?}");
        }
    });
}

#[test]
fn gradients_agree_with_central_differences() {
    for n in cases() {
        let dy = normals("dy", n.s.len());
        let out = forward(&n);
        let zeros = vec![0.0; n.s.channels];
        let (mut dx, mut dgamma, mut dbeta) = (vec![7.0; n.s.len()], zeros.clone(), zeros);
        let before = normals("dresidual", n.s.len());
        let mut dresidual = before.clone();
        let y = n.relu.then_some(&out.y[..]);
        let batch = n.running.is_none();
        let dr = n.residual.is_some().then_some((&mut dresidual[..], true));
        batch_norm_backward(
            &n.s,
            &n.x,
            y,
            &out.mean,
            &out.inv_std,
            &n.gamma,
            &dy,
            &mut dx,
            &mut dgamma,
            &mut dbeta,
            dr,
            batch,
        );
        let loss = |n: &Setup| inner(&forward(n).y, &dy);
        let numeric = |set: &dyn Fn(&mut Setup, Vec<f64>), at: &[f64]| {
            gradient(at, |v| {
                let mut moved = n.clone();
                set(&mut moved, v.to_vec());
                loss(&moved)
            })
        };
        assert!(error(&dx, &numeric(&|n, v| n.x = v, &n.x)) < 1e-7);
        assert!(error(&dgamma, &numeric(&|n, v| n.gamma = v, &n.gamma)) < 1e-8);
        assert!(error(&dbeta, &numeric(&|n, v| n.beta = v, &n.beta)) < 1e-8);
        if let Some(residual) = &n.residual {
            let added: Vec<f64> = dresidual.iter().zip(&before).map(|(a, b)| a - b).collect();
            assert!(error(&added, &numeric(&|n, v| n.residual = Some(v), residual)) < 1e-8);
        }
    }
}

#[test]
fn the_tangent_agrees_with_central_differences() {
    for n in cases() {
        let out = forward(&n);
        let (x_dot, r_dot) = (normals("x_dot", n.s.len()), normals("r_dot", n.s.len()));
        let (gamma_dot, beta_dot) = (normals("gamma_dot", n.s.channels), normals("beta_dot", n.s.channels));
        let mut y_dot = vec![7.0; n.s.len()];
        let residual_dot = n.residual.is_some().then_some(&r_dot[..]);
        let relu_y = n.relu.then_some(&out.y[..]);
        let batch = n.running.is_none();
        let channel: [&[f64]; 5] = [&out.mean, &out.inv_std, &n.gamma, &gamma_dot, &beta_dot];
        batch_norm_jvp(&n.s, (&n.x, &x_dot), channel, residual_dot, relu_y, &mut y_dot, batch);
        let numeric = tangent(|size| {
            let mut moved = n.clone();
            moved.x = step(&n.x, size, &x_dot);
            moved.gamma = step(&n.gamma, size, &gamma_dot);
            moved.beta = step(&n.beta, size, &beta_dot);
            moved.residual = n.residual.as_ref().map(|r| step(r, size, &r_dot));
            forward(&moved).y
        });
        assert!(error(&y_dot, &numeric) < 1e-7, "{}", error(&y_dot, &numeric));
    }
}

/// Forward and backward of many blocks, as bits.
fn bits(rows: usize) -> Vec<u32> {
    let s = BatchNormShape { rows, channels: 16 };
    let (x, dy) = (single(&normals("x", s.len())), single(&normals("dy", s.len())));
    let gamma = single(&normals("gamma", 16));
    let zeros = vec![0f32; 16];
    let (mut mean, mut var, mut inv_std) = (zeros.clone(), zeros.clone(), zeros.clone());
    batch_norm_statistics(&s, &x, &mut mean, &mut var);
    inverse_std(&var, EPS, &mut inv_std);
    let mut y = vec![0f32; s.len()];
    batch_norm_apply(&s, &x, &mean, &inv_std, &gamma, &zeros, Some(&dy), true, &mut y);
    let (mut dx, mut dr, mut y_dot) = (y.clone(), y.clone(), y.clone());
    let (mut dgamma, mut dbeta) = (zeros.clone(), zeros.clone());
    let dresidual = Some((&mut dr[..], false));
    batch_norm_backward(
        &s,
        &x,
        Some(&y),
        &mean,
        &inv_std,
        &gamma,
        &dy,
        &mut dx,
        &mut dgamma,
        &mut dbeta,
        dresidual,
        true,
    );
    batch_norm_jvp(&s, (&x, &dy), [&mean, &inv_std, &gamma, &zeros, &zeros], None, Some(&y), &mut y_dot, true);
    [mean, var, y, dx, dr, dgamma, dbeta, y_dot].concat().iter().map(|v| v.to_bits()).collect()
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let _path = hold_path();
    let one = with_threads(1, || bits(5000));
    assert!(one == with_threads(2, || bits(5000)) && one == with_threads(3, || bits(5000)));
}

#[test]
fn nan_reaches_statistics_outputs_and_gradients() {
    let s = BatchNormShape { rows: 4, channels: 2 };
    let x = [1.0f32, f32::NAN, 2.0, 1.0, 3.0, 2.0, 4.0, 3.0];
    let (mut mean, mut var) = ([0f32; 2], [0f32; 2]);
    batch_norm_statistics(&s, &x, &mut mean, &mut var);
    assert!(mean[0].is_finite() && var[0].is_finite() && mean[1].is_nan() && var[1].is_nan());
    let (y, mut dx, mut dgamma, mut dbeta) = ([f32::NAN; 8], [0f32; 8], [0f32; 2], [0f32; 2]);
    batch_norm_backward(
        &s,
        &x,
        Some(&y),
        &[0.0; 2],
        &[1.0; 2],
        &[1.0; 2],
        &[1.0; 8],
        &mut dx,
        &mut dgamma,
        &mut dbeta,
        None,
        false,
    );
    assert_eq!(dx, [1.0; 8]);
    assert_eq!(dbeta, [4.0; 2]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Normalised rows have mean 0 and variance 1, whatever the sizes.
    #[test]
    fn normalised_rows_have_unit_moments(rows in 2usize..400, channels in 1usize..70) {
        let n = Setup { gamma: vec![1.0; channels], beta: vec![0.0; channels], ..setup(rows, channels, false, false, true) };
        let y = forward(&n).y;
        for c in 0..channels {
            let mean = y.iter().skip(c).step_by(channels).sum::<f64>() / rows as f64;
            prop_assert!(mean.abs() < 1e-9);
        }
    }
}

#[test]
fn running_statistics_blend() {
    let (mut mean, mut var) = (vec![2.0f32], vec![4.0f32]);
    update_running(&mut mean, &mut var, &[0.0], &[1.0], 1, 0.5);
    assert_eq!((mean[0], var[0].to_f64()), (1.0, 2.5));
}
