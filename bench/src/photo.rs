//! Photographs, from the bytes of their files to the batch buffer, as the loader makes them.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use longtail_images::photo::{ColorJitter, PhotoScratch, PhotoSpec, PhotoTransform};
use longtail_ops::stream;
use longtail_recipe::{Decode, ExifOrientation};
use rayon::prelude::*;

use crate::case::{Absent, Case, Repetition, timed};

/// As the peer's.
const BATCH: usize = 32;

/// One pass over the JPEG files below `LONGTAIL_BENCH_IMAGES`; files are read in every pass, as a loader does. Seconds are of one
/// image.
pub fn transform(case: &Case) -> Result<Repetition> {
    let side = case.number("side")?;
    let spec = PhotoSpec {
        side,
        resize_short: (side * 256).div_ceil(224),
        decode: match case.word("decode")? {
            "exact" => Decode::Exact,
            "scaled" => Decode::Scaled,
            other => bail!("no way of decoding called `{other}`"),
        },
        exif: ExifOrientation::Ignore,
        mean: [0.485, 0.456, 0.406],
        std: [0.229, 0.224, 0.225],
    };
    let transform = match case.word("transform")? {
        "train" => PhotoTransform::train(&spec, Some(ColorJitter::default())),
        "eval" => PhotoTransform::eval(&spec),
        other => bail!("no transform called `{other}`"),
    };
    let files = files()?;
    let mut batch = vec![0f32; BATCH * side * side * 3];
    let mut pass = 0u64;
    Ok(Box::new(move || {
        pass += 1;
        let secs = timed(|| {
            for (number, part) in files.chunks(BATCH).enumerate() {
                let images = batch.par_chunks_exact_mut(side * side * 3).zip(part.par_iter()).enumerate();
                images.try_for_each_init(PhotoScratch::default, |scratch, (place, (out, file))| -> Result<()> {
                    let bytes = std::fs::read(file).with_context(|| format!("cannot read `{}`", file.display()))?;
                    let rng = || stream(0, "speed", pass, (number * BATCH + place) as u64);
                    transform.apply(&bytes, rng, scratch, out).with_context(|| format!("`{}`", file.display()))
                })?;
                std::hint::black_box(&batch);
            }
            anyhow::Ok(())
        })?;
        Ok(secs / files.len() as f64)
    }))
}

/// All of them, sorted by path.
fn files() -> Result<Vec<PathBuf>> {
    let Some(folder) = std::env::var_os("LONGTAIL_BENCH_IMAGES") else {
        return Err(Absent("it needs a folder of JPEG photographs: --images DIR".to_owned()).into());
    };
    let (mut found, mut folders) = (Vec::new(), vec![PathBuf::from(folder)]);
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).with_context(|| format!("cannot read `{}`", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            let extension = path.extension().map(|extension| extension.to_ascii_lowercase());
            if path.is_dir() {
                folders.push(path);
            } else if extension.is_some_and(|extension| extension == "jpeg" || extension == "jpg") {
                found.push(path);
            }
        }
    }
    if found.is_empty() {
        bail!("no .jpg or .jpeg file below the folder of --images");
    }
    found.sort();
    Ok(found)
}
