//! What a network promises besides derivatives: who writes what, the same bits always, and words for wrong sizes.

mod common;

use common::{BOTH_MODES, Bench, bench, bits, noise};
use longtail_backbone::{Architecture, BackboneError, ImageShape, Network, NormMode, Tape};
use longtail_ops::stream;

const TRACK: NormMode = NormMode::Batch { track: true };

#[test]
fn running_statistics_follow_only_when_tracked() {
    let mut bench = bench::<f32>("resnet8", (7, 5, 1), 4);
    let before = bits(&bench.running);
    for mode in BOTH_MODES {
        bench.tape(mode);
        assert_eq!(bits(&bench.running), before, "{mode:?}");
    }
    let untracked = bits(bench.tape(NormMode::Batch { track: false }).features());
    let tracked = bench.tape(TRACK);
    assert_eq!(bits(tracked.features()), untracked, "tracking changes no feature");
    assert!(
        bench.running.iter().zip(&before).all(|(now, &then)| f64::from(*now).to_bits() != then),
        "every channel moved"
    );
}

#[test]
fn running_statistics_are_pytorchs() {
    // One layer, by hand: the first convolution of one image is its nine taps; weights 0 but for the middle one.
    let image = ImageShape { height: 2, width: 2, channels: 1 };
    let mut network = Network::<f64>::new(&Architecture::CifarResNet { depth: 8 }, image).expect("possible");
    let (mut params, mut running) = network.init(&mut stream(0, "test", 0, 0));
    let weight = network.params().get("conv1.weight").expect("there").range();
    params[weight.clone()].fill(0.0);
    params[weight.start + 4] = 1.0; // channel 0 is the image
    network.forward(&params, &mut running, &[1.0, 2.0, 3.0, 6.0], 1, TRACK, &mut Tape::default()).expect("fits");
    let at = |name: &str| network.buffers().get(name).expect("there").offset;
    // Mean 3, squared deviations 4 + 1 + 0 + 9 = 14 over 3.
    assert!((running[at("bn1.running_mean")] - 0.3).abs() < 1e-12);
    assert!((running[at("bn1.running_var")] - (0.9 + 0.1 * 14.0 / 3.0)).abs() < 1e-12);
    assert!((running[at("bn1.running_var") + 1] - 0.9).abs() < 1e-12, "a constant channel has no variance");
}

#[test]
fn inference_is_the_forward_pass_on_running_statistics_to_the_bit() {
    for (name, size) in [("resnet14", (9, 8, 3)), ("resnet14_two_headed", (7, 7, 1))] {
        let mut bench = bench::<f32>(name, size, 5);
        let tape = bench.tape(NormMode::Running);
        let mut features = vec![f32::NAN; tape.features().len()];
        let Bench { network, params, running, images, n } = &mut bench;
        network.infer(params, running, images, *n, &mut features).expect("fits");
        assert_eq!(bits(&features), bits(tape.features()), "{name}");
        assert!(features.iter().all(|&f| f >= 0.0) && features.iter().any(|&f| f > 0.0), "{name}");
    }
}

#[test]
fn an_image_has_the_same_features_in_any_batch() {
    let mut bench = bench::<f32>("resnet8", (8, 8, 3), 9);
    let (dim, len) = (bench.network.feature_dim(), bench.network.image().len());
    let Bench { network, params, running, images, .. } = &mut bench;
    let mut together = vec![0.0; 9 * dim];
    network.infer(params, running, images, 9, &mut together).expect("fits");
    let mut alone = vec![0.0; dim];
    for i in 0..9 {
        network.infer(params, running, &images[i * len..(i + 1) * len], 1, &mut alone).expect("fits");
        assert_eq!(bits(&alone), bits(&together[i * dim..(i + 1) * dim]), "image {i}");
    }
}

#[test]
fn a_last_smaller_batch_leaves_no_trace() {
    let (mut used, mut fresh) =
        (bench::<f32>("resnet14_two_headed", (6, 7, 1), 6), bench::<f32>("resnet14_two_headed", (6, 7, 1), 6));
    let mut reused = Tape::default();
    for n in [6, 1, 4, 6] {
        let len = n * used.network.image().len();
        for bench in [&mut used, &mut fresh] {
            bench.images = noise("test/smaller", len);
            bench.n = n;
        }
        used.forward(TRACK, &mut reused);
        let new = fresh.tape(TRACK);
        let cotangent: Vec<f32> = noise("cotangent", new.features().len());
        assert_eq!((reused.batch(), bits(reused.features())), (n, bits(new.features())));
        // A network that has never seen a larger batch.
        let (architecture, image) = (*fresh.network.architecture(), fresh.network.image());
        fresh.network = Network::new(&architecture, image).expect("possible");
        assert_eq!(bits(&used.gradient(&reused, &cotangent)), bits(&fresh.gradient(&new, &cotangent)), "{n}");
        assert_eq!(bits(&used.running), bits(&fresh.running), "{n}");
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| {
            let mut bench = bench::<f32>("resnet8", (16, 15, 3), 37);
            let tape = bench.tape(TRACK);
            let cotangent: Vec<f32> = noise("cotangent", tape.features().len());
            let direction: Vec<f32> = noise("direction", bench.params.len());
            let gradient = bench.gradient(&tape, &cotangent);
            let tangent = bench.jvp(&tape, &direction);
            [bits(tape.features()), bits(&gradient), bits(&tangent), bits(&bench.running)]
        })
    };
    let one = run(1);
    for threads in [2, 3, 7] {
        assert!(run(threads) == one, "{threads} threads");
    }
}

#[test]
fn memory_is_as_announced() {
    let mut bench = bench::<f32>("resnet8", (16, 16, 3), 4);
    let announced = bench.network.memory_bytes(4);
    let tape = bench.tape(TRACK);
    assert!(
        tape.memory_bytes() <= announced && announced < 2 * tape.memory_bytes(),
        "{} {announced}",
        tape.memory_bytes()
    );
}

#[test]
fn wrong_sizes_are_refused_in_words_and_nothing_moves() {
    let mut bench = bench::<f32>("resnet8", (5, 5, 1), 2);
    let mut tape = bench.tape(TRACK);
    let features = bits(tape.features());
    let running = bits(&bench.running);
    let Bench { network, params, running: stats, images, .. } = &mut bench;
    let text = |result: Result<(), BackboneError>| result.expect_err("refused").to_string();

    let message = text(network.forward(params, stats, images, 3, TRACK, &mut tape));
    assert_eq!(message, "`images` has 50 elements, 75 are needed (3 images of 5×5×1)");
    let message = text(network.forward(&params[1..], stats, images, 2, TRACK, &mut tape));
    assert!(message.contains("`params`") && message.contains("parameters of resnet8"), "{message}");
    assert!(text(network.forward(params, &mut stats[1..], images, 2, TRACK, &mut tape)).contains("`running`"));
    assert_eq!(
        text(network.forward(params, stats, &[], 0, TRACK, &mut tape)),
        "an empty batch cannot go through a network"
    );
    assert!(text(network.infer(params, stats, images, 2, &mut [0.0; 3])).contains("128 are needed (2 features of 64)"));
    let mut gradient = vec![0.0; params.len()];
    assert!(text(network.backward(params, &tape, &[0.0; 64], &mut gradient)).contains("`dfeatures`"));
    assert!(text(network.backward(params, &tape, &[0.0; 128], &mut gradient[1..])).contains("`grad`"));
    assert!(text(network.jvp(params, &tape, &gradient[1..], &mut [0.0; 128])).contains("`direction`"));
    assert!(text(network.jvp(params, &tape, &gradient, &mut [0.0; 12])).contains("`features_dot`"));
    assert_eq!((bits(tape.features()), bits(stats)), (features, running));

    let message = text(network.backward(params, &Tape::default(), &[], &mut gradient));
    assert!(message.contains("no forward pass yet") && message.contains("resnet8 on images of 5×5×1"), "{message}");
    let mut other = common::bench::<f32>("resnet8", (5, 6, 1), 2);
    let message = text(network.jvp(params, &other.tape(TRACK), &gradient, &mut [0.0; 128]));
    assert!(message.contains("the tape belongs to resnet8 on images of 5×6×1"), "{message}");
    let image = ImageShape { height: 0, width: 4, channels: 1 };
    let none = Network::<f32>::new(&Architecture::CifarResNet { depth: 8 }, image).expect_err("no pixels");
    assert!(none.to_string().contains("0×4×1"), "{none}");
}

#[test]
fn what_is_not_finite_comes_out() {
    let mut bench = bench::<f32>("resnet8", (6, 6, 1), 2);
    bench.params[3] = f32::NAN;
    assert!(bench.tape(TRACK).features().iter().any(|f| f.is_nan()), "the caller's check must see it");
}
