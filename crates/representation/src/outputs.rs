//! The files that stage 1 hands on. The manifest is written last, by the stage run.

use std::path::Path;

use longtail_artifact::{FileHash, NamedTensor, TensorData, write_tensors};
use longtail_training::{Model, to_f32};
use serde_json::{Value, json};

use crate::RepresentationError;
use crate::method::Method;

/// Writes `backbone`, `head`, `prototypes` and, where there is one, `meta_network` into `folder`.
///
/// # Errors
/// If a file cannot be written.
pub fn write(
    folder: &Path,
    model: &Model,
    method: &dyn Method,
    normalize: &Value,
) -> Result<Vec<(&'static str, FileHash)>, RepresentationError> {
    let (classes, dim) = (model.head.num_classes, model.head.feature_dim);
    let image = model.network.image();
    let metadata = json!({
        "architecture": model.network.architecture().to_string(),
        "image": {"h": image.height, "w": image.width, "c": image.channels},
        "feature_dim": dim,
        "num_classes": classes,
        "normalize": normalize,
    });
    let backbone: Vec<NamedTensor> = model
        .network
        .named(&model.backbone_weights()?, &model.running)?
        .into_iter()
        .map(|(name, shape, values)| NamedTensor { name, shape, data: TensorData::F32(values) })
        .collect();
    let mut written =
        vec![("backbone.safetensors", write_tensors(&folder.join("backbone.safetensors"), &backbone, &metadata)?)];

    let head = model.head_file()?.save(&folder.join("head.safetensors"), &Value::Null)?;
    written.push(("head.safetensors", head));

    let export = method.prototypes()?;
    let matrix = |name: &str, values: Vec<f32>| NamedTensor {
        name: name.to_owned(),
        shape: vec![classes, dim],
        data: TensorData::F32(values),
    };
    let seen = NamedTensor { name: "seen".to_owned(), shape: vec![classes], data: TensorData::U32(export.seen) };
    let prototypes = [matrix("empirical", to_f32(&export.empirical)?), matrix("meta", to_f32(&export.meta)?), seen];
    let metadata = json!({"space": export.space, "method": method.name()});
    written.push((
        "prototypes.safetensors",
        write_tensors(&folder.join("prototypes.safetensors"), &prototypes, &metadata)?,
    ));

    if let Some(tensors) = method.meta_network()? {
        let metadata = method.meta_network_metadata();
        written.push((
            "meta_network.safetensors",
            write_tensors(&folder.join("meta_network.safetensors"), &tensors, &metadata)?,
        ));
    }
    Ok(written)
}
