//! Times what stage 3 is made of: `cargo run --release -p longtail-ops --example product_speed`. One thread.

use std::time::Instant;

use longtail_ops::{ColumnsMut, PANEL, Target, gemm_single, philox_normals, power, split_columns, sum_of_squares};

fn best_of(times: usize, mut work: impl FnMut()) -> f64 {
    let run = |work: &mut dyn FnMut()| {
        let began = Instant::now();
        work();
        began.elapsed().as_secs_f64()
    };
    (0..times).map(|_| run(&mut work)).fold(f64::INFINITY, f64::min)
}

fn main() {
    let mut noise = vec![0f32; 1 << 14];
    let per = |secs: f64, n: usize| secs * 1e9 / n as f64;
    println!("philox normals: {:.3} ns each", per(best_of(99, || philox_normals([1, 2], 0, 0, &mut noise)), 1 << 14));
    noise.iter_mut().for_each(|value| *value = value.abs());
    println!("power: {:.3} ns each", per(best_of(99, || power(0.9, &mut noise)), 1 << 14));
    let secs = best_of(99, || {
        std::hint::black_box(sum_of_squares(std::hint::black_box(&noise)));
    });
    println!("sum of squares: {:.3} ns each", per(secs, 1 << 14));
    for (rows, terms) in [(16, 200), (64, 50), (64, 200), (256, 200), (256, 1280), (512, 2048)] {
        let columns = 2048;
        let flops = 2.0 * (rows * terms * columns) as f64;
        let left: Vec<f32> = (0..rows * terms).map(|i| (i % 17) as f32).collect();
        let right: Vec<f32> = (0..terms * columns).map(|i| (i % 13) as f32).collect();
        let mut out = vec![0f32; rows * columns];
        let theirs = best_of(9, || {
            gemm_single(
                rows,
                columns,
                terms,
                1.0,
                &left,
                (terms, 1),
                &right,
                (columns, 1),
                0.0,
                &mut out,
                (columns, 1),
            );
        });
        let targets: Vec<Target> = (0..rows as u32).map(|row| Target { row, coefficient: 1.0 }).collect();
        let mut packed = Vec::new();
        let ours = best_of(9, || {
            for mut strip in split_columns(&mut out, columns, 128) {
                packed.resize(strip.packed_len(terms), 0f32);
                for (panel, start) in strip.columns().step_by(PANEL).enumerate() {
                    for term in 0..terms {
                        let at = ColumnsMut::packed_at(terms, panel, term);
                        packed[at..at + PANEL].copy_from_slice(&right[term * columns + start..][..PANEL]);
                    }
                }
                strip.add_product(&targets, &left, terms, &packed);
            }
        });
        println!(
            "{rows} × {terms} × {columns}: gemm {:.0}, ours {:.0} GFLOP/s",
            flops / theirs / 1e9,
            flops / ours / 1e9
        );
    }
}
