//! Which images are training, meta, validation and test images.

mod file;
mod listed;

pub use listed::{ListedSpec, MetaFrom};

use longtail_recipe::{DataRecipe, MetaSource, Sampler};
use serde::Serialize;

use crate::counts::long_tailed_counts;
use crate::error::DatasetError;
use crate::image_set::{DataSource, ImageSet};
use crate::numpy_legacy::NumpyLegacy;

/// What decides a split, beside the images: the part of a data recipe that a draw reads.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SplitSpec {
    /// N_1 / N_K, at least 1.
    pub imbalance_factor: f64,
    /// Where the balanced meta set comes from.
    pub meta_source: MetaSource,
    /// Images per class in the meta set of `metasaug`.
    pub meta_per_class: usize,
    /// Seed of the long-tailed draw.
    pub subset_seed: u32,
    /// Seed of the meta draw.
    pub meta_seed: u32,
    /// Most images of the largest class, and most test images of any class; `None`: no bound. For small trials.
    pub max_per_class: Option<u32>,
}

impl SplitSpec {
    /// The part of `recipe` that a draw reads.
    pub fn new(recipe: &DataRecipe) -> Self {
        Self {
            imbalance_factor: recipe.imbalance_factor.unwrap_or(1.0),
            meta_source: recipe.meta_source,
            meta_per_class: recipe.meta_per_class,
            subset_seed: recipe.subset_seed.unwrap_or(0),
            meta_seed: recipe.meta_seed,
            max_per_class: recipe.max_per_class,
        }
    }
}

/// Indices of the images of each part, and the counts that give a long-tailed training set its profile.
///
/// `train`, `meta` and `val` are positions in the data set's training file, `test` in its test file. For photo sets the
/// training file is the training list with the validation list behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// In the order of the draw: class after class, shuffled within a class; photo sets: in the order of the list.
    pub train: Vec<u32>,
    /// The balanced meta set. `metasaug`: held out, class after class. `lt_balanced_draws`: the training set itself, from
    /// which [`crate::MetaLoader`] draws class by class. `none`: empty.
    pub meta: Vec<u32>,
    /// For choosing settings. `metasaug`: the meta set again, as protocol.md §7 defines it. Otherwise empty. Photo sets: see
    /// [`Split::draw_listed`].
    pub val: Vec<u32>,
    /// The test set, whole unless the recipe bounds it.
    pub test: Vec<u32>,
    /// Images of `train` per class, index = label.
    pub class_counts: Vec<u32>,
    /// Where `meta` comes from.
    pub meta_source: MetaSource,
    /// Photos that the census found bad; none of them is in any part above.
    pub skipped: Skipped,
}

/// Photos that cannot be decoded: ascending positions in the training source and in the test list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Skipped {
    /// In the training source, which ends with the validation list.
    pub train: Vec<u32>,
    /// In the test list.
    pub test: Vec<u32>,
}

impl Split {
    /// Draws the split that `recipe` describes from `source`, as if every image were good.
    ///
    /// # Errors
    /// See [`Split::draw_spec`] and, for photo sets, [`Split::draw_listed`].
    pub fn draw(recipe: &DataRecipe, source: &DataSource) -> Result<Self, DatasetError> {
        Self::draw_without(recipe, source, Skipped::default())
    }

    /// [`Split::draw`] without the photos that are `skipped`.
    ///
    /// # Errors
    /// As [`Split::draw`].
    pub fn draw_without(recipe: &DataRecipe, source: &DataSource, skipped: Skipped) -> Result<Self, DatasetError> {
        if recipe.dataset.is_photo_set() {
            return Self::draw_listed(&ListedSpec::new(recipe), source, skipped);
        }
        let split = Self::draw_spec(&SplitSpec::new(recipe), source)?;
        split.check_kept(source)?;
        Ok(split)
    }

    /// Training images that the split names, each once, ascending.
    pub fn training_images(&self) -> Vec<u32> {
        let mut all = [self.train.as_slice(), &self.meta, &self.val].concat();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Refuses a split with images that did not come along.
    fn check_kept(&self, source: &DataSource) -> Result<(), DatasetError> {
        let Some(kept) = &source.kept else { return Ok(()) };
        let all = self.training_images();
        let absent = all.iter().filter(|index| kept.binary_search(index).is_err()).count();
        if absent == 0 {
            return Ok(());
        }
        Err(DatasetError::Subset { absent, wanted: all.len(), kept: kept.len() })
    }

    /// Draws the split that `spec` describes from `source`.
    ///
    /// Meta (`metasaug`): per class in label order, one legacy NumPy generator seeded `meta_seed` shuffles the ascending
    /// indices; the first `meta_per_class` are meta. Training: what is left of each class, ascending again, is shuffled, per
    /// class in label order, by one generator seeded `subset_seed`, and the first N_k are kept, N_k after
    /// [`long_tailed_counts`] with the images left per class as its base. Neither generator is seeded again between classes.
    ///
    /// # Errors
    /// A factor below 1, classes of different sizes in `source`, a meta set that takes a whole class, or a class left
    /// without a training image.
    ///
    /// # Source
    /// Meta: MetaSAug's `data_utils.py`. Training: `imbalance_cifar.py` of LDAM-DRW, the same to the bit (protocol.md §1.2, §7).
    pub fn draw_spec(spec: &SplitSpec, source: &DataSource) -> Result<Self, DatasetError> {
        let problem = |problem: String| DatasetError::Split { problem };
        if !(spec.imbalance_factor >= 1.0 && spec.imbalance_factor.is_finite()) {
            return Err(problem(format!("imbalance_factor is {}, expected at least 1", spec.imbalance_factor)));
        }
        if spec.max_per_class == Some(0) {
            return Err(problem("max_per_class is 0, expected at least 1".to_owned()));
        }
        let mut classes = source.train.class_indices();
        let per_class = classes.first().map_or(0, Vec::len);
        if per_class == 0 {
            return Err(problem("class 0 has no image in the training file".to_owned()));
        }
        if let Some((class, indices)) = classes.iter().enumerate().find(|(_, indices)| indices.len() != per_class) {
            return Err(problem(format!(
                "class {class} has {} images in the training file but class 0 has {per_class}; the draw needs classes of equal size",
                indices.len()
            )));
        }

        let mut meta = Vec::new();
        if spec.meta_source == MetaSource::Metasaug {
            if spec.meta_per_class == 0 || spec.meta_per_class >= per_class {
                return Err(problem(format!(
                    "meta_per_class is {}, expected 1 to {}: a class has {per_class} training images",
                    spec.meta_per_class,
                    per_class - 1
                )));
            }
            meta = hold_out(&mut classes, spec.meta_per_class, spec.meta_seed);
        }

        let left = classes[0].len() as u32;
        let base = spec.max_per_class.map_or(left, |max| max.min(left));
        let class_counts = long_tailed_counts(base, spec.imbalance_factor, classes.len());
        if let Some(class) = class_counts.iter().position(|&count| count == 0) {
            return Err(problem(format!(
                "imbalance_factor {} leaves class {class} with no training image: the largest class has {base}",
                spec.imbalance_factor
            )));
        }
        let train = long_tailed(&mut classes, &class_counts, spec.subset_seed);
        if spec.meta_source == MetaSource::LtBalancedDraws {
            meta.clone_from(&train);
        }
        let val = if spec.meta_source == MetaSource::Metasaug { meta.clone() } else { Vec::new() };
        let test = first_per_class(&source.test, (0..source.test.len() as u32).collect(), spec.max_per_class);
        let (meta_source, skipped) = (spec.meta_source, Skipped::default());
        Ok(Self { train, meta, val, test, class_counts, meta_source, skipped })
    }

    /// How the meta set is to be drawn from: uniformly, or class by class where it is the training set itself.
    pub fn meta_sampler(&self) -> Sampler {
        match self.meta_source {
            MetaSource::LtBalancedDraws => Sampler::ClassBalanced,
            MetaSource::Metasaug | MetaSource::None => Sampler::InstanceBalanced,
        }
    }
}

/// Takes `count` images out of every class; what is left stays ascending.
fn hold_out(classes: &mut [Vec<u32>], count: usize, seed: u32) -> Vec<u32> {
    let mut generator = NumpyLegacy::new(seed);
    let mut held_out = Vec::with_capacity(count * classes.len());
    for indices in classes {
        generator.shuffle(indices);
        held_out.extend(indices.drain(..count));
        indices.sort_unstable();
    }
    held_out
}

/// LDAM's draw: the first `counts[k]` of each class after a shuffle.
fn long_tailed(classes: &mut [Vec<u32>], counts: &[u32], seed: u32) -> Vec<u32> {
    let mut generator = NumpyLegacy::new(seed);
    let mut kept = Vec::with_capacity(counts.iter().sum::<u32>() as usize);
    for (indices, &count) in classes.iter_mut().zip(counts) {
        generator.shuffle(indices);
        kept.extend_from_slice(&indices[..count as usize]);
    }
    kept
}

/// All of `indices`, or the first `max` of each class.
fn first_per_class(set: &ImageSet, mut indices: Vec<u32>, max: Option<u32>) -> Vec<u32> {
    let Some(max) = max else { return indices };
    let mut seen = vec![0; set.num_classes];
    indices.retain(|&index| {
        let seen = &mut seen[set.labels[index as usize] as usize];
        *seen += 1;
        *seen <= max
    });
    indices
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Images of one pixel whose labels go round: index i has label i mod K.
    fn source(num_classes: usize, train_per_class: usize, test_per_class: usize) -> DataSource {
        let set = |per_class: usize| ImageSet {
            images: vec![0; num_classes * per_class].into(),
            labels: (0..num_classes * per_class).map(|i| (i % num_classes) as u32).collect(),
            height: 1,
            width: 1,
            channels: 1,
            num_classes,
            class_names: (0..num_classes).map(|class| class.to_string()).collect(),
        };
        DataSource {
            train: set(train_per_class),
            test: set(test_per_class),
            hash: "test".to_owned(),
            val_from: None,
            kept: None,
        }
    }

    fn spec(meta_source: MetaSource) -> SplitSpec {
        SplitSpec {
            imbalance_factor: 100.0,
            meta_source,
            meta_per_class: 10,
            subset_seed: 0,
            meta_seed: 6,
            max_per_class: None,
        }
    }

    /// protocol.md §1.2: local positions kept first, 500 images a class, seed 0. Index = position·K + class here.
    #[test]
    fn ldam_draw_bit_for_bit() {
        let split = Split::draw_spec(&spec(MetaSource::None), &source(100, 500, 1)).expect("drawable");
        let mut start = 0;
        for (class, expected) in [
            (0, [90, 254, 283, 445, 461, 15, 316, 489]),
            (1, [277, 307, 436, 88, 261, 57, 413, 459]),
            (2, [52, 34, 347, 492, 196, 233, 487, 246]),
        ] {
            let local: Vec<u32> = split.train[start..start + 8].iter().map(|&index| (index - class) / 100).collect();
            assert_eq!(local, expected, "class {class}");
            start += split.class_counts[class as usize] as usize;
        }
        assert_eq!((split.train.len(), split.meta.len(), split.val.len()), (10_847, 0, 0));
    }

    #[test]
    fn metasaug_holds_out_ten_a_class_and_trains_on_the_rest() {
        let source = source(100, 500, 2);
        let split = Split::draw_spec(&spec(MetaSource::Metasaug), &source).expect("drawable");
        assert_eq!((split.train.len(), split.meta.len(), split.test.len()), (10_626, 1000, 200));
        assert_eq!(split.val, split.meta);
        for (position, &index) in split.meta.iter().enumerate() {
            assert_eq!(source.train.labels[index as usize] as usize, position / 10);
        }
        // Class 0 by hand: what the generator seeded 6 puts first is meta, the rest, ascending, is shuffled by seed 0.
        let mut class: Vec<u32> = (0..500).map(|i| i * 100).collect();
        NumpyLegacy::new(6).shuffle(&mut class);
        assert_eq!(split.meta[..10], class[..10]);
        let mut rest = class[10..].to_vec();
        rest.sort_unstable();
        NumpyLegacy::new(0).shuffle(&mut rest);
        assert_eq!(split.train[..490], rest);
        let held_out: std::collections::BTreeSet<_> = split.meta.iter().collect();
        assert!(split.train.iter().all(|index| !held_out.contains(index)));
    }

    #[test]
    fn balanced_draws_keep_the_training_set_whole() {
        let source = source(10, 60, 1);
        let balanced =
            Split::draw_spec(&SplitSpec { imbalance_factor: 10.0, ..spec(MetaSource::LtBalancedDraws) }, &source);
        let none = Split::draw_spec(&SplitSpec { imbalance_factor: 10.0, ..spec(MetaSource::None) }, &source);
        let (balanced, none) = (balanced.expect("drawable"), none.expect("drawable"));
        assert_eq!((&balanced.meta, &balanced.train), (&none.train, &none.train));
        assert!(balanced.val.is_empty());
        assert_eq!(balanced.meta_sampler(), Sampler::ClassBalanced);
    }

    #[test]
    fn a_bound_per_class_shrinks_profile_and_test_set() {
        let spec = SplitSpec { max_per_class: Some(20), imbalance_factor: 10.0, ..spec(MetaSource::Metasaug) };
        let split = Split::draw_spec(&spec, &source(10, 60, 30)).expect("drawable");
        assert_eq!(split.class_counts, long_tailed_counts(20, 10.0, 10));
        assert_eq!(split.test, (0..200).collect::<Vec<u32>>());
    }

    #[test]
    fn impossible_wishes_are_named() {
        let message =
            |spec: SplitSpec| Split::draw_spec(&spec, &source(10, 60, 1)).expect_err("impossible").to_string();
        let all = SplitSpec { meta_per_class: 60, ..spec(MetaSource::Metasaug) };
        assert!(message(all).contains("meta_per_class is 60, expected 1 to 59"));
        let steep = SplitSpec { imbalance_factor: 61.0, ..spec(MetaSource::None) };
        assert!(message(steep).contains("leaves class 9 with no training image: the largest class has 60"));
        let nan = SplitSpec { imbalance_factor: f64::NAN, ..spec(MetaSource::None) };
        assert!(message(nan).contains("imbalance_factor is NaN"));
    }
}
