//! Which classes and which of their rows are drawn.

use longtail_artifact::counted;
use longtail_metrics::ShotGroup;
use longtail_ops::{shuffle, stream};
use longtail_recipe::ShotGroups;

use crate::FeaturesError;

/// What is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// These classes; where empty, as many as the next two say, drawn.
    pub classes: Vec<u32>,
    /// Classes with many training images.
    pub many: usize,
    /// Classes with few.
    pub few: usize,
    /// Where the groups part.
    pub bounds: ShotGroups,
    /// Training and generated rows of a class.
    pub per_class: usize,
    /// Training rows of a class, at most `per_class`.
    pub real_per_class: usize,
    /// Validation rows of a class.
    pub val_per_class: usize,
    /// Random seed of every draw.
    pub seed: u64,
}

/// The labels of the three files.
#[derive(Debug, Clone, Copy)]
pub struct Labels<'a> {
    /// Of the training rows.
    pub train: &'a [u32],
    /// Of the validation rows.
    pub val: &'a [u32],
    /// Of the generated rows, if there are any.
    pub generated: Option<&'a [u32]>,
    /// Training images per class, (K,).
    pub class_counts: &'a [u32],
}

/// One class of the picture, with the rows that are drawn, each as a position in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Label of the class.
    pub class: u32,
    /// Shot group of the class.
    pub group: ShotGroup,
    /// Its training images, drawn or not.
    pub images: u32,
    /// Indices of its training rows.
    pub train: Vec<usize>,
    /// Indices of its generated rows.
    pub generated: Vec<usize>,
    /// Indices of its validation rows.
    pub val: Vec<usize>,
}

/// Draws classes and rows; many comes before medium before few. A row's draw depends on seed and class alone, so that
/// another choice of classes shows the same points of a class.
///
/// # Errors
/// A class that does not exist, is named twice, or has no training or no validation row; a group with too few classes.
pub fn choose(labels: Labels<'_>, wanted: &Wanted) -> Result<Vec<Choice>, FeaturesError> {
    if labels.val.is_empty() && wanted.val_per_class > 0 {
        return unfit("the validation dump has no rows: the data set has no validation images".to_owned(), OTHER_VAL);
    }
    let classes = if wanted.classes.is_empty() { draw_classes(labels, wanted)? } else { wanted.classes.clone() };
    let mut choices = Vec::with_capacity(classes.len());
    for (place, &class) in classes.iter().enumerate() {
        let Some(&images) = labels.class_counts.get(class as usize) else {
            let most = labels.class_counts.len();
            return unfit(
                format!("there is no class {class}: the dump has classes 0 to {}", most.saturating_sub(1)),
                "`features inspect FILE --all` lists the classes and their image counts",
            );
        };
        if classes[..place].contains(&class) {
            return unfit(format!("class {class} is listed twice"), "list each class only once in --classes");
        }
        let rows = |kind: &str, labels: &[u32], most: usize| draw(labels, class, most, wanted.seed, kind);
        let train = rows("plot/train", labels.train, wanted.real_per_class.min(wanted.per_class));
        let val = rows("plot/val", labels.val, wanted.val_per_class);
        let left = wanted.per_class - train.len();
        let generated = labels.generated.map_or(Vec::new(), |labels| rows("plot/generated", labels, left));
        if train.is_empty() && wanted.real_per_class > 0 {
            return unfit(
                format!("class {class} has no row in the training dump"),
                "`features inspect FILE --all` lists the rows of each class",
            );
        }
        if val.is_empty() && wanted.val_per_class > 0 {
            return unfit(format!("class {class} has no row in the validation dump"), OTHER_VAL);
        }
        let group = ShotGroup::of(images, wanted.bounds);
        choices.push(Choice { class, group, images, train, generated, val });
    }
    choices.sort_by_key(|choice| (choice.group, choice.class));
    Ok(choices)
}

/// Where validation points may come from when the validation dump has none.
const OTHER_VAL: &str = "use the test dump (--val RUN/features/VARIANT/test.safetensors), or --val-per-class 0";

fn unfit<T>(what: String, hint: impl Into<String>) -> Result<T, FeaturesError> {
    Err(FeaturesError::unfit(what, hint))
}

/// Classes of both groups that have training and validation rows and, for few, generated ones if there are any at all.
fn draw_classes(labels: Labels<'_>, wanted: &Wanted) -> Result<Vec<u32>, FeaturesError> {
    let count = |rows: &[u32]| {
        let mut counts = vec![0usize; labels.class_counts.len()];
        for label in rows {
            counts[*label as usize] += 1;
        }
        counts
    };
    let (train, val, generated) = (count(labels.train), count(labels.val), labels.generated.map(count));
    let mut classes = Vec::new();
    for (group, most) in [(ShotGroup::Many, wanted.many), (ShotGroup::Few, wanted.few)] {
        let serves = |class: &usize| {
            let fits = ShotGroup::of(labels.class_counts[*class], wanted.bounds) == group;
            let has_generated = generated.as_ref().is_none_or(|generated| generated[*class] > 0);
            let has_rows =
                (train[*class] > 0 || wanted.real_per_class == 0) && (val[*class] > 0 || wanted.val_per_class == 0);
            fits && has_rows && (group == ShotGroup::Many || has_generated)
        };
        let mut candidates: Vec<usize> = (0..labels.class_counts.len()).filter(serves).collect();
        if candidates.len() < most {
            let (bounds, name) = (wanted.bounds, group.name());
            let (span, option) = match group {
                ShotGroup::Many => (format!("more than {}", bounds.many_above), "--many-above"),
                _ => (format!("fewer than {}", bounds.few_below), "--few-below"),
            };
            let (least, largest) =
                (labels.class_counts.iter().min().unwrap_or(&0), labels.class_counts.iter().max().unwrap_or(&0));
            return unfit(
                format!(
                    "{} with {name} images {} asked for, {} have {span} training images and rows to be drawn (the \
                     classes have {least} to {largest} images)",
                    counted(most, "class"),
                    if most == 1 { "was" } else { "were" },
                    candidates.len()
                ),
                format!(
                    "choose classes with --classes, change the limit with {option}, or ask for fewer with --{name}"
                ),
            );
        }
        shuffle(&mut stream(wanted.seed, "plot/classes", group as u64, 0), &mut candidates);
        classes.extend(candidates[..most].iter().map(|class| *class as u32));
    }
    Ok(classes)
}

/// At most `most` rows of `class`, in the file's order.
fn draw(labels: &[u32], class: u32, most: usize, seed: u64, purpose: &str) -> Vec<usize> {
    let mut rows: Vec<usize> = (0..labels.len()).filter(|row| labels[*row] == class).collect();
    if rows.len() > most {
        shuffle(&mut stream(seed, purpose, u64::from(class), 0), &mut rows);
        rows.truncate(most);
        rows.sort_unstable();
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(classes: &[u32]) -> Wanted {
        Wanted {
            classes: classes.to_vec(),
            many: 1,
            few: 2,
            bounds: ShotGroups::new(5, 4),
            per_class: 6,
            real_per_class: 6,
            val_per_class: 1,
            seed: 0,
        }
    }

    // 8, 5, 2 and 1 training rows of four classes.
    const TRAIN: [u32; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 3];
    const GENERATED: [u32; 14] = [1, 1, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3];
    const LABELS: Labels<'_> =
        Labels { train: &TRAIN, val: &[3, 3, 2, 1, 0], generated: Some(&GENERATED), class_counts: &[8, 5, 2, 1] };

    #[test]
    fn training_and_generated_rows_share_their_number() {
        let choices = choose(LABELS, &wanted(&[3, 1, 0])).expect("fits");
        let sizes = |choice: &Choice| (choice.class, choice.train.len(), choice.generated.len(), choice.val.len());
        assert_eq!(choices.iter().map(sizes).collect::<Vec<_>>(), [(0, 6, 0, 1), (1, 5, 1, 1), (3, 1, 5, 1)]);
        assert!(choices[2].generated.iter().all(|row| GENERATED[*row] == 3));
        let fewer = choose(LABELS, &Wanted { real_per_class: 2, ..wanted(&[1]) }).expect("fits");
        assert_eq!(sizes(&fewer[0]), (1, 2, 2, 1));
    }

    #[test]
    fn classes_are_drawn_from_their_groups_and_rows_do_not_depend_on_the_others() {
        let choices = choose(LABELS, &wanted(&[])).expect("fits");
        assert_eq!(choices.iter().map(|choice| choice.class).collect::<Vec<_>>(), [0, 2, 3]);
        assert_eq!(choices[0], choose(LABELS, &wanted(&[0])).expect("fits")[0]);
    }

    #[test]
    fn what_is_not_there_is_named() {
        let words = |labels, wanted| choose(labels, &wanted).expect_err("unfit").to_string();
        assert!(words(LABELS, wanted(&[4])).contains("there is no class 4: the dump has classes 0 to 3"));
        assert!(words(LABELS, wanted(&[1, 1])).contains("class 1 is listed twice"));
        assert!(
            words(Labels { val: &[0], ..LABELS }, wanted(&[1])).contains("class 1 has no row in the validation dump")
        );
        let error = choose(LABELS, &Wanted { few: 3, ..wanted(&[]) }).expect_err("too many");
        assert!(error.hint().is_some_and(|hint| hint.contains("--few-below")), "{error}");
        // iNaturalist has no validation images at all.
        let none = Labels { val: &[], ..LABELS };
        let error = choose(none, &wanted(&[])).expect_err("no stars");
        assert!(
            error.to_string().contains("has no rows") && error.hint().is_some_and(|hint| hint.contains("test dump"))
        );
        let choices = choose(none, &Wanted { val_per_class: 0, ..wanted(&[]) }).expect("no stars wanted");
        assert_eq!(choices.iter().map(|choice| choice.class).collect::<Vec<_>>(), [0, 2, 3]);
    }
}
