//! The fused convolutions against plain steps in f64: operands that are worked out while they are read, sums that are
//! taken while results are written, both gradients at once. On every vector path, with images in one strip and in many.

mod common;

use common::{error, gradient, inner, normals, on_each_path, products, shape, single, with_threads};
use longtail_ops::{
    BatchNormShape, ConvShape, InputGradient, Mask, NormRest, Operand, Real, Tally, ThroughNorm, Workspace,
    batch_norm_statistics, conv2d_backward, conv2d_backward_weight, conv2d_fused, inverse_std, tally_rows,
};

/// An image is one strip. The first two go by Winograd's tiles.
const SMALL: &[ConvShape] = &[
    shape(2, (7, 8), (16, 32), 3, [1, 1, 1, 1]),
    shape(2, (8, 9), (32, 16), 3, [1, 1, 1, 1]),
    shape(1, (6, 13), (17, 40), 3, [1, 1, 1, 1]),
    shape(2, (9, 8), (3, 16), 3, [1, 1, 1, 1]),
    shape(2, (9, 11), (16, 20), 3, [2, 1, 1, 1]),
    shape(2, (5, 7), (24, 10), 1, [1, 0, 1, 1]),
    shape(2, (7, 9), (16, 24), 1, [2, 0, 1, 1]),
    shape(1, (6, 7), (32, 32), 3, [1, 1, 1, 8]),
    shape(1, (7, 6), (64, 64), 3, [1, 1, 1, 2]),
    shape(2, (9, 10), (16, 16), 3, [1, 2, 2, 1]),
    shape(1, (11, 14), (3, 16), 7, [2, 3, 1, 1]),
];

/// An image, or a batch of plain matrix products, is cut into several strips in both directions.
const LARGE: &[ConvShape] = &[
    shape(2, (70, 61), (48, 32), 3, [1, 1, 1, 1]),
    shape(2, (71, 61), (48, 32), 3, [1, 1, 1, 1]),
    shape(3, (71, 64), (40, 16), 3, [2, 1, 1, 1]),
    shape(1, (70, 61), (48, 32), 3, [2, 1, 1, 1]),
    shape(3, (64, 64), (64, 32), 1, [1, 0, 1, 1]),
    shape(2, (67, 70), (48, 48), 3, [1, 1, 1, 12]),
    shape(2, (75, 66), (64, 16), 3, [1, 2, 2, 1]),
    shape(1, (97, 160), (3, 24), 7, [2, 3, 1, 1]),
];

/// As large, but the gradients take images whole: the outputs of the first do not reach down to the last input row in steps
/// of the stride, and a last strip of the others would lie below every input row.
const WHOLE: &[ConvShape] = &[
    shape(2, (71, 61), (48, 16), 3, [2, 0, 1, 1]),
    shape(1, (15, 61), (48, 32), 3, [1, 2, 1, 1]),
    shape(2, (15, 61), (48, 32), 3, [1, 2, 1, 1]),
];

fn all_shapes() -> impl Iterator<Item = &'static ConvShape> {
    SMALL.iter().chain(LARGE).chain(WHOLE)
}

/// What an [`Operand`] may be.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Stored,
    Normalized { relu: bool },
    Through { rest: bool, relu: bool },
}

const KINDS: [Kind; 7] = [
    Kind::Stored,
    Kind::Normalized { relu: false },
    Kind::Normalized { relu: true },
    Kind::Through { rest: false, relu: false },
    Kind::Through { rest: false, relu: true },
    Kind::Through { rest: true, relu: false },
    Kind::Through { rest: true, relu: true },
];

/// An operand's parts.
struct Parts<T> {
    kind: Kind,
    v: Vec<T>,
    x: Vec<T>,
    /// Scale of what goes through, slope, centre, offset, scale and shift of the ReLU.
    channel: [Vec<T>; 6],
}

impl Parts<f64> {
    fn new(name: &str, kind: Kind, len: usize, channels: usize) -> Self {
        let mut x = normals(&format!("{name} x"), len);
        match kind {
            // Not read at all.
            Kind::Through { rest: false, relu: false } => x.fill(f64::NAN),
            // A ReLU of NaN counts as open.
            Kind::Through { rest: false, relu: true } => x.iter_mut().step_by(7).for_each(|x| *x = f64::NAN),
            _ => {}
        }
        let channel = std::array::from_fn(|i| normals(&format!("{name} {i}"), channels));
        Self { kind, v: normals(&format!("{name} v"), len), x, channel }
    }

    fn plain(&self) -> Vec<f64> {
        let [scale, slope, centre, offset, relu_scale, relu_shift] = &self.channel;
        let element = |(i, (&v, &x)): (usize, (&f64, &f64))| {
            let c = i % scale.len();
            let y = x * relu_scale[c] + relu_shift[c];
            match self.kind {
                Kind::Stored => v,
                Kind::Normalized { relu: true } => y.max(0.0),
                Kind::Normalized { relu: false } => y,
                Kind::Through { relu: true, .. } if y <= 0.0 => 0.0,
                Kind::Through { rest: false, .. } => scale[c] * v,
                Kind::Through { rest: true, .. } => scale[c] * v + slope[c] * (x - centre[c]) + offset[c],
            }
        };
        self.v.iter().zip(&self.x).enumerate().map(element).collect()
    }

    fn single(&self) -> Parts<f32> {
        let channel = std::array::from_fn(|i| single(&self.channel[i]));
        Parts { kind: self.kind, v: single(&self.v), x: single(&self.x), channel }
    }
}

impl<T: Real> Parts<T> {
    fn operand(&self) -> Operand<'_, T> {
        let [scale, slope, centre, offset, relu_scale, relu_shift] = &self.channel;
        match self.kind {
            Kind::Stored => Operand::Stored(&self.v),
            Kind::Normalized { relu } => Operand::Normalized { x: &self.x, scale: relu_scale, shift: relu_shift, relu },
            Kind::Through { rest, relu } => Operand::Through {
                v: &self.v,
                x: &self.x,
                map: ThroughNorm { scale, rest: rest.then_some(NormRest { slope, centre, offset }) },
                relu: relu.then_some((relu_scale, relu_shift)),
            },
        }
    }
}

fn input(name: &str, kind: Kind, s: &ConvShape) -> Parts<f64> {
    Parts::new(name, kind, s.input_len(), s.in_channels)
}

fn output(name: &str, kind: Kind, s: &ConvShape) -> Parts<f64> {
    Parts::new(name, kind, s.output_len(), s.out_channels)
}

/// A workspace full of what another convolution left: nothing of that may enter.
fn used_workspace<T: Real>() -> Workspace<T> {
    let (s, mut ws) = (shape(16, (8, 8), (64, 64), 3, [1, 1, 1, 1]), Workspace::new());
    let (x, mut w) = (vec![T::ONE; s.input_len()], vec![T::ONE; s.weight_len()]);
    conv2d_backward_weight(&s, &x, &x, &mut w, &mut ws);
    ws
}

fn naive(s: &ConvShape, x: &[f64], w: &[f64]) -> Vec<f64> {
    let mut y = vec![0.0; s.output_len()];
    products(s, |o, i, k| y[o] += x[i] * w[k]);
    y
}

fn bits<T: Real>(values: &[T]) -> Vec<u64> {
    values.iter().map(|v| v.to_f64().to_bits()).collect()
}

/// Close, and NaN in the same places.
fn agree(what: &str, found: &[f64], expected: &[f64]) {
    assert!(found.iter().zip(expected).all(|(a, b)| a.is_nan() == b.is_nan()), "{what}: NaN elsewhere");
    let finite = |values: &[f64]| values.iter().map(|&v| if v.is_nan() { 0.0 } else { v }).collect::<Vec<_>>();
    let error = error(&finite(found), &finite(expected));
    assert!(error < 1e-12, "{what}: {error}");
}

/// From how many elements of source and result on an image is cut: see `Strips`.
#[test]
fn large_images_are_cut() {
    const STRIP_ELEMENTS: usize = 1 << 17;
    for s in LARGE.iter().chain(WHOLE) {
        let (row, images) = (s.out_width() * s.out_channels, if s.kernel == 1 { s.batch } else { 1 });
        let forward = row + (s.width + 2 * s.padding) * s.stride * s.in_channels;
        let backward = row + 2 * s.stride * s.width * s.in_channels;
        let (forward, backward) = (forward * s.out_height() * images, backward * s.out_height() * images);
        assert!(backward > STRIP_ELEMENTS && (forward > STRIP_ELEMENTS || WHOLE.contains(s)), "{s:?}");
        let uneven = s.out_height() * s.stride < s.height || s.out_height() > s.height;
        assert_eq!(uneven, WHOLE.contains(s), "{s:?}");
    }
    for s in SMALL {
        assert!(s.output_len() + 4 * s.input_len() < STRIP_ELEMENTS, "{s:?}");
    }
}

#[test]
fn operands_equal_their_plain_formulas() {
    for (i, s) in all_shapes().enumerate() {
        let small = i < SMALL.len();
        let kinds = if small { KINDS.to_vec() } else { vec![KINDS[2], KINDS[6 - i % 4]] };
        let parts: Vec<_> = kinds.iter().enumerate().map(|(i, &kind)| input(&format!("{i}"), kind, s)).collect();
        let weights: Vec<_> = (0..parts.len()).map(|i| normals(&format!("w{i}"), s.weight_len())).collect();
        let expected: Vec<_> = parts.iter().zip(&weights).map(|(p, w)| naive(s, &p.plain(), w)).collect();
        let pairs: Vec<_> = parts.iter().map(Parts::operand).zip(weights.iter().map(Vec::as_slice)).collect();
        on_each_path(|path| {
            let mut ws = Workspace::new();
            let mut y = vec![7.0; s.output_len()];
            for (i, one) in pairs.iter().enumerate() {
                conv2d_fused(s, &[*one], &mut y, Tally::None, &mut ws);
                agree(&format!("{path:?}, {s:?}, {:?}", kinds[i]), &y, &expected[i]);
            }
            for (i, two) in pairs.windows(2).enumerate() {
                conv2d_fused(s, two, &mut y, Tally::None, &mut ws);
                let sum: Vec<f64> = expected[i].iter().zip(&expected[i + 1]).map(|(a, b)| a + b).collect();
                agree(&format!("{path:?}, {s:?}, {:?} and the next", kinds[i]), &y, &sum);
            }
        });
    }
}

/// Numbers for a [`Tally::Products`] over `(rows, channels)`.
struct Sums {
    x: Vec<f64>,
    relu: Vec<f64>,
    channel: [Vec<f64>; 3],
}

impl Sums {
    fn new(len: usize, channels: usize, nan: bool) -> Self {
        let mut x = normals("tally x", len);
        let mut relu: Vec<f64> = normals("relu", len).iter().map(|v| v.max(0.0)).collect();
        relu.iter_mut().step_by(11).for_each(|y| *y = f64::NAN);
        if nan {
            x[len / 2] = f64::NAN;
        }
        Self { x, relu, channel: std::array::from_fn(|i| normals(&format!("tally {i}"), channels)) }
    }

    fn masks(&self) -> [Mask<'_, f64>; 3] {
        [Mask::Open, Mask::Output(&self.relu), Mask::Normalized { scale: &self.channel[1], shift: &self.channel[2] }]
    }

    /// Takes `run`'s tally over what it leaves in its first argument, which would be `v` without, and compares.
    fn check(&self, what: &str, v: &[f64], mask: Mask<'_, f64>, run: impl FnOnce(&mut [f64], Tally<'_, f64>)) {
        let [centre, scale, shift] = &self.channel;
        let channels = centre.len();
        let (mut sum, mut product, mut masked) = (vec![7.0; channels], vec![7.0; channels], vec![7.0; v.len()]);
        run(&mut masked, Tally::Products { x: &self.x, centre, mask, sum: &mut sum, product: &mut product });
        let (mut plain_sum, mut plain_product, mut plain) = (vec![0.0; channels], vec![0.0; channels], v.to_vec());
        for (i, v) in plain.iter_mut().enumerate() {
            let c = i % channels;
            let shut = match mask {
                Mask::Open => false,
                Mask::Output(y) => y[i] <= 0.0,
                Mask::Normalized { .. } => self.x[i] * scale[c] + shift[c] <= 0.0,
            };
            *v = if shut { 0.0 } else { *v };
            plain_sum[c] += *v;
            plain_product[c] += *v * (self.x[i] - centre[c]);
        }
        assert!(bits(&masked) == bits(&plain), "{what}, {mask:?}: the tally does not mask its result");
        agree(&format!("{what}: sum"), &sum, &plain_sum);
        agree(&format!("{what}: products"), &product, &plain_product);
    }
}

#[test]
fn tallies_of_a_result_equal_sums_over_it() {
    on_each_path(|path| {
        let mut ws = Workspace::new();
        for (i, s) in all_shapes().enumerate() {
            let what = format!("{path:?}, {s:?}");
            let (x, w) = (input("x", KINDS[2], s), normals("w", s.weight_len()));
            let operand = [(x.operand(), w.as_slice())];
            let mut y = vec![7.0; s.output_len()];
            conv2d_fused(s, &operand, &mut y, Tally::None, &mut ws);
            let [mut mean, mut var, mut plain_mean, mut plain_var] = [(); 4].map(|()| vec![7.0; s.out_channels]);
            let mut again = vec![7.0; y.len()];
            let moments = Tally::Moments { mean: &mut mean, var: &mut var };
            conv2d_fused(s, &operand, &mut again, moments, &mut ws);
            assert!(bits(&again) == bits(&y), "{what}: the tally changes the result");
            let rows = BatchNormShape { rows: y.len() / s.out_channels, channels: s.out_channels };
            batch_norm_statistics(&rows, &y, &mut plain_mean, &mut plain_var);
            agree(&format!("{what}: mean"), &mean, &plain_mean);
            agree(&format!("{what}: variance"), &var, &plain_var);
            let sums = Sums::new(y.len(), s.out_channels, i % 2 == 1);
            for mask in sums.masks() {
                sums.check(&what, &y, mask, |y, tally| conv2d_fused(s, &operand, y, tally, &mut ws));
            }
        }
    });
}

#[test]
fn tallies_of_rows_equal_sums_over_them() {
    on_each_path(|path| {
        for (rows, channels) in [(1, 1), (5, 3), (1000, 16), (8192, 3), (700, 64), (37, 300), (3, 9000)] {
            let v = normals("v", rows * channels);
            let what = format!("{path:?}, {rows} rows of {channels}");
            for nan in [false, true] {
                let sums = Sums::new(v.len(), channels, nan);
                for mask in sums.masks() {
                    sums.check(&what, &v, mask, |masked, tally| {
                        masked.copy_from_slice(&v);
                        tally_rows(channels, masked, tally);
                    });
                }
            }
            let [mut mean, mut var, mut plain_mean, mut plain_var] = [(); 4].map(|()| vec![7.0; channels]);
            tally_rows(channels, &mut v.clone(), Tally::Moments { mean: &mut mean, var: &mut var });
            batch_norm_statistics(&BatchNormShape { rows, channels }, &v, &mut plain_mean, &mut plain_var);
            agree(&what, &[mean, var].concat(), &[plain_mean, plain_var].concat());
        }
    });
}

/// Both gradients at once are the naive ones, and each has the same bits when it comes alone.
#[test]
fn both_gradients_equal_the_naive_ones() {
    for (i, s) in all_shapes().enumerate() {
        let pairs = [(KINDS[6], KINDS[2]), (KINDS[5], KINDS[6]), (KINDS[0], KINDS[1]), (KINDS[4], KINDS[0])];
        for &(dy_kind, x_kind) in if i < SMALL.len() { &pairs[..] } else { &pairs[i % 2..][..1] } {
            let (dy, x) = (output("dy", dy_kind, s), input("x", x_kind, s));
            let (w, start) = (normals("w", s.weight_len()), normals("start", s.input_len()));
            let (mut naive_dx, mut naive_dw) = (vec![0.0; start.len()], vec![0.0; w.len()]);
            let (plain_dy, plain_x) = (dy.plain(), x.plain());
            products(s, |o, i, k| {
                naive_dx[i] += plain_dy[o] * w[k];
                naive_dw[k] += plain_dy[o] * plain_x[i];
            });
            let sums = Sums::new(start.len(), s.in_channels, false);
            on_each_path(|path| {
                let what = format!("{path:?}, {s:?}, {dy_kind:?}, {x_kind:?}");
                let mut ws = Workspace::new();
                let mut alone_dw = vec![7.0; w.len()];
                conv2d_backward(s, dy.operand(), Some((x.operand(), &mut alone_dw)), None, &mut ws);
                agree(&format!("{what}: dweight"), &alone_dw, &naive_dw);
                for accumulate in [false, true] {
                    let what = format!("{what}, accumulate {accumulate}");
                    let mut alone_dx = start.clone();
                    let input = InputGradient { weight: &w, dx: &mut alone_dx, accumulate, tally: Tally::None };
                    conv2d_backward(s, dy.operand(), None, Some(input), &mut ws);
                    let add = |(dx, start): (&f64, &f64)| dx + if accumulate { *start } else { 0.0 };
                    let expected: Vec<f64> = naive_dx.iter().zip(&start).map(add).collect();
                    agree(&format!("{what}: dx"), &alone_dx, &expected);
                    for mask in sums.masks() {
                        sums.check(&what, &alone_dx, mask, |dx, tally| {
                            dx.copy_from_slice(&start);
                            let (mut dw, mut ws) = (vec![7.0; w.len()], used_workspace());
                            let input = InputGradient { weight: &w, dx, accumulate, tally };
                            conv2d_backward(s, dy.operand(), Some((x.operand(), &mut dw)), Some(input), &mut ws);
                            assert!(bits(&dw) == bits(&alone_dw), "{what}: dweight alone has other bits");
                        });
                    }
                }
            });
        }
    }
}

const EPS: f64 = 1e-5;

/// Mean, 1/σ, scale and shift of a batch norm.
fn norm(mean: &[f64], var: &[f64], gamma: &[f64], beta: &[f64]) -> [Vec<f64>; 3] {
    let mut inv = vec![0.0; mean.len()];
    inverse_std(var, EPS, &mut inv);
    let scale: Vec<f64> = gamma.iter().zip(&inv).map(|(g, i)| g * i).collect();
    let shift = beta.iter().zip(mean).zip(&scale).map(|((b, m), s)| b - m * s).collect();
    [inv, scale, shift]
}

/// Slope and offset of the gradient's way through a batch norm, given `Σ g` and `Σ g·(x − mean)` over `rows`.
fn through([inv, scale, _]: &[Vec<f64>; 3], sum: &[f64], product: &[f64], rows: usize) -> [Vec<f64>; 2] {
    let slope = (0..sum.len()).map(|c| -scale[c] * inv[c] * inv[c] * product[c] / rows as f64).collect();
    [slope, (0..sum.len()).map(|c| -scale[c] * sum[c] / rows as f64).collect()]
}

/// `⟨g, bn₂(conv(relu(bn₁(x))))⟩` and its gradients for x, weight, γ₁ and β₁, both norms on the batch's statistics.
fn network(s: &ConvShape, [x, w, gamma, beta]: [&[f64]; 4], g: &[f64]) -> (f64, [Vec<f64>; 4]) {
    let (ci, co) = (s.in_channels, s.out_channels);
    let (rows, out_rows) = (x.len() / ci, g.len() / co);
    let (second_gamma, mut ws) = (normals("second gamma", co), Workspace::new());
    let [mut mean, mut var, mut sum, mut product] = [(); 4].map(|()| vec![0.0; ci]);
    let [mut y_mean, mut y_var, mut y_sum, mut y_product] = [(); 4].map(|()| vec![0.0; co]);
    tally_rows(ci, &mut x.to_vec(), Tally::Moments { mean: &mut mean, var: &mut var });
    let first = norm(&mean, &var, gamma, beta);
    let hidden = Operand::Normalized { x, scale: &first[1], shift: &first[2], relu: true };
    let mut y = vec![0.0; g.len()];
    conv2d_fused(s, &[(hidden, w)], &mut y, Tally::Moments { mean: &mut y_mean, var: &mut y_var }, &mut ws);
    let second = norm(&y_mean, &y_var, &second_gamma, &vec![0.5; co]);
    let z: Vec<f64> = y.iter().enumerate().map(|(i, y)| y * second[1][i % co] + second[2][i % co]).collect();

    let (mut dz, mask) = (g.to_vec(), Mask::Open);
    let tally = Tally::Products { x: &y, centre: &y_mean, mask, sum: &mut y_sum, product: &mut y_product };
    tally_rows(co, &mut dz, tally);
    let [slope, offset] = through(&second, &y_sum, &y_product, out_rows);
    let rest = Some(NormRest { slope: &slope, centre: &y_mean, offset: &offset });
    let dy = Operand::Through { v: &dz, x: &y, map: ThroughNorm { scale: &second[1], rest }, relu: None };
    let (mut dx, mut dw) = (vec![0.0; x.len()], vec![0.0; w.len()]);
    let mask = Mask::Normalized { scale: &first[1], shift: &first[2] };
    let tally = Tally::Products { x, centre: &mean, mask, sum: &mut sum, product: &mut product };
    let input = InputGradient { weight: w, dx: &mut dx, accumulate: false, tally };
    conv2d_backward(s, dy, Some((hidden, &mut dw)), Some(input), &mut ws);
    let [slope, offset] = through(&first, &sum, &product, rows);
    for (i, dx) in dx.iter_mut().enumerate() {
        let c = i % ci;
        *dx = first[1][c] * *dx + slope[c] * (x[i] - mean[c]) + offset[c];
    }
    let dgamma = product.iter().zip(&first[0]).map(|(p, i)| p * i).collect();
    (inner(&z, g), [dx, dw, dgamma, sum])
}

#[test]
fn gradients_through_norms_agree_with_central_differences() {
    for s in [shape(2, (6, 5), (16, 16), 3, [1, 1, 1, 1]), shape(2, (7, 5), (3, 5), 3, [2, 1, 1, 1])] {
        let values = [("x", s.input_len()), ("w", s.weight_len()), ("gamma", s.in_channels), ("beta", s.in_channels)]
            .map(|(name, len)| normals(name, len));
        let g = normals("g", s.output_len());
        on_each_path(|path| {
            let at = || std::array::from_fn(|i| values[i].as_slice());
            let (_, gradients) = network(&s, at(), &g);
            for (i, found) in gradients.iter().enumerate() {
                let expected = gradient(&values[i], |moved| {
                    let mut at = at();
                    at[i] = moved;
                    network(&s, at, &g).0
                });
                assert!(error(found, &expected) < 1e-7, "{path:?}, {s:?}, input {i}: {}", error(found, &expected));
            }
        });
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let many = [shape(37, (9, 8), (16, 16), 3, [1, 1, 1, 1]), shape(37, (9, 8), (16, 32), 3, [2, 1, 1, 4])];
    for s in LARGE.iter().chain(&many).chain(WHOLE) {
        let (x, dy) = (input("x", KINDS[2], s).single(), output("dy", KINDS[6], s).single());
        let dot = input("dot", KINDS[6], s).single();
        let [w, w_dot] = ["w", "w dot"].map(|name| single(&normals(name, s.weight_len())));
        let run = || {
            let (mut y, mut dw, mut dx) = (vec![7f32; dy.v.len()], vec![7f32; w.len()], dot.v.clone());
            let [mut mean, mut var] = [(); 2].map(|()| vec![7f32; s.out_channels]);
            let [mut sum, mut product] = [(); 2].map(|()| vec![7f32; s.in_channels]);
            let mut ws = Workspace::new();
            let moments = Tally::Moments { mean: &mut mean, var: &mut var };
            conv2d_fused(s, &[(x.operand(), &w), (dot.operand(), &w_dot)], &mut y, moments, &mut ws);
            let [_, _, centre, _, scale, shift] = &x.channel;
            let mask = Mask::Normalized { scale, shift };
            let tally = Tally::Products { x: &x.x, centre, mask, sum: &mut sum, product: &mut product };
            let input = InputGradient { weight: &w, dx: &mut dx, accumulate: true, tally };
            conv2d_backward(s, dy.operand(), Some((x.operand(), &mut dw)), Some(input), &mut ws);
            let all = [mean, var, sum, product, y, dx, dw].concat();
            assert!(all.iter().all(|v| v.is_finite()), "{s:?}");
            bits(&all)
        };
        on_each_path(|path| {
            let one = with_threads(1, run);
            assert!(one == with_threads(2, run) && one == with_threads(3, run), "{path:?}, {s:?}");
        });
    }
}
