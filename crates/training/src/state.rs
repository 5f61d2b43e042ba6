//! What a method, an optimiser or a bank keeps from step to step, as one list: checkpoints, resuming and memory all read it.

use candle_core::{Device, Tensor};
use longtail_backbone::host::read;
use longtail_backbone::{TensorNetwork, by_float};

use crate::{Compute, Scalar, StateReader, StateWriter, TrainingError};

/// One piece of state, in place.
#[derive(Debug)]
pub enum State<'a> {
    /// Numbers of the training's element type, any shape.
    Tensor(&'a mut Tensor),
    /// Weights, or a vector over them: in a checkpoint they stand in the order of files, whatever the network's device takes.
    Weights(&'a mut Tensor, &'a TensorNetwork),
    /// Counters, as many as there are.
    Counters(&'a mut [u64]),
    /// Numbers in double precision whatever the training's type is.
    Numbers(&'a mut [f64]),
}

/// Every piece by its name in a checkpoint.
pub type StateList<'a> = Vec<(&'static str, State<'a>)>;

/// Adds all pieces to a checkpoint.
///
/// # Errors
/// A tensor that cannot be read.
pub fn save_state(list: StateList<'_>, writer: &mut StateWriter) -> Result<(), TrainingError> {
    for (name, state) in list {
        match state {
            State::Tensor(tensor) => save_tensor(name, tensor, writer)?,
            State::Weights(tensor, network) => save_tensor(name, &network.in_file_order(tensor)?, writer)?,
            State::Counters(counters) => writer.counters(name, counters),
            State::Numbers(numbers) => writer.vector(name, numbers),
        }
    }
    Ok(())
}

/// Takes all pieces from a checkpoint.
///
/// # Errors
/// If one is missing or of another size or type; the state is then not to be used.
pub fn restore_state(list: StateList<'_>, reader: &mut StateReader) -> Result<(), TrainingError> {
    for (name, state) in list {
        match state {
            State::Tensor(tensor) => *tensor = restored_tensor(name, tensor, reader)?.to_device(tensor.device())?,
            State::Weights(tensor, network) => *tensor = network.placed(&restored_tensor(name, tensor, reader)?)?,
            State::Counters(counters) => {
                let found = reader.counter_list(name)?;
                TrainingError::check_size(name, found.len(), counters.len())?;
                counters.copy_from_slice(&found);
            }
            State::Numbers(numbers) => numbers.copy_from_slice(&reader.vector_of::<f64>(name, numbers.len())?),
        }
    }
    Ok(())
}

fn save_tensor(name: &str, tensor: &Tensor, writer: &mut StateWriter) -> Result<(), TrainingError> {
    let here = tensor.contiguous()?.to_device(&Device::Cpu)?;
    by_float!(here, T => read::<T, _>(&here, |values| writer.vector(name, values))?);
    Ok(())
}

/// On the CPU.
fn restored_tensor(name: &str, like: &Tensor, reader: &mut StateReader) -> Result<Tensor, TrainingError> {
    let shape = like.shape().clone();
    Ok(by_float!(like, T => {
        Tensor::from_vec(reader.vector_of::<T>(name, shape.elem_count())?, shape, &Device::Cpu)?
    }))
}

/// Takes all pieces to a device.
///
/// # Errors
/// If it has no memory for them.
pub fn move_state(list: StateList<'_>, compute: &Compute) -> Result<(), TrainingError> {
    for (_, state) in list {
        match state {
            State::Tensor(tensor) => *tensor = tensor.to_device(compute.device())?,
            State::Weights(..) => {}                     // with their network: `Model::on`
            State::Counters(_) | State::Numbers(_) => {} // the program's own
        }
    }
    Ok(())
}

/// Bytes of all pieces.
pub fn state_bytes(list: &StateList<'_>) -> usize {
    list.iter()
        .map(|(_, state)| match state {
            State::Tensor(tensor) | State::Weights(tensor, _) => tensor_bytes(tensor),
            State::Counters(counters) => size_of_val(&**counters),
            State::Numbers(numbers) => size_of_val(&**numbers),
        })
        .sum()
}

/// Bytes of a tensor's elements.
pub fn tensor_bytes(tensor: &Tensor) -> usize {
    tensor.elem_count() * tensor.dtype().size_in_bytes()
}

/// A tensor's elements in f32, row-major: what files hold.
///
/// # Errors
/// A tensor that is of neither f32 nor f64.
pub fn to_f32(tensor: &Tensor) -> Result<Vec<f32>, TrainingError> {
    Ok(by_float!(tensor, T => T::values(tensor)?.iter().map(|value| value.wide() as f32).collect()))
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn every_piece_comes_back_to_the_same_bits_or_is_named() {
        let tensor = |values: &[f32]| Tensor::from_slice(values, (1, values.len()), &Device::Cpu).expect("a row");
        let (mut theta, mut counts, mut numbers) = (tensor(&[0.1, -0.0]), [3, u64::MAX], [0.1 + 0.2]);
        fn list<'a>(theta: &'a mut Tensor, counts: &'a mut [u64], numbers: &'a mut [f64]) -> StateList<'a> {
            vec![
                ("theta", State::Tensor(theta)),
                ("counts", State::Counters(counts)),
                ("numbers", State::Numbers(numbers)),
            ]
        }
        assert_eq!(state_bytes(&list(&mut theta, &mut counts, &mut numbers)), 2 * 4 + 2 * 8 + 8);
        let mut writer = StateWriter::default();
        save_state(list(&mut theta, &mut counts, &mut numbers), &mut writer).expect("f32");
        let saved = writer.into_tensors();
        let mut back = (tensor(&[5.0, 5.0]), [0, 0], [0.0]);
        let mut reader = StateReader::new("checkpoint", saved.clone());
        restore_state(list(&mut back.0, &mut back.1, &mut back.2), &mut reader).expect("saved above");
        assert_eq!(
            (back.1, back.2[0].to_bits(), back.0.dims2().expect("a row")),
            (counts, numbers[0].to_bits(), (1, 2))
        );
        assert_eq!(f32::values(&back.0).expect("f32")[1].to_bits(), (-0.0f32).to_bits());

        let mut short = tensor(&[1.0]);
        let mut reader = StateReader::new("step-7", saved);
        let error = restore_state(vec![("theta", State::Tensor(&mut short))], &mut reader).expect_err("two were saved");
        assert_eq!(error.to_string(), "in `step-7`: `theta` has 2 elements, expected 1");
    }
}
