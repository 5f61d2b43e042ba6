//! Times the passes of a few networks and prints images per second.
//!
//! `cargo run --release -p longtail-backbone --example step_speed -- [--threads N] [--repeats R] [NETWORK]`

use std::time::Instant;

use longtail_backbone::{ImageShape, Network, NormMode, Tape};
use longtail_ops::{normal, stream};

/// Name, rows = columns, channels, batch.
const CASES: [(&str, usize, usize, usize); 5] = [
    ("resnet32", 32, 3, 128),
    ("resnet14", 28, 1, 128),
    ("resnet8", 28, 1, 128),
    ("resnet50", 224, 3, 8),
    ("resnext50_32x4d", 224, 3, 8),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |flag: &str| {
        let at = arguments.iter().position(|a| a == flag)?;
        arguments.get(at + 1)?.parse::<usize>().ok()
    };
    let threads = number("--threads").unwrap_or(0);
    let repeats = number("--repeats").unwrap_or(5);
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().expect("the pool is made once, here");
    println!("{} threads, median of {repeats}", rayon::current_num_threads());
    println!(
        "{:<10} {:>10} {:>10} {:>10} {:>10} {:>14} {:>9}",
        "network", "forward", "backward", "jvp", "infer", "step images/s", "MiB"
    );
    for (name, side, channels, batch) in CASES {
        if CASES.iter().any(|case| arguments.contains(&case.0.to_owned())) && !arguments.contains(&name.to_owned()) {
            continue;
        }
        time(name, ImageShape { height: side, width: side, channels }, batch, repeats);
    }
}

fn time(name: &str, image: ImageShape, batch: usize, repeats: usize) {
    let architecture = name.parse().expect("a known name");
    let mut network = Network::<f32>::new(&architecture, image).expect("a possible network");
    let mut rng = stream(0, "step-speed", 0, 0);
    let (params, mut running) = network.init(&mut rng);
    let images: Vec<f32> = (0..batch * image.len()).map(|_| normal(&mut rng) as f32).collect();
    let mut features = vec![0.0; batch * network.feature_dim()];
    let mut gradient = vec![0.0; params.len()];
    let mut tape = Tape::default();
    let mut secs = [(); 4].map(|()| Vec::new());
    for repeat in 0..=repeats {
        let start = Instant::now();
        let mode = NormMode::Batch { track: true };
        network.forward(&params, &mut running, &images, batch, mode, &mut tape).expect("sizes fit");
        let forward = start.elapsed();
        let cotangent = vec![1.0 / batch as f32; features.len()];
        let start = Instant::now();
        network.backward(&params, &tape, &cotangent, &mut gradient).expect("sizes fit");
        let backward = start.elapsed();
        let start = Instant::now();
        network.jvp(&params, &tape, &gradient, &mut features).expect("sizes fit");
        let jvp = start.elapsed();
        let start = Instant::now();
        network.infer(&params, &running, &images, batch, &mut features).expect("sizes fit");
        let infer = start.elapsed();
        if repeat > 0 {
            // The first round makes the buffers.
            let times = [forward, backward, jvp, infer];
            secs.iter_mut().zip(times).for_each(|(all, time)| all.push(time.as_secs_f64()));
        }
    }
    let [forward, backward, jvp, infer] = secs.map(median);
    let mebibytes = network.memory_bytes(batch) as f64 / f64::from(1 << 20);
    println!(
        "{name:<10} {:>7.1} ms {:>7.1} ms {:>7.1} ms {:>7.1} ms {:>14.0} {mebibytes:>9.0}",
        1e3 * forward,
        1e3 * backward,
        1e3 * jvp,
        1e3 * infer,
        batch as f64 / (forward + backward),
    );
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
