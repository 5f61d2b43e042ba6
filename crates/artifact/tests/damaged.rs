//! Damaged bytes for every reader of the crate: no panic, no allocation beyond the file's size, and never a wrong number.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::Path;

use longtail_artifact::{
    ArtifactError, Begin, BeginOptions, ImageMatch, Manifest, NamedTensor, StageInput, StageRun, StageSpec, StageState,
    TensorData, TensorFile, census, hash_file, stage_state, write_tensors,
};
use proptest::prelude::*;
use serde_json::json;

/// Remembers the largest single request of the current thread.
struct Watching;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is handed on to the system's allocator unchanged; the cell is plain data without a destructor.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.with(|largest| largest.set(largest.get().max(layout.size())));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static WATCHING: Watching = Watching;

/// No request may be larger than the file, but for the small change that every parser needs (tables, messages, buffers).
const SMALL_CHANGE: usize = 80 << 10;

fn sample() -> Vec<NamedTensor> {
    let named = |name: &str, shape: &[usize], data| NamedTensor { name: name.into(), shape: shape.to_vec(), data };
    vec![
        named("features", &[4, 3], TensorData::F32((0..12).map(|value| value as f32 * 0.5).collect())),
        named("labels", &[4], TensorData::U32(vec![0, 1, 1, 2])),
        named("means", &[3], TensorData::F64(vec![0.25, -1.0, 3.5])),
        named("offsets", &[2], TensorData::I64(vec![-1, 1 << 40])),
        named("bytes", &[5], TensorData::U8(vec![1, 2, 3, 4, 5])),
        named("empty", &[0, 7], TensorData::F32(vec![])),
    ]
}

fn sound_bytes() -> Vec<u8> {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("x.safetensors");
    write_tensors(&path, &sample(), &json!({"split": "train", "views": [1, 2], "backbone": "ab".repeat(32)}))
        .expect("writable");
    std::fs::read(path).expect("readable")
}

/// Reads everything there is to read; returns what was found when nothing complained.
fn read_all(path: &Path) -> Option<Vec<NamedTensor>> {
    let file = TensorFile::open(path).ok()?;
    let _ = census(&file);
    for name in file.names() {
        let any = vec![None; file.shape(name).unwrap_or_default().len()];
        let _ = file.expect_f32(name, &any);
        let _ = file.expect_f64(name, &any);
        let _ = file.expect_u32(name, &any);
    }
    file.tensors().ok()
}

fn read_bounded(bytes: &[u8]) -> Option<Vec<NamedTensor>> {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("x.safetensors");
    std::fs::write(&path, bytes).expect("writable");
    LARGEST.with(|largest| largest.set(0));
    let found = read_all(&path);
    let largest = LARGEST.with(Cell::get);
    assert!(largest <= bytes.len() + SMALL_CHANGE, "{largest} bytes at once for a file of {}", bytes.len());
    found
}

/// A header of our own making, with data after it.
fn forged(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

#[test]
fn every_truncation_is_refused() {
    let sound = sound_bytes();
    assert_eq!(read_bounded(&sound).map(|tensors| tensors.len()), Some(sample().len()));
    for length in 0..sound.len() {
        assert_eq!(read_bounded(&sound[..length]), None, "cut to {length} of {} bytes", sound.len());
    }
    assert_eq!(read_bounded(&[sound.as_slice(), b"x"].concat()), None, "a byte too many");
}

#[test]
fn headers_that_promise_more_than_the_file_holds_cost_nothing() {
    let tensor = |dtype: &str, shape: &str, offsets: &str| {
        format!(r#"{{"x":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#)
    };
    let cases = [
        tensor("F32", "[4611686018427387904]", "[0,18446744073709551615]"),
        tensor("F32", "[1099511627776]", "[0,4398046511104]"),
        tensor("F32", "[4294967296,4294967296,4294967296]", "[0,8]"),
        tensor("F32", "[2]", "[8,0]"),
        tensor("F32", "[3]", "[0,8]"),
        tensor("U8", "[4]", "[4,8]"),
        tensor("F32", "[-1]", "[0,8]"),
        tensor("F99", "[2]", "[0,8]"),
        "{\"x\":".repeat(300),
        String::from("[]"),
        String::new(),
    ];
    for header in &cases {
        assert_eq!(read_bounded(&forged(header, &[0; 8])), None, "{header}");
    }
    for length in [u64::MAX, u64::MAX - 7, 1 << 62, 1 << 40, 100_000_001, 3] {
        let bytes = [&length.to_le_bytes()[..], b"{}"].concat();
        assert_eq!(read_bounded(&bytes), None, "a header of {length} bytes");
    }
}

/// A finished stage with one checkpoint's worth of state beside it.
fn stage(dir: &Path) -> StageSpec {
    std::fs::write(dir.join("split"), b"split").expect("writable");
    StageSpec {
        stage: "features",
        code_version: 1,
        recipe_part: json!({"features": {"views": 2}, "seed": 0}),
        inputs: vec![StageInput { name: "split".into(), path: dir.join("split") }],
        device: "cpu".into(),
        images: ImageMatch::Same,
    }
}

fn begin(dir: &Path, spec: &StageSpec) -> StageRun {
    match StageRun::begin(&dir.join("stage"), spec, BeginOptions::default()).expect("free") {
        Begin::Run(run) => run,
        Begin::UpToDate | Begin::KeptStale => panic!("it was not finished"),
    }
}

fn only_file(dir: &Path) -> std::path::PathBuf {
    std::fs::read_dir(dir).expect("readable").next().expect("one file").expect("readable").path()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// A flipped bit in the header is refused or leaves a consistent file; one in the data changes one number. Never a panic.
    #[test]
    fn flipped_bits_never_panic(place in 0.0..1.0f64, bit in 0u8..8, more in prop::collection::vec((0.0..1.0f64, 0u8..8), 0..3)) {
        let mut bytes = sound_bytes();
        for (place, bit) in more.into_iter().chain([(place, bit)]) {
            let place = (place * bytes.len() as f64) as usize;
            bytes[place] ^= 1 << bit;
        }
        if let Some(tensors) = read_bounded(&bytes) {
            for tensor in tensors {
                prop_assert_eq!(tensor.shape.iter().product::<usize>(), tensor.data.len());
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert_eq!(read_bounded(&bytes), None);
    }

    #[test]
    fn arbitrary_headers_never_panic(header in "[{}\\[\\]\",:0-9a-zF_]{0,200}", data in prop::collection::vec(any::<u8>(), 0..40)) {
        read_bounded(&forged(&header, &data));
    }

    #[test]
    fn a_damaged_manifest_is_stale_or_an_error(cut in 0.0..1.0f64, place in 0.0..1.0f64, bit in 0u8..8) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let spec = stage(dir.path());
        begin(dir.path(), &spec).finish(&[]).expect("finishes");
        let folder = dir.path().join("stage");
        let path = folder.join("manifest.json");
        let sound = std::fs::read(&path).expect("readable");
        std::fs::write(&path, &sound[..(cut * (sound.len() - 1) as f64) as usize]).expect("writable");
        let is_refused = matches!(Manifest::read(&folder), Err(ArtifactError::Damaged { .. }));
        prop_assert!(is_refused);
        let state = stage_state(&folder, &spec).expect("a damaged manifest is no reason to stop");
        let is_stale = matches!(state, StageState::Stale { .. });
        prop_assert!(is_stale);
        let mut flipped = sound.clone();
        flipped[(place * sound.len() as f64) as usize] ^= 1 << bit;
        std::fs::write(&path, flipped).expect("writable");
        let _ = Manifest::read(&folder);
        stage_state(&folder, &spec).expect("a damaged manifest is no reason to stop");
    }

    #[test]
    fn a_damaged_checkpoint_is_never_gone_on_from(place in 0.0..1.0f64, bit in 0u8..8, cut in any::<bool>()) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let run = begin(dir.path(), &stage(dir.path()));
        run.save_checkpoint(5, &sample(), &json!({"epoch": 1}), 77).expect("writable");
        prop_assert_eq!(run.latest_checkpoint().expect("sound").map(|found| found.step), Some(5));
        let path = only_file(&run.checkpoint_dir());
        let mut bytes = std::fs::read(&path).expect("readable");
        let place = (place * bytes.len() as f64) as usize;
        if cut { bytes.truncate(place) } else { bytes[place] ^= 1 << bit }
        std::fs::write(&path, bytes).expect("writable");
        prop_assert_eq!(run.latest_checkpoint().expect("set aside"), None);
        prop_assert!(only_file(&run.checkpoint_dir()).extension().is_some_and(|kind| kind == "bad"));
    }
}

#[test]
fn the_hash_sees_every_bit() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("x");
    let sound = sound_bytes();
    std::fs::write(&path, &sound).expect("writable");
    let hash = hash_file(&path).expect("readable");
    for place in (0..sound.len()).step_by(13) {
        let mut bytes = sound.clone();
        bytes[place] ^= 1 << (place % 8);
        std::fs::write(&path, bytes).expect("writable");
        assert_ne!(hash_file(&path).expect("readable"), hash, "byte {place}");
    }
}
