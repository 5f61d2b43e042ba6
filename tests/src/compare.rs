//! Two runs compared bit by bit, and one run compared with itself at another time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::Value;

/// Every file of a run that determinism promises: `.safetensors` and `metrics.jsonl`, relative, sorted.
pub fn artifacts(run: &Path) -> Vec<PathBuf> {
    let mut files = walk(run);
    files.retain(|file| {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.ends_with(".safetensors") || name == "metrics.jsonl"
    });
    files.iter().map(|file| file.strip_prefix(run).expect("the walk starts at the run").to_owned()).collect()
}

/// Every file below a folder with its bytes and its time: equal before and after something that must not write.
pub fn snapshot(folder: &Path) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime)> {
    walk(folder)
        .into_iter()
        .map(|file| {
            let bytes = std::fs::read(&file).expect("a readable file");
            let time = std::fs::metadata(&file).and_then(|metadata| metadata.modified()).expect("a file has a time");
            (file, (bytes, time))
        })
        .collect()
}

/// Panics at the first difference: a file that one run lacks, a byte of a `.safetensors`, a metric but for its time fields.
pub fn assert_same_bits(left: &Path, right: &Path) {
    let (names, others) = (artifacts(left), artifacts(right));
    assert_eq!(names, others, "the runs hold different files");
    assert!(!names.is_empty(), "the runs are empty");
    for name in names {
        let bytes = |run: &Path| std::fs::read(run.join(&name)).expect("a readable file");
        if name.extension().is_some_and(|extension| extension == "safetensors") {
            assert!(bytes(left) == bytes(right), "{} differs", name.display());
        } else {
            let (left, right) = (metrics(&bytes(left)), metrics(&bytes(right)));
            assert_eq!(left.len(), right.len(), "{} has another number of lines", name.display());
            for (line, (left, right)) in left.iter().zip(&right).enumerate() {
                assert_eq!(left, right, "{}:{} differs", name.display(), line + 1);
            }
        }
    }
}

/// The lines of a `metrics.jsonl` without their time fields.
fn metrics(bytes: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(bytes).expect("metrics are UTF-8");
    text.lines()
        .map(|line| {
            let mut value: Value = serde_json::from_str(line).expect("a line of metrics is JSON");
            value.as_object_mut().expect("a line of metrics is an object").remove("wall_secs");
            value
        })
        .collect()
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() { files.extend(walk(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}
