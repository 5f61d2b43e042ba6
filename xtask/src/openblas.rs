//! Whether OpenBLAS is there: the same search as `linalg`'s build script, without linking anything.

#[path = "../../crates/linalg/find_openblas.rs"]
mod find_openblas;

use find_openblas::OpenBlas;

/// Where OpenBLAS lies.
///
/// # Errors
/// What is wrong, in words; the caller adds the command that installs it.
pub fn find() -> Result<String, String> {
    match find_openblas::find(std::env::consts::ARCH) {
        OpenBlas::Folder { dir, kind } => {
            Ok(format!("{} ({})", dir.display(), if kind == "dylib" { "shared" } else { "static" }))
        }
        OpenBlas::PkgConfig { flags } => Ok(format!("pkg-config: {flags}")),
        OpenBlas::WrongFolder(dir) => {
            Err(format!("LONGTAIL_OPENBLAS_DIR is {}, which has no libopenblas.so, .dylib or .a", dir.display()))
        }
        OpenBlas::Missing => Err("OpenBLAS, which the linear algebra needs, was not found".to_owned()),
    }
}
