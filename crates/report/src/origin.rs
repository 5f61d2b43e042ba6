//! How a row of a seed came about, as the manifests of its stages say.

use std::path::Path;

use longtail_artifact::{Manifest, RunLayout, code_versions};
use longtail_recipe::Row;
use serde_json::Value;

use crate::error::ReportError;

/// The manifests behind one row of one seed. Without stage 3's the row has not finished; without the others backbone or
/// features came from somewhere else, or their folders were taken away.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Origin {
    /// Manifest of stage 1.
    pub representation: Option<Manifest>,
    /// Manifest of stage 2.
    pub features: Option<Manifest>,
    /// Manifest of stage 3.
    pub classifier: Option<Manifest>,
}

impl Origin {
    /// The manifests of `row` in the run at `dir`; `None` for a row that has not finished.
    ///
    /// # Errors
    /// A manifest that cannot be read.
    pub fn read(dir: &Path, row: &Row) -> Result<Option<Self>, ReportError> {
        let layout = RunLayout::new(dir);
        let Some(classifier) = Manifest::read(&layout.classifier(&row.representation, &row.classifier))? else {
            return Ok(None);
        };
        Ok(Some(Self {
            representation: Manifest::read(&layout.representation(&row.representation))?,
            features: Manifest::read(&layout.features(&row.representation))?,
            classifier: Some(classifier),
        }))
    }

    /// The manifests that are there, with the name of the stage and the code version of this program.
    pub fn stages(&self) -> impl Iterator<Item = (&'static str, u32, &Manifest)> {
        [
            ("representation", code_versions::REPRESENTATION, &self.representation),
            ("features", code_versions::FEATURES, &self.features),
            ("classifier", code_versions::CLASSIFIER, &self.classifier),
        ]
        .into_iter()
        .filter_map(|(stage, current, manifest)| Some((stage, current, manifest.as_ref()?)))
    }

    /// Stage 1 trained the backbone, to its last epoch: its manifest is written after that.
    pub fn trained_here(&self) -> bool {
        self.representation.is_some()
    }

    /// Whether a meta-network of stage 1 learned from the meta set; false where stage 1 left no word.
    pub fn has_meta_network(&self) -> bool {
        let part = self.representation.as_ref().map(|manifest| &manifest.recipe_part);
        part.is_some_and(|part| part["representation"]["method"]["mpcl"]["prototypes"] == "meta")
    }

    /// Whether stage 3 had several values to choose `name` from; also where it left no word.
    ///
    /// `tau_norm` writes down the τ that it took, chosen or given.
    pub fn had_a_choice(&self, name: &str) -> bool {
        let part = self.classifier.as_ref().map(|manifest| &manifest.recipe_part["classifier"]);
        match part.map(|part| &part["tau_norm"]["taus"]) {
            Some(Value::Array(taus)) if name == "tau" => taus.len() > 1,
            _ => true,
        }
    }
}
