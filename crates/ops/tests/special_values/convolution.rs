//! Convolution: forward and both gradients.

use longtail_ops::{ConvShape, Real, Workspace, conv2d, conv2d_backward_input, conv2d_backward_weight};

use crate::common::{normals, on_each_path, products};
use crate::{Unaligned, check, places, spoiled, with_special};

/// Rows, columns, input channels, output channels, kernel, stride, padding, dilation, groups.
const CONVOLUTIONS: [[usize; 9]; 20] = [
    [7, 8, 1, 16, 3, 1, 1, 1, 1],
    [5, 5, 3, 5, 3, 1, 1, 1, 1],
    [7, 8, 16, 17, 3, 1, 1, 1, 1],
    [5, 5, 40, 16, 3, 1, 1, 1, 1],
    [8, 7, 17, 40, 3, 1, 1, 1, 1],
    [5, 7, 16, 16, 3, 1, 0, 1, 1],
    [1, 1, 5, 3, 3, 1, 1, 1, 1],
    [1, 1, 16, 40, 3, 1, 1, 1, 1],
    [7, 8, 16, 16, 3, 1, 2, 2, 1],
    [5, 5, 3, 40, 3, 1, 2, 2, 1],
    [7, 8, 16, 40, 3, 2, 1, 1, 1],
    [5, 5, 17, 5, 3, 2, 1, 1, 1],
    [8, 8, 5, 3, 3, 2, 1, 1, 1],
    [9, 8, 16, 16, 3, 2, 2, 2, 1],
    [7, 8, 3, 16, 7, 2, 3, 1, 1],
    [7, 8, 40, 17, 1, 1, 0, 1, 1],
    [6, 7, 16, 5, 1, 2, 0, 1, 1],
    [1, 1, 17, 1, 1, 1, 0, 1, 1],
    [7, 8, 40, 16, 3, 1, 1, 1, 8],
    [5, 5, 5, 5, 3, 2, 1, 1, 5],
];

fn convolution(
    [height, width, in_channels, out_channels, kernel, stride, padding, dilation, groups]: [usize; 9],
) -> ConvShape {
    ConvShape { batch: 2, height, width, in_channels, out_channels, kernel, stride, padding, dilation, groups }
}

/// `must`, and its neighbours at most one pixel away in the same image and channel.
fn and_neighbours(must: &[bool], (height, width, channels): (usize, usize, usize)) -> Vec<bool> {
    let mut may = must.to_vec();
    for (at, _) in must.iter().enumerate().filter(|(_, must)| **must) {
        let (c, x, y) = (at % channels, at / channels % width, at / channels / width % height);
        let image = at / (channels * width * height);
        for y in y.saturating_sub(1)..(y + 2).min(height) {
            for x in x.saturating_sub(1)..(x + 2).min(width) {
                may[((image * height + y) * width + x) * channels + c] = true;
            }
        }
    }
    may
}

/// `may`, and the other channels of the same pixel.
fn and_groups(may: &[bool], channels: usize) -> Vec<bool> {
    may.chunks(channels).flat_map(|pixel| vec![pixel.contains(&true); channels]).collect()
}

/// `must`, and every tap of the same pair of channels.
fn and_taps(must: &[bool], taps: usize) -> Vec<bool> {
    must.chunks(taps).flat_map(|pair| vec![pair.contains(&true); taps]).collect()
}

/// One special value in `x` or in `dy`, and what it must reach.
struct ConvCase {
    name: String,
    x: Vec<f64>,
    dy: Vec<f64>,
    y: Vec<bool>,
    dx: Vec<bool>,
    dw: Vec<bool>,
}

fn convolution_cases(s: &ConvShape, x: &[f64], w: &[f64], dy: &[f64]) -> Vec<ConvCase> {
    let in_x = with_special(x, &places(s.batch, s.height, s.width, s.in_channels)).into_iter();
    let in_dy = with_special(dy, &places(s.batch, s.out_height(), s.out_width(), s.out_channels)).into_iter();
    in_x.map(|(name, x)| (format!("x is {name}"), x, dy.to_vec()))
        .chain(in_dy.map(|(name, dy)| (format!("dy is {name}"), x.to_vec(), dy)))
        .map(|(name, x, dy)| {
            let (mut y, mut dx, mut dw) = (vec![0.0; dy.len()], vec![0.0; x.len()], vec![0.0; w.len()]);
            products(s, |o, i, k| {
                y[o] += x[i] * w[k];
                dx[i] += dy[o] * w[k];
                dw[k] += dy[o] * x[i];
            });
            ConvCase { name, x, dy, y: spoiled(&y), dx: spoiled(&dx), dw: spoiled(&dw) }
        })
        .collect()
}

fn convolve<T: Real>(s: &ConvShape, x: &[f64], w: &[f64], dy: &[f64], ws: &mut Workspace<T>) -> [Unaligned<T>; 3] {
    let (x, w, dy) = (Unaligned::<T>::new(x), Unaligned::<T>::new(w), Unaligned::<T>::new(dy));
    let (mut y, mut dx, mut dw) = (Unaligned::filled(dy.len()), Unaligned::filled(x.len()), Unaligned::filled(w.len()));
    conv2d(s, &x, &w, &mut y, ws);
    conv2d_backward_input(s, &dy, &w, &mut dx, false, ws);
    conv2d_backward_weight(s, &x, &dy, &mut dw, ws);
    [y, dx, dw]
}

fn check_convolutions<T: Real>() {
    for s in CONVOLUTIONS.map(convolution) {
        let (x, w, dy) = (normals("x", s.input_len()), normals("w", s.weight_len()), normals("dy", s.output_len()));
        let cases = convolution_cases(&s, &x, &w, &dy);
        on_each_path(|path| {
            let mut ws = Workspace::new();
            let clean = convolve::<T>(&s, &x, &w, &dy, &mut ws);
            for case in &cases {
                let found = convolve::<T>(&s, &case.x, &w, &case.dy, &mut ws);
                let mut may_y = and_neighbours(&case.y, (s.out_height(), s.out_width(), s.out_channels));
                let mut may_dx = and_neighbours(&case.dx, (s.height, s.width, s.in_channels));
                if s.groups > 1 {
                    (may_y, may_dx) = (and_groups(&may_y, s.out_channels), and_groups(&may_dx, s.in_channels));
                }
                let may_dw = and_taps(&case.dw, s.kernel * s.kernel);
                let what = |name: &str| format!("{name}, {path:?}, {s:?}, {}", case.name);
                check(&what("y"), &found[0], &clean[0], &case.y, &may_y);
                check(&what("dx"), &found[1], &clean[1], &case.dx, &may_dx);
                check(&what("dw"), &found[2], &clean[2], &case.dw, &may_dw);
            }
        });
    }
}

#[test]
fn convolution_in_f32() {
    check_convolutions::<f32>();
}

#[test]
fn convolution_in_f64() {
    check_convolutions::<f64>();
}
