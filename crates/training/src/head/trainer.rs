//! Trains a head alone, on host feature batches: what every method of stage 3 does.
//!
//! The gradients are written out (three GEMMs a step at most), so an epoch of 50 000 features of 64 dimensions takes a
//! fraction of a second and a candle graph is never built.

use longtail_ops::gemm;

use super::{HeadForm, HeadShape, HeadWeights};
use crate::{ClassificationLoss, SgdRule, SgdSettings, StateReader, StateWriter, TrainingError};

/// Which weights a [`HeadTrainer`] moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TrainedPart {
    /// All of the head.
    #[default]
    All,
    /// Only the per-class scales of a scaled-linear head (LWS); rows and bias stay as they are, bit for bit.
    ClassScales,
}

/// How a [`HeadTrainer`] trains.
#[derive(Debug, Clone, PartialEq)]
pub struct HeadTrainerSettings {
    /// μ in [0, 1).
    pub momentum: f64,
    /// Nesterov's variant.
    pub nesterov: bool,
    /// Coupled, on all that is trained.
    pub weight_decay: f64,
    /// Plain cross-entropy, balanced softmax, ….
    pub loss: ClassificationLoss,
    /// All, or LWS's scales.
    pub part: TrainedPart,
}

impl Default for HeadTrainerSettings {
    fn default() -> Self {
        Self {
            momentum: 0.9,
            nesterov: false,
            weight_decay: 5e-4,
            loss: ClassificationLoss::cross_entropy(),
            part: TrainedPart::All,
        }
    }
}

/// A head, its optimiser and scratch.
#[derive(Debug, Clone)]
pub struct HeadTrainer {
    head: HeadWeights,
    settings: HeadTrainerSettings,
    sgd: SgdRule,
    /// The momentum of what is trained.
    momentum: Vec<f32>,
    steps: u64,
}

impl HeadTrainer {
    /// Goes on from `head`.
    ///
    /// # Errors
    /// If only scales are to be trained and the head has none.
    pub fn new(head: HeadWeights, settings: HeadTrainerSettings) -> Result<Self, TrainingError> {
        let len = match (settings.part, head.shape.form) {
            (TrainedPart::All, _) => head.values.len(),
            (TrainedPart::ClassScales, HeadForm::ScaledLinear) => head.shape.num_classes,
            (TrainedPart::ClassScales, form) => {
                return Err(TrainingError::Unsupported {
                    what: "training class scales only",
                    value: format!("a head of form {form:?} has none"),
                });
            }
        };
        let HeadTrainerSettings { momentum, nesterov, weight_decay, .. } = settings;
        let sgd = SgdRule::new(SgdSettings { momentum, nesterov, weight_decay }, None);
        Ok(Self { head, settings, sgd, momentum: vec![0.0; len], steps: 0 })
    }

    /// One SGD step on one batch of at least one row: its mean loss before the step.
    ///
    /// # Errors
    /// If sizes or labels do not fit, or a loss is not finite (the head is then as before that batch).
    pub fn step(&mut self, epoch: usize, lr: f64, features: &[f32], labels: &[u32]) -> Result<f64, TrainingError> {
        let shape = self.head.shape;
        TrainingError::check_size("features", features.len(), labels.len() * shape.feature_dim)?;
        let pass = ForwardPass::run(&self.head, features, labels.len());
        let mut dlogits = vec![0.0; pass.logits.len()];
        let loss =
            self.settings.loss.value_and_gradient(&pass.logits, labels, shape.num_classes, Some(&mut dlogits))?;
        TrainingError::check_finite("head/train_loss", loss, epoch, self.steps, lr)?;
        match self.settings.part {
            TrainedPart::All => {
                let gradient = pass.gradient(&self.head, features, &mut dlogits);
                self.sgd.step(lr, &mut self.head.values, &gradient, &mut self.momentum)?;
            }
            TrainedPart::ClassScales => {
                let gradient = class_sums(&dlogits, &pass.unscaled, shape.num_classes);
                let start = self.head.values.len() - shape.num_classes;
                self.sgd.step(lr, &mut self.head.values[start..], &gradient, &mut self.momentum)?;
            }
        }
        self.steps += 1;
        Ok(loss)
    }

    /// Logits (n, K) of features (n, d).
    ///
    /// # Errors
    /// If the size of `features` is no multiple of d.
    pub fn logits(&self, features: &[f32]) -> Result<Vec<f32>, TrainingError> {
        self.head.logits(features)
    }

    /// Adds weights, momentum and step count to a checkpoint.
    pub fn save(&self, out: &mut StateWriter) {
        out.vector("head.values", &self.head.values);
        out.vector("head.momentum", &self.momentum);
        out.counters("head.steps", &[self.steps]);
    }

    /// Takes weights, momentum and step count from a checkpoint: training goes on to the same bits.
    ///
    /// # Errors
    /// If something is missing or of another size; the trainer is then not to be used.
    pub fn restore(&mut self, from: &mut StateReader) -> Result<(), TrainingError> {
        self.head.values = from.vector_of("head.values", self.head.values.len())?;
        self.momentum = from.vector_of("head.momentum", self.momentum.len())?;
        [self.steps] = from.counters("head.steps")?;
        Ok(())
    }

    /// How it trains.
    pub fn settings(&self) -> &HeadTrainerSettings {
        &self.settings
    }

    /// The momentum of what is trained.
    pub fn momentum(&self) -> &[f32] {
        &self.momentum
    }

    /// Steps taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Takes over weights, momentum and step count from where it was trained in its place.
    ///
    /// # Errors
    /// Other sizes; the trainer is then not to be used.
    pub fn set_state(&mut self, values: Vec<f32>, momentum: Vec<f32>, steps: u64) -> Result<(), TrainingError> {
        TrainingError::check_size("head values", values.len(), self.head.values.len())?;
        self.head.values = values;
        TrainingError::check_size("head momentum", momentum.len(), self.momentum.len())?;
        self.momentum = momentum;
        self.steps = steps;
        Ok(())
    }

    /// The head as it is now.
    pub fn head(&self) -> &HeadWeights {
        &self.head
    }
}

impl HeadWeights {
    /// Logits (n, K) of features (n, d).
    ///
    /// # Errors
    /// If the size of `features` is no multiple of d.
    pub fn logits(&self, features: &[f32]) -> Result<Vec<f32>, TrainingError> {
        let rows = features.len() / self.shape.feature_dim.max(1);
        TrainingError::check_size("features", features.len(), rows * self.shape.feature_dim)?;
        Ok(ForwardPass::run(self, features, rows).logits)
    }
}

/// What a forward leaves for the gradient.
struct ForwardPass {
    rows: usize,
    /// (n, K), before the class scales of LWS; empty for the other forms.
    unscaled: Vec<f32>,
    /// (n, K).
    logits: Vec<f32>,
    /// Unit features (n, d), unit rows (K, d) and the rows' norms (K) of a cosine head.
    unit: Option<(Vec<f32>, Vec<f32>, Vec<f32>)>,
}

impl ForwardPass {
    fn run(head: &HeadWeights, features: &[f32], rows: usize) -> Self {
        let HeadShape { form, num_classes: classes, feature_dim: dim } = head.shape;
        let mut logits = vec![0.0; rows * classes];
        let (mut unscaled, mut unit) = (Vec::new(), None);
        match form {
            HeadForm::Cosine { scale } => {
                let (features, _) = unit_rows(features, dim);
                let (weight, norms) = unit_rows(head.weight(), dim);
                rows_times_rows(&features, &weight, rows, classes, dim, scale as f32, &mut logits);
                unit = Some((features, weight, norms));
            }
            HeadForm::Linear | HeadForm::ScaledLinear => {
                rows_times_rows(features, head.weight(), rows, classes, dim, 1.0, &mut logits);
                let bias = head.bias().expect("linear heads have a bias");
                for row in logits.chunks_exact_mut(classes) {
                    row.iter_mut().zip(bias).for_each(|(logit, bias)| *logit += bias);
                }
                if let Some(scales) = head.class_scales() {
                    unscaled.clone_from(&logits);
                    for row in logits.chunks_exact_mut(classes) {
                        row.iter_mut().zip(scales).for_each(|(logit, scale)| *logit *= scale);
                    }
                }
            }
        }
        Self { rows, unscaled, logits, unit }
    }

    /// The gradient of the whole head, flat; `dlogits` is used as scratch.
    fn gradient(&self, head: &HeadWeights, features: &[f32], dlogits: &mut [f32]) -> Vec<f32> {
        let HeadShape { form, num_classes: classes, feature_dim: dim } = head.shape;
        let mut gradient = vec![0.0; head.values.len()];
        match (form, &self.unit) {
            (HeadForm::Cosine { scale }, Some((features, unit, norms))) => {
                columns_times_rows(dlogits, features, self.rows, classes, dim, scale as f32, &mut gradient);
                // Back through w/‖w‖: (g − ⟨g, ŵ⟩ŵ)/‖w‖.
                for ((row, unit), norm) in gradient.chunks_exact_mut(dim).zip(unit.chunks_exact(dim)).zip(norms) {
                    let along: f32 = row.iter().zip(unit).map(|(g, w)| g * w).sum();
                    row.iter_mut().zip(unit).for_each(|(g, w)| *g = (*g - along * w) / norm);
                }
            }
            _ => {
                let start = head.shape.weight_len();
                if let Some(scales) = head.class_scales() {
                    let sums = class_sums(dlogits, &self.unscaled, classes);
                    gradient[start + classes..].copy_from_slice(&sums);
                    for row in dlogits.chunks_exact_mut(classes) {
                        row.iter_mut().zip(scales).for_each(|(d, scale)| *d *= scale);
                    }
                }
                let (weight, rest) = gradient.split_at_mut(start);
                columns_times_rows(dlogits, features, self.rows, classes, dim, 1.0, weight);
                for row in dlogits.chunks_exact(classes) {
                    rest[..classes].iter_mut().zip(row).for_each(|(sum, d)| *sum += d);
                }
            }
        }
        gradient
    }
}

/// `out (n, K) = scale · a (n, d) · b (K, d)ᵀ`.
fn rows_times_rows(a: &[f32], b: &[f32], rows: usize, classes: usize, dim: usize, scale: f32, out: &mut [f32]) {
    gemm(rows, classes, dim, scale, a, (dim, 1), b, (1, dim), 0.0, out, (classes, 1));
}

/// `out (K, d) = scale · a (n, K)ᵀ · b (n, d)`.
fn columns_times_rows(a: &[f32], b: &[f32], rows: usize, classes: usize, dim: usize, scale: f32, out: &mut [f32]) {
    gemm(classes, dim, rows, scale, a, (1, classes), b, (dim, 1), 0.0, out, (dim, 1));
}

/// `out_k = Σ_i a_ik·b_ik`.
fn class_sums(a: &[f32], b: &[f32], classes: usize) -> Vec<f32> {
    let mut sums = vec![0.0; classes];
    for (a, b) in a.chunks_exact(classes).zip(b.chunks_exact(classes)) {
        for class in 0..classes {
            sums[class] += a[class] * b[class];
        }
    }
    sums
}

/// Rows over their norm, and the norms, at least 1e-12.
fn unit_rows(rows: &[f32], dim: usize) -> (Vec<f32>, Vec<f32>) {
    let mut unit = rows.to_vec();
    let norms = unit
        .chunks_exact_mut(dim)
        .map(|row| {
            let norm = row.iter().map(|value| value * value).sum::<f32>().sqrt().max(1e-12);
            row.iter_mut().for_each(|value| *value /= norm);
            norm
        })
        .collect();
    (unit, norms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Head, Scalar};

    const FEATURES: [f32; 6] = [1.0, 0.5, -0.25, 2.0, 0.0, -1.0];
    const LABELS: [u32; 2] = [2, 0];

    fn head(form: HeadForm) -> HeadWeights {
        let shape = HeadShape { form, num_classes: 4, feature_dim: 3 };
        let values = (0..shape.len()).map(|index| ((index * 7 % 11) as f32 - 5.0) / 4.0).collect();
        HeadWeights::new(shape, values).expect("sizes fit")
    }

    #[test]
    fn the_written_out_gradient_is_candles() {
        for form in [HeadForm::Linear, HeadForm::Cosine { scale: 16.0 }, HeadForm::ScaledLinear] {
            let head = head(form);
            let flat = f32::constant(&head.values, &[head.values.len()]).expect("a vector");
            let graph = Head::variables(&head.shape, &flat).expect("sizes fit");
            let features = f32::constant(&FEATURES, &[2, 3]).expect("2·3");
            let logits = graph.logits(&features).expect("fits");
            let loss = ClassificationLoss::cross_entropy().forward(&logits, &LABELS).expect("fits");
            let expected = graph.gradient(&loss.backward().expect("differentiable")).expect("floats");
            let expected = f32::values(&expected).expect("f32");
            let settings = HeadTrainerSettings { momentum: 0.0, weight_decay: 0.0, ..Default::default() };
            let mut trainer = HeadTrainer::new(head.clone(), settings).expect("all parts");
            trainer.step(0, 1.0, &FEATURES, &LABELS).expect("fits");
            for (index, expected) in expected.iter().enumerate() {
                let actual = head.values[index] - trainer.head().values[index];
                assert!((actual - expected).abs() < 2e-6, "{form:?} [{index}]: {actual} is not {expected}");
            }
        }
    }

    #[test]
    fn lws_moves_scales_only_and_lowers_the_loss() {
        let before = head(HeadForm::ScaledLinear);
        let settings = HeadTrainerSettings { part: TrainedPart::ClassScales, ..Default::default() };
        let mut trainer = HeadTrainer::new(before.clone(), settings.clone()).expect("has scales");
        let losses: Vec<f64> =
            (0..20).map(|epoch| trainer.step(epoch, 0.05, &FEATURES, &LABELS).expect("fits")).collect();
        assert!(losses[19] < losses[0]);
        assert_eq!((trainer.head().weight(), trainer.head().bias()), (before.weight(), before.bias()));
        assert!(HeadTrainer::new(head(HeadForm::Linear), settings).is_err());
    }

    #[test]
    fn separable_features_are_learnt() {
        let features: Vec<f32> = (0..40).flat_map(|index| [if index % 2 == 0 { 1.0 } else { -1.0 }, 0.3]).collect();
        let labels: Vec<u32> = (0..40).map(|index| index % 2).collect();
        let shape = HeadShape { form: HeadForm::Linear, num_classes: 2, feature_dim: 2 };
        let head = HeadWeights::new(shape, vec![0.0; shape.len()]).expect("sizes fit");
        let mut trainer = HeadTrainer::new(head, HeadTrainerSettings::default()).expect("all parts");
        for epoch in 0..10 {
            for (features, labels) in features.chunks(16).zip(labels.chunks(8)) {
                trainer.step(epoch, 0.5, features, labels).expect("fits");
            }
        }
        assert_eq!(crate::argmax_rows(&trainer.logits(&features).expect("fits"), 2), labels);
    }

    #[test]
    fn a_restored_trainer_goes_on_to_the_same_bits() {
        let before = head(HeadForm::Cosine { scale: 16.0 });
        let mut straight = HeadTrainer::new(before.clone(), HeadTrainerSettings::default()).expect("all parts");
        straight.step(0, 0.1, &FEATURES, &LABELS).expect("fits");
        let mut writer = StateWriter::default();
        straight.save(&mut writer);
        let mut resumed = HeadTrainer::new(before, HeadTrainerSettings::default()).expect("all parts");
        resumed.restore(&mut StateReader::new("test", writer.into_tensors())).expect("saved above");
        straight.step(1, 0.1, &FEATURES, &LABELS).expect("fits");
        resumed.step(1, 0.1, &FEATURES, &LABELS).expect("fits");
        assert_eq!(straight.head(), resumed.head());
    }

    #[test]
    fn a_loss_that_is_not_finite_stops_before_the_update() {
        let before = head(HeadForm::Linear);
        let mut trainer = HeadTrainer::new(before.clone(), HeadTrainerSettings::default()).expect("all parts");
        let error = trainer.step(4, 0.1, &[f32::NAN; 6], &LABELS).expect_err("NaN features").to_string();
        assert!(error.contains("head/train_loss") && error.contains("epoch 4"), "{error}");
        assert_eq!(trainer.head(), &before);
    }
}
