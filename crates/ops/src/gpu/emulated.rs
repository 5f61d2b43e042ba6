//! The CPU in a GPU's place, for tests: the same kernels, compiled by the system's C++ compiler and run thread by thread; products, and
//! convolutions where a test wants them, are the CPU's own.

use std::ffi::{CString, c_char, c_int, c_void};
use std::path::Path;
use std::process::Command;

use libloading::{Library, Symbol};

use super::conv::ConvPass;
use super::gemm::{self, GemmSize, Matrix, MatrixMut};
use super::kernels::KERNELS;
use super::memory::{Activation, View, ViewMut};
use super::{Argument, Driver, GpuError};
use crate::{ConvShape, Workspace, conv2d, conv2d_backward_input, conv2d_backward_weight};

type Emulate = unsafe extern "C" fn(*const c_char, *const u32, *const u32, *mut *mut c_void, *const c_char) -> c_int;

/// Runs kernels on the CPU. Slow; nothing but their arithmetic is tested by it.
#[derive(Debug)]
pub struct Emulated {
    library: Library,
    own_convolutions: bool,
}

impl Emulated {
    /// Compiles the kernels into a file below `folder`.
    ///
    /// # Errors
    /// In words: there is no C++ compiler (`CXX`, else `c++`), or what it made cannot be loaded. Tests skip then.
    ///
    /// # Panics
    /// If the compiler refuses the kernels: no test may be skipped for that.
    #[allow(unsafe_code)]
    pub fn compile(folder: &Path) -> Result<Self, String> {
        let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels/emulate.cpp");
        let library = folder.join(format!("kernels-{}.so", std::process::id()));
        let run = Command::new(&compiler)
            .args(["-O2", "-std=c++17", "-ffp-contract=off", "-shared", "-fPIC", "-o"])
            .args([&library, &source])
            .output();
        let output = run.map_err(|error| format!("no C++ compiler `{compiler}`: {error}"))?;
        let refused = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "`{compiler}` does not compile the kernels: {refused}");
        // SAFETY: the library was just made from this crate's source and runs nothing when it is loaded.
        let library = unsafe { Library::new(&library) }.map_err(|error| error.to_string())?;
        Ok(Self { library, own_convolutions: true })
    }

    /// Convolutions by patches and products, not by this crate's own.
    pub fn by_patches(mut self) -> Self {
        self.own_convolutions = false;
        self
    }
}

/// Bytes before and after each piece of memory.
const GUARD: usize = 256;

/// Memory between two guards: what a kernel reads there is not a number, and what it writes there is found when the memory goes.
#[derive(Debug)]
pub struct Guarded {
    /// Of 16 bytes, for their alignment.
    words: Vec<u128>,
    bytes: usize,
}

impl Guarded {
    fn new(bytes: usize) -> Self {
        let mut made = Self { words: vec![u128::MAX; 2 * GUARD / 16 + bytes.div_ceil(16)], bytes };
        made.all_mut()[GUARD..GUARD + bytes].fill(0);
        made
    }

    #[allow(unsafe_code)]
    fn all_mut(&mut self) -> &mut [u8] {
        // SAFETY: these bytes, and every pattern of bits is a number.
        unsafe { std::slice::from_raw_parts_mut(self.words.as_mut_ptr().cast(), 16 * self.words.len()) }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let bytes = self.bytes;
        let all = self.all_mut();
        let untouched = all[..GUARD].iter().chain(&all[GUARD + bytes..]).all(|byte| *byte == u8::MAX);
        assert!(untouched || std::thread::panicking(), "a kernel wrote beside a piece of memory of {bytes} bytes");
    }
}

/// The numbers behind a view.
#[allow(unsafe_code)]
fn values<'a, A: Activation>(view: View<'a, A>) -> &'a [A] {
    // SAFETY: addresses of this driver are those of vectors of the program, which the view borrows.
    unsafe { std::slice::from_raw_parts(view.address() as *const A, view.len()) }
}

#[allow(unsafe_code, clippy::needless_pass_by_value)]
fn values_mut<A: Activation>(view: ViewMut<'_, A>) -> &mut [A] {
    // SAFETY: addresses of this driver are those of vectors of the program; the view borrows this one mutably.
    unsafe { std::slice::from_raw_parts_mut(view.address() as *mut A, view.len()) }
}

fn floats<A: Activation>(view: View<'_, A>) -> Vec<f32> {
    values(view).iter().map(|value| value.value()).collect()
}

/// Writes each to the nearest.
fn put<A: Activation>(to: ViewMut<'_, A>, from: &[f32]) {
    values_mut(to).iter_mut().zip(from).for_each(|(to, from)| *to = A::of(*from));
}

/// Another order of a weight's axes: `(O, k, k, I)` to `(O, I, k, k)`, or back.
fn turned(s: &ConvShape, weight: &[f32], to_pytorch: bool) -> Vec<f32> {
    let (taps, inputs) = (s.kernel * s.kernel, s.in_channels / s.groups);
    let mut out = vec![0.0; weight.len()];
    for o in 0..s.out_channels {
        for tap in 0..taps {
            for i in 0..inputs {
                let (device, pytorch) = ((o * taps + tap) * inputs + i, (o * inputs + i) * taps + tap);
                let (from, to) = if to_pytorch { (device, pytorch) } else { (pytorch, device) };
                out[to] = weight[from];
            }
        }
    }
    out
}

#[allow(unsafe_code)]
impl Driver for Emulated {
    type Memory = Guarded;
    type Staging = Vec<u8>;

    /// Threads are dear here.
    const MOST_BLOCKS: u64 = 2;

    fn allocate(&self, bytes: usize) -> Result<Self::Memory, GpuError> {
        Ok(Guarded::new(bytes))
    }

    fn address(&self, memory: &Self::Memory) -> u64 {
        memory.words[GUARD / 16..].as_ptr() as u64
    }

    unsafe fn upload(&self, bytes: &[u8], to: u64) -> Result<(), GpuError> {
        // SAFETY: the caller guarantees that `bytes.len()` bytes at `to` are writable.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to as *mut u8, bytes.len()) };
        Ok(())
    }

    unsafe fn download(&self, from: u64, bytes: &mut [u8]) -> Result<(), GpuError> {
        // SAFETY: the caller guarantees that `bytes.len()` bytes at `from` are readable.
        unsafe { std::ptr::copy_nonoverlapping(from as *const u8, bytes.as_mut_ptr(), bytes.len()) };
        Ok(())
    }

    fn staging(&self, bytes: usize) -> Result<Self::Staging, GpuError> {
        Ok(vec![0; bytes])
    }

    fn mark_used(&self, _staging: &Self::Staging) -> Result<(), GpuError> {
        Ok(())
    }

    unsafe fn upload_beside(&self, staging: &mut Self::Staging, bytes: &[u8], to: u64) -> Result<(), GpuError> {
        staging[..bytes.len()].copy_from_slice(bytes);
        // SAFETY: the caller guarantees that `bytes.len()` bytes at `to` are writable.
        unsafe { self.upload(&staging[..bytes.len()], to) }
    }

    unsafe fn download_beside(&self, staging: &mut Self::Staging, from: u64, bytes: usize) -> Result<(), GpuError> {
        // SAFETY: the caller guarantees that `bytes` bytes at `from` are readable.
        unsafe { self.download(from, &mut staging[..bytes]) }
    }

    fn downloaded(&self, staging: &mut Self::Staging, bytes: &mut [u8]) -> Result<(), GpuError> {
        bytes.copy_from_slice(&staging[..bytes.len()]);
        Ok(())
    }

    unsafe fn copy(&self, from: u64, to: u64, bytes: usize) -> Result<(), GpuError> {
        // SAFETY: the caller guarantees `bytes` readable bytes at `from` and writable bytes at `to`, which do not overlap.
        unsafe { std::ptr::copy_nonoverlapping(from as *const u8, to as *mut u8, bytes) };
        Ok(())
    }

    unsafe fn launch(
        &self,
        kernel: &'static str,
        grid: (u32, u32),
        block: (u32, u32),
        arguments: &[Argument],
    ) -> Result<(), GpuError> {
        if !KERNELS.contains(&kernel) {
            return Err(GpuError::device(kernel, "it is not in `KERNELS`, so CUDA would not load it"));
        }
        let fits = (1..=i32::MAX as u32).contains(&grid.0) && (1..=65535).contains(&grid.1);
        if !fits || !(1..=1024).contains(&(block.0 * block.1)) {
            return Err(GpuError::device(
                kernel,
                format!("no GPU takes a grid of {grid:?} blocks of {block:?} threads"),
            ));
        }
        let mut words: Vec<[u8; 8]> = arguments
            .iter()
            .map(|argument| match argument {
                Argument::Address(address) => address.to_ne_bytes(),
                Argument::Long(long) => long.to_ne_bytes(),
                Argument::Int(int) => widened(int.to_ne_bytes()),
                Argument::Float(float) => widened(float.to_ne_bytes()),
            })
            .collect();
        let mut places: Vec<*mut c_void> = words.iter_mut().map(|word| word.as_mut_ptr().cast()).collect();
        let kinds = arguments.iter().map(|argument| match argument {
            Argument::Address(_) => b'p',
            Argument::Long(_) => b'l',
            Argument::Int(_) => b'i',
            Argument::Float(_) => b'f',
        });
        let kinds = CString::new(kinds.collect::<Vec<u8>>()).expect("letters");
        let name = CString::new(kernel).expect("a name without zeros");
        let (grid, block) = ([grid.0, grid.1], [block.0, block.1]);
        // One kernel at a time: the threads' places are the library's own variables.
        static ONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
        let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // SAFETY: the library has this function; the arguments are the caller's promise.
        let outcome = unsafe {
            let emulate: Symbol<'_, Emulate> =
                self.library.get(b"emulate").map_err(|error| GpuError::device("emulation", error))?;
            emulate(name.as_ptr(), grid.as_ptr(), block.as_ptr(), places.as_mut_ptr(), kinds.as_ptr())
        };
        match outcome {
            0 => Ok(()),
            1 => Err(GpuError::device(kernel, "no such kernel")),
            _ => Err(GpuError::device(kernel, format!("it does not take {arguments:?}"))),
        }
    }

    fn gemm<A: Activation>(
        &self,
        size: GemmSize,
        alpha: f32,
        a: Matrix<'_, A>,
        b: Matrix<'_, A>,
        beta: f32,
        c: MatrixMut<'_, A>,
    ) -> Result<(), GpuError> {
        gemm::check(size, &a, &b, &c);
        let (row, next, c) = (c.row, c.next, values_mut(c.view));
        let at = |matrix: &Matrix<'_, A>, which: usize, i: usize, j: usize| {
            let (i, j) = if matrix.turned { (j, i) } else { (i, j) };
            f64::from(values(matrix.view)[which * matrix.next + i * matrix.row + j].value())
        };
        for which in 0..size.batch {
            for i in 0..size.m {
                for j in 0..size.n {
                    let sum: f64 = (0..size.k).map(|p| at(&a, which, i, p) * at(&b, which, p, j)).sum();
                    let c = &mut c[which * next + i * row + j];
                    *c = A::of(alpha * sum as f32 + if beta == 0.0 { 0.0 } else { beta * c.value() });
                }
            }
        }
        Ok(())
    }

    fn library_conv<A: Activation>(&self, s: &ConvShape, pass: ConvPass<'_, A>) -> Result<bool, GpuError> {
        if !self.own_convolutions {
            return Ok(false);
        }
        let mut ws = Workspace::new();
        match pass {
            ConvPass::Forward { x, weight, y, accumulate } => {
                let before = accumulate.then(|| floats(y.as_view()));
                let mut made = vec![0.0; y.len()];
                conv2d(s, &floats(x), &turned(s, &floats(weight), true), &mut made, &mut ws);
                made.iter_mut().zip(before.unwrap_or_default()).for_each(|(y, before)| *y += before);
                put(y, &made);
            }
            ConvPass::InputGradient { dy, weight, dx, accumulate } => {
                let (weight, mut made) = (turned(s, &floats(weight), true), floats(dx.as_view()));
                conv2d_backward_input(s, &floats(dy), &weight, &mut made, accumulate, &mut ws);
                put(dx, &made);
            }
            ConvPass::WeightGradient { x, dy, dweight } => {
                let mut pytorch = vec![0.0; dweight.len()];
                conv2d_backward_weight(s, &floats(x), &floats(dy), &mut pytorch, &mut ws);
                put(dweight, &turned(s, &pytorch, false));
            }
        }
        Ok(true)
    }
}

fn widened(bytes: [u8; 4]) -> [u8; 8] {
    let mut wide = [0; 8];
    wide[..4].copy_from_slice(&bytes);
    wide
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CUDA looks all names up when a device is opened; a kernel that is gone would be found on a machine with a GPU alone.
    #[test]
    #[allow(unsafe_code)]
    fn every_name_is_a_kernels() {
        let folder = tempfile::tempdir().expect("a folder");
        let driver = match Emulated::compile(folder.path()) {
            Ok(driver) => driver,
            Err(why) => return println!("skipped: {why}"),
        };
        let launched = |name| {
            // SAFETY: no kernel takes no argument, so none runs.
            unsafe { driver.launch(name, (1, 1), (1, 1), &[]) }.expect_err("without arguments").to_string()
        };
        for &name in KERNELS {
            let said = launched(name);
            assert!(said.contains("does not take"), "{said}");
        }
        assert!(launched("no_kernel").contains("KERNELS"));
    }
}
