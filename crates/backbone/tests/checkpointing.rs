//! Activation checkpointing: the same bits in less memory.

mod common;

use common::{BOTH_MODES, Bench, bench, bits, noise};
use longtail_backbone::NormMode;
use longtail_ops::Real;

const TRACK: NormMode = NormMode::Batch { track: true };

/// Features, gradient, tangent and running statistics after one pass of each.
fn results<T: Real>(bench: &mut Bench<T>, mode: NormMode) -> [Vec<u64>; 4] {
    let tape = bench.tape(mode);
    let (cotangent, direction) = (noise("cotangent", tape.features().len()), noise("direction", bench.params.len()));
    let tangent = bench.jvp(&tape, &direction);
    let gradient = bench.gradient(&tape, &cotangent);
    // The tape is only read: what is worked out again lies beside it.
    assert_eq!(bits(&bench.gradient(&tape, &cotangent)), bits(&gradient));
    assert_eq!(bits(&bench.jvp(&tape, &direction)), bits(&tangent));
    [bits(tape.features()), bits(&gradient), bits(&tangent), bits(&bench.running)]
}

fn compare<T: Real>(name: &str, size: (usize, usize, usize), n: usize) {
    for mode in BOTH_MODES.into_iter().chain([TRACK]) {
        let mut whole = bench::<T>(name, size, n);
        let mut cut = bench::<T>(name, size, n);
        cut.network.set_checkpointing(true);
        let (expected, found) = (results(&mut whole, mode), results(&mut cut, mode));
        for (what, (expected, found)) in
            ["features", "gradient", "tangent", "running"].iter().zip(expected.iter().zip(&found))
        {
            assert!(expected == found, "{what} of {name} in {mode:?}");
        }
        assert!(found[1].iter().any(|&b| b != 0) && found[2].iter().any(|&b| b != 0), "nothing is zero by mistake");
    }
}

#[test]
fn small_networks_have_the_same_bits() {
    compare::<f32>("resnet14", (9, 8, 3), 5);
    compare::<f64>("resnet8", (7, 5, 1), 3);
    compare::<f32>("resnet20_two_headed", (7, 7, 1), 4);
}

#[test]
fn imagenet_networks_have_the_same_bits() {
    compare::<f32>("resnet50", (37, 45, 3), 3);
    compare::<f32>("resnext50_32x4d", (33, 32, 3), 2);
}

#[test]
fn two_tapes_share_one_network_and_batches_may_shrink() {
    let mut whole = bench::<f32>("resnet14", (9, 8, 3), 6);
    let mut cut = bench::<f32>("resnet14", (9, 8, 3), 6);
    cut.network.set_checkpointing(true);
    let run = |bench: &mut Bench<f32>| {
        let first = bench.tape(TRACK);
        bench.images.truncate(4 * bench.network.image().len());
        bench.n = 4;
        let second = bench.tape(TRACK);
        let of = |bench: &mut Bench<f32>, tape: &longtail_backbone::Tape<f32>| {
            bits(&bench.gradient(tape, &noise("cotangent", tape.features().len())))
        };
        // In the order of a bi-level step, and back again.
        [of(bench, &first), of(bench, &second), of(bench, &first)]
    };
    assert!(run(&mut whole) == run(&mut cut));
}

#[test]
fn the_tape_is_less_than_half_and_all_memory_is_as_announced() {
    let mut sizes = Vec::new();
    for on in [false, true] {
        let mut bench = bench::<f32>("resnet50", (64, 64, 3), 2);
        bench.network.set_checkpointing(on);
        let tape = bench.tape(TRACK);
        bench.gradient(&tape, &noise("cotangent", tape.features().len()));
        let Bench { network, params, running, images, n } = &mut bench;
        let mut features = vec![0.0; *n * network.feature_dim()];
        network.infer(params, running, images, *n, &mut features).expect("fits");
        assert_eq!(tape.memory_bytes(), network.tape_bytes(2), "checkpointing {on}");
        assert_eq!(network.buffer_bytes(), network.pass_bytes(2), "checkpointing {on}");
        assert!(network.workspace_bytes() <= network.workspace_bytes_at_most(), "checkpointing {on}");
        sizes.push([tape.memory_bytes(), network.memory_bytes(2)]);
    }
    // On so small an image the statistics of the batch norms weigh in.
    assert!(2 * sizes[1][0] < sizes[0][0] && 4 * sizes[1][1] < 3 * sizes[0][1], "{sizes:?}");
}

#[test]
fn a_tape_of_the_other_setting_is_refused() {
    let mut bench = bench::<f32>("resnet8", (5, 5, 1), 2);
    let tape = bench.tape(TRACK);
    bench.network.set_checkpointing(true);
    let mut gradient = vec![0.0; bench.params.len()];
    let error = bench.network.backward(&bench.params, &tape, &[0.0; 128], &mut gradient).expect_err("another tape");
    assert!(error.to_string().contains("with activation checkpointing"), "{error}");
}
