//! Copies that run beside the device's work: the next batch goes there while it works on this one, and what it made of the last comes
//! back without a wait for what was asked for since.

use std::collections::VecDeque;

use super::memory::{Plain, View, ViewMut, bytes_of, bytes_of_mut};
use super::{Driver, GpuError, GpuVec};

/// A batch on the device, and the one that the device may still be at work on.
///
/// [`Uploads::write`] copies while everything that was asked for before is still under way, and changes no bit.
#[derive(Debug)]
pub struct Uploads<T: Plain, D: Driver> {
    slots: [Slot<T, D>; 2],
    /// The slot of the last batch.
    now: usize,
    /// Its elements in use.
    len: usize,
}

#[derive(Debug)]
struct Slot<T: Plain, D: Driver> {
    memory: GpuVec<T, D>,
    /// As large as the memory; none until something is copied there.
    staging: Option<D::Staging>,
}

impl<T: Plain, D: Driver> Default for Uploads<T, D> {
    fn default() -> Self {
        let slot = || Slot { memory: GpuVec::default(), staging: None };
        Self { slots: [slot(), slot()], now: 0, len: 0 }
    }
}

impl<T: Plain, D: Driver> Uploads<T, D> {
    /// The next batch: copied to where the device does not read any more, beside what it is at work on.
    ///
    /// # Errors
    /// If there is no memory left; the device's.
    #[allow(unsafe_code)]
    pub fn write(&mut self, driver: &D, values: &[T]) -> Result<(), GpuError> {
        if let Some(staging) = &self.slots[self.now].staging {
            driver.mark_used(staging)?; // all that reads the batch before has been asked for
        }
        self.now = 1 - self.now;
        let Slot { memory, staging } = &mut self.slots[self.now];
        if memory.len() < values.len() {
            *staging = None;
            memory.reserve(driver, values.len())?;
        }
        self.len = values.len();
        if values.is_empty() {
            return Ok(());
        }
        let staging = match staging {
            Some(staging) => staging,
            none => {
                let fresh = none.insert(driver.staging(memory.len() * size_of::<T>())?);
                driver.mark_used(fresh)?; // the memory's zeros come before the first batch
                fresh
            }
        };
        // SAFETY: the memory is at least as long as the values, and so is the staging; whatever reads it was asked for before its mark.
        unsafe { driver.upload_beside(staging, bytes_of(values), memory.view().address()) }
    }

    /// Room for a batch of `len` elements that the device makes itself, to be overwritten.
    ///
    /// # Errors
    /// If there is no memory left.
    pub fn room(&mut self, driver: &D, len: usize) -> Result<ViewMut<'_, T>, GpuError> {
        let Slot { memory, staging } = &mut self.slots[self.now];
        if memory.len() < len {
            *staging = None;
            memory.reserve(driver, len)?;
        }
        self.len = len;
        Ok(memory.view_mut().part(0..len))
    }

    /// Borrows the batch that was uploaded last.
    pub fn view(&self) -> View<'_, T> {
        self.slots[self.now].memory.view().part(0..self.len)
    }
}

/// Results on their way back, in order: each can be waited for by itself.
#[derive(Debug)]
pub struct Downloads<T: Plain, D: Driver> {
    /// With their bytes, and the elements that are under way.
    under_way: VecDeque<(D::Staging, usize, usize)>,
    spare: Vec<(D::Staging, usize)>,
    kind: std::marker::PhantomData<T>,
}

impl<T: Plain, D: Driver> Default for Downloads<T, D> {
    fn default() -> Self {
        Self { under_way: VecDeque::new(), spare: Vec::new(), kind: std::marker::PhantomData }
    }
}

impl<T: Plain, D: Driver> Downloads<T, D> {
    /// Asks for a copy of `values` as they are after everything that was asked for so far.
    ///
    /// # Errors
    /// If there is no memory left; the device's.
    #[allow(unsafe_code)]
    pub fn ask(&mut self, driver: &D, values: View<'_, T>) -> Result<(), GpuError> {
        let bytes = values.len() * size_of::<T>();
        let large_enough = self.spare.iter().position(|(_, room)| *room >= bytes);
        let (mut staging, room) = match large_enough {
            Some(at) => self.spare.swap_remove(at),
            None => {
                self.spare.clear(); // they are too small for what comes now
                (driver.staging(bytes)?, bytes)
            }
        };
        if bytes > 0 {
            // SAFETY: a view of as many elements, and a staging that is large enough.
            unsafe { driver.download_beside(&mut staging, values.address(), bytes)? };
        }
        self.under_way.push_back((staging, room, values.len()));
        Ok(())
    }

    /// How many were asked for and not taken.
    pub fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// Waits for the oldest that was asked for; `None` if there is none.
    ///
    /// # Errors
    /// The device's; those of launches before may come here.
    pub fn take(&mut self, driver: &D) -> Result<Option<Vec<T>>, GpuError> {
        let Some((mut staging, room, len)) = self.under_way.pop_front() else { return Ok(None) };
        let mut values = vec![T::default(); len];
        if len > 0 {
            driver.downloaded(&mut staging, bytes_of_mut(&mut values))?;
        }
        self.spare.push((staging, room));
        Ok(Some(values))
    }
}
