//! Who draws blocks of rows, and where they lie then.

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use super::low_rank::{LowRankSampler, SamplerScratch};
use super::transform::normalize;
use crate::ClassifierError;

/// Draws rows where a head is trained.
pub trait DrawRows {
    /// The rows with these ids, of unit norm if asked for.
    ///
    /// # Shapes
    /// Returns `(ids.len(), d)`, f32.
    /// # Errors
    /// The device's.
    fn draw(&mut self, sampler: &LowRankSampler<'_>, ids: &[u32], normalized: bool) -> Result<Tensor, ClassifierError>;
}

impl<T: DrawRows + ?Sized> DrawRows for &mut T {
    fn draw(&mut self, sampler: &LowRankSampler<'_>, ids: &[u32], normalized: bool) -> Result<Tensor, ClassifierError> {
        (**self).draw(sampler, ids, normalized)
    }
}

/// Draws them on the CPU.
#[derive(Default)]
pub struct OnHost<'a> {
    /// Generated rows `(G, d)` that the same sampler drew before, to be copied.
    pub drawn: Option<&'a [f32]>,
    scratch: SamplerScratch,
}

impl<'a> OnHost<'a> {
    /// Copies generated rows from `drawn` `(G, d)` where it is given.
    pub fn new(drawn: Option<&'a [f32]>) -> Self {
        Self { drawn, scratch: SamplerScratch::default() }
    }
}

impl DrawRows for OnHost<'_> {
    fn draw(&mut self, sampler: &LowRankSampler<'_>, ids: &[u32], normalized: bool) -> Result<Tensor, ClassifierError> {
        let base = &sampler.model.base;
        let (dim, real) = (base.dim(), base.len());
        let mut block = vec![0f32; ids.len() * dim];
        match self.drawn {
            None => sampler.fill_rows(ids, normalized, &mut block, &mut self.scratch),
            Some(rows) => block.par_chunks_exact_mut(dim).zip(ids).for_each_init(
                || vec![0f32; dim],
                |row, (to, &id)| {
                    to.copy_from_slice(match (id as usize).checked_sub(real) {
                        Some(number) => &rows[number * dim..(number + 1) * dim],
                        None => base.get(id as usize, row),
                    });
                    if normalized {
                        normalize(to);
                    }
                },
            ),
        }
        Ok(Tensor::from_vec(block, (ids.len(), dim), &Device::Cpu)?)
    }
}
