//! `doctor`: what this machine has and lacks, each with the command that mends it. Changes nothing without `--setup`.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::Result;
use longtail_artifact::cli::disk;
use serde_json::json;

use crate::cli::DoctorArgs;
use crate::cuda;
use crate::plan_view::plain_table;
use crate::setup::{self, Need};
use crate::{simd, workspace};

/// The build tree and one run of the largest recipe.
const DISK_WANTED_BYTES: u64 = 6_000_000_000;
/// ResNet-32 at batch 256 with its tape, and a compiler beside it.
const MEMORY_WANTED_BYTES: u64 = 3_000_000_000;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Ok,
    /// Works, but slower or less.
    Note,
    Missing,
}

struct Finding {
    what: &'static str,
    verdict: Verdict,
    found: String,
    /// The command or step that mends it.
    remedy: String,
}

impl Finding {
    fn ok(what: &'static str, found: impl Into<String>) -> Self {
        Self { what, verdict: Verdict::Ok, found: found.into(), remedy: String::new() }
    }

    fn other(what: &'static str, verdict: Verdict, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what, verdict, found: found.into(), remedy: remedy.into() }
    }

    fn word(&self) -> &'static str {
        match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Note => "note",
            Verdict::Missing => "missing",
        }
    }
}

pub fn run(root: &Path, arguments: &DoctorArgs) -> Result<ExitCode> {
    if arguments.setup.setup {
        setup::ensure(&[Need::CCompiler, Need::OpenBlas], arguments.setup)?;
    }
    let findings = findings(root);
    if arguments.json {
        let objects: Vec<_> = findings
            .iter()
            .map(|finding| json!({"what": finding.what, "verdict": finding.word(), "found": finding.found, "remedy": finding.remedy}))
            .collect();
        println!("{}", serde_json::to_string_pretty(&objects)?);
    } else {
        print(&findings);
    }
    let missing = findings.iter().any(|finding| finding.verdict == Verdict::Missing);
    Ok(ExitCode::from(if missing { 2 } else { 0 }))
}

fn print(findings: &[Finding]) {
    let mut table = plain_table(&["", "what", "found"]);
    for finding in findings {
        table.add_row([finding.word(), finding.what, &finding.found]);
    }
    println!("{}", table.trim_fmt());
    for finding in findings.iter().filter(|finding| !finding.remedy.is_empty()) {
        println!("{}: {}", finding.what, finding.remedy);
    }
}

fn findings(root: &Path) -> Vec<Finding> {
    vec![
        rust(),
        need("C compiler", Need::CCompiler),
        need("OpenBLAS", Need::OpenBlas),
        tool("rustfmt", Need::Rustfmt),
        tool("clippy", Need::Clippy),
        cpu(),
        threads(),
        gpu(),
        memory(),
        free_disk(root),
        embedded_data(root),
        other_data(root),
        photo_data(root),
    ]
}

fn rust() -> Finding {
    let wanted = env!("CARGO_PKG_RUST_VERSION");
    let program = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    match version(&text) {
        Some(found) if version(wanted).is_some_and(|wanted| found >= wanted) => Finding::ok("Rust", text),
        Some(_) => Finding::other(
            "Rust",
            Verdict::Missing,
            text,
            format!("at least {wanted} is required: rustup update stable"),
        ),
        None => {
            Finding::other("Rust", Verdict::Missing, "rustc does not answer", "install Rust from https://rustup.rs")
        }
    }
}

/// The first `major.minor` in a text.
fn version(text: &str) -> Option<(u32, u32)> {
    let word = text.split_whitespace().find(|word| word.starts_with(|letter: char| letter.is_ascii_digit()))?;
    let mut numbers = word.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn need(what: &'static str, need: Need) -> Finding {
    match need.find() {
        Ok(found) => Finding::ok(what, found),
        Err(reason) => {
            let remedy = format!("{}   (or: cargo xtask doctor --setup)", setup::install_line(&[need]));
            Finding::other(what, Verdict::Missing, reason, remedy)
        }
    }
}

/// What `fmt` or `lint` alone asks for.
fn tool(what: &'static str, need: Need) -> Finding {
    match need.find() {
        Ok(found) => Finding::ok(what, found),
        Err(reason) => {
            let remedy = format!("{}   (for `fmt` and `lint` alone)", setup::install_line(&[need]));
            Finding::other(what, Verdict::Note, reason, remedy)
        }
    }
}

/// The vector instructions that the kernels will use.
fn cpu() -> Finding {
    let arch = std::env::consts::ARCH;
    match simd::in_use() {
        Ok((path, true)) => {
            let found = format!("{arch}: the {path} kernels, set by LONGTAIL_SIMD");
            Finding::other("CPU", Verdict::Note, found, "unset LONGTAIL_SIMD to use the fastest")
        }
        Ok(("portable", false)) if cfg!(target_arch = "x86_64") => {
            let found = format!("{arch}: the portable kernels; no AVX2 with FMA");
            Finding::other(
                "CPU",
                Verdict::Note,
                found,
                "this works, but is several times slower than with AVX2 and FMA",
            )
        }
        Ok((path, false)) => Finding::ok("CPU", format!("{arch}: the {path} kernels")),
        Err(error) => {
            Finding::other("CPU", Verdict::Missing, error.to_string(), "unset LONGTAIL_SIMD to use the best one")
        }
    }
}

fn threads() -> Finding {
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    Finding::ok("threads", format!("{count} (--threads N uses fewer; the results are the same)"))
}

/// CUDA is never needed: what lacks is a note.
fn gpu() -> Finding {
    match (cuda::gpus(), cuda::compiler()) {
        (Ok(gpus), Ok(compiler)) => Finding::ok("CUDA", format!("{gpus}; {compiler}; --device cuda uses it")),
        (Ok(gpus), Err(why)) => Finding::other("CUDA", Verdict::Note, format!("{gpus}, but {why}"), cuda::REMEDY),
        (Err(why), Ok(compiler)) => Finding::other(
            "CUDA",
            Verdict::Note,
            format!("{why}; {compiler}"),
            "can build for GPUs but run only on the CPU",
        ),
        (Err(why), Err(_)) => Finding::ok("CUDA", format!("{why}; the CPU is used")),
    }
}

fn memory() -> Finding {
    match disk::available_memory_bytes() {
        None => Finding::ok("memory", "unknown on this system"),
        Some(bytes) if bytes >= MEMORY_WANTED_BYTES => {
            Finding::ok("memory", format!("{} available", disk::human(bytes)))
        }
        Some(bytes) => Finding::other(
            "memory",
            Verdict::Note,
            format!("{} available", disk::human(bytes)),
            format!(
                "{} or more is recommended; close other programs, or lower batch_size",
                disk::human(MEMORY_WANTED_BYTES)
            ),
        ),
    }
}

fn free_disk(root: &Path) -> Finding {
    match disk::free_bytes(root) {
        None => Finding::ok("disk", "unknown on this system"),
        Some(bytes) if bytes >= DISK_WANTED_BYTES => Finding::ok("disk", format!("{} free", disk::human(bytes))),
        Some(bytes) => Finding::other(
            "disk",
            Verdict::Note,
            format!("{} free", disk::human(bytes)),
            format!("the build and a run need up to {}", disk::human(DISK_WANTED_BYTES)),
        ),
    }
}

/// Looks for the four files alone; `data check` looks into them.
fn embedded_data(root: &Path) -> Finding {
    let dir = root.join("data").join("fashion-mnist");
    let files = [
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte.gz",
        "t10k-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte.gz",
    ];
    let absent: Vec<&str> = files.into_iter().filter(|file| !dir.join(file).is_file()).collect();
    let place = workspace::shown(root, &dir);
    if absent.is_empty() {
        Finding::ok(
            "Fashion-MNIST",
            format!("{place} (embedded); `cargo xtask data check fashion-mnist-lt` checks every byte"),
        )
    } else {
        let remedy = format!("git checkout -- {place}");
        Finding::other("Fashion-MNIST", Verdict::Missing, format!("{place} lacks {}", absent.join(", ")), remedy)
    }
}

fn other_data(root: &Path) -> Finding {
    let dir = root.join("data").join("cifar-100-binary");
    let place = workspace::shown(root, &dir);
    if dir.join("train.bin").is_file() {
        Finding::ok("CIFAR-100", format!("{place}; `cargo xtask data check cifar100-lt-if100` checks it"))
    } else {
        let found = format!("not in {place}; only the cifar100 recipes need it");
        Finding::other("CIFAR-100", Verdict::Note, found, "see data/README.md, or pass --data DIR")
    }
}

/// Folders under `data/` that the photo recipes would find without `--data`; their names are those of the data sets.
fn photo_data(root: &Path) -> Finding {
    let folders = ["imagenet-lt", "inaturalist2018"].map(|name| root.join("data").join(name));
    let there: Vec<String> =
        folders.iter().filter(|dir| dir.is_dir()).map(|dir| workspace::shown(root, dir).to_string()).collect();
    if let Some(named) = std::env::var_os("LONGTAIL_DATA") {
        return Finding::ok("photo sets", format!("LONGTAIL_DATA is {}", Path::new(&named).display()));
    }
    if there.is_empty() {
        let found = "neither data/imagenet-lt nor data/inaturalist2018; only the photo recipes need them";
        let remedy = "see data/README.md, or pass --data DIR; `cargo xtask data synthesize` makes a small substitute";
        return Finding::other("photo sets", Verdict::Note, found, remedy);
    }
    Finding::ok("photo sets", format!("{}; `cargo xtask data check imagenet-lt` checks it", there.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(version("rustc 1.95.0 (abc 2026-04-14)"), Some((1, 95)));
        assert!(version("1.100") > version("1.89"));
        assert_eq!(version("no digits"), None);
    }
}
