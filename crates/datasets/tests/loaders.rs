//! Loaders: thread count, prefetch depth and where an epoch was resumed change no bit.

use std::sync::Arc;

use longtail_datasets::{
    Batch, EvalLoader, EvalTransform, ImageSet, Loader, LoaderOptions, MetaLoader, Skipped, Split, TrainTransform,
};
use longtail_recipe::{Augmentation, MetaSource, Sampler};

const MEAN: [f32; 3] = [0.4914, 0.4822, 0.4465];
const STD: [f32; 3] = [0.2023, 0.1994, 0.2010];

/// 60 small colour images of three classes, 40 / 15 / 5.
fn set() -> Arc<ImageSet> {
    let labels: Vec<u32> =
        (0..60).map(|i| if i % 4 != 3 { u32::from(i > 52) } else { 1 + u32::from(i % 12 == 3) }).collect();
    Arc::new(ImageSet {
        images: (0..60 * 192u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect(),
        labels,
        height: 8,
        width: 8,
        channels: 3,
        num_classes: 3,
        class_names: vec!["a".into(), "b".into(), "c".into()],
    })
}

fn transform(augmentation: Augmentation) -> TrainTransform {
    TrainTransform::with_statistics(augmentation, &MEAN, &STD, set().shape()).expect("valid")
}

fn loader(sampler: Sampler, augmentation: Augmentation, prefetch: usize, purpose: &'static str) -> Loader {
    let options =
        LoaderOptions { sampler, batch_size: 16, drop_last: false, total_epochs: 4, seed: 3, purpose, prefetch };
    Loader::new(set(), (5..60).collect(), transform(augmentation), options).expect("valid")
}

fn epoch(loader: &Loader, epoch: usize, skip: usize) -> Vec<Batch> {
    loader.epoch_from(epoch, skip).map(|batch| batch.expect("a batch")).collect()
}

#[test]
fn prefetch_depth_threads_and_resumption_change_no_bit() {
    for sampler in
        [Sampler::InstanceBalanced, Sampler::ClassBalanced, Sampler::SquareRoot, Sampler::ProgressivelyBalanced]
    {
        for augmentation in [Augmentation::None, Augmentation::Basic, Augmentation::AutoaugmentCutout] {
            let straight = epoch(&loader(sampler, augmentation, 0, "train"), 2, 0);
            assert_eq!(straight.iter().map(|batch| batch.len).collect::<Vec<_>>(), [16, 16, 16, 7]);
            for threads in [1, 2, 5] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
                for prefetch in [0, 1, 3, 9] {
                    let loader = loader(sampler, augmentation, prefetch, "train");
                    let within = pool.install(|| epoch(&loader, 2, 0));
                    assert!(within == straight, "{sampler:?} {augmentation:?} {threads} threads, prefetch {prefetch}");
                    assert!(epoch(&loader, 2, 2) == straight[2..], "resumed, prefetch {prefetch}");
                }
            }
            assert!(epoch(&loader(sampler, augmentation, 1, "train"), 2, 99).is_empty());
        }
    }
}

#[test]
fn order_and_augmentation_follow_epoch_and_purpose() {
    let train = loader(Sampler::InstanceBalanced, Augmentation::Basic, 2, "train");
    let first = epoch(&train, 0, 0);
    assert!(first != epoch(&train, 1, 0));
    assert!(first != epoch(&loader(Sampler::InstanceBalanced, Augmentation::Basic, 2, "other"), 0, 0));
    let indices: Vec<u32> = first.iter().flat_map(|batch| batch.indices.clone()).collect();
    assert_eq!(indices, train.epoch_indices(0));
    for batch in &first {
        for (&index, &label) in batch.indices.iter().zip(&batch.labels) {
            assert_eq!(set().labels[index as usize], label);
        }
    }
}

/// An image's augmentation depends on the image and the epoch, not on its place among the others.
#[test]
fn the_same_image_is_augmented_alike_in_another_company() {
    let options = |batch_size| LoaderOptions {
        sampler: Sampler::InstanceBalanced,
        batch_size,
        drop_last: false,
        total_epochs: 1,
        seed: 3,
        purpose: "train",
        prefetch: 1,
    };
    let image_of = |indices: Vec<u32>, batch_size| -> Vec<f32> {
        let loader = Loader::new(set(), indices, transform(Augmentation::AutoaugmentCutout), options(batch_size));
        let batches = epoch(&loader.expect("valid"), 6, 0);
        let batch = batches.iter().find(|batch| batch.indices.contains(&20)).expect("image 20");
        let at = batch.indices.iter().position(|&index| index == 20).expect("image 20");
        batch.images[at * 192..(at + 1) * 192].to_vec()
    };
    assert_eq!(image_of((0..60).collect(), 16), image_of(vec![20, 3], 1));
}

/// A class-balanced epoch draws a rare image many times: each time augmented afresh.
#[test]
fn repeated_draws_of_one_image_differ() {
    let batches = epoch(&loader(Sampler::ClassBalanced, Augmentation::Basic, 1, "train"), 0, 0);
    let images: Vec<(u32, Vec<u32>)> = batches
        .iter()
        .flat_map(|batch| {
            batch
                .indices
                .iter()
                .zip(batch.images.chunks(192))
                .map(|(&index, image)| (index, image.iter().map(|value| value.to_bits()).collect()))
        })
        .collect();
    let rarest = (0..60).max_by_key(|&index| images.iter().filter(|(found, _)| *found == index).count()).expect("one");
    let views: Vec<_> = images.iter().filter(|(index, _)| *index == rarest).collect();
    let distinct: std::collections::BTreeSet<_> = views.iter().collect();
    assert!(views.len() >= 3 && distinct.len() >= 2, "{} draws, {} views", views.len(), distinct.len());
}

#[test]
fn drop_last_leaves_a_short_batch_out() {
    let mut options = LoaderOptions {
        sampler: Sampler::InstanceBalanced,
        batch_size: 16,
        drop_last: true,
        total_epochs: 1,
        seed: 0,
        purpose: "train",
        prefetch: 2,
    };
    let loader = Loader::new(set(), (0..60).collect(), transform(Augmentation::None), options).expect("valid");
    assert_eq!((loader.batches_per_epoch(), epoch(&loader, 0, 0).len(), loader.epoch(0).len()), (3, 3, 3));
    options.batch_size = 0;
    let error = Loader::new(set(), vec![0], transform(Augmentation::None), options).err().expect("no batch size");
    assert_eq!(error.to_string(), "batch_size: is 0, expected at least 1");
    options.batch_size = 1;
    let error = Loader::new(set(), vec![60], transform(Augmentation::None), options).err().expect("no image 60");
    assert_eq!(error.to_string(), "loader: index 60 does not exist: the set has 60 images");
}

#[test]
fn evaluation_is_in_order_and_views_differ() {
    let indices: Vec<u32> = vec![7, 3, 59, 0, 12];
    let eval = EvalTransform::with_statistics(&MEAN, &STD, set().shape()).expect("valid");
    let plain = |prefetch| -> Vec<Batch> {
        let loader = EvalLoader::new(set(), indices.clone(), eval.clone(), 2, prefetch).expect("valid");
        loader.iter().map(|batch| batch.expect("a batch")).collect()
    };
    assert_eq!(plain(0), plain(3));
    assert_eq!(plain(0).iter().flat_map(|batch| batch.indices.clone()).collect::<Vec<_>>(), indices);
    let first = set().image(7)[0];
    assert_eq!(plain(1)[0].images[0], (f32::from(first) / 255.0 - MEAN[0]) / STD[0]);

    let view = |number, batch_size| -> Vec<f32> {
        let transform = transform(Augmentation::Basic);
        let loader =
            EvalLoader::augmented(set(), indices.clone(), transform, number, 3, "views", batch_size, 2).expect("valid");
        loader.iter().flat_map(|batch| batch.expect("a batch").images).collect()
    };
    assert_eq!(view(1, 2), view(1, 5));
    assert_ne!(view(1, 2), view(2, 2));
}

fn split(meta_source: MetaSource) -> Split {
    Split {
        train: (0..60).collect(),
        meta: (0..60).collect(),
        val: vec![],
        test: vec![],
        class_counts: vec![],
        meta_source,
        skipped: Skipped::default(),
    }
}

#[test]
fn meta_batches_come_by_number_and_cover_each_pass() {
    let meta = |batch_size| {
        let transform = transform(Augmentation::Basic);
        MetaLoader::new(set(), &split(MetaSource::Metasaug), transform, batch_size, 1, "meta").expect("valid")
    };
    let row: Vec<u32> = (0..6).flat_map(|i| meta(30).batch(i).expect("a batch").indices).collect();
    for pass in row.chunks(60) {
        let mut pass = pass.to_vec();
        pass.sort_unstable();
        assert_eq!(pass, (0..60).collect::<Vec<u32>>());
    }
    assert_ne!(row[..60], row[60..120]);
    // Other batch sizes cut the same row, over the end of a pass too, and larger than the set.
    assert_eq!((0..4).flat_map(|i| meta(45).batch(i).expect("a batch").indices).collect::<Vec<_>>(), row);
    assert_eq!(meta(180).batch(0).expect("a batch").indices, row);
    // By number alone, made ahead or not.
    let ahead = meta(45);
    for number in [0, 1, 2, 2, 3, 1, 7, 8] {
        let expected = meta(45).batch(number).expect("a batch");
        assert_eq!(ahead.batch_ahead(number).expect("a batch"), expected, "{number}");
    }
    let loader = meta(45);
    let fourth = loader.batch(3).expect("a batch");
    assert_eq!((loader.batch(0).expect("a batch").len, loader.batch(3).expect("a batch")), (45, fourth));
}

#[test]
fn balanced_draws_from_the_training_set_are_balanced() {
    let transform = transform(Augmentation::None);
    let meta = MetaLoader::new(set(), &split(MetaSource::LtBalancedDraws), transform, 60, 1, "meta").expect("valid");
    let mut counts = [0; 3];
    meta.batch(5).expect("a batch").labels.iter().for_each(|&label| counts[label as usize] += 1);
    assert_eq!(counts, [20, 20, 20]);
    let empty = Split { meta: vec![], ..split(MetaSource::None) };
    let error = MetaLoader::new(set(), &empty, transform_none(), 1, 1, "meta").err().expect("no meta set");
    assert!(error.to_string().starts_with("meta set: is empty"), "{error}");
}

fn transform_none() -> TrainTransform {
    transform(Augmentation::None)
}
