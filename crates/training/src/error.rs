//! What can go wrong between a batch of features and an updated weight vector.

use longtail_artifact::ArtifactError;
use longtail_backbone::BackboneError;
use longtail_ops::OpsError;

/// Errors of this crate; each names the offending value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainingError {
    /// A loss or gradient is NaN or infinite: no update is applied from that step on.
    #[error("`{what}` is not finite ({value}) at epoch {epoch}, step {step}, learning rate {lr}")]
    NonFinite {
        /// What was looked at, `train/loss` say.
        what: String,
        /// The value, NaN or ±∞.
        value: f64,
        /// The 0-based epoch.
        epoch: usize,
        /// The 0-based step, counted over all epochs.
        step: u64,
        /// The learning rate of that step.
        lr: f64,
    },
    /// A slice or tensor has another size than its users agreed on.
    #[error("`{what}` has {actual} elements, expected {expected}")]
    Size {
        /// Name of the slice with the wrong length.
        what: &'static str,
        /// How many elements it should have.
        expected: usize,
        /// How many it has.
        actual: usize,
    },
    /// A label is not below the number of classes.
    #[error("label {label} at row {row} must be below the number of classes, {num_classes}")]
    Label {
        /// Label that is out of range.
        label: u32,
        /// Row of the label in the batch.
        row: usize,
        /// The number of classes.
        num_classes: usize,
    },
    /// A class count of zero where its logarithm or inverse is needed.
    #[error("class {class} has no training image, but {why} needs at least one for every class")]
    EmptyClass {
        /// Class without training images.
        class: usize,
        /// What needs an image of every class.
        why: &'static str,
    },
    /// A setting that this crate does not know (a newer recipe type, say) or that makes no sense here.
    #[error("{what} is not supported: {value}")]
    Unsupported {
        /// Name of the setting.
        what: &'static str,
        /// Value of the setting.
        value: String,
    },
    /// A checkpoint or head file lacks something or has it in another form.
    #[error("in `{file}`: {problem}")]
    State {
        /// The file, or what the state belongs to.
        file: String,
        /// What is missing or wrong.
        problem: String,
    },
    /// From the network.
    #[error(transparent)]
    Backbone(Box<BackboneError>),
    /// An error of the GPU.
    #[error(transparent)]
    Gpu(#[from] longtail_ops::gpu::GpuError),
    /// An error of a kernel.
    #[error(transparent)]
    Ops(#[from] OpsError),
    /// An error of candle.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// An error while reading or writing a file.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
}

impl From<BackboneError> for TrainingError {
    fn from(error: BackboneError) -> Self {
        Self::Backbone(Box::new(error))
    }
}

impl TrainingError {
    /// `Ok(value)` if it is finite, else [`TrainingError::NonFinite`] that names where.
    ///
    /// # Errors
    /// [`TrainingError::NonFinite`].
    pub fn check_finite(what: &str, value: f64, epoch: usize, step: u64, lr: f64) -> Result<f64, Self> {
        if value.is_finite() {
            Ok(value)
        } else {
            Err(Self::NonFinite { what: what.to_owned(), value, epoch, step, lr })
        }
    }

    /// `Ok(())` if a slice has the size its users agreed on.
    ///
    /// # Errors
    /// [`TrainingError::Size`].
    pub fn check_size(what: &'static str, actual: usize, expected: usize) -> Result<(), Self> {
        if actual == expected { Ok(()) } else { Err(Self::Size { what, expected, actual }) }
    }

    /// `Ok(())` if every label is below `num_classes`.
    ///
    /// # Errors
    /// [`TrainingError::Label`] for the first that is not.
    pub fn check_labels(labels: &[u32], num_classes: usize) -> Result<(), Self> {
        match labels.iter().position(|&label| label as usize >= num_classes) {
            None => Ok(()),
            Some(row) => Err(Self::Label { label: labels[row], row, num_classes }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_that_is_not_finite_names_epoch_step_and_rate() {
        assert_eq!(TrainingError::check_finite("train/loss", 1.5, 0, 0, 0.1).ok(), Some(1.5));
        let error = TrainingError::check_finite("train/loss", f64::NAN, 3, 470, 0.1).expect_err("NaN is not finite");
        assert_eq!(error.to_string(), "`train/loss` is not finite (NaN) at epoch 3, step 470, learning rate 0.1");
    }

    #[test]
    fn a_label_out_of_range_names_its_row() {
        let error = TrainingError::check_labels(&[0, 4, 9], 5).expect_err("9 is not below 5");
        assert_eq!(error.to_string(), "label 9 at row 2 must be below the number of classes, 5");
    }
}
