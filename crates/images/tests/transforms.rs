//! The whole transforms: their steps in order, their draws in order, and how often each thing happens.

use longtail_images::transform::pillow::RgbImage;
use longtail_images::transform::{AutoAugment, CropFlip, CutoutBox, PixelTable, Scratch};
use longtail_images::{ImageShape, TrainTransform};
use longtail_ops::stream;
use longtail_recipe::Augmentation;

const SHAPE: ImageShape = ImageShape { height: 32, width: 32, channels: 3 };
const MEAN: [f32; 3] = [0.4914, 0.4822, 0.4465];
const STD: [f32; 3] = [0.2023, 0.1994, 0.2010];

fn image() -> Vec<u8> {
    (0..3072u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

#[test]
fn a_transform_is_its_steps_in_order() {
    let table = PixelTable::new(&MEAN, &STD, 3).expect("valid");
    let transform =
        TrainTransform::with_statistics(Augmentation::AutoaugmentCutout, &MEAN, &STD, SHAPE).expect("valid");
    let mut scratch = Scratch::default();
    for index in 0..100 {
        let mut found = vec![0.0; 3072];
        transform.apply(&image(), &mut stream(1, "test", 0, index), &mut scratch, &mut found);

        let mut rng = stream(1, "test", 0, index);
        let mut step = RgbImage { width: 32, height: 32, pixels: vec![0; 3072] };
        CropFlip::draw(&mut rng).copy(&image(), SHAPE, &mut step.pixels);
        AutoAugment::new(SHAPE).apply(&mut rng, &mut step, &mut RgbImage::default());
        CutoutBox::draw(&mut rng, SHAPE).fill(SHAPE, &mut step.pixels);
        let mut expected = vec![0.0; 3072];
        table.normalize(&step.pixels, &mut expected);
        assert!(found == expected, "image {index}");
        // Cutout's hole is black before normalisation.
        let black = expected.chunks_exact(3).filter(|pixel| *pixel == [0, 1, 2].map(|c| table.channel(c)[0])).count();
        assert!(black >= 64, "image {index}: {black} black pixels");
    }
}

#[test]
fn draws_are_uniform_over_places_and_fair_over_sides() {
    let (mut tops, mut lefts, mut flips) = ([0u32; 9], [0u32; 9], 0u32);
    let (mut rows, mut whole) = ([0u32; 32], 0u32);
    const DRAWS: u32 = 18_000;
    for index in 0..u64::from(DRAWS) {
        let mut rng = stream(2, "test", 0, index);
        let crop = CropFlip::draw(&mut rng);
        tops[crop.top] += 1;
        lefts[crop.left] += 1;
        flips += u32::from(crop.flip);
        let cut = CutoutBox::draw(&mut rng, SHAPE);
        whole += u32::from(cut.bottom - cut.top == 16);
        rows[if cut.top > 0 { cut.top + 8 } else { cut.bottom - 8 }] += 1;
    }
    // Five standard deviations of a binomial count.
    let near = |count: u32, probability: f64| {
        let mean = f64::from(DRAWS) * probability;
        (f64::from(count) - mean).abs() < 5.0 * (mean * (1.0 - probability)).sqrt()
    };
    assert!(tops.iter().chain(&lefts).all(|&count| near(count, 1.0 / 9.0)), "{tops:?} {lefts:?}");
    assert!(rows.iter().all(|&count| near(count, 1.0 / 32.0)), "{rows:?}");
    assert!(near(flips, 0.5) && near(whole, 17.0 / 32.0), "{flips} {whole}");
}
