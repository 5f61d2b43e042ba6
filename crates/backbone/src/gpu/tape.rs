//! What a forward pass leaves on the device for the passes after it.

use std::ops::Range;

use longtail_images::ImageShape;
use longtail_ops::gpu::{Driver, Element, GpuVec, NormNumbers, Plain, View, gpu_narrow};

use super::memory::{Slots, numbers, numbers_mut};
use super::{GpuNetwork, pooled_values};
use crate::arch::Architecture;
use crate::error::BackboneError;
use crate::node::Value;
use crate::plan::Place;

/// Mean, 1/√(variance + ε), scale and shift of every channel of every batch norm, as used.
#[derive(Debug)]
pub(super) struct Numbers<D: Driver> {
    pub(super) mean: GpuVec<f32, D>,
    pub(super) inv_std: GpuVec<f32, D>,
    pub(super) scale: GpuVec<f32, D>,
    pub(super) shift: GpuVec<f32, D>,
}

impl<D: Driver> Numbers<D> {
    pub(super) fn new(driver: &D, channels: usize) -> Result<Self, BackboneError> {
        let vec = || GpuVec::zeros(driver, channels);
        Ok(Self { mean: vec()?, inv_std: vec()?, scale: vec()?, shift: vec()? })
    }

    pub(super) fn part_mut(&mut self, channels: &Range<usize>) -> NormNumbers<'_> {
        NormNumbers {
            mean: self.mean.view_mut().part(channels.clone()),
            inv_std: self.inv_std.view_mut().part(channels.clone()),
            scale: self.scale.view_mut().part(channels.clone()),
            shift: self.shift.view_mut().part(channels.clone()),
        }
    }
}

/// Which network filled a tape.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Origin {
    pub(super) architecture: Architecture,
    pub(super) image: ImageShape,
    pub(super) element: Element,
    pub(super) checkpointing: bool,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { architecture, image, element, checkpointing } = self;
        let cut = if *checkpointing { ", with activation checkpointing" } else { "" };
        write!(f, "{architecture} on images of {image} in {element:?}{cut}")
    }
}

/// The activations of one forward pass on the device; with activation checkpointing those at the cuts.
#[derive(Debug)]
pub struct GpuTape<D: Driver> {
    pub(super) origin: Option<Origin>,
    batch: usize,
    pub(super) batch_stats: bool,
    /// Bytes of activations.
    pub(super) images: GpuVec<u8, D>,
    pub(super) buffers: Slots<D>,
    pub(super) numbers: Numbers<D>,
    pub(super) winners: GpuVec<u8, D>,
    /// Buffer and length of the features.
    features: (usize, usize),
}

impl<D: Driver> GpuTape<D> {
    /// An empty tape for a network.
    ///
    /// # Errors
    /// No memory.
    pub fn new(network: &GpuNetwork<D>) -> Result<Self, BackboneError> {
        Ok(Self {
            origin: None,
            batch: 0,
            batch_stats: false,
            images: GpuVec::default(),
            buffers: Slots::default(),
            numbers: Numbers::new(&network.driver, network.graph.norm_channels)?,
            winners: GpuVec::default(),
            features: (0, 0),
        })
    }

    /// The features `(n, d)`; empty before the first forward pass.
    pub fn features(&self) -> View<'_, f32> {
        match self.origin {
            Some(_) => self.buffers.view(self.features.0, self.features.1),
            None => self.images.view().part(0..0).of(),
        }
    }

    /// Images in the batch.
    pub fn batch(&self) -> usize {
        self.batch
    }

    pub(super) fn prepare(
        &mut self,
        network: &GpuNetwork<D>,
        images: View<'_, f32>,
        batch: usize,
        batch_stats: bool,
    ) -> Result<(), BackboneError> {
        let (driver, graph, plan) = (&network.driver, &network.graph, &network.plan);
        self.origin = None; // until the pass is through
        self.images.reserve(driver, images.len() * network.element.bytes())?;
        match network.element {
            Element::F32 => numbers_mut(&mut self.images, images.len()).copy_from(driver, images)?,
            Element::Bf16 => gpu_narrow(driver, images, numbers_mut(&mut self.images, images.len()))?,
        }
        self.buffers.reserve(driver, &plan.tape, (network.element, pooled_values(graph)), batch)?;
        self.winners.reserve(driver, batch * graph.winners)?;
        let Place::Tape(slot) = plan.forward.values[graph.output.0] else {
            unreachable!("the tape keeps the features")
        };
        self.features = (slot, graph.len(graph.output, batch));
        (self.batch, self.batch_stats) = (batch, batch_stats);
        Ok(())
    }

    /// What was stored there, from the tape or from what of it was worked out again.
    pub(super) fn get<'a, T: Plain>(&'a self, inside: &'a Slots<D>, stored: Stored) -> View<'a, T> {
        match stored.place {
            Place::Image => numbers(&self.images, stored.len),
            Place::Tape(slot) => self.buffers.view(slot, stored.len),
            Place::Arena(slot) => inside.view(slot, stored.len),
            Place::Lazy(_) | Place::Nowhere => unreachable!("what a later pass reads lies on the tape or inside"),
        }
    }
}

/// Where a later pass finds what the forward pass made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stored {
    place: Place,
    len: usize,
}

impl<D: Driver> GpuNetwork<D> {
    /// A value, of a batch.
    pub(super) fn stored(&self, value: Value, batch: usize) -> Stored {
        Stored { place: self.plan.record.values[value.0], len: self.graph.len(value, batch) }
    }

    /// The output of a node's convolution.
    pub(super) fn stored_conv(&self, node: usize, batch: usize) -> Stored {
        let output = self.graph.conv_norm(node).output;
        Stored { place: self.plan.record.convs[node], len: self.graph.len(output, batch) }
    }
}
