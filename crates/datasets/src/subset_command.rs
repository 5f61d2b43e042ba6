//! `datasets subset` and `datasets unpack`: their arguments, and what they say.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow};
use clap::Args;
use longtail_artifact::cli::WithHint;
use longtail_artifact::{OutputFile, OutputKind, check_outputs, counted, init_threads};
use longtail_datasets::read::{self, cifar100_subset};
use longtail_datasets::{DatasetError, Split};
use longtail_recipe::Dataset;
use serde_json::json;

#[derive(Args)]
pub struct SubsetArgs {
    /// Recipe file; the subset holds the training images of all recipes given (may be repeated)
    #[arg(long, value_name = "FILE", required = true)]
    recipe: Vec<PathBuf>,
    /// Folder of the whole data set
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Folder for the file cifar100.subset
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Number of threads; does not change the output [default: all cores]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &SubsetArgs) -> Result<ExitCode> {
    init_threads(arguments.threads)?;
    let mut recipes = Vec::new();
    for file in &arguments.recipe {
        let data = longtail_recipe::read(file, &[])?.data;
        if data.dataset != Dataset::Cifar100 {
            return Err(anyhow!(
                "`{}` trains on {}, but subsets exist only for CIFAR-100",
                file.display(),
                data.dataset.name()
            ))
            .hint(
                "Fashion-MNIST is small enough; copy photographs, or make them smaller with `cargo xtask data pack`",
            );
        }
        recipes.push(data);
    }
    let path = arguments.out.join(cifar100_subset::FILE);
    let folder = read::cifar100::find(arguments.data.as_deref()).map_err(DatasetError::explained)?;
    let inputs = read::cifar100::file_names(&folder).into_iter().map(|name| folder.join(name));
    let inputs: Vec<PathBuf> = inputs.collect();
    let inputs: Vec<&Path> = inputs.iter().map(PathBuf::as_path).collect();
    check_outputs(&inputs, &[OutputFile { option: "--out", path: &path, kind: OutputKind::Subset }])?;
    let source = read::load(Dataset::Cifar100, arguments.data.as_deref()).map_err(DatasetError::explained)?;
    let mut kept = Vec::new();
    for data in &recipes {
        kept.extend(Split::draw(data, &source).map_err(DatasetError::explained)?.training_images());
    }
    kept.sort_unstable();
    kept.dedup();
    std::fs::create_dir_all(&arguments.out).with_context(|| format!("cannot make `{}`", arguments.out.display()))?;
    let bytes = cifar100_subset::write(&path, &source, &kept)
        .map_err(DatasetError::explained)
        .with_context(|| format!("cannot make `{}`", path.display()))?;
    if arguments.json {
        println!("{}", json!({"file": path, "bytes": bytes, "train": kept.len(), "test": source.test.len()}));
    } else {
        println!(
            "{}: {} and {} in {:.1} MB",
            path.display(),
            counted(kept.len(), "training image"),
            counted(source.test.len(), "test image"),
            bytes as f64 / 1e6
        );
    }
    Ok(ExitCode::SUCCESS)
}

#[derive(Args)]
pub struct UnpackArgs {
    /// Folder of cifar100.subset
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Number of threads; does not change the output [default: all cores]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn unpack(arguments: &UnpackArgs) -> Result<ExitCode> {
    init_threads(arguments.threads)?;
    let path = arguments.folder.join(cifar100_subset::FILE);
    let bytes = cifar100_subset::unpack(&path)
        .map_err(DatasetError::explained)
        .with_context(|| format!("cannot unpack `{}`", path.display()))?;
    match bytes {
        _ if arguments.json => println!("{}", json!({"file": path, "bytes": bytes})),
        Some(bytes) => println!("{}: unpacked, {:.1} MB", path.display(), bytes as f64 / 1e6),
        None => println!("{}: is unpacked", path.display()),
    }
    Ok(ExitCode::SUCCESS)
}
