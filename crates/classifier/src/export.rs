//! `classifier generate`: generated rows in a file, for pictures and for looking at.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use longtail_artifact::{
    NamedTensor, OutputFile, OutputKind, TensorData, WithHint, check_outputs, counted, write_tensors,
};
use longtail_recipe::{Alpha, ClassifierRecipe, set_classifier};
use longtail_stage::{Frame, StageArgs};
use serde_json::json;

use crate::ClassifierError;
use crate::data::FitData;
use crate::generate::normalize_rows;
use crate::inputs::Inputs;
use crate::method::alpha::AlphaState;
use crate::method::generation::Generation;
use crate::method::mpfa::Mpfa;
use crate::method::tailcalib::TailCalib;

/// What `classifier generate` is told.
#[derive(Debug, Args)]
pub struct GenerateArgs {
    #[command(flatten)]
    stage: StageArgs,

    /// Name of the classifier in the recipe: an mpfa, tailcalib or tailcalib_x
    #[arg(long, value_name = "NAME")]
    method: String,

    /// Labels of the classes, from 0 [default: all classes with generated rows]
    #[arg(long, value_name = "K,K,…", value_delimiter = ',')]
    classes: Option<Vec<u32>>,

    /// Maximum number of rows per class
    #[arg(long, value_name = "N", default_value_t = 40)]
    per_class: usize,

    /// The file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl GenerateArgs {
    /// Threads that were asked for.
    pub fn threads(&self) -> Option<usize> {
        self.stage.threads
    }
}

/// The rows that a method generates, and what a reader of them must know.
struct Rows {
    generation: Generation,
    tukey: f64,
    normalize: bool,
    alpha: Option<f64>,
}

/// Draws the rows of the method's first epoch and writes them beside the real rows of their classes.
///
/// Tensors: `real` `(N, d)` and `real_labels` `(N,)`, `generated` `(G, d)` and `generated_labels` `(G,)`, f32 and u32; all rows in the
/// space that the head learns in, class by class.
///
/// # Errors
/// A classifier that generates nothing, classes that do not exist or have no generated rows, stages that are not there, a file that
/// cannot be written.
pub fn generate(args: &GenerateArgs) -> anyhow::Result<ExitCode> {
    let what = || format!("cannot generate the rows of `{}`", args.method);
    let frame = Frame::new("classifier", &args.method, what(), &args.stage)?;
    let layout = frame.layout();
    let recipe = frame.recipe().with_context(what)?;
    let classifier = recipe.classifier(&args.method).with_context(what)?;
    let out = OutputFile { option: "--out", path: &args.out, kind: OutputKind::Tensors };
    // Head and prototypes may be another program's, and then no manifest speaks for them.
    let stage1 = layout.representation(&args.stage.variant);
    let beside = ["backbone", "head", "prototypes"].map(|name| stage1.join(format!("{name}.safetensors")));
    let dumps = ["train", "meta", "val", "test"]
        .map(|name| layout.features(&args.stage.variant).join(format!("{name}.safetensors")));
    let inputs: Vec<&Path> = beside.iter().chain(&dumps).map(PathBuf::as_path).collect();
    check_outputs(&inputs, &[out]).with_context(what)?;
    if args.out.exists() && !args.stage.force {
        let taken = anyhow::anyhow!("`{}` exists already", args.out.display());
        return Err(taken).context(what()).hint("choose another file with --out, or replace it with --force");
    }
    let device = frame.device()?.to_string();
    let variant = &args.stage.variant;
    let images = frame.compare_images(&recipe)?;
    // Rows come from the dumps and from the prototypes.
    frame.require_representation(&recipe, &images, &device)?;
    frame.require_features(&recipe, &images, &device)?;
    let inputs = Inputs::load(layout, variant, 0)
        .with_context(what)
        .hint("`cargo xtask status` shows which stage is stale; `features inspect FILE` shows a dump")?;
    let rows = rows(&args.method, classifier, &inputs.data, recipe.seed).with_context(what)?;
    let Some(rows) = rows else {
        let none = anyhow::anyhow!("`{}` is a {}, which generates no rows", args.method, classifier.name());
        return Err(none)
            .context(what())
            .hint("choose a classifier of the recipe that uses mpfa, tailcalib or tailcalib_x");
    };
    let classes = classes(args, &rows).with_context(what)?;
    let (labels, generated) = rows.generation.first_rows(&classes, args.per_class)?;

    let base = &rows.generation.model.base;
    let dim = base.dim();
    let mut real: Vec<f32> = classes.iter().flat_map(|&class| base.class_rows(class as usize)).collect();
    if rows.normalize {
        normalize_rows(&mut real, dim);
    }
    let real_labels: Vec<u32> =
        classes.iter().flat_map(|&class| std::iter::repeat_n(class, base.store().count(class as usize))).collect();
    let floats = |name: &str, values: Vec<f32>| NamedTensor {
        name: name.to_owned(),
        shape: vec![values.len() / dim, dim],
        data: TensorData::F32(values),
    };
    let numbers = |name: &str, values: Vec<u32>| NamedTensor {
        name: name.to_owned(),
        shape: vec![values.len()],
        data: TensorData::U32(values),
    };
    let (real_count, count) = (real_labels.len(), labels.len());
    let tensors = [
        floats("generated", generated),
        numbers("generated_labels", labels),
        floats("real", real),
        numbers("real_labels", real_labels),
    ];
    let metadata = json!({
        "kind": "generated",
        "variant": variant,
        "classifier": args.method,
        "method": classifier.name(),
        "tukey": rows.tukey,
        "alpha": rows.alpha,
        "normalized": rows.normalize,
        "seed": recipe.seed,
        "epoch": 0,
    });
    write_tensors(&args.out, &tensors, &metadata).with_context(what)?;
    if args.stage.json {
        println!("{}", json!({"file": args.out, "generated": count, "real": real_count, "classes": classes.len()}));
    } else if !args.stage.quiet {
        let out = args.out.display();
        let (rows, real) = (counted(count, "generated row"), counted(real_count, "real one"));
        eprintln!("{out}: {rows} and {real} of {}", counted(classes.len(), "class"));
    }
    Ok(ExitCode::SUCCESS)
}

/// The generation as training of the classifier called `name` begins; nothing for a method without one.
fn rows(name: &str, recipe: &ClassifierRecipe, data: &FitData, seed: u64) -> anyhow::Result<Option<Rows>> {
    let tailcalib = |recipe, every_epoch| -> Result<Rows, ClassifierError> {
        let method = TailCalib { recipe, every_epoch };
        let (model, laws) = method.model(data)?;
        let generation = Generation::new(method.generation(seed), model, laws);
        Ok(Rows { generation, tukey: method.transform().tukey, normalize: true, alpha: None })
    };
    Ok(Some(match recipe {
        ClassifierRecipe::Mpfa(recipe) => {
            let method = Mpfa { recipe };
            let alpha = AlphaState::new(recipe.alpha, data.num_classes());
            if matches!(recipe.alpha, Alpha::Search(_)) {
                return Err(anyhow::anyhow!("`alpha: search` tries several values, and each generates different rows"))
                    .hint(&format!(
                        "choose one: {}; the selected one is in head.safetensors",
                        set_classifier(name, "mpfa", "alpha", "{fixed: 0.4}")
                    ));
            }
            let (model, calibration) = method.model(data)?;
            let laws = calibration.laws(alpha.values());
            let generation = Generation::new(method.generation(seed, &alpha), model, laws);
            let (normalize, alpha) = (method.transform().l2, alpha.candidates().first().copied());
            Rows { generation, tukey: recipe.tukey, normalize, alpha }
        }
        ClassifierRecipe::Tailcalib(recipe) => tailcalib(recipe, false)?,
        ClassifierRecipe::TailcalibX(recipe) => tailcalib(recipe, true)?,
        ClassifierRecipe::Joint(_)
        | ClassifierRecipe::Crt(_)
        | ClassifierRecipe::Lws(_)
        | ClassifierRecipe::TauNorm(_)
        | ClassifierRecipe::Ncm(_) => return Ok(None),
    }))
}

/// The classes that were asked for, ascending, each once.
fn classes(args: &GenerateArgs, rows: &Rows) -> anyhow::Result<Vec<u32>> {
    let per_class = rows.generation.rows_per_class();
    let with_rows = || (0..per_class.len() as u32).filter(|&class| per_class[class as usize] > 0);
    if args.per_class == 0 {
        return Err(anyhow::anyhow!("with --per-class 0 there is nothing to write")).hint("ask for at least one row");
    }
    let Some(asked) = &args.classes else { return Ok(with_rows().collect()) };
    let mut asked = asked.clone();
    asked.sort_unstable();
    asked.dedup();
    for &class in &asked {
        let count = per_class.get(class as usize).copied();
        let problem = match count {
            None => format!("there is no class {class}: the features have {}", counted(per_class.len(), "class")),
            Some(0) => format!("no row is generated for class {class}, which already has enough images"),
            Some(_) => continue,
        };
        let some: Vec<String> = with_rows().take(8).map(|class| class.to_string()).collect();
        let hint = format!("{} classes have generated rows; the first are {}", with_rows().count(), some.join(", "));
        return Err(anyhow::anyhow!(problem)).hint(&hint);
    }
    Ok(asked)
}
