//! MPCL's settings as the step takes them.

use std::sync::Arc;

use longtail_recipe::{
    Jvp, MetaBn, MetaLoss, MetaOptimizer, MetaScale, MpclRecipe, Prototypes as PrototypeKind, VirtualStep,
};
use longtail_training::loss::balanced_softmax;
use longtail_training::prototype::{Contrast, MetaNetwork, PrototypeSettings};
use longtail_training::step::{Seen, Term};
use longtail_training::{AdamSettings, ClassificationLoss, CrossEntropy, StepAt, TrainingError};

use crate::RepresentationError;

/// The resolved recipe's `mpcl`, made concrete for one data set and feature dimension. Row numbers: mpcl_mpfa.md §5.
#[derive(Debug, Clone)]
pub struct MpclSettings {
    /// L_CE on the train batch.
    pub loss: Arc<dyn ClassificationLoss>,
    /// L_meta's form (row 12).
    pub meta_classification: Arc<dyn ClassificationLoss>,
    /// A meta-network; false is the empirical control.
    pub use_meta: bool,
    /// Weight λ of the contrastive loss (row 34).
    pub lambda: f64,
    /// Epochs over which λ rises linearly from 0.
    pub lambda_ramp_epochs: usize,
    /// Temperature τ (row 34).
    pub tau: f64,
    /// T_th: the first epoch with L_PC (row 8).
    pub first_epoch: usize,
    /// L_PC with empirical prototypes before T_th (row 9).
    pub pc_warm: bool,
    /// How prototypes are averaged (rows 1 to 5).
    pub prototypes: PrototypeSettings,
    /// Go on averaging after T_th (row 6).
    pub ema_after_tth: bool,
    /// The meta-network's shape (row 10).
    pub network: MetaNetwork,
    /// What moves Θ (row 11).
    pub theta_optimizer: MetaOptimizer,
    /// Its peak rate (row 11).
    pub meta_lr: f64,
    /// Its rate follows the network's schedule.
    pub follow_schedule: bool,
    /// Adam's settings; ε is 1e-12 with `meta_scale: with_lr`.
    pub adam: AdamSettings,
    /// Coefficient of mean ‖ĉ' − ĉ‖².
    pub proximity: f64,
    /// Θ moves every that many steps.
    pub meta_every: u64,
    /// α_lr kept in ∇Θ, or 1 (§4.3).
    pub scale: MetaScale,
    /// How the virtual weights Ŵ are computed (§4.3).
    pub virtual_step: VirtualStep,
    /// How the directional derivative u̇ is computed (§4.4).
    pub jvp: Jvp,
    /// Batch norm in the virtual and meta forwards (§4.6).
    pub meta_bn: MetaBn,
}

/// What a step contrasts against.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Phase {
    /// Cross-entropy L_CE only.
    Plain,
    /// λ·L_PC with c.
    Empirical {
        /// λ at this step.
        lambda: f64,
    },
    /// λ·L_PC with C(c; Θ).
    Meta {
        /// λ at this step.
        lambda: f64,
    },
}

impl MpclSettings {
    /// For training of `epochs` epochs on classes of `class_counts` images.
    ///
    /// # Errors
    /// If a loss needs images of every class and one has none, or this build does not know a setting.
    pub fn from_recipe(
        recipe: &MpclRecipe,
        loss: Arc<dyn ClassificationLoss>,
        epochs: usize,
        feature_dim: usize,
        class_counts: &[u32],
    ) -> Result<Self, RepresentationError> {
        let meta_classification: Arc<dyn ClassificationLoss> = match recipe.meta_loss {
            MetaLoss::Ce => Arc::new(CrossEntropy::default()),
            MetaLoss::BalancedSoftmax => Arc::new(balanced_softmax(class_counts)?),
        };
        let epsilon = if recipe.meta_scale == MetaScale::WithLr { 1e-12 } else { 1e-8 };
        Ok(Self {
            loss,
            meta_classification,
            use_meta: recipe.prototypes == PrototypeKind::Meta,
            lambda: recipe.lambda,
            lambda_ramp_epochs: recipe.lambda_ramp_epochs,
            tau: recipe.tau,
            first_epoch: recipe.t_th(epochs),
            pc_warm: recipe.pc_warm,
            prototypes: PrototypeSettings::from_recipe(&recipe.ema, class_counts),
            ema_after_tth: recipe.ema_after_tth,
            network: MetaNetwork::from_recipe(&recipe.meta_network, feature_dim),
            theta_optimizer: recipe.meta_network.optimizer,
            meta_lr: recipe.meta_network.lr,
            follow_schedule: recipe.meta_network.follow_schedule,
            adam: AdamSettings { epsilon, weight_decay: recipe.meta_network.weight_decay, ..AdamSettings::default() },
            proximity: recipe.meta_network.proximity,
            meta_every: recipe.meta_every.max(1) as u64,
            scale: recipe.meta_scale,
            virtual_step: recipe.virtual_step,
            jvp: recipe.jvp,
            meta_bn: recipe.meta_bn,
        })
    }

    /// L_tr = L_CE + λ·L_PC.
    pub fn train_loss<'a>(
        &'a self,
        contrast: Option<&'a Contrast<'a>>,
        at: &'a StepAt,
    ) -> impl Fn(&Seen<'_>) -> Result<Vec<Term>, TrainingError> + 'a {
        move |seen| {
            let mut terms = vec![self.loss.term("train/ce", seen, at)?];
            if let Some(contrast) = contrast {
                terms.extend(contrast.term("train/pc", seen)?);
            }
            Ok(terms)
        }
    }

    /// The meta loss L_meta.
    pub fn meta_loss<'a>(&'a self, at: &'a StepAt) -> impl Fn(&Seen<'_>) -> Result<Vec<Term>, TrainingError> + 'a {
        move |seen| Ok(vec![self.meta_classification.term("meta/ce", seen, at)?])
    }

    /// What the step at `at` contrasts against, and with which λ.
    pub fn phase(&self, at: &StepAt) -> Phase {
        let after = at.epoch >= self.first_epoch;
        if !after && !self.pc_warm {
            return Phase::Plain;
        }
        let start = if self.pc_warm { 0 } else { self.first_epoch };
        let passed = (at.epoch - start) as f64 + at.epoch_fraction;
        let ramp = match self.lambda_ramp_epochs {
            0 => 1.0,
            epochs => (passed / epochs as f64).min(1.0),
        };
        let lambda = self.lambda * ramp;
        if after && self.use_meta { Phase::Meta { lambda } } else { Phase::Empirical { lambda } }
    }

    /// Whether the step at `at` moves Θ.
    pub fn moves_theta(&self, at: &StepAt) -> bool {
        at.step.is_multiple_of(self.meta_every)
    }

    /// Whether the step at `at` moves the prototypes.
    pub fn moves_prototypes(&self, at: &StepAt) -> bool {
        self.ema_after_tth || at.epoch < self.first_epoch
    }
}
