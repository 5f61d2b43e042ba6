//! Whether settings fit the split that a recipe draws: what no range can say, as it depends on how many images there are.
//!
//! Asked before anything is trained (`datasets fits`, for the plan), and by the stages themselves.

use serde::Serialize;

use crate::classifier::{Alpha, ClassifierRecipe};
use crate::method::{MetaBn, MpclRecipe, Prototypes, RepresentationMethod};
use crate::set_representation;
use crate::stage1::{Backbone, MOST_IN_A_BATCH, RepresentationRecipe};
use crate::whole::Recipe;

/// Images of a split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SplitSizes {
    /// Number of training images.
    pub train: usize,
    /// Number of meta images.
    pub meta: usize,
    /// Number of validation images.
    pub val: usize,
}

/// A stage whose settings do not fit the split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Misfit {
    /// `representations` or `classifiers`.
    pub part: &'static str,
    /// Name of the classifier or representation in the recipe.
    pub name: String,
    /// What does not fit, and why.
    pub problem: String,
    /// What to change.
    pub hint: String,
    /// Whether the stage refuses to start; else it warns.
    pub refused: bool,
    /// Whether it is no less so where images are left out: what `on_bad_image: skip` may still find changes nothing.
    #[serde(skip)]
    pub of_fewer_too: bool,
}

/// A batch of a single image, from which batch norm takes its statistics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SingleImage {
    /// Which batch, with the numbers that make it so.
    pub which: String,
    /// What to change.
    pub hint: String,
}

impl SingleImage {
    /// Where it still has several pixels as batch norm sees it: a warning, without the hint.
    pub fn statistics_of_one(&self) -> String {
        format!("{} is a single image, so batch norm takes its statistics from that image alone", self.which)
    }

    /// Where an image of `side` pixels has shrunk to one pixel: nothing can be learned from it.
    pub fn one_value(self, side: usize) -> Unfit {
        let problem = format!(
            "{} is a single image, and the network shrinks an image of {side} pixels to 1: batch norm would see one \
             value per channel, which has no variance",
            self.which
        );
        Unfit { problem, hint: self.hint }
    }
}

/// Why a stage refuses a split: the one home of the words that it and the plan have for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    /// What does not fit, with the numbers.
    pub problem: String,
    /// What to change.
    pub hint: String,
}

impl Unfit {
    /// `mpcl` with `prototypes: meta`, and no meta image.
    pub fn no_meta_set() -> Self {
        Self {
            problem: "`prototypes: meta` learns from a meta set, but the split has none".to_owned(),
            hint: "set `data.meta_source: metasaug`, or `prototypes: empirical`".to_owned(),
        }
    }
}

impl Recipe {
    /// What does not fit a split of these sizes, in the recipe's order, whether or not a row asks for it.
    pub fn misfits(&self, sizes: SplitSizes) -> Vec<Misfit> {
        let side = self.data.image_side();
        let named = |part: &'static str, name: &String, found: Option<Found>| {
            let Found { problem, hint, refused, of_fewer_too } = found?;
            Some(Misfit { part, name: name.clone(), problem, hint, refused, of_fewer_too })
        };
        let representations = self.representations.iter();
        let classifiers = self.classifiers.iter();
        representations
            .filter_map(|(name, recipe)| named("representations", name, recipe.misfit(name, sizes, side)))
            .chain(classifiers.filter_map(|(name, recipe)| named("classifiers", name, recipe.misfit(sizes))))
            .collect()
    }
}

struct Found {
    problem: String,
    hint: String,
    refused: bool,
    of_fewer_too: bool,
}

impl Found {
    fn refused(Unfit { problem, hint }: Unfit, of_fewer_too: bool) -> Self {
        Self { problem, hint, refused: true, of_fewer_too }
    }
}

impl RepresentationRecipe {
    /// Whether training on `images` images has an epoch without a batch. `variant` is the recipe's name for it.
    pub fn no_batch(&self, variant: &str, images: usize) -> Option<Unfit> {
        if !self.drop_last || images >= self.batch_size {
            return None;
        }
        let noun = if images == 1 { "image" } else { "images" };
        let problem = format!(
            "`drop_last: true` leaves no batch in an epoch: `batch_size` is {}, but the split has {images} training {noun}",
            self.batch_size
        );
        let hint = match images {
            1 => format!(
                "train on two or more images, or keep the last batch: {}",
                set_representation(variant, "drop_last", "false")
            ),
            _ => format!("lower it to {images} or less: {}", set_representation(variant, "batch_size", images)),
        };
        Some(Unfit { problem, hint })
    }

    /// The first kind of batch, of those that training on `images` images sees, that is a single image and is normalised by its own
    /// statistics. `variant` is the recipe's name for it. (`micro_batch` leaves no single image over where a batch has several.)
    pub fn single_image_batch(&self, variant: &str, images: usize) -> Option<SingleImage> {
        let batch_size = self.batch_size;
        if images % batch_size == 1 && !self.drop_last {
            let noun = if images == 1 { "image" } else { "images" };
            let which = format!("the last batch of an epoch ({images} training {noun} in batches of {batch_size})");
            return Some(SingleImage { which, hint: last_batch_hint(variant, images, batch_size) });
        }
        match &self.method {
            RepresentationMethod::Mpcl(mpcl)
                if mpcl.prototypes == Prototypes::Meta && mpcl.meta_batch == 1 && mpcl.meta_bn == MetaBn::Batch =>
            {
                let two = set_representation(variant, "method.mpcl.meta_batch", 2);
                let hint = format!("take 2 or more: {two}, or 0 for batch_size");
                Some(SingleImage { which: "a meta batch (`meta_batch: 1`)".to_owned(), hint })
            }
            RepresentationMethod::Mpcl(_) | RepresentationMethod::Ce(_) => None,
        }
    }

    fn misfit(&self, variant: &str, sizes: SplitSizes, side: usize) -> Option<Found> {
        if let Some(single) = self.single_image_batch(variant, sizes.train) {
            // A meta batch is one image however many there are.
            let of_fewer_too = sizes.train % self.batch_size != 1;
            if self.backbone.fewest_pixels(side) == 1 {
                return Some(Found::refused(single.one_value(side), of_fewer_too));
            }
            let problem = single.statistics_of_one();
            return Some(Found { problem, hint: single.hint, refused: false, of_fewer_too });
        }
        if let Some(no_batch) = self.no_batch(variant, sizes.train).filter(|_| sizes.train > 0) {
            return Some(Found::refused(no_batch, true));
        }
        match &self.method {
            RepresentationMethod::Mpcl(mpcl) if mpcl.prototypes == Prototypes::Meta && sizes.meta == 0 => {
                Some(Found::refused(Unfit::no_meta_set(), true))
            }
            RepresentationMethod::Mpcl(mpcl) if self.never_moves_theta(mpcl, sizes.train) => Some(Found {
                problem: format!(
                    "the meta-network is updated every {} steps, but there is no such step after T_th: it never changes",
                    mpcl.meta_every
                ),
                hint: format!("lower it: {}", set_representation(variant, "method.mpcl.meta_every", 1)),
                refused: false,
                of_fewer_too: true,
            }),
            RepresentationMethod::Mpcl(_) | RepresentationMethod::Ce(_) => None,
        }
    }
}

impl RepresentationRecipe {
    /// Whether there is a meta-network, and no step of training on `images` images moves it.
    fn never_moves_theta(&self, mpcl: &MpclRecipe, images: usize) -> bool {
        let batches = if self.drop_last { images / self.batch_size } else { images.div_ceil(self.batch_size) };
        let (first, end, every) = (mpcl.t_th(self.epochs) * batches, self.epochs * batches, mpcl.meta_every.max(1));
        mpcl.prototypes == Prototypes::Meta && images > 0 && first.div_ceil(every) * every >= end
    }
}

impl ClassifierRecipe {
    fn misfit(&self, sizes: SplitSizes) -> Option<Found> {
        let by_validation = |what: &str, one: &str| Found {
            problem: format!("{what} on validation images, but the split has none"),
            hint: format!("{one}, or add validation images to the data set (folder `val/`)"),
            refused: true,
            of_fewer_too: true,
        };
        match self {
            Self::TauNorm(recipe) if recipe.taus.len() > 1 && sizes.val == 0 => {
                Some(by_validation("τ is chosen among several", "give one value in `taus`"))
            }
            Self::Mpfa(recipe) => match recipe.alpha {
                Alpha::Search(_) if sizes.val == 0 => {
                    Some(by_validation("α is chosen among several", "give one value: `alpha: {fixed: …}`"))
                }
                Alpha::Adaptive(_) if sizes.meta == 0 => Some(Found {
                    problem: "`alpha: adaptive` follows losses on a meta set, but the split has none".to_owned(),
                    hint: "set `data.meta_source: metasaug`, or give one value: `alpha: {fixed: …}`".to_owned(),
                    refused: true,
                    of_fewer_too: true,
                }),
                Alpha::Fixed(_) | Alpha::Search(_) | Alpha::Adaptive(_) => None,
            },
            Self::Joint(_)
            | Self::Crt(_)
            | Self::Lws(_)
            | Self::TauNorm(_)
            | Self::Ncm(_)
            | Self::Tailcalib(_)
            | Self::TailcalibX(_) => None,
        }
    }
}

impl Backbone {
    /// Pixels of the smallest map that batch norm sees of an image of `side` pixels: strides halve it, rounding up.
    pub fn fewest_pixels(self, side: usize) -> usize {
        let halvings = if self.is_cifar() { 2 } else { 5 };
        let side = (0..halvings).fold(side, |side: usize, _| side.div_ceil(2));
        side * side
    }
}

/// The nearest size that leaves no single image over.
fn last_batch_hint(variant: &str, images: usize, batch_size: usize) -> String {
    if images == 1 {
        return "train on two or more images".to_owned();
    }
    let fits = |size: &usize| images % size != 1;
    // More than so many are no batch size.
    let larger = (batch_size + 1..=images.min(MOST_IN_A_BATCH)).find(fits);
    let smaller = (2..batch_size).rev().find(fits);
    let nearest = match (larger, smaller) {
        (Some(larger), Some(smaller)) if batch_size - smaller < larger - batch_size => smaller,
        (larger, smaller) => larger.or(smaller).unwrap_or(images),
    };
    let dropped =
        if images > batch_size { ", or leave that image out of each epoch with `drop_last: true`" } else { "" };
    format!("{} leaves none over{dropped}", set_representation(variant, "batch_size", nearest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read_str;

    fn misfits(text: &str, train: usize, meta: usize, val: usize) -> Vec<Misfit> {
        let text = format!("data: {{dataset: image_folder, image_side: 32, meta_source: none}}\n{text}");
        let recipe = read_str(&text, "small", &[]).unwrap_or_else(|error| panic!("{error}"));
        recipe.misfits(SplitSizes { train, meta, val })
    }

    #[test]
    fn what_depends_on_the_number_of_images_is_known_before_a_stage_starts() {
        let text = "representations: {r: {method: {ce: {}}, backbone: resnet50, batch_size: 16}}\n\
                    classifiers: {joint: , several: {tau_norm: {}}, given: {tau_norm: {taus: [1]}}}\n";
        assert_eq!(misfits(text, 32, 0, 4), []);
        let found = misfits(text, 33, 0, 0);
        let names: Vec<(&str, &str, bool)> =
            found.iter().map(|found| (found.part, found.name.as_str(), found.refused)).collect();
        assert_eq!(names, [("representations", "r", true), ("classifiers", "several", true)]);
        assert!(found[0].problem.contains("33 training images in batches of 16") && found[0].hint.contains("=17"));
        assert!(found[1].problem.contains("validation images") && found[1].hint.contains("`taus`"));
        let warned = misfits(&text.replace("resnet50", "{cifar_resnet: 8}"), 33, 0, 4);
        assert!(warned.len() == 1 && !warned[0].refused, "{warned:?}");
        assert_eq!(misfits(&text.replace("16}", "16, drop_last: true}"), 33, 0, 4), []);
        let found = misfits(&text.replace("16}", "16, drop_last: true}"), 15, 0, 4);
        assert!(
            found[0].refused && found[0].problem.contains("no batch") && found[0].hint.contains("=15"),
            "{found:?}"
        );
    }

    #[test]
    fn a_search_for_alpha_and_a_meta_network_are_siblings() {
        let text = "representations: {r: {method: {mpcl: {prototypes: meta}}, backbone: resnet50, batch_size: 16}}\n\
                    classifiers: {search: {mpfa: {alpha: {search: {low: 0.1, high: 0.5, steps: 3}}}}, adaptive: {mpfa: {alpha: {adaptive: 0.2}}}}\n";
        let data = "data: {dataset: image_folder, image_side: 32}\n";
        let recipe = read_str(&format!("{data}{text}"), "small", &[]).unwrap_or_else(|error| panic!("{error}"));
        let of = |meta, val| -> Vec<String> {
            let found = recipe.misfits(SplitSizes { train: 32, meta, val });
            found.into_iter().map(|found| format!("{} {}", found.name, found.problem)).collect()
        };
        assert_eq!(of(4, 4), [""; 0]);
        assert_eq!(of(4, 0), ["search α is chosen among several on validation images, but the split has none"]);
        let without_meta = of(0, 4);
        assert!(without_meta.len() == 2 && without_meta[0].starts_with("r `prototypes: meta`"), "{without_meta:?}");
        assert!(without_meta[1].starts_with("adaptive `alpha: adaptive`"), "{without_meta:?}");
    }

    #[test]
    fn a_meta_network_that_no_step_moves_is_a_warning() {
        let of = |every: usize| {
            let text = format!(
                "representations: {{r: {{method: {{mpcl: {{t_th_frac: 0.5, meta_every: {every}}}}}, backbone: resnet50, batch_size: 16, \
                 epochs: 4}}}}\nclassifiers: {{joint: }}\n"
            );
            let data = "data: {dataset: image_folder, image_side: 32}\n";
            let recipe = read_str(&format!("{data}{text}"), "never", &[]).unwrap_or_else(|error| panic!("{error}"));
            recipe.misfits(SplitSizes { train: 48, meta: 8, val: 8 })
        };
        // Twelve steps, the last six after T_th: step 10 is one of every 10, and none of every 5 000 or every 12 is.
        assert_eq!((of(1), of(10)), (Vec::new(), Vec::new()));
        for every in [12, 5000] {
            let found = of(every);
            assert!(!found[0].refused && found[0].problem.contains("it never changes"), "{every}: {found:?}");
        }
    }

    #[test]
    fn the_size_that_is_named_leaves_none_over() {
        for images in 2..200 {
            for batch_size in 2..70 {
                let hint = last_batch_hint("r", images, batch_size);
                let size = hint.split(['=', ' ']).nth(2).and_then(|size| size.parse::<usize>().ok()).expect("a number");
                assert!(size >= 2 && images % size != 1, "{images} in {batch_size}: {hint}");
            }
        }
    }
}
