//! The arguments of `data …`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::SetupArgs;

#[derive(Subcommand)]
pub enum DataVerb {
    /// Say which files of a recipe's data set were found, what is missing, and whether the class counts match
    Check(DataCheckArgs),
    /// Write a small tree of made-up photographs in the layout of a published data set, to try and test everything with
    Synthesize(DataSynthesizeArgs),
    /// Write all photographs of a data set, made smaller once, into one file that `data.packed=true` reads
    Pack(DataPackArgs),
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask data synthesize imagenet-lt --out runs/tree --classes 20
  cargo xtask data synthesize inaturalist2018 --out runs/inat-tree --classes 12 --train-images 120

The same options give the same bytes. pipelines/imagenet-lt.yaml opens with the command that trains on such a tree.")]
pub struct DataSynthesizeArgs {
    /// Whose layout
    pub layout: SyntheticLayout,
    /// A new folder for the tree
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Classes; 20 when left out
    #[arg(long, value_name = "N")]
    pub classes: Option<u64>,
    /// Training images, long-tailed: the largest class has about ten times the smallest; 300 when left out
    #[arg(long, value_name = "N")]
    pub train_images: Option<u64>,
    /// Validation images a class; as published (20, or 3 of inaturalist2018) when left out
    #[arg(long, value_name = "N")]
    pub val_per_class: Option<u64>,
    /// Test images a class (imagenet-lt alone); 10 when left out
    #[arg(long, value_name = "N")]
    pub test_per_class: Option<u64>,
    /// 0 when left out
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// The typical side of an image in pixels; 96 when left out
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

Says how much disk it takes before it begins; goes on after a kill, to the same bytes; makes nothing twice.
Training crops come from the smaller pictures: small crops are blurred more. A larger --short keeps more of them.
A pack made with --out elsewhere is read when LONGTAIL_PACK names it.")]
pub struct DataPackArgs {
    /// A recipe in pipelines/, or a path to a YAML file
    pub name: String,
    /// The folder with the data set's lists and images
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The pack; longtail-DATASET.pack beside the training images when left out
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Short side of a stored image at most; the recipe's data.resize_short, which is the least, when left out
    #[arg(long, value_name = "PIXELS")]
    pub short: Option<u32>,
    /// JPEG quality of images that are made smaller; 95 when left out
    #[arg(long, value_name = "N")]
    pub quality: Option<u32>,
    /// Override one field of the recipe, such as data.on_bad_image=skip; repeatable
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub set: Vec<String>,
    /// Threads; changes no byte. All cores when left out
    #[arg(long, value_name = "N")]
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
    /// A recipe in pipelines/, or a path to a YAML file
    pub name: String,
    /// The folder with the data set's files
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Photo sets: decode every image too, and name those that cannot be (minutes to hours)
    #[arg(long)]
    pub images: bool,
    /// Override one field of the recipe, such as data.on_bad_image=skip; repeatable
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub set: Vec<String>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub setup: SetupArgs,
}
