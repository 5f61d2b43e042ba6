//! What training will need, said before it starts.

use longtail_recipe::{MetaBn, Prototypes, RepresentationMethod, RepresentationRecipe};
use longtail_training::Model;
use longtail_training::step::MicroBatch;

use crate::batch_sizes::{largest_part, meta_batch};

/// Copies of the prototypes (K, d) that a step with L_PC makes: c, c', what candle keeps of both to differentiate, and the
/// gradient. Counted, not measured.
const PROTOTYPE_COPIES: usize = 8;

/// Bytes that stage 1 of a recipe needs at its peak, by what they are for. Exact for the engine's buffers; the copies of
/// prototypes that a step makes are counted, and what each thread keeps to decode a photo is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Weights and momentum.
    pub weights: usize,
    /// Gradients, and Ŵ.
    pub gradients: usize,
    /// Activations between the passes.
    pub tapes: usize,
    /// What the passes share, and the convolutions' workspace.
    pub passes: usize,
    /// Prototypes, meta-network, similarities.
    pub prototypes: usize,
    /// The batch at hand, the meta batch, and those made ahead.
    pub batches: usize,
    /// A checkpoint while it is written.
    pub checkpoint: usize,
    /// Images on the largest tape.
    pub images: usize,
    /// Tapes that live at once.
    pub tape_count: usize,
}

impl Memory {
    /// For a model on its data: `ahead` batches are made before they are asked for. Validation, between the epochs, has no more
    /// images at once than the largest tape.
    pub fn of(recipe: &RepresentationRecipe, model: &Model, ahead: usize) -> Self {
        const NUMBER: usize = size_of::<f32>();
        let micro = MicroBatch::new(recipe.micro_batch, recipe.batch_size);
        let (weights, n) = (model.weights.elem_count(), recipe.batch_size);
        let (classes, dim) = (model.head.num_classes, model.head.feature_dim);
        let mpcl = match &recipe.method {
            RepresentationMethod::Mpcl(mpcl) => Some(mpcl),
            RepresentationMethod::Ce(_) => None,
        };
        let meta = mpcl.filter(|mpcl| mpcl.prototypes == Prototypes::Meta);
        let meta_n = meta_batch(recipe);
        let part = micro.largest(n);
        let meta_part = micro.largest(meta_n);
        let largest = largest_part(recipe);

        let mut tapes = vec![if micro.cuts() { largest } else { part }];
        if let Some(meta) = meta.filter(|_| !micro.cuts()) {
            tapes.push(meta_part);
            if meta.meta_bn == MetaBn::Running {
                tapes.push(part);
            }
        }
        let parts = n > part || meta_n > meta_part;
        let gradients = 1 + usize::from(parts) + usize::from(meta.is_some());
        let head = classes * dim * 2; // the head's weights in candle, and their gradient
        let prototypes = match mpcl {
            Some(_) => (1 + PROTOTYPE_COPIES) * classes * dim + 4 * part * classes,
            None => classes * dim,
        };
        let batches = (1 + ahead) * n + meta_n;
        Self {
            weights: 2 * weights * NUMBER,
            gradients: (gradients * weights + head) * NUMBER,
            tapes: tapes.iter().map(|&n| model.network.tape_bytes(n)).sum(),
            passes: model.network.pass_bytes(largest) + model.network.workspace_bytes_at_most(),
            prototypes: (prototypes + (2 + usize::from(mpcl.is_some())) * n * dim) * NUMBER,
            batches: batches * model.network.image().len() * NUMBER,
            checkpoint: 2 * weights * NUMBER,
            images: largest,
            tape_count: tapes.len(),
        }
    }

    /// The most that is held at once.
    pub fn total(&self) -> usize {
        // A checkpoint is written between steps, but no buffer is given back for it.
        self.weights + self.gradients + self.tapes + self.passes + self.prototypes + self.batches + self.checkpoint
    }

    /// One line for the user.
    pub fn line(&self) -> String {
        let giga = |bytes: usize| bytes as f64 / 1e9;
        let tapes = if self.tape_count == 1 { "1 tape".to_owned() } else { format!("{} tapes", self.tape_count) };
        format!(
            "memory: about {:.2} GB ({:.2} weights, momentum and gradients, {:.2} activations on {tapes} of up to {} images, {:.2} \
             passes, {:.2} prototypes and features, {:.2} batches, {:.2} while a checkpoint is written)",
            giga(self.total()),
            giga(self.weights + self.gradients),
            giga(self.tapes),
            self.images,
            giga(self.passes),
            giga(self.prototypes),
            giga(self.batches),
            giga(self.checkpoint),
        )
    }

    /// What to say when that is more than `available` bytes; a warning and no error, as memory may come free and the system may
    /// have swap.
    pub fn warning(&self, recipe: &RepresentationRecipe, available: usize) -> Option<String> {
        if self.total() <= available {
            return None;
        }
        let mut ways = Vec::new();
        if self.images > 2 {
            ways.push(format!("`micro_batch: {}` (batch norm then sees smaller batches)", (self.images / 2).max(2)));
        }
        if !recipe.activation_checkpointing {
            ways.push("`activation_checkpointing: true` (the same results, more time)".to_owned());
        }
        if ways.is_empty() {
            ways.push("a smaller `batch_size`".to_owned());
        }
        let available = available as f64 / 1e9;
        Some(format!("that is more than the {available:.2} GB of free memory; to use less, set {}", ways.join(" or ")))
    }
}

/// Bytes of memory that this process may still take: what the system has free, or its control group if that is less. None where
/// `/proc` does not exist.
pub fn available_memory() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemAvailable:"))?;
    let free = line.split_whitespace().nth(1)?.parse::<usize>().ok()?.checked_mul(1024)?;
    let number =
        |file: &str| std::fs::read_to_string(format!("/sys/fs/cgroup/{file}")).ok()?.trim().parse::<usize>().ok();
    let group = number("memory.max").map(|most| most.saturating_sub(number("memory.current").unwrap_or(0)));
    Some(group.map_or(free, |group| group.min(free)))
}
