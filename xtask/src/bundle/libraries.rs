//! Libraries that come along: OpenBLAS and what it needs. CUDA's do not: they are large, and belong to the machine's driver.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use longtail_artifact::cli::WithHint;

/// Beginnings of their names.
const CARRIED: [&str; 3] = ["libopenblas", "libgfortran", "libquadmath"];

/// The names under which `program` looks for them, and where they are here. None where it was linked without.
///
/// # Errors
/// `ldd` does not answer, or does not find one.
pub fn carried(program: &Path) -> Result<Vec<(String, PathBuf)>> {
    if !cfg!(target_os = "linux") {
        return Ok(Vec::new());
    }
    let output = Command::new("ldd")
        .arg(program)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .context("cannot run `ldd`, which finds the libraries that the programs need")
        .hint("bundles are made on Linux with glibc")?;
    Ok(listed(&String::from_utf8_lossy(&output.stdout)))
}

/// Of ldd's lines `NAME => PATH (ADDRESS)`.
fn listed(said: &str) -> Vec<(String, PathBuf)> {
    said.lines()
        .filter_map(|line| {
            let (name, rest) = line.trim().split_once(" => ")?;
            let path = rest.split(" (").next().filter(|path| path.starts_with('/'))?;
            CARRIED.iter().any(|start| name.starts_with(start)).then(|| (name.to_owned(), PathBuf::from(path)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openblas_comes_along_and_the_system_does_not() {
        let said = "\tlinux-vdso.so.1 (0x7f5d)\n\tlibopenblas.so.0 => /usr/lib/libopenblas.so.0 (0x7f1e)\n\
                    \tlibcuda.so.1 => not found\n\tlibc.so.6 => /lib/libc.so.6 (0x7f5d)\n\
                    \tlibgfortran.so.5 => /usr/lib/libgfortran.so.5 (0x7f1e)\n\t/lib64/ld-linux-x86-64.so.2 (0x7f)\n";
        let names: Vec<String> = listed(said).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["libopenblas.so.0", "libgfortran.so.5"]);
    }
}
