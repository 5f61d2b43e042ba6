//! The `datasets` binary: says what is on disk before anything is trained on it.

#[macro_use]
extern crate longtail_artifact; // `println!` that a reader who left does not end

mod compare_command;
mod fits_command;
mod pack_command;
mod subset_command;
mod synthesize_command;
mod target;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use longtail_artifact::cli::run_main;
use longtail_artifact::{Interrupted, install_interrupt_handler, progress};
use longtail_datasets::DatasetError;
use longtail_datasets::check::{check, check_photos};
use longtail_datasets::read::{self, FileState};
use longtail_recipe::{DataRecipe, Dataset, Recipe, SplitSizes};
use serde_json::json;

/// Checks and prepares data sets on disk.
#[derive(Parser)]
#[command(name = "datasets", version, after_help = "Example:\n  datasets check fashion-mnist-lt")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show which files were found or are missing, and whether counts and channel means match the published ones.
    ///
    /// For photographs (ImageNet-LT, iNaturalist 2018, a folder), also shows which archives are needed, the layout, how many images
    /// of each list exist, the first missing ones, and whether class counts and shot groups match the published ones.
    ///
    /// Exit codes: 0 everything is as published, 1 something differs, 2 the data set cannot be read, or images are missing and
    /// the recipe does not skip them.
    #[command(after_help = "Examples:
  datasets check fashion-mnist
  datasets check cifar100 --data ~/data
  datasets check cifar100-lt-if100 --data ~/data/cifar-100-binary
  datasets check imagenet-lt --data ~/imagenet
  datasets check imagenet-lt --data ~/imagenet --images --set data.on_bad_image=skip
  datasets check --recipe pipelines/fashion-mnist-lt.yaml --json")]
    Check(CheckArgs),
    /// Check whether finished runs were made from these images; prints JSON.
    ///
    /// Contents are compared. Files with the size and time recorded in `images.json` of the run count as unchanged; others are hashed.
    #[command(after_help = "Example:
  datasets compare --recipe folder.yaml --run runs/folder/seed-0 --data ~/photos")]
    Compare(compare_command::CompareArgs),
    /// Check, without decoding images, whether the stages of a recipe would refuse its images or split, or warn about them; prints JSON.
    ///
    /// Examples: no pack, an empty class, a search on validation images that do not exist, a last batch of one image.
    #[command(after_help = "Example:
  datasets fits --recipe folder.yaml --data ~/photos")]
    Fits(fits_command::FitsArgs),
    /// Write a small set of synthetic photographs in the layout of a published data set; the same bytes each time.
    #[command(after_help = "Examples:
  datasets synthesize imagenet-lt --out data/imagenet-lt-tree
  datasets synthesize inaturalist2018 --out tree --classes 12 --train-images 120 --side 48")]
    Synthesize(synthesize_command::SynthesizeArgs),
    /// Resize all photographs of a data set once and write them to one file, which `data.packed: true` reads.
    ///
    /// A photograph whose short side is longer than --short is resized to it and stored as a JPEG; others are stored unchanged. For
    /// evaluation, the only change is one more JPEG compression. Training crops are cut from the smaller image, so small crops are
    /// more blurred; a larger --short blurs less but needs more disk. If the command is killed, run it again: it loses a few
    /// hundred images at most and writes the same bytes. An existing pack that fits is not made again.
    #[command(after_help = "Examples:
  datasets pack imagenet-lt --data ~/imagenet
  datasets pack imagenet-lt --data ~/imagenet --short 384 --out /fast/imagenet-lt.pack
  datasets pack --recipe pipelines/imagenet-lt.yaml --data ~/imagenet --set data.on_bad_image=skip")]
    Pack(pack_command::PackArgs),
    /// Write the part of CIFAR-100 that recipes use to one small file, for another machine.
    ///
    /// Leaves out training images that no recipe uses; the compression is lossless. With `--data DIR`, where DIR is the folder of
    /// this file, splits and results are the same as with the whole data set.
    #[command(after_help = "Example:
  datasets subset --recipe pipelines/cifar100-lt-if10.yaml --data ~/data/cifar-100-binary --out carried")]
    Subset(subset_command::SubsetArgs),
    /// Decompress a file made by `subset`: it becomes larger but loads at once.
    #[command(after_help = "Example:
  datasets unpack carried")]
    Unpack(subset_command::UnpackArgs),
}

#[derive(Args)]
struct CheckArgs {
    /// A data set (fashion-mnist, cifar100, imagenet-lt, inaturalist2018, image-folder), or a recipe in `pipelines/`, whose split is also checked.
    #[arg(required_unless_present = "recipe", conflicts_with = "recipe")]
    name: Option<String>,
    /// A recipe file, whose split is also checked.
    #[arg(long, value_name = "FILE")]
    recipe: Option<PathBuf>,
    /// Folder of the files, or its parent [default: LONGTAIL_DATA, then `data/` here and in parent folders].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Change one field of the recipe or of the data set's defaults, such as data.on_bad_image=skip; repeatable.
    #[arg(long = "set", value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// For photographs: also decode every image and list those that cannot be decoded (minutes to hours).
    #[arg(long)]
    images: bool,
    /// Accept a pack whose photographs have changed since; the changes are still listed.
    #[arg(long)]
    accept_stale: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    // clap prints help and errors itself, and leaves with 0 or 2.
    let Cli { command } = longtail_artifact::cli::parse();
    run_main(|| {
        longtail_ops::check_simd()?;
        match command {
            Command::Check(arguments) => run(&arguments),
            Command::Compare(arguments) => compare_command::run(&arguments),
            Command::Fits(arguments) => fits_command::run(&arguments),
            Command::Synthesize(arguments) => synthesize_command::run(&arguments),
            Command::Pack(arguments) => pack_command::run(&arguments),
            Command::Subset(arguments) => subset_command::run(&arguments),
            Command::Unpack(arguments) => subset_command::unpack(&arguments),
        }
    })
}

fn run(arguments: &CheckArgs) -> Result<ExitCode> {
    let (name, file) = (arguments.name.as_deref(), arguments.recipe.as_deref());
    let (dataset, recipe) = target::target(name, file, &arguments.set)?;
    let data = match &recipe {
        Some(recipe) => Some(recipe.data.clone()),
        None if arguments.set.is_empty() => None,
        None => Some(target::data_recipe(name, file, &arguments.set)?),
    };
    if dataset.is_photo_set() {
        return run_photos(arguments, dataset, data.as_ref(), recipe.as_ref());
    }
    match check(dataset, arguments.data.as_deref(), data.as_ref()) {
        Ok(report) => {
            let sizes = report.split.as_ref().map(|split| (split.train, split.meta, split.val));
            say(arguments, &report, recipe.as_ref(), sizes, true)?;
            Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::from(1) })
        }
        Err(error) => {
            let folder = read::find(dataset, arguments.data.as_deref());
            let files = folder.map(|folder| read::inventory(dataset, &folder)).ok();
            failed(arguments, dataset, error, files)
        }
    }
}

/// The report, and what of the recipe does not fit its split of (train, meta, validation) images: that says nothing against the data.
/// `are_all`: no more images can be left out than are.
fn say<T: std::fmt::Display + serde::Serialize>(
    arguments: &CheckArgs,
    report: &T,
    recipe: Option<&Recipe>,
    sizes: Option<(usize, usize, usize)>,
    are_all: bool,
) -> Result<()> {
    let misfits = match (recipe, sizes) {
        (Some(recipe), Some((train, meta, val))) => {
            fits_command::misfits_of_rows(recipe, SplitSizes { train, meta, val }, are_all)
        }
        _ => Vec::new(),
    };
    if arguments.json {
        let mut object = serde_json::to_value(report)?;
        object["misfits"] = serde_json::to_value(&misfits)?;
        println!("{}", serde_json::to_string_pretty(&object)?);
        return Ok(());
    }
    print!("{report}");
    for misfit in &misfits {
        let what = if misfit.refused { "will be refused" } else { "warning" };
        println!("{what}: {}", fits_command::words(misfit));
    }
    Ok(())
}

fn run_photos(
    arguments: &CheckArgs,
    dataset: Dataset,
    data: Option<&DataRecipe>,
    recipe: Option<&Recipe>,
) -> Result<ExitCode> {
    install_interrupt_handler();
    let bar = progress(0, "decoding every image once", arguments.json || !arguments.images);
    let report = check_photos(dataset, arguments.data.as_deref(), data, arguments.images, &|done, all| {
        if done % 64 == 1 {
            bar.set_length(all);
            bar.set_position(done);
        }
    });
    bar.finish_and_clear();
    match report {
        Ok(report) => {
            let sizes = report.split.as_ref().map(|split| (split.train, split.meta, split.val));
            say(arguments, &report, recipe, sizes, report.left_out_is_known)?;
            let usable = report.usable || arguments.accept_stale && report.images_are_usable;
            Ok(match (report.ok, usable) {
                (true, _) => ExitCode::SUCCESS,
                (false, true) => ExitCode::from(1),
                (false, false) => ExitCode::from(2),
            })
        }
        Err(error) => failed(arguments, dataset, error, None),
    }
}

/// The data set could not be read: in JSON, or as an error.
fn failed(
    arguments: &CheckArgs,
    dataset: Dataset,
    error: DatasetError,
    files: Option<Vec<FileState>>,
) -> Result<ExitCode> {
    if matches!(error, DatasetError::Interrupted) {
        return Err(Interrupted.into());
    }
    if !arguments.json {
        return Err(error.explained().context(format!("{} is not in order", read::title(dataset))));
    }
    let report = json!({
        "ok": false,
        "dataset": read::title(dataset),
        "error": error.to_string(),
        "hint": error.hint(),
        "files": files,
    });
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(ExitCode::from(2))
}
