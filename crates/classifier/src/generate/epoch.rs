//! One epoch of balanced training rows: real and generated ones, shuffled, drawn block by block as they are needed.

use longtail_ops::{shuffle, stream};
use rayon::prelude::*;

use super::counts::RowPlan;
use super::laws::RowLaws;
use super::low_rank::{FeatureModel, LowRankSampler, SamplerScratch};
use super::transform::normalize;
use crate::ClassifierError;
use crate::device::{Rows, SharedDevice};

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
/// Rows of fewer values are normalised in their block.
const SHORT_ROW: usize = 1 << 10;

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
            resident_bytes: model.base.bytes()
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

    /// Draws the rows of the block that starts at `start`, in their order.
    fn load_block(&mut self, start: usize) {
        let dim = self.model.base.dim();
        let normalizes = self.normalizes_blocks();
        let ids = &self.order[start..(start + self.block_rows).min(self.order.len())];
        self.block.resize(ids.len() * dim, 0.0);
        match self.rows {
            None => self.sampler.fill_rows(ids, normalizes, &mut self.block, &mut self.scratch),
            Some(rows) => {
                let real = self.model.base.len();
                self.block.par_chunks_exact_mut(dim).zip(ids).for_each_init(
                    || vec![0f32; dim],
                    |base, (to, &id)| {
                        to.copy_from_slice(match (id as usize).checked_sub(real) {
                            Some(number) => &rows[number * dim..(number + 1) * dim],
                            None => self.model.base.get(id as usize, base),
                        });
                        if normalizes {
                            normalize(to);
                        }
                    },
                );
            }
        }
        self.block_start = start;
    }

    /// Short rows are normalised while they are in the cache, long ones as they are handed out: a pass over memory less.
    fn normalizes_blocks(&self) -> bool {
        self.normalize && self.model.base.dim() < SHORT_ROW
    }

    /// The same batches, with rows drawn on `device` and left there.
    pub fn on(self, device: SharedDevice) -> DeviceEpoch<'a> {
        DeviceEpoch { epoch: self, device, block: 0..0 }
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
        let dim = self.model.base.dim();
        if self.next >= self.block_start + self.block.len() / dim {
            self.load_block(self.next);
        }
        let end = (self.next + self.batch_size).min(self.order.len());
        let rows = &self.block[(self.next - self.block_start) * dim..(end - self.block_start) * dim];
        let features = if self.normalize && !self.normalizes_blocks() {
            let mut features = vec![0f32; rows.len()];
            features.par_chunks_exact_mut(dim).zip(rows.par_chunks_exact(dim)).for_each(|(to, row)| {
                to.copy_from_slice(row);
                normalize(to);
            });
            features
        } else {
            rows.to_vec()
        };
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

/// [`BalancedEpoch`] on a device: an iterator of batches' places in the block that is there, and labels `(n)`. After a failure of the
/// device there is no batch more.
pub struct DeviceEpoch<'a> {
    epoch: BalancedEpoch<'a>,
    device: SharedDevice,
    /// Rows of the epoch that the device's block holds.
    block: std::ops::Range<usize>,
}

impl Iterator for DeviceEpoch<'_> {
    type Item = Result<(Rows, Vec<u32>), ClassifierError>;

    fn next(&mut self) -> Option<Self::Item> {
        let Self { epoch, device, block } = self;
        if epoch.next >= epoch.order.len() {
            return None;
        }
        if !block.contains(&epoch.next) {
            // Blocks lie where they do in a run that was never stopped, so that products have the same sizes and rows the same bits.
            let start = epoch.next - epoch.next % epoch.block_rows;
            *block = start..(start + epoch.block_rows).min(epoch.order.len());
            let drawn = device.borrow_mut().draw(&epoch.sampler, &epoch.order[block.clone()], epoch.normalize);
            if let Err(error) = drawn {
                epoch.next = epoch.order.len();
                return Some(Err(error));
            }
        }
        let end = (epoch.next + epoch.batch_size).min(epoch.order.len());
        let labels = epoch.order[epoch.next..end].iter().map(|&id| epoch.label(id)).collect();
        let rows = Rows::Drawn(epoch.next - block.start..end - block.start);
        epoch.next = end;
        Some(Ok((rows, labels)))
    }

    /// Skips without drawing.
    fn nth(&mut self, n: usize) -> Option<Self::Item> {
        let rows = n.saturating_mul(self.epoch.batch_size);
        self.epoch.next = self.epoch.next.saturating_add(rows).min(self.epoch.order.len());
        self.next()
    }
}
