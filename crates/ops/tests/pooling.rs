//! Pools and the option-A shortcut: naive loops, differences, adjoints, odd sizes.

mod common;

use common::{error, gradient, inner, normals, step, tangent};
use longtail_ops::{
    PoolShape, ShortcutShape, avg_pool, avg_pool_backward, global_avg_pool, global_avg_pool_backward, max_pool,
    max_pool_backward, max_pool_tangent, option_a_shortcut, option_a_shortcut_backward,
};

const POOLS: [PoolShape; 4] = [
    PoolShape { batch: 2, height: 7, width: 8, channels: 3, kernel: 3, stride: 2, padding: 1 },
    PoolShape { batch: 1, height: 5, width: 5, channels: 2, kernel: 2, stride: 2, padding: 0 },
    PoolShape { batch: 1, height: 6, width: 5, channels: 1, kernel: 3, stride: 1, padding: 0 },
    PoolShape { batch: 1, height: 4, width: 4, channels: 5, kernel: 1, stride: 3, padding: 0 },
];

#[test]
fn max_pool_agrees_with_a_plain_maximum() {
    for s in POOLS {
        let x = normals("x", s.input_len());
        let (mut y, mut argmax) = (vec![0.0; s.output_len()], vec![0u8; s.output_len()]);
        max_pool(&s, &x, &mut y, &mut argmax);
        let mut at = 0;
        for n in 0..s.batch {
            for oy in 0..s.out_height() {
                for ox in 0..s.out_width() {
                    for c in 0..s.channels {
                        let mut best = f64::NEG_INFINITY;
                        for iy in (oy * s.stride).saturating_sub(s.padding)
                            ..(oy * s.stride + s.kernel - s.padding).min(s.height)
                        {
                            for ix in (ox * s.stride).saturating_sub(s.padding)
                                ..(ox * s.stride + s.kernel - s.padding).min(s.width)
                            {
                                best = best.max(x[((n * s.height + iy) * s.width + ix) * s.channels + c]);
                            }
                        }
                        assert_eq!(y[at], best, "{s:?}");
                        at += 1;
                    }
                }
            }
        }
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
fn average_pools_are_linear_with_exact_adjoints() {
    for s in POOLS {
        let (x, dy) = (normals("x", s.input_len()), normals("dy", s.output_len()));
        let (mut y, mut dx) = (dy.clone(), x.clone());
        avg_pool(&s, &x, &mut y);
        avg_pool_backward(&s, &dy, &mut dx);
        assert!((inner(&y, &dy) - inner(&x, &dx)).abs() < 1e-12);
        let pixels = s.height * s.width;
        let dy = normals("dy", s.batch * s.channels);
        let mut y = dy.clone();
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
