//! How long stages took on this machine: the source of the plan's estimates.
//!
//! They lie in `runs/NAME/timings.json`, outside every stage's folder: artifacts carry no date and no host.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::plan::Job;

/// Seconds of one finished job, and how many epochs they bought.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Timing {
    secs: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    epochs: Option<u64>,
}

/// The timings of one recipe, by job label.
pub struct Timings {
    file: PathBuf,
    jobs: BTreeMap<String, Timing>,
}

impl Timings {
    /// Reads them; a missing or damaged file means that nothing is known. What ran on a GPU says nothing of the CPU, nor back.
    pub fn read(recipe_dir: &Path, on_gpu: bool) -> Self {
        let file = recipe_dir.join(if on_gpu { "timings-cuda.json" } else { "timings.json" });
        let jobs = std::fs::read(&file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        Self { file, jobs }
    }

    /// Seconds that the job is expected to take, scaled by its epochs; None when it never ran here.
    pub fn estimate(&self, job: &Job, recipe_part: &Value) -> Option<f64> {
        let timing = self.jobs.get(&job.label())?;
        match (timing.epochs, epochs(job, recipe_part)) {
            (Some(then), Some(now)) if then > 0 => Some(timing.secs * now as f64 / then as f64),
            _ => Some(timing.secs),
        }
    }

    /// Notes how long a job took that ran from its beginning.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn note(&mut self, job: &Job, recipe_part: &Value, secs: f64) -> Result<()> {
        let timing = Timing { secs: (secs * 10.0).round() / 10.0, epochs: epochs(job, recipe_part) };
        self.jobs.insert(job.label(), timing);
        let text = serde_json::to_vec_pretty(&self.jobs)?;
        longtail_artifact::write_atomic(&self.file, &text)?;
        Ok(())
    }
}

/// The epochs of a representation; the other stages' time does not grow with one number.
fn epochs(job: &Job, recipe_part: &Value) -> Option<u64> {
    if job.stage != crate::cli::Stage::Representation {
        return None;
    }
    recipe_part.get("representation")?.get("epochs")?.as_u64()
}

/// `2 min 5 s`, `1 h 10 min`, `26 days`.
pub fn human(secs: f64) -> String {
    let whole = secs.max(0.0).round() as u64;
    match whole {
        0 => "under 1 s".to_owned(),
        1..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        3600..172_800 => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
        _ => format!("{} days", (secs / 86_400.0).round()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Stage;

    #[test]
    fn an_estimate_scales_with_the_epochs_and_survives_a_damaged_file() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let job = Job { stage: Stage::Representation, variant: "ce".into(), method: None };
        let mut timings = Timings::read(dir.path(), false);
        let part = |epochs: u64| serde_json::json!({"representation": {"epochs": epochs}});
        assert_eq!(timings.estimate(&job, &part(10)), None);
        timings.note(&job, &part(10), 30.0).expect("writable");
        assert_eq!(Timings::read(dir.path(), false).estimate(&job, &part(20)), Some(60.0));
        assert_eq!(Timings::read(dir.path(), true).estimate(&job, &part(20)), None, "the CPU's time");
        std::fs::write(dir.path().join("timings.json"), b"{ not json").expect("writable");
        assert_eq!(Timings::read(dir.path(), false).estimate(&job, &part(20)), None);
    }

    #[test]
    fn times_read_as_people_say_them() {
        assert_eq!(human(0.2), "under 1 s");
        assert_eq!(human(125.0), "2 min 5 s");
        assert_eq!(human(4200.0), "1 h 10 min");
        assert_eq!(human(26.4 * 86_400.0), "26 days");
    }
}
