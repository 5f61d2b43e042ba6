//! How many threads compute.

use crate::ArtifactError;

/// Sets the number of threads of the one pool, and of candle's; all cores when None. Call it once, first thing in `main`.
///
/// # Errors
/// Zero threads, or a pool that exists already.
pub fn init_threads(threads: Option<usize>) -> Result<(), ArtifactError> {
    if threads == Some(0) {
        return Err(ArtifactError::Setting("`--threads 0`: at least one thread is needed".to_owned()));
    }
    let count = threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
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
        .map_err(|error| ArtifactError::Setting(format!("the thread pool cannot be set to {count} threads: {error}")))
}
