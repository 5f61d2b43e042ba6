//! Times the convolutions of ResNet-32 at batch 128 and of the ImageNet ResNets at batch 8: `cargo run --release -p longtail-ops --example
//! conv_speed [threads]`.
//!
//! Prints the best of several runs in milliseconds and, in brackets, GFLOP/s over all threads.

use std::time::Instant;

use longtail_ops::{
    BatchNormShape, ConvShape, SimdPath, Workspace, available_simd_paths, batch_norm_apply, batch_norm_backward,
    batch_norm_statistics, conv2d, conv2d_backward_input, conv2d_backward_weight, gemm, philox_normals, set_simd_path,
};

fn main() {
    let threads = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(1);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a thread pool");
    pool.install(|| {
        let best = available_simd_paths().pop().expect("a path");
        let paths: Vec<SimdPath> =
            if std::env::args().any(|a| a == "all") { available_simd_paths() } else { vec![best] };
        for path in paths {
            set_simd_path(Some(path));
            println!("{path:?}, {threads} threads");
            convolutions();
        }
        set_simd_path(None);
        norms();
        let mut noise = vec![0f32; 1 << 20];
        let secs = best_of(5, || philox_normals([1, 2], 0, 0, &mut noise));
        println!("philox normals: {:.2} ns each, one thread", secs * 1e9 / noise.len() as f64);
        let n = 512;
        let (a, mut c) = (vec![1f32; n * n], vec![0f32; n * n]);
        let secs = best_of(5, || gemm(n, n, n, 1.0, &a, (n, 1), &a, (n, 1), 0.0, &mut c, (n, 1)));
        println!("gemm 512³: {:.1} GFLOP/s", 2.0 * (n * n * n) as f64 / secs / 1e9);
    });
}

fn convolutions() {
    println!("{:<28} {:>16} {:>16} {:>16}", "shape", "forward", "input gradient", "weight gradient");
    let cifar = [
        ((16, 16), 32, 3, 1, 1),
        ((32, 32), 16, 3, 1, 1),
        ((64, 64), 8, 3, 1, 1),
        ((16, 32), 32, 3, 2, 1),
        ((32, 64), 16, 3, 2, 1),
        ((3, 16), 32, 3, 1, 1),
        ((1, 16), 28, 3, 1, 1),
    ];
    // Of ResNet-50 and ResNeXt-50 32×4d.
    let imagenet = [
        ((3, 64), 224, 7, 2, 1),
        ((64, 64), 56, 1, 1, 1),
        ((64, 64), 56, 3, 1, 1),
        ((64, 256), 56, 1, 1, 1),
        ((256, 64), 56, 1, 1, 1),
        ((128, 128), 56, 3, 2, 1),
        ((256, 512), 56, 1, 2, 1),
        ((512, 128), 28, 1, 1, 1),
        ((128, 512), 28, 1, 1, 1),
        ((256, 1024), 14, 1, 1, 1),
        ((1024, 256), 14, 1, 1, 1),
        ((512, 2048), 7, 1, 1, 1),
        ((2048, 512), 7, 1, 1, 1),
        ((512, 512), 7, 3, 1, 1),
        ((128, 128), 56, 3, 1, 32),
        ((256, 256), 56, 3, 2, 32),
        ((256, 256), 28, 3, 1, 32),
        ((512, 512), 14, 3, 1, 32),
        ((1024, 1024), 7, 3, 1, 32),
    ];
    let all = cifar.map(|shape| (128, shape)).into_iter().chain(imagenet.map(|shape| (8, shape)));
    for (batch, (channels, size, kernel, stride, groups)) in all {
        let s = ConvShape {
            batch,
            height: size,
            width: size,
            in_channels: channels.0,
            out_channels: channels.1,
            kernel,
            stride,
            padding: kernel / 2,
            dilation: 1,
            groups,
        };
        let (x, w, dy) = (vec![0.5f32; s.input_len()], vec![0.5f32; s.weight_len()], vec![0.5f32; s.output_len()]);
        let (mut y, mut dx, mut dw) = (dy.clone(), x.clone(), w.clone());
        let mut ws = Workspace::default();
        let show = |secs: f64| format!("{:.2} ms ({:.0})", secs * 1e3, s.flops() as f64 / secs / 1e9);
        let forward = best_of(5, || conv2d(&s, &x, &w, &mut y, &mut ws));
        let input = best_of(5, || conv2d_backward_input(&s, &dy, &w, &mut dx, false, &mut ws));
        let weight = best_of(5, || conv2d_backward_weight(&s, &x, &dy, &mut dw, &mut ws));
        let name = format!("{kernel}x{kernel} {}->{} @{size} /{stride} g{groups}", channels.0, channels.1);
        println!("{name:<24} {:>16} {:>16} {:>16}", show(forward), show(input), show(weight));
    }
}

fn norms() {
    for (rows, channels) in [(128 * 1024, 16), (128 * 64, 64)] {
        let s = BatchNormShape { rows, channels };
        let x = vec![0.5f32; s.len()];
        let (mut y, mut dx, mut dr) = (x.clone(), x.clone(), x.clone());
        let (mut mean, mut var, one) = (vec![0f32; channels], vec![0f32; channels], vec![1f32; channels]);
        let (mut dgamma, mut dbeta) = (mean.clone(), mean.clone());
        let statistics = best_of(5, || batch_norm_statistics(&s, &x, &mut mean, &mut var));
        let apply = best_of(5, || batch_norm_apply(&s, &x, &mean, &one, &one, &one, Some(&x), true, &mut y));
        let backward = best_of(5, || {
            batch_norm_backward(
                &s,
                &x,
                Some(&y),
                &mean,
                &one,
                &one,
                &x,
                &mut dx,
                &mut dgamma,
                &mut dbeta,
                Some((&mut dr, true)),
                true,
            );
        });
        let show = |secs: f64, passes: f64| {
            format!("{:.2} ms ({:.0} GB/s)", secs * 1e3, passes * 4.0 * s.len() as f64 / secs / 1e9)
        };
        println!(
            "batch norm {rows}x{channels}: statistics {}, apply {}, backward {}",
            show(statistics, 1.0),
            show(apply, 3.0),
            show(backward, 9.0)
        );
    }
}

fn best_of(runs: usize, mut task: impl FnMut()) -> f64 {
    task();
    (0..runs)
        .map(|_| {
            let start = Instant::now();
            task();
            start.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min)
}
