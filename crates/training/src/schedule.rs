//! The learning rate of an epoch.

use longtail_recipe::Schedule as ScheduleRecipe;

/// How the rate falls after warm-up.
#[derive(Debug, Clone, PartialEq)]
pub enum Decay {
    /// `peak/2 · (1 + cos(π·e/T))`, e counted from the end of warm-up, T the epochs from there.
    Cosine,
    /// Times `gamma` at each 0-based epoch of `milestones` (counted from the start of training).
    Step {
        /// 0-based epochs.
        milestones: Vec<usize>,
        /// Factor for the learning rate at each milestone.
        gamma: f64,
    },
    /// The peak rate throughout.
    Constant,
}

impl From<&ScheduleRecipe> for Decay {
    fn from(recipe: &ScheduleRecipe) -> Self {
        match recipe {
            ScheduleRecipe::Cosine => Self::Cosine,
            ScheduleRecipe::Step(step) => Self::Step { milestones: step.milestones.clone(), gamma: step.gamma },
            ScheduleRecipe::Constant => Self::Constant,
        }
    }
}

/// Linear warm-up, then a decay; stepped once an epoch.
///
/// `lr(e) = peak·(e+1)/warmup` for e < warmup, then [`Decay`]. Epochs are 0-based.
///
/// # Source
/// Warm-up as LDAM's `adjust_learning_rate` (e 1-based there); cosine as `torch.optim.lr_scheduler.CosineAnnealingLR`
/// with `T_max` = the epochs after warm-up and `eta_min` = 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    decay: Decay,
    peak: f64,
    epochs: usize,
    warmup_epochs: usize,
}

impl Schedule {
    /// `peak`: the largest rate; `epochs`: of the whole training, warm-up included.
    pub fn new(decay: Decay, peak: f64, epochs: usize, warmup_epochs: usize) -> Self {
        Self { decay, peak, epochs, warmup_epochs }
    }

    /// The peak rate by linear scaling: `lr · batch_size / lr_batch_size`.
    ///
    /// # Source
    /// Goyal et al. 2017, §2.1.
    pub fn linear_scaling(lr: f64, batch_size: usize, lr_batch_size: usize) -> f64 {
        lr * batch_size as f64 / lr_batch_size as f64
    }

    /// The rate of the 0-based `epoch`.
    pub fn lr(&self, epoch: usize) -> f64 {
        self.peak * self.relative(epoch)
    }

    /// The rate of the 0-based `epoch` as a fraction of the peak.
    pub fn relative(&self, epoch: usize) -> f64 {
        if epoch < self.warmup_epochs {
            return (epoch + 1) as f64 / self.warmup_epochs as f64;
        }
        match &self.decay {
            Decay::Constant => 1.0,
            Decay::Step { milestones, gamma } => {
                let passed = milestones.iter().filter(|&&milestone| epoch >= milestone).count();
                gamma.powi(i32::try_from(passed).unwrap_or(i32::MAX))
            }
            Decay::Cosine => {
                let rest = self.epochs.saturating_sub(self.warmup_epochs).max(1);
                let fraction = (epoch - self.warmup_epochs) as f64 / rest as f64;
                0.5 * (1.0 + (std::f64::consts::PI * fraction.min(1.0)).cos())
            }
        }
    }

    /// Returns the peak learning rate.
    pub fn peak(&self) -> f64 {
        self.peak
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(actual: f64, expected: f64) {
        assert!((actual - expected).abs() < 1e-12, "{actual} is not {expected}");
    }

    #[test]
    fn cosine_starts_at_the_peak_and_passes_half_in_the_middle() {
        let schedule = Schedule::new(Decay::Cosine, 0.2, 10, 0);
        close(schedule.lr(0), 0.2);
        close(schedule.lr(5), 0.1);
        // 1 + cos(9π/10) = 1 − cos(π/10) = 0.0489434837
        close(schedule.lr(9), 0.1 * (1.0 - (std::f64::consts::PI / 10.0).cos()));
    }

    #[test]
    fn warm_up_rises_in_equal_steps_and_cosine_counts_from_its_end() {
        let schedule = Schedule::new(Decay::Cosine, 0.1, 25, 5);
        let warm: Vec<f64> = (0..5).map(|epoch| schedule.lr(epoch)).collect();
        for (actual, expected) in warm.iter().zip([0.02, 0.04, 0.06, 0.08, 0.1]) {
            close(*actual, expected);
        }
        close(schedule.lr(5), 0.1);
        close(schedule.lr(15), 0.05);
    }

    #[test]
    fn steps_multiply_from_their_epoch_on() {
        let schedule = Schedule::new(Decay::Step { milestones: vec![160, 180], gamma: 0.01 }, 0.1, 200, 5);
        close(schedule.lr(159), 0.1);
        close(schedule.lr(160), 1e-3);
        close(schedule.lr(180), 1e-5);
        close(Schedule::new(Decay::Constant, 0.01, 10, 0).lr(9), 0.01);
    }

    #[test]
    fn the_rate_scales_with_the_batch() {
        close(Schedule::linear_scaling(0.1, 256, 128), 0.2);
    }
}
