//! The hand-off files: names, shapes, metadata, hashes; atomic write, mapped and checked read, stage keys, manifests, locks,
//! checkpoints, metrics, and the words in which every binary speaks of errors; and what lies in folders of photographs, of which the
//! plan and the reader must say the same.
//!
//! Three promises: a finished file is whole (written beside its place, synced, renamed); a read never trusts a size before it was
//! compared with the file's length; the bytes that are written are a function of the content alone.
//!
//! Not here: mathematics, and what the tensors in a file mean; that is their stage's.
//!
//! Where to start:
//!
//! - [`write_tensors`] and [`TensorFile`]: a safetensors file written whole, and read with every size, name and type checked.
//! - [`StageRun::begin`]: whether a stage is up to date, its lock, its checkpoints and its manifest; [`stage_specs`] says what each reads.
//! - [`RunLayout`]: where the files of a run lie. [`Manifest`]: what a finished stage was made of.
//! - [`cli`]: how every program parses, speaks of errors, hears Ctrl-C and leaves.
//!
//! ```
//! use longtail_artifact::{NamedTensor, TensorData, TensorFile, write_tensors};
//!
//! let folder = tempfile::tempdir()?;
//! let file = folder.path().join("head.safetensors");
//! let weight = NamedTensor { name: "weight".to_owned(), shape: vec![2, 3], data: TensorData::F32(vec![0.5; 6]) };
//! write_tensors(&file, &[weight], &serde_json::json!({"kind": "linear"}))?;
//!
//! let read = TensorFile::open(&file)?;
//! assert_eq!(read.expect_f32("weight", &[Some(2), Some(3)])?, [0.5; 6]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[macro_use]
#[doc(hidden)]
pub mod print;

mod atomic;
mod checkpoint;
pub mod class_folders;
pub mod cli;
pub mod code_versions;
mod convert;
mod device;
mod device_choice;
mod difference;
mod error;
pub mod escape;
mod hash;
mod images;
mod inspect;
mod json;
mod layout;
mod lock;
mod manifest;
mod mapped;
mod metrics;
mod numbers;
mod output;
mod stage;
mod stage_run;
pub mod stage_specs;
mod state;
mod tensor_file;
mod tensor_writer;
mod tensors;

pub use atomic::{publish, write_atomic, write_json_atomic};
pub use checkpoint::Checkpoint;
pub use cli::{
    Hint, Interrupted, WithHint, explained, init_threads, install_interrupt_handler, interrupted, progress, run_main,
};
pub use device::Device;
pub use device_choice::{DeviceChoice, Gpus};
pub use difference::{FieldDifference, as_read, field_differences};
pub use error::ArtifactError;
pub use hash::{FileHash, hash_file};
pub use images::{IDENTITY, ImageMatch, split_identity};
pub use inspect::{TensorCensus, census};
pub use json::canonical_json;
pub use layout::RunLayout;
pub use manifest::{FileRecord, Manifest};
pub use mapped::MappedFile;
pub use metrics::MetricsWriter;
pub use numbers::{counted, counted_are, percent};
pub use output::{OutputFile, OutputKind, check_outputs, is_same_file};
pub use stage::{StageInput, StageSpec, stage_key};
pub use stage_run::{Begin, BeginOptions, StageRun, Unfinished, unfinished};
pub use state::{StageState, stage_state};
pub use tensor_file::TensorFile;
pub use tensor_writer::{Element, Mark, TensorPlan, TensorWriter};
pub use tensors::{DType, NamedTensor, TensorData, write_tensors};
