//! What `datasets check` finds: files, counts, channel means, record order, and the split that a recipe would draw.

mod cifar100;
mod photos;
mod published;

pub use photos::{ListReport, PhotoReport, PhotoSplit, check_photos, default_recipe};
pub use published::Published;

use std::path::Path;

use longtail_artifact::counted;
use longtail_recipe::{DataRecipe, Dataset, MetaSource};
use serde::Serialize;

use crate::error::DatasetError;
use crate::image_set::{DataSource, ImageSet};
use crate::read::{self, FileState};
use crate::split::Split;
use longtail_metrics::group_sizes;

/// Classes with images that are not the published ones: so many are named.
const NAMED_CLASSES: usize = 5;
/// How far a channel mean may lie from the published one, which has five decimals (four for Fashion-MNIST).
const MEAN_TOLERANCE: f64 = 6e-5;

/// Training images, and many / medium / few classes at >100 / <20, of CIFAR-100-LT by base and factor (protocol.md §1.1).
const PUBLISHED_CIFAR100_LT: [(u32, f64, u32, [usize; 3]); 6] = [
    (500, 100.0, 10_847, [35, 35, 30]),
    (500, 50.0, 12_608, [41, 41, 18]),
    (500, 10.0, 19_573, [69, 31, 0]),
    (490, 100.0, 10_626, [34, 35, 31]),
    (490, 50.0, 12_354, [40, 41, 19]),
    (490, 10.0, 19_183, [68, 32, 0]),
];

/// Everything that a check found; [`CheckReport::ok`] is the verdict.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CheckReport {
    /// Whether nothing was found that differs from what is published.
    pub ok: bool,
    /// The data set's name as people write it.
    pub dataset: &'static str,
    /// Where the files are.
    pub folder: String,
    /// Their layout.
    pub layout: &'static str,
    /// Each file with its size.
    pub files: Vec<FileState>,
    /// BLAKE3 over all unpacked bytes.
    pub hash: String,
    /// The training file.
    pub train: PartReport,
    /// The test file.
    pub test: PartReport,
    /// Whether only the training images of some recipes are there.
    pub is_subset: bool,
    /// Channel means of the training images as published.
    pub published_mean: Vec<f64>,
    /// Whether the records are in the official order, in words.
    pub record_order: &'static str,
    /// Whether the images are the published ones, in words.
    pub contents: String,
    /// The split that the recipe draws, if there is a recipe.
    pub split: Option<SplitReport>,
    /// What differs from what is published, in words.
    pub problems: Vec<String>,
}

/// One file of images.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PartReport {
    /// Number of images.
    pub images: usize,
    /// Number of classes.
    pub classes: usize,
    /// Images of each class; all classes have as many.
    pub per_class: u32,
    /// Mean of each channel, of pixels in 0..1.
    pub mean: Vec<f64>,
    /// Population standard deviation of each channel.
    pub std: Vec<f64>,
}

/// The split that a recipe draws.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SplitReport {
    /// N_1 / N_K as the recipe says.
    pub imbalance_factor: f64,
    /// Where the meta set comes from.
    pub meta_source: MetaSource,
    /// Images in each part.
    pub train: usize,
    /// Number of meta images.
    pub meta: usize,
    /// Number of validation images.
    pub val: usize,
    /// Number of test images.
    pub test: usize,
    /// Training images per class, index = label.
    pub class_counts: Vec<u32>,
    /// Classes that are many, medium and few.
    pub groups: [usize; 3],
    /// The thresholds: more than the first is many, fewer than the second few.
    pub shot_groups: [u32; 2],
    /// Whether total and groups are the published ones; `None` where nothing is published for these settings.
    pub as_published: Option<bool>,
}

/// Loads `dataset` from `dir` (see [`crate::load`]) and compares it with what is published; with a recipe, its split too.
///
/// # Errors
/// Those of [`crate::load`] and [`Split::draw`]. A difference from published numbers is no error but a problem in the
/// report.
pub fn check(dataset: Dataset, dir: Option<&Path>, recipe: Option<&DataRecipe>) -> Result<CheckReport, DatasetError> {
    let folder = read::find(dataset, dir)?;
    let source = read::load(dataset, Some(&folder))?;
    let (train, test) = (part(&source.train, source.kept.as_deref()), part(&source.test, None));
    let published_mean = match dataset {
        Dataset::FashionMnist => vec![0.2860],
        Dataset::Cifar100 => vec![0.50708, 0.48655, 0.44092],
        Dataset::ImagenetLt | Dataset::Inaturalist2018 | Dataset::ImageFolder => {
            unreachable!("photo sets have a check of their own")
        }
    };
    let mut problems = Vec::new();
    // The images of a subset are of the recipes that it was made for: their means are their own.
    let is_whole = source.kept.is_none();
    if is_whole
        && train.mean.iter().zip(&published_mean).any(|(found, published)| (found - published).abs() > MEAN_TOLERANCE)
    {
        problems.push(format!(
            "channel means of the training images are {}, but published ones are {}: these are not the published images",
            decimals(&train.mean),
            as_printed(&published_mean)
        ));
    }
    let contents = contents(dataset, &source, &mut problems);
    let split = match recipe {
        Some(recipe) => Some(split_report(dataset, recipe, &source)?),
        None => None,
    };
    if let Some(SplitReport { as_published: Some(false), train, groups, .. }) = &split {
        problems.push(format!("the split has {train} training images in groups {groups:?}, not the published numbers"));
    }
    Ok(CheckReport {
        ok: problems.is_empty(),
        dataset: read::title(dataset),
        folder: folder.display().to_string(),
        layout: match dataset {
            Dataset::FashionMnist => "IDX, unsigned bytes",
            _ if !is_whole => {
                "a subset for some recipes: all labels, the training images of these recipes, all test images"
            }
            _ => "binary version, records of 3074 bytes",
        },
        files: read::inventory(dataset, &folder),
        record_order: record_order(dataset, &source),
        contents,
        hash: source.hash,
        train,
        test,
        is_subset: !is_whole,
        published_mean,
        split,
        problems,
    })
}

fn part(set: &ImageSet, kept: Option<&[u32]>) -> PartReport {
    let statistics = match kept {
        None => set.channel_statistics(),
        Some(kept) => {
            let (pixels, len) = (set.images.pixels(), set.shape().len());
            let images = kept.iter().flat_map(|&index| &pixels[index as usize * len..][..len]).copied().collect();
            let labels = kept.iter().map(|&index| set.labels[index as usize]).collect();
            ImageSet { images, labels, class_names: set.class_names.clone(), ..*set }.channel_statistics()
        }
    };
    let (mean, std) = statistics.into_iter().unzip();
    let per_class = set.class_counts().first().copied().unwrap_or(0);
    PartReport { images: set.len(), classes: set.num_classes, per_class, mean, std }
}

fn record_order(dataset: Dataset, source: &DataSource) -> &'static str {
    match dataset {
        Dataset::FashionMnist => "official (all bytes match the published files)",
        _ if read::cifar100::begins_like_official_files(source) => "official, by its first labels",
        _ => "not the official one: a subset drawn by position has other images than that of other code",
    }
}

/// Whether every image is a published one, in words; what is not goes to `problems`.
fn contents(dataset: Dataset, source: &DataSource, problems: &mut Vec<String>) -> String {
    if dataset == Dataset::FashionMnist {
        return "the published ones (all bytes match)".to_owned();
    }
    let mut parts = vec![("test", &source.test, cifar100::Part::Test)];
    // Of a subset most training images are not there, and those that are have no published sum.
    if source.kept.is_none() {
        parts.insert(0, ("training", &source.train, cifar100::Part::Train));
    }
    let before = problems.len();
    for (name, set, part) in parts {
        let classes = cifar100::foreign_classes(set, part);
        if classes.is_empty() {
            continue;
        }
        let named: Vec<&str> =
            classes.iter().take(NAMED_CLASSES).map(|&class| set.class_names[class].as_str()).collect();
        let more = if classes.len() > NAMED_CLASSES { ", …" } else { "" };
        let blank = cifar100::blank_image(set)
            .map_or_else(String::new, |record| format!("; record {record} (counted from 0) has one colour only"));
        problems.push(format!(
            "{name} images of {} of {} classes are not all the published ones ({}{more}){blank}",
            classes.len(),
            set.num_classes,
            named.join(", ")
        ));
    }
    match (problems.len() > before, source.kept.is_some()) {
        (true, _) => "not all the published ones: see below".to_owned(),
        (false, true) => {
            "test images: all the published ones; no checksums are published for the training images of a subset"
                .to_owned()
        }
        (false, false) => "all the published ones, each under its fine label".to_owned(),
    }
}

fn split_report(dataset: Dataset, recipe: &DataRecipe, source: &DataSource) -> Result<SplitReport, DatasetError> {
    let split = Split::draw(recipe, source)?;
    let groups = group_sizes(&split.class_counts, recipe.shot_groups);
    let shot_groups = [recipe.shot_groups.many_above, recipe.shot_groups.few_below];
    let published = PUBLISHED_CIFAR100_LT.iter().find(|(base, factor, ..)| {
        dataset == Dataset::Cifar100
            && split.class_counts.first() == Some(base)
            && recipe.imbalance_factor == Some(*factor)
            && shot_groups == [100, 20]
    });
    let as_published =
        published.map(|&(_, _, total, expected)| split.train.len() == total as usize && groups == expected);
    Ok(SplitReport {
        imbalance_factor: recipe.imbalance_factor.unwrap_or(1.0),
        meta_source: recipe.meta_source,
        train: split.train.len(),
        meta: split.meta.len(),
        val: split.val.len(),
        test: split.test.len(),
        class_counts: split.class_counts,
        groups,
        shot_groups,
        as_published,
    })
}

fn decimals(values: &[f64]) -> String {
    values.iter().map(|value| format!("{value:.5}")).collect::<Vec<_>>().join(" ")
}

/// Published numbers with the decimals that were published.
fn as_printed(values: &[f64]) -> String {
    values.iter().map(f64::to_string).collect::<Vec<_>>().join(" ")
}

impl std::fmt::Display for CheckReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{} in {}", self.dataset, self.folder)?;
        writeln!(f, "  layout        {}", self.layout)?;
        for file in &self.files {
            let size = file.bytes.map_or_else(|| "missing".to_owned(), |bytes| format!("{bytes} bytes"));
            writeln!(f, "  file          {}  {size}", file.name)?;
        }
        for (name, part) in [("train", &self.train), ("test", &self.test)] {
            let PartReport { images, classes, per_class, .. } = part;
            writeln!(f, "  {name:<13} {}, {} of {per_class}", counted(*images, "image"), counted(*classes, "class"))?;
        }
        let of =
            if self.is_subset { "of the subset's training images; all of the published ones" } else { "published" };
        writeln!(f, "  channel means {} ({of} {})", decimals(&self.train.mean), as_printed(&self.published_mean))?;
        writeln!(f, "  record order  {}", self.record_order)?;
        writeln!(f, "  contents      {}", self.contents)?;
        writeln!(f, "  BLAKE3        {}", self.hash)?;
        if let Some(split) = &self.split {
            write!(f, "{split}")?;
        }
        for problem in &self.problems {
            writeln!(f, "  PROBLEM       {problem}")?;
        }
        writeln!(f, "{}", if self.ok { "ok" } else { "not as published" })
    }
}

impl std::fmt::Display for SplitReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { train, meta, val, test, groups: [many, medium, few], shot_groups: [above, below], .. } = self;
        let meta_source = match self.meta_source {
            MetaSource::Metasaug => "held out of train",
            MetaSource::LtBalancedDraws => "drawn from the training set, class by class",
            _ => "none",
        };
        writeln!(f, "split by the recipe, imbalance factor {}", self.imbalance_factor)?;
        writeln!(f, "  train         {}: {}", counted(*train, "image"), ends(&self.class_counts))?;
        writeln!(f, "  groups        {many} many (> {above}), {medium} medium, {few} few (< {below})")?;
        writeln!(f, "  meta          {} ({meta_source})", counted(*meta, "image"))?;
        writeln!(f, "  validation    {}{}", counted(*val, "image"), if val > &0 { " (the meta set)" } else { "" })?;
        writeln!(f, "  test          {}", counted(*test, "image"))?;
        match self.as_published {
            Some(true) => writeln!(f, "  class counts  total and groups as published for CIFAR-100-LT"),
            Some(false) => writeln!(f, "  class counts  total or groups NOT as published for CIFAR-100-LT"),
            None => writeln!(f, "  class counts  by the formula; none are published for these settings"),
        }
    }
}

/// All counts, or the first and last of many.
fn ends(counts: &[u32]) -> String {
    let words = |counts: &[u32]| counts.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
    match counts {
        [] => "no class".to_owned(),
        [a, b, c, .., x, y, z] if counts.len() > 12 => format!("{} … {}", words(&[*a, *b, *c]), words(&[*x, *y, *z])),
        _ => words(counts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_counts_show_their_ends() {
        assert_eq!(ends(&(1..=20).rev().collect::<Vec<_>>()), "20 19 18 … 3 2 1");
        assert_eq!(ends(&[3, 2]), "3 2");
        assert_eq!(ends(&[]), "no class");
    }
}
