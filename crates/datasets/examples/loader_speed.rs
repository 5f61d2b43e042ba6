//! Images per second that the loader makes on one thread, for images of CIFAR's size.
//!
//! `cargo run --release -p longtail-datasets --example loader_speed`

use std::sync::Arc;
use std::time::Instant;

use longtail_datasets::{DatasetError, ImageSet, Loader, LoaderOptions, TrainTransform};
use longtail_recipe::{Augmentation, Sampler};

fn main() -> Result<(), DatasetError> {
    const IMAGES: u32 = 20_000;
    let set = Arc::new(ImageSet {
        images: (0..IMAGES * 3072).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect(),
        labels: (0..IMAGES).map(|i| i % 100).collect(),
        height: 32,
        width: 32,
        channels: 3,
        num_classes: 100,
        class_names: vec![String::new(); 100],
    });
    for (name, augmentation) in [
        ("normalise", Augmentation::None),
        ("crop, flip, normalise", Augmentation::Basic),
        ("crop, flip, AutoAugment, Cutout, normalise", Augmentation::AutoaugmentCutout),
    ] {
        let transform = TrainTransform::with_statistics(augmentation, &[0.5; 3], &[0.25; 3], set.shape())?;
        let options = LoaderOptions {
            sampler: Sampler::InstanceBalanced,
            batch_size: 128,
            drop_last: false,
            total_epochs: 1,
            seed: 0,
            purpose: "speed",
            prefetch: 0, // everything on this thread
        };
        let loader = Loader::new(Arc::clone(&set), (0..IMAGES).collect(), transform, options)?;
        let mut best = f64::INFINITY;
        for epoch in 0..3 {
            let started = Instant::now();
            for batch in loader.epoch(epoch) {
                std::hint::black_box(batch?);
            }
            best = best.min(started.elapsed().as_secs_f64());
        }
        println!("{name}: {:.0} images/s", f64::from(IMAGES) / best);
    }
    Ok(())
}
