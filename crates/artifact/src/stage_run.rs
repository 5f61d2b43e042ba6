//! A stage at work in its folder: lock, checkpoints, metrics, manifest.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::checkpoint;
use crate::lock::{self, FolderLock};
use crate::manifest::{self, FileRecord, Manifest};
use crate::stage::{key_of, missing_input};
use crate::state::finished_state;
use crate::{
    ArtifactError, Checkpoint, FileHash, MetricsWriter, NamedTensor, StageSpec, StageState, atomic, hash_file,
};

const METRICS: &str = "metrics.jsonl";

/// How to begin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BeginOptions {
    /// Make the files again, from the start, even if they are up to date.
    pub force: bool,
    /// Take finished files of another recipe or other inputs as they are.
    pub accept_stale: bool,
    /// Go on from a checkpoint of another kind of device.
    pub accept_device_change: bool,
}

/// What there is to do.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)]
pub enum Begin {
    /// Nothing: the files are there.
    UpToDate,
    /// Nothing either: the files are there and stale, and the user takes them as they are. stderr was told why.
    KeptStale,
    /// Work, under the folder's lock.
    Run(StageRun),
}

/// A stage's folder while the stage is at work. Dropping it frees the folder; what was not finished goes on from the newest
/// checkpoint at the next run.
#[derive(Debug)]
pub struct StageRun {
    folder: PathBuf,
    spec: StageSpec,
    key: String,
    inputs: BTreeMap<String, FileRecord>,
    accept_device_change: bool,
    images_changed: Option<String>,
    /// Hand-off files of a run before this one: they stay whole until this one finishes, and go with its manifest.
    _lock: FolderLock,
}

/// What an unfinished run left in a stage's folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfinished {
    /// No checkpoint.
    Nothing,
    /// A checkpoint that the stage goes on from.
    GoesOn {
        /// Steps that were done.
        step: u64,
    },
    /// A checkpoint of other settings or inputs, which the stage discards when it starts.
    OfOthers {
        /// Steps that were done.
        step: u64,
    },
}

/// What an unfinished run left in `dir` for a stage of `spec`. Where an input is not there yet, what it left is of others.
///
/// # Errors
/// An input that cannot be read.
pub fn unfinished(dir: &Path, spec: &StageSpec) -> Result<Unfinished, ArtifactError> {
    let checkpoints = dir.join("checkpoints");
    if !checkpoints.is_dir() {
        return Ok(Unfinished::Nothing);
    }
    let mut hashes = Vec::with_capacity(spec.inputs.len());
    for input in spec.inputs.iter().filter(|input| input.path.exists()) {
        hashes.push((input.name.clone(), hash_file(&input.path)?));
    }
    Ok(match checkpoint::newest_of(&checkpoints, &key_of(spec, &hashes)) {
        None => Unfinished::Nothing,
        Some((step, true)) => Unfinished::GoesOn { step },
        Some((step, false)) => Unfinished::OfOthers { step },
    })
}

impl StageRun {
    /// Takes the folder's lock, sweeps away temporary files of dead writers, and says whether there is work.
    ///
    /// The old manifest stays until [`Self::finish`] replaces it; a run that is killed leaves the old state stale, not broken.
    ///
    /// # Errors
    /// [`ArtifactError::Locked`], [`ArtifactError::OtherStage`], a missing input, or a file that cannot be read.
    pub fn begin(dir: &Path, spec: &StageSpec, options: BeginOptions) -> Result<Begin, ArtifactError> {
        let lock = match lock::take(dir) {
            Ok(lock) => lock,
            Err(error @ ArtifactError::Locked { .. }) => return Err(error),
            // On a disk that cannot be written, what is finished is finished all the same.
            Err(error) if options.force || lock::is_taken(dir) => return Err(error),
            Err(error) => return stands(dir, spec, options)?.ok_or(error),
        };
        // A damaged manifest makes the stage stale; it says nothing of whose folder this is.
        if let Ok(Some(manifest)) = Manifest::read(dir)
            && manifest.stage != spec.stage
        {
            return Err(ArtifactError::OtherStage { path: dir.to_owned(), found: manifest.stage, wanted: spec.stage });
        }
        let stands = if options.force { None } else { stands(dir, spec, options)? };
        if let Some(stands) = stands {
            // Killed between the manifest and the removal of the checkpoints, if anything is there; a disk that cannot be written keeps it.
            let _ = atomic::sweep(dir).and_then(|()| remove_folder(&dir.join("checkpoints")));
            return Ok(stands);
        }
        atomic::sweep(dir)?;
        let mut inputs = BTreeMap::new();
        let mut hashes = Vec::with_capacity(spec.inputs.len());
        for input in &spec.inputs {
            let hash = hash_file(&input.path).map_err(|error| missing_input(spec.stage, error))?;
            inputs.insert(input.name.clone(), FileRecord::of(&input.path, hash.clone())?);
            hashes.push((input.name.clone(), hash));
        }
        let run = Self {
            folder: dir.to_owned(),
            key: key_of(spec, &hashes),
            spec: spec.clone(),
            inputs,
            accept_device_change: options.accept_device_change,
            images_changed: None,
            _lock: lock,
        };
        let checkpoints = run.checkpoint_dir();
        if options.force {
            remove_folder(&checkpoints)?;
        }
        if checkpoints.exists() {
            atomic::sweep(&checkpoints)?;
        }
        Ok(Begin::Run(run))
    }

    /// The stage's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The stage's key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Where checkpoints lie.
    pub fn checkpoint_dir(&self) -> PathBuf {
        self.folder.join("checkpoints")
    }

    /// The newest sound checkpoint of this key; damaged ones are set aside as `*.bad`, those of
    /// other settings discarded, both with a line on stderr.
    ///
    /// # Errors
    /// The folder cannot be read, or [`ArtifactError::DeviceChange`].
    pub fn latest_checkpoint(&self) -> Result<Option<Checkpoint>, ArtifactError> {
        let folder = self.checkpoint_dir();
        let (found, warnings) = checkpoint::latest(&folder, &self.key, &self.spec.device, self.accept_device_change)?;
        for warning in warnings {
            eprintln!("warning: {warning}");
        }
        Ok(found)
    }

    /// Writes a checkpoint; the two newest are kept. `metrics_offset` is [`MetricsWriter::offset`] after a flush.
    ///
    /// # Errors
    /// The file cannot be written; earlier checkpoints are as they were.
    pub fn save_checkpoint(
        &self,
        step: u64,
        tensors: &[NamedTensor],
        state: &Value,
        metrics_offset: u64,
    ) -> Result<(), ArtifactError> {
        let checkpoint = Checkpoint { step, tensors: tensors.to_vec(), state: state.clone(), metrics_offset };
        checkpoint::save(&self.checkpoint_dir(), &self.key, &self.spec.device, &checkpoint)
    }

    /// Opens the metrics of this run, cut back to the checkpoint's offset, or to nothing for a run from the start.
    ///
    /// They lie beside the checkpoints until [`Self::finish`] puts them in their place: a run that fails leaves the
    /// `metrics.jsonl` of a finished one as it was.
    ///
    /// # Errors
    /// The file cannot be written, or is shorter than the offset.
    pub fn metrics(&mut self, resume_offset: Option<u64>) -> Result<MetricsWriter, ArtifactError> {
        let folder = self.checkpoint_dir();
        fs::create_dir_all(&folder).map_err(|source| ArtifactError::io("make the folder", &folder, source))?;
        MetricsWriter::open(&folder.join(METRICS), resume_offset.unwrap_or(0))
    }

    /// Says how the images changed while the stage read them, if they did: then what it made is of no one data set, and will be stale
    /// for good.
    pub fn images_changed(&mut self, words: Option<&str>) {
        self.images_changed = words.map(str::to_owned);
    }

    /// Writes the manifest, then removes the checkpoints: the stage is done.
    ///
    /// `outputs` are file names in the stage's folder with the hashes that their writers returned.
    ///
    /// # Errors
    /// [`ArtifactError::MissingOutput`], or a file that cannot be read or written.
    pub fn finish(self, outputs: &[(&str, FileHash)]) -> Result<(), ArtifactError> {
        let mut records = BTreeMap::new();
        for (name, hash) in outputs {
            let path = self.folder.join(name);
            if !path.is_file() {
                return Err(ArtifactError::MissingOutput { stage: self.spec.stage, path });
            }
            records.insert((*name).to_owned(), FileRecord::of(&path, hash.clone())?);
        }
        let manifest = Manifest {
            stage: self.spec.stage.to_owned(),
            key: self.key.clone(),
            code_version: self.spec.code_version,
            recipe_part: self.spec.recipe_part.clone(),
            inputs: self.inputs.clone(),
            outputs: records,
            device: self.spec.device.clone(),
            images_changed: self.images_changed.clone(),
        };
        // A copy: killed before the manifest is there, the next run cuts the original back to its checkpoint.
        let metrics = self.checkpoint_dir().join(METRICS);
        if metrics.is_file() {
            let lines = fs::read(&metrics).map_err(|source| ArtifactError::io("read", &metrics, source))?;
            atomic::write_atomic(&self.folder.join(METRICS), &lines)?;
        }
        manifest.write(&self.folder)?;
        debug_assert!(self.folder.join(manifest::NAME).is_file());
        remove_folder(&self.checkpoint_dir())
    }
}

/// Why what is in the folder needs no work: it is up to date, or stale, whole and accepted. `None` if it does.
fn stands(dir: &Path, spec: &StageSpec, options: BeginOptions) -> Result<Option<Begin>, ArtifactError> {
    match finished_state(dir, spec)? {
        StageState::UpToDate => Ok(Some(Begin::UpToDate)),
        StageState::Stale { reasons } if options.accept_stale && has_all_outputs(dir)? => {
            eprintln!("warning: `{}` is stale but kept: {}", dir.display(), reasons.join("; "));
            Ok(Some(Begin::KeptStale))
        }
        _ => Ok(None),
    }
}

fn has_all_outputs(dir: &Path) -> Result<bool, ArtifactError> {
    let manifest = Manifest::read(dir)?;
    Ok(manifest.is_some_and(|manifest| manifest.outputs.keys().all(|name| dir.join(name).is_file())))
}

fn remove_folder(dir: &Path) -> Result<(), ArtifactError> {
    match fs::remove_dir_all(dir) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(ArtifactError::io("remove", dir, source)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ImageMatch, StageInput, stage_state, write_atomic};
    use serde_json::json;

    fn spec(dir: &Path, epochs: u32) -> StageSpec {
        StageSpec {
            stage: "representation",
            code_version: 1,
            recipe_part: json!({"representation": {"epochs": epochs}}),
            inputs: vec![StageInput { name: "split.safetensors".into(), path: dir.join("split") }],
            device: "cpu".into(),
            images: ImageMatch::Same,
        }
    }

    fn run(stage: &Path, spec: &StageSpec, options: BeginOptions) -> Option<StageRun> {
        match StageRun::begin(stage, spec, options).expect("free") {
            Begin::UpToDate | Begin::KeptStale => None,
            Begin::Run(run) => Some(run),
        }
    }

    #[test]
    fn a_stage_runs_once_and_says_why_it_would_run_again() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let stage = dir.path().join("stage");
        let missing = StageRun::begin(&stage, &spec(dir.path(), 1), BeginOptions::default());
        assert!(matches!(missing, Err(ArtifactError::MissingInput { .. })));
        write_atomic(&dir.path().join("split"), b"one").expect("writable");
        let first = run(&stage, &spec(dir.path(), 1), BeginOptions::default()).expect("work");
        assert!(matches!(
            StageRun::begin(&stage, &spec(dir.path(), 1), BeginOptions::default()),
            Err(ArtifactError::Locked { .. })
        ));
        assert!(matches!(stage_state(&stage, &spec(dir.path(), 1)), Ok(StageState::Locked { .. })));
        first.save_checkpoint(3, &[], &Value::Null, 0).expect("writable");
        write_atomic(&stage.join("out"), b"result").expect("writable");
        let hash = hash_file(&stage.join("out")).expect("readable");
        first.finish(&[("out", hash)]).expect("finishes");
        assert!(!stage.join("checkpoints").exists());
        assert!(run(&stage, &spec(dir.path(), 1), BeginOptions::default()).is_none());
        let StageState::Stale { reasons } = stage_state(&stage, &spec(dir.path(), 2)).expect("readable") else {
            panic!("another recipe is stale");
        };
        assert_eq!(reasons, ["representation.epochs: 1 → 2"]);
        let accept = BeginOptions { accept_stale: true, ..BeginOptions::default() };
        let kept = StageRun::begin(&stage, &spec(dir.path(), 2), accept).expect("free");
        assert!(matches!(kept, Begin::KeptStale), "it is not called up to date: {kept:?}");
        let force = BeginOptions { force: true, ..BeginOptions::default() };
        assert!(run(&stage, &spec(dir.path(), 1), force).is_some());
        // A re-run of the stage before that gives the same bytes leaves this one valid; other bytes do not.
        write_atomic(&dir.path().join("split"), b"one").expect("writable");
        assert_eq!(stage_state(&stage, &spec(dir.path(), 1)).expect("readable"), StageState::UpToDate);
        write_atomic(&dir.path().join("split"), b"two").expect("writable");
        assert!(matches!(stage_state(&stage, &spec(dir.path(), 1)), Ok(StageState::Stale { .. })));
    }

    #[test]
    fn where_no_lock_can_be_taken_a_finished_stage_stands_and_another_says_so() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let stage = dir.path().join("stage");
        write_atomic(&dir.path().join("split"), b"one").expect("writable");
        let first = run(&stage, &spec(dir.path(), 1), BeginOptions::default()).expect("work");
        first.finish(&[]).expect("finishes");
        // As on a read-only disk, and for root too: the lock cannot be opened for writing.
        fs::remove_file(stage.join(".lock")).expect("there");
        fs::create_dir(stage.join(".lock")).expect("writable");
        assert!(run(&stage, &spec(dir.path(), 1), BeginOptions::default()).is_none());
        let accept = BeginOptions { accept_stale: true, ..BeginOptions::default() };
        assert!(run(&stage, &spec(dir.path(), 2), accept).is_none());
        let force = BeginOptions { force: true, ..BeginOptions::default() };
        for (epochs, options) in [(2, BeginOptions::default()), (1, force)] {
            let refused = StageRun::begin(&stage, &spec(dir.path(), epochs), options);
            assert!(matches!(refused, Err(ArtifactError::Io { .. })), "{refused:?}");
        }
    }

    #[test]
    fn a_stage_does_not_begin_in_the_folder_of_another() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let stage = dir.path().join("stage");
        write_atomic(&dir.path().join("split"), b"one").expect("writable");
        let first = run(&stage, &spec(dir.path(), 1), BeginOptions::default()).expect("work");
        first.finish(&[]).expect("finishes");
        let report = StageSpec { stage: "report", ..spec(dir.path(), 1) };
        for force in [false, true] {
            let begun = StageRun::begin(&stage, &report, BeginOptions { force, ..BeginOptions::default() });
            assert!(matches!(begun, Err(ArtifactError::OtherStage { .. })), "{begun:?}");
        }
        assert_eq!(stage_state(&stage, &spec(dir.path(), 1)).expect("readable"), StageState::UpToDate);
    }

    #[test]
    fn a_changed_output_makes_the_stage_stale() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let stage = dir.path().join("stage");
        write_atomic(&dir.path().join("split"), b"one").expect("writable");
        let first = run(&stage, &spec(dir.path(), 1), BeginOptions::default()).expect("work");
        write_atomic(&stage.join("out"), b"result").expect("writable");
        let hash = hash_file(&stage.join("out")).expect("readable");
        first.finish(&[("out", hash)]).expect("finishes");
        write_atomic(&stage.join("out"), b"resuld").expect("writable");
        assert!(matches!(stage_state(&stage, &spec(dir.path(), 1)), Ok(StageState::Stale { .. })));
    }
}
