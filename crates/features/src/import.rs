//! `features import` and `features means`: a network that others trained, and what the classifiers need beside it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use longtail_artifact::{
    ArtifactError, NamedTensor, OutputFile, OutputKind, TensorData, TensorFile, check_outputs, counted, counted_are,
    write_tensors,
};
use longtail_backbone::{Architecture, BackboneError, ImageShape, from_torchvision, save_backbone};
use longtail_training::HeadWeights;
use serde_json::{Value, json};

use crate::FeaturesError;
use crate::error::DUMP_AGAIN;

/// What the weights' images were normalised by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum NormalizedBy {
    /// (.485, .456, .406) / (.229, .224, .225): torchvision's weights.
    Imagenet,
    /// (.466, .471, .380) / (.195, .194, .192): weights of iNaturalist 2018.
    Inaturalist,
}

impl NormalizedBy {
    fn to_json(self) -> Value {
        match self {
            Self::Imagenet => json!({"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}),
            Self::Inaturalist => json!({"mean": [0.466, 0.471, 0.380], "std": [0.195, 0.194, 0.192]}),
        }
    }
}

/// Arguments of `features import`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  features import --architecture resnet50 resnet50.safetensors --out RUN/representation/ce/backbone.safetensors
  features import --architecture resnext50_32x4d W.safetensors --out backbone.safetensors --head head.safetensors

The weights file is a state dict: safetensors.torch.save_file(net.state_dict(), \"resnet50.safetensors\"). `features --recipe …
--accept-stale` then computes features with it.")]
pub struct ImportArgs {
    /// torchvision weights, as safetensors
    pub weights: PathBuf,
    /// resnet50, resnet101, resnet152 or resnext50_32x4d
    #[arg(long, value_name = "NAME")]
    pub architecture: String,
    /// Height and width of the images; must equal data.image_side of the recipe
    #[arg(long, value_name = "PIXELS", default_value_t = 224, value_parser = clap::value_parser!(u16).range(32..=1024))]
    pub image_side: u16,
    /// Normalisation of the images, stored in the file; must equal data.normalize of the recipe
    #[arg(long, value_enum, default_value = "imagenet")]
    pub normalize: NormalizedBy,
    /// The backbone.safetensors to write
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Also write the classifier of these weights, as head.safetensors
    #[arg(long, value_name = "FILE")]
    pub head: Option<PathBuf>,
}

/// Arguments of `features means`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Example:
  features means RUN/features/ce/train.safetensors --prototypes RUN/representation/ce/prototypes.safetensors \\
    --head RUN/representation/ce/head.safetensors

Classifiers read these two files besides the dumps; for an imported backbone there is no stage 1 to write them.")]
pub struct MeansArgs {
    /// Dump of the training images
    pub train: PathBuf,
    /// The prototypes.safetensors to write: the mean direction of each class, with unit length
    #[arg(long, value_name = "FILE")]
    pub prototypes: PathBuf,
    /// Also write a head.safetensors with these directions as weights and no bias: nearest class mean by cosine
    #[arg(long, value_name = "FILE")]
    pub head: Option<PathBuf>,
}

/// Brings torchvision's weights into the form that stage 2 reads.
///
/// # Errors
/// An unknown architecture, weights that are not all of it and nothing else, or a file that cannot be written.
pub fn import(args: &ImportArgs) -> anyhow::Result<ExitCode> {
    let architecture = args.architecture.parse::<Architecture>().ok();
    let known = |found: &Architecture| matches!(found, Architecture::ImageNetResNet { .. } | Architecture::ResNeXt50);
    let Some(architecture) = architecture.filter(known) else {
        let what = format!("`--architecture {}` is not a torchvision network that can be imported", args.architecture);
        return Err(FeaturesError::unfit(what, "choose resnet50, resnet101, resnet152 or resnext50_32x4d").into());
    };
    let head = args.head.as_deref().map(|path| stage_file("--head", path));
    let outputs: Vec<OutputFile> = std::iter::once(stage_file("--out", &args.out)).chain(head).collect();
    check_outputs(&[&args.weights], &outputs)?;
    let side = usize::from(args.image_side);
    let image = ImageShape { height: side, width: side, channels: 3 };
    let imported =
        from_torchvision(&args.weights, architecture, image).map_err(|error| refused(args, architecture, error))?;
    // Read before anything is written: both files come into being or neither.
    let head = args.head.as_ref().map(|_| classifier(&args.weights)).transpose()?;
    let mut metadata = imported.metadata.as_object().cloned().unwrap_or_default();
    metadata.insert("normalize".to_owned(), args.normalize.to_json());
    let hash = save_backbone(&args.out, &imported.network, &imported.params, &imported.running, &metadata).map_err(
        |error| match error {
            BackboneError::File(error) => FeaturesError::from(error), // with its hint
            other => other.into(),
        },
    )?;
    eprintln!("{}: {architecture}, d = {}, blake3 {hash}", args.out.display(), imported.network.feature_dim());
    if let (Some(head), Some(path)) = (head, &args.head) {
        head.save(path, &json!({"imported": "torchvision"}))?;
        eprintln!("{}: {}", path.display(), counted(head.shape.num_classes, "class"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Why the weights were not taken, in one line, and what would be.
fn refused(args: &ImportArgs, architecture: Architecture, error: BackboneError) -> FeaturesError {
    let error = match error {
        BackboneError::InFile { source, .. } => *source, // the path is said below
        other => other,
    };
    let weights = args.weights.display();
    let (what, hint) = if is_pickle(&args.weights) {
        let hint = format!(
            "convert it to safetensors, a format that cannot contain code: python3 -c 'import torch, safetensors.torch as st; \
             st.save_file(torch.load(\"{weights}\", map_location=\"cpu\", weights_only=True), \"{architecture}.safetensors\")'"
        );
        (format!("`{weights}` was written by torch.save and is not a safetensors file"), hint)
    } else if matches!(error, BackboneError::File(ArtifactError::Missing { .. })) {
        let hint = format!(
            "make it with torchvision: python3 -c 'import torchvision, safetensors.torch as st; \
             st.save_file(torchvision.models.{architecture}(weights=\"DEFAULT\").state_dict(), \"{architecture}.safetensors\")'"
        );
        (error.to_string(), hint)
    } else {
        let hint = format!(
            "it must be the whole float32 state dict of torchvision's {architecture}, with torchvision's names (no \
             `module.` prefix): st.save_file(net.float().state_dict(), \"{architecture}.safetensors\"); `features \
             inspect FILE` lists the contents of a file"
        );
        (format!("`{weights}` cannot be imported as {architecture}: {error}"), hint)
    };
    FeaturesError::unfit(what, hint)
}

/// Whether torch.save wrote it: a zip archive, or in old versions a pickle.
fn is_pickle(path: &Path) -> bool {
    let mut start = [0u8; 4];
    let read = fs_err::File::open(path).and_then(|mut file| std::io::Read::read(&mut file, &mut start));
    matches!((read, start), (Ok(2..), [b'P', b'K', ..] | [0x80, 2..=5, ..]))
}

/// An output of both tools: what later stages read.
fn stage_file<'a>(option: &'static str, path: &'a Path) -> OutputFile<'a> {
    OutputFile { option, path, kind: OutputKind::StageTensors }
}

fn classifier(weights: &Path) -> anyhow::Result<HeadWeights> {
    let file = TensorFile::open(weights)?;
    if file.shape("fc.weight").is_none() {
        let what = format!("`{}` has no classifier (`fc.weight`, `fc.bias`)", weights.display());
        return Err(FeaturesError::unfit(
            what,
            "leave out --head; `features means --head FILE` makes a head from the dumps",
        )
        .into());
    }
    let weight = file.expect_f32("fc.weight", &[None, None])?;
    let bias = file.expect_f32("fc.bias", &[None])?;
    Ok(HeadWeights::linear(&weight, &bias)?)
}

/// What `features means` reads.
const TRAIN_DUMP: &str = "it needs the dump of all training images: RUN/features/VARIANT/train.safetensors";

/// Writes each class's mean direction in a training dump as its prototype.
///
/// `c_k = m_k / ‖m_k‖`, `m_k` the mean of the class's rows of unit length; `meta` is the same as `empirical`.
///
/// # Errors
/// A file that is no dump or cannot be written, a class without rows or without a direction, NaN.
pub fn means(args: &MeansArgs) -> anyhow::Result<ExitCode> {
    let head = args.head.as_deref().map(|path| stage_file("--head", path));
    let outputs: Vec<OutputFile> = std::iter::once(stage_file("--prototypes", &args.prototypes)).chain(head).collect();
    check_outputs(&[&args.train], &outputs)?;
    let file = TensorFile::open(&args.train)?;
    let labels = file.expect_u32("labels", &[None])?;
    let classes = file.expect_u32("class_counts", &[None])?.len();
    let features = file.f32("features")?;
    let unfit = |what: String| FeaturesError::unfit(format!("`{}`: {what}", args.train.display()), DUMP_AGAIN);
    let dim = match file.shape("features") {
        Some(&[rows, dim]) if rows == labels.len() && dim > 0 => dim,
        other => {
            let there = counted_are(labels.len(), "label");
            return Err(unfit(format!("`features` has shape {other:?}, {there} there")).into());
        }
    };
    let mut sums: Vec<Option<Vec<f64>>> = vec![None; classes];
    for (row, (values, label)) in features.chunks_exact(dim).zip(&labels).enumerate() {
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            return Err(unfit(format!("row {row} holds {} at dimension {at}", values[at])).into());
        }
        let Some(sum) = sums.get_mut(*label as usize) else {
            return Err(unfit(format!("label {label} of row {row} is not below {classes}")).into());
        };
        let values: Vec<f64> = values.iter().map(|x| f64::from(*x)).collect();
        let norm = norm(&values).max(f64::MIN_POSITIVE);
        let sum = sum.get_or_insert_with(|| vec![0.0; dim]);
        sum.iter_mut().zip(values).for_each(|(sum, x)| *sum += x / norm);
    }
    let counts = file.expect_u32("class_counts", &[Some(classes)])?;
    let mut found = vec![0u32; classes];
    labels.iter().for_each(|label| found[*label as usize] += 1);
    if let Some(class) = (0..classes).find(|class| found[*class] != counts[*class]) {
        let (found, counts, path) = (counted(found[class], "row"), counts[class], args.train.display());
        let what = format!(
            "`{path}` is not the dump of the training images: it has {found} of class {class}, which has {counts} training images"
        );
        return Err(FeaturesError::unfit(what, TRAIN_DUMP).into());
    }
    let mut directions = Vec::new();
    for (class, sum) in sums.iter().enumerate() {
        let Some(sum) = sum.as_ref().filter(|sum| norm(sum) > 0.0) else {
            let what = format!("`{}`: class {class} has no row, or its mean is zero", args.train.display());
            return Err(FeaturesError::unfit(what, TRAIN_DUMP).into());
        };
        let length = norm(sum);
        directions.extend(sum.iter().map(|x| (x / length) as f32));
    }
    let matrix = |name: &str| NamedTensor {
        name: name.to_owned(),
        shape: vec![classes, dim],
        data: TensorData::F32(directions.clone()),
    };
    let seen = NamedTensor { name: "seen".into(), shape: vec![classes], data: TensorData::U32(vec![1; classes]) };
    let metadata = json!({"made_by": "features means", "backbone": file.metadata()["backbone"]});
    write_tensors(&args.prototypes, &[matrix("empirical"), matrix("meta"), seen], &metadata)?;
    eprintln!("{}: {}, d = {dim}", args.prototypes.display(), counted(classes, "class"));
    if let Some(path) = &args.head {
        HeadWeights::linear(&directions, &vec![0.0; classes])?.save(path, &metadata)?;
        eprintln!("{}: nearest mean", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

fn norm(values: &[f64]) -> f64 {
    values.iter().map(|x| x * x).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_directions_of_unit_rows() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| dir.path().join(name);
        let vector = |name: &str, values: Vec<u32>| NamedTensor {
            name: name.into(),
            shape: vec![values.len()],
            data: TensorData::U32(values),
        };
        let features = |values: Vec<f32>| NamedTensor {
            name: "features".into(),
            shape: vec![values.len() / 2, 2],
            data: TensorData::F32(values),
        };
        let args = MeansArgs { train: path("t"), prototypes: path("p.safetensors"), head: Some(path("h.safetensors")) };
        // (4, 0) and (0, 1) have the mean direction (1, 1) / √2, whatever their lengths.
        let tensors = [
            features(vec![4.0, 0.0, 0.0, 1.0, 3.0, 4.0]),
            vector("labels", vec![0, 0, 1]),
            vector("class_counts", vec![2, 1]),
        ];
        write_tensors(&args.train, &tensors, &Value::Null).expect("writable");
        means(&args).expect("a dump");
        let found = TensorFile::open(&args.prototypes).and_then(|file| file.expect_f32("meta", &[Some(2), Some(2)]));
        let half = 0.5f32.sqrt();
        for (found, wanted) in found.expect("written").iter().zip([half, half, 0.6, 0.8]) {
            assert!((found - wanted).abs() < 1e-6, "{found} {wanted}");
        }
        assert_eq!(HeadWeights::load(&path("h.safetensors")).expect("a head").shape.num_classes, 2);
        let refused = |labels: Vec<u32>, counts: Vec<u32>| {
            let tensors =
                [features(vec![4.0, 0.0, 0.0, 1.0]), vector("labels", labels), vector("class_counts", counts)];
            write_tensors(&args.train, &tensors, &Value::Null).expect("writable");
            means(&args).expect_err("refused").to_string()
        };
        assert!(refused(vec![0, 0], vec![2, 0]).contains("class 1 has no row"));
        // Validation images, say.
        assert!(refused(vec![0, 1], vec![2, 1]).contains("1 row of class 0, which has 2 training images"));
        assert!(refused(vec![0, 2], vec![1, 1]).contains("label 2 of row 1 is not below 2"));
    }
}
