//! A network's vectors as named tensors, and strictly back.

use longtail_ops::Real;

use crate::engine::Network;
use crate::error::BackboneError;
use crate::params::{ParamEntry, ParamIndex, ParamKind};

/// A tensor's name, shape and values.
pub type NamedValues = (String, Vec<usize>, Vec<f32>);

/// Parameters, then running statistics, by torchvision's names, each as (name, shape, values).
///
/// # Shapes
/// - `params`, `running`: as [`Network::params`] and [`Network::buffers`]
/// # Panics
/// When a vector is not as long as the network says.
pub fn to_tensors<T: Real>(network: &Network<T>, params: &[T], running: &[T]) -> Vec<NamedValues> {
    let pieces = |index: &ParamIndex, values: &[T]| {
        assert!(values.len() == index.len(), "to_tensors: {} values, the network has {}", values.len(), index.len());
        let narrow = |entry: &ParamEntry| values[entry.range()].iter().map(|v| v.to_f64() as f32).collect();
        index.entries().iter().map(|entry| (entry.name.clone(), entry.shape.clone(), narrow(entry))).collect::<Vec<_>>()
    };
    let mut tensors = pieces(network.params(), params);
    tensors.extend(pieces(network.buffers(), running));
    tensors
}

/// The flat vectors (parameters, running statistics) of named tensors, in whatever order they come.
///
/// # Errors
/// A tensor that is missing, unknown, there twice, of the wrong shape, or holds NaN or infinity; a negative running variance.
pub fn from_tensors<T: Real>(
    network: &Network<T>,
    tensors: &[NamedValues],
) -> Result<(Vec<f32>, Vec<f32>), BackboneError> {
    let architecture = || network.architecture().to_string();
    for (at, (name, ..)) in tensors.iter().enumerate() {
        if network.params().get(name).is_none() && network.buffers().get(name).is_none() {
            return Err(BackboneError::UnexpectedTensor { name: name.clone(), architecture: architecture() });
        }
        if tensors[..at].iter().any(|(other, ..)| other == name) {
            return Err(BackboneError::RepeatedTensor { name: name.clone() });
        }
    }
    let collect = |index: &ParamIndex| {
        let mut flat = Vec::with_capacity(index.len());
        for entry in index.entries() {
            let Some((name, shape, values)) = tensors.iter().find(|(name, ..)| *name == entry.name) else {
                let (name, shape) = (entry.name.clone(), entry.shape.clone());
                return Err(BackboneError::MissingTensor { name, shape, architecture: architecture() });
            };
            if *shape != entry.shape || values.len() != entry.len() {
                let (name, found, expected) = (name.clone(), shape.clone(), entry.shape.clone());
                return Err(BackboneError::TensorShape { name, found, expected, architecture: architecture() });
            }
            check_values(entry, values)?;
            flat.extend_from_slice(values);
        }
        Ok(flat)
    };
    Ok((collect(network.params())?, collect(network.buffers())?))
}

fn check_values(entry: &ParamEntry, values: &[f32]) -> Result<(), BackboneError> {
    let wrong = |index: usize, needed| BackboneError::TensorValue {
        name: entry.name.clone(),
        value: values[index].to_string(),
        index,
        needed,
    };
    if let Some(index) = values.iter().position(|v| !v.is_finite()) {
        return Err(wrong(index, "every value must be finite"));
    }
    if entry.kind == ParamKind::RunningVar
        && let Some(index) = values.iter().position(|&v| v < 0.0)
    {
        return Err(wrong(index, "a variance cannot be negative"));
    }
    Ok(())
}
