//! Batches that a device makes of images it holds, against those of the loaders, to the bit: on an emulated device wherever a C++
//! compiler is, on a real one where there is one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use longtail_datasets::{
    Batch, DataSource, EvalLoader, ImageSet, Loader, LoaderOptions, MetaLoader, PlacedBatch, Split, StoredPixels,
    TrainTransform, Transform,
};
use longtail_ops::gpu::{Driver, Emulated, GpuVec, Placement, StoredImages};
use longtail_ops::{below, stream};
use longtail_recipe::{Augmentation, DataRecipe, MetaAug, Sampler, read_str};

const IMAGES: u32 = 60;
const CLASSES: usize = 5;

/// Not square, so that rows and columns cannot be taken for each other, and of one or three channels.
fn images(channels: usize) -> Arc<ImageSet> {
    let (height, width) = (9, 11);
    let mut rng = stream(4, "test/images", 0, 0);
    Arc::new(ImageSet {
        images: (0..IMAGES as usize * height * width * channels)
            .map(|_| below(&mut rng, 256) as u8)
            .collect::<Vec<_>>()
            .into(),
        labels: (0..IMAGES).map(|index| index % CLASSES as u32).collect(),
        height,
        width,
        channels,
        num_classes: CLASSES,
        class_names: (0..CLASSES).map(|class| class.to_string()).collect(),
    })
}

/// Of a recipe for such images.
fn data(channels: usize) -> DataRecipe {
    let dataset = if channels == 3 { "cifar100" } else { "fashion_mnist" };
    let text = format!(
        "
data: {{dataset: {dataset}, imbalance_factor: 2, meta_per_class: 2}}
representations: {{r: {{method: {{ce: {{}}}}, backbone: {{cifar_resnet: 8}}}}}}
classifiers: {{joint: {{joint: {{}}}}}}
"
    );
    read_str(&text, "placed", &[]).expect("the recipe is valid").data.clone()
}

struct Device<'a, D: Driver> {
    driver: &'a D,
    stored: StoredImages<D>,
    places: GpuVec<i32, D>,
    out: GpuVec<f32, D>,
}

impl<'a, D: Driver> Device<'a, D> {
    fn holding(driver: &'a D, set: &Arc<ImageSet>, data: &DataRecipe) -> Self {
        let stored = StoredPixels::new(set, &data.normalize).expect("three numbers").expect("small enough");
        let stored = stored.upload(driver).expect("room");
        Self { driver, stored, places: GpuVec::default(), out: GpuVec::default() }
    }

    fn made(&mut self, placements: &[Placement]) -> Vec<u32> {
        let len = placements.len() * self.stored.image_len();
        self.out.reserve(self.driver, len).expect("room");
        let out = self.out.view_mut().part(0..len);
        self.stored.place(self.driver, placements, &mut self.places, out).expect("runs");
        bits(&self.out.view().part(0..len).to_vec(self.driver).expect("comes back"))
    }

    fn assert_same(&mut self, placed: &PlacedBatch, made: &Batch, what: &str) {
        assert_eq!(placed.labels, made.labels, "{what}");
        assert_eq!(placed.placements.iter().map(|placed| placed.image).collect::<Vec<_>>(), made.indices, "{what}");
        assert!(self.made(&placed.placements) == bits(&made.images), "{what}: other pixels");
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn check<D: Driver>(driver: &D) {
    for channels in [1, 3] {
        let (set, data) = (images(channels), data(channels));
        let mut device = Device::holding(driver, &set, &data);
        for (augmentation, sampler) in
            [(Augmentation::None, Sampler::InstanceBalanced), (Augmentation::Basic, Sampler::ClassBalanced)]
        {
            let options = LoaderOptions {
                sampler,
                batch_size: 25,
                drop_last: false,
                total_epochs: 3,
                seed: 6,
                purpose: "test",
                prefetch: 2,
            };
            let transform = Transform::train(augmentation, &data, set.shape()).expect("fits");
            let loader = Loader::new(Arc::clone(&set), (0..IMAGES).rev().collect(), transform, options).expect("fits");
            for (epoch, skip) in [(0, 0), (2, 1)] {
                let placed = loader.placed_from(epoch, skip).expect("it only places");
                let made = loader.epoch_from(epoch, skip);
                assert_eq!(placed.len(), 3 - skip, "the last batch is short");
                assert_eq!(placed.len(), made.len());
                for (placed, made) in placed.zip(made) {
                    let what = format!("{channels} {augmentation:?} {sampler:?}");
                    device.assert_same(&placed.expect("stored"), &made.expect("stored"), &what);
                }
            }
        }
        let transform = || Transform::eval(&data, set.shape()).expect("fits");
        let loader = EvalLoader::new(Arc::clone(&set), (3..IMAGES).collect(), transform(), 16, 1).expect("fits");
        let placed = loader.placed_from(1).expect("it only places");
        for (placed, made) in placed.zip(loader.iter_from(1)) {
            device.assert_same(&placed.expect("stored"), &made.expect("stored"), "evaluation");
        }
        let source = DataSource {
            train: set.as_ref().clone(),
            test: set.as_ref().clone(),
            hash: "synthetic".into(),
            val_from: None,
            kept: None,
        };
        let split = Split::draw(&data, &source).expect("every class keeps an image");
        for kind in [MetaAug::None, MetaAug::CropFlip] {
            let transform = Transform::meta(kind, Augmentation::Basic, &data, set.shape()).expect("fits");
            let loader = MetaLoader::new(Arc::clone(&set), &split, transform, 8, 6, "test/meta").expect("fits");
            for number in [0, 1, 7] {
                let placed = loader.placed(number).expect("it only places");
                device.assert_same(&placed, &loader.batch(number).expect("stored"), "meta");
            }
        }
    }
    // Every offset to far outside, and both ways round.
    let (set, data) = (images(3), data(3));
    let mut device = Device::holding(driver, &set, &data);
    let black = device.made(&[Placement { image: 7, top: i32::MAX, left: 0, mirrored: false }]);
    for top in [i32::MIN, -9, 9] {
        assert_eq!(device.made(&[Placement { image: 7, top, left: 0, mirrored: true }]), black, "{top}");
    }
    for left in [i32::MIN, -11, 11, i32::MAX] {
        assert_eq!(device.made(&[Placement { image: 7, top: 0, left, mirrored: true }]), black, "{left}");
    }
    let last_row = device.made(&[Placement { image: 7, top: -8, left: 0, mirrored: false }]);
    assert_eq!(last_row[8 * 33..], device.made(&[Placement::of(7)])[..33], "the first row as the last");
    assert_eq!(last_row[..8 * 33], black[..8 * 33]);
    assert!(device.made(&[]).is_empty());
    let beyond = catch_unwind(AssertUnwindSafe(|| device.made(&[Placement::of(IMAGES)])));
    assert!(beyond.is_err(), "an image that is not there");
}

#[test]
fn placed_batches_are_the_loaders_to_the_bit() {
    match Emulated::compile(Path::new(env!("CARGO_TARGET_TMPDIR"))) {
        Ok(driver) => check(&driver),
        Err(why) => println!("skipped: {why}"),
    }
}

#[cfg(feature = "cuda")]
#[test]
fn placed_batches_of_a_real_gpu_are_the_loaders_to_the_bit() {
    use longtail_artifact::Device;
    use longtail_ops::gpu::CudaSettings;
    let opened = longtail_training::Compute::open(Device::Cuda(0), "representation");
    match opened.and_then(|compute| compute.driver(CudaSettings { tf32: false })) {
        Ok(driver) => check(&driver),
        Err(why) => println!("skipped: {why}"),
    }
}

#[test]
fn what_changes_pixels_has_no_places() {
    let (set, data) = (images(3), data(3));
    let transform = TrainTransform::new(Augmentation::AutoaugmentCutout, &data.normalize, set.shape()).expect("fits");
    let view = EvalLoader::augmented(Arc::clone(&set), vec![0, 1], transform, 1, 0, "test", 2, 0).expect("fits");
    assert!(view.placed_from(0).is_none());
}
