//! Which vector instructions the stages will compute with: what `ops::check_simd` answers, which xtask, linking no mathematics,
//! cannot ask.

use anyhow::{Result, anyhow};
use longtail_artifact::cli::WithHint;

/// Forces a path; `ops` reads it.
const VARIABLE: &str = "LONGTAIL_SIMD";

/// The paths that this processor has, slowest first.
fn available() -> Vec<&'static str> {
    #[allow(unused_mut)]
    let mut paths = vec!["portable"];
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        let avx2 = has!("avx2") && has!("fma");
        if avx2 {
            paths.push("avx2");
        }
        if avx2 && has!("avx512f") && has!("avx512vl") && has!("avx512dq") && has!("avx512bw") {
            paths.push("avx512");
        }
    }
    paths
}

/// The path that the stages will take, and whether the environment forces it.
///
/// # Errors
/// The environment names what this processor cannot run.
pub fn in_use() -> Result<(&'static str, bool)> {
    let available = available();
    let Some(word) = std::env::var_os(VARIABLE) else {
        return Ok((available.last().copied().unwrap_or("portable"), false));
    };
    let word = word.to_string_lossy();
    match available.iter().copied().find(|path| *path == word) {
        Some(path) => Ok((path, true)),
        None => Err(anyhow!("{VARIABLE} is `{word}`, but this processor supports only {}", available.join(", ")))
            .hint(&format!("unset {VARIABLE} to use the best one")),
    }
}
