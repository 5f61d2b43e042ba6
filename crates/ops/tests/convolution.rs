//! Convolution against a naive f64 loop, on every vector path, with odd sizes, strides, dilation,
//! groups and flags.

mod common;

use common::{
    error, error_single, gradient, hold_path, inner, normals, on_each_path, products, shape, single, with_threads,
};
use longtail_ops::{ConvShape, Workspace, conv2d, conv2d_backward_input, conv2d_backward_weight};

/// Usual and odd: widths that fit no tile, channels that fill no vector, residues without a tap,
/// padding beyond the kernel.
const SHAPES: &[ConvShape] = &[
    shape(2, (7, 8), (16, 16), 3, [1, 1, 1, 1]),
    shape(1, (5, 5), (3, 16), 3, [1, 1, 1, 1]),
    shape(1, (9, 17), (1, 20), 3, [1, 1, 1, 1]),
    shape(2, (8, 8), (32, 32), 3, [1, 1, 1, 1]),
    shape(1, (6, 33), (17, 33), 3, [1, 1, 1, 1]),
    shape(2, (7, 8), (16, 32), 3, [2, 1, 1, 1]),
    shape(1, (8, 7), (20, 5), 3, [2, 1, 1, 1]),
    shape(1, (5, 5), (4, 8), 3, [2, 0, 1, 1]),
    shape(1, (9, 10), (5, 7), 3, [3, 1, 1, 1]),
    shape(1, (7, 8), (16, 16), 3, [1, 2, 2, 1]),
    shape(1, (9, 8), (6, 10), 3, [2, 2, 2, 1]),
    shape(1, (11, 14), (3, 16), 7, [2, 3, 1, 1]),
    shape(1, (6, 5), (4, 6), 2, [1, 1, 1, 1]),
    shape(1, (6, 7), (4, 6), 2, [2, 0, 1, 1]),
    shape(2, (7, 8), (16, 24), 1, [1, 0, 1, 1]),
    shape(2, (7, 8), (16, 24), 1, [2, 0, 1, 1]),
    shape(1, (4, 4), (3, 2), 1, [1, 2, 1, 1]),
    shape(1, (7, 8), (8, 12), 3, [1, 1, 1, 4]),
    shape(2, (5, 5), (6, 6), 3, [2, 1, 1, 6]),
    shape(2, (3, 3), (4, 6), 1, [1, 0, 1, 2]),
    shape(1, (1, 1), (3, 2), 3, [1, 1, 1, 1]),
    shape(0, (5, 5), (3, 4), 3, [1, 1, 1, 1]),
];

struct Case {
    x: Vec<f64>,
    w: Vec<f64>,
    dy: Vec<f64>,
    y: Vec<f64>,
    dx: Vec<f64>,
    dw: Vec<f64>,
}

fn naive(s: &ConvShape) -> Case {
    let (x, w, dy) = (normals("x", s.input_len()), normals("w", s.weight_len()), normals("dy", s.output_len()));
    let (mut y, mut dx, mut dw) = (vec![0.0; dy.len()], vec![0.0; x.len()], vec![0.0; w.len()]);
    products(s, |o, i, k| {
        y[o] += x[i] * w[k];
        dx[i] += dy[o] * w[k];
        dw[k] += dy[o] * x[i];
    });
    Case { x, w, dy, y, dx, dw }
}

#[test]
fn f64_agrees_with_the_naive_loop_on_every_path() {
    on_each_path(|path| {
        let mut ws = Workspace::default();
        for s in SHAPES {
            let case = naive(s);
            let mut y = vec![7.0; case.y.len()];
            conv2d(s, &case.x, &case.w, &mut y, &mut ws);
            assert!(error(&y, &case.y) < 1e-12, "forward, {path:?}, {s:?}: {}", error(&y, &case.y));
            let mut dx = vec![7.0; case.dx.len()];
            conv2d_backward_input(s, &case.dy, &case.w, &mut dx, false, &mut ws);
            assert!(error(&dx, &case.dx) < 1e-12, "input gradient, {path:?}, {s:?}: {}", error(&dx, &case.dx));
            conv2d_backward_input(s, &case.dy, &case.w, &mut dx, true, &mut ws);
            let twice: Vec<f64> = case.dx.iter().map(|v| 2.0 * v).collect();
            assert!(error(&dx, &twice) < 1e-12, "accumulated input gradient, {path:?}, {s:?}");
            let mut dw = vec![7.0; case.dw.len()];
            conv2d_backward_weight(s, &case.x, &case.dy, &mut dw, &mut ws);
            assert!(error(&dw, &case.dw) < 1e-12, "weight gradient, {path:?}, {s:?}: {}", error(&dw, &case.dw));
        }
    });
}

#[test]
fn f32_agrees_with_the_naive_loop_on_every_path() {
    on_each_path(|path| {
        let mut ws = Workspace::default();
        for s in SHAPES {
            let case = naive(s);
            let (x, w, dy) = (single(&case.x), single(&case.w), single(&case.dy));
            let (mut y, mut dx, mut dw) = (vec![7f32; dy.len()], vec![7f32; x.len()], vec![7f32; w.len()]);
            conv2d(s, &x, &w, &mut y, &mut ws);
            conv2d_backward_input(s, &dy, &w, &mut dx, false, &mut ws);
            conv2d_backward_weight(s, &x, &dy, &mut dw, &mut ws);
            for (what, found, expected) in [("y", &y, &case.y), ("dx", &dx, &case.dx), ("dw", &dw, &case.dw)] {
                assert!(
                    error_single(found, expected) < 2e-6,
                    "{what}, {path:?}, {s:?}: {}",
                    error_single(found, expected)
                );
            }
        }
    });
}

/// Winograd's sums in single precision, over as many images as a training step has.
#[test]
fn a_batch_in_single_precision_stays_exact() {
    let s = shape(64, (32, 32), (16, 16), 3, [1, 1, 1, 1]);
    let [x, w, dy] = [s.input_len(), s.weight_len(), s.output_len()].map(|len| normals("batch", len));
    let [x_single, w_single, dy_single] = [&x, &w, &dy].map(|v| single(v));
    // What the numbers in single precision stand for.
    let [x, w, dy] = [&x_single, &w_single, &dy_single].map(|v| v.iter().map(|&v| f64::from(v)).collect::<Vec<_>>());
    on_each_path(|path| {
        let (mut y, mut dx, mut dw) = (vec![0.0; dy.len()], vec![0.0; x.len()], vec![0.0; w.len()]);
        let (mut y_single, mut dx_single, mut dw_single) = (single(&y), single(&dx), single(&dw));
        let (mut ws, mut ws_single) = (Workspace::new(), Workspace::new());
        conv2d(&s, &x, &w, &mut y, &mut ws);
        conv2d(&s, &x_single, &w_single, &mut y_single, &mut ws_single);
        conv2d_backward_input(&s, &dy, &w, &mut dx, false, &mut ws);
        conv2d_backward_input(&s, &dy_single, &w_single, &mut dx_single, false, &mut ws_single);
        conv2d_backward_weight(&s, &x, &dy, &mut dw, &mut ws);
        conv2d_backward_weight(&s, &x_single, &dy_single, &mut dw_single, &mut ws_single);
        for (what, found, expected) in [("y", &y_single, &y), ("dx", &dx_single, &dx), ("dw", &dw_single, &dw)] {
            let difference: Vec<f64> = found.iter().zip(expected).map(|(&a, b)| f64::from(a) - b).collect();
            let relative = (inner(&difference, &difference) / inner(expected, expected)).sqrt();
            let worst = error_single(found, expected);
            println!("{path:?}, {what}: relative error {relative:.1e}, worst of the largest {worst:.1e}");
            assert!(relative < 1e-5 && worst < 1e-5, "{path:?}, {what}: {relative}, {worst}");
        }
    });
}

#[test]
fn gradients_agree_with_central_differences() {
    for s in [shape(1, (5, 4), (3, 5), 3, [2, 1, 1, 1]), shape(1, (5, 5), (4, 4), 3, [1, 1, 1, 2])] {
        let case = naive(&s);
        let loss = |x: &[f64], w: &[f64]| {
            let mut y = vec![0.0; s.output_len()];
            conv2d(&s, x, w, &mut y, &mut Workspace::default());
            inner(&y, &case.dy)
        };
        let (mut dx, mut dw) = (vec![0.0; case.x.len()], vec![0.0; case.w.len()]);
        conv2d_backward_input(&s, &case.dy, &case.w, &mut dx, false, &mut Workspace::default());
        conv2d_backward_weight(&s, &case.x, &case.dy, &mut dw, &mut Workspace::default());
        assert!(error(&dx, &gradient(&case.x, |x| loss(x, &case.w))) < 1e-9);
        assert!(error(&dw, &gradient(&case.w, |w| loss(&case.x, w))) < 1e-9);
    }
}

/// `⟨y(x), dy⟩ = ⟨x, dx(dy)⟩ = ⟨w, dw(dy)⟩`: all three are one trilinear form.
#[test]
fn adjoint_identities() {
    for s in SHAPES {
        let case = naive(s);
        let (mut y, mut dx, mut dw) = (case.y.clone(), case.dx.clone(), case.dw.clone());
        let mut ws = Workspace::default();
        conv2d(s, &case.x, &case.w, &mut y, &mut ws);
        conv2d_backward_input(s, &case.dy, &case.w, &mut dx, false, &mut ws);
        conv2d_backward_weight(s, &case.x, &case.dy, &mut dw, &mut ws);
        let form = inner(&y, &case.dy);
        for other in [inner(&case.x, &dx), inner(&case.w, &dw)] {
            assert!((form - other).abs() < 1e-9 * (1.0 + form.abs()), "{s:?}: {form} and {other}");
        }
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let _path = hold_path();
    for s in [
        shape(37, (8, 8), (16, 16), 3, [1, 1, 1, 1]),
        shape(37, (8, 8), (16, 16), 3, [2, 1, 1, 2]),
        shape(37, (8, 8), (16, 32), 1, [1, 0, 1, 1]),
    ] {
        let (x, w, dy) = (
            single(&normals("x", s.input_len())),
            single(&normals("w", s.weight_len())),
            single(&normals("dy", s.output_len())),
        );
        let run = || {
            let (mut y, mut dx, mut dw) = (vec![0f32; dy.len()], vec![0f32; x.len()], vec![0f32; w.len()]);
            let mut ws = Workspace::default();
            conv2d(&s, &x, &w, &mut y, &mut ws);
            conv2d_backward_input(&s, &dy, &w, &mut dx, false, &mut ws);
            conv2d_backward_weight(&s, &x, &dy, &mut dw, &mut ws);
            [y, dx, dw].concat().iter().map(|v| v.to_bits()).collect::<Vec<_>>()
        };
        let one = with_threads(1, run);
        assert!(one == with_threads(2, run) && one == with_threads(5, run), "{s:?}");
    }
}

/// A NaN or an infinity in the middle reaches exactly the outputs that read it.
#[test]
fn nan_and_infinity_pass_through() {
    on_each_path(|path| {
        let s = shape(1, (9, 9), (16, 16), 3, [1, 1, 1, 1]);
        let mut ws = Workspace::default();
        for bad in [f32::NAN, f32::INFINITY] {
            let w = vec![1f32; s.weight_len()];
            let mut x = vec![1f32; s.input_len()];
            x[(4 * 9 + 4) * 16 + 3] = bad;
            let mut y = vec![0f32; s.output_len()];
            conv2d(&s, &x, &w, &mut y, &mut ws);
            let mut dx = vec![0f32; s.input_len()];
            conv2d_backward_input(&s, &x, &w, &mut dx, false, &mut ws);
            for pixel in 0..81 {
                let near = (3..=5).contains(&(pixel / 9)) && (3..=5).contains(&(pixel % 9));
                for out in [&y, &dx] {
                    assert!(out[pixel * 16..][..16].iter().all(|v| v.is_finite() != near), "{path:?}, pixel {pixel}");
                }
            }
            let mut dw = vec![0f32; s.weight_len()];
            conv2d_backward_weight(&s, &x, &vec![1f32; s.output_len()], &mut dw, &mut ws);
            for (k, v) in dw.iter().enumerate() {
                assert_eq!(v.is_finite(), k / 9 % 16 != 3, "{path:?}, weight {k}");
            }
        }
    });
}

#[test]
fn a_workspace_serves_different_shapes_in_turn() {
    let mut ws = Workspace::default();
    for s in SHAPES.iter().chain(SHAPES.iter().rev()) {
        let case = naive(s);
        let mut y = vec![0.0; case.y.len()];
        conv2d(s, &case.x, &case.w, &mut y, &mut ws);
        assert!(error(&y, &case.y) < 1e-12);
    }
    assert!(ws.memory_bytes() > 0);
}

#[test]
#[should_panic(expected = "`weight` has 3 elements")]
fn wrong_lengths_panic_in_words() {
    let s = shape(1, (1, 1), (1, 1), 1, [1, 0, 1, 1]);
    conv2d(&s, &[1f32], &[1.0; 3], &mut [0.0], &mut Workspace::default());
}
