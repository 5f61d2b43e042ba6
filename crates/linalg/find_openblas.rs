// Where OpenBLAS lies. Plain std: `build.rs` links what this finds, and `cargo xtask doctor` includes the same file, so
// that the two can never disagree.
//
// In this order: the folder in `LONGTAIL_OPENBLAS_DIR`, what pkg-config says, the usual folders.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The answer of [`find`].
pub enum OpenBlas {
    /// A folder with `libopenblas`; `kind` is what rustc calls it (`dylib` or `static:-bundle`).
    Folder {
        dir: PathBuf,
        kind: &'static str,
    },
    /// pkg-config's link flags.
    PkgConfig {
        flags: String,
    },
    /// `LONGTAIL_OPENBLAS_DIR` names a folder without the library.
    WrongFolder(PathBuf),
    Missing,
}

/// Looks for OpenBLAS; `arch` as in `CARGO_CFG_TARGET_ARCH` (`x86_64`, `aarch64` …).
pub fn find(arch: &str) -> OpenBlas {
    if let Some(dir) = std::env::var_os("LONGTAIL_OPENBLAS_DIR") {
        let dir = PathBuf::from(dir);
        return match library_kind(&dir) {
            Some(kind) => OpenBlas::Folder { dir, kind },
            None => OpenBlas::WrongFolder(dir),
        };
    }
    if let Some(flags) = pkg_config_flags() {
        return OpenBlas::PkgConfig { flags };
    }
    usual_folders(arch)
        .into_iter()
        .find_map(|dir| library_kind(&dir).map(|kind| OpenBlas::Folder { dir, kind }))
        .unwrap_or(OpenBlas::Missing)
}

/// The shared library comes first: it brings its own Fortran runtime, the archive may need one named by hand.
fn library_kind(dir: &Path) -> Option<&'static str> {
    if ["libopenblas.so", "libopenblas.dylib"].iter().any(|name| dir.join(name).exists()) {
        Some("dylib")
    } else if dir.join("libopenblas.a").exists() {
        Some("static:-bundle")
    } else {
        None
    }
}

/// None when pkg-config is absent or does not know OpenBLAS.
fn pkg_config_flags() -> Option<String> {
    let program = std::env::var_os("PKG_CONFIG").unwrap_or_else(|| "pkg-config".into());
    let output = Command::new(program).args(["--libs", "openblas"]).output().ok()?;
    let flags = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && flags.contains("-l")).then(|| flags.trim().to_owned())
}

fn usual_folders(arch: &str) -> Vec<PathBuf> {
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
