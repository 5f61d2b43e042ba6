//! Buffers that outlive a step.

use longtail_ops::Real;

use crate::plan::Place;

/// A set of buffers whose sizes per image are fixed; they grow with the largest batch seen and are then reused.
#[derive(Debug)]
pub(crate) struct Buffers<T> {
    slots: Vec<Vec<T>>,
}

impl<T> Default for Buffers<T> {
    fn default() -> Self {
        Self { slots: Vec::new() }
    }
}

impl<T: Real> Buffers<T> {
    /// Makes room for `batch` images. Content is not kept.
    pub(crate) fn reserve(&mut self, sizes: &[usize], batch: usize) {
        self.slots.resize_with(sizes.len(), Vec::new);
        for (slot, size) in self.slots.iter_mut().zip(sizes) {
            if slot.len() < size * batch {
                *slot = Vec::new(); // the old one goes first, so that both are never held at once
                slot.resize(size * batch, T::ZERO);
            }
        }
    }

    pub(crate) fn get(&self, slot: usize) -> &[T] {
        &self.slots[slot]
    }

    /// Takes a buffer out, so that it can be written while others are read. It must be put back.
    pub(crate) fn take(&mut self, slot: usize) -> Vec<T> {
        std::mem::take(&mut self.slots[slot])
    }

    pub(crate) fn put(&mut self, slot: usize, buffer: Vec<T>) {
        self.slots[slot] = buffer;
    }

    pub(crate) fn bytes(&self) -> usize {
        self.slots.iter().map(|slot| slot.capacity() * size_of::<T>()).sum()
    }
}

/// The tape's buffers in a pass that fills them, or in one that only reads them.
pub(crate) enum TapeBuffers<'a, T> {
    Filled(&'a mut Buffers<T>),
    Read(&'a Buffers<T>),
}

/// All that a pass from image to features may touch: the image, and the two sets of buffers.
pub(crate) struct Memory<'a, T> {
    pub(crate) images: &'a [T],
    pub(crate) tape: TapeBuffers<'a, T>,
    pub(crate) arena: &'a mut Buffers<T>,
}

impl<T: Real> Memory<'_, T> {
    /// The first `len` elements of what lies there.
    pub(crate) fn get(&self, place: Place, len: usize) -> &[T] {
        match place {
            Place::Image => &self.images[..len],
            Place::Tape(slot) => match &self.tape {
                TapeBuffers::Filled(tape) => &tape.get(slot)[..len],
                TapeBuffers::Read(tape) => &tape.get(slot)[..len],
            },
            Place::Arena(slot) => &self.arena.get(slot)[..len],
            Place::Lazy(_) | Place::Nowhere => unreachable!("the value lies nowhere"),
        }
    }

    pub(crate) fn take(&mut self, place: Place) -> Vec<T> {
        match place {
            Place::Image | Place::Lazy(_) | Place::Nowhere => unreachable!("no pass writes there"),
            Place::Tape(slot) => self.filled().take(slot),
            Place::Arena(slot) => self.arena.take(slot),
        }
    }

    pub(crate) fn put(&mut self, place: Place, buffer: Vec<T>) {
        match place {
            Place::Image | Place::Lazy(_) | Place::Nowhere => unreachable!("no pass writes there"),
            Place::Tape(slot) => self.filled().put(slot, buffer),
            Place::Arena(slot) => self.arena.put(slot, buffer),
        }
    }

    fn filled(&mut self) -> &mut Buffers<T> {
        match &mut self.tape {
            TapeBuffers::Filled(tape) => tape,
            TapeBuffers::Read(_) => unreachable!("what is worked out again is written beside the tape"),
        }
    }
}
