//! Stage 1's steps on a GPU, over any driver: the same two methods, with weights, momentum, prototypes and Θ on the device.
//!
//! A step waits for nothing: what it measured is fetched many steps later ([`reports`]). The model, optimiser and method of the host stay
//! the home of the state: [`GpuTrainer::load`] takes it from them, [`GpuTrainer::store`] brings it back, so that checkpoints and
//! files are those of the CPU. What the CPU can and this cannot is refused by [`GpuTrainer::new`].

mod batch;
mod buffer;
mod loss;
mod meta_network;
mod meta_step;
mod prototypes;
mod reports;
mod state;
mod step;
mod walk;

use std::rc::Rc;
use std::sync::Arc;

use longtail_backbone::NormMode;
use longtail_backbone::gpu::{GpuNetwork, GpuTape};
use longtail_datasets::StoredPixels;
use longtail_metrics::argmax_rows;
use longtail_ops::gpu::{Driver, Element, GpuVec, SgdNumbers, StoredImages};
use longtail_recipe::{CudaPrecision, Jvp, MetaBn, RepresentationMethod, RepresentationRecipe};
use longtail_training::prototype::PrototypeSettings;
use longtail_training::step::MicroBatch;
use longtail_training::{ClassificationLoss, EpochMeter, HeadShape, Model, SgdSettings, Step, StepAt};

use crate::RepresentationError;
use crate::method::{MetaBatches, Method, MpclSettings};

pub use batch::Pixels;

use batch::DeviceBatch;
use buffer::Buffer;
use loss::{DeviceLoss, LossRoom};
use meta_step::Meta;
use prototypes::DevicePrototypes;
use reports::Reports;

/// What training on a device takes the place of: steps, and the accuracy of the model as it is.
pub trait DeviceTrainer {
    /// One step; as [`Method::step`](crate::method::Method::step), but that what it measured may come to the meter with a later one.
    ///
    /// # Shapes
    /// - `images`: n  - `labels`: (n)
    ///
    /// # Errors
    /// A loss that was not finite, of this step or one of the steps before; sizes that do not fit; the device's.
    fn step(
        &mut self,
        images: Pixels<'_>,
        labels: &[u32],
        at: &StepAt,
        meter: &mut EpochMeter,
    ) -> Result<(), RepresentationError>;

    /// Whether [`Pixels::Placed`] is understood.
    fn holds_images(&self) -> bool;

    /// Waits for all steps, and hands to the meter what they measured.
    ///
    /// # Errors
    /// As [`DeviceTrainer::step`].
    fn finish(&mut self, meter: &mut EpochMeter) -> Result<(), RepresentationError>;

    /// Brings the state back to the host.
    ///
    /// # Errors
    /// The device's.
    fn store(&mut self, step: &mut Step, method: &mut dyn Method) -> Result<(), RepresentationError>;

    /// Takes the state from the host.
    ///
    /// # Errors
    /// The device's.
    fn load(&mut self, step: &mut Step, method: &mut dyn Method) -> Result<(), RepresentationError>;

    /// The class of each of n images under running statistics, (n).
    ///
    /// # Errors
    /// The device's.
    fn predict(&mut self, images: Pixels<'_>, n: usize) -> Result<Vec<u32>, RepresentationError>;
}

/// What is trained, and how: the settings of the host's method.
pub struct DevicePlan {
    /// L_CE.
    pub loss: Arc<dyn ClassificationLoss>,
    /// How prototypes are averaged.
    pub prototypes: PrototypeSettings,
    /// None for `ce`.
    pub mpcl: Option<MpclSettings>,
    /// The meta batches, where there is a meta-network.
    pub meta: Option<Rc<dyn MetaBatches>>,
    /// Of the optimiser.
    pub sgd: SgdSettings,
    /// Which weights decay; none = all.
    pub decays: Option<Vec<std::ops::Range<usize>>>,
    /// How batches are cut.
    pub micro: MicroBatch,
    /// What activations are stored in.
    pub element: Element,
    /// The images of the loaders, where the device is to hold them.
    pub stored: Option<StoredPixels>,
}

impl DevicePlan {
    /// As the recipe says.
    ///
    /// # Errors
    /// A setting that does not run on a device, or that this build does not know.
    pub fn new(
        recipe: &RepresentationRecipe,
        model: &Model,
        class_counts: &[u32],
        meta: Option<Rc<dyn MetaBatches>>,
        stored: Option<StoredPixels>,
    ) -> Result<Self, RepresentationError> {
        if recipe.activation_checkpointing {
            return Err(not_on_device("`activation_checkpointing`", "the device keeps every activation"));
        }
        let loss = longtail_training::loss::from_recipe(&recipe.loss, recipe.label_smoothing, class_counts)?;
        if loss.as_cross_entropy().is_none() {
            return Err(not_on_device(
                format!("`loss: {}`", recipe.loss.name()),
                "the device knows cross-entropies alone",
            ));
        }
        let (prototypes, mpcl) = match &recipe.method {
            RepresentationMethod::Ce(ce) => (PrototypeSettings::from_recipe(&ce.ema, class_counts), None),
            RepresentationMethod::Mpcl(mpcl) => {
                let dim = model.head.feature_dim;
                let settings = MpclSettings::from_recipe(mpcl, loss.clone(), recipe.epochs, dim, class_counts)?;
                (settings.prototypes.clone(), Some(settings))
            }
        };
        let sgd =
            SgdSettings { momentum: recipe.momentum, nesterov: recipe.nesterov, weight_decay: recipe.weight_decay };
        let micro = MicroBatch::new(recipe.micro_batch, recipe.batch_size);
        let element = element(recipe.cuda_precision);
        Ok(Self {
            loss,
            prototypes,
            mpcl,
            meta,
            sgd,
            decays: model.decay_ranges(recipe.wd_groups),
            micro,
            element,
            stored,
        })
    }
}

/// What a precision stores activations in.
pub fn element(precision: CudaPrecision) -> Element {
    match precision {
        CudaPrecision::Bf16 => Element::Bf16,
        CudaPrecision::F32 | CudaPrecision::Tf32 => Element::F32,
    }
}

/// Weights and what moves with them.
struct DeviceWeights<D: Driver> {
    /// Backbone (in the device's order of axes), then head.
    values: GpuVec<f32, D>,
    momentum: GpuVec<f32, D>,
    gradient: GpuVec<f32, D>,
    running: GpuVec<f32, D>,
    decays: GpuVec<u8, D>,
    /// α_lr, one element.
    rate: GpuVec<f32, D>,
    /// How many belong to the backbone.
    backbone: usize,
    sgd: SgdSettings,
}

/// What a step of the network's optimiser goes by.
fn sgd_numbers<'a, D: Driver>(
    sgd: &SgdSettings,
    rate: &'a GpuVec<f32, D>,
    decays: &'a GpuVec<u8, D>,
) -> SgdNumbers<'a> {
    SgdNumbers {
        rate: rate.view(),
        momentum: sgd.momentum as f32,
        nesterov: sgd.nesterov,
        weight_decay: sgd.weight_decay as f32,
        decays: decays.view(),
    }
}

/// [`DeviceTrainer`] over a driver.
pub struct GpuTrainer<D: Driver + Clone> {
    driver: D,
    network: GpuNetwork<D>,
    head: HeadShape,
    loss: DeviceLoss<D>,
    mpcl: Option<Rc<MpclSettings>>,
    weights: DeviceWeights<D>,
    prototypes: DevicePrototypes<D>,
    meta: Option<Meta<D>>,
    batch: DeviceBatch<D>,
    /// The data set, where all of it is on the device.
    stored: Option<StoredImages<D>>,
    tape: GpuTape<D>,
    dfeatures: Buffer<f32, D>,
    features: Buffer<f32, D>,
    /// Features of the whole train batch, (n, d).
    whole: Buffer<f32, D>,
    /// The gradient of a part of a batch that is cut.
    part_gradient: GpuVec<f32, D>,
    micro: MicroBatch,
    /// Numbers in an image.
    image: usize,
    cosines: Buffer<f32, D>,
    room: LossRoom<D>,
    reports: Reports<D>,
}

/// A setting that only the CPU knows.
fn not_on_device(what: impl Into<String>, why: &'static str) -> RepresentationError {
    RepresentationError::NotOnDevice { what: what.into(), why }
}

impl<D: Driver + Clone> GpuTrainer<D> {
    /// For a model as it is now.
    ///
    /// # Errors
    /// A setting that does not run on a device; no memory.
    pub fn new(driver: D, model: &Model, plan: DevicePlan) -> Result<Self, RepresentationError> {
        let DevicePlan { loss, prototypes, mpcl, meta, sgd, decays, micro, element, stored } = plan;
        if let Some(settings) = &mpcl
            && settings.use_meta
            && settings.jvp == Jvp::Central
        {
            return Err(not_on_device("`jvp: central`", "the device has the exact derivative, `jvp: forward`"));
        }
        let (architecture, image) = (model.network.architecture(), model.network.image());
        let network = GpuNetwork::with_element(driver.clone(), architecture, image, element)?;
        let len = model.weights.elem_count();
        let decay = decay_mask(&network, model.backbone_len(), len, decays.as_deref())?;
        let weights = DeviceWeights {
            values: GpuVec::zeros(&driver, len)?,
            momentum: GpuVec::zeros(&driver, len)?,
            gradient: GpuVec::zeros(&driver, len)?,
            running: GpuVec::zeros(&driver, model.running.elem_count())?,
            decays: GpuVec::of(&driver, &decay)?,
            rate: GpuVec::zeros(&driver, 1)?,
            backbone: model.backbone_len(),
            sgd,
        };
        let meta = match (&mpcl, meta) {
            (Some(settings), Some(batches)) if settings.use_meta => {
                Some(Meta::new(&driver, &network, settings, batches, len)?)
            }
            (Some(settings), None) if settings.use_meta => return Err(RepresentationError::NoMetaSet),
            _ => None,
        };
        Ok(Self {
            tape: GpuTape::new(&network)?,
            loss: DeviceLoss::new(&driver, &*loss)?,
            prototypes: DevicePrototypes::new(&driver, prototypes, network.feature_dim())?,
            reports: Reports::new(&driver)?,
            head: model.head,
            mpcl: mpcl.map(Rc::new),
            weights,
            meta,
            cosines: Buffer::default(),
            whole: Buffer::default(),
            part_gradient: GpuVec::default(),
            micro,
            image: model.network.image().len(),
            batch: DeviceBatch::default(),
            stored: stored.map(|stored| stored.upload(&driver)).transpose()?,
            dfeatures: Buffer::default(),
            features: Buffer::default(),
            room: LossRoom::default(),
            network,
            driver,
        })
    }
}

/// Of each weight in the device's order, whether it decays.
fn decay_mask<D: Driver>(
    network: &GpuNetwork<D>,
    backbone: usize,
    len: usize,
    decays: Option<&[std::ops::Range<usize>]>,
) -> Result<Vec<u8>, RepresentationError> {
    let mut mask = vec![f32::from(u8::from(decays.is_none())); len];
    for range in decays.unwrap_or_default() {
        mask[range.clone()].fill(1.0);
    }
    let turned = network.to_device_order(&mask[..backbone])?;
    Ok(turned.iter().chain(&mask[backbone..]).map(|&decays| decays as u8).collect())
}

/// Batch norm's mode in the virtual and the meta forward.
fn meta_norm_mode(settings: &MpclSettings) -> NormMode {
    match settings.meta_bn {
        MetaBn::Running => NormMode::Running,
        MetaBn::Batch => NormMode::Batch { track: false },
    }
}

impl<D: Driver + Clone> DeviceTrainer for GpuTrainer<D> {
    fn step(
        &mut self,
        images: Pixels<'_>,
        labels: &[u32],
        at: &StepAt,
        meter: &mut EpochMeter,
    ) -> Result<(), RepresentationError> {
        self.take_step((images, labels), at, meter)
    }

    fn holds_images(&self) -> bool {
        self.stored.is_some()
    }

    fn finish(&mut self, meter: &mut EpochMeter) -> Result<(), RepresentationError> {
        self.reports.fetch(&self.driver, meter)
    }

    fn store(&mut self, step: &mut Step, method: &mut dyn Method) -> Result<(), RepresentationError> {
        self.bring_back(step, method)
    }

    fn load(&mut self, step: &mut Step, method: &mut dyn Method) -> Result<(), RepresentationError> {
        self.take_over(step, method)
    }

    fn predict(&mut self, images: Pixels<'_>, n: usize) -> Result<Vec<u32>, RepresentationError> {
        let Self { driver, network, weights, batch, stored, features, room, head, .. } = self;
        batch.images.write(driver, stored.as_ref(), images)?;
        let (backbone, head_weights) = (
            weights.values.view().part(0..weights.backbone),
            weights.values.view().part(weights.backbone..weights.values.len()),
        );
        let to = features.room(driver, n * head.feature_dim)?;
        network.infer(backbone, weights.running.view_mut(), batch.images.view(), n, to)?;
        let logits = loss::logits(driver, head, head_weights, features.view(), room)?.to_vec(driver)?;
        Ok(argmax_rows(&logits, head.num_classes))
    }
}
