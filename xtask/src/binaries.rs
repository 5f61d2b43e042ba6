//! Builds the stage binaries, once a call, and says where they lie.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow};
use longtail_artifact::cli::{Interrupted, WithHint, interrupted};
use serde_json::Value;

/// Every package with a binary. They are always built together: one set of packages means one choice of dependency
/// features, so that nothing is compiled twice.
pub const ALL: [&str; 5] =
    ["longtail-datasets", "longtail-representation", "longtail-features", "longtail-classifier", "longtail-report"];

/// The paths of built binaries by name.
pub struct Binaries(BTreeMap<String, PathBuf>);

impl Binaries {
    /// # Errors
    /// Cargo built no binary of that name.
    pub fn path(&self, name: &str) -> Result<&Path> {
        self.0.get(name).map(PathBuf::as_path).with_context(|| format!("the build made no binary called `{name}`"))
    }
}

/// The cargo that started us, else the one in PATH.
pub fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// A folder of binaries that are taken as they are, without a build: for the end-to-end tests, which have built them.
pub const PREBUILT_VARIABLE: &str = "LONGTAIL_BINARIES";

/// A binary that lies there already, for verbs that build nothing: among others' binaries, or beside ours.
pub fn built(name: &str) -> Option<PathBuf> {
    let folder = match std::env::var_os(PREBUILT_VARIABLE) {
        Some(folder) => PathBuf::from(folder),
        None => std::env::current_exe().ok()?.parent()?.to_owned(),
    };
    Some(folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX))).filter(|path| path.is_file())
}

/// The packages that compute on GPUs when they are built to.
const ON_GPUS: [&str; 4] = ["longtail-representation", "longtail-features", "longtail-classifier", "longtail-bench"];

/// The packages with tests of device code.
const TESTED_ON_GPUS: [&str; 5] =
    ["longtail-ops", "longtail-backbone", "longtail-representation", "longtail-features", "longtail-classifier"];

/// Whether the binaries were built by someone else.
pub fn are_prebuilt() -> bool {
    std::env::var_os(PREBUILT_VARIABLE).is_some()
}

/// What the stages are built for beside the CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gpus {
    No,
    /// NVIDIA's, convolutions as products.
    Cuda,
    /// NVIDIA's, with cuDNN.
    Cudnn,
}

/// `cargo build --release` of the packages, for GPUs too where asked for; cargo shows its own progress on stderr.
///
/// # Errors
/// The build fails (cargo has said why), or is interrupted.
pub fn build(root: &Path, packages: &[&str], gpus: Gpus) -> Result<Binaries> {
    if let Some(folder) = std::env::var_os(PREBUILT_VARIABLE) {
        return Ok(prebuilt(Path::new(&folder)));
    }
    eprintln!("building (the first time takes some minutes) …");
    let mut command = Command::new(cargo());
    command.args(["build", "--release", "--message-format=json-render-diagnostics"]);
    for package in packages {
        command.args(["-p", package]);
        if gpus != Gpus::No && ON_GPUS.contains(package) {
            let feature = if gpus == Gpus::Cudnn { "cudnn" } else { "cuda" };
            command.arg("--features").arg(format!("{package}/{feature}"));
        }
    }
    let found = executables(root, &mut command)?.ok_or_else(|| anyhow!("the programs do not build"));
    let found = found.hint(match gpus != Gpus::No {
        true => "cargo's messages stand above; `--device cuda` needs NVIDIA's CUDA toolkit and cuDNN, `--device cpu` does not",
        false => "cargo's messages stand above; `cargo xtask doctor` says what this machine lacks",
    })?;
    Ok(Binaries(found.into_iter().map(|found| (found.name, found.path)).collect()))
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
    let feature = if gpus == Gpus::Cudnn { "cudnn" } else { "cuda" };
    for package in TESTED_ON_GPUS {
        command.args(["-p", package, "--features"]).arg(format!("{package}/{feature}"));
    }
    let found = executables(root, &mut command)?.ok_or_else(|| anyhow!("the tests do not build"));
    let found = found.hint("cargo's messages stand above")?;
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
fn prebuilt(folder: &Path) -> Binaries {
    let names = ALL.iter().chain(&["longtail-bench", "xtask"]).map(|package| program(package));
    let paths = names.map(|name| (name.to_owned(), folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX))));
    Binaries(paths.filter(|(_, path)| path.is_file()).collect())
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
