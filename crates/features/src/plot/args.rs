//! The arguments of `features plot`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Which pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum View {
    /// Neighbourhoods.
    Tsne,
    /// The plane of the real points' two principal components.
    Pca,
    /// Both, one below the other.
    Both,
}

impl View {
    /// Whether t-SNE is among them.
    pub fn has_tsne(self) -> bool {
        self != Self::Pca
    }

    /// Whether PCA is among them.
    pub fn has_pca(self) -> bool {
        self != Self::Tsne
    }
}

/// Arguments of `features plot`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  features plot --train RUN/features/ce/train.safetensors --val RUN/features/ce/val.safetensors --out before.svg
  features plot --train T --val V --generated generated.safetensors --many 3 --few 3 --out figure-3.svg
  features plot --train T --val V --generated G --classes 1,5,903 --names classes.txt --view tsne --out three.svg
  features plot --train T --val V --generated G --many-above 1000 --few-below 200 --real-per-class 15 --out fashion.svg

The picture is a function of the files and the arguments: the same bits again, with any number of threads.")]
pub struct PlotArgs {
    /// The dump of the training images
    #[arg(long, value_name = "FILE")]
    pub train: PathBuf,
    /// The dump of validation images, or of test images
    #[arg(long, value_name = "FILE")]
    pub val: PathBuf,
    /// Generated rows, from `classifier generate`: draws a panel before and one after
    #[arg(long, value_name = "FILE")]
    pub generated: Option<PathBuf>,
    /// These classes, by label, separated by commas; drawn at random if left out
    #[arg(long, value_name = "LABELS", value_delimiter = ',', conflicts_with_all = ["many", "few"])]
    pub classes: Vec<u32>,
    /// Draw so many classes with many training images
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub many: usize,
    /// Draw so many classes with few
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub few: usize,
    /// Many: more training images than this
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub many_above: u32,
    /// Few: fewer training images than this
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub few_below: u32,
    /// Training and generated points of a class, together
    #[arg(long, value_name = "N", default_value_t = 40)]
    pub per_class: usize,
    /// At most so many of them training points; all of them if left out
    #[arg(long, value_name = "N")]
    pub real_per_class: Option<usize>,
    /// Validation points of a class
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub val_per_class: usize,
    /// t-SNE, PCA, or both
    #[arg(long, value_enum, default_value = "both")]
    pub view: View,
    /// Draws the classes and their points
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// How many neighbours t-SNE looks at: below a third of the points. 30 if left out, fewer for few points
    #[arg(long, value_name = "P", value_parser = perplexity)]
    pub perplexity: Option<f64>,
    /// Tukey's λ that the classifier works under, in (0, 1]; what the generated file says if left out
    #[arg(long, value_name = "L", value_parser = tukey)]
    pub tukey: Option<f64>,
    /// A text file with the classes' names, one a line, from label 0
    #[arg(long, value_name = "FILE")]
    pub names: Option<PathBuf>,
    /// The SVG file to write
    #[arg(long, value_name = "FIG.svg")]
    pub out: PathBuf,
    /// Threads; all cores if left out
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// One JSON object on stdout instead of words
    #[arg(long)]
    pub json: bool,
}

fn perplexity(text: &str) -> Result<f64, String> {
    in_range(text, |value| value >= 1.0 && value.is_finite(), "at least 1")
}

fn tukey(text: &str) -> Result<f64, String> {
    in_range(text, |value| value > 0.0 && value <= 1.0, "more than 0 and at most 1")
}

fn in_range(text: &str, fits: impl Fn(f64) -> bool, range: &str) -> Result<f64, String> {
    let value = text.parse().ok().filter(|value| fits(*value));
    value.ok_or_else(|| format!("it must be a number, {range}"))
}
