//! Fused softmax and cross-entropy, with everything that long-tailed losses put between the two.

mod spec;

pub use spec::CrossEntropySpec;

use rayon::prelude::*;

use crate::{OpsError, Real};

/// Samples of one task.
const ROWS: usize = 32;

/// Mean cross-entropy of softmax logits, in nats; the losses one by one; and the gradient.
///
/// With `p = softmax(z + offsets)` and smoothed targets `t`, the loss of a sample is `ℓ_i = −Σ_c
/// t_ic · ln p_ic`, and the mean is `Σ_i s_i·Σ_c w_c·t_ic·(−ln p_ic) / D`, where `s` are the sample
/// weights, `w` the class weights, and `D = Σ_i w_{y_i}` for labels or `N` for soft targets. A
/// class with target zero adds nothing, also when its logit is −∞.
///
/// # Shapes
/// - `logits`: `(n, c)` - `losses`: `(n)`, the unweighted `ℓ_i`, overwritten
/// - `dlogits`: `(n, c)`, the gradient of the mean, overwritten
/// # Errors
/// Wrong lengths, a label out of range, smoothing out of range, neither or both kinds of target,
/// class weights that sum to 0. An empty batch has mean 0.
/// # Source
/// `torch.nn.functional.cross_entropy`.
pub fn cross_entropy<T: Real>(
    spec: &CrossEntropySpec<'_, T>,
    logits: &[T],
    n: usize,
    c: usize,
    losses: &mut [T],
    dlogits: Option<&mut [T]>,
) -> Result<T, OpsError> {
    spec.check(logits.len(), n, c, losses.len())?;
    if let Some(d) = &dlogits
        && d.len() != n * c
    {
        return Err(OpsError::Length { name: "dlogits", found: d.len(), expected: n * c });
    }
    let denominator = spec.denominator(n)?;
    if n == 0 || c == 0 {
        return Ok(T::ZERO);
    }
    match dlogits {
        None => losses.par_chunks_mut(ROWS).enumerate().for_each(|(block, losses)| {
            losses.iter_mut().enumerate().for_each(|(i, loss)| {
                let row = block * ROWS + i;
                *loss = forward_row(spec, row, &logits[row * c..(row + 1) * c]).0;
            })
        }),
        Some(dlogits) => losses.par_chunks_mut(ROWS).zip(dlogits.par_chunks_mut(ROWS * c)).enumerate().for_each(
            |(block, (losses, dlogits))| {
                for (i, (loss, d)) in losses.iter_mut().zip(dlogits.chunks_exact_mut(c)).enumerate() {
                    let row = block * ROWS + i;
                    let z = &logits[row * c..(row + 1) * c];
                    let (value, largest, sum) = forward_row(spec, row, z);
                    *loss = value;
                    let scale = spec.sample_weights.map_or(T::ONE, |s| s[row]) / T::from_f64(denominator);
                    gradient_row(spec, row, z, largest, sum, scale, d);
                }
            },
        ),
    }
    if spec.class_weights.is_none() {
        let total: f64 = losses
            .iter()
            .enumerate()
            .map(|(row, loss)| loss.to_f64() * spec.sample_weights.map_or(1.0, |s| s[row].to_f64()))
            .sum();
        return Ok(T::from_f64(total / denominator));
    }
    let total: f64 = (0..n)
        .map(|row| {
            let loss = weighted_loss(spec, row, &logits[row * c..(row + 1) * c]);
            loss.to_f64() * spec.sample_weights.map_or(1.0, |s| s[row].to_f64())
        })
        .sum();
    Ok(T::from_f64(total / denominator))
}

/// The unweighted loss of a row, its largest shifted logit and its sum of exponentials.
fn forward_row<T: Real>(spec: &CrossEntropySpec<'_, T>, row: usize, z: &[T]) -> (T, T, T) {
    let (largest, sum) = spec.normaliser(z);
    let log_sum = sum.ln();
    if let (Some(labels), true) = (spec.labels, spec.smoothing == 0.0) {
        let label = labels[row] as usize;
        return (log_sum - (z[label] + spec.offset(label) - largest), largest, sum);
    }
    let mut loss = T::ZERO;
    for (class, &z_c) in z.iter().enumerate() {
        let t = spec.target(row, class, z.len());
        if t != T::ZERO {
            loss += t * (log_sum - (z_c + spec.offset(class) - largest));
        }
    }
    (loss, largest, sum)
}

/// `Σ_c w_c·t_c·(−ln p_c)`.
fn weighted_loss<T: Real>(spec: &CrossEntropySpec<'_, T>, row: usize, z: &[T]) -> T {
    let (largest, sum) = spec.normaliser(z);
    let log_sum = sum.ln();
    let mut loss = T::ZERO;
    for (class, &z_c) in z.iter().enumerate() {
        let t = spec.class_weight(class) * spec.target(row, class, z.len());
        if t != T::ZERO {
            loss += t * (log_sum - (z_c + spec.offset(class) - largest));
        }
    }
    loss
}

fn gradient_row<T: Real>(
    spec: &CrossEntropySpec<'_, T>,
    row: usize,
    z: &[T],
    largest: T,
    sum: T,
    scale: T,
    d: &mut [T],
) {
    let c = z.len();
    let mut mass = T::ZERO;
    for (class, d) in d.iter_mut().enumerate() {
        *d = spec.class_weight(class) * spec.target(row, class, c);
        mass += *d;
    }
    let mass = mass / sum;
    for (class, d) in d.iter_mut().enumerate() {
        *d = scale * (mass * (z[class] + spec.offset(class) - largest).exp() - *d);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_classes_by_hand() {
        let spec = CrossEntropySpec { labels: Some(&[0, 1]), ..Default::default() };
        let (mut losses, mut d) = ([0.0f64; 2], [0.0; 4]);
        let logits = [0.0, 0.0, 0.0, 3f64.ln()];
        let mean = cross_entropy(&spec, &logits, 2, 2, &mut losses, Some(&mut d)).expect("valid");
        let expected = [2f64.ln(), (4.0f64 / 3.0).ln()];
        assert!(losses.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-15));
        assert!((mean - (expected[0] + expected[1]) / 2.0).abs() < 1e-15);
        let expected = [-0.25, 0.25, 0.125, -0.125];
        assert!(d.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-15), "{d:?}");
    }

    #[test]
    fn offsets_act_as_logits_and_class_weights_normalise() {
        let spec = CrossEntropySpec {
            labels: Some(&[1, 0]),
            class_weights: Some(&[3.0, 1.0]),
            logit_offsets: Some(&[0.0, 3f64.ln()]),
            ..Default::default()
        };
        let mut losses = [0.0f64; 2];
        let mean = cross_entropy(&spec, &[0.0; 4], 2, 2, &mut losses, None).expect("valid");
        let (first, second) = ((4.0f64 / 3.0).ln(), 4f64.ln());
        assert!((losses[0] - first).abs() < 1e-15 && (losses[1] - second).abs() < 1e-15);
        assert!((mean - (first + 3.0 * second) / 4.0).abs() < 1e-15);
    }

    #[test]
    fn huge_logits_and_minus_infinity_stay_finite() {
        let spec = CrossEntropySpec { labels: Some(&[0]), ..Default::default() };
        let mut losses = [0.0f32];
        let mean = cross_entropy(&spec, &[1e30, f32::NEG_INFINITY, -1e30], 1, 3, &mut losses, None).expect("valid");
        assert_eq!(mean, 0.0);
    }

    #[test]
    fn bad_input_is_named() {
        let spec = CrossEntropySpec { labels: Some(&[0, 7]), ..Default::default() };
        let error = cross_entropy(&spec, &[0.0f32; 6], 2, 3, &mut [0.0; 2], None).expect_err("label 7 of 3");
        assert_eq!(error, OpsError::LabelOutOfRange { sample: 1, label: 7, num_classes: 3 });
        let neither = CrossEntropySpec::<f32>::default();
        assert!(matches!(cross_entropy(&neither, &[], 0, 3, &mut [], None), Err(OpsError::Targets { .. })));
        let smooth = CrossEntropySpec { labels: Some(&[0]), smoothing: 1.0, ..Default::default() };
        assert!(cross_entropy(&smooth, &[0.0f32; 2], 1, 2, &mut [0.0], None).is_err());
        let nan = CrossEntropySpec { labels: Some(&[0]), ..Default::default() };
        assert!(cross_entropy(&nan, &[f32::NAN, 0.0], 1, 2, &mut [0.0], None).expect("NaN is a number here").is_nan());
    }
}
