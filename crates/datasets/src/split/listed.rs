//! The split of a photo set: its lists say which image is for what, and only the meta set is drawn.

use longtail_artifact::counted;
use longtail_recipe::{DataRecipe, Dataset, MetaSource};
use serde::Serialize;

use super::{Skipped, Split, first_per_class};
use crate::error::DatasetError;
use crate::image_set::DataSource;
use crate::numpy_legacy::NumpyLegacy;

/// What the meta set of `metasaug` is drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MetaFrom {
    /// The validation list, whose rest is for validation (ImageNet-LT).
    ValidationList,
    /// The training list, and the images stay in it (iNaturalist 2018, which has no validation list).
    TrainingList,
}

/// What decides the split of a photo set, beside its lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListedSpec {
    /// Where the balanced meta set comes from.
    pub meta_source: MetaSource,
    /// Of `metasaug`.
    pub meta_from: MetaFrom,
    /// Images per class in the meta set of `metasaug`.
    pub meta_per_class: usize,
    /// Seed of the meta draw.
    pub meta_seed: u32,
    /// Most images of each class in train, val and test, the first of each list; `None`: no bound. For small trials.
    pub max_per_class: Option<u32>,
}

impl ListedSpec {
    /// The part of `recipe` that decides the split.
    pub fn new(recipe: &DataRecipe) -> Self {
        Self {
            meta_source: recipe.meta_source,
            meta_from: match recipe.dataset {
                Dataset::Inaturalist2018 => MetaFrom::TrainingList,
                Dataset::FashionMnist | Dataset::Cifar100 | Dataset::ImagenetLt | Dataset::ImageFolder => {
                    MetaFrom::ValidationList
                }
            },
            meta_per_class: recipe.meta_per_class,
            meta_seed: recipe.meta_seed,
            max_per_class: recipe.max_per_class,
        }
    }
}

impl Split {
    /// The split of a photo set.
    ///
    /// Train and test are the lists, in their order. Meta (`metasaug`): for each class in label order, one legacy NumPy
    /// generator seeded `meta_seed`, never seeded again, shuffles the ascending positions of the class in the list that
    /// `meta_from` names; the first `meta_per_class` are meta. With the validation list val is the rest, class after class,
    /// ascending within a class; with the training list val is empty and train stays whole. Other meta sources: val is the
    /// whole validation list, in its order.
    ///
    /// Images in `skipped` are left out after everything is drawn, so a bad image changes no other image's place. Then
    /// `max_per_class` cuts train, val and test, never meta.
    ///
    /// # Errors
    /// A class with fewer images than the meta set takes of it; no validation list where meta comes from it; a class that
    /// is left without a training image.
    ///
    /// # Source
    /// MetaSAug's `ImageNet_iNat/data_utils.py` (protocol.md §7); the order of val is ours.
    pub fn draw_listed(spec: &ListedSpec, source: &DataSource, skipped: Skipped) -> Result<Self, DatasetError> {
        let problem = |problem: String| DatasetError::Split { problem };
        let val_from = source.val_from.unwrap_or(source.train.len()) as u32;
        let good = |indices: Vec<u32>, bad: &[u32]| -> Vec<u32> {
            indices.into_iter().filter(|index| bad.binary_search(index).is_err()).collect()
        };
        let all = |range: std::ops::Range<u32>| good(range.collect(), &skipped.train);
        let mut train = all(0..val_from);
        let mut val = all(val_from..source.train.len() as u32);
        let mut meta = Vec::new();
        if spec.meta_source == MetaSource::Metasaug {
            let list = match spec.meta_from {
                MetaFrom::ValidationList if val_from as usize == source.train.len() => {
                    return Err(problem(
                        "`meta_source: metasaug` draws the meta set from the validation images, but there are none (no \
                         `val/` beside `train/` and `test/`); use `lt_balanced_draws` or `none`"
                            .to_owned(),
                    ));
                }
                MetaFrom::ValidationList => val_from..source.train.len() as u32,
                MetaFrom::TrainingList => 0..val_from,
            };
            let mut rest;
            (meta, rest) = draw_meta(spec, source, list)?;
            meta = good(meta, &skipped.train);
            rest = good(rest, &skipped.train);
            val = if spec.meta_from == MetaFrom::ValidationList { rest } else { Vec::new() };
        }
        train = first_per_class(&source.train, train, spec.max_per_class);
        val = first_per_class(&source.train, val, spec.max_per_class);
        let test = good((0..source.test.len() as u32).collect(), &skipped.test);
        let test = first_per_class(&source.test, test, spec.max_per_class);
        let mut class_counts = vec![0; source.train.num_classes];
        train.iter().for_each(|&index| class_counts[source.train.labels[index as usize] as usize] += 1);
        if let Some(class) = class_counts.iter().position(|&count| count == 0) {
            let name = &source.train.class_names[class];
            return Err(problem(format!("class {class} (`{name}`) has no readable training image left")));
        }
        if spec.meta_source == MetaSource::LtBalancedDraws {
            meta.clone_from(&train);
        }
        Ok(Self { train, meta, val, test, class_counts, meta_source: spec.meta_source, skipped })
    }
}

/// Meta positions, class after class in the order of the shuffle, and the rest, class after class and ascending.
fn draw_meta(
    spec: &ListedSpec,
    source: &DataSource,
    list: std::ops::Range<u32>,
) -> Result<(Vec<u32>, Vec<u32>), DatasetError> {
    let mut classes = vec![Vec::new(); source.train.num_classes];
    for index in list {
        classes[source.train.labels[index as usize] as usize].push(index);
    }
    let mut generator = NumpyLegacy::new(spec.meta_seed);
    let (mut meta, mut rest) = (Vec::new(), Vec::new());
    for (class, mut indices) in classes.into_iter().enumerate() {
        if indices.len() < spec.meta_per_class {
            let (found, asked, name) = (indices.len(), spec.meta_per_class, &source.train.class_names[class]);
            let list = match spec.meta_from {
                MetaFrom::ValidationList => "validation",
                MetaFrom::TrainingList => "training",
            };
            return Err(DatasetError::Split {
                problem: format!(
                    "meta_per_class is {asked}, but class {class} (`{name}`) has {} in the {list} list",
                    counted(found, "image")
                ),
            });
        }
        generator.shuffle(&mut indices);
        let mut left = indices.split_off(spec.meta_per_class);
        left.sort_unstable();
        meta.extend(indices);
        rest.extend(left);
    }
    Ok((meta, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image_set::ImageSet;

    fn set(labels: Vec<u32>) -> ImageSet {
        let num_classes = 3;
        ImageSet {
            images: vec![0; labels.len()].into(),
            labels,
            height: 1,
            width: 1,
            channels: 1,
            num_classes,
            class_names: (0..num_classes).map(|class| format!("n{class}")).collect(),
        }
    }

    /// Train: 6, 3 and 2 images; val: 20 of each class, class after class; test: 2 of each.
    fn source() -> DataSource {
        let val = (0..60).map(|i| i / 20);
        let train = [0, 1, 0, 2, 0, 1, 0, 0, 2, 1, 0];
        DataSource {
            train: set(train.into_iter().chain(val).collect()),
            test: set(vec![0, 0, 1, 1, 2, 2]),
            hash: "lists".to_owned(),
            val_from: Some(11),
            kept: None,
        }
    }

    fn spec(meta_from: MetaFrom) -> ListedSpec {
        let meta_per_class = if meta_from == MetaFrom::ValidationList { 10 } else { 2 };
        ListedSpec { meta_source: MetaSource::Metasaug, meta_from, meta_per_class, meta_seed: 6, max_per_class: None }
    }

    fn draw(spec: &ListedSpec, skipped: Skipped) -> Split {
        Split::draw_listed(spec, &source(), skipped).expect("drawable")
    }

    /// The numbers are NumPy's: `r = numpy.random.RandomState(6)`, then for each class `a = numpy.arange(20); r.shuffle(a)`.
    #[test]
    fn imagenet_lt_takes_ten_of_each_class_of_the_validation_list() {
        let split = draw(&spec(MetaFrom::ValidationList), Skipped::default());
        assert_eq!(split.train, (0..11).collect::<Vec<u32>>());
        assert_eq!(split.class_counts, [6, 3, 2]);
        let local = |class: u32| -> Vec<u32> {
            split.meta[class as usize * 10..][..10].iter().map(|index| index - 11 - class * 20).collect()
        };
        assert_eq!(local(0), NUMPY[0]);
        assert_eq!(local(1), NUMPY[1]);
        assert_eq!(local(2), NUMPY[2]);
        let mut both: Vec<u32> = split.meta.iter().chain(&split.val).copied().collect();
        assert!(split.val.is_sorted(), "class after class of a list that is grouped by class");
        both.sort_unstable();
        assert_eq!(both, (11..71).collect::<Vec<u32>>(), "meta and val share nothing and leave nothing");
        assert_eq!(split.test, [0, 1, 2, 3, 4, 5]);
    }

    const NUMPY: [[u32; 10]; 3] =
        [[17, 7, 5, 6, 8, 2, 15, 14, 4, 11], [9, 17, 7, 14, 8, 6, 13, 12, 3, 10], [4, 9, 11, 0, 7, 18, 13, 16, 12, 2]];

    #[test]
    fn inaturalist_takes_two_of_each_class_and_keeps_them() {
        let split = draw(&spec(MetaFrom::TrainingList), Skipped::default());
        assert_eq!((split.train.len(), split.meta.len(), split.val.len()), (11, 6, 0));
        assert!(split.meta.iter().all(|index| split.train.contains(index)));
        let labels: Vec<u32> = split.meta.iter().map(|&index| source().train.labels[index as usize]).collect();
        assert_eq!(labels, [0, 0, 1, 1, 2, 2]);
    }

    #[test]
    fn bad_images_leave_every_part_and_move_nothing_else() {
        let whole = draw(&spec(MetaFrom::ValidationList), Skipped::default());
        let (bad_meta, bad_val) = (whole.meta[13], whole.val[3]);
        let mut bad = vec![2, bad_meta, bad_val];
        bad.sort_unstable();
        let split = draw(&spec(MetaFrom::ValidationList), Skipped { train: bad.clone(), test: vec![5] });
        let without = |indices: &[u32]| indices.iter().copied().filter(|i| !bad.contains(i)).collect::<Vec<_>>();
        assert_eq!(
            (split.train, split.meta, split.val),
            (without(&whole.train), without(&whole.meta), without(&whole.val))
        );
        assert_eq!((split.class_counts, split.test), (vec![5, 3, 2], vec![0, 1, 2, 3, 4]));
    }

    #[test]
    fn other_meta_sources_leave_the_validation_list_whole() {
        let balanced = ListedSpec { meta_source: MetaSource::LtBalancedDraws, ..spec(MetaFrom::ValidationList) };
        let split = draw(&balanced, Skipped::default());
        assert_eq!((&split.meta, split.val.len()), (&split.train, 60));
        let none =
            ListedSpec { meta_source: MetaSource::None, max_per_class: Some(1), ..spec(MetaFrom::ValidationList) };
        let split = draw(&none, Skipped::default());
        assert_eq!(
            (split.train, split.meta, split.val, split.test),
            (vec![0, 1, 3], vec![], vec![11, 31, 51], vec![0, 2, 4])
        );
    }

    #[test]
    fn what_cannot_be_drawn_is_named() {
        let message = |spec: &ListedSpec, source: &DataSource, skipped| {
            Split::draw_listed(spec, source, skipped).expect_err("impossible").to_string()
        };
        let many = ListedSpec { meta_per_class: 3, ..spec(MetaFrom::TrainingList) };
        let few = message(&many, &source(), Skipped::default());
        assert!(few.contains("meta_per_class is 3, but class 2 (`n2`) has 2 images in the training list"), "{few}");
        let gone = message(&spec(MetaFrom::ValidationList), &source(), Skipped { train: vec![3, 8], test: vec![] });
        assert!(gone.contains("class 2 (`n2`) has no readable training image"), "{gone}");
        let no_list = DataSource { val_from: Some(71), ..source() };
        let none = message(&spec(MetaFrom::ValidationList), &no_list, Skipped::default());
        assert!(none.contains("use `lt_balanced_draws` or `none`"), "{none}");
    }
}
