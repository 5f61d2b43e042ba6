//! Finds OpenBLAS, or stops the build at once with the command that installs it.
//!
//! No dependency and no download, so that a fresh checkout fails in seconds with words a person can act on, not a minute
//! later in the linker.

#[path = "find_openblas.rs"]
mod find_openblas;

use find_openblas::OpenBlas;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=find_openblas.rs");
    for name in ["LONGTAIL_OPENBLAS_DIR", "PKG_CONFIG", "PKG_CONFIG_PATH", "PKG_CONFIG_LIBDIR"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    match find_openblas::find(&std::env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default()) {
        OpenBlas::Folder { dir, kind } => {
            println!("cargo::rustc-link-search=native={}", dir.display());
            println!("cargo::rustc-link-lib={kind}=openblas");
        }
        OpenBlas::PkgConfig { flags } => link_flags(&flags),
        OpenBlas::WrongFolder(dir) => println!(
            "cargo::error=LONGTAIL_OPENBLAS_DIR is {}, which has no libopenblas.so, .dylib or .a.",
            dir.display()
        ),
        OpenBlas::Missing => explain(),
    }
}

fn link_flags(flags: &str) {
    for flag in flags.split_whitespace() {
        if let Some(dir) = flag.strip_prefix("-L") {
            println!("cargo::rustc-link-search=native={dir}");
        } else if let Some(library) = flag.strip_prefix("-l") {
            println!("cargo::rustc-link-lib=dylib={library}");
        }
    }
}

fn explain() {
    for line in [
        "OpenBLAS, which the linear algebra needs, was not found.",
        "  Debian/Ubuntu: sudo apt-get install libopenblas-dev",
        "  Fedora:        sudo dnf install openblas-devel",
        "  macOS:         brew install openblas",
        "  elsewhere:     set LONGTAIL_OPENBLAS_DIR to the folder that holds libopenblas.so or libopenblas.a",
    ] {
        println!("cargo::error={line}");
    }
}
