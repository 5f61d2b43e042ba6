//! The ImageNet ResNets' derivatives in f64, through max pool, groups, and shortcuts with weights: against central differences,
//! and against each other. Values are compared with torchvision's in `golden.rs`.

mod common;

use common::{Bench, bench, bits, describe, dot, noise, relative_error};
use longtail_backbone::{NormMode, Tape};

/// Name, image, batch, mode.
type Case = (&'static str, (usize, usize, usize), usize, NormMode);

/// Small, odd at some halving, and 2×2 at the end, so that no batch norm sees fewer than eight numbers.
const CASES: [Case; 3] = [
    ("resnet50", (33, 40, 1), 2, BATCH),
    ("resnext50_32x4d", (41, 34, 3), 2, BATCH),
    ("resnext50_32x4d", (33, 37, 1), 1, NormMode::Running),
];
const BATCH: NormMode = NormMode::Batch { track: false };

/// Among half a million ReLUs a step may take one across its kink, which is worth some 1e-2 of a derivative where a batch norm
/// sees eight numbers; so one of these steps must agree. The smaller ones cost digits.
const STEPS: [f64; 4] = [1e-8, 5e-9, 2e-9, 1e-9];

fn each(cases: &[Case], mut check: impl FnMut(&mut Bench<f64>, NormMode, &str)) {
    for &(name, size, n, mode) in cases {
        let mut bench = bench::<f64>(name, size, n);
        let what = format!("{}, {n} of {size:?}", describe(bench.network.architecture(), mode));
        check(&mut bench, mode, &what);
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

/// Fails unless with one of the steps the error is within `allowed`.
fn assert_one_step_agrees(what: &str, allowed: f64, mut error: impl FnMut(f64) -> f64) {
    let mut errors = Vec::new();
    for step in STEPS {
        errors.push(error(step));
        if errors[errors.len() - 1] <= allowed {
            println!("{what}: {errors:?} of {allowed:e}");
            return;
        }
    }
    panic!("{what}: errors {errors:?} with steps {STEPS:?}, allowed {allowed:e}");
}

#[test]
fn jvp_is_the_central_difference() {
    each(&CASES, |bench, mode, what| {
        let tape = bench.tape(mode);
        let direction = direction(bench, "direction");
        let exact = bench.jvp(&tape, &direction);
        assert_one_step_agrees(what, 1e-5, |step| relative_error(&difference(bench, mode, &direction, step), &exact));
    });
}

#[test]
fn backward_is_the_central_difference_in_every_kind_of_tensor() {
    let names = [
        "conv1.weight",
        "bn1.bias",
        "layer1.0.downsample.0.weight",
        "layer2.0.conv2.weight",
        "layer4.0.downsample.1.weight",
    ];
    each(&CASES[..2], |bench, mode, what| {
        let tape = bench.tape(mode);
        let cotangent: Vec<f64> = noise("cotangent", tape.features().len());
        let gradient = bench.gradient(&tape, &cotangent);
        let all = direction(bench, "direction");
        let scale = (dot(&gradient, &gradient) / gradient.len() as f64).sqrt();
        for name in names {
            let range = bench.network.params().get(name).expect("there").range();
            let mut direction = vec![0.0; gradient.len()];
            direction[range.clone()].copy_from_slice(&all[range]);
            let exact = dot(&gradient, &direction);
            let allowed = 1e-5 * (exact.abs() + scale * dot(&direction, &direction).sqrt());
            assert_one_step_agrees(&format!("{what}, {name}: {exact}"), allowed, |step| {
                (dot(&cotangent, &difference(bench, mode, &direction, step)) - exact).abs()
            });
        }
    });
}

/// The meta-gradient's mixed term `∂/∂f ⟨∇_w L, v⟩` is a JVP because of this.
#[test]
fn jvp_and_backward_are_adjoint() {
    each(&CASES, |bench, mode, what| {
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

#[test]
fn a_tape_is_reused_and_a_smaller_batch_leaves_no_trace() {
    let (name, size, n, mode) = CASES[1];
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

#[test]
fn the_number_of_threads_changes_no_bit() {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| {
            let mut bench = bench::<f32>("resnext50_32x4d", (33, 35, 3), 5);
            let tape = bench.tape(BATCH);
            let cotangent: Vec<f32> = noise("cotangent", tape.features().len());
            let gradient = bench.gradient(&tape, &cotangent);
            let tangent = bench.jvp(&tape, &bench.params.clone());
            [bits(tape.features()), bits(&gradient), bits(&tangent)]
        })
    };
    assert!(run(1) == run(3));
}
