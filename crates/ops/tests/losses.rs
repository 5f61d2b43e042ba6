//! Cross-entropy against its formula and central differences; optimiser chunks; thread counts.

mod common;

use common::{error, gradient, hold_path, normals, single, with_threads};
use longtail_ops::{CrossEntropySpec, SgdStep, axpy, cross_entropy, sgd_step};

const N: usize = 5;
const C: usize = 7;
const LABELS: [u32; N] = [0, 6, 3, 3, 1];

struct Weights {
    sample: Vec<f64>,
    class: Vec<f64>,
    offsets: Vec<f64>,
    soft: Vec<f64>,
}

fn weights() -> Weights {
    let positive = |name: &str, len: usize| normals(name, len).iter().map(|v| 0.1 + v.abs()).collect::<Vec<_>>();
    Weights { sample: positive("s", N), class: positive("w", C), offsets: normals("o", C), soft: positive("t", N * C) }
}

/// Every combination of what a specification can hold.
fn specs(w: &Weights) -> Vec<CrossEntropySpec<'_, f64>> {
    (0..32)
        .map(|flags| CrossEntropySpec {
            labels: (flags & 1 == 0).then_some(&LABELS[..]),
            soft_targets: (flags & 1 > 0).then_some(&w.soft[..]),
            sample_weights: (flags & 2 > 0).then_some(&w.sample[..]),
            class_weights: (flags & 4 > 0).then_some(&w.class[..]),
            logit_offsets: (flags & 8 > 0).then_some(&w.offsets[..]),
            smoothing: if flags & 16 > 0 { 0.2 } else { 0.0 },
        })
        .collect()
}

/// The definition, written plainly: losses one by one, and the mean.
fn naive(spec: &CrossEntropySpec<'_, f64>, logits: &[f64]) -> (Vec<f64>, f64) {
    let (mut losses, mut total, mut weight) = (Vec::new(), 0.0, 0.0);
    for i in 0..N {
        let z: Vec<f64> = (0..C).map(|c| logits[i * C + c] + spec.logit_offsets.map_or(0.0, |o| o[c])).collect();
        let sum: f64 = z.iter().map(|z| z.exp()).sum();
        let (mut loss, mut weighted) = (0.0, 0.0);
        for c in 0..C {
            let hard = spec.labels.map_or(0.0, |l| f64::from(u8::from(l[i] as usize == c)));
            let t =
                (1.0 - spec.smoothing) * spec.soft_targets.map_or(hard, |t| t[i * C + c]) + spec.smoothing / C as f64;
            loss -= t * (z[c].exp() / sum).ln();
            weighted -= spec.class_weights.map_or(1.0, |w| w[c]) * t * (z[c].exp() / sum).ln();
        }
        losses.push(loss);
        total += weighted * spec.sample_weights.map_or(1.0, |s| s[i]);
        weight += match (spec.labels, spec.class_weights) {
            (Some(labels), Some(w)) => w[labels[i] as usize],
            _ => 1.0,
        };
    }
    (losses, total / weight)
}

#[test]
fn every_combination_agrees_with_its_definition_and_differences() {
    let (w, logits) = (weights(), normals("z", N * C));
    for spec in specs(&w) {
        let (mut losses, mut dlogits) = (vec![0.0; N], vec![0.0; N * C]);
        let mean = cross_entropy(&spec, &logits, N, C, &mut losses, Some(&mut dlogits)).expect("a valid specification");
        let (expected, expected_mean) = naive(&spec, &logits);
        assert!(error(&losses, &expected) < 1e-13 && (mean - expected_mean).abs() < 1e-13, "{spec:?}");
        let without = cross_entropy(&spec, &logits, N, C, &mut losses, None).expect("a valid specification");
        assert_eq!(mean, without);
        let numeric = gradient(&logits, |z| naive(&spec, z).1);
        assert!(error(&dlogits, &numeric) < 1e-8, "{spec:?}: {}", error(&dlogits, &numeric));
    }
}

#[test]
fn f32_agrees_with_f64() {
    let logits = normals("z", 200 * 10);
    let labels: Vec<u32> = (0..200).map(|i| i % 10).collect();
    let spec = CrossEntropySpec { labels: Some(&labels), ..Default::default() };
    let wide = cross_entropy(&spec, &logits, 200, 10, &mut vec![0.0; 200], None).expect("valid");
    let spec = CrossEntropySpec { labels: Some(&labels), ..Default::default() };
    let narrow = cross_entropy(&spec, &single(&logits), 200, 10, &mut vec![0.0; 200], None).expect("valid");
    assert!((wide - f64::from(narrow)).abs() < 1e-6);
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let _path = hold_path();
    let run = || {
        let n = 100_000;
        let (mut w, g) = (single(&normals("w", n)), single(&normals("g", n)));
        let mut buf = vec![0f32; n];
        let update = SgdStep { lr: 0.1, momentum: 0.9, nesterov: true, weight_decay: 5e-4 };
        sgd_step(&mut w, &g, &mut buf, update, Some(&[0..0, 0..70_001]));
        axpy(&mut w, 0.5, &g);
        let labels: Vec<u32> = (0..1000).map(|i| i % 100).collect();
        let spec = CrossEntropySpec { labels: Some(&labels), ..Default::default() };
        let mut d = vec![0f32; n];
        let mean = cross_entropy(&spec, &w, 1000, 100, &mut vec![0f32; 1000], Some(&mut d)).expect("valid");
        (mean.to_bits(), w, d, buf)
    };
    assert!(with_threads(1, run) == with_threads(2, run));
}
