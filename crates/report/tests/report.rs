//! The report of a small made-up table: its words, its schema, and that it is a function of the numbers alone.
#![allow(clippy::unwrap_used)] // a test may stop where it stands

mod common;

use std::path::PathBuf;

use common::{COUNTS, manifest, split};
use longtail_artifact::code_versions;
use longtail_recipe::{Recipe, read_str};
use longtail_report::*;
use serde_json::{Map, Value, json};

const RECIPE: &str = "\
recipe: small
description: a made-up table
data: {dataset: fashion_mnist, imbalance_factor: 100, shot_groups: {many_above: 1000, few_below: 200}}
representations: {ce: {method: {ce: {}}}, mpcl: {method: {mpcl: {}}}}
classifiers: {joint: , tau_norm: , mpfa: }
rows:
  - {representation: ce, classifier: joint, paper: {all: 38.3}, note: with a | in it}
  - {representation: ce, classifier: tau_norm, expected: {all: [0, 100]}}
  - {representation: mpcl, classifier: mpfa, paper: {few: 35.2, all: 52.3}, expected: {few: [90, 100]}}
  - {representation: mpcl, classifier: joint, note: later}
";
fn recipe() -> Recipe {
    read_str(RECIPE, "small.yaml", &[]).unwrap()
}

/// Ten images a class; of class k, `right(k)` are right and the others are called the next class.
fn prediction(row: usize, seed: u64, right: impl Fn(u32) -> u32) -> Prediction {
    let mut labels = Vec::new();
    let mut predicted = Vec::new();
    for class in 0..10 {
        for image in 0..10 {
            labels.push(class);
            predicted.push(if image < right(class) { class } else { (class + 1) % 10 });
        }
    }
    Prediction {
        row,
        seed,
        path: PathBuf::from(format!("seed-{seed}/row-{row}")),
        predicted,
        labels,
        class_counts: COUNTS.to_vec(),
        chosen: Map::new(),
        val_accuracy: None,
        val_images: Some(100),
        origin: origin(),
    }
}

/// What a seed leaves behind that was trained here, by this program.
fn origin() -> Origin {
    let made = |stage: &str, code_version: u32| Some(manifest(stage, code_version, Value::Null));
    Origin {
        representation: made("representation", code_versions::REPRESENTATION),
        features: made("features", code_versions::FEATURES),
        classifier: made("classifier", code_versions::CLASSIFIER),
    }
}

fn collected(predictions: Vec<Prediction>) -> Collected {
    common::collected(predictions, Some(split()))
}

fn predictions() -> Collected {
    let mut all = vec![
        prediction(0, 0, |class| 10 - class),
        prediction(0, 1, |class| 10 - class.min(8)),
        prediction(1, 0, |_| 6),
        prediction(1, 1, |_| 6),
        prediction(2, 0, |class| 9 - class / 4),
    ];
    for (seed, tau) in [(2, 0.7), (3, 0.8)] {
        all[seed].chosen.insert("tau".into(), json!(tau));
        all[seed].val_accuracy = Some(0.5);
    }
    collected(all)
}

fn summary() -> Summary {
    summarize(&recipe(), &predictions())
}

#[test]
fn markdown_and_terminal() {
    let files = render(&summary()).unwrap();
    insta::assert_snapshot!("report.md", files[0].text);
    insta::assert_snapshot!("terminal", terminal_table(&summary()));
}

#[test]
fn nothing_run_is_a_table_too() {
    let summary = summarize(&recipe(), &Collected::default());
    let files = render(&summary).unwrap();
    assert_eq!(files.len(), 3, "no figures");
    assert!(files[0].text.contains("not run") && !summary.any_outside());
}

#[test]
fn means_deviations_and_verdicts() {
    let summary = summary();
    // Seed 0: accuracies 100, 90, …, 10; seed 1: 100, …, 20, 20. Only the last class differs.
    let joint = &summary.rows[0];
    assert_eq!(joint.mean.all, Some(55.5));
    assert!((joint.std.unwrap().all.unwrap() - 0.5f64.sqrt()).abs() < 1e-12);
    assert_eq!(joint.mean.many, Some((100.0 + 90.0 + 80.0 + 70.0) / 4.0));
    assert_eq!(summary.sizes, GroupSizes { many: 4, medium: 3, few: 3, all: 10 });
    assert_eq!(summary.rows[1].verdict, Verdict::Inside);
    assert!(matches!(&summary.rows[2].verdict, Verdict::Outside(groups) if groups[0].0 == "few"));
    assert_eq!(summary.rows[3].verdict, Verdict::Unpinned);
    assert!(summary.any_outside());
}

#[test]
fn json_has_the_schema_and_nothing_else() {
    let report = report_json(&summary());
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&report), ["recipe", "rows"]);
    assert_eq!(report["recipe"], "small");
    let rows = report["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 4);
    let groups = ["all", "few", "many", "medium"];
    for row in rows {
        assert_eq!(keys(row), ["all", "few", "many", "medium", "method", "paper", "seeds", "std"]);
        for key in groups {
            assert!(row[key].is_number() || row[key].is_null());
        }
        for key in ["std", "paper"] {
            assert!(row[key].is_null() || keys(&row[key]) == groups);
        }
    }
    assert_eq!(rows[0]["method"], "ce+joint");
    assert_eq!(rows[0]["all"], 55.5);
    // √0.5, rounded to four digits.
    assert_eq!(rows[0]["std"]["all"].to_string(), "0.7071");
    assert_eq!(rows[0]["seeds"], json!([0, 1]));
    assert_eq!(rows[0]["paper"], json!({"many": null, "medium": null, "few": null, "all": 38.3}));
    assert!(rows[2]["std"].is_null(), "one seed");
    assert_eq!(
        rows[3],
        json!({"method": "mpcl+joint", "many": null, "medium": null, "few": null, "all": null, "std": null, "seeds": [],
            "paper": null})
    );
}

#[test]
fn an_empty_group_is_null_and_n_a() {
    let text = RECIPE.replace("few_below: 200", "few_below: 10");
    let summary = summarize(&read_str(&text, "small.yaml", &[]).unwrap(), &predictions());
    assert!(report_json(&summary)["rows"][0]["few"].is_null());
    assert!(render(&summary).unwrap()[0].text.contains("n/a"));
}

#[test]
fn the_same_numbers_give_the_same_bytes() {
    assert_eq!(render(&summary()).unwrap(), render(&summary()).unwrap());
}

#[test]
fn pages_and_figures_are_whole() {
    let files = render(&summary()).unwrap();
    let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "report.md",
            "report.html",
            "report.json",
            "figures/all-rows.svg",
            "figures/ce+joint.svg",
            "figures/ce+tau_norm.svg",
            "figures/mpcl+mpfa.svg"
        ]
    );
    let html = &files[1].text;
    assert_eq!(html.matches("<svg").count(), 4, "figures stand in the page");
    assert!(!html.replace("http://www.w3.org/2000/svg", "").contains("://"), "the page needs nothing from outside");
    assert_eq!(html.matches("<td").count(), html.matches("</td>").count());
    for file in &files[3..] {
        assert!(
            file.text.starts_with("<svg") && file.text.trim_end().ends_with("</svg>") && file.text.contains("<title>")
        );
        assert!(!file.text.contains("NaN") && !file.text.contains("inf"));
    }
    // Ten classes, ten points.
    assert_eq!(files[4].text.matches("<circle").count(), 10);
}

#[test]
fn words_of_a_recipe_cannot_break_the_page() {
    let text = RECIPE.replace("later", "'<script>alert(1)</script>'");
    let html =
        render(&summarize(&read_str(&text, "small.yaml", &[]).unwrap(), &predictions())).unwrap()[1].text.clone();
    assert!(!html.contains("<script>"));
}

#[test]
fn one_class_count_for_all_still_draws() {
    let mut even = predictions();
    even.predictions.iter_mut().for_each(|prediction| prediction.class_counts = vec![5990; 10]);
    assert_eq!(render(&summarize(&recipe(), &even)).unwrap().len(), 7);
}
