//! What a training loop asks of a model and of a step's place, beside passes.

use candle_core::DType;
use longtail_backbone::{Architecture, ImageShape};
use longtail_training::{Decay, HeadForm, Model, Schedule, StepAt, to_f32};

#[test]
fn a_step_knows_its_place() {
    let schedule = Schedule::new(Decay::Cosine, 0.1, 10, 0);
    let at = StepAt::new(&schedule, 5, 3, 12);
    assert_eq!((at.epoch, at.step, at.epoch_fraction), (5, 63, 0.25));
    assert!((at.lr - 0.05).abs() < 1e-12 && (at.relative_lr - 0.5).abs() < 1e-12, "{at:?}");
    assert_eq!(StepAt::new(&schedule, 0, 0, 0).epoch_fraction, 0.0);
}

#[test]
fn logits_are_the_heads_of_the_features() {
    let image = ImageShape { height: 9, width: 7, channels: 1 };
    let mut model = Model::new(&Architecture::CifarResNet { depth: 8 }, image, HeadForm::Linear, 3, 0, DType::F32)
        .expect("a small network");
    let pixels: Vec<f32> = (0..2 * image.len()).map(|index| (index % 11) as f32 / 11.0).collect();
    let images = model.images(pixels.clone()).expect("two images");
    assert_eq!(images.dims(), [2, 9, 7, 1]);
    let features = to_f32(&model.infer(&images).expect("sizes fit")).expect("f32");
    let logits = model.logits(&images).expect("sizes fit");
    assert_eq!(logits, model.head_file().expect("a head").logits(&features).expect("sizes fit"));
    assert_eq!(logits.len(), 2 * 3);
    let error = model.images(pixels[1..].to_vec()).expect_err("not two whole images").to_string();
    assert!(error.contains("pixels"), "{error}");
}
