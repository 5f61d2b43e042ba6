//! Heads trained on a device, on rows that were drawn there or come up batch by batch.
//!
//! A step waits for nothing: losses are fetched some thousand steps at once, at checkpoints and at an epoch's end, so one that is not
//! finite is found that late. The host's [`HeadTrainer`] stays the home of the state: checkpoints and files are the CPU's.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use longtail_ops::BatchNormShape;
use longtail_ops::gpu::{
    Driver, GemmSize, GpuCrossEntropy, GpuError, GpuNorm, GpuVec, Matrix, MatrixMut, SgdNumbers, Total, Uploads, View,
    ViewMut, gpu_bias, gpu_column_sums, gpu_cross_entropy, gpu_norm_apply, gpu_norm_gradient_sums, gpu_norm_products,
    gpu_sgd, gpu_total, gpu_unit_rows, gpu_unit_rows_tangent,
};
use longtail_training::{
    CrossEntropy, HeadForm, HeadShape, HeadTrainer, HeadTrainerSettings, TrainedPart, TrainingError,
};

use crate::ClassifierError;
use crate::generate::gpu::{GpuModel, GpuSampler};
use crate::generate::{FeatureModel, LowRankSampler};

/// One device for a method's sources and its training.
pub type SharedDevice = Rc<RefCell<dyn HeadDevice>>;

/// Rows of a batch.
#[derive(Debug, Clone, PartialEq)]
pub enum Rows {
    /// `(n, d)`.
    Host(Vec<f32>),
    /// Rows of the block that [`HeadDevice::draw`] made last.
    Drawn(Range<usize>),
}

/// What generates rows and trains heads in place of the CPU.
pub trait HeadDevice {
    /// Takes a model to draw from.
    ///
    /// # Errors
    /// The device's.
    fn take_model(&mut self, model: &FeatureModel) -> Result<(), ClassifierError>;

    /// Makes the block of rows with these ids; as [`LowRankSampler::fill_rows`].
    ///
    /// # Errors
    /// The device's.
    fn draw(&mut self, sampler: &LowRankSampler<'_>, ids: &[u32], normalized: bool) -> Result<(), ClassifierError>;

    /// Takes head, momentum and settings from a trainer.
    ///
    /// # Errors
    /// The device's; what it does not train.
    fn load(&mut self, trainer: &HeadTrainer) -> Result<(), ClassifierError>;

    /// One step on at least one row.
    ///
    /// # Errors
    /// Sizes or labels that do not fit; a loss of the steps before that was not finite; the device's.
    fn step(&mut self, epoch: usize, lr: f64, rows: &Rows, labels: &[u32]) -> Result<(), ClassifierError>;

    /// Waits for all steps: the sum over them of loss times rows, since the last call.
    ///
    /// # Errors
    /// A loss that was not finite; the device's.
    fn losses(&mut self) -> Result<f64, ClassifierError>;

    /// Brings head and momentum back.
    ///
    /// # Errors
    /// The device's.
    fn store(&mut self, trainer: &mut HeadTrainer) -> Result<(), ClassifierError>;
}

/// Steps whose losses are fetched at once.
const MOST_LOSSES: usize = 1024;

/// A step whose loss is on the device.
#[derive(Debug, Clone, Copy)]
struct Taken {
    epoch: usize,
    step: u64,
    lr: f64,
    rows: usize,
}

/// [`HeadDevice`] over a driver.
pub struct GpuHeads<D: Driver> {
    driver: D,
    model: Option<GpuModel<D>>,
    sampler: GpuSampler<D>,
    block: GpuVec<f32, D>,
    head: Option<Head<D>>,
    room: Room<D>,
    losses: GpuVec<f32, D>,
    taken: Vec<Taken>,
    /// Of steps whose losses were fetched.
    sum: f64,
}

/// A head in training.
struct Head<D: Driver> {
    shape: HeadShape,
    settings: HeadTrainerSettings,
    values: GpuVec<f32, D>,
    gradient: GpuVec<f32, D>,
    momentum: GpuVec<f32, D>,
    decays: GpuVec<u8, D>,
    rate: GpuVec<f32, D>,
    lr: Option<f64>,
    steps: u64,
}

/// Between rows and gradients.
struct Room<D: Driver> {
    rows: Uploads<f32, D>,
    labels: GpuVec<i32, D>,
    logits: GpuVec<f32, D>,
    scaled: GpuVec<f32, D>,
    dlogits: GpuVec<f32, D>,
    losses: GpuVec<f32, D>,
    unit: GpuVec<f32, D>,
    norms: GpuVec<f32, D>,
    weight: GpuVec<f32, D>,
    weight_norms: GpuVec<f32, D>,
    dweight: GpuVec<f32, D>,
    /// Zeros, ones, and what is thrown away, `(K)` each.
    zeros: GpuVec<f32, D>,
    ones: GpuVec<f32, D>,
    rest: [GpuVec<f32, D>; 3],
    sums: GpuNorm<D>,
}

impl<D: Driver> GpuHeads<D> {
    /// On that driver.
    ///
    /// # Errors
    /// No memory.
    pub fn new(driver: D) -> Result<Self, GpuError> {
        Ok(Self {
            losses: GpuVec::zeros(&driver, MOST_LOSSES)?,
            driver,
            model: None,
            sampler: GpuSampler::default(),
            block: GpuVec::default(),
            head: None,
            room: Room::default(),
            taken: Vec::new(),
            sum: 0.0,
        })
    }

    /// Waits for everything that was asked for.
    ///
    /// # Errors
    /// The device's.
    pub fn wait(&self) -> Result<(), GpuError> {
        self.losses.view().part(0..1).to_vec(&self.driver).map(|_| ())
    }

    fn fetch(&mut self) -> Result<(), ClassifierError> {
        let values = self.losses.view().part(0..self.taken.len()).to_vec(&self.driver)?;
        for (taken, value) in self.taken.drain(..).zip(values) {
            let Taken { epoch, step, lr, rows } = taken;
            self.sum +=
                TrainingError::check_finite("head/train_loss", f64::from(value), epoch, step, lr)? * rows as f64;
        }
        Ok(())
    }
}

impl<D: Driver> HeadDevice for GpuHeads<D> {
    fn take_model(&mut self, model: &FeatureModel) -> Result<(), ClassifierError> {
        self.model = None; // the old one goes first, so that both are never held at once
        self.model = Some(GpuModel::new(&self.driver, model)?);
        Ok(())
    }

    fn draw(&mut self, sampler: &LowRankSampler<'_>, ids: &[u32], normalized: bool) -> Result<(), ClassifierError> {
        let model = self.model.as_ref().expect("a generation hands its model over before it draws");
        let len = ids.len() * model.dim();
        self.block.reserve(&self.driver, len)?;
        let to = self.block.view_mut().part(0..len);
        Ok(self.sampler.fill_rows(&self.driver, model, sampler, ids, normalized, to)?)
    }

    fn load(&mut self, trainer: &HeadTrainer) -> Result<(), ClassifierError> {
        let (head, settings) = (trainer.head()?, trainer.settings().clone());
        let shape = head.shape;
        let supported = match settings.part {
            TrainedPart::All => matches!(shape.form, HeadForm::Linear | HeadForm::Cosine { .. }),
            TrainedPart::ClassScales => shape.form == HeadForm::ScaledLinear,
        };
        if !supported || settings.loss.as_cross_entropy() != Some(&CrossEntropy::default()) {
            let what = format!("{:?} of a head of form {:?} with {:?}", settings.part, shape.form, settings.loss);
            return Err(ClassifierError::Recipe(format!("a GPU does not train {what}; `--device cpu` does")));
        }
        let momentum = trainer.momentum()?;
        let trained = momentum.len();
        self.head = Some(Head {
            values: GpuVec::of(&self.driver, &head.values)?,
            gradient: GpuVec::zeros(&self.driver, trained)?,
            momentum: GpuVec::of(&self.driver, &momentum)?,
            decays: GpuVec::of(&self.driver, &vec![1; trained])?,
            rate: GpuVec::zeros(&self.driver, 1)?,
            lr: None,
            steps: trainer.steps(),
            shape,
            settings,
        });
        (self.room.zeros, self.room.ones) =
            (GpuVec::zeros(&self.driver, shape.num_classes)?, GpuVec::of(&self.driver, &vec![1.0; shape.num_classes])?);
        self.taken.clear();
        self.sum = 0.0;
        Ok(())
    }

    fn step(&mut self, epoch: usize, lr: f64, rows: &Rows, labels: &[u32]) -> Result<(), ClassifierError> {
        if self.taken.len() == MOST_LOSSES {
            self.fetch()?;
        }
        let Self { driver, block, head, room, losses, taken, .. } = self;
        let head = head.as_mut().expect("a trainer is loaded before a step");
        let (n, dim) = (labels.len(), head.shape.feature_dim);
        TrainingError::check_labels(labels, head.shape.num_classes)?;
        let signed: Vec<i32> = labels.iter().map(|&label| label as i32).collect();
        room.labels.reserve(driver, n)?;
        room.labels.view_mut().part(0..n).write(driver, &signed)?;
        if head.lr != Some(lr) {
            head.rate.view_mut().write(driver, &[lr as f32])?;
            head.lr = Some(lr);
        }
        let at = taken.len();
        let value = losses.view_mut().part(at..at + 1);
        match rows {
            Rows::Host(values) => {
                TrainingError::check_size("features", values.len(), n * dim)?;
                let mut there = std::mem::take(&mut room.rows);
                there.write(driver, values)?; // beside the step before
                head.gradient_of(driver, room, there.view(), n, value)?;
                room.rows = there;
            }
            Rows::Drawn(range) => {
                TrainingError::check_size("features", range.len(), n)?;
                let features = block.view().part(range.start * dim..range.end * dim);
                head.gradient_of(driver, room, features, n, value)?;
            }
        }
        head.descend(driver)?;
        taken.push(Taken { epoch, step: head.steps, lr, rows: n });
        head.steps += 1;
        Ok(())
    }

    fn losses(&mut self) -> Result<f64, ClassifierError> {
        self.fetch()?;
        Ok(std::mem::take(&mut self.sum))
    }

    fn store(&mut self, trainer: &mut HeadTrainer) -> Result<(), ClassifierError> {
        let head = self.head.as_ref().expect("a trainer is loaded before it is stored");
        let (values, momentum) = (head.values.to_vec(&self.driver)?, head.momentum.to_vec(&self.driver)?);
        Ok(trainer.set_state(values, momentum, head.steps)?)
    }
}

impl<D: Driver> Head<D> {
    /// The mean loss of a batch to `value`, its gradient to `gradient`.
    fn gradient_of(
        &mut self,
        driver: &D,
        room: &mut Room<D>,
        features: View<'_, f32>,
        n: usize,
        value: ViewMut<'_, f32>,
    ) -> Result<(), GpuError> {
        let HeadShape { form, num_classes: classes, feature_dim: dim } = self.shape;
        room.reserve(driver, n, &self.shape)?;
        let weight = self.values.view().part(0..self.shape.weight_len());
        let size = GemmSize { m: n, n: classes, k: dim, batch: 1 };
        let by_weight = GemmSize { m: classes, n: dim, k: n, batch: 1 };
        let mut logits = room.logits.view_mut().part(0..n * classes);
        let mut scale = 1.0;
        match form {
            HeadForm::Cosine { scale: of_head } => {
                scale = of_head as f32;
                let (unit, norms) = (room.unit.view_mut().part(0..n * dim), room.norms.view_mut().part(0..n));
                gpu_unit_rows(driver, features, dim, unit, norms)?;
                gpu_unit_rows(driver, weight, dim, room.weight.view_mut(), room.weight_norms.view_mut())?;
                let a = Matrix::plain(room.unit.view().part(0..n * dim), dim);
                let b = Matrix::plain(room.weight.view(), dim).turned();
                driver.gemm(size, scale, a, b, 0.0, MatrixMut::plain(logits, classes))?;
            }
            _ => {
                let (a, b) = (Matrix::plain(features, dim), Matrix::plain(weight, dim).turned());
                driver.gemm(size, 1.0, a, b, 0.0, MatrixMut::plain(logits.again(), classes))?;
                let bias = self.values.view().part(weight.len()..weight.len() + classes);
                gpu_bias(driver, logits, bias, false)?;
            }
        }
        let scaled = form == HeadForm::ScaledLinear;
        if scaled {
            let len = self.values.len();
            let scales = self.values.view().part(len - classes..len);
            let (x, y) = (room.logits.view().part(0..n * classes), room.scaled.view_mut().part(0..n * classes));
            gpu_norm_apply(driver, x, (scales, room.zeros.view()), None, false, y)?;
        }
        let made = if scaled { &room.scaled } else { &room.logits };
        let factor = 1.0 / n as f32;
        let spec = GpuCrossEntropy {
            labels: room.labels.view().part(0..n),
            offsets: None,
            class_weights: None,
            row_weights: None,
            smoothing: 0.0,
            factor,
        };
        let (losses, dlogits) = (room.losses.view_mut().part(0..n), room.dlogits.view_mut().part(0..n * classes));
        gpu_cross_entropy(driver, &spec, made.view().part(0..n * classes), classes, losses, Some(dlogits))?;
        gpu_total(driver, room.losses.view().part(0..n), Total::Sum, factor, false, value)?;
        let dlogits = Matrix::plain(room.dlogits.view().part(0..n * classes), classes).turned();
        match (form, self.settings.part) {
            (_, TrainedPart::ClassScales) => {
                // Σ dlogits·logits of each class is what a batch norm's γ gets, at a mean of 0 and a deviation of 1.
                let s = BatchNormShape { rows: n, channels: classes };
                let x = room.logits.view().part(0..n * classes);
                let dy = room.dlogits.view_mut().part(0..n * classes);
                gpu_norm_products(driver, &mut room.sums, &s, dy, None, x, room.zeros.view())?;
                let [bias, slope, offset] = &mut room.rest;
                let numbers = (room.ones.view(), room.ones.view());
                let gradients = (self.gradient.view_mut(), bias.view_mut());
                let rest = (slope.view_mut(), offset.view_mut());
                gpu_norm_gradient_sums(driver, &room.sums, &s, numbers, false, gradients, rest)
            }
            (HeadForm::Cosine { .. }, TrainedPart::All) => {
                let b = Matrix::plain(room.unit.view().part(0..n * dim), dim);
                let to = MatrixMut::plain(room.dweight.view_mut(), dim);
                driver.gemm(by_weight, scale, dlogits, b, 0.0, to)?;
                let (unit, norms) = (room.weight.view(), room.weight_norms.view());
                let to = self.gradient.view_mut().part(0..classes * dim);
                gpu_unit_rows_tangent(driver, room.dweight.view(), unit, norms, dim, 1.0, false, to)
            }
            (_, TrainedPart::All) => {
                let (dweight, dbias) = self.gradient.view_mut().split_at(classes * dim);
                let b = Matrix::plain(features, dim);
                driver.gemm(by_weight, 1.0, dlogits, b, 0.0, MatrixMut::plain(dweight, dim))?;
                gpu_column_sums(driver, room.dlogits.view().part(0..n * classes), dbias)
            }
        }
    }

    fn descend(&mut self, driver: &D) -> Result<(), GpuError> {
        let numbers = SgdNumbers {
            rate: self.rate.view(),
            momentum: self.settings.momentum as f32,
            nesterov: self.settings.nesterov,
            weight_decay: self.settings.weight_decay as f32,
            decays: self.decays.view(),
        };
        // What is trained stands last: all of it, or the scales.
        let (len, trained) = (self.values.len(), self.gradient.len());
        let values = self.values.view_mut().part(len - trained..len);
        gpu_sgd(driver, values, self.gradient.view(), self.momentum.view_mut(), &numbers)
    }
}

impl<D: Driver> Default for Room<D> {
    fn default() -> Self {
        Self {
            rows: Uploads::default(),
            labels: GpuVec::default(),
            logits: GpuVec::default(),
            scaled: GpuVec::default(),
            dlogits: GpuVec::default(),
            losses: GpuVec::default(),
            unit: GpuVec::default(),
            norms: GpuVec::default(),
            weight: GpuVec::default(),
            weight_norms: GpuVec::default(),
            dweight: GpuVec::default(),
            zeros: GpuVec::default(),
            ones: GpuVec::default(),
            rest: [GpuVec::default(), GpuVec::default(), GpuVec::default()],
            sums: GpuNorm::default(),
        }
    }
}

impl<D: Driver> Room<D> {
    fn reserve(&mut self, driver: &D, n: usize, shape: &HeadShape) -> Result<(), GpuError> {
        let HeadShape { form, num_classes: classes, feature_dim: dim } = *shape;
        for buffer in [&mut self.logits, &mut self.dlogits] {
            buffer.reserve(driver, n * classes)?;
        }
        self.losses.reserve(driver, n)?;
        match form {
            HeadForm::Cosine { .. } | HeadForm::NormedLinear => {
                self.unit.reserve(driver, n * dim)?;
                self.norms.reserve(driver, n)?;
                // Used whole, so of this head's size exactly.
                for (buffer, len) in [
                    (&mut self.weight, classes * dim),
                    (&mut self.dweight, classes * dim),
                    (&mut self.weight_norms, classes),
                ] {
                    if buffer.len() != len {
                        *buffer = GpuVec::zeros(driver, len)?;
                    }
                }
            }
            HeadForm::ScaledLinear => {
                self.scaled.reserve(driver, n * classes)?;
                for buffer in &mut self.rest {
                    if buffer.len() != classes {
                        *buffer = GpuVec::zeros(driver, classes)?;
                    }
                }
            }
            HeadForm::Linear => {}
        }
        Ok(())
    }
}
