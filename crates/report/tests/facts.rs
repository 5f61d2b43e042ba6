//! Each sentence of a report says what happened, by the files of the runs, whatever the recipe asks for.
#![allow(clippy::unwrap_used)] // a test may stop where it stands

mod common;

use common::*;
use longtail_artifact::code_versions;
use longtail_report::*;
use serde_json::json;

fn says(text: &str, sentence: &str) {
    assert!(text.contains(sentence), "`{sentence}` is not in\n{text}");
}

fn does_not_say(text: &str, sentence: &str) {
    assert!(!text.contains(sentence), "`{sentence}` is in\n{text}");
}

#[test]
fn validation_and_meta_sets_are_those_of_the_split() {
    let of = |split: SplitFacts| words(&collected(one_seed(), Some(split)));
    says(&of(split()), "The validation set is the meta set: 100 images, none of them a training image.");
    // What the fault was: a folder with `val/` and `meta_source: none`.
    let folder = of(SplitFacts { meta: 0, val: 8, val_in_meta: 0, ..split() });
    says(&folder, "There is no meta set. The validation set: 8 images.");
    does_not_say(&folder, "no validation set");
    does_not_say(&folder, "meta-network");
    let neither = of(SplitFacts { meta: 0, val: 0, val_in_meta: 0, ..split() });
    says(&neither, "There is no meta set and no validation set.");
    let imagenet = of(SplitFacts { meta: 100, val: 60, val_in_meta: 0, ..split() });
    says(&imagenet, "The meta set: 100 images, none of them a training image. The validation set: 60 images.");
    let inaturalist = of(SplitFacts { meta: 20, meta_in_train: 20, val: 0, val_in_meta: 0, ..split() });
    says(&inaturalist, "The meta set: 20 images, which are also training images. There is no validation set.");
    let balanced = of(SplitFacts { meta: 14_862, meta_in_train: 14_862, val: 0, val_in_meta: 0, ..split() });
    says(&balanced, "The meta set is the training set. There is no validation set.");
    let mixed = of(SplitFacts { meta: 20, meta_in_train: 5, val: 60, val_in_meta: 3, ..split() });
    says(&mixed, "The meta set: 20 images, 5 of them also training images.");
    says(&mixed, "The validation set: 60 images, 3 of them also in the meta set.");
}

#[test]
fn without_a_split_the_predictions_say_what_they_know() {
    let of = |val_images: Option<usize>| {
        let mut predictions = one_seed();
        predictions.iter_mut().for_each(|prediction| prediction.val_images = val_images);
        words(&collected(predictions, None))
    };
    says(
        &of(Some(1)),
        "The runs have no split file, so the role of each image is unknown; predictions hold 1 image for",
    );
    says(&of(Some(0)), "predictions hold no validation images.");
    says(&of(None), "predictions do not record whether there were validation images.");
    says(&of(None), "Data: a data set not named in any file: 10 classes of 5990 to 59 training images, 14862 in all;");
    does_not_say(&of(None), "fashion_mnist");
}

#[test]
fn a_meta_network_learned_only_where_stage_1_had_one() {
    let all = words(&collected(one_seed(), Some(split())));
    says(&all, "The meta-network of mpcl learned from the same images.");
    let apart = SplitFacts { val: 60, val_in_meta: 0, ..split() };
    says(&words(&collected(one_seed(), Some(apart))), "The meta-network of mpcl learned from the meta set.");
    // Rows of `ce` alone; and mpcl's control, which reads no meta set.
    let ce = words(&collected(one_seed()[..2].to_vec(), Some(split())));
    says(&ce, "No meta-network learned from the meta set.");
    let mut control = one_seed();
    let part = &mut control[2].origin.representation.as_mut().unwrap().recipe_part;
    part["representation"]["method"]["mpcl"]["prototypes"] = json!("empirical");
    says(&words(&collected(control, Some(split()))), "No meta-network learned from the meta set.");
}

#[test]
fn a_hyper_parameter_was_chosen_where_there_was_a_choice() {
    let with = |row: usize, name: &str, value: serde_json::Value| {
        let mut predictions = one_seed();
        predictions[row].chosen.insert(name.into(), value);
        predictions
    };
    let chosen = words(&collected(with(1, "tau", json!(0.7)), Some(split())));
    says(&chosen, "Chosen on validation data, never on the test set: tau (ce+tau_norm).");
    does_not_say(&chosen, "No hyper-parameter was chosen");
    says(&words(&collected(one_seed(), Some(split()))), "No hyper-parameter was chosen on data.");
    // A recipe that names one τ gives it; the method writes it down all the same.
    let mut given = with(1, "tau", json!(0.7));
    let part = &mut given[1].origin.classifier.as_mut().unwrap().recipe_part;
    part["classifier"]["tau_norm"]["taus"] = json!([0.7]);
    let summary = summarize(&recipe(), &collected(given.clone(), Some(split())));
    assert!(summary.rows[1].choices.is_empty());
    says(&words(&collected(given, Some(split()))), "No hyper-parameter was chosen on data.");
    // MPFA's adaptive α looks at the meta set, not at validation accuracy.
    let adaptive = collected(with(2, "alpha_per_class", json!([0.1, 0.2, 0.3, 0.4, 0.5])), Some(split()));
    says(&words(&adaptive), "Adapted to losses on the meta set: alpha_per_class (mpcl+mpfa).");
    does_not_say(&words(&adaptive), "Chosen on validation data");
    says(&render(&summarize(&recipe(), &adaptive)).unwrap()[0].text, "| alpha_per_class = 5 values | the meta set |");
    // Predictions of another program that hold no validation images.
    let mut unknown = with(1, "tau", json!(0.7));
    unknown[1].val_images = Some(0);
    says(
        &words(&collected(unknown, Some(split()))),
        "Chosen on data that the predictions do not record: tau (ce+tau_norm).",
    );
}

#[test]
fn epochs_are_known_of_what_was_trained_here() {
    says(
        &words(&collected(one_seed(), Some(split()))),
        "Every number is from the last epoch; no best epoch was selected.",
    );
    let mut imported = one_seed();
    imported[2].origin.representation = None;
    let text = words(&collected(imported, Some(split())));
    says(&text, "Stage 1 has no manifest for mpcl: it is unknown who trained its backbone and for how many epochs.");
    does_not_say(&text, "Every number is from the last epoch");
}

#[test]
fn deviations_and_seeds_follow_the_rows() {
    let recipe = recipe();
    let one = words(&collected(one_seed(), Some(split())));
    says(&one, "One seed per row, so there is no standard deviation.");
    does_not_say(&one, "±");
    let two: Vec<Prediction> = (0..3).flat_map(|row| [0, 1].map(|seed| prediction(&recipe, row, seed))).collect();
    let text = words(&collected(two.clone(), Some(split())));
    says(&text, "Mean ± sample standard deviation (n − 1) over the seeds of the row.");
    does_not_say(&text, "Not all rows have the same seeds");
    let text = words(&collected(two[..5].to_vec(), Some(split())));
    says(&text, "over the seeds of the row; rows of one seed have none.");
    says(&text, "Not all rows have the same seeds; see the column.");
    // A seed a row, and another one for each.
    let text = words(&collected(vec![two[0].clone(), two[3].clone()], Some(split())));
    says(&text, "One seed per row, so there is no standard deviation.");
    says(&text, "Not all rows have the same seeds; see the column.");
    let nothing = words(&Collected::default());
    says(&nothing, "Nothing was run yet.");
    for sentence in ["Top-1", "Data:", "meta set", "chosen", "last epoch"] {
        does_not_say(&nothing, sentence);
    }
}

#[test]
fn classes_without_test_images_and_empty_groups_are_told() {
    let mut predictions = one_seed();
    for prediction in &mut predictions {
        // Class 9 has no test image; classes 7 and 8 are the rest of few.
        prediction.labels.truncate(90);
        prediction.predicted.truncate(90);
    }
    let text = words(&collected(predictions.clone(), Some(SplitFacts { test: 90, ..split() })));
    says(&text, "each is the mean over its classes that have test images.");
    says(&text, "90 test images, none of 1 class.");
    does_not_say(&text, "n/a");
    let summary = summarize(&recipe(), &collected(predictions.clone(), Some(split())));
    assert_eq!(summary.rows[0].mean.few, Some(50.0), "the mean of the two classes that were tested");
    let svg = &render(&summary).unwrap()[4];
    assert_eq!(svg.text.matches("<circle").count(), 9);
    says(&svg.text, "Accuracy of each class with test images against its number of training images, ce+joint, seed 0;");
    for prediction in &mut predictions {
        prediction.labels.truncate(70);
        prediction.predicted.truncate(70);
    }
    let text = words(&collected(predictions, Some(SplitFacts { test: 70, ..split() })));
    says(&text, "n/a: no class of the group has test images.");
    says(&text, "70 test images, none of 3 classes.");
}

#[test]
fn images_that_were_left_out_are_counted() {
    let one = words(&collected(one_seed(), Some(SplitFacts { skipped: 1, ..split() })));
    says(&one, "100 test images. 1 image cannot be decoded and is left out.");
    let photos = SplitFacts { skipped: 3, imbalance_factor: None, dataset: Some("image_folder".into()), ..split() };
    let text = words(&collected(one_seed(), Some(photos)));
    says(
        &text,
        "Data: image_folder: 10 classes of 5990 to 59 training images, 14862 in all; 100 test images. 3 images cannot",
    );
    does_not_say(&text, "imbalance factor");
    says(&one, "Data: fashion_mnist (drawn with imbalance factor 100): 10 classes");
}

#[test]
fn other_devices_and_code_versions_are_named() {
    let all_cpu = words(&collected(one_seed(), Some(split())));
    does_not_say(&all_cpu, "Computed on");
    does_not_say(&all_cpu, "code version");
    let mut mixed = one_seed();
    mixed[2].origin.representation.as_mut().unwrap().device = "cuda:0".into();
    mixed[2].origin.classifier.as_mut().unwrap().code_version = code_versions::CLASSIFIER - 1;
    let text = words(&collected(mixed, Some(split())));
    says(&text, "Computed on cpu: stages of seed 0; on cuda:0: stages of seed 0. Rounding differs between devices.");
    let version = code_versions::CLASSIFIER;
    let old = version - 1;
    says(&text, &format!("Stage classifier ran with code version {old} for mpcl+mpfa; this program has {version},"));
}

#[test]
fn columns_and_marks_are_explained_where_they_are() {
    let text = words(&collected(one_seed(), Some(split())));
    for sentence in ["paper:", "expected:", "the recipe's", "n/a"] {
        does_not_say(&text, sentence);
    }
    // A row with an empty `paper` has no number of one.
    let with = |row: &str| {
        let text = RECIPE.replace("classifier: joint}", &format!("classifier: joint, {row}}}"));
        words_of(&recipe_of(&text), &collected(one_seed(), Some(split())))
    };
    does_not_say(&with("paper: {}"), "paper:");
    says(&with("paper: {all: 1}"), "paper: the number in the paper, as quoted by the recipe.");
    says(&with("expected: {all: [0, 100]}"), "expected: the recipe's range for the mean of the row.");
    says(&with("note: x"), "Notes come from the recipe.");
    let bold = |predictions: Vec<Prediction>| {
        let summary = summarize(&recipe(), &collected(predictions, Some(split())));
        render(&summary).unwrap()[1].text.contains("the largest value of each column is bold")
    };
    assert!(bold(one_seed()));
    assert!(!bold(one_seed()[..1].to_vec()), "one row is the best of nothing");
}

#[test]
fn what_is_outside_a_range_looks_outside() {
    // 50.0 against 50.001: in two digits it would be inside.
    let text = RECIPE.replace("classifier: joint}", "classifier: joint, expected: {all: [50.001, 60]}}");
    let recipe = recipe_of(&text);
    let summary = summarize(&recipe, &collected(one_seed(), Some(split())));
    says(&terminal_table(&summary), "OUTSIDE: all 50.00 not in [50.001, 60]");
    // 1 of 3 right is 33.33…, and the range ends at 33.333.
    let mut third = one_seed();
    for prediction in &mut third {
        prediction.labels = vec![0, 1, 2];
        prediction.predicted = vec![0, 0, 0];
    }
    let recipe = recipe_of(&RECIPE.replace("classifier: joint}", "classifier: joint, expected: {all: [0, 33.33]}}"));
    says(&terminal_table(&summarize(&recipe, &collected(third, None))), "OUTSIDE: all 33.333 not in [0, 33.33]");
}

#[test]
fn figures_say_what_is_drawn() {
    let summary = |shots: &str| {
        let text = RECIPE.replace("{many_above: 1000, few_below: 200}", shots);
        summarize(&recipe_of(&text), &collected(one_seed(), Some(split())))
    };
    let of = |shots: &str| render(&summary(shots)).unwrap()[4].text.clone();
    says(&of("{many_above: 1000, few_below: 200}"), "dashed: boundaries of few, medium and many;");
    says(&of("{many_above: 1000, few_below: 2}"), "dashed: boundary of two shot groups;");
    does_not_say(&of("{many_above: 100000, few_below: 2}"), "dashed");
    let overview = |count: usize| {
        let summary = summarize(&recipe(), &collected(one_seed()[..count].to_vec(), Some(split())));
        render(&summary).unwrap()[3].text.clone()
    };
    says(&overview(3), "all rows of small<");
    says(&overview(2), "all rows of small that count<");
    // Ten classes are ten points; of more, some share one.
    let mut many = one_seed();
    for prediction in &mut many {
        prediction.class_counts = (0..30).map(|class| 10 + class).collect();
        prediction.labels = (0..30).collect();
        prediction.predicted = (0..30).collect();
    }
    let svg = render(&summarize(&recipe(), &collected(many, None))).unwrap()[3].text.clone();
    says(&svg, "classes with similar counts share a point");
}
