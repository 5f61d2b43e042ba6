//! The kernels between a network's features and its next weights against the CPU's in f64: on an emulated device, and on a real one where
//! there is one.

use std::path::Path;

use longtail_ops::gpu::{
    AdamNumbers, Driver, Emulated, GpuCrossEntropy, GpuVec, SgdNumbers, VirtualKind, gpu_adam, gpu_axpy,
    gpu_cross_entropy, gpu_prototype_update, gpu_sgd, gpu_sum, gpu_unit_rows, gpu_unit_rows_tangent, gpu_virtual_step,
};
use longtail_ops::{AdamStep, CrossEntropySpec, SgdStep, adam_step, cross_entropy, normal, sgd_step, stream};

fn normals(purpose: &str, len: usize) -> Vec<f32> {
    let mut rng = stream(3, purpose, 0, 0);
    (0..len).map(|_| normal(&mut rng) as f32).collect()
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

fn near(what: &str, found: &[f32], exact: &[f64]) {
    assert_eq!(found.len(), exact.len(), "{what}");
    let largest = exact.iter().fold(1e-3f64, |largest, value| largest.max(value.abs()));
    for (index, (found, exact)) in found.iter().zip(exact).enumerate() {
        assert!((f64::from(*found) - exact).abs() < 3e-6 * largest, "{what} [{index}]: {found} for {exact}");
    }
}

/// A device with vectors on it.
struct Bench<'a, D: Driver> {
    driver: &'a D,
}

impl<D: Driver> Bench<'_, D> {
    fn put(&self, values: &[f32]) -> GpuVec<f32, D> {
        GpuVec::of(self.driver, values).expect("room")
    }

    fn get(&self, values: &GpuVec<f32, D>) -> Vec<f32> {
        values.to_vec(self.driver).expect("comes back")
    }

    fn optimisers(&self) {
        let (len, lr, momentum, decay) = (701, 0.1f32, 0.9f32, 0.01f32);
        let [weights, gradient, buffer] = ["w", "g", "b"].map(|purpose| normals(purpose, len));
        let decays: Vec<u8> = (0..len).map(|index| u8::from((100..500).contains(&index))).collect();
        let (rate, decays) = (self.put(&[lr]), GpuVec::of(self.driver, &decays).expect("room"));
        let numbers =
            |nesterov| SgdNumbers { rate: rate.view(), momentum, nesterov, weight_decay: decay, decays: decays.view() };
        for (nesterov, kind) in [(false, VirtualKind::Momentum), (true, VirtualKind::Nesterov)] {
            let (mut w, g, mut b) = (self.put(&weights), self.put(&gradient), self.put(&buffer));
            let mut ahead = self.put(&vec![0.0; len]);
            gpu_virtual_step(self.driver, kind, w.view(), g.view(), b.view(), &numbers(nesterov), ahead.view_mut())
                .expect("runs");
            gpu_sgd(self.driver, w.view_mut(), g.view(), b.view_mut(), &numbers(nesterov)).expect("runs");
            let (mut exact, mut averaged) = (wide(&weights), wide(&buffer));
            let [lr, momentum, weight_decay] = [lr, momentum, decay].map(f64::from);
            let step = SgdStep { lr, momentum, nesterov, weight_decay };
            sgd_step(&mut exact, &wide(&gradient), &mut averaged, step, Some(&[100..500, 500..500]));
            near("SGD", &self.get(&w), &exact);
            near("momentum", &self.get(&b), &averaged);
            near("virtual step", &self.get(&ahead), &exact);
        }
        let mut moved = self.put(&weights);
        let (g, b) = (self.put(&gradient), self.put(&buffer));
        let plain: Vec<f64> =
            weights.iter().zip(&gradient).map(|(w, g)| f64::from(*w) - f64::from(lr) * f64::from(*g)).collect();
        let mut ahead = self.put(&vec![0.0; len]);
        let kind = VirtualKind::Plain;
        gpu_virtual_step(self.driver, kind, moved.view(), g.view(), b.view(), &numbers(false), ahead.view_mut())
            .expect("runs");
        near("plain virtual step", &self.get(&ahead), &plain);
        gpu_axpy(self.driver, moved.view_mut(), -lr, g.view()).expect("runs");
        near("axpy", &self.get(&moved), &plain);

        let second: Vec<f32> = buffer.iter().map(|value| value * value).collect();
        let (mut w, mut m, mut v) = (self.put(&weights), self.put(&buffer), self.put(&second));
        let (beta1, beta2, steps) = (0.75f32, 0.5f32, 3); // exact in f32
        let corrections = self.put(&[1.0 - beta1.powi(3), 1.0 - beta2.powi(3)]);
        let shrink = 1.0 - lr * decay;
        let (betas, epsilon) = ((beta1, beta2), 1e-3);
        let numbers =
            AdamNumbers { rate: rate.view(), corrections: corrections.view(), betas, epsilon, shrink, l2: 0.0 };
        gpu_adam(self.driver, w.view_mut(), g.view(), m.view_mut(), v.view_mut(), &numbers).expect("runs");
        let (mut exact, mut first, mut square) = (wide(&weights), wide(&buffer), wide(&second));
        let [lr, beta1, beta2, eps, weight_decay] = [lr, beta1, beta2, epsilon, decay].map(f64::from);
        let step = AdamStep { lr, beta1, beta2, eps, weight_decay, decoupled: true };
        adam_step(&mut exact, &wide(&gradient), &mut first, &mut square, steps, step, None);
        near("Adam", &self.get(&w), &exact);
        near("first moment", &self.get(&m), &first);
        near("second moment", &self.get(&v), &square);
    }

    fn losses(&self) {
        let (rows, classes) = (9, 37);
        let logits = normals("logits", rows * classes);
        let labels: Vec<u32> = (0..rows as u32).map(|row| (row * 11) % classes as u32).collect();
        let offsets = normals("offsets", classes);
        let weights: Vec<f32> = (0..classes).map(|class| 0.5 + class as f32 / 16.0).collect();
        let signed: Vec<i32> = labels.iter().map(|&label| label as i32).collect();
        let (on_device, logits_there) = (GpuVec::of(self.driver, &signed).expect("room"), self.put(&logits));
        let (offsets_there, weights_there) = (self.put(&offsets), self.put(&weights));
        for (shifted, weighted, smoothing) in [(false, false, 0.0f32), (true, false, 0.0), (false, true, 0.125)] {
            let sum: f32 = labels.iter().map(|&label| if weighted { weights[label as usize] } else { 1.0 }).sum();
            let spec = GpuCrossEntropy {
                labels: on_device.view(),
                offsets: shifted.then(|| offsets_there.view()),
                class_weights: weighted.then(|| weights_there.view()),
                row_weights: None,
                smoothing,
                factor: 1.0 / sum,
            };
            let [mut losses, mut value] = [rows, 1].map(|len| self.put(&vec![0.0; len]));
            let mut dlogits = self.put(&vec![0.0; logits.len()]);
            let (there, to) = (logits_there.view(), Some(dlogits.view_mut()));
            gpu_cross_entropy(self.driver, &spec, there, classes, losses.view_mut(), to).expect("runs");
            gpu_sum(self.driver, losses.view(), 1.0 / sum, value.view_mut()).expect("runs");
            let (offsets, weights) = (wide(&offsets), wide(&weights));
            let spec = CrossEntropySpec {
                labels: Some(&labels),
                soft_targets: None,
                sample_weights: None,
                class_weights: weighted.then_some(&weights),
                logit_offsets: shifted.then_some(&offsets),
                smoothing: f64::from(smoothing),
            };
            let (mut each, mut gradient) = (vec![0.0; rows], vec![0.0; logits.len()]);
            let exact = cross_entropy(&spec, &wide(&logits), rows, classes, &mut each, Some(&mut gradient));
            near("cross-entropy", &self.get(&value), &[exact.expect("sizes fit")]);
            near("its gradient", &self.get(&dlogits), &gradient);
        }
    }

    fn prototypes(&self) {
        let (rows, dim, classes) = (6, 70, 4);
        let features = normals("z", rows * dim);
        let dot = normals("dot", rows * dim);
        let labels = [0usize, 2, 0, 3, 2, 0];
        let signed = labels.map(|label| label as i32);
        let norm = |row: &[f64]| row.iter().map(|value| value * value).sum::<f64>().sqrt();
        let unit: Vec<f64> = wide(&features)
            .chunks_exact(dim)
            .flat_map(|row| row.iter().map(|value| value / norm(row)).collect::<Vec<_>>())
            .collect();
        let norms: Vec<f64> = wide(&features).chunks_exact(dim).map(norm).collect();
        let [mut unit_there, mut along] = [0, 0].map(|_| self.put(&vec![0.0; rows * dim]));
        let mut norms_there = self.put(&vec![0.0; rows]);
        let there = self.put(&features);
        gpu_unit_rows(self.driver, there.view(), dim, unit_there.view_mut(), norms_there.view_mut()).expect("runs");
        near("unit rows", &self.get(&unit_there), &unit);
        near("norms", &self.get(&norms_there), &norms);
        let (dot_there, of_unit, of_norms) = (self.put(&dot), unit_there.view(), norms_there.view());
        gpu_unit_rows_tangent(self.driver, dot_there.view(), of_unit, of_norms, dim, 1.0, false, along.view_mut())
            .expect("runs");
        let wide_dot = wide(&dot);
        let tangent: Vec<f64> = (0..rows)
            .flat_map(|row| {
                let (u, v) = (&unit[row * dim..(row + 1) * dim], &wide_dot[row * dim..(row + 1) * dim]);
                let inner: f64 = u.iter().zip(v).map(|(u, v)| u * v).sum();
                u.iter().zip(v).map(|(u, v)| (v - inner * u) / norms[row]).collect::<Vec<_>>()
            })
            .collect();
        near("tangent", &self.get(&along), &tangent);

        let momentum = [0.5f64, 0.75, 0.875, 0.25]; // 1 − m exact in f32
        let before = normals("c", classes * dim);
        let rates = self.put(&momentum.map(|m| (1.0 - m) as f32));
        let labels_there = GpuVec::of(self.driver, &signed).expect("room");
        for (per_sample, on_sphere) in [(true, false), (false, false), (true, true)] {
            let mut values = self.put(&before);
            let (labels_there, rates) = (labels_there.view(), rates.view());
            gpu_prototype_update(
                self.driver,
                values.view_mut(),
                there.view(),
                labels_there,
                rates,
                per_sample,
                on_sphere,
            )
            .expect("runs");
            let mut exact = wide(&before);
            for (class, c) in exact.chunks_exact_mut(dim).enumerate() {
                let members: Vec<usize> = (0..rows).filter(|&row| labels[row] == class).collect();
                let (m, count) = (momentum[class], members.len());
                if count == 0 {
                    continue;
                }
                let keep = if per_sample { m.powi(count as i32) } else { m };
                c.iter_mut().for_each(|value| *value *= keep);
                for (place, &row) in members.iter().enumerate() {
                    let weight = match per_sample {
                        true => (1.0 - m) * m.powi((count - 1 - place) as i32),
                        false => (1.0 - m) / count as f64,
                    };
                    let row = &features[row * dim..(row + 1) * dim];
                    c.iter_mut().zip(row).for_each(|(value, z)| *value += weight * f64::from(*z));
                }
                let length = if on_sphere { norm(c) } else { 1.0 };
                c.iter_mut().for_each(|value| *value /= length);
            }
            near("prototypes", &self.get(&values), &exact);
        }
    }
}

fn check<D: Driver>(driver: &D) {
    let bench = Bench { driver };
    bench.optimisers();
    bench.losses();
    bench.prototypes();
}

#[test]
fn on_an_emulated_device() {
    match Emulated::compile(Path::new(env!("CARGO_TARGET_TMPDIR"))) {
        Ok(driver) => check(&driver),
        Err(why) => println!("skipped: {why}"),
    }
}

#[cfg(feature = "cuda")]
#[test]
fn on_a_real_gpu() {
    use longtail_ops::gpu::{Cuda, CudaSettings};
    match Cuda::open(0, CudaSettings { tf32: false }) {
        Ok(driver) => check(&driver),
        Err(why) => println!("skipped: {why}"),
    }
}
