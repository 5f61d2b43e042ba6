//! NaN and infinity reach every number that is made of them, and no other: convolutions, batch norm and pools on every vector
//! path, f32 and f64, on slices that begin one element into their buffer.
//!
//! What a special value must reach is what a plain f64 loop says. A convolution may spoil more, since a Winograd kernel works
//! out 2×2 outputs at once from sums over the whole patch: neighbours (of any alignment, so at most one pixel away) in the
//! same image and channel; for the weight's gradient, the other taps of the same pair of channels. Never fewer, and everything
//! else keeps its bits.

mod common;

use common::{normals, on_each_path};
use longtail_ops::{
    BatchNormShape, ConvShape, PoolShape, Real, Workspace, avg_pool, avg_pool_backward, batch_norm_apply,
    batch_norm_backward, batch_norm_jvp, batch_norm_statistics, conv2d, conv2d_backward_input, conv2d_backward_weight,
    max_pool, max_pool_backward, max_pool_tangent,
};

const SPECIAL: [f64; 2] = [f64::NAN, f64::INFINITY];

/// Numbers whose first lies one element into the buffer, and whose last ends it.
struct Unaligned<T>(Vec<T>);

impl<T: Real> Unaligned<T> {
    fn new(values: &[f64]) -> Self {
        Self(std::iter::once(T::ZERO).chain(values.iter().map(|&v| T::from_f64(v))).collect())
    }

    fn filled(len: usize) -> Self {
        Self::new(&vec![7.0; len])
    }
}

impl<T> std::ops::Deref for Unaligned<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0[1..]
    }
}

impl<T> std::ops::DerefMut for Unaligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0[1..]
    }
}

fn spoiled(values: &[f64]) -> Vec<bool> {
    values.iter().map(|v| !v.is_finite()).collect()
}

/// `found` is not finite where it `must` be, and the same as `clean` where it may not differ.
fn check<T: Real>(what: &str, found: &[T], clean: &[T], must: &[bool], may: &[bool]) {
    assert!(found.len() == clean.len() && found.len() == must.len() && found.len() == may.len(), "{what}: lengths");
    for (at, (&found, &clean)) in found.iter().zip(clean).enumerate() {
        assert!(clean.is_finite(), "{what}, {at}: {clean} without a special value");
        assert!(!must[at] || !found.is_finite(), "{what}, {at}: {found} hides the special value");
        assert!(may[at] || found == clean, "{what}, {at}: {found}, without the special value {clean}");
    }
}

/// Places in the last image: corners, edges, centre, in several channels.
fn places(batch: usize, height: usize, width: usize, channels: usize) -> Vec<usize> {
    let at = |y: usize, x: usize, c: usize| (((batch - 1) * height + y) * width + x) * channels + c;
    vec![
        at(0, 0, 0),
        at(height - 1, width - 1, channels - 1),
        at(0, width / 2, channels / 2),
        at(height / 2, width - 1, 0),
        at(height / 2, width / 2, channels - 1),
    ]
}

/// Every special value in every place: `(name, values with it)`.
fn with_special(values: &[f64], places: &[usize]) -> Vec<(String, Vec<f64>)> {
    let mut all = Vec::new();
    for &place in places {
        for special in SPECIAL {
            let mut changed = values.to_vec();
            changed[place] = special;
            all.push((format!("{special} at {place}"), changed));
        }
    }
    all
}

// ---- convolution

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

/// Calls `visit(output index, input index, weight index)` for every product of the convolution.
fn products(s: &ConvShape, mut visit: impl FnMut(usize, usize, usize)) {
    let (group_in, group_out) = (s.in_channels / s.groups, s.out_channels / s.groups);
    let inside = |out: usize, tap: usize, size: usize| {
        (out * s.stride + tap * s.dilation).checked_sub(s.padding).filter(|&at| at < size)
    };
    let (rows, columns, taps) = (s.out_height(), s.out_width(), s.kernel * s.kernel);
    for pixel in 0..s.batch * rows * columns {
        let (n, oy, ox) = (pixel / (rows * columns), pixel / columns % rows, pixel % columns);
        for tap in 0..taps {
            let (iy, ix) = (inside(oy, tap / s.kernel, s.height), inside(ox, tap % s.kernel, s.width));
            let (Some(iy), Some(ix)) = (iy, ix) else { continue };
            for o in 0..s.out_channels {
                let input = ((n * s.height + iy) * s.width + ix) * s.in_channels + o / group_out * group_in;
                for i in 0..group_in {
                    visit(pixel * s.out_channels + o, input + i, (o * group_in + i) * taps + tap);
                }
            }
        }
    }
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
                let may_y = and_neighbours(&case.y, (s.out_height(), s.out_width(), s.out_channels));
                let may_dx = and_neighbours(&case.dx, (s.height, s.width, s.in_channels));
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

// ---- batch norm

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
    batch_norm_jvp(
        &n.s,
        &x,
        &x_dot,
        &mean,
        &inv_std,
        &gamma,
        &gamma_dot,
        &beta_dot,
        None,
        open,
        &mut y_dot,
        batch_stats,
    );
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

// ---- pools

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
            let (mut largest, mut mean) = (Unaligned::<T>::filled(dy.len()), Unaligned::<T>::filled(dy.len()));
            let mut argmax = vec![77u8; dy.len()];
            max_pool(&s, &x, &mut largest, &mut argmax);
            avg_pool(&s, &x, &mut mean);
            (largest, mean, argmax)
        };
        on_each_path(|path| {
            let clean = forward(&x);
            for (name, x) in with_special(&x, &places(s.batch, height, width, channels)) {
                let what = format!("{path:?}, {s:?}, x is {name}");
                let found = forward(&x);
                let must: Vec<bool> = windows.iter().map(|window| window.iter().any(|&i| !x[i].is_finite())).collect();
                check(&format!("largest, {what}"), &found.0, &clean.0, &must, &must);
                check(&format!("mean, {what}"), &found.1, &clean.1, &must, &must);
                // A special value wins its windows, so the tangent there is its own.
                let mut tangent = Unaligned::<T>::filled(dy.len());
                max_pool_tangent(&s, &Unaligned::<T>::new(&x), &found.2, &mut tangent);
                assert_eq!(spoiled(&tangent.iter().map(|v| v.to_f64()).collect::<Vec<_>>()), must, "tangent, {what}");
            }
            let backward = |dy: &[f64]| {
                let dy = Unaligned::<T>::new(dy);
                let (mut to_largest, mut to_mean) = (Unaligned::<T>::filled(x.len()), Unaligned::<T>::filled(x.len()));
                max_pool_backward(&s, &dy, &clean.2, &mut to_largest);
                avg_pool_backward(&s, &dy, &mut to_mean);
                (to_largest, to_mean)
            };
            let untouched = backward(&dy);
            for (name, dy) in with_special(&dy, &places(s.batch, s.out_height(), s.out_width(), channels)) {
                let what = format!("{path:?}, {s:?}, dy is {name}");
                let found = backward(&dy);
                let place = dy.iter().position(|v| !v.is_finite()).expect("a special value");
                let winner = windows[place].iter().copied().reduce(|best, i| if x[i] > x[best] { i } else { best });
                let must: Vec<bool> = (0..x.len()).map(|i| Some(i) == winner).collect();
                check(&format!("to the largest, {what}"), &found.0, &untouched.0, &must, &must);
                let must: Vec<bool> = (0..x.len()).map(|i| windows[place].contains(&i)).collect();
                check(&format!("to the mean, {what}"), &found.1, &untouched.1, &must, &must);
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
