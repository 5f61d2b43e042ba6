//! The forms of heads: what each one's file says of it, and the list of them all.

use candle_core::Tensor;
use longtail_ops::{ChaCha8Rng, uniform};
use longtail_recipe::HeadKind;
use serde_json::{Map, Value};

use super::cosine::Cosine;
use super::linear::Linear;
use super::normed_linear::NormedLinear;
use super::scaled_linear::ScaledLinear;
use crate::prototype::unit_rows;
use crate::{Scalar, TrainingError};

/// One tensor of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Its name in files.
    pub name: &'static str,
    /// (K, d) if true, else (K).
    pub is_matrix: bool,
    /// What stands in it before training.
    pub fresh: Fresh,
}

/// How a head is initialised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fresh {
    /// Uniform in ±1/√d.
    ///
    /// # Source
    /// `torch.nn.Linear.reset_parameters` (Kaiming uniform with a = √5); methods.md §3.3 for the cosine head.
    Uniform,
    /// Rows of norm 1, uniform in ±1 before that.
    UnitRows,
    /// All ones.
    Ones,
}

/// What a form of head is. One file each.
pub(super) trait Form {
    /// As files call it.
    fn kind(&self) -> &'static str;

    /// Its tensors, in the order of the flat vector. The first is the weight, (K, d).
    fn blocks(&self) -> &'static [Block];

    /// Numbers beside the kind, for files.
    fn numbers(&self) -> Map<String, Value> {
        Map::new()
    }

    /// The logits (n, K) of features (n, d).
    fn logits(&self, blocks: &[Tensor], features: &Tensor) -> Result<Tensor, TrainingError>;
}

/// How logits come from a feature z and a class's row w_k.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum HeadForm {
    /// `z·w_k + b_k`.
    Linear,
    /// `s·cos(z, w_k)`, no bias.
    ///
    /// # Source
    /// methods.md §3.3, VMF CosNorm (s = 16).
    Cosine {
        /// Scale s of the cosines, above 0.
        scale: f64,
    },
    /// `cos(z, w_k)`; rows start with norm 1.
    NormedLinear,
    /// `(z·w_k + b_k)·f_k`: LWS.
    ///
    /// # Source
    /// methods.md §3.2: the bias is scaled too.
    ScaledLinear,
}

impl HeadForm {
    /// What files call the forms.
    pub(super) const KINDS: [&str; 4] = ["linear", "cosine", "normed_linear", "scaled_linear"];

    pub(super) fn form(self) -> Box<dyn Form> {
        match self {
            Self::Linear => Box::new(Linear),
            Self::Cosine { scale } => Box::new(Cosine { scale }),
            Self::NormedLinear => Box::new(NormedLinear),
            Self::ScaledLinear => Box::new(ScaledLinear),
        }
    }

    /// The form that a file's metadata names; else what is wrong with them.
    pub(super) fn read(metadata: &Value) -> Result<Self, String> {
        match metadata.get("kind").and_then(Value::as_str).unwrap_or("missing") {
            "linear" => Ok(Self::Linear),
            "cosine" => Cosine::read(metadata),
            "normed_linear" => Ok(Self::NormedLinear),
            "scaled_linear" => Ok(Self::ScaledLinear),
            other => Err(format!("the head's kind is `{other}`, expected `{}`", Self::KINDS.join("`, `"))),
        }
    }

    /// As errors and files call it.
    pub fn name(self) -> &'static str {
        self.form().kind()
    }
}

impl From<HeadKind> for HeadForm {
    fn from(kind: HeadKind) -> Self {
        match kind {
            HeadKind::Linear => Self::Linear,
            HeadKind::Cosine(scale) => Self::Cosine { scale },
            HeadKind::NormedLinear => Self::NormedLinear,
        }
    }
}

impl Block {
    /// The numbers in it.
    pub(super) fn len(&self, classes: usize, dim: usize) -> usize {
        if self.is_matrix { classes * dim } else { classes }
    }

    /// Shape of the tensor: `(K, d)` or `(K,)`.
    pub(super) fn shape(&self, classes: usize, dim: usize) -> Vec<usize> {
        if self.is_matrix { vec![classes, dim] } else { vec![classes] }
    }

    /// Fresh numbers, drawn in the order of memory.
    pub(super) fn draw<T: Scalar>(&self, rng: &mut ChaCha8Rng, classes: usize, dim: usize) -> Vec<T> {
        let len = self.len(classes, dim);
        let mut symmetric = |bound: f64| (2.0 * uniform(rng) - 1.0) * bound;
        match self.fresh {
            Fresh::Ones => vec![T::of(1.0); len],
            Fresh::Uniform => {
                let bound = 1.0 / (dim as f64).sqrt();
                (0..len).map(|_| T::of(symmetric(bound))).collect()
            }
            Fresh::UnitRows => {
                let values: Vec<f64> = (0..len).map(|_| symmetric(1.0)).collect();
                unit_rows(&values, dim).0.into_iter().map(T::of).collect()
            }
        }
    }
}
