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
    let said = said_by(Command::new(&program).arg("--version")).ok_or(format!("cannot run `{shown}`"))?;
    release(&said).map(|release| format!("{shown} {release}")).ok_or(format!("`{shown} --version` shows no release"))
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

/// What a GPU needs and this machine lacks.
#[derive(Debug, PartialEq, Eq)]
pub struct Lack {
    /// In one line.
    pub what: String,
    /// How to get it.
    pub hint: String,
}

/// The library of NVIDIA's driver. candle links it, so a program for CUDA does not start without.
const DRIVER: &str = "libcuda.so.1";
const DRIVER_REMEDY: &str = "install the driver of the GPU (in a container, start it with --gpus all)";
const NO_NEED: &str = "`--device cpu` needs none of this";

/// Refuses a build for GPUs that cannot succeed; it may be for another machine.
///
/// # Errors
/// There is no compiler for them.
pub fn require_compiler() -> Result<()> {
    match compiler() {
        Ok(_) => Ok(()),
        Err(why) => Err(anyhow!("cannot build the stages for CUDA: {why}"))
            .hint(&format!("{REMEDY}; `cargo xtask doctor` shows what was found; {NO_NEED}")),
    }
}

/// Whether stages can be built for a GPU and started, as far as that can be told beforehand.
///
/// # Errors
/// All that is missing.
pub fn can_build_and_run() -> Result<(), Lack> {
    lacks(has_driver(|name| std::env::var_os(name)), compiler().err())
}

fn lacks(has_driver: bool, no_compiler: Option<String>) -> Result<(), Lack> {
    let driver = (!has_driver).then(|| (format!("NVIDIA's driver is not installed ({DRIVER})"), DRIVER_REMEDY));
    let compiler = no_compiler.map(|why| (format!("the stages cannot be built for it ({why})"), REMEDY));
    let missing: Vec<(String, &str)> = driver.into_iter().chain(compiler).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let what = missing.iter().map(|(what, _)| what.as_str()).collect::<Vec<_>>().join(", and ");
    let remedies = missing.iter().map(|(_, remedy)| *remedy).collect::<Vec<_>>().join("; ");
    Err(Lack { what, hint: format!("{remedies}; `cargo xtask doctor` shows what was found; {NO_NEED}") })
}

/// Whether the loader will find the driver, by looking where it looks.
fn has_driver(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    if !cfg!(target_os = "linux") {
        return true; // the programs will say
    }
    let named = variable("LD_LIBRARY_PATH").unwrap_or_default();
    let usual = ["/lib64", "/usr/lib64", "/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib", "/usr/lib"];
    let listed = |ldconfig: &str| said_by(Command::new(ldconfig).arg("-p")).is_some_and(|said| said.contains(DRIVER));
    std::env::split_paths(&named).any(|folder| folder.join(DRIVER).exists())
        || usual.iter().any(|folder| Path::new(folder).join(DRIVER).exists())
        || ["ldconfig", "/sbin/ldconfig"].into_iter().any(listed)
}

/// Whether a program for CUDA starts here.
///
/// # Errors
/// Which libraries it lacks; else what the loader says.
pub fn starts(program: &Path) -> Result<(), Lack> {
    let name = program.file_name().unwrap_or_default().display();
    let run = Command::new(program).arg("--version").stdin(Stdio::null()).output();
    let said = match run {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    let listed = said_by(Command::new("ldd").arg(program)).unwrap_or_default();
    let absent = not_found(&listed, &said);
    if absent.is_empty() {
        let what =
            format!("`{name}` for CUDA does not start: {}", said.trim().lines().last().unwrap_or("it says nothing"));
        return Err(Lack { what, hint: format!("`cargo xtask doctor` shows what was found; {NO_NEED}") });
    }
    let paths = "add the folders of the CUDA toolkit and of cuDNN to LD_LIBRARY_PATH, for example `$CUDA_HOME/lib64`";
    let remedies = [(absent.contains(&DRIVER), DRIVER_REMEDY), (absent.iter().any(|name| *name != DRIVER), paths)];
    let remedy =
        remedies.iter().filter(|(is_of_use, _)| *is_of_use).map(|(_, remedy)| *remedy).collect::<Vec<_>>().join("; ");
    let driver = |name: &&str| if *name == DRIVER { format!("{name} (NVIDIA's driver)") } else { (*name).to_owned() };
    let names = absent.iter().map(driver).collect::<Vec<_>>().join(", ");
    Err(Lack { what: format!("missing on this machine: {names}"), hint: format!("{remedy}; {NO_NEED}") })
}

/// The libraries that `ldd` misses, or the first one, which the loader names.
fn not_found<'a>(listed: &'a str, said: &'a str) -> Vec<&'a str> {
    let of_ldd = listed.lines().filter_map(|line| line.trim().split_once(" => not found").map(|(name, _)| name));
    let names: Vec<&str> = of_ldd.collect();
    let of_loader = said.split("error while loading shared libraries: ").nth(1).and_then(|rest| rest.split(':').next());
    if names.is_empty() { of_loader.into_iter().collect() } else { names }
}

/// Tells a build for CUDA which compiler to take: candle's kernels, cudarc and ours look for it each in their own way. candle's kernels are made
/// for every GPU since compute capability 8.0, as ours are, unless CUDA_COMPUTE_CAP names another.
pub fn set_up_build(command: &mut Command) {
    let compiler = nvcc(|name| std::env::var_os(name));
    if let Some(folder) = Path::new(&compiler).parent().filter(|folder| folder.is_dir()) {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(folder.to_owned()).chain(std::env::split_paths(&path));
        if let Ok(path) = std::env::join_paths(folders) {
            command.env("PATH", path);
        }
        command.env("NVCC", &compiler);
        if let (None, Some(home)) = (std::env::var_os("CUDA_HOME"), folder.parent()) {
            command.env("CUDA_HOME", home); // where the linker looks
        }
    }
    if std::env::var_os("CUDA_COMPUTE_CAP").is_none() {
        command.env("CUDA_COMPUTE_CAP", "80");
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
    fn all_that_is_missing_is_said_in_one_line() {
        assert_eq!(lacks(true, None), Ok(()));
        let lack = lacks(false, Some("cannot run `nvcc`".to_owned())).expect_err("both are missing");
        assert!(lack.what.contains("libcuda.so.1") && lack.what.contains("`nvcc`"), "{}", lack.what);
        assert!(lack.hint.contains("driver") && lack.hint.contains("toolkit"), "{}", lack.hint);
        let said = "features: error while loading shared libraries: libcuda.so.1: cannot open shared object file";
        let listed =
            "\tlibcuda.so.1 => not found\n\tlibc.so.6 => /lib/libc.so.6 (0x7f)\n\tlibcublas.so.13 => not found\n";
        assert_eq!(not_found(listed, said), ["libcuda.so.1", "libcublas.so.13"]);
        assert_eq!(not_found("", said), ["libcuda.so.1"]);
        assert!(not_found("", "Segmentation fault").is_empty());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_driver_is_looked_for_where_the_loader_looks() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join(DRIVER), "").expect("writable");
        let named = std::env::join_paths([Path::new("/nowhere"), folder.path()]).expect("two folders");
        assert!(has_driver(|name| (name == "LD_LIBRARY_PATH").then(|| named.clone())));
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
