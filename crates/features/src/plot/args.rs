//! The arguments of `features plot`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Which projections to draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum View {
    /// t-SNE: shows neighbourhoods.
    Tsne,
    /// PCA: the plane of the first two principal components of the real points.
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

The same files and arguments always give the same SVG, with any number of threads.")]
pub struct PlotArgs {
    /// Dump of the training images
    #[arg(long, value_name = "FILE")]
    pub train: PathBuf,
    /// Dump of the validation or test images
    #[arg(long, value_name = "FILE")]
    pub val: PathBuf,
    /// Generated rows, from `classifier generate`; adds a second panel, after generation
    #[arg(long, value_name = "FILE")]
    pub generated: Option<PathBuf>,
    /// Labels of the classes to plot, separated by commas [default: random classes]
    #[arg(long, value_name = "LABELS", value_delimiter = ',', conflicts_with_all = ["many", "few"])]
    pub classes: Vec<u32>,
    /// Number of many-shot classes to plot
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub many: usize,
    /// Number of few-shot classes to plot
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub few: usize,
    /// Many-shot classes have more training images than this
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub many_above: u32,
    /// Few-shot classes have fewer training images than this
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub few_below: u32,
    /// Training and generated points per class, together
    #[arg(long, value_name = "N", default_value_t = 40)]
    pub per_class: usize,
    /// At most this many of them are training points [default: no limit]
    #[arg(long, value_name = "N")]
    pub real_per_class: Option<usize>,
    /// Validation points per class
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub val_per_class: usize,
    /// t-SNE, PCA, or both
    #[arg(long, value_enum, default_value = "both")]
    pub view: View,
    /// Random seed for the choice of classes and points
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Perplexity of t-SNE, below a third of the number of points [default: 30, less for few points]
    #[arg(long, value_name = "P", value_parser = perplexity)]
    pub perplexity: Option<f64>,
    /// Tukey's λ of the classifier, in (0, 1] [default: the λ in the generated file]
    #[arg(long, value_name = "L", value_parser = tukey)]
    pub tukey: Option<f64>,
    /// Text file with one class name per line, starting with label 0
    #[arg(long, value_name = "FILE")]
    pub names: Option<PathBuf>,
    /// The SVG file to write
    #[arg(long, value_name = "FIG.svg")]
    pub out: PathBuf,
    /// Number of threads [default: all cores]
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Print one JSON object to stdout instead of text
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
