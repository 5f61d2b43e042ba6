//! Exact sampling of the rows' Gaussians through low-rank factors, streamed in blocks.
//!
//! No d×d matrix per feature, no copy of the centred data, and a workspace that depends on the block size only. Every normal
//! comes from Philox at (key of the epoch, generated row, slot, position), and a row's sums have one order: its mean, the noise
//! of no class, then the components by class. So neither the block size, nor how the work is cut, nor the number of threads
//! changes a bit.
//!
//! All draws of a block that take one class's factor are made together, whatever their slot, so that the class's rows are read
//! once a block. Tasks share a block by columns, and by rows where there are few columns.

use longtail_ops::{PANEL, Target, philox_normals, split_columns, weighted_sum};
use rayon::prelude::*;

use super::base_rows::BaseRows;
use super::counts::RowPlan;
use super::factors::ClassFactors;
use super::laws::RowLaws;
use super::transform::normalize_rows;
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
    pub(super) model: &'a FeatureModel,
    pub(super) laws: &'a RowLaws,
    plan: &'a RowPlan,
    pub(super) key: [u32; 2],
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
/// Fewest values whose means are one task.
const MEANS_VALUES: usize = 1 << 14;
/// Fewest rows of a task.
const PART_ROWS: usize = 1 << 10;
/// Tasks that each thread should have, for an even end.
const TASKS_PER_THREAD: usize = 4;
/// Widest strip of columns; with more rows of a class than [`PANEL`]s the strip leaves the second cache, which costs little.
const MOST_COLUMNS: usize = 4 * PANEL;

/// Normals of different slots of a row lie this far apart in the row's stream; ranks are below it.
pub(super) const SLOT_STRIDE: u64 = 1 << 32;

/// One component's noise of one row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Draw {
    pub(super) class: u32,
    pub(super) slot: u32,
    /// The generated row's number.
    pub(super) number: u32,
    pub(super) target: Target,
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
        let draws = rows * slots * size_of::<Draw>();
        4 * (rows * model.base.dim() + normals + threads * (max_rank * cut.columns + model.base.dim())) + draws
    }

    /// Draws the generated rows with the given numbers (each below the plan's length; any order, no duplicates needed).
    ///
    /// # Shapes
    /// `out`: `(generated.len(), d)`, overwritten. Not normalised.
    pub fn fill(&self, generated: &[u32], out: &mut [f32], scratch: &mut SamplerScratch) {
        let real = self.model.base.len() as u32;
        let ids: Vec<u32> = generated.iter().map(|number| number + real).collect();
        self.fill_rows(&ids, false, out, scratch);
    }

    /// Writes rows by their ids: `0..N` are the real rows, `N..` the generated ones. With `normalized`, each gets unit norm.
    ///
    /// # Shapes
    /// `out`: `(ids.len(), d)`, overwritten.
    pub fn fill_rows(&self, ids: &[u32], normalized: bool, out: &mut [f32], scratch: &mut SamplerScratch) {
        let dim = self.model.base.dim();
        assert_eq!(out.len(), ids.len() * dim, "out holds one row per id");
        if ids.is_empty() {
            return;
        }
        let cut = Cut::new(dim, ids.len(), rayon::current_num_threads());
        scratch.normals.resize_with(cut.parts.max(scratch.normals.len()), Vec::new);
        let parts = out.par_chunks_mut(cut.rows * dim).zip(ids.par_chunks(cut.rows));
        parts.zip(&mut scratch.normals).for_each(|((out, ids), normals)| {
            self.fill_means(ids, out);
            self.add_noise(ids, out, cut, normals);
            if normalized {
                normalize_rows(out, dim);
            }
        });
    }

    /// The source of a generated row, and its number; nothing for a real one.
    pub(super) fn source(&self, id: u32) -> Option<(usize, u32)> {
        let number = id.checked_sub(self.model.base.len() as u32)?;
        Some((self.plan.sources()[number as usize] as usize, number))
    }

    /// Real rows; means of the others, and the part of their noise that belongs to no class.
    fn fill_means(&self, ids: &[u32], out: &mut [f32]) {
        let dim = self.model.base.dim();
        let diagonal = self.laws.diagonal_variance.sqrt() as f32;
        let shared = self.laws.shared_variance.sqrt() as f32;
        let own_offset = SLOT_STRIDE * self.laws.slots() as u64;
        let rows = out.par_chunks_mut(dim).zip(ids).with_min_len((MEANS_VALUES / dim).max(1));
        rows.for_each_init(
            || [vec![0f32; dim], vec![0f32; dim]],
            |[base, noise], (row, &id)| {
                let Some((source, number)) = self.source(id) else {
                    row.copy_from_slice(self.model.base.get(id as usize, base));
                    return;
                };
                let mut terms = Vec::with_capacity(2 + self.laws.slots());
                terms.push((self.laws.source_weight(source), self.model.base.get(source, base)));
                if diagonal > 0.0 {
                    philox_normals(self.key, u64::from(number), own_offset, noise);
                    terms.push((diagonal, noise.as_slice()));
                }
                for component in self.laws.components(source).filter(|component| component.mean_weight != 0.0) {
                    let class = component.class as usize;
                    terms.push((component.mean_weight, &self.model.means[class * dim..(class + 1) * dim]));
                }
                weighted_sum(&terms, row);
                if shared > 0.0 {
                    let mut normal = [0f32];
                    philox_normals(self.key, u64::from(number), own_offset + SLOT_STRIDE, &mut normal);
                    let shift = shared * normal[0];
                    row.iter_mut().for_each(|value| *value += shift);
                }
            },
        );
    }

    /// Adds `n·A_k·e` of every component to every row, class by class, as many at a time as there is room for normals.
    fn add_noise(&self, ids: &[u32], out: &mut [f32], cut: Cut, normals: &mut Vec<f32>) {
        let dim = self.model.base.dim();
        let most = cut.normals(self.most_normals);
        let draws = self.sorted_draws(ids);
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
            self.fill_normals(&pieces, cut, normals);
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

    fn fill_normals(&self, pieces: &[(&[Draw], std::ops::Range<usize>)], cut: Cut, mut normals: &mut [f32]) {
        let fill = |draw: &Draw, row: &mut [f32]| {
            philox_normals(self.key, u64::from(draw.number), SLOT_STRIDE * u64::from(draw.slot), row);
        };
        let mut rows = Vec::new();
        for (piece, range) in pieces {
            let (of_piece, rest) = normals.split_at_mut(range.len());
            let of_draws =
                piece.iter().zip(of_piece.chunks_exact_mut(self.model.factors.rank(piece[0].class as usize)));
            normals = rest;
            if cut.parts > 1 {
                of_draws.for_each(|(draw, row)| fill(draw, row));
            } else {
                rows.extend(of_draws);
            }
        }
        rows.into_par_iter().with_min_len(16).for_each(|(draw, row)| fill(draw, row));
    }

    /// The noise of all rows' components by class, within a class by row and slot. A counting sort.
    pub(super) fn sorted_draws(&self, ids: &[u32]) -> Vec<Draw> {
        let mut starts = vec![0u32; self.model.base.num_classes() + 1];
        self.each_draw(ids, |draw| starts[draw.class as usize + 1] += 1);
        for class in 1..starts.len() {
            starts[class] += starts[class - 1];
        }
        let nothing = Draw { class: 0, slot: 0, number: 0, target: Target { row: 0, coefficient: 0.0 } };
        let mut sorted = vec![nothing; starts[starts.len() - 1] as usize];
        self.each_draw(ids, |draw| {
            let to = &mut starts[draw.class as usize];
            sorted[*to as usize] = draw;
            *to += 1;
        });
        sorted
    }

    fn each_draw(&self, ids: &[u32], mut visit: impl FnMut(Draw)) {
        for (row, &id) in ids.iter().enumerate() {
            let Some((source, number)) = self.source(id) else { continue };
            for slot in 0..self.laws.slots() {
                if let Some(component) = self.laws.component(source, slot).filter(|c| c.noise_weight != 0.0) {
                    let target = Target { row: row as u32, coefficient: component.noise_weight };
                    visit(Draw { class: component.class, slot: slot as u32, number, target });
                }
            }
        }
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
