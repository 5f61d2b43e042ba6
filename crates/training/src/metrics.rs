//! Accuracies by class and by shot group.

use longtail_recipe::ShotGroups;

use crate::TrainingError;

/// Where many, medium and few part, in training images per class.
///
/// # Source
/// protocol.md §6: many > 100, few < 20, medium the rest (CB, BALMS, LADE, PaCo, TailCalibX).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShotBounds {
    /// many: more than this.
    pub many_above: u32,
    /// few: fewer than this.
    pub few_below: u32,
}

impl Default for ShotBounds {
    fn default() -> Self {
        Self { many_above: 100, few_below: 20 }
    }
}

impl From<ShotGroups> for ShotBounds {
    fn from(groups: ShotGroups) -> Self {
        Self { many_above: groups.many_above, few_below: groups.few_below }
    }
}

impl From<&ShotGroups> for ShotBounds {
    fn from(groups: &ShotGroups) -> Self {
        Self::from(*groups)
    }
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
    /// By class.
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
    shot_groups: impl Into<ShotBounds>,
) -> Result<GroupAccuracy, TrainingError> {
    let bounds = shot_groups.into();
    TrainingError::check_size("predicted", predicted.len(), labels.len())?;
    TrainingError::check_labels(labels, class_counts.len())?;
    let mut right = vec![0u64; class_counts.len()];
    let mut total = vec![0u64; class_counts.len()];
    for (&guess, &label) in predicted.iter().zip(labels) {
        total[label as usize] += 1;
        right[label as usize] += u64::from(guess == label);
    }
    let per_class: Vec<Option<f64>> =
        right.iter().zip(&total).map(|(&right, &total)| ratio(right as f64, total)).collect();
    let group = |belongs: &dyn Fn(u32) -> bool| {
        let members: Vec<f64> = per_class
            .iter()
            .zip(class_counts)
            .filter(|(_, count)| belongs(**count))
            .filter_map(|(accuracy, _)| *accuracy)
            .collect();
        ratio(members.iter().sum(), members.len() as u64)
    };
    Ok(GroupAccuracy {
        many: group(&|count| count > bounds.many_above),
        medium: group(&|count| count >= bounds.few_below && count <= bounds.many_above),
        few: group(&|count| count < bounds.few_below),
        all: ratio(right.iter().sum::<u64>() as f64, total.iter().sum()),
        per_class,
    })
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
        let accuracy =
            evaluate(&[0, 0, 1, 2, 1, 0], &[0, 0, 0, 0, 1, 2], &[200, 100, 19], ShotBounds::default()).expect("valid");
        assert_eq!(accuracy.per_class, vec![Some(0.5), Some(1.0), Some(0.0)]);
        assert_eq!((accuracy.many, accuracy.medium, accuracy.few), (Some(0.5), Some(1.0), Some(0.0)));
        assert_eq!(accuracy.all, Some(0.5));
    }

    #[test]
    fn an_empty_group_is_none_not_zero() {
        let accuracy = evaluate(&[0], &[0], &[200, 150], ShotBounds::default()).expect("valid");
        assert_eq!((accuracy.few, accuracy.medium), (None, None));
        assert_eq!(accuracy.per_class, vec![Some(1.0), None]);
        assert_eq!(accuracy.many, Some(1.0), "a class without test images is left out of its group's mean");
        assert_eq!(evaluate(&[], &[], &[1], ShotBounds::default()).expect("valid").all, None);
    }

    #[test]
    fn of_equal_logits_the_first_wins() {
        assert_eq!(argmax_rows(&[1.0, 3.0, 3.0, 0.0, 0.0, -1.0], 3), vec![1, 0]);
    }

    #[test]
    fn sizes_and_labels_are_checked() {
        assert!(evaluate(&[0], &[0, 1], &[1, 1], ShotBounds::default()).is_err());
        assert!(evaluate(&[0], &[7], &[1, 1], ShotBounds::default()).is_err());
    }
}
