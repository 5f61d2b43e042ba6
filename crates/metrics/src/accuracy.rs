//! Accuracies by class, by shot group and over all images.

use longtail_recipe::ShotGroups;
use thiserror::Error;

use crate::ShotGroup;

/// What stops a count.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetricsError {
    /// As many predictions as labels are needed.
    #[error("{predicted} predictions for {labels} labels")]
    Length {
        /// Number of predictions.
        predicted: usize,
        /// Number of labels.
        labels: usize,
    },
    /// A label that is no class.
    #[error("row {row} has label {label}, but there are {classes} classes")]
    Label {
        /// The first such row.
        row: usize,
        /// Label of the sample.
        label: u32,
        /// Classes in all.
        classes: usize,
    },
}

/// Top-1 accuracies as fractions; `None` for an empty group or class.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct GroupAccuracy {
    /// Mean over many-shot classes of the class accuracy.
    pub many: Option<f64>,
    /// Mean over medium-shot classes.
    pub medium: Option<f64>,
    /// Mean over few-shot classes.
    pub few: Option<f64>,
    /// Over all images (micro); on a balanced test set also the mean over classes.
    pub all: Option<f64>,
    /// Accuracy of each class in 0..1; `None` without test images.
    pub per_class: Vec<Option<f64>>,
}

impl GroupAccuracy {
    /// `(name, value)` of the groups, in the report's order.
    pub fn groups(&self) -> [(&'static str, Option<f64>); 4] {
        [("many", self.many), ("medium", self.medium), ("few", self.few), ("all", self.all)]
    }
}

/// Accuracies of `predicted` against `labels`; groups by training counts.
///
/// # Shapes
/// - `predicted`, `labels`: `(N,)`, N may be 0  - `class_counts`: `(K,)`, training images per class
/// # Errors
/// If the lengths differ or a label is not below K. A prediction out of range is simply wrong.
/// # Source
/// protocol.md §6; CB's `utils.py` (`shot_acc`), except that an empty group is `None`, not 0.
pub fn evaluate(
    predicted: &[u32],
    labels: &[u32],
    class_counts: &[u32],
    bounds: ShotGroups,
) -> Result<GroupAccuracy, MetricsError> {
    check_lengths(predicted, labels)?;
    let classes = class_counts.len();
    if let Some(row) = labels.iter().position(|&label| label as usize >= classes) {
        return Err(MetricsError::Label { row, label: labels[row], classes });
    }
    let mut right = vec![0u64; classes];
    let mut total = vec![0u64; classes];
    for (&guess, &label) in predicted.iter().zip(labels) {
        total[label as usize] += 1;
        right[label as usize] += u64::from(guess == label);
    }
    let per_class: Vec<Option<f64>> =
        right.iter().zip(&total).map(|(&right, &total)| ratio(right as f64, total)).collect();
    let of_group = |group: ShotGroup| {
        let members: Vec<f64> = per_class
            .iter()
            .zip(class_counts)
            .filter(|(_, count)| ShotGroup::of(**count, bounds) == group)
            .filter_map(|(accuracy, _)| *accuracy)
            .collect();
        ratio(members.iter().sum(), members.len() as u64)
    };
    Ok(GroupAccuracy {
        many: of_group(ShotGroup::Many),
        medium: of_group(ShotGroup::Medium),
        few: of_group(ShotGroup::Few),
        all: ratio(right.iter().sum::<u64>() as f64, total.iter().sum()),
        per_class,
    })
}

/// Top-1 accuracy over all images, a fraction; `None` without images.
///
/// # Shapes
/// - `predicted`, `labels`: `(N,)`
/// # Errors
/// If the lengths differ.
pub fn accuracy(predicted: &[u32], labels: &[u32]) -> Result<Option<f64>, MetricsError> {
    check_lengths(predicted, labels)?;
    let right = predicted.iter().zip(labels).filter(|(guess, label)| guess == label).count();
    Ok(ratio(right as f64, labels.len() as u64))
}

fn check_lengths(predicted: &[u32], labels: &[u32]) -> Result<(), MetricsError> {
    match predicted.len() == labels.len() {
        true => Ok(()),
        false => Err(MetricsError::Length { predicted: predicted.len(), labels: labels.len() }),
    }
}

fn ratio(sum: f64, count: u64) -> Option<f64> {
    (count > 0).then(|| sum / count as f64)
}

/// The index of the largest value of each row; of equal ones the first (protocol.md §6).
///
/// # Shapes
/// - `values`: `(N, columns)` row-major; `columns` at least 1; a trailing partial row is ignored.
pub fn argmax_rows<T: PartialOrd + Copy>(values: &[T], columns: usize) -> Vec<u32> {
    values
        .chunks_exact(columns)
        .map(|row| {
            let mut best = 0;
            for (index, value) in row.iter().enumerate() {
                if *value > row[best] {
                    best = index;
                }
            }
            best as u32
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_means_over_classes_and_all_is_over_images() {
        // Class 0 (200 images): 2 of 4 right; class 1 (100, the upper end of medium): 1 of 1; class 2 (19): 0 of 1.
        let (predicted, labels) = ([0, 0, 1, 2, 1, 0], [0, 0, 0, 0, 1, 2]);
        let found = evaluate(&predicted, &labels, &[200, 100, 19], ShotGroups::default()).expect("valid");
        assert_eq!(found.per_class, vec![Some(0.5), Some(1.0), Some(0.0)]);
        assert_eq!((found.many, found.medium, found.few), (Some(0.5), Some(1.0), Some(0.0)));
        assert_eq!(found.all, Some(0.5));
        assert_eq!(accuracy(&predicted, &labels), Ok(Some(0.5)));
    }

    #[test]
    fn an_empty_group_is_none_not_zero() {
        let found = evaluate(&[0], &[0], &[200, 150], ShotGroups::default()).expect("valid");
        assert_eq!((found.few, found.medium), (None, None));
        assert_eq!(found.per_class, vec![Some(1.0), None]);
        assert_eq!(found.many, Some(1.0), "a class without test images is left out of its group's mean");
        assert_eq!(evaluate(&[], &[], &[1], ShotGroups::default()).expect("valid").all, None);
        assert_eq!(accuracy(&[], &[]), Ok(None));
    }

    #[test]
    fn of_equal_logits_the_first_wins() {
        assert_eq!(argmax_rows(&[1.0, 3.0, 3.0, 0.0, 0.0, -1.0], 3), vec![1, 0]);
    }

    #[test]
    fn sizes_and_labels_are_checked() {
        assert!(evaluate(&[0], &[0, 1], &[1, 1], ShotGroups::default()).is_err() && accuracy(&[0], &[]).is_err());
        let error = evaluate(&[0], &[7], &[1, 1], ShotGroups::default()).expect_err("two classes").to_string();
        assert_eq!(error, "row 0 has label 7, but there are 2 classes");
    }
}
