//! Bilinear resizing: PyTorch's numbers, a naive f64 formula, exact adjoints, differences, NaN, threads.

mod common;

use common::{error, error_single, gradient, hold_path, inner, normals, on_each_path, single, with_threads};
use longtail_ops::{ResizeShape, resize_bilinear, resize_bilinear_backward};

/// Up, down, both, equal, to and from a side of one pixel; no vector's number of channels.
fn shapes() -> Vec<ResizeShape> {
    let size = |batch, from: (usize, usize), channels, to: (usize, usize)| {
        [false, true].map(|align_corners| ResizeShape {
            batch,
            height: from.0,
            width: from.1,
            channels,
            out_height: to.0,
            out_width: to.1,
            align_corners,
        })
    };
    [
        size(2, (3, 4), 3, (6, 8)),
        size(1, (5, 7), 16, (11, 9)),
        size(1, (7, 8), 5, (3, 5)),
        size(2, (9, 6), 1, (2, 13)),
        size(1, (1, 5), 17, (4, 5)),
        size(1, (6, 1), 2, (3, 4)),
        size(2, (1, 1), 3, (2, 3)),
        size(1, (4, 5), 40, (1, 1)),
        size(1, (5, 5), 2, (5, 5)),
        size(1, (2, 2), 1, (31, 33)),
        size(0, (5, 5), 2, (3, 3)),
    ]
    .concat()
}

/// Calls `visit(output index, input index, weight)` for the four products of every output, by the formula.
fn products(s: &ResizeShape, mut visit: impl FnMut(usize, usize, f64)) {
    let axis = |output: usize, inputs: usize, outputs: usize| {
        let position = match (s.align_corners, outputs) {
            (true, 1) => 0.0,
            (true, _) => output as f64 * (inputs - 1) as f64 / (outputs - 1) as f64,
            (false, _) => (output as f64 + 0.5) * inputs as f64 / outputs as f64 - 0.5,
        };
        let position = position.clamp(0.0, (inputs - 1) as f64);
        let near = position.floor();
        [(near as usize, 1.0 - (position - near)), ((near as usize + 1).min(inputs - 1), position - near)]
    };
    for n in 0..s.batch {
        for oy in 0..s.out_height {
            for ox in 0..s.out_width {
                for (iy, a) in axis(oy, s.height, s.out_height) {
                    for (ix, b) in axis(ox, s.width, s.out_width) {
                        for c in 0..s.channels {
                            let out = ((n * s.out_height + oy) * s.out_width + ox) * s.channels + c;
                            visit(out, ((n * s.height + iy) * s.width + ix) * s.channels + c, a * b);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn the_naive_formula_on_every_path() {
    on_each_path(|path| {
        for s in shapes() {
            let (x, dy) = (normals("x", s.input_len()), normals("dy", s.output_len()));
            let (mut y_naive, mut dx_naive) = (vec![0.0; dy.len()], vec![0.0; x.len()]);
            products(&s, |o, i, weight| {
                y_naive[o] += weight * x[i];
                dx_naive[i] += weight * dy[o];
            });
            let (mut y, mut dx) = (vec![7.0; dy.len()], vec![7.0; x.len()]);
            resize_bilinear(&s, &x, &mut y);
            resize_bilinear_backward(&s, &dy, &mut dx, false);
            assert!(error(&y, &y_naive) < 1e-14, "{path:?}, {s:?}: {}", error(&y, &y_naive));
            assert!(error(&dx, &dx_naive) < 1e-14, "{path:?}, {s:?}: {}", error(&dx, &dx_naive));
            let (mut y, mut dx) = (vec![7f32; dy.len()], vec![7f32; x.len()]);
            resize_bilinear(&s, &single(&x), &mut y);
            resize_bilinear_backward(&s, &single(&dy), &mut dx, false);
            assert!(error_single(&y, &y_naive) < 4e-7, "{path:?}, {s:?}: {}", error_single(&y, &y_naive));
            assert!(error_single(&dx, &dx_naive) < 1e-6, "{path:?}, {s:?}: {}", error_single(&dx, &dx_naive));
        }
    });
}

/// See `golden/resize/make.py` for what the files hold.
#[test]
fn pytorch_gives_the_same_numbers() {
    let folder = format!("{}/tests/golden/resize", env!("CARGO_MANIFEST_DIR"));
    let cases = std::fs::read_to_string(format!("{folder}/cases.txt")).expect("cases.txt");
    let bytes = std::fs::read(format!("{folder}/expected.bin")).expect("expected.bin");
    let mut numbers = bytes.chunks_exact(8).map(|bytes| f64::from_le_bytes(bytes.try_into().expect("eight bytes")));
    let input = |len: usize, factor: usize, modulus: usize| -> Vec<f64> {
        (0..len).map(|i| (factor * i % modulus) as f64 / 16.0 - 3.0).collect()
    };
    let _path = hold_path();
    for case in cases.lines() {
        let sizes: Vec<usize> = case.split(' ').map(|word| word.parse().expect("a count")).collect();
        let [batch, height, width, channels, out_height, out_width, align] = sizes[..] else { panic!("{case}") };
        let s = ResizeShape { batch, height, width, channels, out_height, out_width, align_corners: align == 1 };
        let mut expected = |len: usize| numbers.by_ref().take(len).collect::<Vec<f64>>();
        let (y_torch, dx_torch, single_torch) =
            (expected(s.output_len()), expected(s.input_len()), expected(s.output_len()));
        let (x, dy) = (input(s.input_len(), 37, 101), input(s.output_len(), 53, 97));
        let (mut y, mut dx) = (vec![7.0; dy.len()], vec![7.0; x.len()]);
        resize_bilinear(&s, &x, &mut y);
        resize_bilinear_backward(&s, &dy, &mut dx, false);
        assert!(error(&y, &y_torch) < 1e-14, "{case}: {}", error(&y, &y_torch));
        assert!(error(&dx, &dx_torch) < 1e-14, "{case}: {}", error(&dx, &dx_torch));
        let mut y = vec![7f32; dy.len()];
        resize_bilinear(&s, &single(&x), &mut y);
        // Torch rounds the positions of f32 images to f32 besides.
        assert!(error_single(&y, &single_torch) < 1e-6, "{case}: {}", error_single(&y, &single_torch));
    }
    assert!(numbers.next().is_none(), "expected.bin holds more than cases.txt");
}

#[test]
fn the_backward_is_the_exact_adjoint_and_accumulates() {
    on_each_path(|path| {
        for s in shapes() {
            let (x, dy) = (normals("x", s.input_len()), normals("dy", s.output_len()));
            let (mut y, mut dx) = (vec![7.0; dy.len()], vec![7.0; x.len()]);
            resize_bilinear(&s, &x, &mut y);
            resize_bilinear_backward(&s, &dy, &mut dx, false);
            let (left, right) = (inner(&y, &dy), inner(&x, &dx));
            let scale = 1.0 + inner(&y, &y).sqrt() * inner(&dy, &dy).sqrt();
            assert!((left - right).abs() < 1e-12 * scale, "{path:?}, {s:?}: {left} and {right}");
            let before = normals("before", x.len());
            let mut sum = before.clone();
            resize_bilinear_backward(&s, &dy, &mut sum, true);
            let expected: Vec<f64> = before.iter().zip(&dx).map(|(a, b)| a + b).collect();
            assert_eq!(sum, expected, "{path:?}, {s:?}");
        }
    });
}

#[test]
fn the_gradient_agrees_with_central_differences() {
    for s in shapes().into_iter().filter(|s| s.input_len() * s.output_len() < 30_000) {
        let (x, dy) = (normals("x", s.input_len()), normals("dy", s.output_len()));
        let loss = |x: &[f64]| {
            let mut y = vec![0.0; s.output_len()];
            resize_bilinear(&s, x, &mut y);
            inner(&y, &dy)
        };
        let mut dx = vec![7.0; x.len()];
        resize_bilinear_backward(&s, &dy, &mut dx, false);
        assert!(error(&dx, &gradient(&x, loss)) < 1e-8, "{s:?}");
    }
}

/// A NaN or an infinity reaches exactly the numbers that are made of it, both ways; the rest keeps its bits.
#[test]
fn nan_and_infinity_reach_their_readers_and_nothing_else() {
    on_each_path(|path| {
        for s in shapes().into_iter().filter(|s| s.batch > 0) {
            let (x, dy) = (normals("x", s.input_len()), normals("dy", s.output_len()));
            let run = |x: &[f64], dy: &[f64]| {
                let (mut y, mut dx) = (vec![0.0; dy.len()], vec![0.0; x.len()]);
                resize_bilinear(&s, x, &mut y);
                resize_bilinear_backward(&s, dy, &mut dx, false);
                (y, dx)
            };
            let clean = run(&x, &dy);
            for bad in [f64::NAN, f64::INFINITY] {
                let (bad_x, bad_dy) = (x.len() / 2, dy.len() / 2);
                let (mut x, mut dy) = (x.clone(), dy.clone());
                (x[bad_x], dy[bad_dy]) = (bad, bad);
                let (mut y_hit, mut dx_hit) = (vec![false; dy.len()], vec![false; x.len()]);
                products(&s, |o, i, weight| {
                    y_hit[o] |= i == bad_x && weight != 0.0;
                    dx_hit[i] |= o == bad_dy && weight != 0.0;
                });
                let (y, dx) = run(&x, &dy);
                for (found, clean, hit) in [(&y, &clean.0, &y_hit), (&dx, &clean.1, &dx_hit)] {
                    for (at, ((&found, &clean), &hit)) in found.iter().zip(clean).zip(hit).enumerate() {
                        assert!(
                            if hit { !found.is_finite() } else { found == clean },
                            "{path:?}, {s:?}, {at}: {found}"
                        );
                    }
                }
            }
        }
    });
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let _path = hold_path();
    for s in shapes() {
        let s = ResizeShape { batch: 3 * s.batch, ..s };
        let (x, dy) = (single(&normals("x", s.input_len())), single(&normals("dy", s.output_len())));
        let run = || {
            let (mut y, mut dx) = (vec![0f32; dy.len()], vec![0f32; x.len()]);
            resize_bilinear(&s, &x, &mut y);
            resize_bilinear_backward(&s, &dy, &mut dx, true);
            [y, dx].concat().iter().map(|v| v.to_bits()).collect::<Vec<_>>()
        };
        let one = with_threads(1, run);
        assert!(one == with_threads(2, run) && one == with_threads(5, run), "{s:?}");
    }
}

#[test]
#[should_panic(expected = "a size is zero")]
fn an_empty_image_is_refused() {
    let s = ResizeShape { height: 0, ..shapes()[0] };
    resize_bilinear(&s, &[] as &[f32], &mut [0.0; 288]);
}
