//! What a recipe hands to each stage: settings by name, the part that goes into a stage's key, and its own YAML.

use serde::Serialize;
use serde_json::{Value, json};

use crate::classifier::ClassifierRecipe;
use crate::error::{RecipeError, nearest};
use crate::*;

/// Raised by hand when photographs give other pixels than before: in the keys of the stages that read them, and in no other's.
/// 2: JPEGs of several scans, progressive ones and CMYK as libjpeg decodes them; damaged PNGs are refused.
const PHOTO_PIXELS: u32 = 2;

/// Raised by hand when a method writes down otherwise what its recipe gave it instead of letting it choose.
/// 2: a τ that was given is not listed as chosen.
const GIVEN_VALUES: u32 = 2;

/// Raised by hand when stage 1 trains a cosine head to other bits than before.
/// 2: its gradient is written out, as stage 3's always was.
const COSINE_HEAD: u32 = 2;

impl Recipe {
    /// The recipe as YAML, every default written out; [`crate::read`] makes the same recipe of it.
    pub fn to_yaml(&self) -> String {
        let mut text = Vec::new();
        let mut writer = serde_yaml::Serializer::new(&mut text);
        serde_yaml::with::singleton_map_recursive::serialize(self, &mut writer)
            .expect("a resolved recipe holds only maps with string keys, lists, words and finite numbers");
        String::from_utf8(text).expect("YAML is written as UTF-8")
    }

    /// The representation called `variant`.
    ///
    /// # Errors
    /// [`RecipeError::UnknownName`] names those there are.
    pub fn representation(&self, variant: &str) -> Result<&RepresentationRecipe, RecipeError> {
        let found = self.representations.get(variant);
        found.ok_or_else(|| self.unknown("representation", variant, self.representations.keys()))
    }

    /// The classifier called `name`.
    ///
    /// # Errors
    /// [`RecipeError::UnknownName`] names those there are.
    pub fn classifier(&self, name: &str) -> Result<&ClassifierRecipe, RecipeError> {
        let found = self.classifiers.get(name);
        found.ok_or_else(|| self.unknown("classifier", name, self.classifiers.keys()))
    }

    /// The representations that rows ask for, each once, in the order of `representations`.
    pub fn used_representations(&self) -> Vec<&str> {
        let used = |name: &&String| self.rows.iter().any(|row| row.representation == **name);
        self.representations.keys().filter(used).map(String::as_str).collect()
    }

    /// The classifiers that rows ask for on `variant`, in the order of `classifiers`.
    pub fn used_classifiers(&self, variant: &str) -> Vec<&str> {
        let used =
            |name: &&String| self.rows.iter().any(|row| row.representation == variant && row.classifier == **name);
        self.classifiers.keys().filter(used).map(String::as_str).collect()
    }

    /// What stage 1 of `variant` depends on: seed, data and the variant's settings.
    ///
    /// Not in it: rows, descriptions, shot groups, how often checkpoints are written, activation checkpointing, and, for the empirical control,
    /// the settings of the meta-network.
    ///
    /// # Errors
    /// [`RecipeError::UnknownName`].
    pub fn representation_part(&self, variant: &str) -> Result<Value, RecipeError> {
        let representation = self.representation(variant)?;
        let mut settings = value_of(representation);
        remove(&mut settings, "checkpoint_minutes");
        remove(&mut settings, "activation_checkpointing");
        if representation.cuda_precision == CudaPrecision::F32 {
            remove(&mut settings, "cuda_precision"); // what there was before there was a choice
        }
        for key in representation.method.without_effect() {
            remove(&mut settings["method"][representation.method.name()], key);
        }
        let mut part = json!({"seed": self.seed, "data": self.images(), "representation": settings});
        match representation.head {
            HeadKind::Cosine(_) => part["cosine_head"] = json!(COSINE_HEAD),
            HeadKind::Linear | HeadKind::NormedLinear => {}
        }
        Ok(part)
    }

    /// What stage 2 of `variant` depends on beside its inputs: data, the number of views and, for views, seed and
    /// augmentation.
    ///
    /// # Errors
    /// [`RecipeError::UnknownName`].
    pub fn features_part(&self, variant: &str) -> Result<Value, RecipeError> {
        let representation = self.representation(variant)?;
        let mut part = json!({"data": self.images(), "features": {"views": self.features.views}});
        if self.features.views > 0 {
            part["seed"] = json!(self.seed);
            part["augmentation"] = value_of(&representation.augmentation);
        }
        Ok(part)
    }

    /// What stage 3 of `variant` with `name` depends on beside its inputs: seed, shot groups and the method's settings.
    ///
    /// # Errors
    /// [`RecipeError::UnknownName`].
    pub fn classifier_part(&self, variant: &str, name: &str) -> Result<Value, RecipeError> {
        self.representation(variant)?;
        let classifier = self.classifier(name)?;
        let mut settings = value_of(classifier);
        for key in classifier.without_effect() {
            remove(&mut settings[classifier.name()], key);
        }
        let mut part = json!({
            "seed": self.seed,
            "data": {"shot_groups": value_of(&self.data.shot_groups)},
            "classifier": settings,
        });
        if matches!(classifier, ClassifierRecipe::TauNorm(recipe) if recipe.taus.len() == 1) {
            part["given_values"] = json!(GIVEN_VALUES);
        }
        Ok(part)
    }

    /// What the report depends on beside its inputs: name, description, what it says of the data, and rows.
    pub fn report_part(&self) -> Value {
        json!({
            "recipe": self.recipe,
            "description": self.description,
            "data": {
                "dataset": self.data.dataset,
                "imbalance_factor": self.data.imbalance_factor,
                "meta_source": self.data.meta_source,
                "meta_per_class": self.data.meta_per_class,
                "shot_groups": value_of(&self.data.shot_groups),
            },
            "rows": value_of(&self.rows),
        })
    }

    /// `data` without what only stage 3 and the report read.
    fn images(&self) -> Value {
        let mut data = value_of(&self.data);
        remove(&mut data, "shot_groups");
        if self.data.meta_source == MetaSource::None {
            remove(&mut data, "meta_per_class");
            remove(&mut data, "meta_seed");
        }
        if self.data.photo.is_some() {
            data["photo_pixels"] = json!(PHOTO_PIXELS);
        }
        data
    }

    fn unknown<'a>(&self, kind: &'static str, name: &str, known: impl Iterator<Item = &'a String>) -> RecipeError {
        let known: Vec<String> = known.cloned().collect();
        let nearest = nearest(name, known.iter().map(String::as_str));
        RecipeError::UnknownName { recipe: self.recipe.clone(), kind, name: name.to_string(), known, nearest }
    }
}

fn value_of(part: &impl Serialize) -> Value {
    serde_json::to_value(part).expect("a resolved recipe holds only string keys and finite numbers")
}

fn remove(value: &mut Value, key: &str) {
    if let Value::Object(fields) = value {
        fields.remove(key);
    }
}
