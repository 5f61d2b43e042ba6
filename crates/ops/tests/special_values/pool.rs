//! Pools: largest and mean, and their gradients.

use longtail_ops::{PoolShape, Real, max_pool, max_pool_backward, max_pool_tangent};

use crate::common::{normals, on_each_path};
use crate::{Unaligned, check, places, spoiled, with_special};

/// The inputs of every output's window.
fn windows(s: &PoolShape) -> Vec<Vec<usize>> {
    let inside =
        |out: usize, k: usize, size: usize| (out * s.stride + k).checked_sub(s.padding).filter(|&at| at < size);
    let (rows, columns) = (s.out_height(), s.out_width());
    (0..s.output_len())
        .map(|at| {
            let (c, pixel) = (at % s.channels, at / s.channels);
            let (n, oy, ox) = (pixel / (rows * columns), pixel / columns % rows, pixel % columns);
            let taps = (0..s.kernel * s.kernel).filter_map(|tap| {
                let (y, x) = (inside(oy, tap / s.kernel, s.height)?, inside(ox, tap % s.kernel, s.width)?);
                Some(((n * s.height + y) * s.width + x) * s.channels + c)
            });
            taps.collect()
        })
        .collect()
}

fn check_pools<T: Real>() {
    let sizes = [
        (7, 8, 1, 3, 2, 1),
        (5, 5, 3, 2, 2, 0),
        (1, 1, 5, 3, 2, 1),
        (7, 8, 16, 3, 1, 1),
        (5, 5, 17, 3, 3, 1),
        (8, 7, 40, 2, 1, 1),
    ];
    for (height, width, channels, kernel, stride, padding) in sizes {
        let s = PoolShape { batch: 2, height, width, channels, kernel, stride, padding };
        let windows = windows(&s);
        let (x, dy) = (normals("x", s.input_len()), normals("dy", s.output_len()));
        let forward = |x: &[f64]| {
            let x = Unaligned::<T>::new(x);
            let (mut largest, mut argmax) = (Unaligned::<T>::filled(dy.len()), vec![77u8; dy.len()]);
            max_pool(&s, &x, &mut largest, &mut argmax);
            (largest, argmax)
        };
        on_each_path(|path| {
            let clean = forward(&x);
            for (name, x) in with_special(&x, &places(s.batch, height, width, channels)) {
                let what = format!("{path:?}, {s:?}, x is {name}");
                let found = forward(&x);
                let must: Vec<bool> = windows.iter().map(|window| window.iter().any(|&i| !x[i].is_finite())).collect();
                check(&format!("largest, {what}"), &found.0, &clean.0, &must, &must);
                // A special value wins its windows, so the tangent there is its own.
                let mut tangent = Unaligned::<T>::filled(dy.len());
                max_pool_tangent(&s, &Unaligned::<T>::new(&x), &found.1, &mut tangent);
                assert_eq!(spoiled(&tangent.iter().map(|v| v.to_f64()).collect::<Vec<_>>()), must, "tangent, {what}");
            }
            let backward = |dy: &[f64]| {
                let dy = Unaligned::<T>::new(dy);
                let mut to_largest = Unaligned::<T>::filled(x.len());
                max_pool_backward(&s, &dy, &clean.1, &mut to_largest);
                to_largest
            };
            let untouched = backward(&dy);
            for (name, dy) in with_special(&dy, &places(s.batch, s.out_height(), s.out_width(), channels)) {
                let what = format!("{path:?}, {s:?}, dy is {name}");
                let found = backward(&dy);
                let place = dy.iter().position(|v| !v.is_finite()).expect("a special value");
                let winner = windows[place].iter().copied().reduce(|best, i| if x[i] > x[best] { i } else { best });
                let must: Vec<bool> = (0..x.len()).map(|i| Some(i) == winner).collect();
                check(&format!("to the largest, {what}"), &found, &untouched, &must, &must);
            }
        });
    }
}

#[test]
fn pools_in_f32() {
    check_pools::<f32>();
}

#[test]
fn pools_in_f64() {
    check_pools::<f64>();
}
