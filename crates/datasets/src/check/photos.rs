//! What `datasets check` finds of a photo set: lists, files, class counts, and the split that a recipe draws.

use std::path::Path;

use longtail_artifact::{counted, counted_are};
use longtail_metrics::group_sizes;
use longtail_recipe::{DataRecipe, Dataset, OnBadImage, ShotGroups};
use serde::Serialize;

use super::published::Published;
use crate::census::Census;
use crate::error::DatasetError;
use crate::identity::with_bar;
use crate::image_set::DataSource;
use crate::left_out::absent;
use crate::pack::{self, MadeFrom};
use crate::photo_files::Absence;
use crate::read::photos::{self, PhotoSource};
use crate::split::{Skipped, Split};

/// Missing images that are named; the rest are counted.
const NAMED: usize = 5;

/// Everything that a check of a photo set found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PhotoReport {
    /// Whether nothing was found that differs from what is published, and every image is there.
    pub ok: bool,
    /// Images that are missing or bad.
    pub unreadable: usize,
    /// Whether training could run on it: no image is missing or bad, or the recipe skips those; a pack is of these photographs.
    pub usable: bool,
    /// Whether every image that is left out is known: all were decoded, or nothing is left out.
    #[serde(skip)]
    pub left_out_is_known: bool,
    /// Whether the recipe's split can be drawn from the images that are left.
    pub can_be_drawn: bool,
    /// The same whatever the pack was made from.
    #[serde(skip)]
    pub images_are_usable: bool,
    /// Whether the pack that is read was made from photographs that have changed since.
    pub pack_is_of_others: bool,
    /// The data set's name as people write it.
    pub dataset: &'static str,
    /// Which archives hold its images.
    pub archive: &'static str,
    /// Where lists and images were found.
    pub layout: String,
    /// BLAKE3 over the lists; the contents of images are not in it, but for those of a pack.
    pub hash: String,
    /// What is hashed, in words.
    pub hash_of: &'static str,
    /// Training, validation (where there is one) and test list.
    pub lists: Vec<ListReport>,
    /// Number of classes.
    pub classes: usize,
    /// Training images per class, index = label: those of the split if there is a recipe, and none that the recipe leaves out.
    pub class_counts: Vec<u32>,
    /// Classes that are many, medium and few.
    pub groups: [usize; 3],
    /// The thresholds: more than the first is many, fewer than the second few.
    pub shot_groups: [u32; 2],
    /// Whether class counts are the published ones; `None` where nothing is published.
    pub as_published: Option<bool>,
    /// Whether the count of each class is published, not only their number, ends and groups.
    pub counts_are_published: bool,
    /// The first images that are missing, and with `--images` the first that cannot be decoded; with their lines.
    pub bad: Vec<String>,
    /// The split that the recipe draws, if there is a recipe.
    pub split: Option<PhotoSplit>,
    /// What a person should know of how it was read.
    pub notes: Vec<String>,
    /// What is missing or differs from what is published, in words.
    pub problems: Vec<String>,
}

/// One list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListReport {
    /// `train`, `validation` or `test`.
    pub part: &'static str,
    /// The list, or the folder.
    pub file: String,
    /// Images in it.
    pub images: usize,
    /// Images of it that are on disk (or in the pack), in files that are not empty.
    pub found: usize,
    /// Images that cannot be decoded, if all were.
    pub bad: Option<usize>,
}

/// Images in each part of the split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PhotoSplit {
    /// Number of training images.
    pub train: usize,
    /// Number of meta images.
    pub meta: usize,
    /// Number of validation images.
    pub val: usize,
    /// Number of test images.
    pub test: usize,
}

/// Reads the lists of `dataset` and looks for every image. With `images`, every image is decoded too, and `progress` hears of
/// images done and images in all.
///
/// # Errors
/// Those of [`photos::read`] and [`Split::draw`]; an interrupt. A missing image is no error but a problem in the report.
pub fn check_photos(
    dataset: Dataset,
    dir: Option<&Path>,
    recipe: Option<&DataRecipe>,
    images: bool,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<PhotoReport, DatasetError> {
    let defaults;
    let data = match recipe {
        Some(recipe) => recipe,
        None => {
            defaults = default_recipe(dataset, &[])?;
            &defaults
        }
    };
    let Some(photo) = &data.photo else {
        return Err(DatasetError::Config { what: "dataset", problem: format!("`{}` has no photos", dataset.name()) });
    };
    let listed = photos::read(dataset, dir)?;
    let mut class_counts = listed.train.class_counts(listed.class_names.len());
    let mut problems = differences(&listed, &class_counts);
    let as_published = Published::of(dataset).map(|_| problems.is_empty());
    let (layout, mut notes) = (listed.layout.clone(), listed.notes.clone());
    let mut lists = list_reports(&listed);
    let source = listed.into_data(photo)?;
    let (pack, mut pack_is_of_others) = (source.pack(), false);
    if let Some(pack) = pack {
        notes.push(format!("images come from the pack {}: {}", pack.path().display(), pack.key()));
        let made_from = with_bar(false, |progress| pack::look(&source, pack, progress))?;
        match made_from {
            MadeFrom::Others(words) => {
                pack_is_of_others = true;
                problems.push(words);
            }
            other => notes.extend(other.note().map(str::to_owned)),
        }
    }
    let hash_of =
        if pack.is_some() { "lists and pack" } else { "lists only; a run also compares the contents of the images" };

    let absent = [absent(&source.train)?, absent(&source.test)?];
    let val_from = source.val_from.unwrap_or(source.train.len()) as u32;
    let census = if images { Some(Census::of_source(&source, progress)?) } else { None };
    let mut bad: Vec<String> = Vec::new();
    for list in &mut lists {
        let (set, lost, decoded) = match list.part {
            "test" => (&source.test, &absent[1], census.as_ref().map(|census| &census.test)),
            _ => (&source.train, &absent[0], census.as_ref().map(|census| &census.train)),
        };
        let within = |index: &u32| list.part == "test" || (*index < val_from) == (list.part == "train");
        let lost: Vec<(u32, Absence)> = lost.iter().copied().filter(|(index, _)| within(index)).collect();
        list.found = list.images - lost.len();
        if let Some(files) = set.images.photos() {
            let named = lost.iter().take(NAMED.saturating_sub(bad.len()));
            bad.extend(named.map(|(index, why)| files.bad(*index as usize, &why.of_one()).to_string()));
        }
        if let Some(decoded) = decoded {
            let broken: Vec<_> = decoded
                .iter()
                .filter(|bad| within(&bad.index) && lost.binary_search_by_key(&bad.index, |lost| lost.0).is_err())
                .collect();
            list.bad = Some(broken.len());
            bad.extend(broken.iter().map(|bad| bad.error.clone()));
        }
    }
    let (lost, broken) = (absent[0].len() + absent[1].len(), lists.iter().filter_map(|list| list.bad).sum::<usize>());
    for why in Absence::ALL {
        let count = absent.iter().flatten().filter(|(_, found)| *found == why).count();
        if count > 0 {
            problems.push(why.of_many(count));
        }
    }
    if broken > 0 {
        problems.push(format!("{} cannot be decoded", counted(broken, "image")));
    }
    if !images {
        notes.push("checked that the files exist; `--images` also decodes every one".to_owned());
    }
    let skips = photo.on_bad_image == OnBadImage::Skip;
    let skipped = match &census {
        _ if !skips => Skipped::default(),
        Some(census) => census.skipped(),
        None => {
            let positions = |lost: &[(u32, Absence)]| lost.iter().map(|(index, _)| *index).collect();
            Skipped { train: positions(&absent[0]), test: positions(&absent[1]) }
        }
    };
    let left_out = skipped.train.len() + skipped.test.len();
    if left_out > 0 {
        class_counts = without(&class_counts, &source, val_from, &skipped);
    }
    let mut can_be_drawn = true;
    let split = match recipe.map(|recipe| Split::draw_without(recipe, &source, skipped)) {
        Some(Ok(split)) => {
            class_counts.clone_from(&split.class_counts);
            Some(PhotoSplit {
                train: split.train.len(),
                meta: split.meta.len(),
                val: split.val.len(),
                test: split.test.len(),
            })
        }
        // What is wrong with the images is to be said all the same.
        Some(Err(error)) if left_out > 0 => {
            problems.push(error.to_string());
            can_be_drawn = false;
            None
        }
        Some(Err(error)) => return Err(error),
        None => None,
    };
    if left_out > 0 {
        let (without, others) = (
            counted(left_out, "image"),
            if images || pack.is_some() { "" } else { "; `--images` finds those that cannot be decoded" },
        );
        notes.push(format!(
            "classes, groups and split are counted without {without} that `on_bad_image: skip` leaves out{others}"
        ));
    }
    let images_are_usable = lost + broken == 0 || skips && can_be_drawn;
    Ok(PhotoReport {
        ok: problems.is_empty(),
        left_out_is_known: !skips || images || pack.is_some(),
        can_be_drawn,
        unreadable: lost + broken,
        usable: !pack_is_of_others && images_are_usable,
        images_are_usable,
        pack_is_of_others,
        dataset: crate::read::title(dataset),
        archive: archive(dataset),
        layout,
        hash: source.hash,
        hash_of,
        lists,
        classes: class_counts.len(),
        groups: group_sizes(&class_counts, data.shot_groups),
        class_counts,
        shot_groups: [data.shot_groups.many_above, data.shot_groups.few_below],
        as_published,
        counts_are_published: Published::of(dataset).is_some_and(|published| published.class_counts.is_some()),
        bad,
        split,
        notes,
        problems,
    })
}

/// The data part of a recipe that says nothing else but `overrides`, pairs of path and YAML value.
///
/// # Errors
/// An override that is none.
pub fn default_recipe(dataset: Dataset, overrides: &[(String, String)]) -> Result<DataRecipe, DatasetError> {
    let text = format!(
        "data: {{dataset: {}}}\nrepresentations: {{ce: {{method: {{ce: {{}}}}}}}}\nclassifiers: {{joint: }}\n",
        dataset.name()
    );
    let recipe = longtail_recipe::read_str(&text, "defaults.yaml", overrides);
    recipe
        .map(|recipe| recipe.data)
        .map_err(|error| DatasetError::Config { what: "dataset", problem: error.to_string() })
}

fn archive(dataset: Dataset) -> &'static str {
    match dataset {
        Dataset::ImagenetLt => {
            "ILSVRC 2012, classification and localisation (CLS-LOC): ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar; \
             not \"ImageNet 2014\""
        }
        Dataset::Inaturalist2018 => "iNaturalist 2018 competition: train_val2018.tar.gz",
        Dataset::FashionMnist | Dataset::Cifar100 | Dataset::ImageFolder => "any folder of photos",
    }
}

fn list_reports(listed: &PhotoSource) -> Vec<ListReport> {
    let lists = [("train", Some(&listed.train)), ("validation", listed.val.as_ref()), ("test", Some(&listed.test))];
    let report = |(part, listing): (&'static str, Option<&photos::listing::Listing>)| {
        let listing = listing?;
        let file = listing.origin.path().display().to_string();
        Some(ListReport { part, file, images: listing.len(), found: 0, bad: None })
    };
    lists.into_iter().filter_map(report).collect()
}

/// How the lists differ from what is published.
fn differences(listed: &PhotoSource, class_counts: &[u32]) -> Vec<String> {
    let Some(published) = Published::of(listed.dataset) else { return Vec::new() };
    let mut problems = Vec::new();
    let mut differs = |what: &str, found: String, expected: String| {
        if found != expected {
            problems.push(format!("{what}: {found}, published: {expected}"));
        }
    };
    let classes = class_counts.len();
    differs("classes", classes.to_string(), published.classes.to_string());
    differs("training images", listed.train.len().to_string(), published.train.to_string());
    let ends = |most: u32, fewest: u32| format!("{most} to {fewest}");
    let (most, fewest) = (class_counts.iter().max().copied(), class_counts.iter().min().copied());
    let (published_most, published_fewest) = published.most_and_fewest;
    differs(
        "training images of a class",
        ends(most.unwrap_or(0), fewest.unwrap_or(0)),
        ends(published_most, published_fewest),
    );
    // The groups of published tables.
    let groups = group_sizes(class_counts, ShotGroups::default());
    differs("many / medium / few classes", format!("{groups:?}"), format!("{:?}", published.groups));
    if let Some(counts) = &published.class_counts
        && counts.len() == classes
        && let Some(class) = (0..classes).find(|&class| counts[class] != class_counts[class])
    {
        let what = format!("training images of class {class} (`{}`)", listed.class_names[class]);
        differs(&what, class_counts[class].to_string(), counts[class].to_string());
    }
    let per_class = |listing: &photos::listing::Listing| {
        let counts = listing.class_counts(classes);
        let (most, fewest) = (counts.iter().max().copied(), counts.iter().min().copied());
        ends(most.unwrap_or(0), fewest.unwrap_or(0))
    };
    if let (Some(expected), Some(val)) = (published.val_per_class, &listed.val) {
        differs("validation images of a class", per_class(val), ends(expected, expected));
    }
    let expected = published.test_per_class;
    differs("test images of a class", per_class(&listed.test), ends(expected, expected));
    problems
}

/// Training images per class without those that are left out.
fn without(class_counts: &[u32], source: &DataSource, val_from: u32, skipped: &Skipped) -> Vec<u32> {
    let mut counts = class_counts.to_vec();
    for &index in skipped.train.iter().filter(|index| **index < val_from) {
        counts[source.train.labels[index as usize] as usize] -= 1;
    }
    counts
}

impl std::fmt::Display for PhotoReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.dataset)?;
        writeln!(f, "  archive       {}", self.archive)?;
        writeln!(f, "  layout        {}", self.layout)?;
        for ListReport { part, file, images, found, bad } in &self.lists {
            let decoded = bad.map_or_else(String::new, |bad| format!(", {bad} of them cannot be decoded"));
            writeln!(f, "  {part:<13} {found} of {} found{decoded}  ({file})", counted_are(*images, "image"))?;
        }
        for bad in &self.bad {
            writeln!(f, "  BAD           {bad}")?;
        }
        let (most, fewest) = (self.class_counts.iter().max(), self.class_counts.iter().min());
        writeln!(
            f,
            "  classes       {} of {} to {}",
            self.classes,
            most.unwrap_or(&0),
            counted(*fewest.unwrap_or(&0), "training image")
        )?;
        let ([many, medium, few], [above, below]) = (self.groups, self.shot_groups);
        writeln!(f, "  groups        {many} many (> {above}), {medium} medium, {few} few (< {below})")?;
        match self.as_published {
            Some(true) if self.counts_are_published => writeln!(f, "  class counts  as published")?,
            Some(true) => writeln!(
                f,
                "  class counts  number, largest, smallest and groups as published; single classes are not published"
            )?,
            Some(false) => writeln!(f, "  class counts  not the published data set")?,
            None => writeln!(f, "  class counts  no published counts to compare with")?,
        }
        writeln!(f, "  BLAKE3        {} (of the {})", self.hash, self.hash_of)?;
        if let Some(PhotoSplit { train, meta, val, test }) = &self.split {
            writeln!(
                f,
                "  split         {train} train, {meta} meta, {val} validation, {}",
                counted(*test, "test image")
            )?;
        }
        for note in &self.notes {
            writeln!(f, "  note          {note}")?;
        }
        for problem in &self.problems {
            writeln!(f, "  PROBLEM       {problem}")?;
        }
        let verdict = match (self.ok, self.usable, self.unreadable > 0, self.as_published) {
            (true, ..) => "ok",
            _ if !self.can_be_drawn => "not usable: replace these images with good copies",
            _ if self.pack_is_of_others => {
                "not usable: delete the pack and make it again (cargo xtask data pack RECIPE), or restore its photographs"
            }
            (_, false, ..) => "not usable: replace these images with good copies, or set data.on_bad_image=skip",
            (_, _, true, Some(false)) => {
                "not as published; images that cannot be read are left out (data.on_bad_image=skip)"
            }
            (_, _, true, _) => "usable: images that cannot be read are left out (data.on_bad_image=skip)",
            _ => "not as published",
        };
        writeln!(f, "{verdict}")
    }
}
