//! How likely each bit is: adaptive probabilities under several contexts, mixed by weights that adapt as well.

use super::range_coder::BitCoder;

/// How many contexts a bit is looked up in.
pub(super) const CONTEXTS: usize = 7;
/// Inputs of the mixer: one a context and one that is always the same.
const MIXED: usize = 8;
/// Contexts of one kind.
pub(super) const ROWS: usize = 2048;
/// Bits of one value that have statistics of their own.
const NODES: usize = 96;
/// Sets of mixing weights that the caller chooses from, twice; the sum of the two chosen ones mixes.
pub(super) const MIXES: usize = 48;
/// How slowly a probability moves once it is settled.
const SETTLED: u32 = 1000;
const RATE: f32 = 0.0025;

/// Codes values in `0..=255` as distances from a prediction.
pub(super) struct Model {
    /// `(kind, row, node)`: probability in the upper 22 bits, count in the lower 10.
    slots: Vec<u32>,
    weights: Vec<[f32; MIXED]>,
    stretch: Vec<f32>,
    squash: Vec<f32>,
    reciprocal: Vec<u32>,
}

/// `e^x` by a series, in nothing but multiplications and additions: the same on every machine.
fn exp(x: f64) -> f64 {
    let x = x / 1024.0;
    let mut sum = 1.0;
    for n in (1..12).rev() {
        sum = 1.0 + sum * x / f64::from(n);
    }
    for _ in 0..10 {
        sum *= sum;
    }
    sum
}

/// `ln(p / (1 - p))` by Newton's steps on [`exp`].
fn logit(p: f64) -> f64 {
    let odds = p / (1.0 - p);
    let mut x = 0.0;
    for _ in 0..40 {
        let e = exp(x);
        x += 2.0 * (odds - e) / (odds + e);
    }
    x
}

impl Model {
    pub(super) fn new() -> Self {
        Self {
            slots: vec![1 << 31; CONTEXTS * ROWS * NODES],
            weights: vec![[0.125; MIXED]; 2 * MIXES * NODES],
            stretch: (0..4096).map(|i| logit((f64::from(i) + 0.5) / 4096.0) as f32).collect(),
            squash: (0..4096).map(|i| (1.0 / (1.0 + exp(-(f64::from(i) - 2048.0) / 170.0))) as f32).collect(),
            reciprocal: (0..1024u32).map(|n| (65_536.0 / (f64::from(n) + 1.6)) as u32).collect(),
        }
    }

    /// Codes one bit at `node` of the value.
    #[inline]
    fn bit<C: BitCoder>(
        &mut self,
        coder: &mut C,
        rows: &[usize; CONTEXTS],
        mixes: [usize; 2],
        node: usize,
        bit: bool,
    ) -> bool {
        let mut inputs = [0.3f32; MIXED];
        let mut found = [0u32; CONTEXTS];
        for k in 0..CONTEXTS {
            found[k] = self.slots[rows[k] + node];
            inputs[k] = self.stretch[(found[k] >> 20) as usize];
        }
        let sets = [mixes[0] * NODES + node, (MIXES + mixes[1]) * NODES + node];
        let mut lanes = [0.0f32; 4];
        for set in sets {
            let weights = &self.weights[set];
            for lane in 0..4 {
                lanes[lane] += inputs[lane] * weights[lane] + inputs[lane + 4] * weights[lane + 4];
            }
        }
        let sum = (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]);
        let at = ((sum * 170.0 + 2048.5) as i32).clamp(0, 4095) as usize;
        let p = self.squash[at];
        let bit = coder.code(bit, ((p * 65_536.0) as u32).clamp(24, 65_512));
        let rate = (if bit { 1.0 - p } else { -p }) * RATE;
        for set in sets {
            let weights = &mut self.weights[set];
            for k in 0..MIXED {
                weights[k] += rate * inputs[k];
            }
        }
        let target = if bit { (1 << 22) - 1 } else { 0 };
        for k in 0..CONTEXTS {
            let (p, count) = ((found[k] >> 10) as i32, found[k] & 1023);
            let step = (i64::from(target - p) * i64::from(self.reciprocal[count as usize])) >> 16;
            let count = if count < SETTLED { count + 1 } else { count };
            self.slots[rows[k] + node] = (((p + step as i32) as u32) << 10) | count;
        }
        bit
    }

    /// Codes `actual` (which a decoder does not know, and passes anything for) as a distance from `floor`, `-1..=255`.
    ///
    /// First, whether the value is above `floor`; then how far, as an exponent in unary and the bits below it. Bits that
    /// would leave `0..=255` are not coded. `rows[k]` is below [`ROWS`], `mixes[k]` below [`MIXES`].
    #[inline]
    pub(super) fn value<C: BitCoder>(
        &mut self,
        coder: &mut C,
        contexts: &[usize; CONTEXTS],
        mixes: [usize; 2],
        floor: i32,
        actual: u8,
    ) -> u8 {
        let rows: [usize; CONTEXTS] = std::array::from_fn(|k| (k * ROWS + contexts[k]) * NODES);
        let actual = i32::from(actual);
        let above = if floor < 0 {
            true
        } else if floor >= 255 {
            false
        } else {
            self.bit(coder, &rows, mixes, 0, actual > floor)
        };
        let (distance, most) = if above { (actual - floor, 255 - floor) } else { (floor - actual + 1, floor + 1) };
        let side = usize::from(above);
        let distance = distance.clamp(1, most) as u32;
        let most = most as u32;
        let bits = 31 - distance.leading_zeros();
        let mut exponent = 0;
        while 2u32 << exponent <= most {
            if !self.bit(coder, &rows, mixes, 1 + 2 * exponent as usize + side, bits > exponent) {
                break;
            }
            exponent += 1;
        }
        let mut prefix = 1u32;
        for below in (0..exponent).rev() {
            if ((prefix << 1) | 1) << below > most {
                prefix <<= 1;
                continue;
            }
            let tree = if prefix < 8 { prefix as usize } else { 0 };
            let node = 24 + 8 * exponent as usize + tree;
            prefix = (prefix << 1) | u32::from(self.bit(coder, &rows, mixes, node, (distance >> below) & 1 == 1));
        }
        let value = if above { floor + prefix as i32 } else { floor + 1 - prefix as i32 };
        value as u8
    }
}
