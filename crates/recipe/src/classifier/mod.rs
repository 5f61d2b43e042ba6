//! Stage 3. One file a method: its settings with their ranges and defaults, as YAML has them and checked.

mod crt;
mod head_training;
mod joint;
mod lws;
mod mpfa;
mod ncm;
mod tailcalib;
mod tau_norm;

pub use crt::*;
pub use head_training::*;
pub use joint::*;
pub use lws::*;
pub use mpfa::*;
pub use ncm::*;
pub use tailcalib::*;
pub use tau_norm::*;

use crate::check::{At, Problem};
use crate::data::DataRecipe;
use crate::settings::methods;

methods! {
    /// Stage 3, one method.
    ClassifierRecipe, RawClassifier, DataRecipe;
    /// Stage 1's head as it is.
    "joint" => Joint(JointRecipe),
    /// A new linear head, balanced sampling (Kang et al. 2020).
    "crt" => Crt(CrtRecipe),
    /// One learnt scale per class on stage 1's linear head.
    "lws" => Lws(LwsRecipe),
    /// w_k / ‖w_k‖^τ. Refuses a representation with a cosine head.
    "tau_norm" => TauNorm(TauNormRecipe),
    /// The nearest class mean.
    "ncm" => Ncm(NcmRecipe),
    /// TailCalib: generated once.
    "tailcalib" => Tailcalib(TailCalibRecipe),
    /// TailCalibX: generated every epoch, from augmented views where stage 2 dumped them.
    "tailcalib_x" => TailcalibX(TailCalibRecipe),
    /// Meta-prototype feature augmentation (mpcl_mpfa.md §3).
    "mpfa" => Mpfa(Box<MpfaRecipe>),
}

/// Choosing on data that the model has not seen needs data that it has not seen.
fn needs_validation(at: &At, what: &str, data: &DataRecipe) -> Result<(), Problem> {
    if data.has_validation() {
        return Ok(());
    }
    if data.dataset.is_photo_set() {
        let what = format!("{what} on validation data, but `{}` has none", data.dataset.name());
        return Err(at.conflict(what, "give one value"));
    }
    Err(at.conflict(
        format!(
            "{what} on validation data, which here is the held-out meta set, but `data.meta_source` holds out none"
        ),
        "give one value, or set `data.meta_source` to `metasaug`",
    ))
}

/// A bound on the number of classes before the lists of a photo set are read, for ranges of settings: published, or for
/// an unknown folder more than any has. Stage 3 knows the number and says when a setting is above it.
fn most_classes(data: &DataRecipe) -> usize {
    data.dataset.num_classes().unwrap_or(100_000)
}
