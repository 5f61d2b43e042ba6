//! Buffers of the network on a device, and what becomes bfloat16 on its way to a convolution.

use half::bf16;
use longtail_ops::gpu::{Activation, Driver, Element, GpuVec, Plain, View, ViewMut, gpu_narrow, gpu_widen};

use crate::error::BackboneError;
use crate::plan::Place;

/// What is narrowed before a convolution sees it, or widened after.
#[derive(Debug)]
pub(super) struct Narrow<D: Driver> {
    pub(super) weights: GpuVec<bf16, D>,
    pub(super) direction: GpuVec<bf16, D>,
    pub(super) dweight: GpuVec<bf16, D>,
    pub(super) images: GpuVec<bf16, D>,
}

impl<D: Driver> Default for Narrow<D> {
    fn default() -> Self {
        Self {
            weights: GpuVec::default(),
            direction: GpuVec::default(),
            dweight: GpuVec::default(),
            images: GpuVec::default(),
        }
    }
}

/// `values` as a convolution takes them: they themselves, or a copy in `room`.
pub(super) fn narrowed<'a, A: Activation, D: Driver>(
    driver: &D,
    values: View<'a, f32>,
    room: &'a mut GpuVec<bf16, D>,
) -> Result<View<'a, A>, BackboneError> {
    if A::ELEMENT == Element::F32 {
        return Ok(values.of());
    }
    room.reserve(driver, values.len())?;
    gpu_narrow(driver, values, room.view_mut().part(0..values.len()))?;
    Ok(room.view().part(0..values.len()).of())
}

/// The gradient of a weight, which `run` writes: straight to `to`, or by way of `room`.
pub(super) fn widened<A: Activation, D: Driver>(
    driver: &D,
    to: ViewMut<'_, f32>,
    room: &mut GpuVec<bf16, D>,
    run: impl FnOnce(ViewMut<'_, A>) -> Result<(), BackboneError>,
) -> Result<(), BackboneError> {
    if A::ELEMENT == Element::F32 {
        return run(to.of());
    }
    room.reserve(driver, to.len())?;
    run(room.view_mut().part(0..to.len()).of())?;
    Ok(gpu_widen(driver, room.view().part(0..to.len()), to)?)
}

/// Numbers of a buffer.
pub(super) fn numbers<T: Plain, D: Driver>(buffer: &GpuVec<u8, D>, len: usize) -> View<'_, T> {
    buffer.view().part(0..len * size_of::<T>()).of()
}

/// Numbers of a buffer, to write.
pub(super) fn numbers_mut<T: Plain, D: Driver>(buffer: &mut GpuVec<u8, D>, len: usize) -> ViewMut<'_, T> {
    buffer.view_mut().part(0..len * size_of::<T>()).of()
}

/// Buffers by number. One holds activations at one time and pooled values at another.
#[derive(Debug)]
pub(super) struct Slots<D: Driver> {
    slots: Vec<GpuVec<u8, D>>,
}

impl<D: Driver> Default for Slots<D> {
    fn default() -> Self {
        Self { slots: Vec::new() }
    }
}

impl<D: Driver> Slots<D> {
    /// Room for `sizes` activations an image, or `pooled` pooled values.
    pub(super) fn reserve(
        &mut self,
        driver: &D,
        sizes: &[usize],
        (element, pooled): (Element, usize),
        batch: usize,
    ) -> Result<(), BackboneError> {
        self.slots.resize_with(sizes.len(), GpuVec::default);
        for (slot, size) in self.slots.iter_mut().zip(sizes) {
            slot.reserve(driver, batch * (size * element.bytes()).max(pooled * size_of::<f32>()))?;
        }
        Ok(())
    }

    pub(super) fn view<T: Plain>(&self, slot: usize, len: usize) -> View<'_, T> {
        numbers(&self.slots[slot], len)
    }

    /// All of a buffer.
    pub(super) fn bytes(&self, slot: usize) -> View<'_, u8> {
        self.slots[slot].view()
    }

    /// Takes a buffer out, so that it can be written while others are read. It must be put back.
    pub(super) fn take(&mut self, slot: usize) -> GpuVec<u8, D> {
        std::mem::take(&mut self.slots[slot])
    }

    pub(super) fn put(&mut self, slot: usize, buffer: GpuVec<u8, D>) {
        self.slots[slot] = buffer;
    }
}

/// A tape as a pass from images to features meets it.
pub(super) enum TapeSlots<'a, D: Driver> {
    /// It needs none.
    None,
    /// It fills it.
    Filled(&'a mut Slots<D>),
    /// It reads what was filled.
    Read(&'a Slots<D>),
}

/// What a pass from images to features may touch.
pub(super) struct Memory<'a, D: Driver> {
    /// Bytes of activations.
    pub(super) images: View<'a, u8>,
    pub(super) tape: TapeSlots<'a, D>,
    pub(super) arena: &'a mut Slots<D>,
}

impl<D: Driver> Memory<'_, D> {
    /// The numbers that lie there.
    pub(super) fn get<T: Plain>(&self, place: Place, len: usize) -> View<'_, T> {
        self.bytes(place).part(0..len * size_of::<T>()).of()
    }

    /// All of the buffer there.
    pub(super) fn bytes(&self, place: Place) -> View<'_, u8> {
        match place {
            Place::Image => self.images,
            Place::Tape(slot) => match &self.tape {
                TapeSlots::Filled(tape) => tape.bytes(slot),
                TapeSlots::Read(tape) => tape.bytes(slot),
                TapeSlots::None => unreachable!("a pass without a tape has no place there"),
            },
            Place::Arena(slot) => self.arena.bytes(slot),
            Place::Lazy(_) | Place::Nowhere => unreachable!("every value is stored"),
        }
    }

    fn slots(&mut self, place: Place) -> (&mut Slots<D>, usize) {
        match place {
            Place::Tape(slot) => match &mut self.tape {
                TapeSlots::Filled(tape) => (tape, slot),
                TapeSlots::Read(_) | TapeSlots::None => unreachable!("only the forward pass writes to a tape"),
            },
            Place::Arena(slot) => (self.arena, slot),
            Place::Image | Place::Lazy(_) | Place::Nowhere => unreachable!("no pass writes there"),
        }
    }

    pub(super) fn take(&mut self, place: Place) -> GpuVec<u8, D> {
        let (slots, slot) = self.slots(place);
        slots.take(slot)
    }

    pub(super) fn put(&mut self, place: Place, buffer: GpuVec<u8, D>) {
        let (slots, slot) = self.slots(place);
        slots.put(slot, buffer);
    }
}
