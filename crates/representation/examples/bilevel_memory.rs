//! Memory and time of one bi-level step of MPCL: ResNeXt-50 32×4d, 224 pixels, 1000 classes, made-up images.
//!
//! ```text
//! cargo run --release -p longtail-representation --example bilevel_memory -- 2 4 8        batch sizes, each whole
//! cargo run --release -p longtail-representation --example bilevel_memory -- 8:4 8::ck    in parts of 4; with checkpointing
//! ```
//!
//! Each size is measured in a process of its own: the peak of its resident memory beside what `Memory` states beforehand, and the
//! median time of three steps after a first one (and one of the warm-up). Below, what it states for the recipe's 512 images, which are not run.

use std::process::Command;
use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use longtail_backbone::ImageShape;
use longtail_ops::{normal, stream};
use longtail_recipe::{Recipe, read_str};
use longtail_representation::method::{MetaBatches, build};
use longtail_representation::train::Training;
use longtail_representation::{Memory, RepresentationError, architecture};
use longtail_training::step::MicroBatch;
use longtail_training::{EpochMeter, Feed, HeadForm, ImageBatch, Log, Model, Step, StepAt};

const CLASSES: usize = 1000;
const CHILD: &str = "LONGTAIL_BILEVEL_MEMORY_CHILD";

/// Batch size, micro_batch, activation_checkpointing.
type Size = (usize, usize, bool);

fn main() -> anyhow::Result<()> {
    let sizes: Vec<String> = std::env::args().skip(1).collect();
    if std::env::var_os(CHILD).is_some() {
        return measure(parse(&sizes[0])?);
    }
    anyhow::ensure!(!sizes.is_empty(), "batch sizes are wanted: bilevel_memory 2 4 8:4 8::ck");
    println!("batch  parts  checkpointing    stated   measured peak   seconds a step   images/s");
    for size in &sizes {
        parse(size)?;
        let status = Command::new(std::env::current_exe()?).arg(size).env(CHILD, "1").status()?;
        anyhow::ensure!(status.success(), "batch size {size} did not come to its end");
    }
    for (batch, micro, checkpointing) in [(512, 0, false), (512, 0, true), (512, 32, false), (512, 32, true)] {
        let (_, _, stated) = parts((batch, micro, checkpointing))?;
        println!("{} {:7.2} GB   not run", words((batch, micro, checkpointing)), stated as f64 / 1e9);
    }
    Ok(())
}

fn parse(word: &str) -> anyhow::Result<Size> {
    let mut parts = word.split(':');
    let mut number = || parts.next().filter(|part| !part.is_empty()).map_or(Ok(0), str::parse::<usize>);
    let (batch, micro) = (number()?, number()?);
    anyhow::ensure!(batch >= 2, "`{word}`: at least two images");
    Ok((batch, micro, parts.next() == Some("ck")))
}

fn words((batch, micro, checkpointing): Size) -> String {
    let micro = if micro == 0 { "whole".to_owned() } else { micro.to_string() };
    format!("{batch:5}  {micro:>5}  {:13}", if checkpointing { "yes" } else { "no" })
}

/// The recipe, its model, and the bytes that are stated for the step: four batches are made ahead in a real run, none here.
fn parts((batch, micro, checkpointing): Size) -> anyhow::Result<(Recipe, Model, usize)> {
    let text = format!(
        "data: {{dataset: imagenet_lt}}
representations:
  mpcl:
    backbone: resnext50_32x4d
    batch_size: {batch}
    micro_batch: {micro}
    activation_checkpointing: {checkpointing}
    epochs: 90
    method: {{mpcl: {{prototypes: meta, meta_aug: none}}}}
classifiers: {{joint: {{joint: {{}}}}}}
"
    );
    let recipe = read_str(&text, "example", &[])?;
    let part = recipe.representation("mpcl")?;
    let image = ImageShape { height: 224, width: 224, channels: 3 };
    let (architecture, form) = (architecture(part.backbone), HeadForm::from(part.head));
    let mut model = Model::new(&architecture, image, form, CLASSES, 0, DType::F32)?;
    model.network.set_checkpointing(checkpointing);
    let stated = Memory::of(part, &model, 0).total();
    Ok((recipe, model, stated))
}

struct Again(ImageBatch);

impl MetaBatches for Again {
    fn batch(&self, _index: u64) -> Result<ImageBatch, RepresentationError> {
        Ok(self.0.clone())
    }
}

fn images(feed: Feed, n: usize) -> anyhow::Result<ImageBatch> {
    let mut rng = stream(0, "bilevel", 0, n as u64);
    let pixels: Vec<f32> = (0..n * 224 * 224 * 3).map(|_| normal(&mut rng) as f32).collect();
    let images = Tensor::from_vec(pixels, (n, 224, 224, 3), &Device::Cpu)?;
    Ok(ImageBatch::new(feed, images, (0..n as u32).map(|image| image * 37 % CLASSES as u32).collect()))
}

fn measure(size: Size) -> anyhow::Result<()> {
    let (recipe, model, stated) = parts(size)?;
    let part = recipe.representation("mpcl")?;
    let batch = images(Feed::Train, size.0)?;
    let meta: Box<dyn MetaBatches> = Box::new(Again(images(Feed::Side, size.0)?));
    let mut method = build(part, model.head.feature_dim, &[100; CLASSES], Some(meta), 0, DType::F32)?;
    let optimizer = Training::optimizer(part, &model)?;
    let mut trained = Step::new(model, optimizer, MicroBatch::new(part.micro_batch, part.batch_size));
    let mut meter = EpochMeter::default();
    let mut seconds = Vec::new();
    for step in 0..5 {
        // A first step in the warm-up lets the prototypes see their classes; the others are bi-level. The rate is so small that
        // made-up images do no harm.
        let epoch = if step == 0 { 0 } else { 89 };
        let at = StepAt { epoch, step, epoch_fraction: 0.0, lr: 1e-4, relative_lr: 1e-3 };
        let start = Instant::now();
        method.step(&mut trained, &batch, &at, &mut Log::new(&mut meter, at))?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    let mut after = seconds.split_off(2);
    after.sort_by(f64::total_cmp);
    println!(
        "{} {:7.2} GB   {:10.2} GB   {:14.2}   {:8.2}",
        words(size),
        stated as f64 / 1e9,
        peak()? as f64 / 1e9,
        after[1],
        size.0 as f64 / after[1]
    );
    Ok(())
}

/// The peak of this process's resident memory, bytes.
fn peak() -> anyhow::Result<usize> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1)).map(str::parse::<usize>);
    Ok(kilobytes.ok_or_else(|| anyhow::anyhow!("no VmHWM in /proc/self/status"))?? * 1024)
}
