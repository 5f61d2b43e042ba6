//! `features plot`: where training, generated and validation points of a few classes lie, before and after generation.
//!
//! Figure 3 of the paper: t-SNE of chosen classes with many and with few images. t-SNE has no map for new points and shows no
//! distances; so beside it stands the plane of the two principal components of the real points, which has both.

mod args;
mod choose;
mod figure;
mod pca;
mod rows;
mod tsne;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use longtail_artifact::escape::plain;
use longtail_artifact::{
    OutputFile, OutputKind, WithHint, check_outputs, counted, counted_are, is_same_file, write_atomic,
};
use longtail_metrics::ShotGroup;
use longtail_recipe::ShotGroups;
use serde_json::json;

pub use args::{PlotArgs, View};
pub use choose::{Choice, Labels, Wanted, choose};
pub use figure::{Dot, Kind, Panel, colours, draw};
pub use pca::Pca;
pub use tsne::{Tsne, TsneSpec, tsne};

use crate::FeaturesError;
use rows::{Rows, Space};

/// Unless `--perplexity` says so.
const PERPLEXITY: f64 = 30.0;

/// A table of all pairs of so many takes 200 MB.
const MOST_POINTS: usize = 5000;

/// The points of one column: what is drawn, and its row.
#[derive(Default)]
struct Points {
    dots: Vec<(usize, Kind)>,
    /// `(n, dim)`.
    rows: Vec<f64>,
}

impl Points {
    fn panel(&self, title: String, places: &[[f64; 2]], frame: usize) -> Panel {
        let dots =
            self.dots.iter().zip(places).map(|((choice, kind), at)| Dot { choice: *choice, kind: *kind, at: *at });
        Panel { title, dots: dots.collect(), frame }
    }

    /// The part of the validation points whose nearest other point is of their class; nothing where there is no such pair.
    fn agreement(&self, dim: usize) -> Option<f64> {
        let row = |at: usize| &self.rows[at * dim..(at + 1) * dim];
        let square = |a: usize, b: usize| row(a).iter().zip(row(b)).map(|(x, y)| (x - y).powi(2)).sum::<f64>();
        let (val, others): (Vec<usize>, Vec<usize>) =
            (0..self.dots.len()).partition(|at| self.dots[*at].1 == Kind::Val);
        let nearest = |at: &usize| others.iter().min_by(|a, b| square(*at, **a).total_cmp(&square(*at, **b))).copied();
        let right = |at: &&usize| nearest(at).is_some_and(|other| self.dots[other].0 == self.dots[**at].0);
        let right = val.iter().filter(right).count();
        (!val.is_empty() && !others.is_empty()).then(|| right as f64 / val.len() as f64)
    }
}

/// Draws the figure and says what is in it.
///
/// # Errors
/// Files that do not belong together, classes without points, too few points for the perplexity, NaN.
pub fn run(args: &PlotArgs) -> anyhow::Result<ExitCode> {
    check_files(args)?;
    let train = Rows::open(&args.train, "features", "labels", None)?;
    let class_counts = train.file().expect_u32("class_counts", &[None])?;
    let classes = Some(class_counts.len());
    let train = Rows::open(&args.train, "features", "labels", classes)?;
    let val = Rows::open(&args.val, "features", "labels", classes)?;
    let generated = args
        .generated
        .as_deref()
        .map(|path| Rows::open(path, "generated", "generated_labels", classes))
        .transpose()
        .hint("`classifier generate` writes such a file")?;
    for other in [Some(&val), generated.as_ref()].into_iter().flatten() {
        belong_together(&train, other)?;
    }
    let space = match (args.tukey, &generated) {
        (Some(tukey), _) => Space { tukey },
        (None, Some(generated)) => Space::of(generated.file().metadata()),
        (None, None) => Space { tukey: 1.0 },
    };
    let wanted = Wanted {
        classes: args.classes.clone(),
        many: args.many,
        few: args.few,
        bounds: ShotGroups::new(args.many_above, args.few_below),
        per_class: args.per_class,
        real_per_class: args.real_per_class.unwrap_or(args.per_class),
        val_per_class: args.val_per_class,
        seed: args.seed,
    };
    let labels = Labels {
        train: &train.labels,
        val: &val.labels,
        generated: generated.as_ref().map(|generated| generated.labels.as_slice()),
        class_counts: &class_counts,
    };
    let choices = choose(labels, &wanted)?;
    colours(&choices)?;
    let names = names(&choices, args.names.as_deref())?;
    if let Some(generated) = &generated {
        let drawn: Vec<usize> = choices.iter().flat_map(|choice| choice.train.iter().copied()).collect();
        space.check(&train, generated, &drawn)?;
        say_what_is_full(&choices, generated, args);
    }

    let before = points(&choices, &train, &val, None, space)?;
    let after = generated.as_ref().map(|rows| points(&choices, &train, &val, Some(rows), space)).transpose()?;
    let columns: Vec<(&str, &Points)> = match &after {
        None => vec![("", &before)],
        Some(after) => vec![(", before generation", &before), (", after generation", after)],
    };
    let (dim, count) = (train.dim, after.as_ref().unwrap_or(&before).dots.len());
    if count > MOST_POINTS {
        let what = format!(
            "{count} points are too many for one figure: the limit is {MOST_POINTS}, because every pair is compared"
        );
        return Err(FeaturesError::unfit(what, "lower --per-class and --val-per-class").into());
    }
    if before.dots.is_empty() {
        let hint = "choose classes (--many, --few or --classes) and real points (--real-per-class, --val-per-class)";
        return Err(FeaturesError::unfit("there is no real point to draw", hint).into());
    }
    let count = before.dots.len();
    if count == 1 {
        let hint = "choose more classes, or more points per class: --per-class, --val-per-class";
        return Err(
            FeaturesError::unfit("there is only one point to draw, but a figure needs at least two", hint).into()
        );
    }
    let pca = Pca::fit(&before.rows, dim).context("cannot compute the principal components")?;
    if pca.explained[0] == 0.0 {
        let hint = "choose other classes; if all features are the same, the network has learned nothing";
        return Err(FeaturesError::unfit("all points to draw are the same", hint).into());
    }
    let largest = ((count - 1) as f64 / 3.0).floor();
    let perplexity = args.perplexity.unwrap_or(PERPLEXITY.min(largest));
    if args.view.has_tsne() {
        check_perplexity(count, perplexity, largest)?;
    }
    let (mut panels, mut kl) = (Vec::new(), Vec::new());
    let mut letters = 'a'..;
    let mut title = |view: &str, when: &str| format!("({}) {view}{when}", letters.next().unwrap_or(' '));
    if args.view.has_tsne() {
        for (frame, (when, points)) in columns.iter().enumerate() {
            let spec = TsneSpec { perplexity, steps: TsneSpec::STEPS };
            let found = tsne(&points.rows, dim, &pca.project(&points.rows), spec);
            panels.push(points.panel(title("t-SNE", when), &found.points, frame + 1));
            kl.push(found.kl);
        }
    }
    if args.view.has_pca() {
        for (when, points) in &columns {
            panels.push(points.panel(title("PCA", when), &pca.project(&points.rows), 0));
        }
    }
    let agreement: Vec<Option<f64>> = columns.iter().map(|(_, points)| points.agreement(dim)).collect();
    let backbone = train.file().metadata()["backbone"].as_str().unwrap_or_default().to_owned();
    let facts = Facts { dim, space, perplexity, kl, explained: pca.explained, agreement, backbone, seed: args.seed };
    let width = if after.is_some() { 2 } else { panels.len() };
    let svg = draw(&panels, width, &choices, &names, &facts.caption(args))?;
    write_atomic(&args.out, svg.as_bytes())?;
    tell(args, &choices, &facts);
    Ok(ExitCode::SUCCESS)
}

/// Everything that says which file is which, before any of them is opened.
fn check_files(args: &PlotArgs) -> Result<(), FeaturesError> {
    let inputs = [Some(&args.train), Some(&args.val), args.generated.as_ref(), args.names.as_ref()];
    let inputs: Vec<&Path> = inputs.into_iter().flatten().map(PathBuf::as_path).collect();
    check_outputs(&inputs, &[OutputFile { option: "--out", path: &args.out, kind: OutputKind::Svg }])?;
    if args.train.exists() && is_same_file(&args.train, &args.val) {
        let what = format!("`--train` and `--val` are the same file, `{}`", args.val.display());
        return Err(FeaturesError::unfit(
            what,
            "give --val the dump of other images: val.safetensors or test.safetensors",
        ));
    }
    Ok(())
}

/// t-SNE looks at three times as many neighbours as its perplexity, and every point must have so many.
fn check_perplexity(count: usize, perplexity: f64, largest: f64) -> Result<(), FeaturesError> {
    if largest < 1.0 {
        let what = format!("{} too few for t-SNE, which needs at least 4", counted_are(count, "point"));
        return Err(FeaturesError::unfit(what, "choose more classes or more points per class, or use --view pca"));
    }
    if count as f64 <= 3.0 * perplexity {
        let what = format!(
            "{} too few for t-SNE with a perplexity of {perplexity}: it needs more than {}",
            counted_are(count, "point"),
            3.0 * perplexity
        );
        let hint = format!("use --perplexity {largest} or less, more classes, more points per class, or --view pca");
        return Err(FeaturesError::unfit(what, hint));
    }
    Ok(())
}

/// Of files that do not go together.
const ONE_VARIANT: &str =
    "all files must come from one variant of one run: `features inspect FILE` shows where a file is from";

/// The same width and, where both say so, the same backbone.
fn belong_together(train: &Rows, other: &Rows) -> Result<(), FeaturesError> {
    let (first, second) = (train.file().path().display(), other.file().path().display());
    if train.dim != other.dim {
        let (a, b) = (train.dim, other.dim);
        let what = format!("`{first}` has features of dimension {a}, `{second}` of {b}");
        return Err(FeaturesError::unfit(what, ONE_VARIANT));
    }
    let backbone = |rows: &Rows| rows.file().metadata()["backbone"].as_str().map(|hash| hash.to_owned());
    match (backbone(train), backbone(other)) {
        (Some(a), Some(b)) if a != b => {
            let short = |hash: &str| hash.chars().take(12).collect::<String>();
            let (a, b) = (short(&a), short(&b));
            let what = format!("`{first}` was made from backbone {a}…, `{second}` from {b}…");
            Err(FeaturesError::unfit(what, ONE_VARIANT))
        }
        _ => Ok(()),
    }
}

/// `class 5`, or its line in the file of names.
fn names(choices: &[Choice], file: Option<&Path>) -> anyhow::Result<Vec<String>> {
    let Some(file) = file else { return Ok(choices.iter().map(|choice| format!("class {}", choice.class)).collect()) };
    let hint = "--names expects a text file with one name per line, starting with label 0";
    let text = fs_err::read_to_string(file).hint(hint)?;
    let lines: Vec<&str> = text.lines().collect();
    let name = |choice: &Choice| {
        let line = lines.get(choice.class as usize).map(|line| plain(line));
        let what = || {
            let lines = counted(lines.len(), "line");
            format!("`{}` has {lines}, but none for class {}", file.display(), choice.class)
        };
        Ok(line.ok_or_else(|| FeaturesError::unfit(what(), hint))?)
    };
    choices.iter().map(name).collect()
}

/// Classes without many images whose generated rows are not drawn: their training rows took all the places.
fn say_what_is_full(choices: &[Choice], generated: &Rows, args: &PlotArgs) {
    let is_full = |choice: &&Choice| {
        choice.group != ShotGroup::Many && choice.generated.is_empty() && generated.labels.contains(&choice.class)
    };
    let full: Vec<String> = choices.iter().filter(is_full).map(|choice| choice.class.to_string()).collect();
    if !full.is_empty() {
        let (classes, per_class) = (full.join(", "), args.per_class);
        eprintln!(
            "note: all {per_class} points of class {classes} are training images; `--real-per-class {}` leaves room \
             for generated ones",
            per_class / 2
        );
    }
}

fn points(
    choices: &[Choice],
    train: &Rows,
    val: &Rows,
    generated: Option<&Rows>,
    space: Space,
) -> Result<Points, FeaturesError> {
    let mut points = Points::default();
    for (number, choice) in choices.iter().enumerate() {
        for &row in &choice.train {
            points.rows.extend(train.placed(row, space)?);
            points.dots.push((number, Kind::Train));
        }
        for &row in &choice.val {
            points.rows.extend(val.placed(row, space)?);
            points.dots.push((number, Kind::Val));
        }
        for &row in choice.generated.iter().filter(|_| generated.is_some()) {
            points.rows.extend(generated.map(|rows| rows.generated(row)).transpose()?.unwrap_or_default());
            points.dots.push((number, Kind::Generated));
        }
    }
    Ok(points)
}

/// What the figure says of itself.
struct Facts {
    dim: usize,
    space: Space,
    perplexity: f64,
    kl: Vec<f64>,
    explained: [f64; 2],
    agreement: Vec<Option<f64>>,
    backbone: String,
    seed: u64,
}

impl Facts {
    fn caption(&self, args: &PlotArgs) -> Vec<String> {
        let both = |values: Vec<String>| values.join(" before and ") + if values.len() > 1 { " after" } else { "" };
        let percent = |value: f64| format!("{:.0}%", value * 100.0);
        let tukey =
            if self.space.tukey == 1.0 { String::new() } else { format!(" after Tukey's λ = {}", self.space.tukey) };
        let backbone = self.backbone.chars().take(12).collect::<String>();
        let backbone = if backbone.is_empty() { String::new() } else { format!("; backbone {backbone}") };
        let mut lines = vec![format!(
            "Features of dimension {}{tukey}, unit length; many: more than {} images, few: fewer than {}{backbone}; seed {}.",
            self.dim, args.many_above, args.few_below, self.seed
        )];
        if args.view.has_tsne() {
            let kl = both(self.kl.iter().map(|kl| format!("{kl:.3}")).collect());
            let each = if self.kl.len() > 1 { "; each panel is a separate run" } else { "" };
            let (perplexity, steps) = (self.perplexity, TsneSpec::STEPS);
            lines.push(format!(
                "t-SNE: exact, perplexity {perplexity}, {steps} steps from the PCA plane, KL {kl}{each}."
            ));
        }
        if args.view.has_pca() {
            let [first, second] = self.explained.map(percent);
            let scale = if self.agreement.len() > 1 { "; both panels have the same scale" } else { "" };
            lines.push(format!(
                "PCA: the plane of the training and validation points, {first} + {second} of their variance{scale}."
            ));
        }
        let agreement =
            both(self.agreement.iter().map(|part| part.map_or_else(|| "n/a".to_owned(), percent)).collect());
        let other = if self.agreement.len() > 1 { "training or generated" } else { "training" };
        lines.push(format!(
            "Validation points whose nearest {other} point, in all dimensions, is of their class: {agreement}."
        ));
        lines
    }
}

fn tell(args: &PlotArgs, choices: &[Choice], facts: &Facts) {
    let rows: Vec<_> = choices
        .iter()
        .map(|choice| {
            json!({"class": choice.class, "group": choice.group.name(), "images": choice.images,
                   "train": choice.train.len(), "generated": choice.generated.len(), "val": choice.val.len()})
        })
        .collect();
    if args.json {
        let facts = json!({
            "out": args.out, "classes": rows, "perplexity": facts.perplexity, "kl": facts.kl,
            "explained": facts.explained, "agreement": facts.agreement, "tukey": facts.space.tukey,
        });
        println!("{facts}");
        return;
    }
    eprintln!("{}", args.out.display());
    for group in ShotGroup::ALL {
        for choice in choices.iter().filter(|choice| choice.group == group) {
            let (train, generated, val) = (choice.train.len(), choice.generated.len(), choice.val.len());
            let (class, name, images) = (choice.class, group.name(), counted(choice.images, "image"));
            eprintln!("  class {class} ({name}, {images}): {train} training, {generated} generated, {val} validation");
        }
    }
    for line in facts.caption(args) {
        eprintln!("{line}");
    }
}
