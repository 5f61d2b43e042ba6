//! A tiny f64 model, two batches and prototypes, shared by the integration tests.

#![allow(dead_code)]

use longtail_backbone::{Architecture, ImageShape, NormMode};
use longtail_ops::{below, normal, stream};
use longtail_recipe::{Jvp, MetaBn, MetaOptimizer, MetaScale, VirtualStep};
use longtail_representation::Model;
use longtail_representation::meta_network::MetaNetwork;
use longtail_representation::method::{LabelledImages, MetaBatches, Mpcl, MpclSettings};
use longtail_representation::passes::{GradientSum, MicroBatch, Objective, Pass, Walk};
use longtail_representation::prototypes::{PrototypeSettings, Prototypes};
use longtail_representation::{RepresentationError, feature_direction, objective, virtual_step};
use longtail_training::{AdamSettings, ClassificationLoss, HeadForm, Sgd, SgdSettings};

pub const CLASSES: usize = 5;
pub const SIDE: usize = 8;
pub const CHANNELS: usize = 2;
pub const BATCH: usize = 6;
pub const META_BATCH: usize = 5;
pub const LR: f64 = 0.3;

/// Endless copies of one batch.
pub struct OneBatch(pub LabelledImages<f64>);

impl MetaBatches<f64> for OneBatch {
    fn batch(&self, _index: u64) -> Result<LabelledImages<f64>, RepresentationError> {
        Ok(self.0.clone())
    }
}

pub struct Bench {
    pub model: Model<f64>,
    pub optimizer: Sgd<f64>,
    pub train: LabelledImages<f64>,
    pub meta: LabelledImages<f64>,
    pub prototypes: Prototypes<f64>,
    pub mpcl: Mpcl<f64>,
}

pub fn images(seed: u64, n: usize) -> LabelledImages<f64> {
    let mut rng = stream(seed, "test/images", 0, 0);
    let labels: Vec<u32> = (0..n).map(|_| below(&mut rng, CLASSES as u64) as u32).collect();
    let images = (0..n * SIDE * SIDE * CHANNELS).map(|_| normal(&mut rng)).collect();
    LabelledImages { images, labels }
}

pub fn settings(residual: bool, max_angle_deg: f64) -> MpclSettings {
    MpclSettings {
        loss: ClassificationLoss::cross_entropy(),
        meta_loss: ClassificationLoss::cross_entropy(),
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
        micro: MicroBatch::WHOLE,
    }
}

/// A model a few steps into training: momentum, running statistics and prototypes are not trivial, class 4 is unseen,
/// and Θ's last layer is not zero.
pub fn bench(settings: MpclSettings, form: HeadForm, nesterov: bool) -> Bench {
    let image = ImageShape { height: SIDE, width: SIDE, channels: CHANNELS };
    let architecture = Architecture::CifarResNet { depth: 8 };
    let mut model = Model::<f64>::new(&architecture, image, form, CLASSES, 7).expect("8 is 6·1 + 2");
    let settings_of_sgd = SgdSettings { momentum: 0.9, nesterov, weight_decay: 5e-2 };
    let mut optimizer = Sgd::new(settings_of_sgd, model.weights.len(), None);
    let mut rng = stream(1, "test/gradient", 0, 0);
    for _ in 0..2 {
        let gradient: Vec<f64> = (0..model.weights.len()).map(|_| 0.02 * normal(&mut rng)).collect();
        optimizer.step(0.1, &mut model.weights, &gradient).expect("sizes fit");
    }
    let mut prototypes = Prototypes::new(settings.prototypes.clone(), 64);
    let mut tape = longtail_backbone::Tape::default();
    for seed in 10..14 {
        let mut batch = images(seed, BATCH);
        batch.labels.iter_mut().for_each(|label| *label %= 4);
        let backbone = model.backbone_len();
        let mode = NormMode::Batch { track: true };
        let weights = &model.weights[..backbone];
        model.network.forward(weights, &mut model.running, &batch.images, BATCH, mode, &mut tape).expect("sizes fit");
        prototypes.update(tape.features(), &batch.labels);
    }
    let mut train = images(20, BATCH);
    train.labels = vec![0, 1, 1, 4, 2, 3];
    let meta = images(21, META_BATCH);
    let mut mpcl = Mpcl::new(settings, Some(Box::new(OneBatch(meta.clone()))), 3).expect("there are meta images");
    let theta = (0..mpcl.theta().len()).map(|_| 0.3 * normal(&mut rng)).collect();
    mpcl.set_theta(theta).expect("as long as before");
    Bench { model, optimizer, train, meta, prototypes, mpcl }
}

impl Bench {
    pub fn empirical(&self) -> Vec<f64> {
        self.prototypes.seen().rows_of(&self.prototypes.current(), 64)
    }

    /// The closed form of the crate.
    pub fn meta_gradient(&mut self) -> Vec<f64> {
        let (empirical, seen) = (self.empirical(), self.prototypes.seen());
        let lambda = self.mpcl.settings().lambda;
        let Self { model, optimizer, train, meta, mpcl, .. } = self;
        mpcl.meta_gradient(model, optimizer, train, meta, LR, &empirical, &seen, lambda, false)
            .expect("sizes fit")
            .gradient
    }

    /// L_meta(Ŵ(Θ)), by exact first-order gradients only.
    pub fn meta_loss(&mut self, theta: &[f64]) -> f64 {
        let (empirical, seen) = (self.empirical(), self.prototypes.seen());
        let settings = self.mpcl.settings().clone();
        let mode = match settings.meta_bn {
            MetaBn::Running => NormMode::Running,
            _ => NormMode::Batch { track: false },
        };
        let model = &mut self.model;
        let moved = settings.network.apply(theta, &empirical).expect("sizes fit");
        let contrast =
            objective::Contrast { prototypes: &moved, seen: &seen, lambda: settings.lambda, tau: settings.tau };
        let head = model.head;
        let objective = Objective { head: &head, loss: &settings.loss, contrast: Some(&contrast) };
        let (mut tape, mut gradient) = (longtail_backbone::Tape::default(), GradientSum::default());
        Pass::of(model, &self.train, mode, settings.micro)
            .losses(Walk::Fresh, &mut tape, &objective, Some(&mut gradient), None)
            .expect("sizes fit");
        let gradient = gradient.sum;
        let (mut there, kind) = (Vec::new(), settings.virtual_step);
        virtual_step::virtual_step(kind, LR, &model.weights, &gradient, &self.optimizer, &mut there)
            .expect("sizes fit");
        self.mpcl.meta_loss(model, Some(&there), &self.meta).expect("sizes fit")
    }

    /// Central differences of [`Bench::meta_loss`] along `direction`, fourth order.
    pub fn slope(&mut self, direction: &[f64], step: f64) -> f64 {
        let theta = self.mpcl.theta().to_vec();
        let mut at = |factor: f64| {
            let moved: Vec<f64> = theta.iter().zip(direction).map(|(t, d)| t + factor * step * d).collect();
            self.meta_loss(&moved)
        };
        (8.0 * (at(1.0) - at(-1.0)) - (at(2.0) - at(-2.0))) / (12.0 * step)
    }
}

/// u̇ by central differences of step `epsilon`.
pub fn central(bench: &mut Bench, direction: &[f64], epsilon: f64) -> Vec<f64> {
    let model = &mut bench.model;
    let backbone = model.backbone_len();
    feature_direction::central_difference(
        &mut model.network,
        &model.weights[..backbone],
        &mut model.running,
        &bench.train.images,
        std::slice::from_ref(&(0..BATCH)),
        NormMode::Batch { track: false },
        direction,
        epsilon,
        &mut longtail_backbone::Tape::default(),
    )
    .expect("sizes fit")
    .0
}
