//! What can go wrong with a file that stages hand on.

use std::path::PathBuf;

use thiserror::Error;

use crate::convert;
use crate::device::Device;

/// Every failure of this crate, with the path and the offending value.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ArtifactError {
    /// The system refused a file operation.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// Path of the file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// There is no such file.
    #[error("`{}` does not exist", path.display())]
    Missing {
        /// Path of the file.
        path: PathBuf,
    },
    /// The bytes are not what a hand-off file holds: cut short, altered, or of another kind.
    #[error("`{}` is damaged or not a hand-off file: {what}", path.display())]
    Damaged {
        /// Path of the file.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// A tensor that should be there is not.
    #[error("`{}` has no tensor `{name}`; it has {}", path.display(), listed(found))]
    MissingTensor {
        /// Path of the file.
        path: PathBuf,
        /// The missing name.
        name: String,
        /// The names that are there.
        found: Vec<String>,
    },
    /// A tensor of another element type.
    #[error("`{}`: tensor `{name}` is {found}, expected {expected}", path.display())]
    WrongType {
        /// Path of the file.
        path: PathBuf,
        /// Name of the tensor.
        name: String,
        /// Its element type.
        found: String,
        /// The expected one.
        expected: &'static str,
    },
    /// A value of another program's type that our type does not hold.
    #[error("`{}`: tensor `{name}` {found}, which does not fit {expected}", path.display())]
    ValueLost {
        /// Path of the file.
        path: PathBuf,
        /// Name of the tensor.
        name: Box<str>,
        /// Its type, the first such value, and where that stands, in words.
        found: Box<str>,
        /// Element type that the program uses.
        expected: &'static str,
        /// No conversion keeps it.
        is_too_large: bool,
    },
    /// A tensor of another shape.
    #[error("`{}`: tensor `{name}` has shape {found:?}, expected {expected}", path.display())]
    WrongShape {
        /// Path of the file.
        path: PathBuf,
        /// Name of the tensor.
        name: String,
        /// Shape of the tensor, outermost dimension first.
        found: Vec<usize>,
        /// The expected one; `any` for any size.
        expected: String,
    },
    /// NaN or infinity where numbers must be finite.
    #[error("`{}`: tensor `{name}` holds {value} at flat index {index}; every value must be finite", path.display())]
    NotFinite {
        /// Path of the file.
        path: PathBuf,
        /// Name of the tensor.
        name: String,
        /// Row-major position of the first bad value.
        index: usize,
        /// The value that is not finite.
        value: f64,
    },
    /// A tensor to be written has another number of values than its shape says.
    #[error("tensor `{name}` of shape {shape:?} was given {values} values")]
    WrongLength {
        /// Name of the tensor.
        name: String,
        /// Shape of the tensor, outermost dimension first.
        shape: Vec<usize>,
        /// The values given.
        values: usize,
    },
    /// Two tensors of one name.
    #[error("two tensors are called `{name}`")]
    DuplicateTensor {
        /// Name that occurs twice.
        name: String,
    },
    /// The file's own format refuses what was to be written.
    #[error("cannot encode `{}`: {what}", path.display())]
    Encode {
        /// Path of the file.
        path: PathBuf,
        /// Why it cannot be encoded.
        what: String,
    },
    /// Another process works in the stage's folder.
    #[error("another process is using `{}`", path.display())]
    Locked {
        /// Path of the folder.
        path: PathBuf,
    },
    /// A stage cannot begin: one of its inputs is not there.
    #[error("stage `{stage}` needs `{}`, which does not exist", path.display())]
    MissingInput {
        /// Name of the stage.
        stage: &'static str,
        /// Path of the file.
        path: PathBuf,
    },
    /// An output that the stage says it wrote is not there.
    #[error("stage `{stage}` finished without writing `{}`", path.display())]
    MissingOutput {
        /// Name of the stage.
        stage: &'static str,
        /// Path of the file.
        path: PathBuf,
    },
    /// A checkpoint was written on another kind of device.
    #[error("the checkpoint `{}` was written on {found}, but this run uses {wanted}", path.display())]
    DeviceChange {
        /// The checkpoint.
        path: PathBuf,
        /// The device that wrote it.
        found: String,
        /// The device of this run.
        wanted: String,
    },
    /// A GPU was asked for, and the program knows none.
    #[error("`--device {device}`: this `{stage}` was built without CUDA")]
    NoCuda {
        /// What was asked for.
        device: Device,
        /// Name of the stage.
        stage: &'static str,
    },
    /// A GPU was asked for that is not there.
    #[error("`--device {device}`: this device is not available: {why}")]
    NoDevice {
        /// What was asked for.
        device: Device,
        /// What the driver says.
        why: String,
    },
    /// The stage that a stage reads from is not what the recipe asks for.
    #[error("`{}` {what}", path.display())]
    Upstream {
        /// The folder of the earlier stage.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A folder of photographs that cannot be read as one.
    #[error("`{}`: {problem}", path.display())]
    Folder {
        /// Path of the folder.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A file that a tool was told to write where it must not.
    #[error("`{option} {}` {why}", path.display())]
    Output {
        /// The option that names it.
        option: &'static str,
        /// Path of the file.
        path: PathBuf,
        /// What would be lost or wrong.
        why: String,
        /// What the user can do.
        hint: &'static str,
    },
    /// The folder that a stage is to write to holds another stage's files.
    #[error("`{}` holds the finished stage `{found}`, whose files `{wanted}` would replace", path.display())]
    OtherStage {
        /// Path of the folder.
        path: PathBuf,
        /// The stage that its manifest names.
        found: String,
        /// The stage that was to begin there.
        wanted: &'static str,
    },
    /// A setting that this build does not know.
    #[error("{0}")]
    Setting(String),
}

impl ArtifactError {
    /// What the user can do about it, where that is known.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Io { source, .. } if is_full(source.kind()) => {
                "the disk or your quota is full: free some space and run the same command again; finished files did \
                 not change"
            }
            Self::Damaged { .. } | Self::NotFinite { .. } => {
                "run its stage again with `--force`; later stages that depend on it then run again too"
            }
            Self::WrongType { path, name, expected, .. } => {
                return Some(format!(
                    "another stage or another program wrote this file: `features inspect FILE` shows its contents; {}",
                    convert::command(path, name, expected)
                ));
            }
            Self::ValueLost { expected: "U32", .. } => {
                "labels, indices and counts must be whole numbers of 0 or more: leave out images of unknown classes"
            }
            Self::ValueLost { is_too_large: true, .. } => {
                "no conversion keeps this value: where the features are made, remove that row or scale all features down"
            }
            Self::ValueLost { path, name, expected, .. } => return Some(convert::command(path, name, expected)),
            Self::MissingTensor { .. } | Self::WrongShape { .. } => {
                "another stage or another recipe wrote this file: `features inspect FILE` shows its contents"
            }
            Self::MissingInput { .. } => {
                "first run the stage that makes it; `cargo xtask status NAME` lists the stages"
            }
            Self::Locked { .. } => "wait until it finishes, or stop it; the lock ends with the process",
            Self::Upstream { .. } => "run that stage again, or pass `--accept-stale` to use its files as they are",
            Self::DeviceChange { .. } => {
                "continue on that kind of device, or pass `--accept-device-change` (the result then differs slightly from an uninterrupted run)"
            }
            Self::NoCuda { stage, .. } => {
                return Some(format!(
                    "build one with CUDA: `cargo build --release -p longtail-{stage} --features cudnn --target-dir target/cuda` (needs \
                     NVIDIA's CUDA toolkit and cuDNN); `cargo xtask reproduce NAME --device cuda` builds every stage; \
                     or use `--device cpu`"
                ));
            }
            Self::Output { hint, .. } => hint,
            Self::OtherStage { .. } => "name another folder",
            Self::NoDevice { .. } => {
                "`nvidia-smi` shows the driver and its devices; `--device cpu` needs no GPU, and `auto` uses one if it is available"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }

    /// An I/O error; a file that is not there is named as such.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        let path = path.into();
        if source.kind() == std::io::ErrorKind::NotFound && action == "read" {
            return Self::Missing { path };
        }
        Self::Io { action, path, source }
    }
}

fn is_full(kind: std::io::ErrorKind) -> bool {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(kind, StorageFull | QuotaExceeded | FileTooLarge)
}

fn listed(names: &[String]) -> String {
    const MOST: usize = 12;
    if names.is_empty() {
        return "none".to_owned();
    }
    let shown: Vec<String> = names.iter().take(MOST).map(|name| format!("`{name}`")).collect();
    let more = if names.len() > MOST { format!(" and {} more", names.len() - MOST) } else { String::new() };
    format!("{}{more}", shown.join(", "))
}
