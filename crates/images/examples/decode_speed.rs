//! How fast photos are decoded: `cargo run --release -p longtail-images --example decode_speed -- FOLDER [ROUNDS]`.
//!
//! Every JPEG and PNG under FOLDER is read into memory once and then decoded on one thread. Prints images a second of
//! this thread's processor time (Linux, in steps of some milliseconds a round; of the clock elsewhere), the best round.

use std::path::{Path, PathBuf};
use std::time::Instant;

use longtail_images::decode::{DecodeScratch, Window, probe};

fn files(folder: &Path, into: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            files(&entry, into);
        } else if entry.extension().is_some_and(|end| ["jpg", "jpeg", "JPEG", "png"].iter().any(|known| end == *known))
        {
            into.push(entry);
        }
    }
}

/// Seconds of this thread on a processor.
fn thread_secs(start: Instant) -> f64 {
    std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| text.split(' ').next()?.parse::<f64>().ok())
        .map_or_else(|| start.elapsed().as_secs_f64(), |nanoseconds| nanoseconds / 1e9)
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().expect("a folder of photos");
    let rounds: usize = arguments.next().map_or(5, |rounds| rounds.parse().expect("a number of rounds"));
    let mut paths = Vec::new();
    files(Path::new(&folder), &mut paths);
    let photos: Vec<Vec<u8>> = paths.iter().map(|path| std::fs::read(path).expect("a readable file")).collect();
    let mut scratch = DecodeScratch::default();
    let start = Instant::now();
    let mut best = f64::INFINITY;
    for _ in 0..rounds {
        let before = thread_secs(start);
        for (path, photo) in paths.iter().zip(&photos) {
            let header = probe(photo).unwrap_or_else(|problem| panic!("{}: {problem}", path.display()));
            match scratch.decode(photo, &header, Window::whole(&header), 1) {
                Ok(pixels) => {
                    std::hint::black_box(pixels);
                }
                Err(problem) => println!("{}: {problem}", path.display()),
            }
        }
        best = best.min(thread_secs(start) - before);
    }
    let count = photos.len() as f64;
    println!("{count} photos: {:.0} images/s, {:.2} ms each", count / best, 1e3 * best / count);
}
