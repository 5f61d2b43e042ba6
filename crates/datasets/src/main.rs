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

/// Looks at data sets on disk.
#[derive(Parser)]
#[command(name = "datasets", version, after_help = "Example:\n  datasets check fashion-mnist-lt")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Say what was found, what is missing, and whether counts and channel means are the published ones.
    ///
    /// Photo sets (ImageNet-LT, iNaturalist 2018, a folder): which archive is meant, which layout was found, how many images of
    /// each list are there, the first that are missing, and whether class counts and shot groups are the published ones.
    ///
    /// Exit code: 0 all is as published, 1 something differs, 2 the data set could not be read, or images are missing and the
    /// recipe does not skip them.
    #[command(after_help = "Examples:
  datasets check fashion-mnist
  datasets check cifar100 --data ~/data
  datasets check cifar100-lt-if100 --data ~/data/cifar-100-binary
  datasets check imagenet-lt --data ~/imagenet
  datasets check imagenet-lt --data ~/imagenet --images --set data.on_bad_image=skip
  datasets check --recipe pipelines/fashion-mnist-lt.yaml --json")]
    Check(CheckArgs),
    /// Say of finished runs, in JSON, whether the images are still those that they were made from.
    ///
    /// Contents count. A file of the length and time that the run's `images.json` has is believed to be unchanged; others are hashed.
    #[command(after_help = "Example:
  datasets compare --recipe folder.yaml --run runs/folder/seed-0 --data ~/photos")]
    Compare(compare_command::CompareArgs),
    /// Say in JSON which stages of a recipe's rows would refuse the split that it draws, or warn of it: a search on validation images
    /// where there are none, a last batch of one image; and why the images themselves would be refused: no pack, an empty class. No image
    /// is decoded.
    #[command(after_help = "Example:
  datasets fits --recipe folder.yaml --data ~/photos")]
    Fits(fits_command::FitsArgs),
    /// Write a small tree of made-up photographs in a published data set's layout, the same bytes each time.
    #[command(after_help = "Examples:
  datasets synthesize imagenet-lt --out data/imagenet-lt-tree
  datasets synthesize inaturalist2018 --out tree --classes 12 --train-images 120 --side 48")]
    Synthesize(synthesize_command::SynthesizeArgs),
    /// Write all photos of a data set, made smaller once, into one file that `data.packed: true` reads.
    ///
    /// A photo whose short side is longer than --short is resized to it and stored as a JPEG; another one as it is. Evaluation
    /// then sees one more JPEG compression and nothing else. Training crops come from the smaller picture: small crops are
    /// enlarged more, and so blurred more; a larger --short costs disk and keeps more of them. A kill loses a few hundred
    /// images at most: the same command goes on to the same bytes. A pack that is there and fits is not made again.
    #[command(after_help = "Examples:
  datasets pack imagenet-lt --data ~/imagenet
  datasets pack imagenet-lt --data ~/imagenet --short 384 --out /fast/imagenet-lt.pack
  datasets pack --recipe pipelines/imagenet-lt.yaml --data ~/imagenet --set data.on_bad_image=skip")]
    Pack(pack_command::PackArgs),
    /// Write the part of CIFAR-100 that recipes read into one small file, to be carried to another machine.
    ///
    /// Training images that are in none of the recipes' splits stay behind; pixels lose nothing. `--data DIR` with the file's
    /// folder then gives the same splits, and so the same results, as the whole data set.
    #[command(after_help = "Example:
  datasets subset --recipe pipelines/cifar100-lt-if10.yaml --data ~/data/cifar-100-binary --out carried")]
    Subset(subset_command::SubsetArgs),
    /// Write a file of `subset` anew with its pixels as they are, where it has arrived: larger, and read in no time.
    #[command(after_help = "Example:
  datasets unpack carried")]
    Unpack(subset_command::UnpackArgs),
}

#[derive(Args)]
struct CheckArgs {
    /// A data set (fashion-mnist, cifar100, imagenet-lt, inaturalist2018, image-folder), or a recipe in `pipelines/` whose split is checked too.
    #[arg(required_unless_present = "recipe", conflicts_with = "recipe")]
    name: Option<String>,
    /// A recipe file; its split is checked too.
    #[arg(long, value_name = "FILE")]
    recipe: Option<PathBuf>,
    /// The folder with the files, or its parent. Without it LONGTAIL_DATA, then `data/` here and above are searched.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Override one field of the recipe, or of a data set's defaults, such as data.on_bad_image=skip; repeatable.
    #[arg(long = "set", value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// Photo sets: decode every image too, and list those that cannot be (minutes to hours).
    #[arg(long)]
    images: bool,
    /// Take a pack that was made from other photographs than are there now as it is; they are named all the same.
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
