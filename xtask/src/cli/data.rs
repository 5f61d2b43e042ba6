//! The arguments of `data …`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use longtail_artifact::cli::threads_parser;

use super::SetupArgs;

#[derive(Subcommand)]
pub enum DataVerb {
    /// Show which files of a recipe's data set were found or are missing, and whether the class counts match
    Check(DataCheckArgs),
    /// Write a small set of synthetic photographs in the layout of a published data set, for trials and tests
    Synthesize(DataSynthesizeArgs),
    /// Resize all photographs of a data set once and write them to one file, which `data.packed=true` reads
    Pack(DataPackArgs),
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask data synthesize imagenet-lt --out runs/tree --classes 20
  cargo xtask data synthesize inaturalist2018 --out runs/inat-tree --classes 12 --train-images 120

The same options give the same bytes. pipelines/imagenet-lt.yaml starts with the command that trains on such a data set.")]
pub struct DataSynthesizeArgs {
    /// Which layout
    pub layout: SyntheticLayout,
    /// New folder for the data set
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Number of classes [default: 20]
    #[arg(long, value_name = "N")]
    pub classes: Option<u64>,
    /// Number of training images; the largest class has about ten times as many as the smallest [default: 300]
    #[arg(long, value_name = "N")]
    pub train_images: Option<u64>,
    /// Validation images per class [default: as published: 20, or 3 for inaturalist2018]
    #[arg(long, value_name = "N")]
    pub val_per_class: Option<u64>,
    /// Test images per class, imagenet-lt only [default: 10]
    #[arg(long, value_name = "N")]
    pub test_per_class: Option<u64>,
    /// Random seed [default: 0]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Typical image side in pixels [default: 96]
    #[arg(long, value_name = "PIXELS")]
    pub side: Option<u64>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub setup: SetupArgs,
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask data pack imagenet-lt --data ~/data/imagenet
  cargo xtask data pack imagenet-lt --data ~/data/imagenet --short 384 --out /fast/imagenet-lt.pack
  cargo xtask reproduce imagenet-lt --data ~/data/imagenet --set data.packed=true

It first shows how much disk space it needs. If it is killed, run it again: it continues and writes the same bytes.
Training crops are cut from the smaller images, so small crops are more blurred. A larger --short blurs less.
To read a pack written elsewhere with --out, set LONGTAIL_PACK to its file.")]
pub struct DataPackArgs {
    /// Name of a recipe in pipelines/, or path to a YAML file
    pub name: String,
    /// Folder with the lists and images of the data set
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// File of the pack [default: longtail-DATASET.pack beside the training images]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Largest short side of a stored image, at least data.resize_short [default: data.resize_short]
    #[arg(long, value_name = "PIXELS")]
    pub short: Option<u32>,
    /// JPEG quality of resized images [default: 95]
    #[arg(long, value_name = "N")]
    pub quality: Option<u32>,
    /// Change one field of the recipe, such as data.on_bad_image=skip; repeatable
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub set: Vec<String>,
    /// Number of threads; does not change the output [default: all cores]
    #[arg(long, value_name = "N", value_parser = threads_parser())]
    pub threads: Option<u32>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub setup: SetupArgs,
}

/// A layout, called as its recipe.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum SyntheticLayout {
    /// train/WNID/WNID_N.JPEG, val/WNID/…, three lists
    ImagenetLt,
    /// train_val2018/SUPER/LABEL/HASH.jpg, lists and JSON
    #[value(name = "inaturalist2018")]
    Inaturalist2018,
}

impl SyntheticLayout {
    pub fn name(self) -> &'static str {
        match self {
            SyntheticLayout::ImagenetLt => "imagenet-lt",
            SyntheticLayout::Inaturalist2018 => "inaturalist2018",
        }
    }
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask data check fashion-mnist-lt
  cargo xtask data check cifar100-lt-if100 --data ~/data/cifar-100-binary
  cargo xtask data check imagenet-lt --data ~/data/imagenet --images
  cargo xtask data check imagenet-lt --data ~/data/imagenet --set data.packed=true")]
pub struct DataCheckArgs {
    /// Name of a recipe in pipelines/, or path to a YAML file
    pub name: String,
    /// Folder of the data set
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// For photographs: also decode every image and list those that cannot be decoded (minutes to hours)
    #[arg(long)]
    pub images: bool,
    /// Change one field of the recipe, such as data.on_bad_image=skip; repeatable
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub set: Vec<String>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub setup: SetupArgs,
}
