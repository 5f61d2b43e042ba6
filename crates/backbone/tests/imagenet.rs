//! The ImageNet ResNets' derivatives in f64, through max pool, groups, and shortcuts with weights: against central differences,
//! and against each other. Values are compared with torchvision's in `golden.rs`.

mod common;

use common::{BOTH_MODES, Bench, bench, bits, describe, dot, noise, relative_error};
use longtail_backbone::{NormMode, Tape};

/// Small, odd at some halving, and 2×2 or 2×1 at the end, so that no batch norm of the last stage sees two numbers only.
const CASES: [(&str, (usize, usize, usize), usize); 2] =
    [("resnet50", (33, 40, 1), 2), ("resnext50_32x4d", (39, 33, 3), 3)];

fn each(mut check: impl FnMut(&mut Bench<f64>, NormMode, &str)) {
    for (name, size, n) in CASES {
        for mode in BOTH_MODES {
            let mut bench = bench::<f64>(name, size, n);
            let what = format!("{}, {n} of {size:?}", describe(bench.network.architecture(), mode));
            check(&mut bench, mode, &what);
        }
    }
}

/// A direction in which all tensors move, each by the same fraction of a typical entry.
fn direction(bench: &Bench<f64>, purpose: &str) -> Vec<f64> {
    let mut direction: Vec<f64> = noise(purpose, bench.params.len());
    for entry in bench.network.params().entries() {
        let norm = dot(&bench.params[entry.range()], &bench.params[entry.range()]).sqrt();
        let scale = norm / (entry.len() as f64).sqrt();
        direction[entry.range()].iter_mut().for_each(|value| *value *= scale);
    }
    direction
}

/// `(f(w + hv) − f(w − hv)) / 2h`
fn difference(bench: &mut Bench<f64>, mode: NormMode, direction: &[f64], step: f64) -> Vec<f64> {
    let (up, down) = (bench.features_at(mode, direction, step), bench.features_at(mode, direction, -step));
    up.iter().zip(&down).map(|(up, down)| (up - down) / (2.0 * step)).collect()
}

#[test]
fn jvp_is_the_central_difference() {
    each(|bench, mode, what| {
        let tape = bench.tape(mode);
        let direction = direction(bench, "direction");
        let exact = bench.jvp(&tape, &direction);
        let error = relative_error(&difference(bench, mode, &direction, 1e-8), &exact);
        assert!(error < 1e-5, "{what}: {error:e}");
    });
}

#[test]
fn backward_is_the_central_difference_in_every_kind_of_tensor() {
    let kinds = ["conv1.weight", "bn1.bias", "layer1.0.downsample.0.weight", "layer2.0.conv2.weight"];
    let more = ["layer2.0.downsample.1.weight", "layer3.1.conv1.weight", "layer4.0.conv2.weight", "layer4.2.bn3.bias"];
    each(|bench, mode, what| {
        let tape = bench.tape(mode);
        let cotangent: Vec<f64> = noise("cotangent", tape.features().len());
        let gradient = bench.gradient(&tape, &cotangent);
        let all = direction(bench, "direction");
        for name in kinds.into_iter().chain(more) {
            let range = bench.network.params().get(name).expect("there").range();
            let mut direction = vec![0.0; gradient.len()];
            direction[range.clone()].copy_from_slice(&all[range]);
            let difference = dot(&cotangent, &difference(bench, mode, &direction, 1e-7));
            let exact = dot(&gradient, &direction);
            let scale = dot(&gradient, &gradient).sqrt() / (gradient.len() as f64).sqrt();
            let allowed = 1e-5 * (exact.abs() + scale * dot(&direction, &direction).sqrt());
            assert!((difference - exact).abs() <= allowed, "{what}, {name}: {exact} against {difference}");
        }
    });
}

#[test]
fn jvp_and_backward_are_adjoint() {
    each(|bench, mode, what| {
        let tape = bench.tape(mode);
        let direction = direction(bench, "direction");
        let cotangent: Vec<f64> = noise("cotangent", tape.features().len());
        let tangent = bench.jvp(&tape, &direction);
        let forward = dot(&tangent, &cotangent);
        let backward = dot(&direction, &bench.gradient(&tape, &cotangent));
        let scale = (dot(&tangent, &tangent) * dot(&cotangent, &cotangent)).sqrt();
        assert!((forward - backward).abs() <= 1e-11 * scale, "{what}: {forward} and {backward}");
    });
}

/// The meta-gradient's mixed term, `⟨∇_w L, v⟩` for `L = ½‖f(w) − t‖²` and its derivative for `t`, which is `−J·v`.
#[test]
fn the_mixed_derivative_is_the_central_difference_of_exact_gradients() {
    let (name, size, n) = CASES[1];
    let mode = NormMode::Batch { track: false };
    let mut bench = bench::<f64>(name, size, n);
    let tape = bench.tape(mode);
    let direction = direction(&bench, "direction");
    let exact: Vec<f64> = bench.jvp(&tape, &direction).iter().map(|value| -value).collect();
    let target: Vec<f64> = noise("target", exact.len());
    let along: Vec<f64> = noise("along", exact.len());
    let mut gradient_at = |step: f64| {
        let cotangent: Vec<f64> =
            tape.features().iter().zip(&target).zip(&along).map(|((f, t), a)| f - t - step * a).collect();
        dot(&bench.gradient(&tape, &cotangent), &direction)
    };
    let difference = (gradient_at(0.5) - gradient_at(-0.5)) / 1.0; // linear in t: the step may be large
    let exact = dot(&exact, &along);
    assert!((difference - exact).abs() <= 1e-9 * exact.abs().max(1.0), "{exact} against {difference}");
}

#[test]
fn a_tape_is_reused_and_a_smaller_batch_leaves_no_trace() {
    let (name, size, n) = CASES[1];
    let mode = NormMode::Batch { track: false };
    let mut large = bench::<f32>(name, size, n);
    let mut small = bench::<f32>(name, size, n - 1);
    let cotangent: Vec<f32> = noise("cotangent", (n - 1) * 2048);
    let fresh = small.tape(mode);
    let expected = bits(&small.gradient(&fresh, &cotangent));
    let mut tape = Tape::default();
    large.forward(mode, &mut tape);
    let Bench { params, running, images, n, .. } = &mut small;
    large.network.forward(params, running, images, *n, mode, &mut tape).expect("fits");
    assert_eq!(bits(tape.features()), bits(fresh.features()));
    assert_eq!(bits(&large.gradient(&tape, &cotangent)), expected);
    let mut features = vec![0.0; cotangent.len()];
    let tape = small.tape(NormMode::Running);
    let Bench { network, params, running, images, n } = &mut small;
    network.infer(params, running, images, *n, &mut features).expect("fits");
    assert_eq!(bits(&features), bits(tape.features()));
    assert!(tape.memory_bytes() < network.memory_bytes(*n));
}
