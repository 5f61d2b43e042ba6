//! Damage done to a hand-off file.

use std::path::Path;

use longtail_artifact::{NamedTensor, TensorData, TensorFile, write_tensors};

/// What to do to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Corruption {
    /// Keep the first half.
    Truncate,
    /// Keep nothing.
    Empty,
    /// Flip one bit of the header's length.
    FlipHeader,
    /// Flip one bit in the middle of the data.
    FlipData,
    /// A sound file whose first f32 tensor holds a NaN.
    NotANumber,
    /// A sound file without its last tensor.
    MissingTensor,
    /// A sound file whose first tensor of several axes has its shape reversed and flattened.
    Misshapen,
}

impl Corruption {
    /// All of them.
    pub const ALL: [Corruption; 7] = [
        Corruption::Truncate,
        Corruption::Empty,
        Corruption::FlipHeader,
        Corruption::FlipData,
        Corruption::NotANumber,
        Corruption::MissingTensor,
        Corruption::Misshapen,
    ];
}

/// Damages `file` in place.
pub fn corrupt(file: &Path, how: Corruption) {
    let mut bytes = std::fs::read(file).expect("a readable file");
    match how {
        Corruption::Truncate => bytes.truncate(bytes.len() / 2),
        Corruption::Empty => bytes.clear(),
        Corruption::FlipHeader => bytes[6] ^= 0x40,
        Corruption::FlipData => {
            let header = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize + 8;
            let middle = header + (bytes.len() - header) / 2;
            bytes[middle] ^= 0x01;
        }
        _ => return rewrite(file, how),
    }
    std::fs::write(file, bytes).expect("a writable file");
}

fn rewrite(file: &Path, how: Corruption) {
    let opened = TensorFile::open(file).expect("a sound file");
    let metadata = opened.metadata().clone();
    let mut tensors = tensors(&opened);
    drop(opened);
    match how {
        Corruption::NotANumber => {
            let values = tensors.iter_mut().find_map(|tensor| match &mut tensor.data {
                TensorData::F32(values) if !values.is_empty() => Some(values),
                _ => None,
            });
            values.expect("the file has an f32 tensor")[0] = f32::NAN;
        }
        Corruption::MissingTensor => {
            tensors.pop();
        }
        _ => {
            let tensor = tensors.iter_mut().find(|tensor| tensor.shape.len() > 1).expect("a tensor of several axes");
            tensor.shape = vec![tensor.shape.iter().product()];
        }
    }
    write_tensors(file, &tensors, &metadata).expect("a writable file");
}

fn tensors(file: &TensorFile) -> Vec<NamedTensor> {
    let mut tensors = Vec::new();
    for name in file.names() {
        let name = name.to_string();
        let shape = file.shape(&name).expect("a listed tensor has a shape").to_vec();
        let data = match (file.f32(&name), file.u32(&name)) {
            (Ok(values), _) => TensorData::F32(values.into_owned()),
            (_, Ok(values)) => TensorData::U32(values.into_owned()),
            _ => panic!("{name} is neither f32 nor u32"),
        };
        tensors.push(NamedTensor { name, shape, data });
    }
    tensors
}
