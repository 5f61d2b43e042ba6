//! `test --asan`: the tests of the crates with `unsafe`, under AddressSanitizer.
//!
//! A stable toolchain carries the sanitizer's runtime, but keeps its flag behind `RUSTC_BOOTSTRAP`. The target is named
//! although it is the host: then the flags stay away from build scripts and procedural macros, which rustc itself loads. All of
//! it lies in `target/asan`, so that the usual build stays warm.
//!
//! What it sees: reads and writes outside a heap, stack or global object, use after free, double free and leaks, in our code
//! and in Rust dependencies. What it does not: OpenBLAS's own accesses (it is not compiled here), and a kernel that leaves its
//! part of a scratch buffer but not the buffer.
//!
//! That it bites was proved by hand, on rustc 1.95.0: `ops`'s convolution tile, changed to read one element behind the output
//! and add it times zero, passed `cargo test --test convolution`, and here gave `heap-buffer-overflow`, "READ of size 8", with
//! the changed line of `tile.rs`, "0 bytes after" the output, and exit code 1.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow};
use longtail_artifact::cli::WithHint;

use crate::binaries;

/// The one platform that this was tried on.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// `cargo test` under AddressSanitizer, without the words that choose tests.
///
/// # Errors
/// This platform or toolchain has no AddressSanitizer.
pub fn command(root: &Path) -> Result<Command> {
    check_toolchain(root)?;
    let folder = root.join("target").join("asan");
    let mut command = Command::new(binaries::cargo());
    command.current_dir(root).args(["test", "--release", "--target", TARGET, "--target-dir"]).arg(folder);
    command.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", "-Zsanitizer=address");
    // Cargo would take the first in place of RUSTFLAGS; the second would leave doctests, if asked for, without the runtime.
    command.env_remove("CARGO_ENCODED_RUSTFLAGS").env("RUSTDOCFLAGS", "-Zsanitizer=address");
    // Reports name lines, by addr2line where there is no llvm-symbolizer.
    command.env("CARGO_PROFILE_RELEASE_DEBUG", "line-tables-only").env("CARGO_PROFILE_RELEASE_STRIP", "none");
    let options = std::env::var("ASAN_OPTIONS").unwrap_or_default();
    command.env("ASAN_OPTIONS", format!("allow_addr2line=1:{options}"));
    Ok(command)
}

/// The words that choose tests: those of the user, else the crates with `unsafe`.
///
/// # Errors
/// The sources cannot be read.
pub fn words(root: &Path, asked: &[String]) -> Result<Vec<String>> {
    if asked.is_empty() { default_words(root) } else { Ok(asked.to_vec()) }
}

fn default_words(root: &Path) -> Result<Vec<String>> {
    let crates = crates_with_unsafe(&root.join("crates"))?;
    let packages = crates.iter().flat_map(|name| ["-p".to_owned(), format!("longtail-{name}")]);
    // Without doctests, which would each be linked on their own.
    Ok(["--lib", "--tests"].map(str::to_owned).into_iter().chain(packages).collect())
}

/// The crates that opt into `unsafe`; the workspace denies it to the others.
fn crates_with_unsafe(crates: &Path) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for entry in fs_err::read_dir(crates)? {
        let entry = entry?;
        if opts_in(&entry.path())? {
            found.insert(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(found)
}

fn opts_in(path: &Path) -> Result<bool> {
    if path.is_dir() {
        for entry in fs_err::read_dir(path)? {
            if opts_in(&entry?.path())? {
                return Ok(true);
            }
        }
        return Ok(false);
    }
    let is_rust = path.extension().is_some_and(|extension| extension == "rs");
    Ok(is_rust && fs_err::read_to_string(path)?.contains("allow(unsafe_code)"))
}

fn check_toolchain(root: &Path) -> Result<()> {
    let version = rustc(root, &["--version", "--verbose"])?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or("of an unknown kind");
    if host != TARGET {
        return Err(anyhow!("the AddressSanitizer tests need {TARGET}, but this toolchain is {host}"))
            .hint("leave out --asan to run the same tests without it");
    }
    let libraries = PathBuf::from(rustc(root, &["--print", "target-libdir"])?.trim());
    let is_runtime = |name: &str| name.starts_with("librustc") && name.ends_with("_rt.asan.a");
    let found = fs_err::read_dir(&libraries)?
        .filter_map(Result::ok)
        .any(|entry| is_runtime(&entry.file_name().to_string_lossy()));
    if !found {
        return Err(anyhow!("this toolchain has no AddressSanitizer runtime in {}", libraries.display()))
            .hint("toolchains from https://rustup.rs have one; or leave out --asan to run the same tests without it");
    }
    Ok(())
}

fn rustc(root: &Path, words: &[&str]) -> Result<String> {
    let program = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(&program).current_dir(root).args(words).output();
    let output = output.with_context(|| format!("cannot start {}", program.to_string_lossy()))?;
    if !output.status.success() {
        return Err(anyhow!("`rustc {}` failed: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crates_with_unsafe_are_found() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the root");
        let found = crates_with_unsafe(&root.join("crates")).expect("readable sources");
        assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), ["artifact", "images", "linalg", "ops"]);
    }
}
