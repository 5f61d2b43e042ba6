//! The losses of a batch at its features, and their gradients there and at the head, on the device.

use longtail_ops::gpu::{
    Driver, GemmSize, GpuCrossEntropy, GpuVec, Matrix, MatrixMut, Total, View, ViewMut, gpu_bias, gpu_column_sums,
    gpu_cross_entropy, gpu_dots, gpu_total, gpu_unit_rows, gpu_unit_rows_tangent,
};
use longtail_training::{ClassificationLoss, CrossEntropy, HeadForm, HeadShape};

use super::buffer::Buffer;
use crate::RepresentationError;

/// A classification loss with what it holds of every class on the device.
#[derive(Debug)]
pub(super) struct DeviceLoss<D: Driver> {
    offsets: Option<GpuVec<f32, D>>,
    class_weights: Option<GpuVec<f32, D>>,
    host: CrossEntropy,
}

impl<D: Driver> DeviceLoss<D> {
    pub(super) fn new(driver: &D, loss: &dyn ClassificationLoss) -> Result<Self, RepresentationError> {
        let Some(loss) = loss.as_cross_entropy() else {
            return Err(super::not_on_device("this loss", "the device knows cross-entropies alone"));
        };
        let on_device = |values: Option<&[f64]>| {
            values.map(|v| GpuVec::of(driver, &v.iter().map(|&v| v as f32).collect::<Vec<f32>>())).transpose()
        };
        Ok(Self {
            offsets: on_device(loss.logit_offsets())?,
            class_weights: on_device(loss.class_weights())?,
            host: loss.clone(),
        })
    }

    /// What the sum over a batch is multiplied with to be its mean.
    pub(super) fn factor(&self, labels: &[u32]) -> f32 {
        (1.0 / self.host.sum_of_weights(labels)) as f32
    }
}

/// Room for what lies between features and losses.
#[derive(Debug)]
pub(super) struct LossRoom<D: Driver> {
    logits: Buffer<f32, D>,
    dlogits: Buffer<f32, D>,
    losses: Buffer<f32, D>,
    unit: Buffer<f32, D>,
    norms: Buffer<f32, D>,
    dunit: Buffer<f32, D>,
    weight: Buffer<f32, D>,
    weight_norms: Buffer<f32, D>,
    dweight: Buffer<f32, D>,
    pub(super) contrast: ContrastRoom<D>,
}

impl<D: Driver> Default for LossRoom<D> {
    fn default() -> Self {
        Self {
            logits: Buffer::default(),
            dlogits: Buffer::default(),
            losses: Buffer::default(),
            unit: Buffer::default(),
            norms: Buffer::default(),
            dunit: Buffer::default(),
            weight: Buffer::default(),
            weight_norms: Buffer::default(),
            dweight: Buffer::default(),
            contrast: ContrastRoom::default(),
        }
    }
}

/// Unit features of the train batch, kept for the meta-gradient, and room.
#[derive(Debug)]
pub(super) struct ContrastRoom<D: Driver> {
    pub(super) unit: Buffer<f32, D>,
    pub(super) norms: Buffer<f32, D>,
    gradient: Buffer<f32, D>,
    along: Buffer<f32, D>,
    squares: Buffer<f32, D>,
    ones: Buffer<f32, D>,
}

impl<D: Driver> Default for ContrastRoom<D> {
    fn default() -> Self {
        Self {
            unit: Buffer::default(),
            norms: Buffer::default(),
            gradient: Buffer::default(),
            along: Buffer::default(),
            squares: Buffer::default(),
            ones: Buffer::default(),
        }
    }
}

/// Features of a batch and its labels, on the device.
#[derive(Debug, Clone, Copy)]
pub(super) struct Batch<'a> {
    pub(super) features: View<'a, f32>,
    pub(super) labels: View<'a, i32>,
}

/// Gradients of the features and of the head, both overwritten.
pub(super) struct Gradients<'a> {
    pub(super) features: ViewMut<'a, f32>,
    pub(super) head: ViewMut<'a, f32>,
}

/// Logits (n, K) of a head, left in `room`; with a cosine head, the unit rows too.
pub(super) fn logits<'a, D: Driver>(
    driver: &D,
    head: &HeadShape,
    weights: View<'_, f32>,
    features: View<'_, f32>,
    room: &'a mut LossRoom<D>,
) -> Result<View<'a, f32>, RepresentationError> {
    let (classes, dim) = (head.num_classes, head.feature_dim);
    let n = features.len() / dim;
    let size = GemmSize { m: n, n: classes, k: dim, batch: 1 };
    let weight = weights.part(0..head.weight_len());
    let mut out = room.logits.room(driver, n * classes)?;
    match head.form {
        HeadForm::Cosine { scale } => {
            let (unit, norms) = (room.unit.room(driver, n * dim)?, room.norms.room(driver, n)?);
            gpu_unit_rows(driver, features, dim, unit, norms)?;
            let (rows, norms) = (room.weight.room(driver, weight.len())?, room.weight_norms.room(driver, classes)?);
            gpu_unit_rows(driver, weight, dim, rows, norms)?;
            let a = Matrix::plain(room.unit.view(), dim);
            let b = Matrix::plain(room.weight.view(), dim).turned();
            driver.gemm(size, scale as f32, a, b, 0.0, MatrixMut::plain(out, classes))?;
        }
        HeadForm::Linear => {
            let b = Matrix::plain(weight, dim).turned();
            driver.gemm(size, 1.0, Matrix::plain(features, dim), b, 0.0, MatrixMut::plain(out.again(), classes))?;
            gpu_bias(driver, out, weights.part(weight.len()..weight.len() + classes), false)?;
        }
        HeadForm::ScaledLinear | HeadForm::NormedLinear => {
            return Err(super::not_on_device(
                format!("a head of form `{}`", head.form.name()),
                "the device has linear and cosine ones",
            ));
        }
    }
    Ok(room.logits.view())
}

/// L_CE of a batch, or a part's share of it, into `value` (or added to it), and its gradients where wanted; `factor` is the whole
/// batch's.
pub(super) fn classification<D: Driver>(
    driver: &D,
    head: &HeadShape,
    weights: View<'_, f32>,
    batch: Batch<'_>,
    (loss, factor): (&DeviceLoss<D>, f32),
    room: &mut LossRoom<D>,
    (value, accumulate): (ViewMut<'_, f32>, bool),
    gradients: Option<Gradients<'_>>,
) -> Result<(), RepresentationError> {
    let (classes, dim, n) = (head.num_classes, head.feature_dim, batch.labels.len());
    logits(driver, head, weights, batch.features, room)?;
    let spec = GpuCrossEntropy {
        labels: batch.labels,
        offsets: loss.offsets.as_ref().map(GpuVec::view),
        class_weights: loss.class_weights.as_ref().map(GpuVec::view),
        row_weights: None,
        smoothing: loss.host.smoothing() as f32,
        factor,
    };
    let losses = room.losses.room(driver, n)?;
    let wanted = gradients.is_some();
    let dlogits = if wanted { Some(room.dlogits.room(driver, n * classes)?) } else { None };
    gpu_cross_entropy(driver, &spec, room.logits.view(), classes, losses, dlogits)?;
    gpu_total(driver, room.losses.view(), Total::Sum, factor, accumulate, value)?;
    let Some(Gradients { features: dfeatures, head: dhead }) = gradients else { return Ok(()) };
    let dlogits = Matrix::plain(room.dlogits.view(), classes);
    let by_feature = GemmSize { m: n, n: dim, k: classes, batch: 1 };
    let by_weight = GemmSize { m: classes, n: dim, k: n, batch: 1 };
    let (dweight, dbias) = dhead.split_at(head.weight_len());
    match head.form {
        HeadForm::Cosine { scale } => {
            let scale = scale as f32;
            let dunit = room.dunit.room(driver, n * dim)?;
            let b = Matrix::plain(room.weight.view(), dim);
            driver.gemm(by_feature, scale, dlogits, b, 0.0, MatrixMut::plain(dunit, dim))?;
            let unit = (room.unit.view(), room.norms.view());
            gpu_unit_rows_tangent(driver, room.dunit.view(), unit.0, unit.1, dim, 1.0, false, dfeatures)?;
            let to = room.dweight.room(driver, classes * dim)?;
            let b = Matrix::plain(room.unit.view(), dim);
            driver.gemm(by_weight, scale, dlogits.turned(), b, 0.0, MatrixMut::plain(to, dim))?;
            let rows = (room.weight.view(), room.weight_norms.view());
            gpu_unit_rows_tangent(driver, room.dweight.view(), rows.0, rows.1, dim, 1.0, false, dweight)?;
        }
        _ => {
            let b = Matrix::plain(weights.part(0..head.weight_len()), dim);
            driver.gemm(by_feature, 1.0, dlogits, b, 0.0, MatrixMut::plain(dfeatures, dim))?;
            let b = Matrix::plain(batch.features, dim);
            driver.gemm(by_weight, 1.0, dlogits.turned(), b, 0.0, MatrixMut::plain(dweight, dim))?;
            gpu_column_sums(driver, room.dlogits.view(), dbias)?;
        }
    }
    Ok(())
}

/// Unit features of a batch, left in the room for [`contrast`].
pub(super) fn unit_features<D: Driver>(
    driver: &D,
    batch: Batch<'_>,
    dim: usize,
    room: &mut LossRoom<D>,
) -> Result<(), RepresentationError> {
    let ContrastRoom { unit, norms, .. } = &mut room.contrast;
    let (unit, norms) = (unit.room(driver, batch.features.len())?, norms.room(driver, batch.labels.len())?);
    Ok(gpu_unit_rows(driver, batch.features, dim, unit, norms)?)
}

/// What a batch is contrasted with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Contrast<'a> {
    /// ĉ or ĉ' of the seen classes, (K_seen, d), unit rows.
    pub(super) prototypes: View<'a, f32>,
    /// Each image's class as its place among the seen ones, below zero for the others, (n).
    pub(super) targets: View<'a, i32>,
    pub(super) tau: f32,
    /// n of the mean: the whole batch.
    pub(super) batch: usize,
}

/// L_PC of a batch, or a part's share of it, whose unit features lie in the room, into `value`; `λ` times its gradient added to `dfeatures`, and the mean
/// pull on the features (‖∂ℓ_i/∂u_i‖ along the sphere) into `pull`, where wanted.
pub(super) fn contrast<D: Driver>(
    driver: &D,
    dim: usize,
    contrast: Contrast<'_>,
    room: &mut LossRoom<D>,
    (value, accumulate): (ViewMut<'_, f32>, bool),
    gradient: Option<(f64, ViewMut<'_, f32>, ViewMut<'_, f32>)>,
) -> Result<(), RepresentationError> {
    let (n, classes) = (contrast.targets.len(), contrast.prototypes.len() / dim);
    let prototypes = Matrix::plain(contrast.prototypes, dim);
    let size = GemmSize { m: n, n: classes, k: dim, batch: 1 };
    let s = room.logits.room(driver, n * classes)?;
    let unit = Matrix::plain(room.contrast.unit.view(), dim);
    driver.gemm(size, 1.0 / contrast.tau, unit, prototypes.turned(), 0.0, MatrixMut::plain(s, classes))?;
    let factor = 1.0 / contrast.batch as f32;
    let spec = GpuCrossEntropy {
        labels: contrast.targets,
        offsets: None,
        class_weights: None,
        row_weights: None,
        smoothing: 0.0,
        factor,
    };
    let losses = room.losses.room(driver, n)?;
    let dlogits = if gradient.is_some() { Some(room.dlogits.room(driver, n * classes)?) } else { None };
    gpu_cross_entropy(driver, &spec, room.logits.view(), classes, losses, dlogits)?;
    gpu_total(driver, room.losses.view(), Total::Sum, factor, accumulate, value)?;
    let Some((lambda, dfeatures, pull)) = gradient else { return Ok(()) };
    let ContrastRoom { unit, norms, gradient, along, squares, ones } = &mut room.contrast;
    let (size, dlogits) =
        (GemmSize { m: n, n: dim, k: classes, batch: 1 }, Matrix::plain(room.dlogits.view(), classes));
    let to = MatrixMut::plain(gradient.room(driver, n * dim)?, dim);
    driver.gemm(size, 1.0 / contrast.tau, dlogits, prototypes, 0.0, to)?;
    // First its part along the sphere alone, then what that does to the features.
    if ones.len() < n {
        ones.room(driver, n)?.write(driver, &vec![1.0; n])?;
    }
    let ones = ones.view().part(0..n);
    let sphere = along.room(driver, n * dim)?;
    gpu_unit_rows_tangent(driver, gradient.view(), unit.view(), ones, dim, 1.0, false, sphere)?;
    gpu_dots(driver, along.view(), along.view(), dim, squares.room(driver, n)?)?;
    gpu_total(driver, squares.view(), Total::Roots, 1.0, accumulate, pull)?;
    let unit = (unit.view(), norms.view());
    gpu_unit_rows_tangent(driver, along.view(), unit.0, unit.1, dim, lambda as f32, true, dfeatures)?;
    Ok(())
}
