//! One epoch of balanced training rows: real and generated ones, shuffled, drawn block by block as they are needed.

use candle_core::Tensor;
use longtail_ops::{shuffle, stream};

use super::counts::RowPlan;
use super::draw::{DrawRows, OnHost};
use super::laws::RowLaws;
use super::low_rank::{FeatureModel, LowRankSampler};
use crate::ClassifierError;

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
/// An iterator of `(features (n, d), labels (n))`; the features lie where they were drawn. The order is a function of
/// (seed, purpose, epoch); the block size changes no bit on the CPU. Blocks lie where they do in a run that was never stopped, so
/// that on a GPU products have the same sizes and rows the same bits. After a failure of the device there is no batch more.
pub struct BalancedEpoch<'a> {
    model: &'a FeatureModel,
    sampler: LowRankSampler<'a>,
    drawer: Box<dyn DrawRows + 'a>,
    plan: &'a RowPlan,
    normalize: bool,
    order: Vec<u32>,
    batch_size: usize,
    block_rows: usize,
    next: usize,
    block: Option<Block>,
}

/// Rows that were drawn together, from place `start` of the epoch's order on.
struct Block {
    start: usize,
    rows: Tensor,
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
            drawer: Box::new(OnHost::default()),
            plan,
            normalize,
            order,
            batch_size,
            block_rows: (block_rows / batch_size).max(1) * batch_size,
            next: 0,
            block: None,
        }
    }

    /// The same batches, their rows drawn by `drawer` instead of on the CPU.
    pub fn drawn_by(mut self, drawer: impl DrawRows + 'a) -> Self {
        self.drawer = Box::new(drawer);
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

    /// The rows at these places of the order, of one block.
    fn rows_at(&mut self, places: std::ops::Range<usize>) -> Result<Tensor, ClassifierError> {
        let start = places.start - places.start % self.block_rows;
        let block = match self.block.take() {
            Some(block) if block.start == start => block,
            old => {
                drop(old); // before the new one takes as much memory
                let ids = &self.order[start..(start + self.block_rows).min(self.order.len())];
                Block { start, rows: self.drawer.draw(&self.sampler, ids, self.normalize)? }
            }
        };
        let rows = block.rows.narrow(0, places.start - start, places.len())?;
        self.block = Some(block);
        Ok(rows)
    }

    fn label(&self, id: u32) -> u32 {
        let real = self.model.base.len() as u32;
        let source = if id >= real { self.plan.sources()[(id - real) as usize] } else { id };
        self.model.base.labels()[source as usize]
    }
}

impl Iterator for BalancedEpoch<'_> {
    type Item = Result<(Tensor, Vec<u32>), ClassifierError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.order.len() {
            return None;
        }
        let places = self.next..(self.next + self.batch_size).min(self.order.len());
        let rows = self.rows_at(places.clone());
        self.next = if rows.is_ok() { places.end } else { self.order.len() };
        Some(rows.map(|rows| (rows, self.order[places].iter().map(|&id| self.label(id)).collect())))
    }

    /// Skips without drawing: where an epoch is gone on with changes no bit.
    fn nth(&mut self, n: usize) -> Option<Self::Item> {
        self.next = self.next.saturating_add(n.saturating_mul(self.batch_size)).min(self.order.len());
        self.next()
    }
}
