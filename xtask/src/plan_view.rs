//! The plan on the screen, and the JSON object at the end.

use anyhow::Result;
use comfy_table::{Table, presets};
use longtail_artifact::cli::disk;
use longtail_artifact::counted;
use serde_json::{Value, json};

use crate::done::Done;
use crate::estimate::HARDWARE;
use crate::plan::{Intent, Job};
use crate::session::Session;
use crate::{timings, workspace};

/// One line of the plan.
pub struct Entry {
    pub seed: u64,
    pub job: Job,
    pub intent: Intent,
    /// Expected seconds by earlier runs here; None when there was none.
    pub secs: Option<f64>,
    /// Expected seconds by rates measured elsewhere; None when there is none for this stage.
    pub rough_secs: Option<f64>,
    /// At most so many bytes; None where nobody can tell how many images there are.
    pub bytes: Option<u64>,
}

impl Entry {
    fn runs(&self) -> bool {
        matches!(self.intent, Intent::Run(_))
    }

    fn words(&self) -> (&'static str, String) {
        match &self.intent {
            Intent::UpToDate => ("up to date", String::new()),
            Intent::UnlessInputsChange => ("up to date", "unless an earlier stage changes its output".to_owned()),
            Intent::Run(reasons) => ("run", reasons.join("; ")),
            Intent::KeptStale(reasons) => ("kept, stale", reasons.join("; ")),
            Intent::Locked => ("running", "another process is using it".to_owned()),
        }
    }
}

/// A plain table without rules, which a terminal, a log and a pipe all show alike.
pub fn plain_table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.iter().copied());
    table
}

/// Prints the plan: to stdout, or as JSON, or (when stdout is kept for the result) to stderr.
pub fn print(session: &Session, entries: &[Entry]) -> Result<()> {
    let text = text(session, entries);
    if !session.execute.json {
        println!("{text}");
    } else if session.execute.dry_run {
        println!("{}", serde_json::to_string_pretty(&as_json(session, entries))?);
    } else {
        eprintln!("{text}");
    }
    Ok(())
}

fn text(session: &Session, entries: &[Entry]) -> String {
    let recipe = &session.runs[0].recipe;
    let seeds: Vec<String> = session.runs.iter().map(|run| run.seed.to_string()).collect();
    let mut lines = vec![
        format!("{}: {}", recipe.recipe, recipe.description),
        format!(
            "seed {}, device {}, runs in {}",
            seeds.join(", "),
            session.device.word,
            workspace::shown(session.root, &session.recipe_dir)
        ),
    ];
    if let Some(passed_over) = &session.passed_over {
        lines.push(format!("passed over: {passed_over}"));
    }
    if !entries.is_empty() {
        let mut table = plain_table(&["seed", "stage", "plan", "time", "why"]);
        for entry in entries {
            let (plan, why) = entry.words();
            let time = match (entry.runs(), entry.secs) {
                (false, _) => String::new(),
                (true, Some(secs)) => timings::human(secs),
                (true, None) => match entry.rough_secs {
                    Some(secs) => format!("roughly {}", timings::human(secs)),
                    None => "no estimate yet".to_owned(),
                },
            };
            table.add_row([entry.seed.to_string(), entry.job.label(), plan.to_owned(), time, why]);
        }
        lines.push(table.trim_fmt());
        lines.push(totals(session, entries));
    }
    if session.reports() {
        lines.push(format!("then the report in {}", workspace::shown(session.root, &session.report_dir())));
    }
    lines.join("\n")
}

fn totals(session: &Session, entries: &[Entry]) -> String {
    let running: Vec<&Entry> = entries.iter().filter(|entry| entry.runs()).collect();
    if running.is_empty() {
        let kept = entries.iter().filter(|entry| matches!(entry.intent, Intent::KeptStale(_))).count();
        return match kept {
            0 => "no stage has to run".to_owned(),
            kept => {
                format!("no stage runs; {kept} of {} {} stale", entries.len(), if kept == 1 { "is" } else { "are" })
            }
        };
    }
    let time = time_in_words(&running);
    let bytes: Option<u64> = running.iter().map(|entry| entry.bytes).sum();
    let free = disk::free_bytes(&session.recipe_dir).map_or_else(|| "unknown".to_owned(), disk::human);
    let disk = match bytes {
        Some(bytes) => format!("at most {} of {free} free", disk::human(bytes)),
        None => format!("unknown until --data DIR gives the images; {free} free"),
    };
    format!("{} to run; time: {time}; disk: {disk}", counted(running.len(), "stage"))
}

/// The sum of what is known of the stages, and how well it is known.
fn time_in_words(running: &[&Entry]) -> String {
    let known: f64 = running.iter().filter_map(|entry| entry.secs).sum();
    let rough: Vec<f64> =
        running.iter().filter(|entry| entry.secs.is_none()).filter_map(|entry| entry.rough_secs).collect();
    let unknown = running.iter().filter(|entry| entry.secs.or(entry.rough_secs).is_none()).count();
    let total = timings::human(known + rough.iter().sum::<f64>());
    let no_estimate = match unknown {
        0 => String::new(),
        1 => "; 1 stage has no estimate yet".to_owned(),
        _ => format!("; {unknown} stages have no estimate yet"),
    };
    if rough.is_empty() && unknown == running.len() {
        return "no estimate yet (nothing of this recipe ran here)".to_owned();
    }
    if rough.is_empty() {
        let bound = if unknown == 0 || total.starts_with("under") { "about" } else { "more than" };
        return format!("{bound} {total} by earlier runs here{no_estimate}");
    }
    // "More than under 1 s" says nothing.
    let bound = if unknown == 0 || total.starts_with("under") { "roughly" } else { "roughly, more than" };
    format!("{bound} {total} on {HARDWARE}, not measured here{no_estimate}")
}

fn as_json(session: &Session, entries: &[Entry]) -> Value {
    let stages: Vec<Value> = entries
        .iter()
        .map(|entry| {
            let (plan, why) = entry.words();
            json!({"seed": entry.seed, "stage": entry.job.label(), "plan": plan, "why": why,
                   "estimated_secs": entry.secs, "rough_secs": entry.rough_secs, "bytes_at_most": entry.bytes})
        })
        .collect();
    json!({"recipe": session.runs[0].recipe.recipe, "device": session.device.word, "stages": stages,
           "passed_over": session.passed_over, "disk_free_bytes": disk::free_bytes(&session.recipe_dir)})
}

/// The last words: where the report is, or the one JSON object.
pub fn finish(session: &Session, done: &[Done], code: u8) -> Result<()> {
    if !session.execute.json {
        if session.reports() {
            println!("report: {}", workspace::shown(session.root, &session.report_dir().join("report.html")));
        }
        return Ok(());
    }
    let stages: Vec<Value> = done
        .iter()
        .map(|job| json!({"seed": job.seed, "stage": job.label, "ran": job.ran, "kept_stale": job.kept_stale, "secs": job.secs}))
        .collect();
    let report: Value = match fs_err::read(session.report_dir().join("report.json")) {
        Ok(bytes) if session.reports() => serde_json::from_slice(&bytes)?,
        _ => Value::Null,
    };
    let object =
        json!({"recipe": session.runs[0].recipe.recipe, "exit_code": code, "stages": stages, "report": report});
    println!("{}", serde_json::to_string_pretty(&object)?);
    Ok(())
}
