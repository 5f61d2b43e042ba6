//! The CPU in a GPU's place, for tests: the same kernels, compiled by the system's C++ compiler and run thread by thread; convolutions
//! and products are this crate's own.

use std::ffi::{CString, c_char, c_int, c_void};
use std::path::Path;
use std::process::Command;

use libloading::{Library, Symbol};

use super::memory::{View, ViewMut};
use super::{Argument, Driver, GpuError};
use crate::{ConvShape, Workspace, conv2d, conv2d_backward_input, conv2d_backward_weight};

type Emulate = unsafe extern "C" fn(*const c_char, *const u32, *const u32, *mut *mut c_void, usize) -> c_int;

/// Runs kernels on the CPU. Slow; nothing but their arithmetic is tested by it.
#[derive(Debug)]
pub struct Emulated {
    library: Library,
}

impl Emulated {
    /// Compiles the kernels into a file below `folder`.
    ///
    /// # Errors
    /// In words: there is no C++ compiler (`CXX`, else `c++`), or it failed.
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
        if !output.status.success() {
            return Err(format!("`{compiler}` failed: {}", String::from_utf8_lossy(&output.stderr)));
        }
        // SAFETY: the library was just made from this crate's source and runs nothing when it is loaded.
        let library = unsafe { Library::new(&library) }.map_err(|error| error.to_string())?;
        Ok(Self { library })
    }
}

/// The numbers behind a view.
#[allow(unsafe_code)]
fn values<'a>(view: View<'a, f32>) -> &'a [f32] {
    // SAFETY: addresses of this driver are those of `f32` vectors of the program, which the view borrows.
    unsafe { std::slice::from_raw_parts(view.address() as *const f32, view.len()) }
}

#[allow(unsafe_code, clippy::needless_pass_by_value)]
fn values_mut(view: ViewMut<'_, f32>) -> &mut [f32] {
    // SAFETY: as above, borrowed to write.
    unsafe { std::slice::from_raw_parts_mut(view.address() as *mut f32, view.len()) }
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
    type Memory = Vec<f64>; // for its alignment

    /// Threads are dear here.
    const MOST_BLOCKS: u64 = 2;

    fn allocate(&self, bytes: usize) -> Result<Self::Memory, GpuError> {
        Ok(vec![0.0; bytes.div_ceil(8)])
    }

    fn address(&self, memory: &Self::Memory) -> u64 {
        memory.as_ptr() as u64
    }

    unsafe fn upload(&self, bytes: &[u8], to: u64) -> Result<(), GpuError> {
        // SAFETY: the caller's.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to as *mut u8, bytes.len()) };
        Ok(())
    }

    unsafe fn download(&self, from: u64, bytes: &mut [u8]) -> Result<(), GpuError> {
        // SAFETY: the caller's.
        unsafe { std::ptr::copy_nonoverlapping(from as *const u8, bytes.as_mut_ptr(), bytes.len()) };
        Ok(())
    }

    unsafe fn copy(&self, from: u64, to: u64, bytes: usize) -> Result<(), GpuError> {
        // SAFETY: the caller's.
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
        let name = CString::new(kernel).expect("a name without zeros");
        let (grid, block) = ([grid.0, grid.1], [block.0, block.1]);
        // One kernel at a time: the threads' places are the library's own variables.
        static ONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
        let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // SAFETY: the library has this function; the arguments are the caller's promise.
        let outcome = unsafe {
            let emulate: Symbol<'_, Emulate> =
                self.library.get(b"emulate").map_err(|error| GpuError::device("emulation", error))?;
            emulate(name.as_ptr(), grid.as_ptr(), block.as_ptr(), places.as_mut_ptr(), places.len())
        };
        match outcome {
            0 => Ok(()),
            1 => Err(GpuError::device(kernel, "no such kernel")),
            _ => Err(GpuError::device(kernel, format!("it does not take {} arguments", arguments.len()))),
        }
    }

    fn conv(
        &self,
        s: &ConvShape,
        x: View<'_, f32>,
        weight: View<'_, f32>,
        y: ViewMut<'_, f32>,
        accumulate: bool,
    ) -> Result<(), GpuError> {
        let (weight, y) = (turned(s, values(weight), true), values_mut(y));
        let before = accumulate.then(|| y.to_vec());
        conv2d(s, values(x), &weight, y, &mut Workspace::new());
        if let Some(before) = before {
            y.iter_mut().zip(before).for_each(|(y, before)| *y += before);
        }
        Ok(())
    }

    fn conv_input_gradient(
        &self,
        s: &ConvShape,
        dy: View<'_, f32>,
        weight: View<'_, f32>,
        dx: ViewMut<'_, f32>,
        accumulate: bool,
    ) -> Result<(), GpuError> {
        let weight = turned(s, values(weight), true);
        conv2d_backward_input(s, values(dy), &weight, values_mut(dx), accumulate, &mut Workspace::new());
        Ok(())
    }

    fn conv_weight_gradient(
        &self,
        s: &ConvShape,
        x: View<'_, f32>,
        dy: View<'_, f32>,
        dweight: ViewMut<'_, f32>,
    ) -> Result<(), GpuError> {
        let mut turned_gradient = vec![0.0; dweight.len()];
        conv2d_backward_weight(s, values(x), values(dy), &mut turned_gradient, &mut Workspace::new());
        values_mut(dweight).copy_from_slice(&turned(s, &turned_gradient, false));
        Ok(())
    }

    fn gemm(
        &self,
        (m, n, k): (usize, usize, usize),
        alpha: f32,
        (a, a_turned): (View<'_, f32>, bool),
        (b, b_turned): (View<'_, f32>, bool),
        beta: f32,
        c: ViewMut<'_, f32>,
    ) -> Result<(), GpuError> {
        let (a, b, c) = (values(a), values(b), values_mut(c));
        assert!(a.len() == m * k && b.len() == k * n && c.len() == m * n, "gemm: sizes that fit");
        for i in 0..m {
            for j in 0..n {
                let at = |p: usize| if a_turned { a[p * m + i] } else { a[i * k + p] };
                let bt = |p: usize| if b_turned { b[j * k + p] } else { b[p * n + j] };
                let sum: f64 = (0..k).map(|p| f64::from(at(p)) * f64::from(bt(p))).sum();
                let before = if beta == 0.0 { 0.0 } else { beta * c[i * n + j] };
                c[i * n + j] = alpha * sum as f32 + before;
            }
        }
        Ok(())
    }
}

fn widened(bytes: [u8; 4]) -> [u8; 8] {
    let mut wide = [0; 8];
    wide[..4].copy_from_slice(&bytes);
    wide
}
