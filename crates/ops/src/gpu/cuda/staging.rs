//! Page-locked memory, which the device copies to and from by itself.

use std::sync::Arc;

use cudarc::driver::{CudaContext, CudaEvent, CudaStream, DriverError, PinnedHostSlice, result as driver};

use super::failed;
use crate::gpu::GpuError;

/// See [`Driver::staging`](crate::gpu::Driver::staging).
#[derive(Debug)]
pub struct Staging {
    host: PinnedHostSlice<u8>,
    /// The copy to or from `host` is over.
    copied: CudaEvent,
    /// The work before the mark is over.
    pub(super) used: CudaEvent,
}

#[allow(unsafe_code)]
impl Staging {
    pub(super) fn new(context: &Arc<CudaContext>, bytes: usize) -> Result<Self, GpuError> {
        let event = || context.new_event(None).map_err(failed("making an event"));
        // Without write-combining, since results are read here too.
        // SAFETY: bytes mean nothing before they are written; reading them does no harm, and nobody goes by them.
        let host = unsafe { context.alloc_pinned_with_flags(bytes.max(1), 0) }.map_err(failed("locking memory"))?;
        Ok(Self { host, copied: event()?, used: event()? })
    }

    /// The caller's promises are those of [`Driver::upload_beside`](crate::gpu::Driver::upload_beside).
    pub(super) unsafe fn upload(
        &mut self,
        (work, copies): (&CudaStream, &CudaStream),
        bytes: &[u8],
        to: u64,
    ) -> Result<(), DriverError> {
        self.copied.synchronize()?; // the copy before has left `host`
        let host = &mut self.host.as_mut_slice()?[..bytes.len()];
        host.copy_from_slice(bytes);
        copies.wait(&self.used)?;
        // SAFETY: the caller's; `host` stays until the event says that it was read.
        unsafe { driver::memcpy_htod_async(to, host, copies.cu_stream()) }?;
        self.copied.record(copies)?;
        work.wait(&self.copied)
    }

    /// The caller's promises are those of [`Driver::download_beside`](crate::gpu::Driver::download_beside).
    pub(super) unsafe fn download(&mut self, work: &CudaStream, from: u64, bytes: usize) -> Result<(), DriverError> {
        self.copied.synchronize()?;
        let host = &mut self.host.as_mut_slice()?[..bytes];
        // SAFETY: the caller's; nobody looks at `host` before the event says that it was written.
        unsafe { driver::memcpy_dtoh_async(host, from, work.cu_stream()) }?;
        self.copied.record(work)
    }

    pub(super) fn take(&mut self, bytes: &mut [u8]) -> Result<(), DriverError> {
        self.copied.synchronize()?;
        bytes.copy_from_slice(&self.host.as_slice()?[..bytes.len()]);
        Ok(())
    }
}

impl Drop for Staging {
    /// Its memory is not given back while a copy is under way.
    fn drop(&mut self) {
        let _ = self.copied.synchronize(); // an error that is not gone will come with the next call
    }
}
