//! Accuracy over the shot groups.

use longtail_metrics::evaluate;
use longtail_recipe::ShotGroups;

/// One number for each shot group and for all; `None` for a group without classes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Groups<T = Option<f64>> {
    /// Classes with more than `many_above` training images.
    pub many: T,
    /// Those in between.
    pub medium: T,
    /// Classes with fewer than `few_below`.
    pub few: T,
    /// All test images.
    pub all: T,
}

impl<T> Groups<T> {
    /// The four with their names, in the order of every table.
    pub fn named(&self) -> [(&'static str, &T); 4] {
        [("many", &self.many), ("medium", &self.medium), ("few", &self.few), ("all", &self.all)]
    }

    /// The four through `f`, which gets the name too.
    pub fn map<U>(&self, mut f: impl FnMut(&'static str, &T) -> U) -> Groups<U> {
        Groups {
            many: f("many", &self.many),
            medium: f("medium", &self.medium),
            few: f("few", &self.few),
            all: f("all", &self.all),
        }
    }

    /// The one called `name`.
    pub fn get(&self, name: &str) -> Option<&T> {
        self.named().into_iter().find(|(own, _)| *own == name).map(|(_, value)| value)
    }
}

/// How many classes each group has.
pub type GroupSizes = Groups<usize>;

/// Classes per group, by training images.
pub fn group_sizes(class_counts: &[u32], shot_groups: ShotGroups) -> GroupSizes {
    let [many, medium, few] = longtail_metrics::group_sizes(class_counts, shot_groups);
    Groups { many, medium, few, all: class_counts.len() }
}

/// Top-1 accuracies in percent of one set of predictions, and of each class (`None` for a class without test images).
///
/// `many`, `medium` and `few` are means over the group's classes of each class's accuracy; `all` is over images.
///
/// # Shapes
/// - `predicted`, `labels`: `(N,)`, each below K  - `class_counts`: `(K,)`, training images
/// # Source
/// protocol.md §6; CB `utils.py` (more than 100, fewer than 20). An empty group is `None`, where much code prints 0.
pub fn group_accuracy(
    predicted: &[u32],
    labels: &[u32],
    class_counts: &[u32],
    shot_groups: ShotGroups,
) -> (Groups, Vec<Option<f64>>) {
    let found = evaluate(predicted, labels, class_counts, shot_groups);
    let found = found.expect("predictions are checked when their file is read");
    let percent = |share: Option<f64>| share.map(percent);
    let groups = Groups {
        many: percent(found.many),
        medium: percent(found.medium),
        few: percent(found.few),
        all: percent(found.all),
    };
    (groups, found.per_class.into_iter().map(percent).collect())
}

/// A share in percent, to 1e-9: 0.555 is 55.5, and not an ulp more, as a range that ends there is compared with it.
fn percent(share: f64) -> f64 {
    (1e11 * share).round() / 1e9
}

/// The mean of any values at all.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The sample standard deviation (n − 1) of at least two values.
pub fn sample_std(values: &[f64]) -> Option<f64> {
    let mean = mean(values).filter(|_| values.len() > 1)?;
    let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
    Some((squares / (values.len() - 1) as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::tests::shot_groups;

    #[test]
    fn groups_are_means_over_classes_and_all_is_over_images() {
        // Class 0 (many): 3 of 4 right; class 1 (medium): 0 of 1; class 2 (few) and class 3 (few): 1 of 1, 1 of 2.
        let labels = [0, 0, 0, 0, 1, 2, 3, 3];
        let predicted = [0, 0, 0, 1, 0, 2, 3, 0];
        let (groups, per_class) = group_accuracy(&predicted, &labels, &[500, 50, 5, 4], shot_groups(100, 20));
        assert_eq!(per_class, [Some(75.0), Some(0.0), Some(100.0), Some(50.0)]);
        assert_eq!(groups, Groups { many: Some(75.0), medium: Some(0.0), few: Some(75.0), all: Some(62.5) });
    }

    #[test]
    fn a_group_without_classes_is_none() {
        let (groups, _) = group_accuracy(&[0], &[0], &[500], shot_groups(100, 20));
        assert_eq!(groups, Groups { many: Some(100.0), medium: None, few: None, all: Some(100.0) });
        assert_eq!(
            group_sizes(&[500, 101, 100, 20, 19], shot_groups(100, 20)),
            Groups { many: 2, medium: 2, few: 1, all: 5 }
        );
    }

    #[test]
    fn the_deviation_is_the_samples_and_needs_two() {
        assert_eq!(sample_std(&[1.0, 3.0]), Some(2f64.sqrt()));
        assert_eq!(sample_std(&[1.0]), None);
    }
}
