//! Exact sampling of the rows' Gaussians through low-rank factors, streamed in blocks.
//!
//! No d×d matrix per feature, no copy of the centred data, and a workspace that depends on the block size only. Every normal
//! comes from Philox at (key of the epoch, generated row, slot, position), and a row's sums have one order: its mean, the noise
//! of no class, then the components by class. So neither the block size, nor how the work is cut, nor the number of threads
//! changes a bit.
//!
//! All draws of a block that take one class's factor are made together, whatever their slot, so that the class's rows are read
//! once a block. Tasks share a block by columns, and by rows where there are few columns.

use longtail_ops::{PANEL, Target, blend, philox_normals, split_columns};
use rayon::prelude::*;

use super::base_rows::BaseRows;
use super::counts::RowPlan;
use super::factors::ClassFactors;
use super::laws::RowLaws;
use crate::ClassifierError;

/// What rows are drawn from: base rows, class means (or prototypes), and covariance factors.
#[derive(Debug, Clone)]
pub struct FeatureModel {
    /// Rows x_i that means start from, sorted by class.
    pub base: BaseRows,
    /// `(K, d)` class means or prototypes c_k.
    pub means: Vec<f32>,
    /// Covariance factors A_k.
    pub factors: ClassFactors,
}

/// Draws generated rows of one epoch.
///
/// # Source
/// mpcl_mpfa.md §6.1 (the identity) and §6.2 (as GEMMs).
#[derive(Debug, Clone, Copy)]
pub struct LowRankSampler<'a> {
    model: &'a FeatureModel,
    laws: &'a RowLaws,
    plan: &'a RowPlan,
    key: [u32; 2],
    most_normals: usize,
}

/// Buffers kept between calls of [`LowRankSampler::fill`]: the normals of each part of a block.
#[derive(Debug, Default)]
pub struct SamplerScratch {
    normals: Vec<Vec<f32>>,
}

/// Normals that are held at a time, over all tasks: 8 MiB, which a processor's last cache has room for.
const MOST_NORMALS: usize = 1 << 21;
/// Fewest normals that a task holds at a time, so that a class's rows are not packed for a row or two.
const FEWEST_NORMALS: usize = 1 << 17;
/// Fewest rows of a task.
const PART_ROWS: usize = 1 << 10;
/// Tasks that each thread should have, for an even end.
const TASKS_PER_THREAD: usize = 4;
/// Widest strip of columns; with more rows of a class than [`PANEL`]s the strip leaves the second cache, which costs little.
const MOST_COLUMNS: usize = 4 * PANEL;

/// Normals of different slots of a row lie this far apart in the row's stream; ranks are below it.
const SLOT_STRIDE: u64 = 1 << 32;

/// One component's noise of one row.
#[derive(Debug, Clone, Copy)]
struct Draw {
    class: u32,
    slot: u32,
    /// The generated row's number.
    number: u32,
    target: Target,
}

impl<'a> LowRankSampler<'a> {
    /// A sampler of `plan`'s rows. `key` is that of the epoch: [`longtail_ops::stream_words`] of a purpose that names it.
    ///
    /// # Errors
    /// [`ClassifierError::Shape`] when laws, means and base rows disagree in size.
    pub fn new(
        model: &'a FeatureModel,
        laws: &'a RowLaws,
        plan: &'a RowPlan,
        key: [u32; 2],
    ) -> Result<Self, ClassifierError> {
        let shape = |what: &str, found, expected| ClassifierError::Shape { what: what.to_owned(), found, expected };
        let (classes, dim) = (model.base.num_classes(), model.base.dim());
        if laws.rows() != model.base.len() {
            return Err(shape("laws of rows", laws.rows(), model.base.len()));
        }
        if model.means.len() != classes * dim {
            return Err(shape("class means", model.means.len(), classes * dim));
        }
        if model.factors.num_classes() != classes || model.factors.dim() != dim {
            return Err(shape("covariance factors", model.factors.num_classes(), classes));
        }
        Ok(Self { model, laws, plan, key, most_normals: MOST_NORMALS })
    }

    /// The same sampler with at most `most` normals at a time (or those of one row): for the test that says it changes no bit.
    pub fn with_most_normals(mut self, most: usize) -> Self {
        self.most_normals = most;
        self
    }

    /// Bytes that `fill` needs for `rows` rows at a time on `threads` threads, the output included.
    pub fn workspace_bytes(model: &FeatureModel, slots: usize, rows: usize, threads: usize) -> usize {
        let cut = Cut::new(model.base.dim(), rows, threads);
        let max_rank = (0..model.factors.num_classes()).map(|class| model.factors.rank(class)).max().unwrap_or(0);
        let normals = cut.parts * cut.normals(MOST_NORMALS).max(max_rank);
        let draws = 2 * rows * slots * size_of::<Draw>();
        4 * (rows * model.base.dim() + normals + threads * (max_rank * cut.columns + model.base.dim())) + draws
    }

    /// Draws the generated rows with the given numbers (each below the plan's length; any order, no duplicates needed).
    ///
    /// # Shapes
    /// `out`: `(generated.len(), d)`, overwritten. Not normalised.
    pub fn fill(&self, generated: &[u32], out: &mut [f32], scratch: &mut SamplerScratch) {
        let dim = self.model.base.dim();
        assert_eq!(out.len(), generated.len() * dim, "out holds one row per number");
        if generated.is_empty() {
            return;
        }
        let cut = Cut::new(dim, generated.len(), rayon::current_num_threads());
        scratch.normals.resize_with(cut.parts.max(scratch.normals.len()), Vec::new);
        let parts = out.par_chunks_mut(cut.rows * dim).zip(generated.par_chunks(cut.rows));
        parts.zip(&mut scratch.normals).for_each(|((out, generated), normals)| {
            self.fill_means(generated, out);
            self.add_noise(generated, out, cut, normals);
        });
    }

    /// Means, and the part of the noise that belongs to no class.
    fn fill_means(&self, generated: &[u32], out: &mut [f32]) {
        let dim = self.model.base.dim();
        let diagonal = self.laws.diagonal_variance.sqrt() as f32;
        let shared = self.laws.shared_variance.sqrt() as f32;
        let own_offset = SLOT_STRIDE * self.laws.slots() as u64;
        out.par_chunks_mut(dim).zip(generated.par_iter()).for_each_init(
            || vec![0f32; dim],
            |noise, (row, &number)| {
                let source = self.plan.sources()[number as usize] as usize;
                let weight = self.laws.source_weight(source);
                self.model.base.read(source, row);
                row.iter_mut().for_each(|value| *value *= weight);
                for component in self.laws.components(source).filter(|component| component.mean_weight != 0.0) {
                    let class = component.class as usize;
                    blend(1.0, row, component.mean_weight, &self.model.means[class * dim..(class + 1) * dim]);
                }
                if diagonal > 0.0 {
                    philox_normals(self.key, u64::from(number), own_offset, noise);
                    blend(1.0, row, diagonal, noise);
                }
                if shared > 0.0 {
                    philox_normals(self.key, u64::from(number), own_offset + SLOT_STRIDE, &mut noise[..1]);
                    let shift = shared * noise[0];
                    row.iter_mut().for_each(|value| *value += shift);
                }
            },
        );
    }

    /// Adds `n·A_k·e` of every component to every row, class by class, as many at a time as there is room for normals.
    fn add_noise(&self, generated: &[u32], out: &mut [f32], cut: Cut, normals: &mut Vec<f32>) {
        let dim = self.model.base.dim();
        let most = cut.normals(self.most_normals);
        let draws = self.sorted_draws(generated);
        let mut rest = draws.as_slice();
        while !rest.is_empty() {
            let (mut pieces, mut used) = (Vec::new(), 0);
            while let Some(first) = rest.first() {
                let rank = self.model.factors.rank(first.class as usize);
                let same = rest.iter().take_while(|draw| draw.class == first.class).count();
                let fits = (most.saturating_sub(used) / rank).min(same);
                let count = if pieces.is_empty() { fits.max(1) } else { fits };
                // A class is split only where all of it is too much.
                if count == 0 || (count < same && !pieces.is_empty()) {
                    break;
                }
                let (piece, behind) = rest.split_at(count);
                pieces.push((piece, used..used + count * rank));
                used += count * rank;
                rest = behind;
            }
            if normals.len() < used {
                normals.resize(used, 0.0);
            }
            let normals = &mut normals[..used];
            self.fill_normals(&pieces, normals);
            split_columns(out, dim, cut.columns).into_par_iter().for_each_init(
                || (Vec::new(), Vec::new()),
                |(packed, targets), mut strip| {
                    for (piece, range) in &pieces {
                        targets.clear();
                        targets.extend(piece.iter().map(|draw| draw.target));
                        let class = piece[0].class as usize;
                        self.model.factors.add_draws(class, targets, &normals[range.clone()], &mut strip, packed);
                    }
                },
            );
        }
    }

    fn fill_normals(&self, pieces: &[(&[Draw], std::ops::Range<usize>)], mut normals: &mut [f32]) {
        let mut rows = Vec::new();
        for (piece, _) in pieces {
            let rank = self.model.factors.rank(piece[0].class as usize);
            for draw in *piece {
                let (row, rest) = normals.split_at_mut(rank);
                rows.push((draw, row));
                normals = rest;
            }
        }
        rows.into_par_iter().with_min_len(16).for_each(|(draw, row)| {
            philox_normals(self.key, u64::from(draw.number), SLOT_STRIDE * u64::from(draw.slot), row);
        });
    }

    /// The noise of all rows' components by class, within a class by row and slot. A counting sort.
    fn sorted_draws(&self, generated: &[u32]) -> Vec<Draw> {
        let mut draws = Vec::with_capacity(generated.len() * self.laws.slots());
        let mut starts = vec![0u32; self.model.base.num_classes() + 1];
        for (row, &number) in generated.iter().enumerate() {
            let source = self.plan.sources()[number as usize] as usize;
            for slot in 0..self.laws.slots() {
                let Some(component) = self.laws.component(source, slot).filter(|c| c.noise_weight != 0.0) else {
                    continue;
                };
                let target = Target { row: row as u32, coefficient: component.noise_weight };
                draws.push(Draw { class: component.class, slot: slot as u32, number, target });
                starts[component.class as usize + 1] += 1;
            }
        }
        for class in 1..starts.len() {
            starts[class] += starts[class - 1];
        }
        let mut sorted = draws.clone();
        for draw in draws {
            let to = &mut starts[draw.class as usize];
            sorted[*to as usize] = draw;
            *to += 1;
        }
        sorted
    }
}

/// How a block is cut into tasks; changes no bit.
#[derive(Debug, Clone, Copy)]
struct Cut {
    /// Columns of a strip.
    columns: usize,
    /// Rows of a part.
    rows: usize,
    parts: usize,
}

impl Cut {
    fn new(dim: usize, rows: usize, threads: usize) -> Self {
        let columns = (dim / (TASKS_PER_THREAD * threads) / PANEL * PANEL).clamp(PANEL, MOST_COLUMNS);
        let parts = (TASKS_PER_THREAD * threads).div_ceil(dim.div_ceil(columns));
        let rows_of_part = rows.div_ceil(parts).max(PART_ROWS);
        Self { columns, rows: rows_of_part, parts: rows.div_ceil(rows_of_part).max(1) }
    }

    /// Most normals of one part at a time, of `most` in all.
    fn normals(self, most: usize) -> usize {
        (most / self.parts).max(FEWEST_NORMALS.min(most))
    }
}
