//! One dump: a split's images through the frozen backbone, into one file; stopped at any batch and gone on with.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use longtail_artifact::{
    DType, FileHash, Interrupted, Mark, NamedTensor, TensorData, TensorPlan, TensorWriter, counted, interrupted,
};
use longtail_datasets::{Batch, EvalLoader};
use longtail_training::CheckpointClock;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{FeaturesError, FrozenBackbone};

/// So many minutes of work are lost when a dump is killed. A checkpoint syncs what was written since the last one.
const CHECKPOINT_MINUTES: f64 = 3.0;

/// What is dumped.
pub struct Dump<'a> {
    /// `train`, `meta`, `val`, `test`, or `train-view-V`.
    pub name: String,
    /// The images, in the split's order.
    pub loader: EvalLoader,
    /// Whether they come from the data set's test file.
    pub from_test: bool,
    /// Training images per class, (K,).
    pub class_counts: &'a [u32],
    /// What was done to the images.
    pub transforms: Value,
}

/// A number of rows, and the bytes that they took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct RowMark {
    rows: usize,
    #[serde(flatten)]
    mark: Mark,
}

/// How far a dump has come: what a checkpoint holds of it. The features themselves are in the part file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Progress {
    name: String,
    marks: Vec<RowMark>,
    labels: Vec<u32>,
    indices: Vec<u32>,
}

impl Progress {
    /// Rows that are done.
    pub fn rows(&self) -> usize {
        self.labels.len()
    }

    /// As a checkpoint's JSON and tensors.
    pub fn to_state(&self) -> (Value, Vec<NamedTensor>) {
        let tensors = vec![vector("indices", &self.indices), vector("labels", &self.labels)];
        (json!({"name": self.name, "marks": self.marks}), tensors)
    }

    /// Back from a checkpoint; None when it holds no dump at work.
    pub fn from_state(state: &Value, tensors: &[NamedTensor]) -> Option<Self> {
        let name = state["name"].as_str()?.to_owned();
        let marks: Vec<RowMark> = serde_json::from_value(state["marks"].clone()).ok()?;
        let find = |name: &str| match tensors.iter().find(|tensor| tensor.name == name).map(|tensor| &tensor.data) {
            Some(TensorData::U32(values)) => Some(values.clone()),
            _ => None,
        };
        let (labels, indices) = (find("labels")?, find("indices")?);
        let fits = indices.len() == labels.len() && marks.iter().all(|mark| mark.rows <= labels.len());
        fits.then_some(Self { name, marks, labels, indices })
    }

    /// Whether it is of the dump called `name`.
    pub fn is_of(&self, name: &str) -> bool {
        self.name == name
    }
}

/// A dump at work on its part file, which is the beginning of the file that it becomes.
pub struct DumpRun<'a> {
    dump: &'a Dump<'a>,
    writer: TensorWriter,
    progress: Progress,
    dim: usize,
}

impl<'a> DumpRun<'a> {
    /// Begins the file `path`, or goes on with its part as far as `before` and the part's content vouch for each other.
    ///
    /// # Errors
    /// A file that cannot be read or written.
    pub fn begin(
        dump: &'a Dump<'a>,
        backbone: &FrozenBackbone,
        path: &Path,
        before: Option<Progress>,
    ) -> Result<Self, FeaturesError> {
        let dim = backbone.feature_dim();
        let (plans, metadata) = layout(dump, backbone);
        let part = part_of(path);
        if let Some(mut progress) = before.filter(|before| before.is_of(&dump.name)) {
            if !part.exists() && path.exists() {
                // Killed after the file had its name, before a checkpoint said so.
                fs_err::rename(path, &part).map_err(FeaturesError::Move)?;
            }
            let marks: Vec<Mark> = progress.marks.iter().map(|mark| mark.mark.clone()).collect();
            let found = TensorWriter::resume(path, &part, &plans, &metadata, &marks)?;
            let kept = found.as_ref().map_or(0, |(_, mark)| progress.marks[*mark].rows);
            if kept < progress.rows() {
                let (part, rows) = (part.display(), counted(progress.rows(), "row"));
                eprintln!("warning: `{part}` is damaged: {kept} of its {rows} are kept, the others are computed again");
            }
            if let Some((writer, mark)) = found {
                progress.marks.truncate(mark + 1);
                progress.labels.truncate(kept);
                progress.indices.truncate(kept);
                return Ok(Self { dump, writer, progress, dim });
            }
        }
        let writer = TensorWriter::create_part(path, &part, &plans, &metadata)?;
        Ok(Self { dump, writer, progress: Progress { name: dump.name.clone(), ..Progress::default() }, dim })
    }

    /// Rows that were done before.
    pub fn rows(&self) -> usize {
        self.progress.rows()
    }

    /// Runs the remaining images through the backbone and gives the file its name. `save` writes a checkpoint, every
    /// few minutes and before an interrupted run leaves; `done` is told the images of each batch. Neither the batches' size nor
    /// where an earlier process stopped changes a bit.
    ///
    /// # Errors
    /// Images or files that cannot be read or written, a feature that is not finite, or [`Interrupted`].
    pub fn finish(
        mut self,
        backbone: &mut FrozenBackbone,
        mut save: impl FnMut(&Progress) -> Result<(), FeaturesError>,
        mut done: impl FnMut(usize),
    ) -> Result<FileHash, FeaturesError> {
        let mut clock = CheckpointClock::start(CHECKPOINT_MINUTES);
        // The batches may have another size than those of the process that stopped: the first may be half done.
        let batch_size = self.dump.loader.batch_size();
        let (first, mut skip) = (self.rows() / batch_size, self.rows() % batch_size);
        let (mut batches, mut started) = ((1..).zip(self.dump.loader.iter_from(first)), VecDeque::new());
        while backbone.take()?.is_some() {} // of a dump that ended early
        loop {
            if let Some((step, batch)) = batches.next() {
                let batch = batch?;
                backbone.start(&batch.images, batch.len)?;
                started.push_back((step, Batch { images: Vec::new(), ..batch }));
                if started.len() <= backbone.ahead() {
                    continue; // the backbone is not to wait for what is done with its features
                }
            }
            let Some((step, batch)) = started.pop_front() else { break };
            let rows = backbone.take()?.unwrap_or_default();
            self.check_finite(&rows, &batch.indices)?;
            self.writer.append("features", &rows[skip * self.dim..])?;
            self.progress.labels.extend_from_slice(&batch.labels[skip..]);
            self.progress.indices.extend_from_slice(&batch.indices[skip..]);
            done(batch.len - skip);
            skip = 0;
            if interrupted() || clock.is_due(step) {
                let mark = self.writer.mark()?;
                self.progress.marks.push(RowMark { rows: self.rows(), mark });
                save(&self.progress)?;
                clock.saved(step);
            }
            if interrupted() {
                return Err(Interrupted.into());
            }
        }
        self.writer.append("class_counts", self.dump.class_counts)?;
        self.writer.append("indices", &self.progress.indices)?;
        self.writer.append("labels", &self.progress.labels)?;
        Ok(self.writer.finish()?)
    }

    fn check_finite(&self, rows: &[f32], indices: &[u32]) -> Result<(), FeaturesError> {
        let Some(at) = rows.iter().position(|value| !value.is_finite()) else { return Ok(()) };
        Err(FeaturesError::NotFinite {
            split: if self.dump.from_test { "test" } else { "training" },
            index: indices[at / self.dim],
            dimension: at % self.dim,
            value: rows[at],
        })
    }
}

/// Where the dump `path` is made.
fn part_of(path: &Path) -> PathBuf {
    path.with_extension("safetensors.part")
}

fn layout(dump: &Dump<'_>, backbone: &FrozenBackbone) -> (Vec<TensorPlan>, Value) {
    let (count, dim, classes) = (dump.loader.len(), backbone.feature_dim(), dump.class_counts.len());
    let plan = |name: &str, dtype, shape| TensorPlan { name: name.to_owned(), dtype, shape };
    let plans = vec![
        plan("features", DType::F32, vec![count, dim]),
        plan("labels", DType::U32, vec![count]),
        plan("indices", DType::U32, vec![count]),
        plan("class_counts", DType::U32, vec![classes]),
    ];
    let metadata = json!({
        "split": dump.name,
        "images_of": if dump.from_test { "test" } else { "train" },
        "transforms": dump.transforms,
        "backbone": backbone.hash(),
        "feature_dim": dim,
        "num_classes": classes,
    });
    (plans, metadata)
}

fn vector(name: &str, values: &[u32]) -> NamedTensor {
    NamedTensor { name: name.to_owned(), shape: vec![values.len()], data: TensorData::U32(values.to_vec()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_comes_back_from_a_checkpoint_and_contradictions_are_refused() {
        let mark = RowMark { rows: 2, mark: Mark { bytes: 100, blake3: "ab".into() } };
        let progress = Progress { name: "train".into(), marks: vec![mark], labels: vec![1, 2], indices: vec![5, 6] };
        let (state, tensors) = progress.to_state();
        assert_eq!(Progress::from_state(&state, &tensors), Some(progress.clone()));
        assert_eq!(Progress::from_state(&Value::Null, &tensors), None);
        assert_eq!(Progress::from_state(&state, &tensors[..1]), None);
        let shorter = Progress { labels: vec![1], ..progress }.to_state().1;
        assert_eq!(Progress::from_state(&state, &shorter), None);
    }
}
