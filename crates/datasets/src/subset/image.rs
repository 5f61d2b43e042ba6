//! One image: what is predicted of each value, under which contexts its bits are coded, what is learned from it.

use super::model::{CONTEXTS, Model};
use super::predict::{INPUTS, LeastSquares};
use super::range_coder::BitCoder;

/// Columns on either side of an image that stand in for neighbours outside it.
pub(super) const SIDE: usize = 3;
/// Rows above an image that do so.
pub(super) const ABOVE: usize = 2;

/// One channel of the current image, with a border.
struct Plane {
    values: Vec<f32>,
    /// How far each value was from its prediction, in sixteenths.
    errors: Vec<i32>,
}

/// What both ends know before a value: its prediction and the contexts of its bits.
struct Guess {
    inputs: [f32; INPUTS],
    base: f32,
    weight: f32,
    /// In sixteenths of a value, within `0..=255 * 16`; bits are coded up and down from between its floor and the next.
    prediction: i32,
    contexts: [usize; CONTEXTS],
    mixes: [usize; 2],
    bias: [usize; 2],
}

/// All that is learned, and the planes of the current image.
pub(super) struct State {
    height: usize,
    width: usize,
    stride: usize,
    order: &'static [usize],
    planes: Vec<Plane>,
    predictors: Vec<LeastSquares>,
    model: Model,
    /// Sum and count of errors in each context.
    biases: Vec<(i32, i32)>,
}

/// Which of sixteen sizes a magnitude in sixteenths is, in steps that grow with it.
#[inline]
fn size(x: i32) -> usize {
    const STEPS: [i32; 15] = [8, 13, 18, 24, 31, 39, 49, 61, 76, 95, 119, 151, 196, 265, 390];
    STEPS.iter().map(|&s| usize::from(x >= s)).sum()
}

/// Which of seven a signed difference in sixteenths is.
#[inline]
fn sign7(x: i32) -> usize {
    const STEPS: [i32; 6] = [-80, -28, -6, 7, 29, 81];
    STEPS.iter().map(|&s| usize::from(x >= s)).sum()
}

impl State {
    pub(super) fn new((height, width, channels): (usize, usize, usize)) -> Self {
        let order: &[usize] = if channels == 3 { &[1, 0, 2] } else { &[0] };
        let stride = width + 2 * SIDE;
        let len = stride * (height + ABOVE);
        Self {
            height,
            width,
            stride,
            order,
            planes: (0..channels).map(|_| Plane { values: vec![128.0; len], errors: vec![0; len] }).collect(),
            predictors: (0..channels).map(|_| LeastSquares::new()).collect(),
            model: Model::new(),
            biases: vec![(0, 0); 2 * 3 * 1024],
        }
    }

    /// Codes one image, `(H, W, C)`: an encoder reads `image`, a decoder writes it.
    pub(super) fn image<C: BitCoder>(&mut self, coder: &mut C, image: &mut [u8]) {
        let channels = self.order.len();
        for predictor in &mut self.predictors {
            predictor.start_image();
        }
        for y in 0..self.height {
            let row = (y + ABOVE) * self.stride + SIDE;
            self.border(y, row);
            for x in 0..self.width {
                let pixel = &mut image[(y * self.width + x) * channels..][..channels];
                for step in 0..channels {
                    let channel = self.order[step];
                    let guess = self.guess(step, row + x);
                    let actual = &mut pixel[channel];
                    let floor = guess.prediction >> 4;
                    *actual = self.model.value(coder, &guess.contexts, guess.mixes, floor, *actual);
                    self.learn(channel, row + x, &guess, *actual);
                }
                if y == 0 {
                    self.first_row(row + x);
                }
            }
        }
    }

    /// Fills what lies left of row `y` and right of the row before it.
    fn border(&mut self, y: usize, row: usize) {
        let (stride, width) = (self.stride, self.width);
        for plane in &mut self.planes {
            if y == 0 {
                plane.values[..row + SIDE].fill(128.0);
                plane.errors[..row + SIDE].fill(160);
                continue;
            }
            let above = row - stride;
            let (first, last) = (plane.values[above], plane.values[above + width - 1]);
            let (first_error, last_error) = (plane.errors[above], plane.errors[above + width - 1]);
            plane.values[row - SIDE..row].fill(first);
            plane.errors[row - SIDE..row].fill(first_error);
            plane.values[above + width..above + width + SIDE].fill(last);
            plane.errors[above + width..above + width + SIDE].fill(last_error);
            if y == 1 {
                let from = above - SIDE..above - SIDE + stride;
                plane.values.copy_within(from.clone(), 0);
                plane.values.copy_within(from.clone(), stride);
                plane.errors.copy_within(from.clone(), 0);
                plane.errors.copy_within(from, stride);
            }
        }
    }

    /// In the first row the value to the left stands in for all those above.
    fn first_row(&mut self, at: usize) {
        for plane in &mut self.planes {
            let (value, error) = (plane.values[at], plane.errors[at]);
            for row in 1..=ABOVE {
                let above = at - row * self.stride;
                plane.values[above - 1..above + SIDE + 1].fill(value);
                plane.errors[above - 1..above + SIDE + 1].fill(error);
            }
        }
    }

    /// The prediction of the value at `at` of the channel coded at `step` of a pixel.
    #[inline]
    fn guess(&self, step: usize, at: usize) -> Guess {
        let channel = self.order[step];
        let up = at - self.stride;
        let up2 = up - self.stride;
        let v = &self.planes[channel].values;
        let (w, n, nw, ne) = (v[at - 1], v[up], v[up - 1], v[up + 1]);
        let (ww, nn) = (v[at - 2], v[up2]);
        let base = (w + n) * 0.5;
        let mut inputs = [0.0; INPUTS];
        inputs[0] = w - n;
        inputs[1] = nw - base;
        inputs[2] = ne - base;
        inputs[3] = ww - base;
        inputs[4] = nn - base;
        inputs[5] = v[up + 2] - base;
        let mut filled = 6;
        if step == 0 {
            inputs[6] = v[up - 2] - base;
            inputs[7] = v[up2 + 1] - base;
            filled = 8;
        }
        // The latest known channel counts most: it has one more neighbour.
        let mut cross = 0;
        for (nth, &other) in self.order[..step].iter().rev().chain(&self.order[step + 1..]).enumerate() {
            let known = nth < step;
            let v = &self.planes[other].values;
            let (w, n) = (v[at - 1], v[up]);
            let mean = (w + n) * 0.5;
            if known {
                inputs[filled] = v[at] - mean;
                filled += 1;
                if nth == 0 {
                    cross = (inputs[filled - 1] * 16.0) as i32;
                }
            }
            let rest = [w - n, v[up - 1] - mean, v[up + 1] - mean, v[at - 2] - mean, v[up2] - mean];
            let take = match (step, nth) {
                (0, _) => 4,
                (1, 0) => 5,
                (1, _) => 4,
                (_, 0) => 5,
                (_, _) => 3,
            };
            inputs[filled..filled + take].copy_from_slice(&rest[..take]);
            filled += take;
        }

        let e = &self.planes[channel].errors;
        let (ew, en, enw, ene) = (e[at - 1], e[up], e[up - 1], e[up + 1]);
        let near = (2 * (ew.abs() + en.abs()) + enw.abs() + ene.abs()) / 6;
        let wide = (e[at - 2].abs() + e[up2].abs() + e[up + 2].abs() + ew.abs() + en.abs() + enw.abs() + ene.abs()) / 7;
        let gradient = ((w - nw).abs() + (n - nw).abs() + (n - ne).abs() + (w - ww).abs() + (n - nn).abs()) * 3.2;
        let gradient = gradient as i32;
        let mut other = 0;
        let mut signs = 3;
        let mut scale = near;
        if step > 0 {
            let first = self.planes[self.order[step - 1]].errors[at];
            other = first.abs();
            signs = sign7(first);
            if step > 1 {
                other = (other * 2 + self.planes[self.order[0]].errors[at].abs()) / 3;
            }
            scale = (near * 3 + other * 2) / 5;
        }
        let scale = size((scale * 2 + wide) / 3);
        let median = (w + n - nw).max(w.min(n)).min(w.max(n));

        let raw = ((base + self.predictors[channel].predict(&inputs)).clamp(0.0, 255.0) * 16.0) as i32;
        let texture = [nw, ne, ww, nn, w, n]
            .iter()
            .enumerate()
            .fold(0usize, |t, (i, &v)| t | usize::from(v * 16.0 > raw as f32) << i);
        let bias =
            [channel * 1024 + texture * 16 + scale, 3072 + channel * 1024 + (sign7(ew) * 7 + sign7(en)) * 7 + signs];
        let shift: i32 = bias.iter().map(|&b| self.biases[b].0 / (self.biases[b].1 + 4)).sum::<i32>() / 2;
        let prediction = (raw + shift).clamp(0, 255 * 16);
        let fraction = (prediction & 15) as usize / 2;
        let from_median = ((median * 16.0) as i32 - prediction).clamp(-10_000, 10_000);
        let contexts = [
            (channel * 16 + scale) * 8 + fraction,
            (channel * 16 + size(near)) * 16 + size(wide.max(gradient / 2)),
            (channel * 16 + size(gradient)) * 16 + size(other),
            ((sign7(ew) * 7 + sign7(en)) * 4 + scale / 4) * 3 + channel,
            ((prediction >> 7) as usize * 16 + scale) * 3 + channel,
            ((sign7(from_median) * 7 + signs) * 8 + scale / 2) * 3 + channel,
            ((sign7(cross) * 16 + size(wide)) * 4 + fraction / 2) * 3 + channel,
        ];
        let spread = (w - n).abs() + (nw - n).abs() + (ne - n).abs();
        let weight = 1.0 / (16.0 + spread);
        let mixes = [channel * 16 + scale, channel * 16 + size(if step == 0 { gradient } else { other })];
        Guess { inputs, base, weight, prediction, contexts, mixes, bias }
    }

    #[inline]
    fn learn(&mut self, channel: usize, at: usize, guess: &Guess, actual: u8) {
        let value = f32::from(actual);
        let plane = &mut self.planes[channel];
        plane.values[at] = value;
        let error = i32::from(actual) * 16 - guess.prediction;
        plane.errors[at] = error;
        for &bias in &guess.bias {
            let (sum, count) = &mut self.biases[bias];
            *sum += error;
            *count += 1;
            if *count >= 128 {
                *sum /= 2;
                *count /= 2;
            }
        }
        self.predictors[channel].learn(&guess.inputs, value - guess.base, guess.weight);
    }
}
