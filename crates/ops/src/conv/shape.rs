//! The shape of a convolution.

/// Everything that a convolution's sizes depend on. Kernels are square, and so are stride, padding
/// and dilation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvShape {
    /// Number of images in the batch.
    pub batch: usize,
    /// Rows of the input.
    pub height: usize,
    /// Columns of the input.
    pub width: usize,
    /// Channels of the input.
    pub in_channels: usize,
    /// Channels of the output.
    pub out_channels: usize,
    /// Rows and columns of the kernel.
    pub kernel: usize,
    /// Steps between outputs, in input pixels; at least 1.
    pub stride: usize,
    /// Zeros on each side.
    pub padding: usize,
    /// Steps between taps, in input pixels; at least 1.
    pub dilation: usize,
    /// Groups: output channels of a group see input channels of that group only.
    pub groups: usize,
}

impl ConvShape {
    /// Panics in words when the shape is not possible: a zero size, groups that do not divide the
    /// channels, or a kernel that reaches beyond the padded input.
    pub fn check(&self) {
        assert!(
            [self.height, self.width, self.in_channels, self.out_channels, self.kernel, self.stride, self.dilation]
                .iter()
                .all(|&size| size > 0),
            "conv2d: a size is zero in {self:?}"
        );
        assert!(
            self.groups > 0
                && self.in_channels.is_multiple_of(self.groups)
                && self.out_channels.is_multiple_of(self.groups),
            "conv2d: {} groups do not divide the channels in {self:?}",
            self.groups
        );
        assert!(
            self.height.min(self.width) + 2 * self.padding >= self.reach(),
            "conv2d: the kernel reaches beyond the padded input in {self:?}"
        );
    }

    /// Input pixels from the first tap to the last, both counted.
    pub(crate) fn reach(&self) -> usize {
        self.dilation * (self.kernel - 1) + 1
    }

    /// Rows of the output.
    pub fn out_height(&self) -> usize {
        (self.height + 2 * self.padding - self.reach()) / self.stride + 1
    }

    /// Columns of the output.
    pub fn out_width(&self) -> usize {
        (self.width + 2 * self.padding - self.reach()) / self.stride + 1
    }

    /// Elements of the weight `(O, I/groups, k, k)`.
    pub fn weight_len(&self) -> usize {
        self.out_channels * self.patch_len()
    }

    /// Elements of the input `(N, H, W, I)`.
    pub fn input_len(&self) -> usize {
        self.batch * self.height * self.width * self.in_channels
    }

    /// Elements of the output `(N, H', W', O)`.
    pub fn output_len(&self) -> usize {
        self.batch * self.out_height() * self.out_width() * self.out_channels
    }

    /// Floating-point operations of one pass: two for each multiply-add, padding taps counted.
    pub fn flops(&self) -> usize {
        2 * self.output_len() * self.patch_len()
    }

    /// Input channels of a group.
    pub(crate) fn group_in(&self) -> usize {
        self.in_channels / self.groups
    }

    /// Inputs that one output is a sum over.
    pub(crate) fn patch_len(&self) -> usize {
        self.group_in() * self.kernel * self.kernel
    }

    /// A plain matrix product: one tap, every pixel, no border.
    pub(crate) fn is_pointwise(&self) -> bool {
        self.kernel == 1 && self.stride == 1 && self.padding == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_by_hand() {
        let s = ConvShape {
            batch: 2,
            height: 7,
            width: 8,
            in_channels: 4,
            out_channels: 6,
            kernel: 3,
            stride: 2,
            padding: 1,
            dilation: 1,
            groups: 2,
        };
        s.check();
        assert_eq!((s.out_height(), s.out_width()), (4, 4));
        assert_eq!((s.input_len(), s.output_len(), s.weight_len()), (448, 192, 108));
        assert_eq!(s.flops(), 2 * 192 * 18);
        assert_eq!(ConvShape { dilation: 2, ..s }.out_height(), 3);
    }

    #[test]
    #[should_panic(expected = "reaches beyond")]
    fn a_kernel_larger_than_the_image_is_refused() {
        ConvShape {
            batch: 1,
            height: 2,
            width: 8,
            in_channels: 1,
            out_channels: 1,
            kernel: 3,
            stride: 1,
            padding: 0,
            dilation: 1,
            groups: 1,
        }
        .check();
    }
}
