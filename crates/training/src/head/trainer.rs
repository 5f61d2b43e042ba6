//! Trains a head alone, on batches of features: what every method of stage 3 does.

use std::sync::Arc;

use candle_core::{Device, Tensor, Var};

use super::{Head, HeadShape, HeadWeights};
use crate::log::Log;
use crate::step::StepAt;
use crate::{ClassificationLoss, CrossEntropy, Sgd, SgdSettings, StateReader, StateWriter, TrainingError, to_f32};

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

/// A head and its optimiser, on one device.
#[derive(Debug)]
pub struct HeadTrainer {
    device: Device,
    shape: HeadShape,
    head: Head,
    settings: HeadTrainerSettings,
    /// An optimiser for each tensor that is trained.
    optimizers: Vec<Sgd>,
    steps: u64,
}

impl HeadTrainer {
    /// Goes on from `head`, on `device`.
    ///
    /// # Errors
    /// If only scales are to be trained and the head has none; the device's.
    pub fn new(head: &HeadWeights, settings: HeadTrainerSettings, device: &Device) -> Result<Self, TrainingError> {
        let shape = head.shape;
        let head = in_graph(head, settings.part, device)?;
        let HeadTrainerSettings { momentum, nesterov, weight_decay, .. } = settings;
        let of_block = |block| Sgd::new(SgdSettings { momentum, nesterov, weight_decay }, block, None);
        let optimizers = trained(&head).map(of_block).collect::<Result<Vec<_>, _>>()?;
        if optimizers.is_empty() {
            return Err(TrainingError::Unsupported {
                what: "training class scales only",
                value: format!("a head of form `{}` has none", shape.form.name()),
            });
        }
        Ok(Self { device: device.clone(), head, shape, settings, optimizers, steps: 0 })
    }

    /// One SGD step on one batch of at least one row. Its mean loss before the step goes to `log` as `loss`, in nats.
    ///
    /// # Shapes
    /// - `features`: (n, d), f32, on the trainer's device  - `labels`: (n)
    /// # Errors
    /// If sizes or labels do not fit, or the loss is not finite. On the CPU the head is then as it was before that batch; on a GPU
    /// the error comes when `log`'s numbers are fetched.
    pub fn step(
        &mut self,
        at: &StepAt,
        features: &Tensor,
        labels: &[u32],
        log: &mut Log<'_>,
    ) -> Result<(), TrainingError> {
        TrainingError::check_size("features", features.elem_count(), labels.len() * self.shape.feature_dim)?;
        let loss = self.settings.loss.forward(&self.head.logits(features)?, labels, at)?;
        log.must_be_finite("head/train_loss", &loss)?;
        log.add("loss", "nats", &loss, labels.len() as f64)?;
        let gradients = loss.backward()?;
        for (block, optimizer) in trained(&self.head).zip(&mut self.optimizers) {
            let gradient = match gradients.get(block) {
                Some(gradient) => gradient.contiguous()?,
                None => block.zeros_like()?,
            };
            optimizer.step(at.lr, block, &gradient)?;
        }
        self.steps += 1;
        Ok(())
    }

    /// Adds weights, momentum and step count to a checkpoint.
    ///
    /// # Errors
    /// A device that fails.
    pub fn save(&self, out: &mut StateWriter) -> Result<(), TrainingError> {
        out.vector("head.values", &self.values()?);
        let mut momentum = Vec::with_capacity(self.trained_len());
        for optimizer in &self.optimizers {
            momentum.extend(to_f32(optimizer.buffer())?);
        }
        out.vector("head.momentum", &momentum);
        out.counters("head.steps", &[self.steps]);
        Ok(())
    }

    /// Takes weights, momentum and step count from a checkpoint: training goes on to the same bits.
    ///
    /// # Errors
    /// If something is missing or of another size; the trainer is then not to be used.
    pub fn restore(&mut self, from: &mut StateReader) -> Result<(), TrainingError> {
        let values = from.vector_of("head.values", self.shape.len())?;
        let momentum: Vec<f32> = from.vector_of("head.momentum", self.trained_len())?;
        let [steps] = from.counters("head.steps")?;
        self.head = in_graph(&HeadWeights::new(self.shape, values)?, self.settings.part, &self.device)?;
        let mut rest = momentum.as_slice();
        for optimizer in &mut self.optimizers {
            let (own, others) = rest.split_at(optimizer.buffer().elem_count());
            *optimizer.buffer_mut() = Tensor::from_slice(own, optimizer.buffer().shape(), &self.device)?;
            rest = others;
        }
        self.steps = steps;
        Ok(())
    }

    fn trained_len(&self) -> usize {
        trained(&self.head).map(Tensor::elem_count).sum()
    }

    /// Returns the number of optimiser steps taken.
    pub fn steps(&self) -> u64 {
        self.steps
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
            values.extend(to_f32(block)?);
        }
        Ok(values)
    }
}

/// The tensors that are trained, in the order of the flat vector.
fn trained(head: &Head) -> impl Iterator<Item = &Tensor> {
    head.blocks().iter().filter(|block| block.is_variable())
}

/// The head with what is trained as variables and the rest as constants.
fn in_graph(head: &HeadWeights, part: TrainedPart, device: &Device) -> Result<Head, TrainingError> {
    let values = Tensor::from_slice(&head.values, head.values.len(), device)?;
    Head::of(&head.shape, &values, |name, block| match part.holds(name) {
        true => Ok(Var::from_tensor(&block)?.into_inner()),
        false => Ok(block),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::HeadForm;
    use crate::{EpochMeter, Scalar};

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

    fn on_cpu(head: &HeadWeights, settings: HeadTrainerSettings) -> Result<HeadTrainer, TrainingError> {
        HeadTrainer::new(head, settings, &Device::Cpu)
    }

    /// A step's loss.
    fn step(trainer: &mut HeadTrainer, at: StepAt, features: &Tensor, labels: &[u32]) -> Result<f64, TrainingError> {
        let mut meter = EpochMeter::default();
        trainer.step(&at, features, labels, &mut Log::new(&mut meter, at))?;
        Ok(meter.mean("loss").expect("measured"))
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
            let mut trainer = on_cpu(&before, settings).expect("all parts");
            step(&mut trainer, at(0, 1.0), &rows(&FEATURES, 3), &LABELS).expect("fits");
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
        let mut trainer = on_cpu(&before, settings.clone()).expect("has scales");
        let mut once = |epoch| step(&mut trainer, at(epoch, 0.05), &rows(&FEATURES, 3), &LABELS).expect("fits");
        let losses: Vec<f64> = (0..20).map(&mut once).collect();
        assert!(losses[19] < losses[0]);
        let after = trainer.head().expect("host memory");
        assert_eq!((after.weight(), after.bias()), (before.weight(), before.bias()));
        assert!(on_cpu(&head(HeadForm::Linear), settings).is_err());
    }

    #[test]
    fn separable_features_are_learnt() {
        let features: Vec<f32> = (0..40).flat_map(|index| [if index % 2 == 0 { 1.0 } else { -1.0 }, 0.3]).collect();
        let labels: Vec<u32> = (0..40).map(|index| index % 2).collect();
        let shape = HeadShape { form: HeadForm::Linear, num_classes: 2, feature_dim: 2 };
        let head = HeadWeights::new(shape, vec![0.0; shape.len()]).expect("sizes fit");
        let mut trainer = on_cpu(&head, HeadTrainerSettings::default()).expect("all parts");
        for epoch in 0..10 {
            for (features, labels) in features.chunks(16).zip(labels.chunks(8)) {
                step(&mut trainer, at(epoch, 0.5), &rows(features, 2), labels).expect("fits");
            }
        }
        let logits = trainer.head().expect("host memory").logits(&features).expect("fits");
        let right = logits.chunks_exact(2).zip(&labels).filter(|(row, label)| (row[1] > row[0]) == (**label == 1));
        assert_eq!(right.count(), labels.len());
    }

    #[test]
    fn a_restored_trainer_goes_on_to_the_same_bits() {
        let before = head(HeadForm::Cosine { scale: 16.0 });
        let mut straight = on_cpu(&before, HeadTrainerSettings::default()).expect("all parts");
        step(&mut straight, at(0, 0.1), &rows(&FEATURES, 3), &LABELS).expect("fits");
        let mut writer = StateWriter::default();
        straight.save(&mut writer).expect("host memory");
        let mut resumed = on_cpu(&before, HeadTrainerSettings::default()).expect("all parts");
        resumed.restore(&mut StateReader::new("test", writer.into_tensors())).expect("saved above");
        for trainer in [&mut straight, &mut resumed] {
            step(trainer, at(1, 0.1), &rows(&FEATURES, 3), &LABELS).expect("fits");
        }
        assert_eq!(straight.head().expect("host memory"), resumed.head().expect("host memory"));
    }

    #[test]
    fn a_loss_that_is_not_finite_stops_before_the_update() {
        let before = head(HeadForm::Linear);
        let mut trainer = on_cpu(&before, HeadTrainerSettings::default()).expect("all parts");
        let error =
            step(&mut trainer, at(4, 0.1), &rows(&[f32::NAN; 6], 3), &LABELS).expect_err("NaN features").to_string();
        assert!(error.contains("head/train_loss") && error.contains("epoch 4"), "{error}");
        assert_eq!(trainer.head().expect("host memory"), before);
    }
}
