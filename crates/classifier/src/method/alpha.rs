//! α of Eq. 10: fixed, searched on validation data, or adapted per class to the loss on the meta set.

use longtail_recipe::Alpha;
use longtail_training::{HeadWeights, StateReader, StateWriter};

use crate::ClassifierError;
use crate::data::FeatureSet;

/// Factor on α_k when the class's meta loss fell.
pub const RAISE: f64 = 1.1;
/// Factor when it rose.
pub const LOWER: f64 = 0.9;
/// Smallest adaptive α.
pub const SMALLEST: f64 = 0.1;
/// Largest adaptive α.
pub const LARGEST: f64 = 0.9;

/// α of every class, and what moves it.
#[derive(Debug, Clone, PartialEq)]
pub struct AlphaState {
    rule: Alpha,
    values: Vec<f64>,
    previous: Option<Vec<f64>>,
}

impl AlphaState {
    /// The start: one value for all `num_classes` classes.
    pub fn new(rule: Alpha, num_classes: usize) -> Self {
        let mut state = Self { rule, values: vec![0.0; num_classes], previous: None };
        state.begin_trial(0);
        state
    }

    /// Values to try.
    pub fn candidates(&self) -> Vec<f64> {
        match self.rule {
            Alpha::Fixed(value) | Alpha::Adaptive(value) => vec![value],
            Alpha::Search(search) => search.candidates(),
        }
    }

    /// Starts over with one candidate.
    pub fn begin_trial(&mut self, trial: usize) {
        let start = self.candidates().get(trial).copied().unwrap_or(0.0);
        self.values.fill(start);
        self.previous = None;
    }

    /// Does α change while a head is trained?
    pub fn is_adaptive(&self) -> bool {
        matches!(self.rule, Alpha::Adaptive(_))
    }

    /// α of every class, `(K,)`.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// One step of the adaptive rule on the classes' mean losses; NaN for a class without meta images.
    ///
    /// α_k × 1.1 if the loss fell since the last call, × 0.9 if it rose, within [0.1, 0.9]; the first call only remembers.
    ///
    /// # Source
    /// mpcl_mpfa.md §5 row 24 (ours, after FASA's `dynamic_sampling`).
    pub fn update(&mut self, losses: Vec<f64>) {
        if let Some(previous) = &self.previous {
            for ((value, &before), &now) in self.values.iter_mut().zip(previous).zip(&losses) {
                let factor = if now < before {
                    RAISE
                } else if now > before {
                    LOWER
                } else {
                    continue;
                };
                *value = (*value * factor).clamp(SMALLEST, LARGEST);
            }
        }
        self.previous = Some(losses);
    }

    /// Writes what the next epochs depend on.
    pub fn save(&self, state: &mut StateWriter) {
        state.vector("alpha", &self.values);
        state.vector("alpha_losses", self.previous.as_deref().unwrap_or(&[]));
    }

    /// Reads it back.
    ///
    /// # Errors
    /// If it is missing or of another size.
    pub fn restore(&mut self, state: &mut StateReader) -> Result<(), ClassifierError> {
        self.values = state.vector_of("alpha", self.values.len())?;
        let losses: Vec<f64> = state.vector("alpha_losses")?;
        self.previous = (!losses.is_empty()).then_some(losses);
        Ok(())
    }
}

/// Mean cross-entropy of each class's rows, `(K,)` in nats; NaN for a class without rows.
///
/// # Shapes
/// `prepared`: features on their way into the head, transformed already.
///
/// # Errors
/// If sizes do not fit.
pub fn class_losses(head: &HeadWeights, prepared: &FeatureSet) -> Result<Vec<f64>, ClassifierError> {
    let classes = head.shape.num_classes;
    let logits = head.logits(&prepared.features)?;
    let (mut sums, mut counts) = (vec![0f64; classes], vec![0u32; classes]);
    for (row, &label) in logits.chunks_exact(classes).zip(&prepared.labels) {
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let total: f64 = row.iter().map(|&logit| f64::from(logit - largest).exp()).sum();
        sums[label as usize] += total.ln() - f64::from(row[label as usize] - largest);
        counts[label as usize] += 1;
    }
    Ok(sums.into_iter().zip(counts).map(|(sum, count)| sum / f64::from(count)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alpha_follows_the_loss_within_its_bounds() {
        let mut state = AlphaState::new(Alpha::Adaptive(0.2), 4);
        state.update(vec![1.0, 1.0, 1.0, f64::NAN]);
        assert_eq!(state.values(), &[0.2; 4], "the first losses are only remembered");
        state.update(vec![0.5, 1.5, 1.0, f64::NAN]);
        assert_eq!(state.values(), &[0.2 * 1.1, 0.2 * 0.9, 0.2, 0.2]);
        for step in 0..40 {
            state.update(vec![0.5 - 0.01 * f64::from(step), 2.0 + f64::from(step), 1.0, f64::NAN]);
        }
        assert_eq!(state.values(), &[0.9, 0.1, 0.2, 0.2]);
    }

    #[test]
    fn a_state_comes_back_to_the_bit() {
        let mut state = AlphaState::new(Alpha::Adaptive(0.3), 2);
        state.update(vec![1.0, 2.0]);
        state.update(vec![0.9, 2.1]);
        let mut writer = StateWriter::default();
        state.save(&mut writer);
        let mut back = AlphaState::new(Alpha::Adaptive(0.3), 2);
        back.restore(&mut StateReader::new("test", writer.into_tensors())).expect("whole");
        assert_eq!(back, state);
    }

    #[test]
    fn class_losses_by_hand() {
        // identity head: logits are the features; losses ln 2 and ln(1 + e⁻²)
        let head = HeadWeights::linear(&[1.0, 0.0, 0.0, 1.0], &[0.0, 0.0]).expect("2·2");
        let set = FeatureSet { path: "meta".into(), features: vec![0.0, 0.0, 1.0, 3.0], labels: vec![0, 1], dim: 2 };
        let losses = class_losses(&head, &set).expect("fits");
        assert!((losses[0] - 2f64.ln()).abs() < 1e-9 && (losses[1] - (-2f64).exp().ln_1p()).abs() < 1e-7, "{losses:?}");
    }
}
