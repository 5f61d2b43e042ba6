//! The list of jobs that a recipe means, and for each the reason why it must run or need not.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use longtail_artifact::cli::WithHint;
use longtail_artifact::{
    ImageMatch, RunLayout, StageSpec, StageState, Unfinished, stage_specs, stage_state, unfinished,
};
use longtail_recipe::{ClassifierRecipe, Recipe};
use serde_json::Value;

use crate::cli::Stage;

/// One seed of a recipe: the resolved recipe with that seed, and its folder.
#[derive(Clone)]
pub struct SeedRun {
    pub seed: u64,
    pub recipe: Recipe,
    pub dir: PathBuf,
    /// How the images stand to its own, once that was asked.
    pub images: ImageMatch,
}

impl SeedRun {
    pub fn new(recipe: Recipe, runs: &Path) -> Self {
        let seed = recipe.seed;
        let dir = runs.join(&recipe.recipe).join(format!("seed-{seed}"));
        Self { seed, recipe, dir, images: ImageMatch::NotCompared }
    }

    pub fn layout(&self) -> RunLayout {
        RunLayout::new(&self.dir)
    }
}

/// One start of one stage binary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub stage: Stage,
    pub variant: String,
    /// Only of a classifier.
    pub method: Option<String>,
}

impl Job {
    /// `representation/ce`, `classifier/mpcl/mpfa`: also its folder inside the run.
    pub fn label(&self) -> String {
        match &self.method {
            Some(method) => format!("{}/{}/{}", self.stage.name(), self.variant, method),
            None => format!("{}/{}", self.stage.name(), self.variant),
        }
    }

    pub fn dir(&self, run: &SeedRun) -> PathBuf {
        let layout = run.layout();
        match (self.stage, &self.method) {
            (Stage::Classifier, Some(method)) => layout.classifier(&self.variant, method),
            (Stage::Features, _) => layout.features(&self.variant),
            _ => layout.representation(&self.variant),
        }
    }

    /// What goes into this job's key.
    pub fn recipe_part(&self, run: &SeedRun) -> Result<Value> {
        Ok(match (self.stage, &self.method) {
            (Stage::Classifier, Some(method)) => run.recipe.classifier_part(&self.variant, method)?,
            (Stage::Features, _) => run.recipe.features_part(&self.variant)?,
            _ => run.recipe.representation_part(&self.variant)?,
        })
    }

    pub fn spec(&self, run: &SeedRun, device: &str) -> Result<StageSpec> {
        let (layout, part) = (run.layout(), self.recipe_part(run)?);
        Ok(match (self.stage, &self.method) {
            (Stage::Classifier, Some(method)) => {
                let views = views_read(&run.recipe, method);
                stage_specs::classifier(&layout, &run.images, &self.variant, views, part, device)
            }
            (Stage::Features, _) => stage_specs::features(&layout, &run.images, &self.variant, part, device),
            _ => stage_specs::representation(&layout, &run.images, part, device),
        })
    }

    /// What an unfinished run left.
    pub fn unfinished(&self, run: &SeedRun, device: &str) -> Result<Unfinished> {
        Ok(unfinished(&self.dir(run), &self.spec(run, device)?)?)
    }

    pub fn state(&self, run: &SeedRun, device: &str) -> Result<StageState> {
        Ok(stage_state(&self.dir(run), &self.spec(run, device)?)?)
    }
}

/// How many augmented views of stage 2 a method reads.
fn views_read(recipe: &Recipe, method: &str) -> usize {
    match recipe.classifiers.get(method) {
        Some(ClassifierRecipe::TailcalibX(_)) => recipe.features.views,
        _ => 0,
    }
}

/// Which jobs are wanted. Empty lists mean: what `rows` needs.
#[derive(Default)]
pub struct Filter {
    pub variants: Vec<String>,
    pub methods: Vec<String>,
    pub first: Option<Stage>,
    pub only: Option<Stage>,
}

/// The jobs of one seed in the order of work: all representations, all features, all classifiers.
///
/// # Errors
/// A variant or method that the recipe does not have.
pub fn jobs(recipe: &Recipe, filter: &Filter) -> Result<Vec<Job>> {
    check_names("representation", &filter.variants, recipe.representations.keys())?;
    check_names("classifier", &filter.methods, recipe.classifiers.keys())?;
    let pairs = pairs(recipe, filter);
    let mut variants: Vec<&str> = Vec::new();
    for (variant, _) in &pairs {
        if !variants.contains(variant) {
            variants.push(variant);
        }
    }
    let mut jobs = Vec::new();
    for stage in [Stage::Representation, Stage::Features] {
        jobs.extend(variants.iter().map(|variant| Job { stage, variant: (*variant).to_owned(), method: None }));
    }
    jobs.extend(pairs.iter().map(|(variant, method)| Job {
        stage: Stage::Classifier,
        variant: (*variant).to_owned(),
        method: Some((*method).to_owned()),
    }));
    jobs.retain(|job| filter.only.is_none_or(|stage| job.stage == stage));
    jobs.retain(|job| filter.first.is_none_or(|stage| job.stage >= stage));
    Ok(jobs)
}

/// (variant, method): those of `rows`, or with filters every pair that they let through.
fn pairs<'a>(recipe: &'a Recipe, filter: &Filter) -> Vec<(&'a str, &'a str)> {
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    if filter.variants.is_empty() && filter.methods.is_empty() {
        for row in &recipe.rows {
            let pair = (row.representation.as_str(), row.classifier.as_str());
            if !pairs.contains(&pair) {
                pairs.push(pair);
            }
        }
        return pairs;
    }
    let lets_through = |list: &[String], name: &String| list.is_empty() || list.contains(name);
    for variant in recipe.representations.keys().filter(|name| lets_through(&filter.variants, name)) {
        for method in recipe.classifiers.keys().filter(|name| lets_through(&filter.methods, name)) {
            pairs.push((variant, method));
        }
    }
    pairs
}

fn check_names<'a>(kind: &str, asked: &[String], known: impl Iterator<Item = &'a String> + Clone) -> Result<()> {
    for name in asked {
        if !known.clone().any(|candidate| candidate == name) {
            let names: Vec<&str> = known.clone().map(String::as_str).collect();
            return Err(anyhow!("the recipe has no {kind} named `{name}`"))
                .hint(&format!("it has: {}", names.join(", ")));
        }
    }
    Ok(())
}

/// What the plan says of a job.
#[derive(Debug, PartialEq, Eq)]
pub enum Intent {
    /// Nothing to do.
    UpToDate,
    /// Finished, and stands unless an earlier job of the plan changes its own output.
    UnlessInputsChange,
    /// To be run, for these reasons.
    Run(Vec<String>),
    /// Finished and stale, kept because of `--accept-stale`.
    KeptStale(Vec<String>),
    /// Another process is at work on it.
    Locked,
}

/// What the user allows.
#[derive(Clone, Copy, Default)]
pub struct Flags {
    pub force: bool,
    pub accept_stale: bool,
}

/// Turns a state into an intent. `upstream_runs`: an earlier job that it reads from is going to run; `left`: what an unfinished run left.
pub fn intent(state: StageState, flags: Flags, upstream_runs: bool, left: Unfinished) -> Intent {
    let Flags { force, accept_stale } = flags;
    match state {
        StageState::UpToDate if force => Intent::Run(vec!["--force".to_owned()]),
        StageState::UpToDate if upstream_runs => Intent::UnlessInputsChange,
        StageState::UpToDate => Intent::UpToDate,
        StageState::Stale { reasons } if accept_stale && !force => Intent::KeptStale(reasons),
        StageState::Stale { reasons } => Intent::Run(reasons),
        StageState::Missing => Intent::Run(vec![match left {
            Unfinished::Nothing => "not made yet".to_owned(),
            Unfinished::GoesOn { .. } if !upstream_runs && !force => {
                "interrupted; continues from its last checkpoint".to_owned()
            }
            Unfinished::GoesOn { step } | Unfinished::OfOthers { step } if force => {
                format!("not made yet; --force discards the checkpoint of step {step}, and its steps are lost")
            }
            // Only then are its inputs known.
            Unfinished::GoesOn { step } | Unfinished::OfOthers { step } if upstream_runs => {
                format!(
                    "not made yet; the checkpoint of step {step} is discarded unless the stages before make the same files again"
                )
            }
            Unfinished::GoesOn { step } | Unfinished::OfOthers { step } => format!(
                "not made yet; the checkpoint of step {step} comes from other settings or inputs: it is discarded and \
                 its steps are lost (to keep it, use another folder: --runs DIR)"
            ),
        }]),
        StageState::Locked { .. } => Intent::Locked,
    }
}

/// Whether `later` reads what `earlier` writes.
pub fn reads_from(later: &Job, earlier: &Job) -> bool {
    later.variant == earlier.variant && later.stage > earlier.stage
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(stage: Stage, variant: &str, method: Option<&str>) -> Job {
        Job { stage, variant: variant.to_owned(), method: method.map(str::to_owned) }
    }

    #[test]
    fn labels_are_the_folders_of_the_run() {
        assert_eq!(job(Stage::Representation, "ce", None).label(), "representation/ce");
        assert_eq!(job(Stage::Classifier, "ce", Some("crt")).label(), "classifier/ce/crt");
    }

    #[test]
    fn a_job_reads_from_earlier_stages_of_its_own_variant() {
        let backbone = job(Stage::Representation, "ce", None);
        assert!(reads_from(&job(Stage::Features, "ce", None), &backbone));
        assert!(!reads_from(&job(Stage::Features, "mpcl", None), &backbone));
        assert!(!reads_from(&backbone, &job(Stage::Features, "ce", None)));
    }

    #[test]
    fn intents_follow_the_state_and_the_flags() {
        let (none, force) = (Flags::default(), Flags { force: true, accept_stale: false });
        let nothing = Unfinished::Nothing;
        assert_eq!(intent(StageState::UpToDate, none, false, nothing), Intent::UpToDate);
        assert_eq!(intent(StageState::UpToDate, none, true, nothing), Intent::UnlessInputsChange);
        assert_eq!(intent(StageState::UpToDate, force, false, nothing), Intent::Run(vec!["--force".into()]));
        let stale = || StageState::Stale { reasons: vec!["epochs: 1 → 2".into()] };
        assert_eq!(intent(stale(), none, false, nothing), Intent::Run(vec!["epochs: 1 → 2".into()]));
        let accept = Flags { force: false, accept_stale: true };
        assert_eq!(intent(stale(), accept, false, nothing), Intent::KeptStale(vec!["epochs: 1 → 2".into()]));
        let why = |flags, upstream_runs, left| match intent(StageState::Missing, flags, upstream_runs, left) {
            Intent::Run(why) => why[0].clone(),
            _ => panic!("what is missing runs"),
        };
        let (mine, others) = (Unfinished::GoesOn { step: 7 }, Unfinished::OfOthers { step: 7 });
        assert_eq!(why(none, false, nothing), "not made yet");
        assert_eq!(why(none, false, mine), "interrupted; continues from its last checkpoint");
        let discarded = "not made yet; the checkpoint of step 7 comes from other settings or inputs: it is discarded \
                         and its steps are lost (to keep it, use another folder: --runs DIR)";
        assert_eq!(why(none, false, others), discarded);
        let perhaps =
            "not made yet; the checkpoint of step 7 is discarded unless the stages before make the same files again";
        assert_eq!([why(none, true, mine), why(none, true, others)], [perhaps; 2]);
        let forced = "not made yet; --force discards the checkpoint of step 7, and its steps are lost";
        assert_eq!([why(force, false, mine), why(force, true, mine), why(force, false, others)], [forced; 3]);
    }
}
