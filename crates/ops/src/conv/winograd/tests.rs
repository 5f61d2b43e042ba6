//! The core against a naive f64 loop, on every vector path; and, when asked, against the clock.

use std::sync::Mutex;

use super::*;
use crate::conv::{Workspace, conv2d, conv2d_backward_input, conv2d_backward_weight};
use crate::{SimdPath, available_simd_paths, normal, set_simd_path, stream};

thread_local! {
    /// Sends what this thread asks for to the direct tiles, to compare with.
    pub(super) static DIRECT_ONLY: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

fn normals(name: &str, len: usize) -> Vec<f64> {
    let mut rng = stream(0, name, 0, 0);
    (0..len).map(|_| normal(&mut rng)).collect()
}

fn as_type<T: Real>(values: &[f64]) -> Vec<T> {
    values.iter().map(|&v| T::from_f64(v)).collect()
}

static PATH: Mutex<()> = Mutex::new(());

fn on_each_path(mut test: impl FnMut(SimdPath)) {
    let _turn = PATH.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    for path in available_simd_paths() {
        set_simd_path(Some(path));
        test(path);
    }
    set_simd_path(None);
}

/// The largest difference, relative to the largest magnitude of `expected`.
fn error<T: Real>(found: &[T], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(1e-30f64, |m, v| m.max(v.abs()));
    found.iter().zip(expected).fold(0.0, |m, (a, b)| {
        let difference = (a.to_f64() - b).abs() / scale;
        if difference.is_nan() { f64::INFINITY } else { m.max(difference) }
    })
}

/// One image of a convolution with one pixel of padding, cut into strips of `strip` tile rows.
#[derive(Clone, Copy, Debug)]
struct Case {
    height: usize,
    width: usize,
    core: Winograd,
    strip: usize,
}

const fn case(hw: (usize, usize), channels: (usize, usize), strip: usize) -> Case {
    let core = Winograd { in_channels: channels.0, out_channels: channels.1 };
    Case { height: hw.0, width: hw.1, core, strip }
}

const CASES: &[Case] = &[
    case((7, 7), (16, 16), 4),
    case((7, 7), (32, 16), 1),
    case((5, 8), (16, 48), 2),
    case((1, 1), (16, 16), 1),
    case((2, 1), (32, 32), 1),
    case((6, 33), (48, 32), 2),
    case((32, 32), (16, 16), 16),
    case((19, 18), (64, 16), 3),
];

impl Case {
    fn tiles_y(&self) -> usize {
        self.height.div_ceil(2)
    }

    fn tiles_x(&self) -> usize {
        self.width.div_ceil(2)
    }

    /// The strips: first tile row and tile rows.
    fn strips(self) -> impl Iterator<Item = (usize, usize)> {
        (0..self.tiles_y()).step_by(self.strip).map(move |top| (top, self.strip.min(self.tiles_y() - top)))
    }

    fn shape(&self) -> ConvShape {
        ConvShape {
            batch: 1,
            height: self.height,
            width: self.width,
            in_channels: self.core.in_channels,
            out_channels: self.core.out_channels,
            kernel: 3,
            stride: 1,
            padding: 1,
            dilation: 1,
            groups: 1,
        }
    }

    fn flipped(self) -> Case {
        Case { core: Winograd { in_channels: self.core.out_channels, out_channels: self.core.in_channels }, ..self }
    }

    fn input_len(&self) -> usize {
        self.height * self.width * self.core.in_channels
    }

    fn output_len(&self) -> usize {
        self.height * self.width * self.core.out_channels
    }

    fn dweight_len(&self) -> usize {
        9 * self.core.in_channels * self.core.out_channels
    }

    /// The layout of [`Blocked`], `before` zeros above and left, and zeros up to whole tiles.
    fn block<T: Real>(&self, image: &[T], channels: usize, before: usize) -> (Vec<T>, usize, usize) {
        let (rows, columns) = (2 * self.tiles_y() + 2 * before, 2 * self.tiles_x() + 2 * before);
        let mut data = vec![T::ZERO; channels * rows * columns];
        self.fill(image, channels, before, &mut data);
        (data, rows * columns * BLOCK, columns * BLOCK)
    }

    fn fill<T: Real>(&self, image: &[T], channels: usize, before: usize, data: &mut [T]) {
        let (rows, columns) = (2 * self.tiles_y() + 2 * before, 2 * self.tiles_x() + 2 * before);
        for b in 0..channels / BLOCK {
            for y in 0..self.height {
                let row = &image[y * self.width * channels..][..self.width * channels];
                let to = &mut data[((b * rows + y + before) * columns + before) * BLOCK..][..self.width * BLOCK];
                for (to, from) in to.chunks_exact_mut(BLOCK).zip(row.chunks_exact(channels)) {
                    to.copy_from_slice(&from[b * BLOCK..][..BLOCK]);
                }
            }
        }
    }

    fn correlate<T: Real>(
        &self,
        source: Blocked<'_, T>,
        packed: &[T],
        out: &mut [T],
        accumulate: bool,
        scratch: &mut [T],
    ) {
        let out_row = self.width * self.core.out_channels;
        for (top, rows) in self.strips() {
            let strip = Blocked { data: &source.data[2 * top * source.row_step..], ..source };
            let out = &mut out[2 * top * out_row..];
            let valid = (2 * rows).min(self.height - 2 * top);
            let tiles = (rows, self.tiles_x());
            self.core.correlate(strip, tiles, packed, out, out_row, valid, self.width, accumulate, scratch);
        }
    }

    fn add_gradient<T: Real>(&self, source: Blocked<'_, T>, dy: Blocked<'_, T>, gradient: &mut [T], scratch: &mut [T]) {
        for (top, rows) in self.strips() {
            let source = Blocked { data: &source.data[2 * top * source.row_step..], ..source };
            let dy = Blocked { data: &dy.data[2 * top * dy.row_step..], ..dy };
            self.core.add_gradient(source, dy, (rows, self.tiles_x()), gradient, scratch);
        }
    }

    fn scratch<T: Real>(&self) -> Vec<T> {
        let longest = self.strips().map(|(_, rows)| self.core.scratch_len(rows * self.tiles_x())).max();
        // Whatever scratch holds, nothing of it may show.
        vec![T::from_f64(f64::NAN); longest.unwrap_or(0)]
    }

    fn forward<T: Real>(&self, x: &[T], w: &[T], out: &mut [T], accumulate: bool) {
        let mut packed = vec![T::ZERO; self.core.weight_len()];
        self.core.pack(|o, i, tap| w[(o * self.core.in_channels + i) * 9 + tap], &mut packed);
        let (data, block_step, row_step) = self.block(x, self.core.in_channels, 1);
        let source = Blocked { data: &data, block_step, row_step };
        self.correlate(source, &packed, out, accumulate, &mut self.scratch());
    }

    fn backward_input<T: Real>(&self, dy: &[T], w: &[T], dx: &mut [T]) {
        let mut packed = vec![T::ZERO; self.core.weight_len()];
        let flipped = self.flipped();
        flipped.core.pack(|i, o, tap| w[(o * self.core.in_channels + i) * 9 + 8 - tap], &mut packed);
        let (data, block_step, row_step) = self.block(dy, self.core.out_channels, 1);
        flipped.correlate(
            Blocked { data: &data, block_step, row_step },
            &packed,
            dx,
            false,
            &mut self.flipped().scratch(),
        );
    }

    fn backward_weight<T: Real>(&self, x: &[T], dy: &[T], dw: &mut [T]) {
        let (x, x_block, x_row) = self.block(x, self.core.in_channels, 1);
        let (dy, dy_block, dy_row) = self.block(dy, self.core.out_channels, 0);
        let mut gradient = vec![T::ZERO; self.core.gradient_len()];
        self.add_gradient(
            Blocked { data: &x, block_step: x_block, row_step: x_row },
            Blocked { data: &dy, block_step: dy_block, row_step: dy_row },
            &mut gradient,
            &mut self.scratch(),
        );
        self.core.finish_gradient(&gradient, dw);
    }

    /// Calls `visit(output index, input index, weight index)` for every product.
    fn products(&self, mut visit: impl FnMut(usize, usize, usize)) {
        let (i_len, o_len) = (self.core.in_channels, self.core.out_channels);
        for y in 0..self.height {
            for x in 0..self.width {
                for tap in 0..9 {
                    let inside = |at: usize, tap: usize, size: usize| (at + tap).checked_sub(1).filter(|&v| v < size);
                    let (Some(iy), Some(ix)) = (inside(y, tap / 3, self.height), inside(x, tap % 3, self.width)) else {
                        continue;
                    };
                    for o in 0..o_len {
                        for i in 0..i_len {
                            let (out, input) = ((y * self.width + x) * o_len + o, (iy * self.width + ix) * i_len + i);
                            visit(out, input, (o * i_len + i) * 9 + tap);
                        }
                    }
                }
            }
        }
    }

    /// x, w, dy and y, dx, dw.
    fn naive(&self) -> [Vec<f64>; 6] {
        let (x, w) = (normals("x", self.input_len()), normals("w", self.dweight_len()));
        let dy = normals("dy", self.output_len());
        let (mut y, mut dx, mut dw) = (vec![0.0; dy.len()], vec![0.0; x.len()], vec![0.0; w.len()]);
        self.products(|o, i, k| {
            y[o] += x[i] * w[k];
            dx[i] += dy[o] * w[k];
            dw[k] += dy[o] * x[i];
        });
        [x, w, dy, y, dx, dw]
    }
}

fn agrees<T: Real>(tolerance: f64) {
    on_each_path(|path| {
        for case in CASES {
            let [x, w, dy, y, dx, dw] = case.naive();
            let (x, w, dy) = (as_type::<T>(&x), as_type::<T>(&w), as_type::<T>(&dy));
            let poison = T::from_f64(f64::NAN);
            let (mut fy, mut fdx, mut fdw) = (vec![poison; dy.len()], vec![poison; x.len()], vec![poison; w.len()]);
            case.forward(&x, &w, &mut fy, false);
            case.backward_input(&dy, &w, &mut fdx);
            case.backward_weight(&x, &dy, &mut fdw);
            for (what, found, expected) in [("y", &fy, &y), ("dx", &fdx, &dx), ("dw", &fdw, &dw)] {
                let error = error(found, expected);
                assert!(error < tolerance, "{what}, {path:?}, {case:?}: {error}");
            }
            case.forward(&x, &w, &mut fy, true);
            let twice: Vec<f64> = y.iter().map(|v| 2.0 * v).collect();
            assert!(error(&fy, &twice) < tolerance, "accumulated, {path:?}, {case:?}");
        }
    });
}

#[test]
fn f64_agrees_with_the_naive_loop_on_every_path() {
    agrees::<f64>(1e-13);
}

#[test]
fn f32_agrees_with_the_naive_loop_on_every_path() {
    agrees::<f32>(5e-6);
}

/// `⟨y(x), dy⟩ = ⟨x, dx(dy)⟩ = ⟨w, dw(dy)⟩`: all three are one trilinear form.
#[test]
fn adjoint_identities() {
    on_each_path(|path| {
        for case in CASES {
            let [x, w, dy, mut y, mut dx, mut dw] = case.naive();
            case.forward(&x, &w, &mut y, false);
            case.backward_input(&dy, &w, &mut dx);
            case.backward_weight(&x, &dy, &mut dw);
            let inner = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            let form = inner(&y, &dy);
            for other in [inner(&x, &dx), inner(&w, &dw)] {
                assert!((form - other).abs() < 1e-9 * (1.0 + form.abs()), "{path:?}, {case:?}: {form} and {other}");
            }
        }
    });
}

/// A NaN or an infinity reaches every output that reads it, and no output of another tile.
#[test]
fn nan_and_infinity_pass_through() {
    on_each_path(|path| {
        for at in 0..81usize {
            let case = case((9, 9), (16, 16), 2);
            for bad in [f32::NAN, f32::INFINITY] {
                let mut x = as_type::<f32>(&normals("x", case.input_len()));
                x[at * 16 + 3] = bad;
                let w = as_type::<f32>(&normals("w", case.dweight_len()));
                let mut y = vec![0f32; case.output_len()];
                case.forward(&x, &w, &mut y, false);
                for pixel in 0..81usize {
                    let (rows, columns) = ((pixel / 9).abs_diff(at / 9), (pixel % 9).abs_diff(at % 9));
                    let mut values = y[pixel * 16..][..16].iter();
                    if rows <= 1 && columns <= 1 {
                        assert!(values.all(|v| !v.is_finite()), "{path:?}, input {at}, output {pixel}");
                    } else if rows > 2 || columns > 2 {
                        assert!(values.all(|v| v.is_finite()), "{path:?}, input {at}, output {pixel}");
                    }
                }
                let mut dw = vec![0f32; case.dweight_len()];
                case.backward_weight(&x, &vec![1f32; case.output_len()], &mut dw);
                assert!(dw.iter().enumerate().all(|(k, v)| k / 9 % 16 == 3 || v.is_finite()), "{path:?}, input {at}");
                let centre = dw.iter().enumerate().filter(|(k, _)| k / 9 % 16 == 3 && k % 9 == 4);
                assert!(centre.into_iter().all(|(_, v)| !v.is_finite()), "{path:?}, input {at}");
            }
        }
    });
}

#[test]
fn only_the_shapes_it_can_do() {
    let shape = case((7, 7), (16, 32), 1).shape();
    assert!(Winograd::takes(&shape));
    for other in [
        ConvShape { kernel: 5, ..shape },
        ConvShape { stride: 2, ..shape },
        ConvShape { dilation: 2, ..shape },
        ConvShape { groups: 2, ..shape },
        ConvShape { in_channels: 3, ..shape },
        ConvShape { out_channels: 40, ..shape },
    ] {
        assert!(!Winograd::takes(&other), "{other:?}");
    }
}

#[test]
#[should_panic(expected = "a strip lies inside its source")]
fn a_source_that_is_too_short_panics() {
    let core = Winograd { in_channels: 16, out_channels: 16 };
    let source = Blocked { data: &[0f32; 16 * 4 * 4 - 1], block_step: 256, row_step: 64 };
    core.correlate(source, (1, 1), &[0.0; 4096], &mut [0.0; 64], 32, 2, 2, false, &mut [0.0; 4096]);
}

/// Layers of ResNets: the largest f32 error over the largest value, against f64. `--nocapture`
/// prints it beside the error of the direct kernels.
#[test]
fn f32_errors_stay_small() {
    let _turn = PATH.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    for (channels, size) in [(16, 32), (64, 8), (256, 14)] {
        let case = case((size, size), (channels, channels), size);
        let x: Vec<f64> = normals("x", case.input_len()).iter().map(|v| v.max(0.0)).collect();
        let std = (2.0 / (9 * channels) as f64).sqrt();
        let w: Vec<f64> = normals("w", case.dweight_len()).iter().map(|v| v * std).collect();
        let dy = normals("dy", case.output_len());
        // The same rounded numbers for both.
        let (x1, w1, dy1) = (as_type::<f32>(&x), as_type::<f32>(&w), as_type::<f32>(&dy));
        let widen = |v: &[f32]| v.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
        let (x, w, dy) = (widen(&x1), widen(&w1), widen(&dy1));
        let s = case.shape();
        DIRECT_ONLY.set(true);
        let (mut y, mut dx, mut dw) = (vec![0.0; dy.len()], vec![0.0; x.len()], vec![0.0; w.len()]);
        let ws = &mut Workspace::default();
        conv2d(&s, &x, &w, &mut y, ws);
        conv2d_backward_input(&s, &dy, &w, &mut dx, false, ws);
        conv2d_backward_weight(&s, &x, &dy, &mut dw, ws);
        let (mut fy, mut fdx, mut fdw) = (vec![0f32; dy.len()], vec![0f32; x.len()], vec![0f32; w.len()]);
        let ws = &mut Workspace::default();
        conv2d(&s, &x1, &w1, &mut fy, ws);
        conv2d_backward_input(&s, &dy1, &w1, &mut fdx, false, ws);
        conv2d_backward_weight(&s, &x1, &dy1, &mut fdw, ws);
        DIRECT_ONLY.set(false);
        let direct = [error(&fy, &y), error(&fdx, &dx), error(&fdw, &dw)];
        case.forward(&x1, &w1, &mut fy, false);
        case.backward_input(&dy1, &w1, &mut fdx);
        case.backward_weight(&x1, &dy1, &mut fdw);
        let found = [error(&fy, &y), error(&fdx, &dx), error(&fdw, &dw)];
        let show = |errors: [f64; 3]| errors.map(|e| format!("{e:.1e}")).join(" ");
        println!("{channels} @{size}: y, dx, dw: winograd {}, direct {}", show(found), show(direct));
        assert!(found.iter().all(|&e| e < 1e-5), "{case:?}: {found:?}");
    }
}
