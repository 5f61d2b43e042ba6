//! How many threads compute.

use clap::builder::RangedI64ValueParser;

use crate::ArtifactError;

/// More than any machine that this was thought for has processors; tens of thousands would take minutes to begin, if at all.
pub const MOST_THREADS: u32 = 1024;

/// Of `--threads N` in every program.
pub fn threads_parser() -> RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=i64::from(MOST_THREADS))
}

/// Sets the number of threads of the one pool, and of candle's; all cores when None. Call it once, first thing in `main`.
///
/// # Errors
/// No thread, more than [`MOST_THREADS`], or a pool that exists already.
pub fn init_threads(threads: Option<usize>) -> Result<(), ArtifactError> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let count = threads.unwrap_or(processors);
    if count == 0 || count > MOST_THREADS as usize {
        return Err(ArtifactError::Setting(format!("`--threads {count}`: it must be from 1 to {MOST_THREADS}")));
    }
    if count > 2 * processors {
        eprintln!(
            "note: {count} threads on {processors} processors are slower than {processors} threads and use more memory"
        );
    }
    for name in ["RAYON_NUM_THREADS", "CANDLE_NUM_THREADS"] {
        // SAFETY: called first thing in `main`, before any other thread exists that could read the environment.
        #[allow(unsafe_code)]
        unsafe {
            std::env::set_var(name, count.to_string());
        }
    }
    rayon::ThreadPoolBuilder::new()
        .num_threads(count)
        .build_global()
        .map_err(|error| ArtifactError::Setting(format!("cannot start a pool of {count} threads: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_thread_and_absurdly_many_are_refused_before_any_is_made() {
        for count in [0, 1025, usize::MAX] {
            let problem = init_threads(Some(count)).expect_err("refused").to_string();
            assert!(problem.contains(&format!("`--threads {count}`: it must be from 1 to 1024")), "{problem}");
        }
    }
}
