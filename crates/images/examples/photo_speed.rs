//! How fast photos become batches, on one thread: images a second of the training transform, and where the time goes.
//!
//! ```text
//! cargo run --release -p longtail-images --example photo_speed -- FOLDER [PASSES]
//! ```
//!
//! Takes every .jpg and .jpeg below FOLDER, read into memory first. Exact and scaled decoding alternate; medians of passes. Last, how
//! scaled differs from exact in levels of 0 to 255.

use std::path::{Path, PathBuf};
use std::time::Instant;

use longtail_images::decode::{DecodeScratch, Window, probe};
use longtail_images::photo::{ColorJitter, PhotoScratch, PhotoSpec, PhotoTransform};
use longtail_ops::stream;
use longtail_recipe::{Decode, ExifOrientation};

const SIDE: usize = 224;

fn main() -> anyhow::Result<()> {
    let mut words = std::env::args().skip(1);
    let Some(folder) = words.next() else {
        anyhow::bail!("a folder of JPEG photographs is wanted: photo_speed FOLDER")
    };
    let passes: u64 = words.next().map_or(Ok(7), |word| word.parse())?;
    let mut paths = Vec::new();
    collect(Path::new(&folder), &mut paths)?;
    paths.sort();
    let files = paths.iter().map(std::fs::read).collect::<Result<Vec<_>, _>>()?;
    anyhow::ensure!(!files.is_empty(), "no .jpg or .jpeg file below `{folder}`");

    let normalised = |decode, mean, std| PhotoSpec {
        side: SIDE,
        resize_short: 256,
        decode,
        exif: ExifOrientation::Ignore,
        mean,
        std,
    };
    let spec = |decode| normalised(decode, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
    let jitter = Some(ColorJitter::default());
    let cases: [(&str, PhotoTransform); 5] = [
        ("exact: crop, flip, jitter", PhotoTransform::train(&spec(Decode::Exact), jitter)),
        ("scaled: crop, flip, jitter", PhotoTransform::train(&spec(Decode::Scaled), jitter)),
        ("exact: crop, flip", PhotoTransform::train(&spec(Decode::Exact), None)),
        ("exact: evaluation", PhotoTransform::eval(&spec(Decode::Exact))),
        ("scaled: evaluation", PhotoTransform::eval(&spec(Decode::Scaled))),
    ];
    let mut seconds = vec![Vec::new(); cases.len() + 1];
    let (mut scratch, mut decoder) = (PhotoScratch::default(), DecodeScratch::default());
    let mut out = vec![0.0; 3 * SIDE * SIDE];
    for pass in 0..passes {
        for ((_, transform), seconds) in cases.iter().zip(&mut seconds) {
            let start = Instant::now();
            for (index, bytes) in files.iter().enumerate() {
                transform.apply(bytes, || stream(0, "speed", pass, index as u64), &mut scratch, &mut out)?;
            }
            seconds.push(start.elapsed().as_secs_f64() / files.len() as f64);
        }
        let start = Instant::now();
        for bytes in &files {
            let header = probe(bytes)?;
            decoder.decode(bytes, &header, Window::whole(&header), 1)?;
        }
        seconds[cases.len()].push(start.elapsed().as_secs_f64() / files.len() as f64);
    }
    println!("{} photographs, {passes} passes, one thread", files.len());
    for (name, seconds) in cases.iter().map(|case| case.0).chain(["decoding all pixels alone"]).zip(&mut seconds) {
        seconds.sort_by(f64::total_cmp);
        let median = seconds[seconds.len() / 2];
        println!("{name:28} {:7.0} images/s   {:.2} ms each", 1.0 / median, 1e3 * median);
    }

    let plain = |decode| normalised(decode, [0.0; 3], [1.0; 3]);
    let (mut exact, mut scaled) = (out.clone(), out);
    for (name, transform) in [
        ("crop and flip", [Decode::Exact, Decode::Scaled].map(|decode| PhotoTransform::train(&plain(decode), None))),
        ("evaluation", [Decode::Exact, Decode::Scaled].map(|decode| PhotoTransform::eval(&plain(decode)))),
    ] {
        let (mut sum, mut largest, mut other) = (0.0, 0.0f32, 0);
        for (index, bytes) in files.iter().enumerate() {
            let rng = || stream(1, "speed", 0, index as u64);
            transform[0].apply(bytes, rng, &mut scratch, &mut exact)?;
            transform[1].apply(bytes, rng, &mut scratch, &mut scaled)?;
            other += usize::from(exact != scaled);
            for (exact, scaled) in exact.iter().zip(&scaled) {
                let difference = 255.0 * (exact - scaled).abs();
                sum += f64::from(difference);
                largest = largest.max(difference);
            }
        }
        let mean = sum / (files.len() * exact.len()) as f64;
        println!(
            "scaled against exact, {name}: {other} photographs differ, by {mean:.2} levels in the mean of all, {largest:.0} at most"
        );
    }
    Ok(())
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let extension = path.extension().map(|extension| extension.to_ascii_lowercase());
        if path.is_dir() {
            collect(&path, found)?;
        } else if extension.is_some_and(|extension| extension == "jpg" || extension == "jpeg") {
            found.push(path);
        }
    }
    Ok(())
}
