//! `datasets synthesize`: its arguments, and what it says when the tree lies there.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};
use longtail_artifact::counted;
use longtail_datasets::synthesize::{Layout, Options, Summary, shot_groups, synthesize};
use serde_json::json;

#[derive(Args)]
pub struct SynthesizeArgs {
    /// Which layout
    pub layout: LayoutName,
    /// New folder for the data set
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Number of classes
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub classes: usize,
    /// Number of training images; the largest class has about ten times as many as the smallest
    #[arg(long, value_name = "N", default_value_t = 300)]
    pub train_images: usize,
    /// Validation images per class [default: as published: 20 for imagenet-lt, 3 for inaturalist2018]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub val_per_class: Option<usize>,
    /// Test images per class, imagenet-lt only
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = at_least_one)]
    pub test_per_class: usize,
    /// Random seed; the same seed and options give the same bytes
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Typical image side in pixels
    #[arg(long, value_name = "PIXELS", default_value_t = 96)]
    pub side: usize,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// A layout by the recipes' names.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LayoutName {
    /// train/WNID/WNID_N.JPEG, val/WNID/…, three lists
    ImagenetLt,
    /// train_val2018/SUPER/LABEL/HASH.jpg, lists and JSON
    #[value(name = "inaturalist2018")]
    Inaturalist2018,
}

/// A list without images is no list.
fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|&number| number > 0).ok_or_else(|| "it must be a whole number, at least 1".to_owned())
}

pub fn run(arguments: &SynthesizeArgs) -> Result<ExitCode> {
    let options = options(arguments);
    let summary = synthesize(&options).map_err(longtail_datasets::DatasetError::explained)?;
    if arguments.json {
        let object = json!({
            "folder": options.out, "was_there": summary.was_there, "files": summary.files, "bytes": summary.bytes,
            "class_counts": summary.class_counts, "shot_groups": shot_groups(&summary.class_counts),
        });
        println!("{}", serde_json::to_string_pretty(&object)?);
    } else {
        say(&options, &summary);
    }
    Ok(ExitCode::SUCCESS)
}

fn options(arguments: &SynthesizeArgs) -> Options {
    let (layout, val_per_class, test_per_class) = match arguments.layout {
        LayoutName::ImagenetLt => (Layout::ImagenetLt, 20, arguments.test_per_class),
        LayoutName::Inaturalist2018 => (Layout::Inaturalist2018, 3, 0),
    };
    Options {
        layout,
        out: arguments.out.clone(),
        classes: arguments.classes,
        train_images: arguments.train_images,
        val_per_class: arguments.val_per_class.unwrap_or(val_per_class),
        test_per_class,
        seed: arguments.seed,
        side: arguments.side,
    }
}

fn say(options: &Options, summary: &Summary) {
    let out = options.out.display();
    if summary.was_there {
        println!("{out} already holds this data set; nothing to do");
    } else {
        println!(
            "{out}: {}, {:.1} MB, synthetic, not the published images",
            counted(summary.files, "file"),
            summary.bytes as f64 / 1e6
        );
    }
    let mut counts = summary.class_counts.clone();
    counts.sort_unstable_by(|left, right| right.cmp(left));
    let counts: Vec<String> = counts.iter().take(40).map(usize::to_string).collect();
    let [many_above, few_below] = shot_groups(&summary.class_counts);
    println!(
        "training images by class, largest first: {}{}",
        counts.join(" "),
        if options.classes > 40 { " …" } else { "" }
    );
    println!(
        "to have images in all three shot groups: --set data.shot_groups='{{many_above: {many_above}, few_below: {few_below}}}'"
    );
    if matches!(options.layout, Layout::ImagenetLt) {
        println!("pipelines/imagenet-lt.yaml starts with a command that trains on this data set in minutes");
    }
}
