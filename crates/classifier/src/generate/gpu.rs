//! Rows drawn on a device: the CPU's laws, plan and noise, block by block, in device memory.
//!
//! Base rows, means and factors lie there once. A block's bookkeeping (which row starts where, which draws take which class) is
//! the host's, a few numbers a row. Normals are those of the CPU to the bit; sums are taken in another order, so rows agree to
//! rounding.

use std::ops::Range;

use longtail_ops::gpu::{
    Driver, GemmSize, GpuError, GpuVec, Matrix, MatrixMut, NormalStreams, Places, RowMeans, ViewMut, gpu_add_rows,
    gpu_philox_normals, gpu_row_means, gpu_unit_rows,
};

use super::low_rank::{Draw, FeatureModel, LowRankSampler, SLOT_STRIDE};

/// Most normals, and most values of noise, that are held at a time: 256 MiB of each.
const MOST_VALUES: usize = 1 << 26;

/// Values that go up at a time: what is made for it on the host is never all there.
const UPLOAD_VALUES: usize = 1 << 24;

/// A [`FeatureModel`] in device memory.
#[derive(Debug)]
pub struct GpuModel<D: Driver> {
    /// `(N, d)`, after Tukey's power.
    base: GpuVec<f32, D>,
    means: GpuVec<f32, D>,
    /// F_k one behind the other.
    factors: GpuVec<f32, D>,
    /// Rows of F_k in there.
    ranges: Vec<Range<usize>>,
    dim: usize,
}

impl<D: Driver> GpuModel<D> {
    /// A copy of `model`.
    ///
    /// # Errors
    /// If the device has not so much memory: `4·d·(N + K + Σ rank)` bytes.
    pub fn new(driver: &D, model: &FeatureModel) -> Result<Self, GpuError> {
        let (dim, classes) = (model.base.dim(), model.base.num_classes());
        let mut first = 0;
        let ranges: Vec<Range<usize>> = (0..classes)
            .map(|class| {
                let start = first;
                first += model.factors.rank(class);
                start..first
            })
            .collect();
        let (mut base, mut factors) =
            (GpuVec::zeros(driver, model.base.len() * dim)?, GpuVec::zeros(driver, first * dim)?);
        let (mut made, mut at, mut row) = (Vec::new(), 0, vec![0f32; dim]);
        for place in 0..model.base.len() {
            made.extend_from_slice(model.base.get(place, &mut row));
            at = flush(driver, &mut base, &mut made, at, place + 1 == model.base.len())?;
        }
        at = 0;
        for class in 0..classes {
            model.factors.append_factor(class, &mut made);
            at = flush(driver, &mut factors, &mut made, at, class + 1 == classes)?;
        }
        Ok(Self { base, means: GpuVec::of(driver, &model.means)?, factors, ranges, dim })
    }

    /// Feature dimension d.
    pub fn dim(&self) -> usize {
        self.dim
    }
}

/// Sends what was made where there is enough of it, or it is the last; where the next goes.
fn flush<D: Driver>(
    driver: &D,
    to: &mut GpuVec<f32, D>,
    made: &mut Vec<f32>,
    at: usize,
    last: bool,
) -> Result<usize, GpuError> {
    if made.len() < UPLOAD_VALUES && !last {
        return Ok(at);
    }
    let end = at + made.len();
    to.view_mut().part(at..end).write(driver, made)?;
    made.clear();
    Ok(end)
}

/// Buffers of a block, kept from one to the next.
#[derive(Debug)]
pub struct GpuSampler<D: Driver> {
    source: GpuVec<i32, D>,
    classes: GpuVec<i32, D>,
    weights: GpuVec<f32, D>,
    mean_weights: GpuVec<f32, D>,
    streams: GpuVec<i32, D>,
    targets: GpuVec<i32, D>,
    coefficients: GpuVec<f32, D>,
    normals: GpuVec<f32, D>,
    noise: GpuVec<f32, D>,
    norms: GpuVec<f32, D>,
    most_values: usize,
}

impl<D: Driver> Default for GpuSampler<D> {
    fn default() -> Self {
        Self {
            source: GpuVec::default(),
            classes: GpuVec::default(),
            weights: GpuVec::default(),
            mean_weights: GpuVec::default(),
            streams: GpuVec::default(),
            targets: GpuVec::default(),
            coefficients: GpuVec::default(),
            normals: GpuVec::default(),
            noise: GpuVec::default(),
            norms: GpuVec::default(),
            most_values: MOST_VALUES,
        }
    }
}

impl<D: Driver> GpuSampler<D> {
    /// The same with at most so many normals and values of noise at a time (or those of one draw): for tests.
    pub fn with_most_values(self, most_values: usize) -> Self {
        Self { most_values, ..self }
    }

    /// Writes rows by their ids, as [`LowRankSampler::fill_rows`]; `model` is the sampler's.
    ///
    /// # Shapes
    /// `out`: `(ids.len(), d)`, overwritten.
    ///
    /// # Errors
    /// The device's.
    ///
    /// # Panics
    /// If sizes do not fit.
    pub fn fill_rows(
        &mut self,
        driver: &D,
        model: &GpuModel<D>,
        sampler: &LowRankSampler<'_>,
        ids: &[u32],
        normalized: bool,
        mut out: ViewMut<'_, f32>,
    ) -> Result<(), GpuError> {
        assert_eq!(out.len(), ids.len() * model.dim, "out holds one row per id");
        if ids.is_empty() {
            return Ok(());
        }
        self.fill_means(driver, model, sampler, ids, out.again())?;
        self.add_own_noise(driver, model, sampler, ids, out.again())?;
        self.add_class_noise(driver, model, sampler, ids, out.again())?;
        if normalized {
            self.normalize(driver, model.dim, out)?;
        }
        Ok(())
    }

    fn fill_means(
        &mut self,
        driver: &D,
        model: &GpuModel<D>,
        sampler: &LowRankSampler<'_>,
        ids: &[u32],
        out: ViewMut<'_, f32>,
    ) -> Result<(), GpuError> {
        let (laws, slots) = (sampler.laws, sampler.laws.slots());
        let mut source = Vec::with_capacity(ids.len());
        let mut weights = Vec::with_capacity(ids.len());
        // An empty slot is a class with a weight of zero.
        let (mut classes, mut mean_weights) = (vec![0u32; ids.len() * slots], vec![0f32; ids.len() * slots]);
        for (row, &id) in ids.iter().enumerate() {
            let Some((from, _)) = sampler.source(id) else {
                source.push(id);
                weights.push(1.0);
                continue;
            };
            source.push(from as u32);
            weights.push(laws.source_weight(from));
            for (slot, component) in laws.components(from).enumerate() {
                classes[row * slots + slot] = component.class;
                mean_weights[row * slots + slot] = component.mean_weight;
            }
        }
        let Self { source: to_source, classes: to_classes, weights: to_weights, mean_weights: to_means, .. } = self;
        to_source.reserve(driver, source.len())?;
        to_classes.reserve(driver, classes.len())?;
        put(driver, to_weights, &weights)?;
        put(driver, to_means, &mean_weights)?;
        let rows = RowMeans {
            base: model.base.view(),
            means: model.means.view(),
            source: Places::write(driver, &source, sampler.model.base.len(), to_source)?,
            weight: to_weights.view().part(0..weights.len()),
            classes: Places::write(driver, &classes, sampler.model.base.num_classes(), to_classes)?,
            mean_weights: to_means.view().part(0..mean_weights.len()),
        };
        gpu_row_means(driver, &rows, (slots, model.dim), out)
    }

    /// The part of the noise that belongs to no class.
    fn add_own_noise(
        &mut self,
        driver: &D,
        model: &GpuModel<D>,
        sampler: &LowRankSampler<'_>,
        ids: &[u32],
        mut out: ViewMut<'_, f32>,
    ) -> Result<(), GpuError> {
        let laws = sampler.laws;
        let own_offset = SLOT_STRIDE * laws.slots() as u64;
        let kinds =
            [(laws.diagonal_variance, own_offset, model.dim), (laws.shared_variance, own_offset + SLOT_STRIDE, 1)];
        if kinds.iter().all(|(variance, ..)| *variance <= 0.0) {
            return Ok(());
        }
        let (targets, streams): (Vec<u32>, Vec<i32>) = (0u32..)
            .zip(ids)
            .filter_map(|(row, &id)| sampler.source(id).map(|(_, number)| (row, number.cast_signed())))
            .unzip();
        if targets.is_empty() {
            return Ok(());
        }
        let most = (self.most_values / model.dim).max(1);
        put(driver, &mut self.streams, &streams)?;
        self.targets.reserve(driver, targets.len())?;
        let places = Places::write(driver, &targets, ids.len(), &mut self.targets)?;
        for (variance, offset, len) in kinds.into_iter().filter(|(variance, ..)| *variance > 0.0) {
            put(driver, &mut self.coefficients, &vec![variance.sqrt() as f32; targets.len()])?;
            for start in (0..targets.len()).step_by(most) {
                let part = start..(start + most).min(targets.len());
                self.normals.reserve(driver, part.len() * len)?;
                let each = NormalStreams::Each(self.streams.view().part(part.clone()));
                let normals = self.normals.view_mut().part(0..part.len() * len);
                gpu_philox_normals(driver, sampler.key, each, offset, normals)?;
                let (noise, coefficients) =
                    (self.normals.view().part(0..part.len() * len), self.coefficients.view().part(part.clone()));
                gpu_add_rows(driver, noise, places.part(part), coefficients, model.dim, out.again())?;
            }
        }
        Ok(())
    }

    /// Noise of the rows' components, class by class, within a class by slot.
    fn add_class_noise(
        &mut self,
        driver: &D,
        model: &GpuModel<D>,
        sampler: &LowRankSampler<'_>,
        ids: &[u32],
        mut out: ViewMut<'_, f32>,
    ) -> Result<(), GpuError> {
        let mut draws = sampler.sorted_draws(ids);
        draws.sort_by_key(|draw| (draw.class, draw.slot)); // stable: within a slot by row
        if draws.is_empty() {
            return Ok(());
        }
        put(driver, &mut self.streams, &draws.iter().map(|draw| draw.number.cast_signed()).collect::<Vec<i32>>())?;
        put(driver, &mut self.coefficients, &draws.iter().map(|draw| draw.target.coefficient).collect::<Vec<f32>>())?;
        let targets: Vec<u32> = draws.iter().map(|draw| draw.target.row).collect();
        self.targets.reserve(driver, targets.len())?;
        let places = Places::write(driver, &targets, ids.len(), &mut self.targets)?;
        let Self { streams, coefficients, normals, noise, most_values, .. } = self;
        let (dim, mut start) = (model.dim, 0);
        while start < draws.len() {
            let class = draws[start].class as usize;
            let rank = model.ranges[class].len();
            let most = (*most_values / rank.max(dim)).max(1);
            let count = draws[start..].iter().take(most).take_while(|draw| draw.class as usize == class).count();
            normals.reserve(driver, count * rank)?;
            noise.reserve(driver, count * dim)?;
            let piece = &draws[start..start + count];
            for (slot, run) in slots(piece) {
                let each = NormalStreams::Each(streams.view().part(start + run.start..start + run.end));
                let to = normals.view_mut().part(run.start * rank..run.end * rank);
                gpu_philox_normals(driver, sampler.key, each, SLOT_STRIDE * u64::from(slot), to)?;
            }
            let factor = model.factors.view().part(model.ranges[class].start * dim..model.ranges[class].end * dim);
            let size = GemmSize { m: count, n: dim, k: rank, batch: 1 };
            let made = noise.view_mut().part(0..count * dim);
            let normals = Matrix::plain(normals.view().part(0..count * rank), rank);
            driver.gemm(size, 1.0, normals, Matrix::plain(factor, dim), 0.0, MatrixMut::plain(made, dim))?;
            for (_, run) in slots(piece) {
                let all = start + run.start..start + run.end;
                let noise = noise.view().part(run.start * dim..run.end * dim);
                let coefficient = coefficients.view().part(all.clone());
                gpu_add_rows(driver, noise, places.part(all), coefficient, dim, out.again())?;
            }
            start += count;
        }
        Ok(())
    }

    fn normalize(&mut self, driver: &D, dim: usize, mut out: ViewMut<'_, f32>) -> Result<(), GpuError> {
        let (rows, most) = (out.len() / dim, (self.most_values / dim).max(1));
        self.norms.reserve(driver, most.min(rows))?;
        self.noise.reserve(driver, most.min(rows) * dim)?;
        for start in (0..rows).step_by(most) {
            let end = (start + most).min(rows);
            let copy = self.noise.view_mut().part(0..(end - start) * dim);
            copy.copy_from(driver, out.as_view().part(start * dim..end * dim))?;
            let (copy, to) = (self.noise.view().part(0..(end - start) * dim), out.again().part(start * dim..end * dim));
            gpu_unit_rows(driver, copy, dim, to, self.norms.view_mut().part(0..end - start))?;
        }
        Ok(())
    }
}

/// Runs of one slot.
fn slots(draws: &[Draw]) -> impl Iterator<Item = (u32, Range<usize>)> + '_ {
    let mut start = 0;
    draws.chunk_by(|a, b| a.slot == b.slot).map(move |run| {
        let range = start..start + run.len();
        start = range.end;
        (run[0].slot, range)
    })
}

/// A copy of `values` in a buffer that grows.
fn put<T: longtail_ops::gpu::Plain, D: Driver>(
    driver: &D,
    to: &mut GpuVec<T, D>,
    values: &[T],
) -> Result<(), GpuError> {
    to.reserve(driver, values.len())?;
    to.view_mut().part(0..values.len()).write(driver, values)
}
