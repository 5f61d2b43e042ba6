//! Every dump of one variant: finished ones are kept, the one that was stopped goes on.

use longtail_artifact::{FileHash, StageRun, hash_file};
use longtail_stage::Terminal;
use serde_json::{Value, json};

use crate::dump::{DumpRun, Progress};
use crate::{Dump, FeaturesError, FrozenBackbone};

/// Makes every dump that an earlier run did not finish, in order, and moves all to their places together.
///
/// They are collected beside the checkpoints: a run that fails half way leaves the files of an earlier one as they were.
///
/// # Errors
/// Everything that keeps it from finishing.
pub(crate) fn dump_all(
    stage: &StageRun,
    backbone: &mut FrozenBackbone,
    dumps: &[Dump<'_>],
    terminal: &Terminal,
) -> Result<Vec<(String, FileHash)>, FeaturesError> {
    let (mut finished, mut stopped) = before(stage)?;
    let mut images_before = 0;
    for dump in dumps {
        let file = file_of(dump);
        let images = dump.loader.len() as u64;
        if !finished.iter().any(|(name, _)| *name == file) {
            let path = stage.checkpoint_dir().join(&file);
            let run = DumpRun::begin(dump, backbone, &path, stopped.take())?;
            if run.rows() > 0 {
                terminal.say(&format!("`{}` continues at image {} of {images}", dump.name, run.rows()));
            }
            terminal.message(&dump.name);
            terminal.jump(images_before + run.rows() as u64);
            let step = images_of(dumps, &finished);
            let save = |progress: &Progress| {
                let (at_work, tensors) = progress.to_state();
                let state = json!({"finished": finished, "at_work": at_work});
                Ok(stage.save_checkpoint(step + progress.rows() as u64, &tensors, &state, 0)?)
            };
            let hash = run.finish(backbone, save, |images| terminal.add(images as u64))?;
            finished.push((file, hash));
            stage.save_checkpoint(step + images, &[], &json!({"finished": finished}), 0)?;
        }
        images_before += images;
        terminal.jump(images_before);
    }
    move_into_place(stage, &finished)?;
    Ok(finished)
}

fn file_of(dump: &Dump<'_>) -> String {
    format!("{}.safetensors", dump.name)
}

/// Images of the finished dumps: with those of the dump at work, the step of a checkpoint.
fn images_of(dumps: &[Dump<'_>], finished: &[(String, FileHash)]) -> u64 {
    let is_finished = |dump: &&Dump<'_>| finished.iter().any(|(name, _)| *name == file_of(dump));
    dumps.iter().filter(is_finished).map(|dump| dump.loader.len() as u64).sum()
}

/// The dumps that a run before this one finished, as far as their files are still what they were, here or in place already;
/// and how far it had come with the next.
#[allow(clippy::type_complexity, reason = "said in the line above")]
fn before(stage: &StageRun) -> Result<(Vec<(String, FileHash)>, Option<Progress>), FeaturesError> {
    let Some(checkpoint) = stage.latest_checkpoint()? else { return Ok((Vec::new(), None)) };
    let listed: Vec<(String, FileHash)> =
        serde_json::from_value(checkpoint.state["finished"].clone()).unwrap_or_default();
    let mut sound = Vec::new();
    for (name, hash) in listed {
        let places = [stage.checkpoint_dir().join(&name), stage.folder().join(&name)];
        if places.iter().any(|path| hash_file(path).is_ok_and(|found| found == hash)) {
            sound.push((name, hash));
        }
    }
    let at_work: &Value = &checkpoint.state["at_work"];
    Ok((sound, Progress::from_state(at_work, &checkpoint.tensors)))
}

/// Renames every finished dump over the one of an earlier run; a dump that was moved before a kill is in place already.
fn move_into_place(stage: &StageRun, finished: &[(String, FileHash)]) -> Result<(), FeaturesError> {
    for (name, _) in finished {
        let (from, to) = (stage.checkpoint_dir().join(name), stage.folder().join(name));
        if from.exists() {
            fs_err::rename(&from, &to).map_err(FeaturesError::Move)?;
        }
    }
    Ok(())
}
