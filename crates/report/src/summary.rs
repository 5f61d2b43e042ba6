//! The table's numbers: means and deviations over seeds, beside the paper's and the recipe's range.

use std::collections::BTreeMap;

use longtail_recipe::{Accuracies, ExpectedRanges, Recipe, ShotGroups};

use crate::choices::{Choice, choices};
use crate::collect::{Collected, Exception};
use crate::escape::plain;
use crate::groups::{GroupSizes, Groups, group_accuracy, group_sizes, mean, sample_std};
use crate::origin::Origin;
use crate::prediction::{Prediction, test_counts};
use crate::split_facts::SplitFacts;

/// All that a report shows. Words from recipes and files are [plain](crate::escape::plain) in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// The recipe's name.
    pub recipe: String,
    /// Description of the recipe, one line.
    pub description: String,
    /// Where many, medium and few part.
    pub shot_groups: ShotGroups,
    /// `(K,)`; empty when nothing was run.
    pub class_counts: Vec<u32>,
    /// Classes per group.
    pub sizes: GroupSizes,
    /// Test images, 0 when nothing was run.
    pub test_images: usize,
    /// Classes without a test image.
    pub untested_classes: usize,
    /// Which images were for what, by seed; a seed whose features another program made may have none.
    pub splits: BTreeMap<u64, SplitFacts>,
    /// Finished rows of seeds that do not count.
    pub left_out: Vec<Exception>,
    /// Those that count although something speaks against it.
    pub accepted: Vec<Exception>,
    /// Rows that a seed has not finished.
    pub unfinished: Vec<Exception>,
    /// The recipe's rows, in its order, run or not.
    pub rows: Vec<RowSummary>,
}

/// One row of the table. All accuracies in percent.
#[derive(Debug, Clone, PartialEq)]
pub struct RowSummary {
    /// The variant of stage 1.
    pub representation: String,
    /// The method of stage 3.
    pub classifier: String,
    /// Seeds that were run, ascending; empty when none was.
    pub seeds: Vec<u64>,
    /// Mean over seeds.
    pub mean: Groups,
    /// Sample standard deviation over seeds; `None` with fewer than two.
    pub std: Option<Groups>,
    /// The paper's numbers.
    pub paper: Option<Groups>,
    /// The recipe's ranges.
    pub expected: Groups<Option<[f64; 2]>>,
    /// The mean against the ranges.
    pub verdict: Verdict,
    /// The recipe's remark.
    pub note: Option<String>,
    /// Each class's training images and mean accuracy over seeds, by label.
    pub per_class: Vec<ClassPoint>,
    /// What each seed chose on data.
    pub choices: Vec<Choice>,
    /// Validation images of each seed's predictions, as far as they say.
    pub val_images: Vec<Option<usize>>,
    /// How each seed's numbers came about.
    pub origins: Vec<(u64, Origin)>,
}

impl RowSummary {
    /// Whether a seed of it is in the table.
    pub fn counts(&self) -> bool {
        !self.seeds.is_empty()
    }

    /// `VARIANT+METHOD`.
    pub fn method(&self) -> String {
        format!("{}+{}", self.representation, self.classifier)
    }
}

/// One class of a figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassPoint {
    /// Number of training images of the class.
    pub count: u32,
    /// Percent; `None` for a class without test images.
    pub accuracy: Option<f64>,
}

/// A row's mean against what its recipe expects.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// The recipe pins nothing, or the row was not run.
    Unpinned,
    /// In every range.
    Inside,
    /// Outside these: group, mean, range.
    Outside(Vec<(&'static str, Option<f64>, [f64; 2])>),
}

impl Summary {
    /// Whether a row lies outside its range: exit code 1.
    pub fn any_outside(&self) -> bool {
        self.rows.iter().any(|row| matches!(row.verdict, Verdict::Outside(_)))
    }
}

/// The summary of what was collected for a recipe.
pub fn summarize(recipe: &Recipe, collected: &Collected) -> Summary {
    let predictions = &collected.predictions;
    let shot_groups = recipe.data.shot_groups;
    let class_counts = predictions.first().map(|first| first.class_counts.clone()).unwrap_or_default();
    let rows = recipe.rows.iter().enumerate().map(|(index, row)| {
        let own: Vec<&Prediction> = predictions.iter().filter(|prediction| prediction.row == index).collect();
        let mut summary = scores(&own, shot_groups);
        summary.representation = row.representation.clone();
        summary.classifier = row.classifier.clone();
        summary.paper = row.paper.as_ref().map(paper);
        summary.expected = row.expected.as_ref().map(ranges).unwrap_or_default();
        summary.note = row.note.as_deref().map(plain);
        if !own.is_empty() {
            summary.verdict = verdict(&summary.mean, &summary.expected);
        }
        summary
    });
    Summary {
        recipe: plain(&recipe.recipe),
        description: plain(&recipe.description),
        shot_groups,
        sizes: group_sizes(&class_counts, shot_groups),
        test_images: predictions.first().map_or(0, |first| first.labels.len()),
        untested_classes: predictions
            .first()
            .map_or(0, |first| test_counts(first).iter().filter(|count| **count == 0).count()),
        splits: collected.splits.clone(),
        left_out: collected.left_out.iter().map(plainly).collect(),
        accepted: collected.accepted.iter().map(plainly).collect(),
        unfinished: collected.unfinished.clone(),
        rows: rows.collect(),
        class_counts,
    }
}

fn scores(predictions: &[&Prediction], shot_groups: ShotGroups) -> RowSummary {
    let mut by_seed: Vec<Groups> = Vec::new();
    let mut by_class: Vec<Vec<Option<f64>>> = Vec::new();
    for prediction in predictions {
        let (groups, per_class) =
            group_accuracy(&prediction.predicted, &prediction.labels, &prediction.class_counts, shot_groups);
        by_seed.push(groups);
        by_class.push(per_class);
    }
    let over_seeds = |name: &str, reduce: &dyn Fn(&[f64]) -> Option<f64>| {
        let values: Vec<f64> = by_seed.iter().filter_map(|groups| *groups.get(name)?).collect();
        reduce(&values)
    };
    let empty: Groups<()> = Groups { many: (), medium: (), few: (), all: () };
    let counts = predictions.first().map_or(&[][..], |first| &first.class_counts);
    let per_class = counts.iter().enumerate().map(|(class, count)| {
        let values: Vec<f64> = by_class.iter().filter_map(|per_class| per_class[class]).collect();
        ClassPoint { count: *count, accuracy: mean(&values) }
    });
    RowSummary {
        representation: String::new(),
        classifier: String::new(),
        seeds: predictions.iter().map(|prediction| prediction.seed).collect(),
        mean: empty.map(|name, _| over_seeds(name, &mean)),
        std: (predictions.len() > 1).then(|| empty.map(|name, _| over_seeds(name, &sample_std))),
        paper: None,
        expected: Groups::default(),
        verdict: Verdict::Unpinned,
        note: None,
        per_class: per_class.collect(),
        choices: predictions.iter().flat_map(|prediction| choices(prediction)).collect(),
        val_images: predictions.iter().map(|prediction| prediction.val_images).collect(),
        origins: predictions.iter().map(|prediction| (prediction.seed, prediction.origin.clone())).collect(),
    }
}

/// Reasons quote values of recipes.
fn plainly(exception: &Exception) -> Exception {
    Exception { reasons: exception.reasons.iter().map(|reason| plain(reason)).collect(), ..exception.clone() }
}

fn paper(paper: &Accuracies) -> Groups {
    Groups { many: paper.many, medium: paper.medium, few: paper.few, all: paper.all }
}

fn ranges(expected: &ExpectedRanges) -> Groups<Option<[f64; 2]>> {
    Groups { many: expected.many, medium: expected.medium, few: expected.few, all: expected.all }
}

/// An empty group lies in no range: a recipe that pins it is wrong about its data.
fn verdict(mean: &Groups, expected: &Groups<Option<[f64; 2]>>) -> Verdict {
    let mut pinned = false;
    let mut outside = Vec::new();
    for (name, range) in expected.named() {
        let Some([low, high]) = *range else { continue };
        pinned = true;
        let value = mean.get(name).copied().flatten();
        if !value.is_some_and(|value| (low..=high).contains(&value)) {
            outside.push((name, value, [low, high]));
        }
    }
    match (pinned, outside.is_empty()) {
        (false, _) => Verdict::Unpinned,
        (true, true) => Verdict::Inside,
        (true, false) => Verdict::Outside(outside),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_on_the_edge_is_inside_and_an_empty_group_is_not() {
        let mean = Groups { many: Some(50.0), medium: None, few: Some(10.0), all: Some(40.0) };
        let pinned = |name: &str, range| {
            let nothing: Groups<Option<[f64; 2]>> = Groups::default();
            verdict(&mean, &nothing.map(|own, _| (own == name).then_some(range)))
        };
        assert_eq!(pinned("many", [50.0, 60.0]), Verdict::Inside);
        assert_eq!(pinned("all", [41.0, 60.0]), Verdict::Outside(vec![("all", Some(40.0), [41.0, 60.0])]));
        assert!(matches!(pinned("medium", [0.0, 100.0]), Verdict::Outside(_)));
        assert_eq!(pinned("nothing", [0.0, 1.0]), Verdict::Unpinned);
    }
}
