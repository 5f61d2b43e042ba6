//! ResNet-32 written with candle's own layers, and one training step of it by candle's autograd.

use anyhow::{Result, bail};
use candle_core::{D, DType, Device, Tensor, Var};
use candle_nn::{
    BatchNorm, Conv2d, Conv2dConfig, Linear, Module, ModuleT, VarBuilder, VarMap, batch_norm, conv2d_no_bias, linear,
    loss,
};

use crate::case::{Case, Repetition, timed};

const WIDTHS: [usize; 3] = [16, 32, 64];
const BLOCKS_A_STAGE: usize = 5;
const LR: f64 = 1e-3;
const MOMENTUM: f64 = 0.9;
const WEIGHT_DECAY: f64 = 5e-4;

/// A 3×3 convolution and its batch norm.
struct ConvNorm(Conv2d, BatchNorm);

impl ConvNorm {
    fn new(inputs: usize, outputs: usize, stride: usize, vars: VarBuilder) -> candle_core::Result<Self> {
        let config = Conv2dConfig { padding: 1, stride, ..Default::default() };
        let conv = conv2d_no_bias(inputs, outputs, 3, config, vars.pp("conv"))?;
        Ok(Self(conv, batch_norm(outputs, 1e-5, vars.pp("norm"))?))
    }

    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        self.1.forward_t(&self.0.forward(x)?, true)
    }
}

struct Resnet32 {
    stem: ConvNorm,
    blocks: Vec<[ConvNorm; 2]>,
    head: Linear,
}

impl Resnet32 {
    fn new(classes: usize, vars: &VarBuilder) -> candle_core::Result<Self> {
        let stem = ConvNorm::new(3, WIDTHS[0], 1, vars.pp("stem"))?;
        let mut blocks = Vec::new();
        let mut inputs = WIDTHS[0];
        for width in WIDTHS {
            for _ in 0..BLOCKS_A_STAGE {
                let vars = vars.pp(format!("block{}", blocks.len()));
                let stride = if inputs == width { 1 } else { 2 };
                let first = ConvNorm::new(inputs, width, stride, vars.pp("first"))?;
                blocks.push([first, ConvNorm::new(width, width, 1, vars.pp("second"))?]);
                inputs = width;
            }
        }
        Ok(Self { stem, blocks, head: linear(inputs, classes, vars.pp("head"))? })
    }

    fn forward(&self, images: &Tensor) -> candle_core::Result<Tensor> {
        let mut x = self.stem.forward(images)?.relu()?;
        for [first, second] in &self.blocks {
            let y = second.forward(&first.forward(&x)?.relu()?)?;
            let shortcut = if y.shape() == x.shape() { x } else { every_second_pixel(&x)? };
            x = (y + shortcut)?.relu()?;
        }
        self.head.forward(&x.mean((D::Minus2, D::Minus1))?)
    }
}

/// The option-A shortcut: every second row and column, and as many channels of zeros again.
fn every_second_pixel(x: &Tensor) -> candle_core::Result<Tensor> {
    let (n, channels, height, width) = x.dims4()?;
    let (height, width) = (height / 2, width / 2);
    let pairs = x.reshape((n * channels, height, 2, 2 * width))?.narrow(2, 0, 1)?.contiguous()?;
    let kept = pairs.reshape((n * channels, height, width, 2))?.narrow(3, 0, 1)?.contiguous()?;
    kept.reshape((n, channels, height, width))?.pad_with_zeros(1, channels / 2, channels / 2)
}

/// Forward, backward, and SGD with momentum written out, since candle's own has none.
pub fn step(case: &Case) -> Result<Repetition> {
    if case.word("net")? != "resnet32" {
        bail!("candle's side is written for resnet32 alone");
    }
    let (batch, size, classes) = (case.number("batch")?, case.number("size")?, case.number("classes")?);
    let device = Device::Cpu;
    let vars = VarMap::new();
    let network = Resnet32::new(classes, &VarBuilder::from_varmap(&vars, DType::F32, &device))?;
    let images = Tensor::randn(0f32, 1f32, (batch, 3, size, size), &device)?;
    let labels = Tensor::from_iter((0..batch).map(|index| (index % classes) as u32), &device)?;
    let mut velocities: Vec<(Var, Tensor)> =
        vars.all_vars().into_iter().map(|var| Ok((var.clone(), var.zeros_like()?))).collect::<Result<_>>()?;
    Ok(Box::new(move || {
        timed(|| {
            let gradients = loss::cross_entropy(&network.forward(&images)?, &labels)?.backward()?;
            for (var, velocity) in &mut velocities {
                if let Some(gradient) = gradients.get(var) {
                    let decayed = (gradient + (var.as_detached_tensor() * WEIGHT_DECAY)?)?;
                    *velocity = ((&*velocity * MOMENTUM)? + decayed)?;
                    var.set(&(var.as_detached_tensor() - (&*velocity * LR)?)?)?;
                }
            }
            Ok::<_, candle_core::Error>(())
        })
    }))
}
