//! What a measurement was made on: processor, day, commit, and how busy the machine was.

use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// Above this, other programs take part in what is measured.
const BUSY_LOAD: f64 = 0.5;

/// One line for the table's head.
pub fn describe(root: &Path, cores: usize, load: Option<f64>) -> String {
    let mut parts = vec![format!("{}, {}", processor(), count(cores, "core")), today()];
    parts.extend(commit(root).map(|commit| format!("commit {commit}")));
    if let Some(load) = load {
        parts.push(format!("load average {load:.2} at the start"));
    }
    parts.join("; ")
}

/// A warning, if the machine was busy.
pub fn busy_warning(load: Option<f64>) -> Option<String> {
    let load = load.filter(|load| *load > BUSY_LOAD)?;
    Some(format!(
        "warning: the load average is {load:.2}: other programs are running. Taking turns corrects only part of this: \
         PyTorch's threads wait for the slowest one and lose more to other programs than ours, so the ratios come out \
         too high"
    ))
}

/// `1 thread`, `2 threads`.
pub fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    model.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}

/// The load average of the last minute, where the system tells.
pub fn load() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()
}

fn commit(root: &Path) -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").current_dir(root).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short", "HEAD"])?;
    let is_changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|changes| !changes.is_empty());
    Some(if is_changed { format!("{commit} with changes") } else { commit })
}

fn today() -> String {
    let secs = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    date(secs / 86_400)
}

/// The day that is so many days after 1970-01-01.
fn date(mut days: u64) -> String {
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1;
    for length in lengths {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", days + 1)
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn days_become_dates() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(11_016), "2000-02-29");
        assert_eq!(date(11_017), "2000-03-01");
        assert_eq!(date(20_453), "2025-12-31");
    }
}
