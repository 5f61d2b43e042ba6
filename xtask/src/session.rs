//! What `reproduce` and `run` share: make the plan, check everything that can be checked, then start the stages in order.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use longtail_artifact::class_folders::PassedOver;
use longtail_artifact::cli::{self, WithHint, disk};
use longtail_artifact::{ImageMatch, StageState, Unfinished};
use longtail_recipe::Dataset;

use crate::binaries::{self, Binaries};
use crate::child::Stdout;
use crate::cli::{ExecuteArgs, RecipeArgs, Stage};
use crate::done::{Done, what_ran};
use crate::estimate::{self, Images};
use crate::images::{self, Verdicts};
use crate::plan::{self, Filter, Flags, Intent, Job, SeedRun};
use crate::plan_view::{self, Entry};
use crate::run_lock::{self, RunLocks};
use crate::setup::{self, Need};
use crate::stage_command;
use crate::stage_device::StageDevice;
use crate::timings::{self, Timings};
use crate::{fetch, fits, seeds, simd, workspace};

/// What is asked for.
pub struct Request<'a> {
    pub recipe: &'a RecipeArgs,
    pub seeds: u32,
    pub filter: Filter,
    pub execute: &'a ExecuteArgs,
    /// Finish with the report.
    pub report: bool,
}

/// A request, checked: the recipe for every seed and the jobs.
pub struct Session<'a> {
    pub root: &'a Path,
    pub execute: &'a ExecuteArgs,
    pub device: StageDevice,
    pub runs: Vec<SeedRun>,
    pub jobs: Vec<Job>,
    /// `runs/NAME`.
    pub recipe_dir: PathBuf,
    /// Of a folder of photographs that is there: files that are not read.
    pub passed_over: Option<PassedOver>,
    /// The recipe's file and what the user changes in it.
    recipe: (PathBuf, &'a RecipeArgs),
    /// The stage to begin at, if not the first.
    first: Option<Stage>,
    report: bool,
}

/// What is needed before a stage can start: the run folders for ourselves, and the programs.
struct Ready {
    locks: RunLocks,
    binaries: Binaries,
}

/// Does what was asked.
///
/// # Errors
/// Anything that prevents a stage from starting, or stops it.
pub fn run(root: &Path, request: Request) -> Result<ExitCode> {
    cli::install_interrupt_handler();
    simd::in_use()?; // a wrong word in the environment, before anything is built
    let mut session = Session::new(root, request)?;
    session.device.require(session.execute.dry_run)?;
    let ready = session.compare_images()?;
    if let Some(first) = session.first {
        session.check_stages_before(first)?;
    }
    let mut timings = Timings::read(&session.recipe_dir, session.device.is_gpu());
    let entries = session.entries(&timings)?;
    session.refuse_without_data(&entries)?;
    plan_view::print(&session, &entries)?;
    session.refuse_locked(&entries)?;
    session.check_disk(&entries)?;
    if session.execute.dry_run {
        if let Some(datasets) = binaries::built("datasets") {
            session.check_fits(&datasets, &entries)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let Ready { mut locks, binaries } = match ready {
        Some(ready) => ready,
        None => session.prepare()?,
    };
    session.check_fits(binaries.path("datasets")?, &entries)?;
    if !entries.iter().all(|entry| matches!(entry.intent, Intent::UpToDate | Intent::KeptStale(_))) {
        locks.for_work()?;
    }
    session.write_recipes()?;
    if reads_images(&entries) {
        session.check_data(&binaries)?;
    }
    let done = session.work(&binaries, &mut timings)?;
    session.say_what_ran(&done);
    let code = if session.report { session.report(&binaries)? } else { 0 };
    plan_view::finish(&session, &done, code)?;
    Ok(ExitCode::from(code))
}

impl<'a> Session<'a> {
    fn new(root: &'a Path, request: Request<'a>) -> Result<Self> {
        let Request { recipe: arguments, seeds, filter, execute, report } = request;
        let file = workspace::recipe_file(root, &arguments.name)?;
        let runs_dir = workspace::runs_dir(root, &arguments.runs)?;
        let runs = seeds::read(&file, arguments, seeds, &runs_dir)?;
        let recipe = &runs[0].recipe;
        let recipe_dir = runs_dir.join(&recipe.recipe);
        let jobs = plan::jobs(recipe, &filter)?;
        let passed_over = fetch::passed_over(root, recipe.data.dataset, execute.data.as_deref());
        Ok(Session {
            root,
            execute,
            device: StageDevice::of(execute.device),
            runs,
            jobs,
            recipe_dir,
            passed_over,
            recipe: (file, arguments),
            first: filter.only.or(filter.first),
            report,
        })
    }

    /// Asks how the images stand to those that the runs were made from, where something was made. For that the programs are built,
    /// but for a plan alone: it takes what is built.
    fn compare_images(&mut self) -> Result<Option<Ready>> {
        let data = self.execute.data.as_deref();
        if images::drawn(&self.recipe_dir).is_empty() {
            Verdicts::default().put(&mut self.runs);
            return Ok(None);
        }
        fetch::refuse_wrong_folder(&self.runs[0].recipe, data)?;
        let ready = if self.execute.dry_run { None } else { Some(self.prepare()?) };
        let program = match &ready {
            Some(ready) => Some(ready.binaries.path("datasets")?.to_owned()),
            None => binaries::built("datasets"),
        };
        let verdicts = match program {
            Some(program) => {
                let recipe = (self.recipe.0.as_path(), self.recipe.1);
                images::compare(self.root, &program, recipe, data, &self.recipe_dir, ready.is_some())?
            }
            None => Verdicts::not_compared("the programs are not built yet"),
        };
        if let Some(why) = &verdicts.unknown {
            eprintln!("warning: the images could not be compared with those that the runs were made from: {why}");
        }
        if let Some(note) = verdicts.note.as_ref().filter(|note| !verdicts.is_reason(note)) {
            eprintln!("warning: {note}");
        }
        verdicts.put(&mut self.runs);
        Ok(ready)
    }

    fn prepare(&self) -> Result<Ready> {
        if !binaries::are_prebuilt() {
            setup::ensure(&[Need::CCompiler, Need::OpenBlas], self.execute.setup)?;
        }
        let locks = run_lock::take(self.root, self.runs.iter().map(|run| run.dir.as_path()))?;
        let binaries = binaries::build(self.root, &binaries::ALL, self.device.gpus)?;
        self.device.require_started(binaries.on_gpus())?;
        Ok(Ready { locks, binaries })
    }

    /// Every job of every seed with what is to become of it.
    fn entries(&self, timings: &Timings) -> Result<Vec<Entry>> {
        let mut entries: Vec<Entry> = Vec::new();
        for run in &self.runs {
            let images = Images::of(&run.recipe.data, self.execute.data.as_deref());
            for job in &self.jobs {
                let runs_before = |entry: &&Entry| entry.seed == run.seed && plan::reads_from(job, &entry.job);
                let upstream_runs =
                    entries.iter().filter(runs_before).any(|entry| matches!(entry.intent, Intent::Run(_)));
                let state = job.state(run, &self.device.word)?;
                let left = match job.unfinished(run, &self.device.word)? {
                    // Of other images.
                    Unfinished::GoesOn { step } if run.images.reason().is_some() => Unfinished::OfOthers { step },
                    left => left,
                };
                let mut intent = plan::intent(state, self.flags(), upstream_runs, left);
                if let (Intent::Run(why), Some(others)) = (&mut intent, run.images.reason())
                    && !why.iter().any(|reason| reason == others)
                {
                    why.push(others.to_owned());
                }
                let part = job.recipe_part(run)?;
                entries.push(Entry {
                    seed: run.seed,
                    job: job.clone(),
                    intent,
                    secs: timings.estimate(job, &part),
                    // What is known of speed before a first run is known of CPUs.
                    rough_secs: images
                        .filter(|_| !self.device.is_gpu())
                        .and_then(|images| estimate::rough_secs(&run.recipe, job, &images)),
                    bytes: images.map(|images| estimate::disk_bytes(&run.recipe, job, &images)),
                });
            }
        }
        Ok(entries)
    }

    fn flags(&self) -> Flags {
        Flags { force: self.execute.force, accept_stale: self.execute.accept_stale }
    }

    /// `--from` and `run STAGE` leave the stages before alone: those must be there.
    fn check_stages_before(&self, first: Stage) -> Result<()> {
        if self.execute.accept_stale || first == Stage::Representation {
            return Ok(());
        }
        let filter = Filter {
            variants: self.jobs.iter().map(|job| job.variant.clone()).collect(),
            methods: self.jobs.iter().filter_map(|job| job.method.clone()).collect(),
            ..Filter::default()
        };
        for run in &self.runs {
            for job in plan::jobs(&run.recipe, &filter)? {
                let needed = job.stage < first
                    && (first == Stage::Report || self.jobs.iter().any(|own| plan::reads_from(own, &job)));
                if !needed {
                    continue;
                }
                let why = match job.state(run, &self.device.word)? {
                    StageState::UpToDate => continue,
                    StageState::Stale { reasons } => format!("is stale: {}", reasons.join("; ")),
                    StageState::Missing => "is not there".to_owned(),
                    StageState::Locked { .. } => "is being written by another process".to_owned(),
                };
                let place = workspace::shown(self.root, &run.dir);
                return Err(anyhow!("cannot start at `{}`: {place}/{} {why}", first.name(), job.label())).hint(
                    &format!(
                        "make it first: `{}`, without --from; or pass --accept-stale to use the existing files",
                        self.recipe.1.command("reproduce", self.execute.data.as_deref())
                    ),
                );
            }
        }
        Ok(())
    }

    /// Before anything is printed or built; a dry run needs no data.
    fn refuse_without_data(&self, entries: &[Entry]) -> Result<()> {
        if self.execute.dry_run || !reads_images(entries) {
            return Ok(());
        }
        let refusal = {
            let (recipe, data) = (&self.runs[0].recipe, self.execute.data.as_deref());
            fetch::refuse_without_data(self.root, recipe, &self.recipe.1.command("reproduce", None), data)
        };
        match self.runs.iter().find_map(|run| run.images.reason()) {
            Some(others) => refusal.context(others.to_owned()),
            None => refusal,
        }
    }

    fn refuse_locked(&self, entries: &[Entry]) -> Result<()> {
        let Some(entry) = entries.iter().find(|entry| entry.intent == Intent::Locked) else {
            return Ok(());
        };
        if self.execute.dry_run {
            return Ok(());
        }
        Err(anyhow!("another process is using {} of seed {}", entry.job.label(), entry.seed))
            .hint("wait for it, or stop it; nothing was changed")
    }

    fn check_disk(&self, entries: &[Entry]) -> Result<()> {
        // What is not known is not refused.
        let needed: u64 = entries
            .iter()
            .filter(|entry| matches!(entry.intent, Intent::Run(_) | Intent::UnlessInputsChange))
            .filter_map(|entry| entry.bytes)
            .sum();
        match disk::free_bytes(&self.recipe_dir) {
            Some(free) if free < needed => Err(anyhow!(
                "not enough disk for {}: up to {} needed, {} free",
                workspace::shown(self.root, &self.recipe_dir),
                disk::human(needed),
                disk::human(free)
            ))
            .hint("free some space, or choose another folder with --runs DIR"),
            _ => Ok(()),
        }
    }

    fn write_recipes(&self) -> Result<()> {
        for run in &self.runs {
            let (file, text) = (run.layout().recipe(), run.recipe.to_yaml());
            if std::fs::read(&file).ok().as_deref() != Some(text.as_bytes()) {
                fs_err::create_dir_all(&run.dir)?;
                longtail_artifact::write_atomic(&file, text.as_bytes())?;
            }
        }
        Ok(())
    }

    /// Before any work: what a stage would refuse once it starts.
    fn check_fits(&self, datasets: &Path, entries: &[Entry]) -> Result<()> {
        let recipe = (self.recipe.0.as_path(), self.recipe.1, self.runs[0].dir.as_path());
        fits::check(self.root, datasets, recipe, self.execute.data.as_deref(), entries, self.execute.dry_run)
    }

    fn check_data(&self, binaries: &Binaries) -> Result<()> {
        let arguments = stage_command::data_check(
            &self.runs[0].layout().recipe(),
            self.execute.data.as_deref(),
            &[],
            false,
            self.execute.accept_stale,
            false,
        )?;
        match crate::child::run(self.root, binaries.path("datasets")?, &arguments, self.stdout())? {
            0 => Ok(()),
            1 => {
                match self.runs[0].recipe.data.dataset {
                    Dataset::ImageFolder => {
                        eprintln!("warning: the images have the problems listed above; continuing with them")
                    }
                    _ => eprintln!(
                        "warning: the data set differs from the published one, as listed above; continuing with it"
                    ),
                }
                Ok(())
            }
            _ => Err(anyhow!("the data set has problems; no stage was started")).hint("see the problems above"),
        }
    }

    /// Runs what must run. States are looked up again one by one: an earlier stage may have given the same bytes as before.
    fn work(&self, binaries: &Binaries, timings: &mut Timings) -> Result<Vec<Done>> {
        let mut done = Vec::new();
        for run in &self.runs {
            let (mut run, mut has_census) = (run.clone(), false);
            for job in &self.jobs {
                let state = job.state(&run, &self.device.word)?;
                let intent = plan::intent(state, self.flags(), false, Unfinished::Nothing);
                let started = Instant::now();
                let kept_stale = matches!(intent, Intent::KeptStale(_));
                let ran = match intent {
                    Intent::Run(_) => {
                        self.start(binaries, timings, &run, job, has_census)?;
                        if job.stage == Stage::Representation {
                            has_census = true;
                            run.images = ImageMatch::Same; // it has drawn the split from them
                        }
                        true
                    }
                    Intent::Locked => {
                        return Err(anyhow!("another process is using {} of seed {}", job.label(), run.seed))
                            .hint("wait for it, or stop it");
                    }
                    _ => false,
                };
                let (seed, label, secs) = (run.seed, job.label(), started.elapsed().as_secs_f64());
                done.push(Done { seed, label, ran, kept_stale, secs });
            }
        }
        Ok(done)
    }

    fn start(
        &self,
        binaries: &Binaries,
        timings: &mut Timings,
        run: &SeedRun,
        job: &Job,
        has_census: bool,
    ) -> Result<()> {
        let (name, started) = (job.stage.name(), Instant::now());
        let resumes = matches!(job.unfinished(run, &self.device.word)?, Unfinished::GoesOn { .. });
        eprintln!("[seed {}] {} …", run.seed, job.label());
        let arguments = stage_command::stage(self.root, run, job, self.execute, &self.device.word, has_census)?;
        let code = crate::child::run(self.root, binaries.path(name)?, &arguments, self.stdout())?;
        if code != 0 {
            return Err(anyhow!(
                "stage `{}` of `{}` (seed {}) stopped with code {code}",
                job.label(),
                run.recipe.recipe,
                run.seed
            ))
            .hint("see its message above; after fixing it, run the same command again to continue");
        }
        let secs = started.elapsed().as_secs_f64();
        eprintln!("[seed {}] {} done in {}", run.seed, job.label(), timings::human(secs));
        if !resumes && let Err(error) = timings.note(job, &job.recipe_part(run)?, secs) {
            // The next plan has no estimate for it; that is no reason to stop.
            eprintln!("warning: the running time cannot be saved: {error:#}");
        }
        Ok(())
    }

    fn say_what_ran(&self, done: &[Done]) {
        let Some(words) = what_ran(&self.runs[0].recipe.recipe, done) else { return };
        if self.execute.json { eprintln!("{words}") } else { println!("{words}") }
    }

    /// The table over every seed of this recipe that counts; 1 when a row is outside its expected range.
    fn report(&self, binaries: &Binaries) -> Result<u8> {
        let others = seeds::others(&self.runs, &self.recipe_dir);
        let runs = self.as_they_are_now(binaries)?;
        let arguments = stage_command::report(self.root, &runs, &others, &self.report_dir(), self.execute);
        match crate::child::run(self.root, binaries.path("report")?, &arguments, self.stdout())? {
            code @ (0 | 1) => Ok(code as u8),
            code => Err(anyhow!("the report of `{}` stopped with code {code}", self.runs[0].recipe.recipe))
                .hint("see its message above"),
        }
    }

    /// The runs, and where other images were accepted, how the images stand to the splits that there are now: one that was just drawn
    /// from a pack of other photographs is to be named, one that was drawn anew from these is not.
    fn as_they_are_now(&self, binaries: &Binaries) -> Result<Vec<SeedRun>> {
        let mut runs = self.runs.clone();
        if self.execute.accept_stale {
            let (recipe, data) = ((self.recipe.0.as_path(), self.recipe.1), self.execute.data.as_deref());
            let program = binaries.path("datasets")?;
            images::compare(self.root, program, recipe, data, &self.recipe_dir, true)?.put(&mut runs);
        }
        Ok(runs)
    }

    pub fn report_dir(&self) -> PathBuf {
        self.recipe_dir.join("report")
    }

    pub fn stdout(&self) -> Stdout {
        if self.execute.json { Stdout::ToStderr } else { Stdout::Inherit }
    }

    pub fn reports(&self) -> bool {
        self.report
    }
}

/// Whether a stage runs that reads the images.
fn reads_images(entries: &[Entry]) -> bool {
    entries.iter().any(|entry| entry.job.stage <= Stage::Features && matches!(entry.intent, Intent::Run(_)))
}
