//! Copies beside the device's work against the worst that a device may do: its work is as late, and a copy as early, as the order that
//! was asked for lets them be. And on a real GPU where there is one.

#![allow(unsafe_code)] // a driver, over memory of the program

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};

use longtail_ops::gpu::{
    Activation, Argument, Downloads, Driver, GemmSize, GpuError, GpuVec, Matrix, MatrixMut, Uploads,
};
use longtail_ops::{below, stream, uniform};

/// Work that was asked for.
enum Work {
    Zero { to: u64, bytes: usize },
    Write { bytes: Vec<u8>, to: u64 },
    Copy { from: u64, to: u64, bytes: usize },
    Read { from: u64, bytes: usize, to: usize },
}

/// Does nothing before someone waits for it; memory is never given back, so late work finds what it was asked for.
#[derive(Default)]
struct Late {
    work: RefCell<VecDeque<Work>>,
    done: Cell<usize>,
    asked: Cell<usize>,
    memory: RefCell<Vec<Vec<u128>>>,
    read: RefCell<HashMap<usize, Vec<u8>>>,
}

#[derive(Debug)]
struct LateStaging {
    bytes: usize,
    used: Cell<usize>,
    /// The number of the work that reads, plus one.
    read: usize,
}

impl Late {
    fn ask(&self, work: Work) -> usize {
        self.work.borrow_mut().push_back(work);
        self.asked.set(self.asked.get() + 1);
        self.asked.get()
    }

    fn wait_for(&self, number: usize) {
        while self.done.get() < number {
            let work = self.work.borrow_mut().pop_front().expect("it was asked for");
            // SAFETY: all addresses are those of memory that is never given back, for as many bytes.
            unsafe {
                match work {
                    Work::Zero { to, bytes } => std::ptr::write_bytes(to as *mut u8, 0, bytes),
                    Work::Write { bytes, to } => std::ptr::copy(bytes.as_ptr(), to as *mut u8, bytes.len()),
                    Work::Copy { from, to, bytes } => std::ptr::copy(from as *const u8, to as *mut u8, bytes),
                    Work::Read { from, bytes, to } => {
                        let values = std::slice::from_raw_parts(from as *const u8, bytes).to_vec();
                        self.read.borrow_mut().insert(to, values);
                    }
                }
            }
            self.done.set(self.done.get() + 1);
        }
    }
}

impl Driver for Late {
    type Memory = usize;
    type Staging = LateStaging;

    fn allocate(&self, bytes: usize) -> Result<usize, GpuError> {
        let mut memory = self.memory.borrow_mut();
        memory.push(vec![u128::MAX; bytes.div_ceil(16)]);
        let at = memory.len() - 1;
        self.ask(Work::Zero { to: memory[at].as_ptr() as u64, bytes });
        Ok(at)
    }

    fn address(&self, memory: &usize) -> u64 {
        self.memory.borrow()[*memory].as_ptr() as u64
    }

    unsafe fn upload(&self, bytes: &[u8], to: u64) -> Result<(), GpuError> {
        self.ask(Work::Write { bytes: bytes.to_vec(), to });
        Ok(())
    }

    unsafe fn download(&self, from: u64, bytes: &mut [u8]) -> Result<(), GpuError> {
        self.wait_for(self.asked.get());
        // SAFETY: the caller guarantees that `bytes.len()` bytes at `from` are readable.
        unsafe { std::ptr::copy_nonoverlapping(from as *const u8, bytes.as_mut_ptr(), bytes.len()) };
        Ok(())
    }

    fn staging(&self, bytes: usize) -> Result<LateStaging, GpuError> {
        Ok(LateStaging { bytes, used: Cell::new(0), read: 0 })
    }

    fn mark_used(&self, staging: &LateStaging) -> Result<(), GpuError> {
        staging.used.set(self.asked.get());
        Ok(())
    }

    unsafe fn upload_beside(&self, staging: &mut LateStaging, bytes: &[u8], to: u64) -> Result<(), GpuError> {
        assert!(bytes.len() <= staging.bytes);
        self.wait_for(staging.used.get());
        // SAFETY: the caller guarantees that `bytes.len()` bytes at `to` are writable.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to as *mut u8, bytes.len()) };
        Ok(())
    }

    unsafe fn download_beside(&self, staging: &mut LateStaging, from: u64, bytes: usize) -> Result<(), GpuError> {
        assert!(bytes <= staging.bytes);
        staging.read = self.ask(Work::Read { from, bytes, to: self.asked.get() });
        Ok(())
    }

    fn downloaded(&self, staging: &mut LateStaging, bytes: &mut [u8]) -> Result<(), GpuError> {
        self.wait_for(staging.read);
        bytes.copy_from_slice(&self.read.borrow_mut().remove(&(staging.read - 1)).expect("it was read"));
        Ok(())
    }

    unsafe fn copy(&self, from: u64, to: u64, bytes: usize) -> Result<(), GpuError> {
        self.ask(Work::Copy { from, to, bytes });
        Ok(())
    }

    unsafe fn launch(
        &self,
        _kernel: &'static str,
        _grid: (u32, u32),
        _block: (u32, u32),
        _arguments: &[Argument],
    ) -> Result<(), GpuError> {
        unreachable!("no kernels here")
    }

    fn gemm<A: Activation>(
        &self,
        _size: GemmSize,
        _alpha: f32,
        _a: Matrix<'_, A>,
        _b: Matrix<'_, A>,
        _beta: f32,
        _c: MatrixMut<'_, A>,
    ) -> Result<(), GpuError> {
        unreachable!("no products here")
    }
}

/// Batches of up to `most` numbers there, over `hops` copies on the device, and back, up to nine at a time under way.
fn stress<D: Driver>(driver: &D, most: u64, hops: usize, steps: u64) {
    let (mut uploads, mut downloads) = (Uploads::<f32, D>::default(), Downloads::<f32, D>::default());
    let mut rooms: [GpuVec<f32, D>; 2] = std::array::from_fn(|_| GpuVec::default());
    let mut expected: VecDeque<Vec<f32>> = VecDeque::new();
    let take = |downloads: &mut Downloads<f32, D>, expected: &mut VecDeque<Vec<f32>>, step: u64| {
        let found = downloads.take(driver).expect("comes back").expect("one is under way");
        assert!(found == expected.pop_front().expect("as many"), "before step {step}: other numbers");
    };
    let mut last: Vec<f32> = Vec::new();
    for step in 0..steps {
        let mut rng = stream(8, "transfers", 0, step);
        let len = match below(&mut rng, 8) {
            0 => 0,
            1 => most,
            _ => below(&mut rng, most) + 1,
        } as usize;
        rooms.iter_mut().for_each(|room| room.reserve(driver, len.max(last.len())).expect("room"));
        if below(&mut rng, 4) == 0 {
            // A batch that the device makes itself, of the one before.
            rooms[0].view_mut().part(0..last.len()).copy_from(driver, uploads.view()).expect("runs");
            let to = uploads.room(driver, last.len()).expect("room");
            to.copy_from(driver, rooms[0].view().part(0..last.len())).expect("runs");
        } else {
            let first = uniform(&mut rng) as f32;
            last = (0..len).map(|at| first + at as f32).collect();
            uploads.write(driver, &last).expect("copied");
        }
        let [one, other] = &mut rooms;
        let len = last.len();
        one.view_mut().part(0..len).copy_from(driver, uploads.view()).expect("runs");
        for hop in 0..hops {
            let (from, to) = if hop % 2 == 0 { (&*one, &mut *other) } else { (&*other, &mut *one) };
            to.view_mut().part(0..len).copy_from(driver, from.view().part(0..len)).expect("runs");
        }
        // The batch is read once more, late.
        other.view_mut().part(0..len).copy_from(driver, uploads.view()).expect("runs");
        for room in [one, other] {
            downloads.ask(driver, room.view().part(0..len)).expect("asked");
            expected.push_back(last.clone());
        }
        while downloads.under_way() > 9 {
            take(&mut downloads, &mut expected, step);
        }
    }
    while downloads.under_way() > 0 {
        take(&mut downloads, &mut expected, steps);
    }
    assert!(downloads.take(driver).expect("nothing to wait for").is_none());
}

#[test]
fn no_batch_overtakes_what_reads_the_one_before() {
    stress(&Late::default(), 50, 2, 400);
}

/// The device above is one on which a copy that comes too early is seen.
#[test]
#[should_panic(expected = "read what came later")]
fn a_copy_without_a_mark_is_seen() {
    let driver = Late::default();
    let mut memory = GpuVec::of(&driver, &[1f32]).expect("room");
    let mut kept = GpuVec::<f32, Late>::zeros(&driver, 1).expect("room");
    let mut staging = driver.staging(4).expect("room");
    driver.mark_used(&staging).expect("marked");
    kept.view_mut().copy_from(&driver, memory.view()).expect("runs");
    // SAFETY: the memory is as long; that it is still to be read is the point.
    unsafe { driver.upload_beside(&mut staging, &2f32.to_ne_bytes(), memory.view_mut().address()) }.expect("copied");
    assert_eq!(kept.to_vec(&driver).expect("comes back"), [1.0], "read what came later");
}

#[cfg(feature = "emulate")]
#[test]
fn on_an_emulated_device() {
    match longtail_ops::gpu::Emulated::compile(std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))) {
        Ok(driver) => stress(&driver, 50, 1, 100),
        Err(why) => println!("skipped: {why}"),
    }
}

#[cfg(feature = "cuda")]
#[test]
fn on_a_real_gpu() {
    use longtail_ops::gpu::{Cuda, CudaSettings};
    match Cuda::open(0, CudaSettings { tf32: false }) {
        // Some 100 MB of copies a step on the device, 4 MB there and 8 MB back.
        Ok(driver) => stress(&driver, 1 << 20, 24, 300),
        Err(why) => println!("skipped: {why}"),
    }
}
