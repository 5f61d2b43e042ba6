//! `ncm`: the class whose mean is nearest.

use longtail_recipe::{NcmNormalize, NcmRecipe};
use serde_json::Map;

use super::base::{Context, Fitted, Method};
use super::joint::val_accuracy;
use crate::ClassifierError;
use crate::data::FitData;
use crate::generate::ClassStore;
use crate::scoring::{NearestMean, ScoringHead};

/// Nearest class mean, by Euclidean distance.
///
/// # Source
/// Kang et al. 2020 (CB): `KNNClassifier.py` with `cl2n`: minus the mean of all training features, unit norm, class means of those
/// (not normalised again). Checked against it; `l2` is its `l2n`, `none` its `un`.
#[derive(Debug, Clone, Copy)]
pub struct Ncm<'a> {
    /// Settings from the recipe.
    pub recipe: &'a NcmRecipe,
}

impl Method for Ncm<'_> {
    fn name(&self) -> &'static str {
        "ncm"
    }

    fn fit(&self, data: &FitData, _context: &mut Context<'_>) -> Result<Fitted, ClassifierError> {
        let head = ScoringHead::NearestMean(nearest_mean(&data.train, self.recipe.normalize)?);
        let val = val_accuracy(&head, &data.val, data.num_classes())?;
        Ok(Fitted::new(head, Map::new(), val))
    }
}

/// Means of the training rows in the space that `normalize` says.
///
/// # Errors
/// Never: sizes are those of the store.
pub fn nearest_mean(train: &ClassStore, normalize: NcmNormalize) -> Result<NearestMean, ClassifierError> {
    let dim = train.dim();
    let mut center = vec![0f32; dim];
    if normalize == NcmNormalize::Cl2n {
        let mut sum = vec![0f64; dim];
        for row in train.features().chunks_exact(dim) {
            sum.iter_mut().zip(row).for_each(|(total, &value)| *total += f64::from(value));
        }
        center = sum.iter().map(|total| (total / train.len() as f64) as f32).collect();
    }
    let mut head = NearestMean { means: Vec::new(), center, normalize };
    let prepared = head.prepare(train.features());
    head.means = ClassStore::new(&prepared, train.labels(), train.num_classes(), dim)?.means();
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cl2n_by_hand() {
        // rows 0, 2 | 4 on a line: centre 2, centred −2, 0 | 2, unit −1, 0 | 1, means −½ and 1
        let store = ClassStore::new(&[0.0, 2.0, 4.0], &[0, 0, 1], 2, 1).expect("valid");
        let head = nearest_mean(&store, NcmNormalize::Cl2n).expect("fits");
        assert_eq!((head.center, head.means), (vec![2.0], vec![-0.5, 1.0]));
        assert_eq!(nearest_mean(&store, NcmNormalize::None).expect("fits").means, vec![1.0, 4.0]);
    }
}
