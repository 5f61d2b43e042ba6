//! Pools and the option-A shortcut: naive loops, differences, adjoints, odd sizes.

mod common;

use common::{error, gradient, inner, normals, single, step, tangent, with_threads};
use longtail_ops::{
    PoolShape, ShortcutShape, global_avg_pool, global_avg_pool_backward, max_pool, max_pool_backward, max_pool_tangent,
    option_a_shortcut, option_a_shortcut_backward,
};

const POOLS: [PoolShape; 9] = [
    PoolShape { batch: 2, height: 7, width: 8, channels: 3, kernel: 3, stride: 2, padding: 1 },
    PoolShape { batch: 1, height: 5, width: 5, channels: 2, kernel: 2, stride: 2, padding: 0 },
    PoolShape { batch: 1, height: 6, width: 5, channels: 1, kernel: 3, stride: 1, padding: 0 },
    PoolShape { batch: 1, height: 4, width: 4, channels: 5, kernel: 1, stride: 3, padding: 0 },
    PoolShape { batch: 1, height: 9, width: 8, channels: 17, kernel: 3, stride: 3, padding: 1 },
    PoolShape { batch: 2, height: 5, width: 4, channels: 2, kernel: 4, stride: 3, padding: 2 },
    PoolShape { batch: 1, height: 1, width: 1, channels: 3, kernel: 3, stride: 2, padding: 1 },
    PoolShape { batch: 1, height: 1, width: 2, channels: 1, kernel: 2, stride: 2, padding: 1 },
    PoolShape { batch: 1, height: 18, width: 17, channels: 1, kernel: 16, stride: 5, padding: 8 },
];

/// The windows of a pooling: for every output, its inputs as `(place in the window, index)`, in row order.
fn windows(s: &PoolShape) -> Vec<Vec<(u8, usize)>> {
    let mut all = Vec::new();
    for n in 0..s.batch {
        for oy in 0..s.out_height() {
            for ox in 0..s.out_width() {
                for c in 0..s.channels {
                    let mut window = Vec::new();
                    for ky in 0..s.kernel {
                        for kx in 0..s.kernel {
                            let (y, x) = ((oy * s.stride + ky) as isize, (ox * s.stride + kx) as isize);
                            let (y, x) = (y - s.padding as isize, x - s.padding as isize);
                            if (0..s.height as isize).contains(&y) && (0..s.width as isize).contains(&x) {
                                let pixel = (n * s.height + y as usize) * s.width + x as usize;
                                window.push(((ky * s.kernel + kx) as u8, pixel * s.channels + c));
                            }
                        }
                    }
                    all.push(window);
                }
            }
        }
    }
    all
}

/// PyTorch's rule: the first of the largest, or the last NaN.
fn winner(window: &[(u8, usize)], x: &[f64]) -> (u8, usize) {
    let mut best = window[0];
    for &candidate in &window[1..] {
        if x[candidate.1] > x[best.1] || x[candidate.1].is_nan() {
            best = candidate;
        }
    }
    best
}

/// Values, winners and gradients against a plain loop, on inputs of several kinds.
#[test]
fn max_pool_agrees_with_a_plain_maximum() {
    type Kind = (&'static str, fn(usize, f64) -> f64);
    let kinds: [Kind; 5] = [
        ("normals", |_, v| v),
        ("many ties", |_, v| v.round()),
        ("all below zero: the border must not win", |_, v| -1.0 - v.abs()),
        ("minus infinity: the border must not win", |i, v| if i % 3 > 0 { f64::NEG_INFINITY } else { -v.abs() }),
        ("NaN here and there", |i, v| if i % 5 == 0 { f64::NAN } else { v }),
    ];
    for s in POOLS {
        let windows = windows(&s);
        let dy = normals("dy", s.output_len());
        for (kind, change) in kinds {
            let x: Vec<f64> = normals("x", s.input_len()).into_iter().enumerate().map(|(i, v)| change(i, v)).collect();
            let (mut y, mut argmax) = (vec![7.0; s.output_len()], vec![77u8; s.output_len()]);
            max_pool(&s, &x, &mut y, &mut argmax);
            let (mut dx, mut dx_naive) = (vec![7.0; x.len()], vec![0.0; x.len()]);
            max_pool_backward(&s, &dy, &argmax, &mut dx);
            assert_eq!(windows.len(), y.len());
            for (at, window) in windows.iter().enumerate() {
                let (place, from) = winner(window, &x);
                assert_eq!((y[at].to_bits(), argmax[at]), (x[from].to_bits(), place), "{kind}, {s:?}, {at}");
                dx_naive[from] += dy[at];
            }
            assert!(error(&dx, &dx_naive) < 1e-14, "{kind}, {s:?}");
        }
    }
}

/// What `torch.nn.functional.max_pool2d(x, kernel, stride, padding, return_indices=True)` of torch 2.15.0 printed.
#[test]
fn pytorch_breaks_ties_the_same_way() {
    let nan = f32::NAN;
    let low = f32::NEG_INFINITY;
    let winners = |x: &[f32], kernel: usize, stride: usize| {
        let s = PoolShape { batch: 1, height: 3, width: 3, channels: 1, kernel, stride, padding: 1 };
        let (mut y, mut argmax) = (vec![0.0; s.output_len()], vec![0u8; s.output_len()]);
        max_pool(&s, x, &mut y, &mut argmax);
        // The derivative along "my own index" is the winner's index.
        let own: Vec<f32> = (0..9).map(|i| i as f32).collect();
        let mut indices = y.clone();
        max_pool_tangent(&s, &own, &argmax, &mut indices);
        indices.iter().map(|&v| v as usize).collect::<Vec<_>>()
    };
    assert_eq!(winners(&[nan, 1.0, nan, 2.0, nan, 3.0, 4.0, 5.0, 6.0], 3, 1), [4; 9]);
    let ties = [2.0, 2.0, 1.0, 2.0, 2.0, 1.0, 0.0, 0.0, 0.0];
    assert_eq!(winners(&ties, 2, 1), [0, 0, 1, 2, 0, 0, 1, 2, 3, 3, 4, 5, 6, 6, 7, 8]);
    assert_eq!(winners(&[low; 9], 3, 2), [0, 1, 3, 4]);
    assert_eq!(winners(&[nan; 9], 3, 2), [4, 5, 7, 8]);
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    for s in POOLS {
        let s = PoolShape { batch: 7, ..s };
        let (x, dy) = (single(&normals("x", s.input_len())), single(&normals("dy", s.output_len())));
        let run = || {
            let (mut y, mut argmax, mut dx) = (dy.clone(), vec![0u8; dy.len()], x.clone());
            max_pool(&s, &x, &mut y, &mut argmax);
            max_pool_backward(&s, &dy, &argmax, &mut dx);
            [y, dx].concat().iter().map(|v| v.to_bits()).collect::<Vec<_>>()
        };
        assert!(with_threads(1, run) == with_threads(2, run), "{s:?}");
    }
}

#[test]
fn max_pool_gradient_and_tangent_agree_with_differences() {
    for s in POOLS {
        let (x, dy, x_dot) = (normals("x", s.input_len()), normals("dy", s.output_len()), normals("d", s.input_len()));
        let forward = |x: &[f64]| {
            let (mut y, mut argmax) = (vec![0.0; s.output_len()], vec![0u8; s.output_len()]);
            max_pool(&s, x, &mut y, &mut argmax);
            (y, argmax)
        };
        let argmax = forward(&x).1;
        let (mut dx, mut y_dot) = (vec![7.0; x.len()], vec![7.0; dy.len()]);
        max_pool_backward(&s, &dy, &argmax, &mut dx);
        max_pool_tangent(&s, &x_dot, &argmax, &mut y_dot);
        assert!(error(&dx, &gradient(&x, |x| inner(&forward(x).0, &dy))) < 1e-8);
        assert!(error(&y_dot, &tangent(|size| forward(&step(&x, size, &x_dot)).0)) < 1e-8);
    }
}

#[test]
fn the_average_pool_is_linear_with_an_exact_adjoint() {
    for s in POOLS {
        let pixels = s.height * s.width;
        let (x, dy) = (normals("x", s.input_len()), normals("dy", s.batch * s.channels));
        let (mut y, mut dx) = (dy.clone(), x.clone());
        global_avg_pool(s.batch, pixels, s.channels, &x, &mut y);
        global_avg_pool_backward(s.batch, pixels, s.channels, &dy, &mut dx);
        assert!((inner(&y, &dy) - inner(&x, &dx)).abs() < 1e-12);
    }
}

#[test]
fn the_shortcut_has_an_exact_adjoint() {
    for (height, width, stride) in [(7, 8, 2), (5, 5, 2), (4, 6, 1), (7, 5, 3)] {
        let s = ShortcutShape { batch: 2, height, width, in_channels: 3, out_channels: 8, stride };
        let (x, dy) = (normals("x", s.input_len()), normals("dy", s.output_len()));
        let (mut y, mut dx) = (dy.clone(), x.clone());
        option_a_shortcut(&s, &x, &mut y);
        option_a_shortcut_backward(&s, &dy, &mut dx, false);
        assert!((inner(&y, &dy) - inner(&x, &dx)).abs() < 1e-12);
        let once = dx.clone();
        option_a_shortcut_backward(&s, &dy, &mut dx, true);
        assert_eq!(dx, once.iter().map(|v| 2.0 * v).collect::<Vec<_>>());
    }
}

#[test]
#[should_panic(expected = "impossible sizes")]
fn a_border_wider_than_half_a_window_is_refused() {
    let s = PoolShape { padding: 2, ..POOLS[0] };
    max_pool(&s, &[0f32; 336], &mut [0.0; 300], &mut [0; 300]);
}
