//! The closed-form meta-gradient against brute force, through the real engine with convolution and batch norm in f64
//! (mpcl_mpfa.md §4.8).

mod common;

use common::{BATCH, Bench, LR, bench, settings};
use longtail_backbone::{NormMode, Tape};
use longtail_ops::{below, normal, stream};
use longtail_recipe::{Jvp, MetaBn, MetaScale, VirtualStep};
use longtail_representation::feature_direction::forward_mode;
use longtail_representation::objective::Contrast;
use longtail_representation::passes::{GradientSum, MicroBatch, Objective, Pass, Walk};
use longtail_training::HeadForm;

const COSINE: HeadForm = HeadForm::Cosine { scale: 4.0 };

/// Random directions and single entries of Θ: the relative error of the closed form against differences.
fn relative_error(bench: &mut Bench) -> f64 {
    let gradient = bench.meta_gradient();
    let mut rng = stream(99, "test/directions", 0, 0);
    let mut directions: Vec<Vec<f64>> = (0..6)
        .map(|_| (0..gradient.len()).map(|_| normal(&mut rng) / (gradient.len() as f64).sqrt()).collect())
        .collect();
    for _ in 0..10 {
        let mut single = vec![0.0; gradient.len()];
        single[below(&mut rng, gradient.len() as u64) as usize] = 1.0;
        directions.push(single);
    }
    let (mut error, mut size) = (0.0, 0.0);
    for direction in directions {
        let exact: f64 = gradient.iter().zip(&direction).map(|(g, d)| g * d).sum();
        let brute = bench.slope(&direction, 1e-4);
        error += (exact - brute).powi(2);
        size += brute.powi(2);
    }
    assert!(size.sqrt() > 1e-6, "the gradient is not trivial: {}", size.sqrt());
    (error / size).sqrt()
}

#[test]
fn the_closed_form_is_brute_force_for_every_virtual_step_head_and_norm() {
    for virtual_step in [VirtualStep::Sgd, VirtualStep::Momentum, VirtualStep::Nesterov] {
        for form in [HeadForm::Linear, COSINE] {
            for meta_bn in [MetaBn::Batch, MetaBn::Running] {
                let mut settings = settings(true, 180.0);
                (settings.virtual_step, settings.meta_bn) = (virtual_step, meta_bn);
                let mut bench = bench(settings, form, virtual_step == VirtualStep::Nesterov);
                let error = relative_error(&mut bench);
                assert!(error < 1e-7, "{virtual_step:?}, {form:?}, {meta_bn:?}: {error:.1e}");
            }
        }
    }
}

#[test]
fn the_closed_form_is_brute_force_for_a_literal_and_for_a_bounded_meta_network() {
    for (residual, max_angle_deg) in [(false, 180.0), (true, 15.0)] {
        let mut bench = bench(settings(residual, max_angle_deg), HeadForm::Linear, false);
        let error = relative_error(&mut bench);
        assert!(error < 1e-7, "residual {residual}, bound {max_angle_deg}: {error:.1e}");
    }
}

#[test]
fn without_contrast_there_is_no_gradient_and_the_rate_scales_it() {
    let mut without = settings(true, 180.0);
    without.lambda = 0.0;
    let gradient = bench(without, HeadForm::Linear, false).meta_gradient();
    assert!(gradient.iter().all(|value| *value == 0.0));
    // `unit` drops α_lr, `with_lr` keeps it; v is the same.
    let kept = bench(settings(true, 180.0), HeadForm::Linear, false).meta_gradient();
    let mut unit = settings(true, 180.0);
    unit.scale = MetaScale::Unit;
    let dropped = bench(unit, HeadForm::Linear, false).meta_gradient();
    for (kept, dropped) in kept.iter().zip(&dropped) {
        assert!((kept - LR * dropped).abs() <= 1e-12 * dropped.abs(), "{kept} is not {LR}·{dropped}");
    }
}

#[test]
fn a_small_step_of_theta_lowers_the_meta_loss() {
    let mut bench = bench(settings(true, 180.0), HeadForm::Linear, false);
    let gradient = bench.meta_gradient();
    let theta = bench.mpcl.theta().to_vec();
    let before = bench.meta_loss(&theta);
    let moved: Vec<f64> = theta.iter().zip(&gradient).map(|(theta, gradient)| theta - 0.01 * gradient).collect();
    assert!(bench.meta_loss(&moved) < before);
}

#[test]
fn weights_momentum_and_running_statistics_keep_their_bits() {
    for (meta_bn, jvp) in
        [(MetaBn::Batch, Jvp::Forward), (MetaBn::Running, Jvp::Forward), (MetaBn::Batch, Jvp::Central)]
    {
        let mut settings = settings(true, 180.0);
        (settings.meta_bn, settings.jvp) = (meta_bn, jvp);
        let mut bench = bench(settings, HeadForm::Linear, false);
        let before = (bench.model.weights.clone(), bench.model.running.clone(), bench.optimizer.buffer().to_vec());
        let theta = bench.mpcl.theta().to_vec();
        bench.meta_gradient();
        let after = (bench.model.weights.clone(), bench.model.running.clone(), bench.optimizer.buffer().to_vec());
        assert!(before == after && theta == bench.mpcl.theta(), "{meta_bn:?}, {jvp:?}");
    }
}

#[test]
fn central_differences_approach_the_forward_mode_with_the_square_of_their_step() {
    let mut bench = bench(settings(true, 180.0), HeadForm::Linear, false);
    let backbone = bench.model.backbone_len();
    let mut rng = stream(5, "test/v", 0, 0);
    let direction: Vec<f64> = (0..backbone).map(|_| 0.01 * normal(&mut rng)).collect();
    let model = &mut bench.model;
    let (weights, mut tape) = (&model.weights[..backbone], Tape::default());
    let (images, still) = (&bench.train.images, NormMode::Batch { track: false });
    model.network.forward(weights, &mut model.running, images, BATCH, still, &mut tape).expect("sizes fit");
    let exact = forward_mode(&mut model.network, weights, &tape, &direction).expect("sizes fit");
    let size = exact.iter().map(|value| value * value).sum::<f64>().sqrt();
    // Steps that cross no kink of a ReLU and stay above rounding: the error falls by four when they halve.
    let errors: Vec<f64> = [1e-4, 5e-5]
        .iter()
        .map(|epsilon| {
            let slope = common::central(&mut bench, &direction, *epsilon);
            slope.iter().zip(&exact).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt() / size
        })
        .collect();
    assert!(errors[0] < 1e-8 && (3.0..5.0).contains(&(errors[0] / errors[1])), "{errors:?}");
    // And the switch `jvp: central`, whose step moves features by 1 % across kinks, gives nearly the same meta-gradient.
    let forward = bench.meta_gradient();
    let mut settings = settings(true, 180.0);
    settings.jvp = Jvp::Central;
    let central = common::bench(settings, HeadForm::Linear, false).meta_gradient();
    let difference = forward.iter().zip(&central).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
    let size = forward.iter().map(|value| value * value).sum::<f64>().sqrt();
    assert!(difference < 0.1 * size, "{difference:.1e} of {size:.1e}");
}

#[test]
fn the_closed_form_is_brute_force_in_parts_too() {
    for most in [2, 3] {
        for meta_bn in [MetaBn::Batch, MetaBn::Running] {
            let mut settings = settings(true, 180.0);
            (settings.meta_bn, settings.micro) = (meta_bn, MicroBatch::new(most, BATCH));
            let error = relative_error(&mut bench(settings, HeadForm::Linear, false));
            assert!(error < 1e-7, "parts of {most}, {meta_bn:?}: {error:.1e}");
        }
    }
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    let (apart, size) =
        a.iter().zip(b).fold((0.0, 0.0), |(apart, size), (a, b)| (apart + (a - b).powi(2), size + b * b));
    assert!(a.len() == b.len() && size > 0.0, "vectors of one length, not zero");
    f64::sqrt(apart / size)
}

#[test]
fn where_batch_norm_stands_still_parts_give_the_whole_batchs_gradients() {
    let of = |most: usize| {
        let mut settings = settings(true, 180.0);
        (settings.meta_bn, settings.micro) = (MetaBn::Running, MicroBatch::new(most, BATCH));
        let mut bench = bench(settings, HeadForm::Linear, false);
        let meta = bench.meta_gradient();

        let (empirical, seen) = (bench.empirical(), bench.prototypes.seen());
        let settings = bench.mpcl.settings().clone();
        let contrast = Contrast { prototypes: &empirical, seen: &seen, lambda: settings.lambda, tau: settings.tau };
        let head = bench.model.head;
        let objective = Objective { head: &head, loss: &settings.loss, contrast: Some(&contrast) };
        let (mut tape, mut gradient, mut features) = (Tape::default(), GradientSum::default(), Vec::new());
        let losses = Pass::of(&mut bench.model, &bench.train, NormMode::Running, settings.micro)
            .losses(Walk::Fresh, &mut tape, &objective, Some(&mut gradient), Some(&mut features))
            .expect("sizes fit");
        (meta, gradient.sum, features, losses, tape.memory_bytes())
    };
    let whole = of(0);
    for most in [2, 3, 4] {
        let parts = of(most);
        assert!(distance(&parts.0, &whole.0) < 1e-10, "meta-gradient, parts of {most}");
        assert!(distance(&parts.1, &whole.1) < 1e-12, "gradient, parts of {most}");
        assert!(distance(&parts.2, &whole.2) < 1e-12, "features, parts of {most}");
        assert!((parts.3.classification - whole.3.classification).abs() < 1e-12, "L_CE, parts of {most}");
        let contrast = |losses: longtail_representation::objective::Losses| losses.contrast.expect("seen classes");
        assert!((contrast(parts.3) - contrast(whole.3)).abs() < 1e-12, "L_PC, parts of {most}");
        assert!(4 * parts.4 < 3 * whole.4, "the tape of a part: {} of {} bytes", parts.4, whole.4);
    }
    // As large as the batch is the whole batch, to the bit.
    let same = of(BATCH);
    assert!(same.0 == whole.0 && same.1 == whole.1 && same.2 == whole.2);
}
