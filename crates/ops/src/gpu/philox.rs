//! Normals by counter.

use super::memory::{View, ViewMut, optional};
use super::{Argument, Driver, GpuError, launch_each, long};

/// Which streams the rows of a block of normals are of.
#[derive(Debug, Clone, Copy)]
pub enum NormalStreams<'a> {
    /// One row, of this stream.
    One(u64),
    /// A row of each; the bits are those of a `u32`, and a stream lies below 2³².
    Each(View<'a, i32>),
}

/// [`philox_normals`](crate::philox_normals) on the device, to the bit: row after row, each from `offset` on in its stream.
///
/// # Shapes
/// - `out`: `(rows, len)`, overwritten
///
/// # Errors
/// The device's.
///
/// # Panics
/// If `out` cannot be split into as many rows as there are streams, or `offset + len` leaves 64 bits.
#[allow(unsafe_code)]
pub fn gpu_philox_normals<D: Driver>(
    driver: &D,
    key: [u32; 2],
    streams: NormalStreams<'_>,
    offset: u64,
    out: ViewMut<'_, f32>,
) -> Result<(), GpuError> {
    let (rows, each, one) = match streams {
        NormalStreams::One(stream) => (1, None, stream),
        NormalStreams::Each(streams) => (streams.len(), Some(streams), 0),
    };
    if out.is_empty() {
        return Ok(());
    }
    assert!(rows > 0 && out.len().is_multiple_of(rows), "{} normals in {rows} rows", out.len());
    let len = out.len() / rows;
    assert!(offset.checked_add(len as u64).is_some(), "normals up to {offset} + {len}");
    // The kernel takes the bits of the unsigned numbers.
    let arguments = [
        out.argument(),
        Argument::Int(key[0].cast_signed()),
        Argument::Int(key[1].cast_signed()),
        optional(each),
        Argument::Long(one.cast_signed()),
        Argument::Long(offset.cast_signed()),
        long(rows),
        long(len),
    ];
    let threads = rows * ((offset % 4) as usize + len).div_ceil(4);
    // SAFETY: `out` has `rows` rows of `len`, and there are `rows` streams or none.
    unsafe { launch_each(driver, "philox_normals", threads, &arguments) }
}
