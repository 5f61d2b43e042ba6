//! A tiny f64 model, two batches and prototypes, shared by the integration tests.

#![allow(dead_code)]

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use longtail_backbone::{Architecture, ImageShape};
use longtail_ops::{below, normal, stream};
use longtail_recipe::{Jvp, MetaBn, MetaOptimizer, MetaScale, VirtualStep};
use longtail_representation::RepresentationError;
use longtail_representation::method::{MetaBatches, Mpcl, MpclSettings};
use longtail_training::prototype::{Contrast, MetaNetwork, PrototypeBank, PrototypeSettings, SeenClasses};
use longtail_training::step::MicroBatch;
use longtail_training::{
    AdamSettings, At, CrossEntropy, Feed, HeadForm, ImageBatch, Model, Norm, Scalar, Sgd, SgdSettings, Step, StepAt,
};

pub const CLASSES: usize = 5;
pub const SIDE: usize = 8;
pub const CHANNELS: usize = 2;
pub const BATCH: usize = 6;
pub const META_BATCH: usize = 5;
pub const LR: f64 = 0.3;
pub const AT: StepAt = StepAt { epoch: 0, step: 0, epoch_fraction: 0.0, lr: LR, relative_lr: 1.0 };

/// Endless copies of one batch.
pub struct OneBatch(pub ImageBatch);

impl MetaBatches for OneBatch {
    fn batch(&self, _index: u64) -> Result<ImageBatch, RepresentationError> {
        Ok(self.0.clone())
    }
}

pub struct Bench {
    pub step: Step,
    pub train: ImageBatch,
    pub meta: ImageBatch,
    pub prototypes: PrototypeBank,
    pub mpcl: Mpcl,
}

/// A vector of f64.
pub fn vector(values: &[f64]) -> Tensor {
    f64::constant(values, &[values.len()]).expect("a vector")
}

pub fn values(tensor: &Tensor) -> Vec<f64> {
    f64::values(tensor).expect("f64")
}

/// Pixels and labels of n images.
pub fn pixels(seed: u64, n: usize) -> (Vec<f64>, Vec<u32>) {
    let mut rng = stream(seed, "test/images", 0, 0);
    let labels = (0..n).map(|_| below(&mut rng, CLASSES as u64) as u32).collect();
    ((0..n * SIDE * SIDE * CHANNELS).map(|_| normal(&mut rng)).collect(), labels)
}

/// A batch of any element type.
pub fn batch<T: Scalar>(feed: Feed, pixels: &[T], labels: &[u32]) -> ImageBatch {
    let images = Tensor::from_slice(pixels, (labels.len(), SIDE, SIDE, CHANNELS), &Device::Cpu).expect("sizes fit");
    ImageBatch::new(feed, images, labels.to_vec())
}

pub fn images(feed: Feed, seed: u64, n: usize) -> ImageBatch {
    let (pixels, labels) = pixels(seed, n);
    batch(feed, &pixels, &labels)
}

pub fn settings(residual: bool, max_angle_deg: f64) -> MpclSettings {
    MpclSettings {
        loss: Arc::new(CrossEntropy::default()),
        meta_classification: Arc::new(CrossEntropy::default()),
        use_meta: true,
        lambda: 0.8,
        lambda_ramp_epochs: 0,
        tau: 0.3,
        first_epoch: 0,
        pc_warm: false,
        prototypes: PrototypeSettings {
            momentum: vec![0.9; CLASSES],
            per_sample: true,
            on_sphere: true,
            debias: false,
        },
        ema_after_tth: true,
        network: MetaNetwork::new(64, 3, residual, max_angle_deg),
        theta_optimizer: MetaOptimizer::Adam,
        meta_lr: 1e-3,
        follow_schedule: false,
        adam: AdamSettings::default(),
        proximity: 0.0,
        meta_every: 1,
        scale: MetaScale::WithLr,
        virtual_step: VirtualStep::Sgd,
        jvp: Jvp::Forward,
        meta_bn: MetaBn::Batch,
    }
}

/// A model a few steps into training: momentum, running statistics and prototypes are not trivial, class 4 is unseen,
/// and Θ's last layer is not zero.
pub fn bench(settings: MpclSettings, form: HeadForm, nesterov: bool) -> Bench {
    bench_in_parts(settings, form, nesterov, MicroBatch::WHOLE)
}

/// [`bench`] with batches cut as `micro` says.
pub fn bench_in_parts(settings: MpclSettings, form: HeadForm, nesterov: bool, micro: MicroBatch) -> Bench {
    let (image, settings_norm) = (ImageShape { height: SIDE, width: SIDE, channels: CHANNELS }, settings.meta_bn);
    let architecture = Architecture::CifarResNet { depth: 8 };
    let model = Model::new(&architecture, image, form, CLASSES, 7, DType::F64).expect("8 is 6·1 + 2");
    let settings_of_sgd = SgdSettings { momentum: 0.9, nesterov, weight_decay: 5e-2 };
    let mut optimizer = Sgd::new(settings_of_sgd, &model.weights, None).expect("memory");
    let mut rng = stream(1, "test/gradient", 0, 0);
    for _ in 0..2 {
        let gradient: Vec<f64> = (0..model.weights.elem_count()).map(|_| 0.02 * normal(&mut rng)).collect();
        optimizer.step(0.1, &model.weights, &vector(&gradient)).expect("sizes fit");
    }
    let mut step = Step::new(model, optimizer, MicroBatch::WHOLE);
    let mut prototypes = PrototypeBank::new(settings.prototypes.clone(), 64, DType::F64).expect("memory");
    for seed in 10..14 {
        let mut batch = images(Feed::Train, seed, BATCH);
        batch.labels.iter_mut().for_each(|label| *label %= 4);
        let features = step.features(At::Weights, &batch, Norm::Batch).expect("sizes fit");
        prototypes.update(&features, &batch.labels).expect("sizes fit");
    }
    let mut train = images(Feed::Train, 20, BATCH);
    train.labels = vec![0, 1, 1, 4, 2, 3];
    let meta = images(Feed::Side, 21, META_BATCH);
    let stream_of_meta = Some(Box::new(OneBatch(meta.clone())) as Box<dyn MetaBatches>);
    let mut mpcl = Mpcl::new(settings, stream_of_meta, 3, DType::F64).expect("there are meta images");
    let theta: Vec<f64> = (0..mpcl.theta().elem_count()).map(|_| 0.3 * normal(&mut rng)).collect();
    mpcl.set_theta(vector(&theta)).expect("as long as before");
    // On running statistics these must stand still, or batches in parts and differences see others than the closed form.
    if settings_norm == MetaBn::Running {
        train = ImageBatch::new(Feed::Side, train.images.clone(), train.labels.clone());
    }
    let step = in_parts(step, micro);
    Bench { step, train, meta, prototypes, mpcl }
}

/// The same model and optimiser, with batches cut otherwise.
fn in_parts(mut step: Step, micro: MicroBatch) -> Step {
    let image = step.model.network.image();
    let (architecture, head) = (*step.model.network.architecture(), step.model.head);
    let model = Model::new(&architecture, image, head.form, head.num_classes, 7, DType::F64).expect("as before");
    let optimizer = Sgd::new(step.optimizer().settings(), &model.weights, None).expect("memory");
    let mut other = Step::new(model, optimizer, micro);
    let mut writer = longtail_training::StateWriter::default();
    longtail_training::save_state(step.state(), &mut writer).expect("f64");
    let mut reader = longtail_training::StateReader::new("test", writer.into_tensors());
    longtail_training::restore_state(other.state(), &mut reader).expect("the same sizes");
    other
}

impl Bench {
    pub fn seen(&self) -> SeenClasses {
        self.prototypes.seen()
    }

    /// c of the seen classes.
    pub fn empirical(&self) -> Tensor {
        self.prototypes.current_seen(&self.seen()).expect("memory")
    }

    pub fn norm(&self) -> Norm {
        match self.mpcl.settings().meta_bn {
            MetaBn::Running => Norm::Running,
            MetaBn::Batch => Norm::Batch,
        }
    }

    /// The closed form of the crate.
    pub fn meta_gradient(&mut self) -> Vec<f64> {
        let (empirical, seen) = (self.empirical(), self.seen());
        let lambda = self.mpcl.settings().lambda;
        let Self { step, train, meta, mpcl, .. } = self;
        let found = mpcl.meta_gradient(step, train, meta, &AT, &empirical, &seen, lambda).expect("sizes fit");
        values(&found.gradient)
    }

    /// L_meta(Ŵ(Θ)), by exact first-order gradients only.
    pub fn meta_loss(&mut self, theta: &[f64]) -> f64 {
        let (empirical, seen, norm) = (self.empirical(), self.seen(), self.norm());
        let settings = self.mpcl.settings().clone();
        let prototypes = settings.network.apply(&vector(theta), &empirical).expect("sizes fit");
        let contrast = Contrast { prototypes: &prototypes, seen: &seen, lambda: settings.lambda, tau: settings.tau };
        // A new batch every time, so that no pass before it is used again.
        let train = ImageBatch::new(Feed::Side, self.train.images.clone(), self.train.labels.clone());
        let gradient = self
            .step
            .gradient(At::Weights, &train, norm, &settings.train_loss(Some(&contrast), &AT))
            .expect("sizes fit");
        let ahead = self.step.ahead(settings.virtual_step, LR, &gradient).expect("sizes fit");
        let loss = self.mpcl.meta_loss(&mut self.step, At::Moved(ahead.weights.tensor()), &self.meta, &AT);
        loss.expect("sizes fit").to_scalar::<f64>().expect("a scalar")
    }

    /// Central differences of [`Bench::meta_loss`] along `direction`, fourth order.
    pub fn slope(&mut self, direction: &[f64], step: f64) -> f64 {
        let theta = values(self.mpcl.theta());
        let mut at = |factor: f64| {
            let moved: Vec<f64> = theta.iter().zip(direction).map(|(t, d)| t + factor * step * d).collect();
            self.meta_loss(&moved)
        };
        (8.0 * (at(1.0) - at(-1.0)) - (at(2.0) - at(-2.0))) / (12.0 * step)
    }
}
