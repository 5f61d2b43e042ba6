//! `tau_norm`: stage 1's rows divided by a power of their norm.

use longtail_recipe::TauNormRecipe;
use longtail_training::{HeadForm, HeadWeights};
use serde_json::{Map, json};

use super::base::{Context, Fitted, Method};
use super::joint::val_accuracy;
use crate::ClassifierError;
use crate::data::FitData;
use crate::generate::{FeatureTransform, norm};
use crate::scoring::ScoringHead;

/// τ-normalisation: `w_k/‖w_k‖^τ`, bias dropped, τ with the best validation accuracy, the smallest of equals.
///
/// # Source
/// Kang et al. 2020 (CB): `tau_norm.py`. Different here: τ is chosen on validation data; the official script prints all 21 values
/// on the set it is given.
#[derive(Debug, Clone, Copy)]
pub struct TauNorm<'a> {
    /// Settings from the recipe.
    pub recipe: &'a TauNormRecipe,
}

impl Method for TauNorm<'_> {
    fn name(&self) -> &'static str {
        "tau_norm"
    }

    fn fit(&self, data: &FitData, context: &mut Context<'_>) -> Result<Fitted, ClassifierError> {
        if data.head.shape.form != HeadForm::Linear {
            return Err(ClassifierError::Head {
                method: "tau_norm",
                why: "divides rows by their trained norms, which have no meaning in a cosine head",
                found: data.head.shape.form.name(),
            });
        }
        if data.val.labels.is_empty() && self.recipe.taus.len() > 1 {
            return Err(ClassifierError::NoData {
                method: "tau_norm",
                what: "validation features to choose τ (or give one value in `taus`)",
                path: data.val.path.clone(),
            });
        }
        let mut best: Option<(f64, Option<f64>, ScoringHead)> = None;
        let mut taus = self.recipe.taus.clone();
        taus.sort_by(f64::total_cmp);
        for (trial, &tau) in taus.iter().enumerate() {
            let head =
                ScoringHead::Trained { head: tau_normalized(&data.head, tau)?, transform: FeatureTransform::IDENTITY };
            let accuracy = val_accuracy(&head, &data.val, data.num_classes())?;
            context.journal.scalar(trial, "val", "tau", tau, "")?;
            if let Some(accuracy) = accuracy {
                context.journal.scalar(trial, "val", "accuracy_all", accuracy, "fraction")?;
            }
            if best.as_ref().is_none_or(|(_, before, _)| accuracy > *before) {
                best = Some((tau, accuracy, head));
            }
        }
        let Some((tau, accuracy, head)) = best else {
            return Err(ClassifierError::Recipe("`tau_norm.taus` is empty".to_owned()));
        };
        let taken = Map::from_iter([("tau".to_owned(), json!(tau))]);
        Ok(match self.recipe.taus.len() {
            1 => Fitted { given: taken, ..Fitted::new(head, Map::new(), accuracy) },
            _ => Fitted::new(head, taken, accuracy),
        })
    }
}

/// The head `w_k/‖w_k‖^τ` with a bias of zero.
///
/// # Errors
/// Never for a head that was read from a file: sizes fit.
pub fn tau_normalized(head: &HeadWeights, tau: f64) -> Result<HeadWeights, ClassifierError> {
    let mut weight = head.weight().to_vec();
    for row in weight.chunks_exact_mut(head.shape.feature_dim) {
        let divisor = f64::from(norm(row)).powf(tau).max(1e-12) as f32;
        row.iter_mut().for_each(|value| *value /= divisor);
    }
    Ok(HeadWeights::linear(&weight, &vec![0.0; head.shape.num_classes])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tau_zero_is_the_rows_themselves_and_tau_one_their_directions() {
        let head = HeadWeights::linear(&[3.0, 4.0, 0.0, 2.0], &[1.0, -1.0]).expect("2·2");
        let zero = tau_normalized(&head, 0.0).expect("fits");
        assert_eq!(zero.weight(), head.weight());
        assert_eq!(zero.bias(), Some(&[0.0, 0.0][..]), "the bias is dropped even at τ = 0");
        let one = tau_normalized(&head, 1.0).expect("fits");
        assert!(one.weight().iter().zip([0.6, 0.8, 0.0, 1.0]).all(|(a, b): (&f32, f32)| (a - b).abs() < 1e-6));
        let two = tau_normalized(&head, 2.0).expect("fits");
        assert!((two.weight()[3] - 0.5).abs() < 1e-6);
    }
}
