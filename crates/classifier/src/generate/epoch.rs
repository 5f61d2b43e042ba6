//! One epoch of balanced training rows: real and generated ones, shuffled, drawn block by block as they are needed.

use longtail_ops::{shuffle, stream};
use rayon::prelude::*;

use super::counts::RowPlan;
use super::laws::RowLaws;
use super::low_rank::{FeatureModel, LowRankSampler, SamplerScratch};
use super::transform::normalize;

/// What generation keeps in memory: fixed, whatever the number of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochMemory {
    /// Rows that are drawn at a time, a multiple of the batch size.
    pub block_rows: usize,
    /// Bytes of the block and the threads' buffers.
    pub workspace_bytes: usize,
    /// Bytes of the inputs: rows, means, factors, laws, and the order of the rows.
    pub resident_bytes: usize,
    /// Bytes that the generated rows would take if all were held: what streaming saves.
    pub materialised_bytes: usize,
}

/// Most bytes of a block.
const BLOCK_BYTES: usize = 256 << 20;
/// Most rows of a block.
const BLOCK_ROWS: usize = 1 << 16;
/// Fewest values that a task hands out.
const TASK_VALUES: usize = 1 << 15;

impl EpochMemory {
    /// The plan for generating `generated` rows from `model` in batches of `batch_size` on `threads` threads.
    pub fn new(model: &FeatureModel, laws: &RowLaws, generated: usize, batch_size: usize, threads: usize) -> Self {
        let dim = model.base.dim();
        let total = generated + model.base.len();
        let rows = (BLOCK_BYTES / (4 * dim)).min(BLOCK_ROWS).min(total.next_multiple_of(batch_size));
        let block_rows = (rows / batch_size * batch_size).max(batch_size);
        Self {
            block_rows,
            workspace_bytes: LowRankSampler::workspace_bytes(model, laws.slots(), block_rows, threads),
            resident_bytes: 4 * model.base.store().features().len()
                + model.factors.bytes()
                + 4 * model.means.len()
                + laws.bytes()
                + 4 * (generated + total),
            materialised_bytes: 4 * generated * dim,
        }
    }
}

/// Shuffled batches of real rows and generated ones.
///
/// An iterator of `(features (n, d), labels (n))`. The order is a function of (seed, purpose, epoch); the block size changes
/// no bit.
pub struct BalancedEpoch<'a> {
    model: &'a FeatureModel,
    sampler: LowRankSampler<'a>,
    rows: Option<&'a [f32]>,
    plan: &'a RowPlan,
    normalize: bool,
    order: Vec<u32>,
    batch_size: usize,
    block_rows: usize,
    next: usize,
    block_start: usize,
    block: Vec<f32>,
    /// Where in `block` each row of the current block lies.
    place: Vec<u32>,
    scratch: SamplerScratch,
}

impl<'a> BalancedEpoch<'a> {
    /// The rows of one epoch: ids `0..N` are the real rows, `N..` the generated ones.
    ///
    /// `normalize`: rows get unit norm before they are handed out. `steps`: at most this many batches, none for all rows with a
    /// partial last batch.
    pub fn new(
        model: &'a FeatureModel,
        sampler: LowRankSampler<'a>,
        plan: &'a RowPlan,
        normalize: bool,
        batch_size: usize,
        block_rows: usize,
        steps: Option<usize>,
        (seed, purpose, epoch): (u64, &str, u64),
    ) -> Self {
        let mut order: Vec<u32> = (0..(model.base.len() + plan.len()) as u32).collect();
        shuffle(&mut stream(seed, purpose, epoch, 0), &mut order);
        if let Some(steps) = steps {
            order.truncate(steps.saturating_mul(batch_size));
        }
        Self {
            model,
            sampler,
            rows: None,
            plan,
            normalize,
            order,
            batch_size,
            block_rows: (block_rows / batch_size).max(1) * batch_size,
            next: 0,
            block_start: 0,
            block: Vec::new(),
            place: Vec::new(),
            scratch: SamplerScratch::default(),
        }
    }

    /// Copies generated rows from `rows` `(G, d)`, drawn before by the same sampler, where there are some.
    pub fn with_rows(mut self, rows: Option<&'a [f32]>) -> Self {
        self.rows = rows;
        self
    }

    /// Batches of the epoch.
    pub fn steps(&self) -> usize {
        self.order.len().div_ceil(self.batch_size)
    }

    /// Rows of the epoch.
    pub fn rows(&self) -> usize {
        self.order.len()
    }

    /// Draws the rows of the block that starts at `start`: the generated ones first, in one call, then copies of the real ones.
    fn load_block(&mut self, start: usize) {
        let dim = self.model.base.dim();
        let real = self.model.base.len() as u32;
        let ids = &self.order[start..(start + self.block_rows).min(self.order.len())];
        let generated: Vec<u32> = ids.iter().filter(|&&id| id >= real).map(|&id| id - real).collect();
        self.block.resize(ids.len() * dim, 0.0);
        let (drawn, copied) = self.block.split_at_mut(generated.len() * dim);
        match self.rows {
            None => self.sampler.fill(&generated, drawn, &mut self.scratch),
            Some(rows) => {
                for (to, &number) in drawn.chunks_exact_mut(dim).zip(&generated) {
                    to.copy_from_slice(&rows[number as usize * dim..(number as usize + 1) * dim]);
                }
            }
        }
        self.place.clear();
        let mut real_rows = Vec::with_capacity(ids.len() - generated.len());
        let mut next_drawn = 0;
        for &id in ids {
            if id >= real {
                self.place.push(next_drawn);
                next_drawn += 1;
            } else {
                self.place.push((generated.len() + real_rows.len()) as u32);
                real_rows.push(id);
            }
        }
        let copies = copied.par_chunks_exact_mut(dim).zip(&real_rows);
        copies.for_each(|(to, &row)| self.model.base.read(row as usize, to));
        self.block_start = start;
    }

    fn label(&self, id: u32) -> u32 {
        let real = self.model.base.len() as u32;
        let source = if id >= real { self.plan.sources()[(id - real) as usize] } else { id };
        self.model.base.labels()[source as usize]
    }
}

impl Iterator for BalancedEpoch<'_> {
    type Item = (Vec<f32>, Vec<u32>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.order.len() {
            return None;
        }
        if self.next >= self.block_start + self.place.len() {
            self.load_block(self.next);
        }
        let dim = self.model.base.dim();
        let end = (self.next + self.batch_size).min(self.order.len());
        let places = &self.place[self.next - self.block_start..end - self.block_start];
        let mut features = vec![0f32; places.len() * dim];
        let rows = features.par_chunks_exact_mut(dim).zip(places).with_min_len((TASK_VALUES / dim).max(1));
        rows.for_each(|(to, &row)| {
            to.copy_from_slice(&self.block[row as usize * dim..(row as usize + 1) * dim]);
            if self.normalize {
                normalize(to);
            }
        });
        let labels = self.order[self.next..end].iter().map(|&id| self.label(id)).collect();
        self.next = end;
        Some((features, labels))
    }

    /// Skips without drawing: where an epoch is gone on with changes no bit.
    fn nth(&mut self, n: usize) -> Option<Self::Item> {
        self.next = self.next.saturating_add(n.saturating_mul(self.batch_size)).min(self.order.len());
        self.next()
    }
}
