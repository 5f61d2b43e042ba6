//! Names for the pieces of the two flat vectors: what is learned, and the running statistics.

use longtail_ops::{ChaCha8Rng, Real, normal};

/// What a piece of a flat vector is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ParamKind {
    /// A convolution's weight `(O, I, k, k)`.
    ConvWeight,
    /// A convolution's bias `(C)`, named `bias`.
    ConvBias,
    /// A batch norm's γ `(C)`, named `weight`.
    NormScale,
    /// A batch norm's β `(C)`, named `bias`.
    NormShift,
    /// A batch norm's running mean `(C)`.
    RunningMean,
    /// A batch norm's running variance `(C)`, unbiased.
    RunningVar,
}

/// The variance of a fresh convolution: 2 over the numbers that one of its outputs sums, or that one of its inputs goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConvInit {
    /// `2 / (I/groups·k·k)`: `torch.nn.init.kaiming_normal_(weight)` with its defaults, as LDAM's `models/resnet_cifar.py` has it.
    FanIn,
    /// `2 / (O·k·k)`: `kaiming_normal_(weight, mode="fan_out", nonlinearity="relu")`, as torchvision's `resnet.py` has it. Groups
    /// are not counted.
    FanOut,
}

impl ConvInit {
    /// The standard deviation for a weight `(O, I/groups, k, k)`.
    fn std(self, shape: &[usize]) -> f64 {
        let fan = match self {
            Self::FanIn => shape[1..].iter().product::<usize>(),
            Self::FanOut => shape[0] * shape[2..].iter().product::<usize>(),
        };
        (2.0 / fan as f64).sqrt()
    }
}

/// One named piece of a flat vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamEntry {
    /// torchvision-like name: `layer1.0.conv1.weight`.
    pub name: String,
    /// Shape in PyTorch's order.
    pub shape: Vec<usize>,
    /// Where it begins in the flat vector.
    pub offset: usize,
    /// What it is.
    pub kind: ParamKind,
}

impl ParamEntry {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Never true for an entry of a network.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its place in the flat vector.
    pub fn range(&self) -> std::ops::Range<usize> {
        self.offset..self.offset + self.len()
    }
}

/// The pieces of one flat vector, in their order, without gaps.
///
/// W, W − αg, a direction v, a momentum buffer and a gradient all share one index, so a step is a vector operation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParamIndex {
    entries: Vec<ParamEntry>,
    total: usize,
}

impl ParamIndex {
    /// Adds a piece at the end and says where it lies.
    pub(crate) fn push(&mut self, name: String, shape: Vec<usize>, kind: ParamKind) -> std::ops::Range<usize> {
        let entry = ParamEntry { name, shape, offset: self.total, kind };
        let range = entry.range();
        self.total = range.end;
        self.entries.push(entry);
        range
    }

    /// Elements of the whole vector.
    pub fn len(&self) -> usize {
        self.total
    }

    /// True when the vector has no elements.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// The pieces, in the order of the vector.
    pub fn entries(&self) -> &[ParamEntry] {
        &self.entries
    }

    /// The piece of that name.
    pub fn get(&self, name: &str) -> Option<&ParamEntry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// A vector of fresh values: convolutions Kaiming-normal by fan-in or fan-out, biases 0, γ = 1, β = 0, running mean 0, running
    /// variance 1.
    ///
    /// Normals are drawn in f64, one after another in the order of the vector, then rounded: f32 and f64 networks start alike.
    pub(crate) fn init<T: Real>(&self, conv_init: ConvInit, rng: &mut ChaCha8Rng) -> Vec<T> {
        let mut values = Vec::with_capacity(self.total);
        for entry in &self.entries {
            match entry.kind {
                ParamKind::ConvWeight => {
                    let std = conv_init.std(&entry.shape);
                    values.extend((0..entry.len()).map(|_| T::from_f64(std * normal(rng))));
                }
                ParamKind::NormScale | ParamKind::RunningVar => values.extend(std::iter::repeat_n(T::ONE, entry.len())),
                ParamKind::ConvBias | ParamKind::NormShift | ParamKind::RunningMean => {
                    values.extend(std::iter::repeat_n(T::ZERO, entry.len()))
                }
            }
        }
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_follow_one_another() {
        let mut index = ParamIndex::default();
        assert_eq!(index.push("a".into(), vec![2, 3], ParamKind::ConvWeight), 0..6);
        assert_eq!(index.push("b".into(), vec![4], ParamKind::NormScale), 6..10);
        assert_eq!((index.len(), index.get("b").expect("pushed").range()), (10, 6..10));
        assert!(index.get("c").is_none());
    }

    #[test]
    fn kaiming_normal_has_the_variance_of_its_fan_in() {
        let mut index = ParamIndex::default();
        index.push("w".into(), vec![64, 32, 3, 3], ParamKind::ConvWeight);
        index.push("g".into(), vec![2], ParamKind::NormScale);
        index.push("m".into(), vec![1], ParamKind::RunningMean);
        let values: Vec<f64> = index.init(ConvInit::FanIn, &mut longtail_ops::stream(1, "test", 0, 0));
        let count = 64 * 32 * 9;
        let variance = values[..count].iter().map(|v| v * v).sum::<f64>() / count as f64;
        assert!((variance * (32.0 * 9.0) / 2.0 - 1.0).abs() < 0.03, "{variance}");
        assert_eq!(values[count..], [1.0, 1.0, 0.0]);
        let again: Vec<f32> = index.init(ConvInit::FanIn, &mut longtail_ops::stream(1, "test", 0, 0));
        assert!(values.iter().zip(&again).all(|(&wide, &narrow)| wide as f32 == narrow));
        let by_fan_out: Vec<f64> = index.init(ConvInit::FanOut, &mut longtail_ops::stream(1, "test", 0, 0));
        assert!((by_fan_out[0] / values[0] - 0.5f64.sqrt()).abs() < 1e-12, "64 outputs, 32 inputs");
    }
}
