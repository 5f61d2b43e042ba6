//! Backward and JVP of whole networks in f64: against central differences, and against each other.

mod common;

use common::{BOTH_MODES, Bench, bench, bits, describe, dot, noise, relative_error};
use longtail_backbone::NormMode;

/// Every form, in odd sizes, with one and three channels, and one image only.
const CASES: [(&str, (usize, usize, usize), usize); 4] = [
    ("resnet8", (7, 5, 1), 3),
    ("resnet8", (8, 9, 3), 2),
    ("resnet14_two_headed", (5, 7, 3), 2),
    ("resnet14", (9, 9, 1), 1),
];

/// Small enough that no ReLU is likely to switch between the two points, large enough for 8 digits.
const STEP: f64 = 1e-6;

fn each(mut check: impl FnMut(&mut Bench<f64>, NormMode, &str)) {
    for (name, size, n) in CASES {
        for mode in BOTH_MODES {
            let mut bench = bench::<f64>(name, size, n);
            let what = format!("{}, {n} of {size:?}", describe(bench.network.architecture(), mode));
            check(&mut bench, mode, &what);
        }
    }
}

#[test]
fn backward_is_the_central_difference_in_every_tensor() {
    each(|bench, mode, what| {
        let tape = bench.tape(mode);
        let cotangent: Vec<f64> = noise("cotangent", tape.features().len());
        let gradient = bench.gradient(&tape, &cotangent);
        let scale = (dot(&gradient, &gradient) / gradient.len() as f64).sqrt();
        for (i, entry) in bench.network.params().entries().to_vec().iter().enumerate() {
            // One coordinate of each tensor, a different one in each, and one direction through the whole tensor.
            let mut single = vec![0.0; gradient.len()];
            single[entry.offset + (i * 7919) % entry.len()] = 1.0;
            let mut whole = vec![0.0; gradient.len()];
            // Of length about 1: a longer way would take some ReLU across its kink.
            let shrink = 1.0 / (entry.len() as f64).sqrt();
            let values: Vec<f64> = noise(&entry.name, entry.len());
            whole[entry.range()].iter_mut().zip(values).for_each(|(to, value)| *to = shrink * value);
            for direction in [single, whole] {
                let (up, down) =
                    (bench.features_at(mode, &direction, STEP), bench.features_at(mode, &direction, -STEP));
                let difference = (dot(&cotangent, &up) - dot(&cotangent, &down)) / (2.0 * STEP);
                let exact = dot(&gradient, &direction);
                let allowed = 1e-6 * (exact.abs() + scale * dot(&direction, &direction).sqrt());
                assert!((difference - exact).abs() <= allowed, "{what}, {}: {exact} against {difference}", entry.name);
            }
        }
    });
}

#[test]
fn jvp_is_the_central_difference() {
    each(|bench, mode, what| {
        let tape = bench.tape(mode);
        let direction: Vec<f64> = noise("direction", bench.params.len());
        let exact = bench.jvp(&tape, &direction);
        let step = STEP / 10.0; // all weights move at once
        let (up, down) = (bench.features_at(mode, &direction, step), bench.features_at(mode, &direction, -step));
        let difference: Vec<f64> = up.iter().zip(&down).map(|(up, down)| (up - down) / (2.0 * step)).collect();
        let error = relative_error(&difference, &exact);
        assert!(error < 1e-6, "{what}: {error:e}");
    });
}

#[test]
fn jvp_and_backward_are_adjoint() {
    each(|bench, mode, what| {
        let tape = bench.tape(mode);
        let direction: Vec<f64> = noise("direction", bench.params.len());
        let cotangent: Vec<f64> = noise("cotangent", tape.features().len());
        let forward = dot(&bench.jvp(&tape, &direction), &cotangent);
        let backward = dot(&direction, &bench.gradient(&tape, &cotangent));
        assert!((forward - backward).abs() <= 1e-12 * forward.abs().max(1.0), "{what}: {forward} and {backward}");
    });
}

#[test]
fn one_tape_serves_many_passes_with_the_same_bits() {
    each(|bench, mode, what| {
        let tape = bench.tape(mode);
        let cotangents: [Vec<f64>; 2] = [noise("one", tape.features().len()), noise("two", tape.features().len())];
        let direction: Vec<f64> = noise("direction", bench.params.len());
        let first = cotangents.each_ref().map(|c| bits(&bench.gradient(&tape, c)));
        let tangent = bits(&bench.jvp(&tape, &direction));
        // Backward, other passes of the same network, backward again.
        let other = bench.tape(mode);
        assert_eq!(bits(&bench.jvp(&tape, &direction)), tangent, "{what}");
        assert_eq!(bits(other.features()), bits(tape.features()), "{what}");
        let again = cotangents.each_ref().map(|c| bits(&bench.gradient(&tape, c)));
        assert!(first == again && first[0] != first[1], "{what}");
    });
}

#[test]
fn with_running_statistics_they_are_constants() {
    // A batch norm's own statistics make its input's scale vanish from the output; running ones do not.
    let mut bench = bench::<f64>("resnet8", (6, 6, 1), 2);
    let mut direction = vec![0.0; bench.params.len()];
    let first = bench.network.params().get("conv1.weight").expect("there").range();
    direction[first.clone()].copy_from_slice(&bench.params[first]);
    let [batch, running] = BOTH_MODES.map(|mode| {
        let tape = bench.tape(mode);
        let tangent = bench.jvp(&tape, &direction);
        dot(&tangent, &tangent).sqrt() / dot(tape.features(), tape.features()).sqrt()
    });
    assert!(batch < 1e-3 && running > 1e-2, "{batch} {running}");
}
