//! What a person at the terminal sees of a stage at work.

use indicatif::ProgressBar;
use longtail_artifact::progress;

/// A progress bar once there is something to count, and lines above it; with `quiet` neither.
#[derive(Debug)]
pub struct Terminal {
    title: String,
    quiet: bool,
    bar: Option<ProgressBar>,
}

impl Terminal {
    /// `title` stands before the bar.
    pub fn new(title: impl Into<String>, quiet: bool) -> Self {
        Self { title: title.into(), quiet, bar: None }
    }

    /// Shows the bar: `units` in all, of which earlier runs did `done`, which says nothing about the speed of this one.
    pub fn start(&mut self, units: u64, done: u64) {
        let bar = progress(units, &self.title, self.quiet);
        bar.set_position(done);
        bar.reset_eta();
        self.bar = Some(bar);
    }

    /// So many units are done.
    pub fn at(&self, done: u64) {
        self.bar.iter().for_each(|bar| bar.set_position(done));
    }

    /// So many more are done.
    pub fn add(&self, units: u64) {
        self.bar.iter().for_each(|bar| bar.inc(units));
    }

    /// So many are done, some of them not by this run.
    pub fn jump(&self, done: u64) {
        for bar in self.bar.iter().filter(|bar| bar.position() != done) {
            bar.set_position(done);
            bar.reset_eta();
        }
    }

    /// What is counted, or at work, behind the numbers.
    pub fn message(&self, words: &str) {
        self.bar.iter().for_each(|bar| bar.set_message(words.to_owned()));
    }

    /// A line on stderr, above the bar.
    pub fn say(&self, line: &str) {
        match &self.bar {
            _ if self.quiet => {}
            Some(bar) => bar.suspend(|| eprintln!("{line}")),
            None => eprintln!("{line}"),
        }
    }

    /// Takes the bar away.
    pub fn clear(&mut self) {
        self.bar.take().iter().for_each(ProgressBar::finish_and_clear);
    }
}
