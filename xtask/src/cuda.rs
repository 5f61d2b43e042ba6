//! Whether this machine can build for NVIDIA's GPUs, and whether it has one. Nothing is linked: programs are asked.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, anyhow};
use longtail_artifact::cli::WithHint;

/// What `--device cuda` needs beside what every build does.
pub const REMEDY: &str = "install NVIDIA's CUDA toolkit (12.0 or later) and cuDNN 9, and set CUDA_HOME to its folder (or NVCC to the compiler)";

/// The compiler: NVCC, else the one in CUDA_HOME, else the one in PATH; as the build of `ops` takes it.
fn nvcc(variable: impl Fn(&str) -> Option<OsString>) -> OsString {
    if let Some(program) = variable("NVCC") {
        return program;
    }
    variable("CUDA_HOME").map_or_else(|| "nvcc".into(), |home| Path::new(&home).join("bin").join("nvcc").into())
}

/// The compiler and its release.
///
/// # Errors
/// In words, that it does not answer.
pub fn compiler() -> Result<String, String> {
    let program = nvcc(|name| std::env::var_os(name));
    let shown = program.to_string_lossy().into_owned();
    let said = said_by(Command::new(&program).arg("--version")).ok_or(format!("`{shown}` does not answer"))?;
    release(&said).map(|release| format!("{shown} {release}")).ok_or(format!("`{shown} --version` names no release"))
}

/// The compiler's major version: that of the libraries that its programs load.
///
/// # Errors
/// As [`compiler`].
pub fn major() -> Result<String, String> {
    let said = compiler()?;
    let release = said.rsplit(' ').next().unwrap_or_default();
    Ok(release.split('.').next().unwrap_or_default().to_owned())
}

/// Every GPU with its driver.
///
/// # Errors
/// In words, that there is none to be seen.
pub fn gpus() -> Result<String, String> {
    let asked = ["--query-gpu=name,driver_version", "--format=csv,noheader"];
    let said = said_by(Command::new("nvidia-smi").args(asked)).unwrap_or_default();
    let gpus: Vec<String> = said.lines().filter_map(gpu).collect();
    if gpus.is_empty() { Err("no GPU (`nvidia-smi` lists none)".to_owned()) } else { Ok(gpus.join("; ")) }
}

/// Refuses a build for GPUs that cannot succeed.
///
/// # Errors
/// There is no compiler for them.
pub fn require_compiler() -> Result<()> {
    match compiler() {
        Ok(_) => Ok(()),
        Err(why) => Err(anyhow!("cannot build the stages for `--device cuda`: {why}"))
            .hint(&format!("{REMEDY}; `cargo xtask doctor` says what is found; `--device cpu` needs none of it")),
    }
}

fn said_by(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// `13.0` of nvcc's `Cuda compilation tools, release 13.0, V13.0.88`.
fn release(said: &str) -> Option<&str> {
    let after = said.split("release ").nth(1)?;
    after.split([',', '\n']).next().map(str::trim).filter(|release| !release.is_empty())
}

/// `NVIDIA H100 (driver 580.1)` of `NVIDIA H100, 580.1`.
fn gpu(line: &str) -> Option<String> {
    let (name, driver) = line.rsplit_once(',')?;
    Some(format!("{} (driver {})", name.trim(), driver.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compiler_is_looked_for_as_the_build_does() {
        let set = |pairs: &'static [(&str, &str)]| {
            move |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
        };
        assert_eq!(nvcc(set(&[])), "nvcc");
        assert_eq!(Path::new(&nvcc(set(&[("CUDA_HOME", "toolkit")]))), Path::new("toolkit").join("bin").join("nvcc"));
        assert_eq!(nvcc(set(&[("CUDA_HOME", "toolkit"), ("NVCC", "other")])), "other");
    }

    #[test]
    fn what_the_tools_say_is_read() {
        let said = "nvcc: NVIDIA (R) Cuda compiler driver\nCuda compilation tools, release 13.0, V13.0.88\nBuild x\n";
        assert_eq!(release(said), Some("13.0"));
        assert_eq!(release("another program"), None);
        assert_eq!(
            gpu("NVIDIA H100 80GB HBM3, 580.65.06").as_deref(),
            Some("NVIDIA H100 80GB HBM3 (driver 580.65.06)")
        );
        assert_eq!(gpu("No devices were found"), None);
    }
}
