//! Stage 3: generate balanced features, train or adjust a head, score it.
//!
//! For whoever adds a method of stage 3 ([`method`]) or wants its rows ([`generate`]); [`run`] is the stage. Not here: networks, images.
//!
//! Features come from stage 2's dumps, a head and prototypes from stage 1; no image is read here. A [`Method`](method::base::Method)
//! turns [`FitData`] (train, meta, validation; never test) into a [`Fitted`](method::base::Fitted) classifier, and only with
//! that in hand does [`SealedTest`] open.
//!
//! # Methods, and how each differs from its official code
//!
//! | method | is | differs from the official code in |
//! |---|---|---|
//! | `joint` | stage 1's head | nothing |
//! | `crt` | fresh linear head, class-balanced sampling (classifier-balancing) | un-augmented features dumped in evaluation mode (official: augmented, batch norm in training mode, its statistics drift); the schedule starts at lr (official: stepped first, so lr(0) is never used and the last epoch runs at 0); each epoch starts new class cycles |
//! | `lws` | `(z·Wᵀ + b) ⊙ s`, s learned | as `crt` |
//! | `tau_norm` | `w_k/‖w_k‖^τ`, no bias | τ chosen on validation data (official: every τ printed on the set given) |
//! | `ncm` | nearest class mean, `cl2n` | nothing |
//! | `tailcalib` | per-row Gaussians around k nearest classes, generated once | head: `16·cos`, no bias, from stage 1's unit rows (official: normalises each dimension across classes, learned scale, bias); last epoch (official: best epoch, test as validation); N_k = 1 has divisor 1 (official: division by zero); sampled by class factors instead of one Cholesky a row, same distribution |
//! | `tailcalib_x` | the same, anew each epoch | as `tailcalib`; views dumped by stage 2 in turn (official: augmented anew), the plain features without any |
//! | `mpfa` | Eqs. 9 and 10 of the paper, sampled exactly by low-rank factors | the paper has no public code; preset `paper_literal` takes its equations to the letter, the defaults are those of the table of switches in the recipe crate |
//!
//! # Determinism
//! Every random number is a function of (seed, purpose, epoch, index): ChaCha8 for orders and remainders, Philox for feature noise,
//! keyed by epoch and generated row. Thread count, block size and chunk size change no bit.

#[macro_use]
extern crate longtail_artifact; // `println!` that a reader who left does not end

pub mod data;
mod error;
mod export;
pub mod generate;
mod inputs;
mod journal;
pub mod method;
mod sampler;
mod scoring;
mod stage;
mod train;

pub use data::{FeatureSet, FitData, PrototypeSet, Views};
pub use error::ClassifierError;
pub use export::{GenerateArgs, generate as generate_rows};
pub use inputs::{Inputs, SealedTest};
pub use journal::{Journal, Measurement, MemoryJournal, Progress, SaveState};
pub use sampler::RowSampler;
pub use scoring::{NearestMean, ScoringHead};
pub use stage::{StageJournal, run};
pub use train::{Batches, RowSource, TrainPlan, TrainResult, accuracy, from_host, prepare, train_head};
