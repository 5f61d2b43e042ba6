//! Exact sampling of the rows' Gaussians through low-rank factors, streamed in blocks.
//!
//! No d×d matrix per feature, no copy of the centred data, and a workspace that depends on the block size only. Every normal
//! comes from Philox at (key of the epoch, generated row, slot, position), and every sum has a fixed order, so neither the
//! block size, nor the chunk size, nor the number of threads changes a bit.

use longtail_ops::philox_normals;
use rayon::prelude::*;

use super::class_store::ClassStore;
use super::counts::RowPlan;
use super::factors::{ClassFactors, ROW_MULTIPLE};
use super::laws::RowLaws;
use crate::ClassifierError;

/// What rows are drawn from: base rows, class means (or prototypes), and covariance factors.
#[derive(Debug, Clone)]
pub struct FeatureModel {
    /// Rows x_i that means start from, sorted by class.
    pub base: ClassStore,
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
    chunk_rows: usize,
}

/// Buffers kept between calls of [`LowRankSampler::fill`].
#[derive(Debug, Default)]
pub struct SamplerScratch {
    noise: Vec<f32>,
}

/// Most rows of one class that one GEMM takes; a multiple of [`ROW_MULTIPLE`]. Changes no bit.
pub const CHUNK_ROWS: usize = 256;

/// Normals of different slots of a row lie this far apart in the row's stream; ranks are below it.
const SLOT_STRIDE: u64 = 1 << 32;

/// One thread's buffers.
#[derive(Default)]
struct Buffers {
    normals: Vec<f32>,
    draws: Vec<f32>,
}

/// A run of rows whose component in the slot at hand is of one class.
struct Piece<'a> {
    class: usize,
    positions: &'a [u32],
    noise: &'a mut [f32],
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
        Ok(Self { model, laws, plan, key, chunk_rows: CHUNK_ROWS })
    }

    /// The same sampler with GEMMs of at most `chunk_rows` rows (rounded up to [`ROW_MULTIPLE`]): for the test that says it
    /// changes no bit.
    pub fn with_chunk_rows(mut self, chunk_rows: usize) -> Self {
        self.chunk_rows = chunk_rows.max(1).next_multiple_of(ROW_MULTIPLE);
        self
    }

    /// Bytes that `fill` needs for `rows` rows at a time on `threads` threads, the output included.
    pub fn workspace_bytes(dim: usize, max_rank: usize, rows: usize, threads: usize) -> usize {
        4 * (2 * rows * dim + threads * CHUNK_ROWS * (max_rank + dim)) + 16 * rows
    }

    /// Draws the generated rows with the given numbers (each below the plan's length; any order, no duplicates needed).
    ///
    /// # Shapes
    /// `out`: `(generated.len(), d)`, overwritten. Not normalised.
    pub fn fill(&self, generated: &[u32], out: &mut [f32], scratch: &mut SamplerScratch) {
        let dim = self.model.base.dim();
        assert_eq!(out.len(), generated.len() * dim, "out holds one row per number");
        self.fill_means(generated, out);
        scratch.noise.resize(out.len(), 0.0);
        for slot in 0..self.laws.slots() {
            self.add_slot(slot, generated, out, &mut scratch.noise);
        }
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
                for (value, &base) in row.iter_mut().zip(self.model.base.row(source)) {
                    *value = weight * base;
                }
                for component in self.laws.components(source) {
                    let class = component.class as usize;
                    let mean = &self.model.means[class * dim..(class + 1) * dim];
                    for (value, &c) in row.iter_mut().zip(mean) {
                        *value += component.mean_weight * c;
                    }
                }
                if diagonal > 0.0 {
                    philox_normals(self.key, u64::from(number), own_offset, noise);
                    for (value, &xi) in row.iter_mut().zip(noise.iter()) {
                        *value += diagonal * xi;
                    }
                }
                if shared > 0.0 {
                    philox_normals(self.key, u64::from(number), own_offset + SLOT_STRIDE, &mut noise[..1]);
                    let shift = shared * noise[0];
                    for value in row.iter_mut() {
                        *value += shift;
                    }
                }
            },
        );
    }

    /// Adds `n·A_k·e` of one slot to every row. A row has one class per slot, so rows sorted by class never collide.
    fn add_slot(&self, slot: usize, generated: &[u32], out: &mut [f32], noise: &mut [f32]) {
        let dim = self.model.base.dim();
        let classes = self.model.base.num_classes();
        let class_of = |number: u32| {
            let source = self.plan.sources()[number as usize] as usize;
            self.laws.component(source, slot).filter(|c| c.noise_weight != 0.0)
        };
        // Counting sort of the rows by their class in this slot.
        let mut starts = vec![0usize; classes + 1];
        for &number in generated {
            if let Some(component) = class_of(number) {
                starts[component.class as usize + 1] += 1;
            }
        }
        for class in 0..classes {
            starts[class + 1] += starts[class];
        }
        let mut next = starts[..classes].to_vec();
        let mut sorted = vec![0u32; starts[classes]];
        let mut place = vec![u32::MAX; generated.len()];
        for (position, &number) in generated.iter().enumerate() {
            if let Some(component) = class_of(number) {
                let to = next[component.class as usize];
                next[component.class as usize] += 1;
                sorted[to] = position as u32;
                place[position] = to as u32;
            }
        }
        let mut pieces = Vec::new();
        let mut rest = &mut noise[..sorted.len() * dim];
        for class in 0..classes {
            for positions in sorted[starts[class]..starts[class + 1]].chunks(self.chunk_rows) {
                let (head, tail) = rest.split_at_mut(positions.len() * dim);
                pieces.push(Piece { class, positions, noise: head });
                rest = tail;
            }
        }
        pieces.into_par_iter().for_each_init(Buffers::default, |buffers, piece| {
            self.draw_piece(slot, generated, piece, buffers);
        });
        out.par_chunks_mut(dim).zip(place.par_iter()).zip(generated.par_iter()).for_each(|((row, &at), &number)| {
            if let Some(component) = class_of(number) {
                let at = at as usize;
                for (value, &draw) in row.iter_mut().zip(&noise[at * dim..(at + 1) * dim]) {
                    *value += component.noise_weight * draw;
                }
            }
        });
    }

    fn draw_piece(&self, slot: usize, generated: &[u32], piece: Piece<'_>, buffers: &mut Buffers) {
        let (dim, rank) = (self.model.base.dim(), self.model.factors.rank(piece.class));
        let padded = piece.positions.len().next_multiple_of(ROW_MULTIPLE);
        buffers.normals.clear();
        buffers.normals.resize(padded * rank, 0.0);
        buffers.draws.resize(padded * dim, 0.0);
        let offset = SLOT_STRIDE * slot as u64;
        for (normals, &position) in buffers.normals.chunks_exact_mut(rank).zip(piece.positions) {
            philox_normals(self.key, u64::from(generated[position as usize]), offset, normals);
        }
        let draws = &mut buffers.draws[..padded * dim];
        self.model.factors.draw(piece.class, &buffers.normals, padded, draws);
        piece.noise.copy_from_slice(&draws[..piece.positions.len() * dim]);
    }
}
