//! Trains a head alone, on batches of features: what every method of stage 3 does.

use std::sync::Arc;

use candle_core::{Device, Tensor, Var};
use longtail_backbone::host::read;

use super::{Head, HeadShape, HeadWeights};
use crate::step::StepAt;
use crate::{
    ClassificationLoss, CrossEntropy, Scalar, Sgd, SgdSettings, StateReader, StateWriter, TrainingError, to_f32,
};

/// Which weights a [`HeadTrainer`] moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TrainedPart {
    /// All of the head.
    #[default]
    All,
    /// Only the per-class scales of a scaled-linear head (LWS); rows and bias stay as they are, bit for bit.
    ClassScales,
}

impl TrainedPart {
    /// Whether it holds the head's tensor of that name.
    fn holds(self, block: &str) -> bool {
        match self {
            Self::All => true,
            Self::ClassScales => block == "scale",
        }
    }
}

/// How a [`HeadTrainer`] trains.
#[derive(Debug, Clone)]
pub struct HeadTrainerSettings {
    /// Momentum μ in [0, 1).
    pub momentum: f64,
    /// Nesterov's variant.
    pub nesterov: bool,
    /// Coupled, on all that is trained.
    pub weight_decay: f64,
    /// Plain cross-entropy, balanced softmax, ….
    pub loss: Arc<dyn ClassificationLoss>,
    /// All, or LWS's scales.
    pub part: TrainedPart,
}

impl Default for HeadTrainerSettings {
    fn default() -> Self {
        Self {
            momentum: 0.9,
            nesterov: false,
            weight_decay: 5e-4,
            loss: Arc::new(CrossEntropy::default()),
            part: TrainedPart::All,
        }
    }
}

/// A head and its optimiser.
#[derive(Debug)]
pub struct HeadTrainer {
    shape: HeadShape,
    head: Head,
    settings: HeadTrainerSettings,
    /// An optimiser for each tensor that is trained.
    optimizers: Vec<Sgd>,
    steps: u64,
}

impl HeadTrainer {
    /// Goes on from `head`.
    ///
    /// # Errors
    /// If only scales are to be trained and the head has none.
    pub fn new(head: HeadWeights, settings: HeadTrainerSettings) -> Result<Self, TrainingError> {
        let shape = head.shape;
        let head = in_graph(&head, settings.part)?;
        let HeadTrainerSettings { momentum, nesterov, weight_decay, .. } = settings;
        let of_block = |block| Sgd::new(SgdSettings { momentum, nesterov, weight_decay }, block, None);
        let optimizers = trained(&head).map(of_block).collect::<Result<Vec<_>, _>>()?;
        if optimizers.is_empty() {
            return Err(TrainingError::Unsupported {
                what: "training class scales only",
                value: format!("a head of form `{}` has none", shape.form.name()),
            });
        }
        Ok(Self { head, shape, settings, optimizers, steps: 0 })
    }

    /// One SGD step on one batch of at least one row: its mean loss before the step. `at` need not know the step's number.
    ///
    /// # Shapes
    /// - `features`: (n, d), f32  - `labels`: (n)
    /// # Errors
    /// If sizes or labels do not fit, or a loss is not finite (the head is then as before that batch).
    pub fn step(&mut self, at: &StepAt, features: &Tensor, labels: &[u32]) -> Result<f64, TrainingError> {
        TrainingError::check_size("features", features.elem_count(), labels.len() * self.shape.feature_dim)?;
        let at = StepAt { step: self.steps, ..*at };
        let loss = self.settings.loss.forward(&self.head.logits(features)?, labels, &at)?;
        let value = f64::from(loss.to_scalar::<f32>()?);
        TrainingError::check_finite("head/train_loss", value, at.epoch, at.step, at.lr)?;
        let gradients = loss.backward()?;
        for (block, optimizer) in trained(&self.head).zip(&mut self.optimizers) {
            let gradient = match gradients.get(block) {
                Some(gradient) => gradient.contiguous()?,
                None => block.zeros_like()?,
            };
            optimizer.step(at.lr, block, &gradient)?;
        }
        self.steps += 1;
        Ok(value)
    }

    /// Adds weights, momentum and step count to a checkpoint.
    ///
    /// # Errors
    /// A device that fails.
    pub fn save(&self, out: &mut StateWriter) -> Result<(), TrainingError> {
        out.vector("head.values", &self.values()?);
        out.vector("head.momentum", &self.momentum()?);
        out.counters("head.steps", &[self.steps]);
        Ok(())
    }

    /// Takes weights, momentum and step count from a checkpoint: training goes on to the same bits.
    ///
    /// # Errors
    /// If something is missing or of another size; the trainer is then not to be used.
    pub fn restore(&mut self, from: &mut StateReader) -> Result<(), TrainingError> {
        let values = from.vector_of("head.values", self.shape.len())?;
        let momentum = from.vector_of("head.momentum", self.trained_len())?;
        let [steps] = from.counters("head.steps")?;
        self.set_state(values, momentum, steps)
    }

    /// Returns the settings of the trainer.
    pub fn settings(&self) -> &HeadTrainerSettings {
        &self.settings
    }

    /// The momentum of what is trained, flat.
    ///
    /// # Errors
    /// A device that fails.
    pub fn momentum(&self) -> Result<Vec<f32>, TrainingError> {
        let mut momentum = Vec::with_capacity(self.trained_len());
        for optimizer in &self.optimizers {
            momentum.extend(to_f32(optimizer.buffer())?);
        }
        Ok(momentum)
    }

    fn trained_len(&self) -> usize {
        trained(&self.head).map(Tensor::elem_count).sum()
    }

    /// Returns the number of optimiser steps taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Takes over weights, momentum and step count from where it was trained in its place.
    ///
    /// # Errors
    /// Other sizes; the trainer is then not to be used.
    pub fn set_state(&mut self, values: Vec<f32>, momentum: Vec<f32>, steps: u64) -> Result<(), TrainingError> {
        TrainingError::check_size("head values", values.len(), self.shape.len())?;
        TrainingError::check_size("head momentum", momentum.len(), self.trained_len())?;
        self.head = in_graph(&HeadWeights::new(self.shape, values)?, self.settings.part)?;
        let mut rest = momentum.as_slice();
        for optimizer in &mut self.optimizers {
            let (own, others) = rest.split_at(optimizer.buffer().elem_count());
            *optimizer.buffer_mut() = Tensor::from_slice(own, optimizer.buffer().shape(), &Device::Cpu)?;
            rest = others;
        }
        self.steps = steps;
        Ok(())
    }

    /// The head as it is now.
    ///
    /// # Errors
    /// A device that fails.
    pub fn head(&self) -> Result<HeadWeights, TrainingError> {
        HeadWeights::new(self.shape, self.values()?)
    }

    fn values(&self) -> Result<Vec<f32>, TrainingError> {
        let mut values = Vec::with_capacity(self.shape.len());
        for block in self.head.blocks() {
            read(block, |block: &[f32]| values.extend_from_slice(block))?;
        }
        Ok(values)
    }
}

/// The tensors that are trained, in the order of the flat vector.
fn trained(head: &Head) -> impl Iterator<Item = &Tensor> {
    head.blocks().iter().filter(|block| block.is_variable())
}

/// The head with what is trained as variables and the rest as constants.
fn in_graph(head: &HeadWeights, part: TrainedPart) -> Result<Head, TrainingError> {
    let values = f32::constant(&head.values, &[head.values.len()])?;
    Head::of(&head.shape, &values, |name, block| match part.holds(name) {
        true => Ok(Var::from_tensor(&block)?.into_inner()),
        false => Ok(block),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::HeadForm;

    const FEATURES: [f32; 6] = [1.0, 0.5, -0.25, 2.0, 0.0, -1.0];
    const LABELS: [u32; 2] = [2, 0];

    fn head(form: HeadForm) -> HeadWeights {
        let shape = HeadShape { form, num_classes: 4, feature_dim: 3 };
        let values = (0..shape.len()).map(|index| ((index * 7 % 11) as f32 - 5.0) / 4.0).collect();
        HeadWeights::new(shape, values).expect("sizes fit")
    }

    fn at(epoch: usize, lr: f64) -> StepAt {
        StepAt { epoch, step: 0, epoch_fraction: 0.0, lr, relative_lr: 1.0 }
    }

    fn rows(values: &[f32], dim: usize) -> Tensor {
        f32::constant(values, &[values.len() / dim, dim]).expect("rows")
    }

    #[test]
    fn a_step_goes_against_the_gradient_of_differences() {
        for form in [HeadForm::Linear, HeadForm::Cosine { scale: 2.0 }, HeadForm::NormedLinear, HeadForm::ScaledLinear]
        {
            let before = head(form);
            let settings = HeadTrainerSettings { momentum: 0.0, weight_decay: 0.0, ..Default::default() };
            let mut trainer = HeadTrainer::new(before.clone(), settings).expect("all parts");
            trainer.step(&at(0, 1.0), &rows(&FEATURES, 3), &LABELS).expect("fits");
            let after = trainer.head().expect("host memory");
            let features: Vec<f64> = FEATURES.map(f64::from).to_vec();
            let features = f64::constant(&features, &[2, 3]).expect("2·3");
            for index in 0..before.values.len() {
                let loss = |shift: f64| {
                    let mut values: Vec<f64> = before.values.iter().map(|&value| f64::from(value)).collect();
                    values[index] += shift;
                    let flat = f64::constant(&values, &[values.len()]).expect("a vector");
                    let logits = Head::constants(&before.shape, &flat).expect("fits").logits(&features).expect("fits");
                    let loss = CrossEntropy::default().of(&logits, &LABELS).expect("fits");
                    loss.to_scalar::<f64>().expect("a scalar")
                };
                let expected = (loss(1e-5) - loss(-1e-5)) / 2e-5;
                let actual = f64::from(before.values[index] - after.values[index]);
                assert!((actual - expected).abs() < 2e-6, "{form:?} [{index}]: {actual} is not {expected}");
            }
        }
    }

    #[test]
    fn lws_moves_scales_only_and_lowers_the_loss() {
        let before = head(HeadForm::ScaledLinear);
        let settings = HeadTrainerSettings { part: TrainedPart::ClassScales, ..Default::default() };
        let mut trainer = HeadTrainer::new(before.clone(), settings.clone()).expect("has scales");
        let mut step = |epoch| trainer.step(&at(epoch, 0.05), &rows(&FEATURES, 3), &LABELS).expect("fits");
        let losses: Vec<f64> = (0..20).map(&mut step).collect();
        assert!(losses[19] < losses[0]);
        let after = trainer.head().expect("host memory");
        assert_eq!((after.weight(), after.bias()), (before.weight(), before.bias()));
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
                trainer.step(&at(epoch, 0.5), &rows(features, 2), labels).expect("fits");
            }
        }
        let logits = trainer.head().expect("host memory").logits(&features).expect("fits");
        let right = logits.chunks_exact(2).zip(&labels).filter(|(row, label)| (row[1] > row[0]) == (**label == 1));
        assert_eq!(right.count(), labels.len());
    }

    #[test]
    fn a_restored_trainer_goes_on_to_the_same_bits() {
        let before = head(HeadForm::Cosine { scale: 16.0 });
        let mut straight = HeadTrainer::new(before.clone(), HeadTrainerSettings::default()).expect("all parts");
        straight.step(&at(0, 0.1), &rows(&FEATURES, 3), &LABELS).expect("fits");
        let mut writer = StateWriter::default();
        straight.save(&mut writer).expect("host memory");
        let mut resumed = HeadTrainer::new(before, HeadTrainerSettings::default()).expect("all parts");
        resumed.restore(&mut StateReader::new("test", writer.into_tensors())).expect("saved above");
        for trainer in [&mut straight, &mut resumed] {
            trainer.step(&at(1, 0.1), &rows(&FEATURES, 3), &LABELS).expect("fits");
        }
        assert_eq!(straight.head().expect("host memory"), resumed.head().expect("host memory"));
    }

    #[test]
    fn a_loss_that_is_not_finite_stops_before_the_update() {
        let before = head(HeadForm::Linear);
        let mut trainer = HeadTrainer::new(before.clone(), HeadTrainerSettings::default()).expect("all parts");
        let error = trainer.step(&at(4, 0.1), &rows(&[f32::NAN; 6], 3), &LABELS).expect_err("NaN features").to_string();
        assert!(error.contains("head/train_loss") && error.contains("epoch 4"), "{error}");
        assert_eq!(trainer.head().expect("host memory"), before);
    }
}
