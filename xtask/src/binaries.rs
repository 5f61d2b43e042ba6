//! Builds the stage binaries, once a call, and says where they lie.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow};
use longtail_artifact::cli::{Interrupted, WithHint, interrupted};
use serde_json::Value;

use crate::cuda;

/// Every package with a binary. They are always built together: one set of packages means one choice of dependency
/// features, so that nothing is compiled twice.
pub const ALL: [&str; 5] =
    ["longtail-datasets", "longtail-representation", "longtail-features", "longtail-classifier", "longtail-report"];

/// The paths of built binaries by name: a set for CPUs and, where asked for, one for GPUs. A program for GPUs starts only where
/// NVIDIA's libraries are, as candle links them; so nothing but what computes there is taken from that set.
pub struct Binaries {
    cpu: Programs,
    cuda: Programs,
}

/// Paths by name.
pub type Programs = BTreeMap<String, PathBuf>;

impl Binaries {
    /// The program for the device that was asked for.
    ///
    /// # Errors
    /// Cargo built no binary of that name.
    pub fn path(&self, name: &str) -> Result<&Path> {
        found(self.cuda.get(name).or_else(|| self.cpu.get(name)), name)
    }

    /// The program that runs everywhere.
    ///
    /// # Errors
    /// As [`Binaries::path`].
    pub fn on_cpu(&self, name: &str) -> Result<&Path> {
        found(self.cpu.get(name), name)
    }

    /// The programs for GPUs.
    pub fn on_gpus(&self) -> &Programs {
        &self.cuda
    }
}

fn found<'a>(path: Option<&'a PathBuf>, name: &str) -> Result<&'a Path> {
    path.map(PathBuf::as_path).with_context(|| format!("the build made no binary called `{name}`"))
}

/// The cargo that started us, else the one in PATH.
pub fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// A folder of binaries that are taken as they are, without a build: for the end-to-end tests, which have built them.
pub const PREBUILT_VARIABLE: &str = "LONGTAIL_BINARIES";

/// A binary that lies there already, for verbs that build nothing: among others' binaries, or beside ours.
pub fn built(name: &str) -> Option<PathBuf> {
    let folder = match prebuilt_folder() {
        Some(folder) => folder,
        None => std::env::current_exe().ok()?.parent()?.to_owned(),
    };
    Some(folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX))).filter(|path| path.is_file())
}

/// The packages that compute on GPUs when they are built to.
const ON_GPUS: [&str; 4] = ["longtail-representation", "longtail-features", "longtail-classifier", "longtail-bench"];

/// The packages with tests of device code.
const TESTED_ON_GPUS: [&str; 6] = [
    "longtail-ops",
    "longtail-backbone",
    "longtail-training",
    "longtail-representation",
    "longtail-features",
    "longtail-classifier",
];

/// Whether the binaries were built by someone else.
pub fn are_prebuilt() -> bool {
    prebuilt_folder().is_some()
}

fn prebuilt_folder() -> Option<PathBuf> {
    std::env::var_os(PREBUILT_VARIABLE).map(PathBuf::from)
}

/// The programs for GPUs that others built: in a folder of their own beside the others.
pub fn prebuilt_on_gpus() -> Programs {
    prebuilt_folder().map(|folder| in_folder(&folder.join(CUDA_FOLDER))).unwrap_or_default()
}

/// Of programs for GPUs, below the folder of those for CPUs: below cargo's target folder, below [`PREBUILT_VARIABLE`]'s, in bundles.
pub const CUDA_FOLDER: &str = "cuda";

/// What the stages are built for beside the CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gpus {
    No,
    /// NVIDIA's, convolutions as products.
    Cuda,
    /// NVIDIA's, with cuDNN.
    Cudnn,
}

impl Gpus {
    fn feature(self) -> Option<&'static str> {
        match self {
            Self::No => None,
            Self::Cuda => Some("cuda"),
            Self::Cudnn => Some("cudnn"),
        }
    }
}

/// `cargo build --release` of the packages, and where asked for once more of those that compute on GPUs, for them; cargo shows its own
/// progress on stderr.
///
/// # Errors
/// The build fails (cargo has said why), or is interrupted.
pub fn build(root: &Path, packages: &[&str], gpus: Gpus) -> Result<Binaries> {
    if let Some(folder) = prebuilt_folder() {
        let cuda = if gpus == Gpus::No { Programs::new() } else { prebuilt_on_gpus() };
        return Ok(Binaries { cpu: in_folder(&folder), cuda });
    }
    eprintln!("building (this takes some minutes the first time) …");
    let of_gpus: Vec<&str> = packages.iter().copied().filter(|package| ON_GPUS.contains(package)).collect();
    let mut cpu = Programs::new();
    if gpus == Gpus::No || of_gpus.len() < packages.len() {
        let mut command = cargo_build();
        for package in packages {
            command.args(["-p", package]);
        }
        let found = executables(root, &mut command)?.ok_or_else(|| anyhow!("the build failed"));
        cpu = by_name(found.hint("see cargo's messages above; `cargo xtask doctor` shows what this machine lacks")?);
    }
    let Some(feature) = gpus.feature() else { return Ok(Binaries { cpu, cuda: Programs::new() }) };
    eprintln!("building for CUDA in a separate folder (this takes some ten minutes the first time) …");
    let mut command = cargo_build();
    for package in of_gpus {
        command.args(["-p", package, "--features"]).arg(format!("{package}/{feature}"));
    }
    set_up_cuda(root, &mut command)?;
    let found = executables(root, &mut command)?.ok_or_else(|| anyhow!("the build for CUDA failed"));
    let cuda = by_name(found.hint(
        "see cargo's messages above; `--device cuda` needs NVIDIA's CUDA toolkit and cuDNN, `--device cpu` does not",
    )?);
    Ok(Binaries { cpu, cuda })
}

fn cargo_build() -> Command {
    let mut command = Command::new(cargo());
    command.args(["build", "--release", "--message-format=json-render-diagnostics"]);
    command
}

fn by_name(found: Vec<Executable>) -> Programs {
    found.into_iter().map(|found| (found.name, found.path)).collect()
}

/// What a build for CUDA is told: a target folder of its own, so that neither set of programs replaces the other, and the compiler.
fn set_up_cuda(root: &Path, command: &mut Command) -> Result<()> {
    command.arg("--target-dir").arg(target_folder(root)?.join(CUDA_FOLDER));
    cuda::set_up_build(command);
    Ok(())
}

/// cargo's target folder, wherever its settings put it.
fn target_folder(root: &Path) -> Result<PathBuf> {
    let mut command = Command::new(cargo());
    command.args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(root).stdin(Stdio::null());
    let output = command.stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    let metadata: Value = serde_json::from_slice(&output.stdout).context("cannot read cargo's metadata")?;
    let folder = metadata.get("target_directory").and_then(Value::as_str);
    folder.map(PathBuf::from).context("cargo's metadata name no target folder")
}

/// `cargo test --no-run --release` of the tests of device code, called `gpu…` in each package's `tests/`: each with its crate's folder
/// before its name (`ops-gpu_normals`).
///
/// # Errors
/// As [`build`].
pub fn build_device_tests(root: &Path, gpus: Gpus) -> Result<Vec<(String, PathBuf)>> {
    eprintln!("building the tests of device code …");
    let mut command = Command::new(cargo());
    command.args(["test", "--release", "--no-run", "--message-format=json-render-diagnostics", "--test", "gpu*"]);
    for package in TESTED_ON_GPUS {
        command.args(["-p", package]);
        if let Some(feature) = gpus.feature() {
            command.arg("--features").arg(format!("{package}/{feature}"));
        }
    }
    set_up_cuda(root, &mut command)?;
    let found = executables(root, &mut command)?.ok_or_else(|| anyhow!("the tests do not build"));
    let found = found.hint("see cargo's messages above")?;
    let tests = found.into_iter().filter(|found| found.name.starts_with("gpu"));
    Ok(tests.map(|found| (format!("{}-{}", found.folder, found.name), found.path)).collect())
}

/// A finished program.
#[derive(Debug, PartialEq)]
struct Executable {
    name: String,
    path: PathBuf,
    /// Of its package.
    folder: String,
}

/// The programs that a call of cargo built or found built; `None` if it failed, of which it has told itself.
fn executables(root: &Path, command: &mut Command) -> Result<Option<Vec<Executable>>> {
    let mut child =
        command.current_dir(root).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot start cargo")?;
    let stdout = child.stdout.take().expect("stdout was asked to be a pipe");
    let mut found = Vec::new();
    for line in BufReader::new(stdout).lines() {
        found.extend(executable(&line.context("cannot read cargo's messages")?));
    }
    let status = child.wait().context("cannot wait for cargo")?;
    if interrupted() {
        return Err(Interrupted.into());
    }
    Ok(status.success().then_some(found))
}

/// Of the packages, the name of each one's binary.
pub fn program(package: &str) -> &str {
    match package {
        "longtail-bench" => "bench-worker",
        package => package.trim_start_matches("longtail-"),
    }
}

/// Every binary of [`ALL`], the bench's worker and xtask's own, that lie in a folder.
fn in_folder(folder: &Path) -> Programs {
    let names = ALL.iter().chain(&["longtail-bench", "xtask"]).map(|package| program(package));
    let paths = names.map(|name| (name.to_owned(), folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX))));
    paths.filter(|(_, path)| path.is_file()).collect()
}

/// What one of cargo's messages tells of a finished program, if it does.
fn executable(line: &str) -> Option<Executable> {
    let message: Value = serde_json::from_str(line).ok()?;
    if message.get("reason")?.as_str()? != "compiler-artifact" {
        return None;
    }
    let path = PathBuf::from(message.get("executable")?.as_str()?);
    let name = message.get("target")?.get("name")?.as_str()?.to_owned();
    let manifest = Path::new(message.get("manifest_path")?.as_str()?);
    let folder = manifest.parent()?.file_name()?.to_string_lossy().into_owned();
    Some(Executable { name, path, folder })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_finished_programs_are_taken() {
        let line = r#"{"reason":"compiler-artifact","manifest_path":"crates/report/Cargo.toml","target":{"name":"report"},"executable":"target/release/report"}"#;
        let (name, path, folder) = ("report".to_owned(), PathBuf::from("target/release/report"), "report".to_owned());
        assert_eq!(executable(line), Some(Executable { name, path, folder }));
        assert_eq!(executable(r#"{"reason":"compiler-artifact","target":{"name":"lib"},"executable":null}"#), None);
        assert_eq!(executable(r#"{"reason":"build-finished","success":true}"#), None);
        assert_eq!(executable("not json"), None);
    }
}
