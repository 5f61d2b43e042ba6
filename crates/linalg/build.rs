//! Finds OpenBLAS, or stops the build at once with the command that installs it.
//!
//! In this order: the folder in `LONGTAIL_OPENBLAS_DIR`, what pkg-config says, the usual folders. No dependency and no
//! download, so that a fresh checkout fails in seconds with words a person can act on, not a minute later in the linker.

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for name in ["LONGTAIL_OPENBLAS_DIR", "PKG_CONFIG", "PKG_CONFIG_PATH", "PKG_CONFIG_LIBDIR"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    if let Some(dir) = std::env::var_os("LONGTAIL_OPENBLAS_DIR") {
        let dir = PathBuf::from(dir);
        if !link_folder(&dir) {
            println!(
                "cargo::error=LONGTAIL_OPENBLAS_DIR is {}, which holds no libopenblas.so, .dylib or .a.",
                dir.display()
            );
        }
        return;
    }
    if link_pkg_config() || usual_folders().iter().any(|dir| link_folder(dir)) {
        return;
    }
    println!("cargo::error=OpenBLAS was not found, and the linear-algebra crates need it.");
    println!("cargo::error=  Debian/Ubuntu: sudo apt-get install libopenblas-dev");
    println!("cargo::error=  Fedora:        sudo dnf install openblas-devel");
    println!("cargo::error=  macOS:         brew install openblas");
    println!(
        "cargo::error=  elsewhere:     set LONGTAIL_OPENBLAS_DIR to the folder that holds libopenblas.so or libopenblas.a"
    );
}

/// Prints the link lines for a folder that holds the library; false when it does not. The shared library comes first: it
/// brings its own Fortran runtime, the archive may need one named by hand.
fn link_folder(dir: &Path) -> bool {
    let kind = if ["libopenblas.so", "libopenblas.dylib"].iter().any(|name| dir.join(name).exists()) {
        "dylib"
    } else if dir.join("libopenblas.a").exists() {
        "static:-bundle"
    } else {
        return false;
    };
    println!("cargo::rustc-link-search=native={}", dir.display());
    println!("cargo::rustc-link-lib={kind}=openblas");
    true
}

/// Asks pkg-config; false when it is absent or does not know OpenBLAS.
fn link_pkg_config() -> bool {
    let program = std::env::var_os("PKG_CONFIG").unwrap_or_else(|| "pkg-config".into());
    let Ok(output) = Command::new(program).args(["--libs", "openblas"]).output() else {
        return false;
    };
    let Ok(flags) = String::from_utf8(output.stdout) else {
        return false;
    };
    if !output.status.success() || !flags.contains("-l") {
        return false;
    }
    for flag in flags.split_whitespace() {
        if let Some(dir) = flag.strip_prefix("-L") {
            println!("cargo::rustc-link-search=native={dir}");
        } else if let Some(library) = flag.strip_prefix("-l") {
            println!("cargo::rustc-link-lib=dylib={library}");
        }
    }
    true
}

fn usual_folders() -> Vec<PathBuf> {
    let arch = std::env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    let multiarch = format!("/usr/lib/{arch}-linux-gnu");
    [
        format!("{multiarch}/openblas-pthread"),
        multiarch.clone(),
        format!("{multiarch}/openblas-openmp"),
        format!("{multiarch}/openblas-serial"),
        "/usr/lib64".to_owned(),
        "/usr/lib".to_owned(),
        "/usr/local/lib".to_owned(),
        "/usr/local/opt/openblas/lib".to_owned(),
        "/opt/homebrew/opt/openblas/lib".to_owned(),
        "/opt/OpenBLAS/lib".to_owned(),
    ]
    .into_iter()
    .map(PathBuf::from)
    .collect()
}
