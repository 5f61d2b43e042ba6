//! What tests of the report's words share: a small recipe, and what its runs would have left behind.
#![allow(dead_code, clippy::unwrap_used)] // each test program takes what it needs

use std::path::PathBuf;

use longtail_artifact::{Manifest, code_versions};
use longtail_recipe::{Recipe, read_str};
use longtail_report::*;
use serde_json::{Map, Value, json};

pub const RECIPE: &str = "\
recipe: small
data: {dataset: fashion_mnist, imbalance_factor: 100, shot_groups: {many_above: 1000, few_below: 200}}
representations: {ce: {method: {ce: {}}}, mpcl: {method: {mpcl: {}}}}
classifiers: {joint: , tau_norm: , mpfa: }
rows:
  - {representation: ce, classifier: joint}
  - {representation: ce, classifier: tau_norm}
  - {representation: mpcl, classifier: mpfa}
";
/// Four many, three medium, three few.
pub const COUNTS: [u32; 10] = [5990, 3591, 2153, 1290, 773, 463, 278, 166, 99, 59];

pub fn recipe() -> Recipe {
    recipe_of(RECIPE)
}

pub fn recipe_of(text: &str) -> Recipe {
    read_str(text, "small.yaml", &[]).unwrap()
}

pub fn manifest(stage: &str, code_version: u32, recipe_part: Value) -> Manifest {
    Manifest {
        stage: stage.to_owned(),
        key: String::new(),
        code_version,
        recipe_part,
        inputs: Default::default(),
        outputs: Default::default(),
        device: "cpu".to_owned(),
        images_changed: None,
    }
}

/// A row of a seed that this program made with the settings of the recipe; half of the images of each class are right.
pub fn prediction(recipe: &Recipe, row: usize, seed: u64) -> Prediction {
    let of = &recipe.rows[row];
    let labels: Vec<u32> = (0..100).map(|image| image / 10).collect();
    let predicted = labels.iter().zip(0..).map(|(label, image)| if image % 2 == 0 { *label } else { (label + 1) % 10 });
    let representation = recipe.representation_part(&of.representation).unwrap();
    let classifier = recipe.classifier_part(&of.representation, &of.classifier).unwrap();
    Prediction {
        row,
        seed,
        path: PathBuf::from(format!("seed-{seed}/row-{row}")),
        predicted: predicted.collect(),
        labels,
        class_counts: COUNTS.to_vec(),
        chosen: Map::new(),
        val_accuracy: Some(0.5),
        val_images: Some(100),
        origin: Origin {
            representation: Some(manifest("representation", code_versions::REPRESENTATION, representation)),
            features: Some(manifest("features", code_versions::FEATURES, json!({}))),
            classifier: Some(manifest("classifier", code_versions::CLASSIFIER, classifier)),
        },
    }
}

/// MetaSAug's split: the validation set is the meta set, apart from the training images.
pub fn split() -> SplitFacts {
    SplitFacts {
        dataset: Some("fashion_mnist".into()),
        imbalance_factor: Some(100.0),
        data_hash: Some("images".into()),
        train: 14_862,
        meta: 100,
        val: 100,
        val_in_meta: 100,
        test: 100,
        ..SplitFacts::default()
    }
}

pub fn collected(predictions: Vec<Prediction>, split: Option<SplitFacts>) -> Collected {
    let splits = predictions.iter().filter_map(|prediction| Some((prediction.seed, split.clone()?))).collect();
    Collected { predictions, splits, ..Collected::default() }
}

/// Every row of seed 0.
pub fn one_seed() -> Vec<Prediction> {
    (0..3).map(|row| prediction(&recipe(), row, 0)).collect()
}

/// All that the report says in words, and that its three forms say the same.
pub fn words(collected: &Collected) -> String {
    words_of(&recipe(), collected)
}

pub fn words_of(recipe: &Recipe, collected: &Collected) -> String {
    let summary = summarize(recipe, collected);
    let files = render(&summary).unwrap();
    let terminal = terminal_table(&summary);
    for line in terminal.lines().filter(|line| line.ends_with('.')) {
        let unescaped = files[0].text.replace('\\', "");
        assert!(unescaped.contains(line), "{line}\nis not in\n{unescaped}");
        let html = line.replace('&', "&#38;").replace('<', "&#60;").replace('>', "&#62;").replace('\'', "&#39;");
        let html = html.replace('"', "&#34;");
        assert!(files[1].text.contains(&html), "{html}\nis not in\n{}", files[1].text);
    }
    terminal
}
