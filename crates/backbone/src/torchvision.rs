//! torchvision's own weight files, strictly.
//!
//! A state dict of `torchvision.models.resnet50` (or `resnet101`, `resnet152`, `resnext50_32x4d`) saved as safetensors holds
//! our tensors under our names, the classifier `fc.*`, and a counter `*.num_batches_tracked` for each batch norm. To make one:
//!
//! ```python
//! import torchvision, safetensors.torch
//! net = torchvision.models.resnet50(weights="IMAGENET1K_V1")
//! safetensors.torch.save_file(net.state_dict(), "resnet50.safetensors")
//! ```
//!
//! And our `backbone.safetensors` goes back; only what we do not have may be missing:
//!
//! ```python
//! net = torchvision.models.resnet50()
//! missing, unexpected = net.load_state_dict(safetensors.torch.load_file("backbone.safetensors"), strict=False)
//! assert not unexpected and all(k.startswith("fc.") or k.endswith(".num_batches_tracked") for k in missing)
//! ```

use std::path::Path;

use longtail_artifact::{DType, TensorFile};
use longtail_images::ImageShape;
use serde_json::json;

use crate::arch::Architecture;
use crate::engine::Network;
use crate::error::BackboneError;
use crate::files::from_tensors;
use crate::params::ParamKind;
use crate::saved::SavedBackbone;

/// The classifier's tensors, which a backbone has not.
const CLASSIFIER: [&str; 2] = ["fc.weight", "fc.bias"];
/// What a batch norm's counter is called after the norm's name. Our momentum is fixed, so nothing reads it.
const COUNTER: &str = ".num_batches_tracked";

/// Reads a safetensors state dict by torchvision's names into a network of `architecture` for images of `image`.
///
/// Every tensor of the network must be there, f32 and finite; beside them only `fc.weight`, `fc.bias` and the counters of
/// batch norms that the network has. The classifier is left out. [`crate::save_backbone`] writes the result in our form.
///
/// # Errors
/// A file that is missing or damaged; tensors missing, unknown, of another type or shape, or not finite; an `fc.weight` for
/// another number of features. Every error names the file.
/// # Source
/// torchvision's `models/resnet.py`; checked against it in `tests/torchvision.rs`.
pub fn from_torchvision(
    path: &Path,
    architecture: Architecture,
    image: ImageShape,
) -> Result<SavedBackbone, BackboneError> {
    let file = TensorFile::open(path)?;
    let in_file = |source| BackboneError::InFile { path: path.to_owned(), source: Box::new(source) };
    let network = Network::<f32>::new(&architecture, image).map_err(in_file)?;
    check_classifier(&file, &network).map_err(in_file)?;
    let mut tensors = Vec::with_capacity(file.names().len());
    for name in file.names() {
        if CLASSIFIER.contains(&name.as_str()) || is_counter(&file, &network, name) {
            continue;
        }
        let shape = file.shape(name).unwrap_or_default().to_vec();
        // A name that no network has is said before its type is.
        let known = network.params().get(name).is_some() || network.buffers().get(name).is_some();
        let values = if known { file.f32(name)?.into_owned() } else { Vec::new() };
        tensors.push((name.clone(), shape, values));
    }
    let (params, running) = from_tensors(&network, &tensors).map_err(in_file)?;
    let metadata = json!({"imported": "torchvision", "imported_hash": file.hash().to_string()});
    Ok(SavedBackbone { network, params, running, metadata, hash: file.hash() })
}

/// Whether it is the counter of one of the network's batch norms: one whole number.
fn is_counter(file: &TensorFile, network: &Network<f32>, name: &str) -> bool {
    let norm = name.strip_suffix(COUNTER);
    let known = norm.and_then(|norm| network.buffers().get(&format!("{norm}.running_mean")));
    let is_one_number = file.dtype(name) == Some(DType::I64) && file.shape(name).is_some_and(<[usize]>::is_empty);
    known.is_some_and(|entry| entry.kind == ParamKind::RunningMean) && is_one_number
}

/// Both parts of the classifier or neither, and of this network's width: another's would tell that the file is of another net.
fn check_classifier(file: &TensorFile, network: &Network<f32>) -> Result<(), BackboneError> {
    let [weight, bias] = CLASSIFIER.map(|name| file.shape(name));
    let classes = match (weight, bias) {
        (None, None) => return Ok(()),
        (Some(shape), _) => shape.first().copied().unwrap_or_default(),
        (None, Some(shape)) => shape.first().copied().unwrap_or_default(),
    };
    let architecture = || format!("the classifier of {}", network.architecture());
    for (name, found, expected) in
        [(CLASSIFIER[0], weight, vec![classes, network.feature_dim()]), (CLASSIFIER[1], bias, vec![classes])]
    {
        let name = name.to_owned();
        match found {
            None => {
                return Err(BackboneError::MissingTensor { name, shape: expected, architecture: architecture() });
            }
            Some(found) if found != expected => {
                let found = found.to_vec();
                return Err(BackboneError::TensorShape { name, found, expected, architecture: architecture() });
            }
            Some(_) => {}
        }
    }
    Ok(())
}
