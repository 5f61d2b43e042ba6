//! The classes that lists speak of: how many, what they are called, and whether the lists agree.

use super::listing::{Listing, shortened};
use crate::error::DatasetError;

/// The number of classes, largest label + 1, after a look at all lists.
///
/// # Errors
/// A label below the largest that has no training image, or an image of `others` whose class has none.
pub fn count(train: &Listing, others: &[&Listing]) -> Result<usize, DatasetError> {
    let largest = train.labels.iter().max().map_or(0, |largest| *largest as usize);
    // As many labels as images are the most there can be without a gap: nothing large is made for a list that is wrong.
    let mut seen = vec![false; (largest + 1).min(train.len() + 1)];
    for &label in &train.labels {
        if let Some(seen) = seen.get_mut(label as usize) {
            *seen = true;
        }
    }
    if let Some(gap) = seen.iter().position(|seen| !seen) {
        let last = train.labels.iter().rposition(|&label| label as usize == largest).unwrap_or(0);
        return Err(train.error(
            last,
            format!(
                "the label is {largest}, but no image in the list has label {gap}: labels must be 0, 1, 2 … without gaps"
            ),
        ));
    }
    for other in others {
        if let Some(index) = other.labels.iter().position(|&label| label as usize > largest) {
            let label = other.labels[index];
            let problem = format!(
                "the label is {label}, but the largest label in the training list is {largest}: this class cannot be learned"
            );
            return Err(other.error(index, problem));
        }
    }
    Ok(largest + 1)
}

/// The folder of each class, from the paths of images: all of a class lie in one, and no two classes in the same.
///
/// `folder` gives the part of a path that names its class, or `None` where a path says nothing.
///
/// # Errors
/// An image, named by its line, whose folder and label do not go with those of an image before.
pub fn names(
    num_classes: usize,
    lists: &[&Listing],
    folder: impl Fn(&str) -> Option<&str>,
) -> Result<Vec<String>, DatasetError> {
    let mut names: Vec<Option<&str>> = vec![None; num_classes];
    let mut labels = std::collections::HashMap::new();
    for listing in lists {
        for (index, path) in listing.paths.iter().enumerate() {
            let label = listing.labels[index];
            let Some(name) = folder(path) else { continue };
            let known = *names[label as usize].get_or_insert(name);
            if known != name {
                return Err(listing.error(
                    index,
                    format!(
                        "label {label} is the folder `{}` here, but was `{}` before",
                        shortened(name),
                        shortened(known)
                    ),
                ));
            }
            let other = *labels.entry(name).or_insert(label);
            if other != label {
                return Err(listing.error(
                    index,
                    format!("the folder `{}` has label {label} here, but had label {other} before", shortened(name)),
                ));
            }
        }
    }
    Ok(names.iter().enumerate().map(|(label, name)| name.map_or_else(|| label.to_string(), str::to_owned)).collect())
}

#[cfg(test)]
mod tests {
    use super::super::listing::parse_list;
    use super::*;

    fn list(text: &str) -> Listing {
        parse_list(std::path::Path::new("l.txt"), text.as_bytes()).expect("a good list")
    }

    fn folder(path: &str) -> Option<&str> {
        path.split_once('/').map(|(folder, _)| folder)
    }

    #[test]
    fn gaps_and_labels_without_training_images_are_named() {
        assert_eq!(count(&list("a 1\nb 0\nc 1\n"), &[]).expect("no gap"), 2);
        let gap = count(&list("a 0\nb 3\nc 1\nd 3\n"), &[]).expect_err("no 2").to_string();
        assert!(gap.starts_with("`l.txt`:4: the label is 3, but no image in the list has label 2"), "{gap}");
        let huge = count(&list("a 0\nb 999999\n"), &[]).expect_err("a gap").to_string();
        assert!(huge.contains("`l.txt`:2: the label is 999999, but no image in the list has label 1"), "{huge}");
        let test = count(&list("a 0\n"), &[&list("x 0\ny 1\n")]).expect_err("no class 1").to_string();
        assert!(test.contains("`l.txt`:2: the label is 1, but the largest label in the training list is 0"), "{test}");
    }

    #[test]
    fn a_class_is_one_folder_and_a_folder_one_class() {
        let good = list("n1/a 0\nn2/b 1\nn1/c 0\nd 2\n");
        assert_eq!(names(3, &[&good], folder).expect("consistent"), ["n1", "n2", "2"]);
        let error = |text: &str| names(2, &[&list(text)], folder).expect_err("bad").to_string();
        assert_eq!(error("n1/a 0\nn2/b 0\n"), "`l.txt`:2: label 0 is the folder `n2` here, but was `n1` before");
        assert_eq!(error("n1/a 0\nn1/b 1\n"), "`l.txt`:2: the folder `n1` has label 1 here, but had label 0 before");
    }
}
