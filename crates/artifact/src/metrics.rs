//! `metrics.jsonl`: one object a line, append-only, cut back on resume.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::json;

use crate::ArtifactError;

/// Bytes that are held back until [`MetricsWriter::flush`].
const BUFFER_BYTES: usize = 1 << 14;

/// Appends measurements to a stage's `metrics.jsonl`.
#[derive(Debug)]
pub struct MetricsWriter {
    path: PathBuf,
    file: File,
    buffer: Vec<u8>,
    /// The length of the file once the buffer is written.
    offset: u64,
    started: Instant,
}

impl MetricsWriter {
    /// Opens the file, cut back to `offset` bytes.
    pub(crate) fn open(path: &Path, offset: u64) -> Result<Self, ArtifactError> {
        let failed = |source| ArtifactError::io("write", path, source);
        let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        if length < offset {
            let what = format!("it has {length} bytes, but the checkpoint was written after {offset}");
            return Err(ArtifactError::Damaged { path: path.to_owned(), what });
        }
        file.set_len(offset).map_err(failed)?;
        file.seek(SeekFrom::Start(offset)).map_err(failed)?;
        Ok(Self { path: path.to_owned(), file, buffer: Vec::new(), offset, started: Instant::now() })
    }

    /// One measurement. `wall_secs`, since this process opened the file, is the only field that two runs do not share.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn scalar(
        &mut self,
        step: u64,
        epoch: usize,
        split: &str,
        name: &str,
        value: f64,
        unit: &str,
    ) -> Result<(), ArtifactError> {
        let wall_secs = (self.started.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        let line = json!({"step": step, "epoch": epoch, "split": split, "name": name, "value": value, "unit": unit,
                          "wall_secs": wall_secs});
        let before = self.buffer.len();
        self.buffer.extend_from_slice(line.to_string().as_bytes());
        self.buffer.push(b'\n');
        self.offset += (self.buffer.len() - before) as u64;
        if self.buffer.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    /// The file's length with everything that was given so far: what a checkpoint stores. Flush first.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Writes what is held back, and syncs.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn flush(&mut self) -> Result<(), ArtifactError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let written = self.file.write_all(&self.buffer).and_then(|()| self.file.sync_data());
        written.map_err(|source| ArtifactError::io("write", &self.path, source))?;
        self.buffer.clear();
        Ok(())
    }
}

impl Drop for MetricsWriter {
    fn drop(&mut self) {
        // Nobody is left to tell; what is lost is behind the last checkpoint and would be cut off anyway.
        let _ = self.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resumed_file_goes_on_at_the_offset() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("metrics.jsonl");
        let mut metrics = MetricsWriter::open(&path, 0).expect("writable");
        metrics.scalar(1, 0, "train", "loss", 2.5, "nats").expect("writable");
        let offset = metrics.offset();
        metrics.scalar(2, 0, "train", "loss", 2.4, "nats").expect("writable");
        drop(metrics);
        let mut metrics = MetricsWriter::open(&path, offset).expect("writable");
        metrics.scalar(2, 0, "train", "loss", 9.0, "nats").expect("writable");
        metrics.flush().expect("writable");
        let text = std::fs::read_to_string(&path).expect("readable");
        let values: Vec<f64> = text
            .lines()
            .map(|line| {
                serde_json::from_str::<serde_json::Value>(line).expect("JSON")["value"].as_f64().expect("a number")
            })
            .collect();
        assert_eq!(values, [2.5, 9.0]);
        assert!(matches!(MetricsWriter::open(&path, 1 << 20), Err(ArtifactError::Damaged { .. })));
    }
}
