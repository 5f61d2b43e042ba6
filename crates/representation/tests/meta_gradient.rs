//! The closed-form meta-gradient against brute force, through the real engine with convolution and batch norm in f64
//! (mpcl_mpfa.md §4.8).

mod common;

use common::{BATCH, Bench, LR, bench, bench_in_parts, images, settings, values, vector};
use longtail_ops::{below, normal, stream};
use longtail_recipe::{Jvp, MetaBn, MetaScale, VirtualStep};
use longtail_training::prototype::{Contrast, UnitRows, central_difference};
use longtail_training::step::MicroBatch;
use longtail_training::{At, Feed, HeadForm, Norm};

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
    let theta = values(bench.mpcl.theta());
    let before = bench.meta_loss(&theta);
    let moved: Vec<f64> = theta.iter().zip(&gradient).map(|(theta, gradient)| theta - 0.01 * gradient).collect();
    assert!(bench.meta_loss(&moved) < before);
}

#[test]
fn weights_momentum_and_theta_keep_their_bits_and_running_statistics_follow_the_batch_once() {
    for (meta_bn, jvp) in
        [(MetaBn::Batch, Jvp::Forward), (MetaBn::Running, Jvp::Forward), (MetaBn::Batch, Jvp::Central)]
    {
        let mut settings = settings(true, 180.0);
        (settings.meta_bn, settings.jvp) = (meta_bn, jvp);
        let mut expected = bench(settings.clone(), HeadForm::Linear, false);
        let Bench { step, train, .. } = &mut expected;
        *train = images(Feed::Train, 20, BATCH);
        step.features(At::Weights, train, Norm::Batch).expect("sizes fit");
        let state = |bench: &Bench| {
            let model = &bench.step.model;
            [&model.weights, &model.running, bench.step.optimizer().buffer(), bench.mpcl.theta()].map(values)
        };
        let mut moved = bench(settings, HeadForm::Linear, false);
        moved.train = expected.train.clone();
        moved.meta_gradient();
        assert!(state(&moved) == state(&expected), "{meta_bn:?}, {jvp:?}");
        moved.meta_gradient();
        assert!(state(&moved) == state(&expected), "{meta_bn:?}, {jvp:?}: a second time");
    }
}

#[test]
fn central_differences_approach_the_forward_mode_with_the_square_of_their_step() {
    let mut bench = bench(settings(true, 180.0), HeadForm::Linear, false);
    let mut rng = stream(5, "test/v", 0, 0);
    let direction: Vec<f64> = (0..bench.step.model.weights.elem_count()).map(|_| 0.01 * normal(&mut rng)).collect();
    let direction = vector(&direction);
    let Bench { step, train, .. } = &mut bench;
    let unit = UnitRows::of(&step.features(At::Weights, train, Norm::Batch).expect("sizes fit")).expect("a matrix");
    let along = step.along(train, Norm::Batch, &direction).expect("sizes fit");
    let exact = values(&unit.tangent(&along).expect("sizes fit"));
    let size = exact.iter().map(|value| value * value).sum::<f64>().sqrt();
    // Steps that cross no kink of a ReLU and stay above rounding: the error falls by four when they halve.
    let errors: Vec<f64> = [1e-4, 5e-5]
        .iter()
        .map(|epsilon| {
            let (slope, _) = central_difference(step, train, Norm::Batch, &direction, *epsilon).expect("sizes fit");
            values(&slope).iter().zip(&exact).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt() / size
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
            settings.meta_bn = meta_bn;
            let micro = MicroBatch::new(most, BATCH);
            let error = relative_error(&mut bench_in_parts(settings, HeadForm::Linear, false, micro));
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
        settings.meta_bn = MetaBn::Running;
        let mut bench = bench_in_parts(settings, HeadForm::Linear, false, MicroBatch::new(most, BATCH));
        let meta = bench.meta_gradient();

        let (empirical, seen) = (bench.empirical(), bench.seen());
        let settings = bench.mpcl.settings().clone();
        let contrast = Contrast { prototypes: &empirical, seen: &seen, lambda: settings.lambda, tau: settings.tau };
        let Bench { step, train, .. } = &mut bench;
        let loss = settings.train_loss(Some(&contrast), &common::AT);
        let gradient = step.gradient(At::Weights, train, Norm::Running, &loss).expect("sizes fit");
        let value = |name| gradient.losses.get(name).expect("a term").to_scalar::<f64>().expect("a scalar");
        let losses = (value("train/ce"), value("train/pc"));
        (meta, values(gradient.weights.tensor()), values(&gradient.features), losses)
    };
    let whole = of(0);
    for most in [2, 3, 4] {
        let parts = of(most);
        assert!(distance(&parts.0, &whole.0) < 1e-10, "meta-gradient, parts of {most}");
        assert!(distance(&parts.1, &whole.1) < 1e-12, "gradient, parts of {most}");
        assert!(distance(&parts.2, &whole.2) < 1e-12, "features, parts of {most}");
        assert!((parts.3.0 - whole.3.0).abs() < 1e-12, "L_CE, parts of {most}");
        assert!((parts.3.1 - whole.3.1).abs() < 1e-12, "L_PC, parts of {most}");
    }
    // As large as the batch is the whole batch, to the bit.
    let same = of(BATCH);
    assert!(same.0 == whole.0 && same.1 == whole.1 && same.2 == whole.2);
}
