//! What every stage-1 method does: one training step on one batch, and prototypes at the end.

use longtail_artifact::NamedTensor;
use longtail_datasets::{Batch, PlacedBatch};
use longtail_recipe::{RepresentationMethod, RepresentationRecipe};
use longtail_training::{ClassificationLoss, EpochMeter, Scalar, Sgd, StateReader, StateWriter};

use super::{Ce, Mpcl, MpclSettings};
use crate::RepresentationError;
use crate::model::Model;
use crate::passes::MicroBatch;
use crate::prototypes::Prototypes;

/// A batch of images (n, H, W, C), normalised, and labels (n).
#[derive(Debug, Clone, PartialEq)]
pub struct LabelledImages<T> {
    /// NHWC.
    pub images: Vec<T>,
    /// Below K.
    pub labels: Vec<u32>,
}

impl From<Batch> for LabelledImages<f32> {
    fn from(batch: Batch) -> Self {
        Self { images: batch.images, labels: batch.labels }
    }
}

/// Endless batches of meta images in random access: batch i is a function of (seed, i) alone.
pub trait MetaBatches<T> {
    /// Batch `index`.
    ///
    /// # Errors
    /// If an image cannot be read.
    fn batch(&self, index: u64) -> Result<LabelledImages<T>, RepresentationError>;

    /// As [`MetaBatches::batch`], for a caller that works on it elsewhere: the next one may be made meanwhile.
    ///
    /// # Errors
    /// As [`MetaBatches::batch`].
    fn batch_ahead(&self, index: u64) -> Result<LabelledImages<T>, RepresentationError> {
        self.batch(index)
    }

    /// Batch `index` for a device that holds the images, where it can be told so: the same, bit for bit.
    fn placed(&self, index: u64) -> Option<PlacedBatch> {
        let _ = index;
        None
    }
}

/// The same batches for several owners.
impl<T, M: MetaBatches<T> + ?Sized> MetaBatches<T> for std::rc::Rc<M> {
    fn batch(&self, index: u64) -> Result<LabelledImages<T>, RepresentationError> {
        M::batch(self, index)
    }

    fn batch_ahead(&self, index: u64) -> Result<LabelledImages<T>, RepresentationError> {
        M::batch_ahead(self, index)
    }

    fn placed(&self, index: u64) -> Option<PlacedBatch> {
        M::placed(self, index)
    }
}

/// Where in training a step stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepAt {
    /// The 0-based epoch.
    pub epoch: usize,
    /// The 0-based step over all epochs.
    pub step: u64,
    /// How far the epoch is, in [0, 1).
    pub epoch_fraction: f64,
    /// α_lr of this step.
    pub lr: f64,
    /// α_lr over its peak.
    pub relative_lr: f64,
}

/// Prototypes for stage 3, all (K, d) with zero rows for unseen classes.
#[derive(Debug, Clone, PartialEq)]
pub struct PrototypeExport<T> {
    /// c.
    pub empirical: Vec<T>,
    /// c' = C(c; Θ); equal to c where there is no meta-network.
    pub meta: Vec<T>,
    /// 1 for a seen class, else 0, (K).
    pub seen: Vec<u32>,
    /// `sphere` or `raw`.
    pub space: &'static str,
}

impl<T: Scalar> PrototypeExport<T> {
    /// Without a meta-network: `meta` is `empirical`.
    pub fn empirical(prototypes: &Prototypes<T>) -> Self {
        let current = prototypes.current();
        Self { meta: current.clone(), empirical: current, seen: prototypes.seen().mask(), space: prototypes.space() }
    }
}

/// A stage-1 method. All state it keeps between steps goes through `save` and `restore`.
pub trait Method<T: Scalar> {
    /// As the recipe calls it.
    fn name(&self) -> &'static str;

    /// One step: forward, gradients, update of weights and prototypes. Names what it measured to `meter`, weighted by images.
    ///
    /// # Errors
    /// A loss that is not finite (nothing is updated then), or sizes that do not fit.
    fn step(
        &mut self,
        model: &mut Model<T>,
        optimizer: &mut Sgd<T>,
        batch: &LabelledImages<T>,
        at: &StepAt,
        meter: &mut EpochMeter,
    ) -> Result<(), RepresentationError>;

    /// The prototypes as stage 3 shall see them.
    ///
    /// # Errors
    /// If the meta-network fails.
    fn prototypes(&self) -> Result<PrototypeExport<T>, RepresentationError>;

    /// The meta-network's tensors, where there is one.
    fn meta_network(&self) -> Option<Vec<NamedTensor>> {
        None
    }

    /// How the meta-network is to be read: its form beside its tensors.
    fn meta_network_metadata(&self) -> serde_json::Value {
        serde_json::Value::Null
    }

    /// Bytes of the buffers that it keeps from step to step, its tapes among them.
    fn memory_bytes(&self) -> usize;

    /// Adds the state to a checkpoint.
    fn save(&self, writer: &mut StateWriter);

    /// Takes the state from a checkpoint.
    ///
    /// # Errors
    /// If something is missing or of another size.
    fn restore(&mut self, reader: &mut StateReader) -> Result<(), RepresentationError>;
}

/// The method that a recipe asks for.
///
/// # Errors
/// If it needs meta images and there are none.
pub fn build<T: Scalar>(
    recipe: &RepresentationRecipe,
    feature_dim: usize,
    class_counts: &[u32],
    meta: Option<Box<dyn MetaBatches<T>>>,
    seed: u64,
) -> Result<Box<dyn Method<T>>, RepresentationError> {
    let loss = ClassificationLoss::from_recipe(recipe.loss, class_counts)?.with_smoothing(recipe.label_smoothing);
    let micro = MicroBatch::new(recipe.micro_batch, recipe.batch_size);
    match &recipe.method {
        RepresentationMethod::Ce(ce) => Ok(Box::new(Ce::new(&ce.ema, feature_dim, loss, class_counts, micro))),
        RepresentationMethod::Mpcl(mpcl) => {
            let mut settings = MpclSettings::from_recipe(mpcl, loss, recipe.epochs, feature_dim, class_counts)?;
            settings.micro = micro;
            Ok(Box::new(Mpcl::new(settings, meta, seed)?))
        }
    }
}
