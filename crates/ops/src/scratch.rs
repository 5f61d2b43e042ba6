//! Scratch memory that each thread keeps, so that kernels do not allocate once they have grown it.

use std::cell::Cell;

/// Types that have a stack of scratch buffers in every thread. An implementation detail of
/// [`crate::Real`].
pub trait ScratchCell: Sized {
    /// Takes the buffer that the thread gave back last, or an empty one.
    #[doc(hidden)]
    fn take_scratch() -> Vec<Self>;
    /// Gives a buffer back. As many are kept as were ever in use at once.
    #[doc(hidden)]
    fn give_scratch(buffer: Vec<Self>);
}

macro_rules! scratch {
    ($t:ty, $name:ident) => {
        thread_local! {
            static $name: Cell<Vec<Vec<$t>>> = const { Cell::new(Vec::new()) };
        }

        impl ScratchCell for $t {
            fn take_scratch() -> Vec<Self> {
                $name.with(|cell| {
                    let mut kept = cell.take();
                    let buffer = kept.pop().unwrap_or_default();
                    cell.set(kept);
                    buffer
                })
            }

            fn give_scratch(buffer: Vec<Self>) {
                $name.with(|cell| {
                    let mut kept = cell.take();
                    kept.push(buffer);
                    cell.set(kept);
                });
            }
        }
    };
}

scratch!(f32, SCRATCH_F32);
scratch!(f64, SCRATCH_F64);

/// Bytes of a cache line: vector loads that stay inside one are cheapest.
const CACHE_LINE: usize = 64;

/// Calls `task` with a buffer of `len` elements of unspecified (but initialised) content.
///
/// Nested calls work: each depth of nesting has a buffer of its own.
pub(crate) fn with_scratch<T: crate::Real, R>(len: usize, task: impl FnOnce(&mut [T]) -> R) -> R {
    let mut buffer = T::take_scratch();
    let result = task(aligned(&mut buffer, len));
    T::give_scratch(buffer);
    result
}

/// The first cache-line aligned `len` elements of `buffer`, grown when it is too small.
pub(crate) fn aligned<T: crate::Real>(buffer: &mut Vec<T>, len: usize) -> &mut [T] {
    let slack = CACHE_LINE / size_of::<T>();
    if buffer.len() < len + slack {
        buffer.resize(len + slack, T::ZERO);
    }
    let start = buffer.as_ptr().align_offset(CACHE_LINE).min(slack);
    &mut buffer[start..start + len]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scratch_is_aligned_and_nests() {
        with_scratch::<f32, _>(100, |outer| {
            assert_eq!(outer.as_ptr() as usize % CACHE_LINE, 0);
            outer.fill(1.0);
            with_scratch::<f32, _>(1000, |inner| {
                assert_eq!(inner.len(), 1000);
                inner.fill(2.0);
            });
            assert!(outer.iter().all(|&v| v == 1.0));
        });
    }

    #[test]
    fn buffers_are_kept_for_each_depth_of_nesting() {
        with_scratch::<f64, _>(5000, |_| with_scratch::<f64, _>(10, |_| ()));
        let (outer, inner) = (f64::take_scratch(), f64::take_scratch());
        assert!(outer.capacity() >= 5000 && inner.capacity() >= 10 && f64::take_scratch().is_empty());
    }
}
