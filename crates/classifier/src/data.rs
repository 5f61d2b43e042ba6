//! What a method may see while it is fitted: train, meta and validation features, stage 1's head and prototypes. Never test.

use std::path::PathBuf;
use std::sync::Arc;

use longtail_training::HeadWeights;

use crate::ClassifierError;
use crate::generate::ClassStore;

/// Features of one split with their labels.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureSet {
    /// The file they are from.
    pub path: PathBuf,
    /// `(N, d)` row-major, finite.
    pub features: Vec<f32>,
    /// `(N,)`.
    pub labels: Vec<u32>,
    /// Feature dimension d.
    pub dim: usize,
}

/// Stage 1's prototypes.
#[derive(Debug, Clone, PartialEq)]
pub struct PrototypeSet {
    /// `(K, d)`: EMA of training features.
    pub empirical: Vec<f32>,
    /// `(K, d)`: what the meta-network made of them; equal to `empirical` without one.
    pub meta: Vec<f32>,
    /// `(K,)`: updates seen by stage 1.
    pub seen: Vec<u32>,
}

/// Loads the v-th augmented view of train, rows sorted as the plain dump's.
pub type ViewLoader = Arc<dyn Fn(usize) -> Result<ClassStore, ClassifierError> + Send + Sync>;

/// Augmented views of the training set, loaded one at a time.
#[derive(Clone, Default)]
pub struct Views {
    count: usize,
    load: Option<ViewLoader>,
}

impl Views {
    /// `count` views; `load` gets 0-based numbers.
    pub fn new(count: usize, load: ViewLoader) -> Self {
        Self { count, load: (count > 0).then_some(load) }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The view of a 0-based epoch: epoch mod count; none without views.
    ///
    /// # Errors
    /// Whatever the file says.
    pub fn of_epoch(&self, epoch: usize) -> Option<Result<ClassStore, ClassifierError>> {
        self.load.as_ref().map(|load| load(epoch % self.count))
    }
}

/// Everything that fitting may look at. The test set is not in here, and cannot be reached from here.
#[derive(Clone)]
pub struct FitData {
    /// Training rows as dumped, sorted by class.
    pub train: ClassStore,
    /// Augmented views of the same rows.
    pub views: Views,
    /// The balanced meta set; empty where the recipe has none.
    pub meta: FeatureSet,
    /// Validation, by which hyper-parameters are chosen; may be empty.
    pub val: FeatureSet,
    /// Training images of each class, `(K,)`.
    pub class_counts: Vec<u32>,
    /// Stage 1's head.
    pub head: HeadWeights,
    /// Stage 1's prototypes.
    pub prototypes: PrototypeSet,
}

impl FitData {
    /// Number of classes K.
    pub fn num_classes(&self) -> usize {
        self.class_counts.len()
    }

    /// Feature dimension d.
    pub fn dim(&self) -> usize {
        self.train.dim()
    }
}
