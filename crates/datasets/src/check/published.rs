//! What is published of photo sets.

use longtail_recipe::Dataset;

/// Images, classes and their sizes, as papers state them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Number of training images.
    pub train: usize,
    /// Images of each class in the validation list; `None`: there is no such list.
    pub val_per_class: Option<u32>,
    /// Images of each class in the test list.
    pub test_per_class: u32,
    /// Number of classes.
    pub classes: usize,
    /// Training images of the largest and of the smallest class.
    pub most_and_fewest: (u32, u32),
    /// Classes with more than 100, 20 to 100, and fewer than 20 training images.
    pub groups: [usize; 3],
    /// Training images of each class, where they are published.
    pub class_counts: Option<Vec<u32>>,
}

const IMAGENET_LT_COUNTS: &str = include_str!("../../data/imagenet_lt_class_counts.txt");

impl Published {
    /// Of `dataset`; `None` where nothing is published.
    pub fn of(dataset: Dataset) -> Option<Self> {
        match dataset {
            Dataset::ImagenetLt => Some(Self {
                train: 115_846,
                val_per_class: Some(20),
                test_per_class: 50,
                classes: 1000,
                most_and_fewest: (1280, 5),
                groups: [385, 479, 136],
                class_counts: Some(parse(IMAGENET_LT_COUNTS)),
            }),
            // protocol.md §3; the groups follow from the weights of published tables.
            Dataset::Inaturalist2018 => Some(Self {
                train: 437_513,
                val_per_class: None,
                test_per_class: 3,
                classes: 8142,
                most_and_fewest: (1000, 2),
                groups: [842, 4076, 3224],
                class_counts: None,
            }),
            Dataset::FashionMnist | Dataset::Cifar100 | Dataset::ImageFolder => None,
        }
    }
}

fn parse(text: &str) -> Vec<u32> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let words = lines.flat_map(str::split_whitespace);
    words.map(|word| word.parse().expect("the file is part of the source and holds numbers only")).collect()
}

#[cfg(test)]
mod tests {
    use longtail_recipe::ShotGroups;

    use super::*;
    use longtail_metrics::group_sizes;

    fn groups() -> ShotGroups {
        let text = "data: {dataset: imagenet_lt}\nrepresentations: {ce: {method: {ce: {}}}}\nclassifiers: {joint: }";
        longtail_recipe::read_str(text, "t.yaml", &[]).expect("a sound recipe").data.shot_groups
    }

    #[test]
    fn the_counts_of_imagenet_lt_make_its_published_groups() {
        let published = Published::of(Dataset::ImagenetLt).expect("published");
        let counts = published.class_counts.expect("published");
        assert_eq!((counts.len(), counts.iter().sum::<u32>()), (1000, 115_846));
        assert_eq!((counts.iter().max(), counts.iter().min()), (Some(&1280), Some(&5)));
        assert_eq!(group_sizes(&counts, groups()), [385, 479, 136]);
        // A generated set tops every class up to the largest.
        assert_eq!(counts.iter().map(|count| 1280 - count).sum::<u32>(), 1_164_154);
        assert_eq!(counts[..5], [50, 250, 516, 352, 143]);
    }

    #[test]
    fn inaturalists_groups_are_its_classes() {
        let published = Published::of(Dataset::Inaturalist2018).expect("published");
        assert_eq!(published.groups.iter().sum::<usize>(), published.classes);
        assert_eq!(Published::of(Dataset::ImageFolder), None);
    }
}
