//! How fast photos are decoded: `cargo run --release -p longtail-datasets --example decode_speed -- FOLDER [ROUNDS]`.
//!
//! Every JPEG and PNG under FOLDER is read into memory once and then decoded on one thread, whole and by the windows of random
//! resized crops. Prints images a second of this thread's processor time (Linux; of the clock elsewhere), the best round.

use std::path::{Path, PathBuf};
use std::time::Instant;

use longtail_datasets::photo::decode::{DecodeScratch, Window, probe};

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

/// A number in 0..1 that depends on `state` alone.
fn draw(state: &mut u64) -> f64 {
    *state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
    (*state >> 11) as f64 / (1u64 << 53) as f64
}

/// torchvision's random resized crop: 8 to 100 % of the area, 3:4 to 4:3.
fn crop(width: u32, height: u32, state: &mut u64) -> Window {
    for _ in 0..10 {
        let area = f64::from(width) * f64::from(height) * (0.08 + 0.92 * draw(state));
        let ratio = ((0.75f64).ln() + draw(state) * (16.0f64 / 9.0).ln()).exp();
        let (wide, high) = ((area * ratio).sqrt().round() as u32, (area / ratio).sqrt().round() as u32);
        if (1..=width).contains(&wide) && (1..=height).contains(&high) {
            let left = (draw(state) * f64::from(width - wide + 1)) as u32;
            let top = (draw(state) * f64::from(height - high + 1)) as u32;
            return Window { left, top, width: wide, height: high };
        }
    }
    Window { left: 0, top: 0, width, height }
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
    for (name, reduce) in [("whole", 1), ("crop", 1), ("whole/2", 2), ("crop/2", 2), ("crop/4", 4)] {
        let mut best = f64::INFINITY;
        for round in 0..rounds {
            let mut state = round as u64 + 1;
            let before = thread_secs(start);
            for (path, photo) in paths.iter().zip(&photos) {
                let header = probe(photo).unwrap_or_else(|problem| panic!("{}: {problem}", path.display()));
                let window = if name.starts_with("crop") {
                    crop(header.width, header.height, &mut state)
                } else {
                    Window::whole(&header)
                };
                match scratch.decode(photo, &header, window, reduce) {
                    Ok(pixels) => {
                        std::hint::black_box(pixels);
                    }
                    Err(problem) => println!("{}: {problem}", path.display()),
                }
            }
            best = best.min(thread_secs(start) - before);
        }
        let count = photos.len() as f64;
        println!("{name}: {:.0} images/s, {:.2} ms each", count / best, 1e3 * best / count);
    }
}
