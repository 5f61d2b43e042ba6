//! Convolutions on a device: by a library where there is one, else as a matrix product of patches.

use super::gemm::{GemmSize, Matrix, MatrixMut};
use super::memory::{Activation, GpuVec, View, ViewMut};
use super::{Argument, Driver, GpuError, check_len, int, launch_each};
use crate::ConvShape;

/// Most elements of a matrix of patches: 256 MiB. Larger batches go in parts.
const MOST_COLUMNS: usize = 1 << 26;

/// One pass of a convolution. Weights are `(O, k, k, I/groups)`.
#[derive(Debug)]
pub enum ConvPass<'a, A = f32> {
    /// `y ← x ∗ weight`, or added to `y`.
    Forward {
        /// `(N, H, W, I)`
        x: View<'a, A>,
        /// Weight of the convolution.
        weight: View<'a, A>,
        /// `(N, H', W', O)`
        y: ViewMut<'a, A>,
        /// Whether it is added.
        accumulate: bool,
    },
    /// The gradient for the input, or added to `dx`.
    InputGradient {
        /// `(N, H', W', O)`
        dy: View<'a, A>,
        /// Weight of the convolution.
        weight: View<'a, A>,
        /// `(N, H, W, I)`
        dx: ViewMut<'a, A>,
        /// Whether it is added.
        accumulate: bool,
    },
    /// The gradient for the weight.
    WeightGradient {
        /// `(N, H, W, I)`
        x: View<'a, A>,
        /// `(N, H', W', O)`
        dy: View<'a, A>,
        /// Gradient of the weight, with the shape of the weight.
        dweight: ViewMut<'a, A>,
    },
}

impl<A: Activation> ConvPass<'_, A> {
    /// Panics where lengths do not fit.
    fn check(&self, s: &ConvShape) {
        s.check();
        let (input, weight, output) = match self {
            Self::Forward { x, weight, y, .. } => (x.len(), weight.len(), y.len()),
            Self::InputGradient { dy, weight, dx, .. } => (dx.len(), weight.len(), dy.len()),
            Self::WeightGradient { x, dy, dweight } => (x.len(), dweight.len(), dy.len()),
        };
        check_len("conv", "the input", input, s.input_len());
        check_len("conv", "the weight", weight, s.weight_len());
        check_len("conv", "the output", output, s.output_len());
    }

    /// The same, for a shorter time.
    fn again(&mut self) -> ConvPass<'_, A> {
        match self {
            Self::Forward { x, weight, y, accumulate } => {
                ConvPass::Forward { x: *x, weight: *weight, y: y.again(), accumulate: *accumulate }
            }
            Self::InputGradient { dy, weight, dx, accumulate } => {
                ConvPass::InputGradient { dy: *dy, weight: *weight, dx: dx.again(), accumulate: *accumulate }
            }
            Self::WeightGradient { x, dy, dweight } => {
                ConvPass::WeightGradient { x: *x, dy: *dy, dweight: dweight.again() }
            }
        }
    }
}

/// Runs convolutions; holds the patches.
#[derive(Debug)]
pub struct GpuConv<D: Driver> {
    /// Bytes: activations of either sort.
    columns: GpuVec<u8, D>,
}

impl<D: Driver> Default for GpuConv<D> {
    fn default() -> Self {
        Self { columns: GpuVec::default() }
    }
}

impl<D: Driver> GpuConv<D> {
    /// Runs one pass of the convolution.
    ///
    /// # Errors
    /// The device's.
    ///
    /// # Panics
    /// If lengths do not fit, or the shape is not possible.
    pub fn run<A: Activation>(&mut self, driver: &D, s: &ConvShape, mut pass: ConvPass<'_, A>) -> Result<(), GpuError> {
        pass.check(s);
        if driver.library_conv(s, pass.again())? { Ok(()) } else { self.by_patches(driver, s, pass) }
    }

    fn by_patches<A: Activation>(
        &mut self,
        driver: &D,
        s: &ConvShape,
        mut pass: ConvPass<'_, A>,
    ) -> Result<(), GpuError> {
        let (pixels, row) = (s.out_height() * s.out_width(), s.groups * s.patch_len());
        let images = (MOST_COLUMNS / (pixels * row)).clamp(1, s.batch.max(1));
        let (x_len, y_len) = (s.height * s.width * s.in_channels, pixels * s.out_channels);
        for first in (0..s.batch).step_by(images) {
            let count = images.min(s.batch - first);
            let part = ConvShape { batch: count, ..*s };
            let (of_x, of_y) = (first * x_len..(first + count) * x_len, first * y_len..(first + count) * y_len);
            self.columns.reserve(driver, count * pixels * row * size_of::<A>())?;
            match pass.again() {
                ConvPass::Forward { x, weight, y, accumulate } => {
                    self.fill(driver, &part, x.part(of_x))?;
                    self.forward(driver, &part, weight, y.part(of_y), accumulate)?;
                }
                ConvPass::InputGradient { dy, weight, dx, accumulate } => {
                    self.spread(driver, &part, dy.part(of_y), weight)?;
                    self.gather(driver, &part, dx.part(of_x), accumulate)?;
                }
                ConvPass::WeightGradient { x, dy, dweight } => {
                    self.fill(driver, &part, x.part(of_x))?;
                    self.weight_gradient(driver, &part, dy.part(of_y), dweight, first > 0)?;
                }
            }
        }
        Ok(())
    }

    fn sizes(s: &ConvShape) -> [Argument; 11] {
        let (height, width) = (s.out_height(), s.out_width());
        [s.batch, s.height, s.width, s.in_channels, s.kernel, s.stride, s.padding, s.dilation, s.groups, height, width]
            .map(int)
    }

    fn columns_len(s: &ConvShape) -> usize {
        s.batch * s.out_height() * s.out_width() * s.groups * s.patch_len()
    }

    /// Patches of `x`.
    #[allow(unsafe_code)]
    fn fill<A: Activation>(&mut self, driver: &D, s: &ConvShape, x: View<'_, A>) -> Result<(), GpuError> {
        let arguments = [&[x.argument()][..], &Self::sizes(s), &[self.columns.view_mut().argument()]].concat();
        // SAFETY: `x` is a batch of this shape, and the columns were made long enough.
        unsafe { launch_each(driver, A::kernel(["patches", "patches_bf16"]), Self::columns_len(s), &arguments) }
    }

    /// The adjoint of `fill`.
    #[allow(unsafe_code)]
    fn gather<A: Activation>(
        &self,
        driver: &D,
        s: &ConvShape,
        dx: ViewMut<'_, A>,
        accumulate: bool,
    ) -> Result<(), GpuError> {
        let last = [Argument::Int(i32::from(accumulate)), dx.argument()];
        let arguments = [&[self.columns.view().argument()][..], &Self::sizes(s), &last].concat();
        // SAFETY: `dx` is a batch of this shape, and the columns were made long enough.
        unsafe {
            launch_each(driver, A::kernel(["patches_gradient", "patches_gradient_bf16"]), s.input_len(), &arguments)
        }
    }

    /// The patches of a batch.
    fn patches<A: Activation>(&self, s: &ConvShape) -> View<'_, A> {
        self.columns.view().part(0..Self::columns_len(s) * size_of::<A>()).of()
    }

    /// The patches as matrices, one a group.
    fn matrix<'a, A: Activation>(columns: View<'a, A>, s: &ConvShape) -> Matrix<'a, A> {
        Matrix { view: columns, row: s.groups * s.patch_len(), next: s.patch_len(), turned: false }
    }

    /// A weight as matrices, one a group: its outputs are the rows.
    fn weights<'a, A: Activation>(weight: View<'a, A>, s: &ConvShape) -> Matrix<'a, A> {
        let outputs = s.out_channels / s.groups;
        Matrix { view: weight, row: s.patch_len(), next: outputs * s.patch_len(), turned: false }
    }

    /// Outputs as matrices, one a group.
    fn outputs<'a, A: Activation>(y: View<'a, A>, s: &ConvShape) -> Matrix<'a, A> {
        Matrix { view: y, row: s.out_channels, next: s.out_channels / s.groups, turned: false }
    }

    fn rows(s: &ConvShape) -> usize {
        s.batch * s.out_height() * s.out_width()
    }

    fn forward<A: Activation>(
        &self,
        driver: &D,
        s: &ConvShape,
        weight: View<'_, A>,
        y: ViewMut<'_, A>,
        accumulate: bool,
    ) -> Result<(), GpuError> {
        let outputs = s.out_channels / s.groups;
        let size = GemmSize { m: Self::rows(s), n: outputs, k: s.patch_len(), batch: s.groups };
        let c = MatrixMut { view: y, row: s.out_channels, next: outputs };
        let beta = f32::from(u8::from(accumulate));
        driver.gemm(size, 1.0, Self::matrix(self.patches::<A>(s), s), Self::weights(weight, s).turned(), beta, c)
    }

    fn spread<A: Activation>(
        &mut self,
        driver: &D,
        s: &ConvShape,
        dy: View<'_, A>,
        weight: View<'_, A>,
    ) -> Result<(), GpuError> {
        let size = GemmSize { m: Self::rows(s), n: s.patch_len(), k: s.out_channels / s.groups, batch: s.groups };
        let columns = self.columns.view_mut().part(0..Self::columns_len(s) * size_of::<A>()).of::<A>();
        let c = MatrixMut { view: columns, row: s.groups * s.patch_len(), next: s.patch_len() };
        driver.gemm(size, 1.0, Self::outputs(dy, s), Self::weights(weight, s), 0.0, c)
    }

    fn weight_gradient<A: Activation>(
        &self,
        driver: &D,
        s: &ConvShape,
        dy: View<'_, A>,
        dweight: ViewMut<'_, A>,
        accumulate: bool,
    ) -> Result<(), GpuError> {
        let outputs = s.out_channels / s.groups;
        let size = GemmSize { m: outputs, n: s.patch_len(), k: Self::rows(s), batch: s.groups };
        let c = MatrixMut { view: dweight, row: s.patch_len(), next: outputs * s.patch_len() };
        let beta = f32::from(u8::from(accumulate));
        driver.gemm(size, 1.0, Self::outputs(dy, s).turned(), Self::matrix(self.patches::<A>(s), s), beta, c)
    }
}
