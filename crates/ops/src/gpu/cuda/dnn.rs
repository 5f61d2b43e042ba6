//! Convolutions by cuDNN, channels-last: descriptors and algorithms once for each shape, one workspace for all.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::c_void;
use std::sync::Arc;

use cudarc::cudnn::result::{self as dnn, CudnnError};
use cudarc::cudnn::sys;
use cudarc::driver::{CudaSlice, CudaStream, DevicePtr};

use super::CudaSettings;
use crate::ConvShape;
use crate::gpu::GpuError;
use crate::gpu::conv::ConvPass;
use crate::gpu::memory::{Activation, Element};

/// Most bytes of the workspace: an algorithm that wants more is passed over.
const MOST_WORKSPACE: usize = 1 << 30;
/// Algorithms that are asked for: more than there are.
const ALGORITHMS: usize = 12;

/// cuDNN on one stream.
pub(super) struct Convolutions {
    handle: sys::cudnnHandle_t,
    stream: Arc<CudaStream>,
    math: sys::cudnnMathType_t,
    plans: RefCell<HashMap<(ConvShape, Element), Plan>>,
    workspace: RefCell<Option<CudaSlice<u8>>>,
}

/// Descriptors of one shape, and what was chosen for each pass: `None` where cuDNN has nothing that is repeatable and fits.
struct Plan {
    x: sys::cudnnTensorDescriptor_t,
    y: sys::cudnnTensorDescriptor_t,
    weight: sys::cudnnFilterDescriptor_t,
    conv: sys::cudnnConvolutionDescriptor_t,
    forward: Option<(sys::cudnnConvolutionFwdAlgo_t, usize)>,
    input: Option<(sys::cudnnConvolutionBwdDataAlgo_t, usize)>,
    filter: Option<(sys::cudnnConvolutionBwdFilterAlgo_t, usize)>,
}

/// Whether cuDNN is on this machine.
///
/// # Safety
/// As of loading it.
#[allow(unsafe_code)]
pub(super) unsafe fn is_there() -> bool {
    // SAFETY: the caller's.
    unsafe { sys::is_culib_present() }
}

fn failed(error: CudnnError) -> GpuError {
    GpuError::device("a convolution (cuDNN)", error)
}

/// The first algorithm that works, gives the same bits each time, and is content with the workspace.
macro_rules! choose {
    ($ask:path, $($argument:expr),*) => {{
        let mut count = 0;
        // SAFETY: these are plain C structures of numbers; zeros are a value of each field.
        let mut found = [unsafe { std::mem::zeroed() }; ALGORITHMS];
        // SAFETY: descriptors and handle are alive, and there is room for as many answers as are asked for.
        unsafe { $ask($($argument,)* ALGORITHMS as i32, &mut count, found.as_mut_ptr()) }.map_err(failed)?;
        found[..count as usize]
            .iter()
            .find(|one| {
                one.status == sys::cudnnStatus_t::CUDNN_STATUS_SUCCESS
                    && one.determinism == sys::cudnnDeterminism_t::CUDNN_DETERMINISTIC
                    && one.memory <= MOST_WORKSPACE
            })
            .map(|one| (one.algo, one.memory, one.mathType))
    }};
}

#[allow(unsafe_code)]
impl Plan {
    fn new(
        handle: sys::cudnnHandle_t,
        math: sys::cudnnMathType_t,
        s: &ConvShape,
        element: Element,
    ) -> Result<Self, GpuError> {
        let [batch, height, width, inputs, outputs, kernel, stride, padding, dilation, groups, high, wide] = [
            s.batch,
            s.height,
            s.width,
            s.in_channels,
            s.out_channels,
            s.kernel,
            s.stride,
            s.padding,
            s.dilation,
            s.groups,
            s.out_height(),
            s.out_width(),
        ]
        .map(|size| i32::try_from(size).expect("a size of less than 2^31"));
        let (format, float) = (sys::cudnnTensorFormat_t::CUDNN_TENSOR_NHWC, sys::cudnnDataType_t::CUDNN_DATA_FLOAT);
        // bfloat16 is multiplied by tensor cores, which add in f32.
        let (kind, math) = match element {
            Element::F32 => (float, math),
            Element::Bf16 => (sys::cudnnDataType_t::CUDNN_DATA_BFLOAT16, sys::cudnnMathType_t::CUDNN_TENSOR_OP_MATH),
        };
        let mut plan = Self {
            x: dnn::create_tensor_descriptor().map_err(failed)?,
            y: dnn::create_tensor_descriptor().map_err(failed)?,
            weight: dnn::create_filter_descriptor().map_err(failed)?,
            conv: dnn::create_convolution_descriptor().map_err(failed)?,
            forward: None,
            input: None,
            filter: None,
        };
        // SAFETY: the descriptors were just made and live as long as the plan.
        unsafe {
            dnn::set_tensor4d_descriptor(plan.x, format, kind, [batch, inputs, height, width]).map_err(failed)?;
            dnn::set_tensor4d_descriptor(plan.y, format, kind, [batch, outputs, high, wide]).map_err(failed)?;
            let weight = [outputs, inputs / groups, kernel, kernel];
            dnn::set_filter4d_descriptor(plan.weight, kind, format, weight).map_err(failed)?;
            let mode = sys::cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION;
            dnn::set_convolution2d_descriptor(
                plan.conv, padding, padding, stride, stride, dilation, dilation, mode, float,
            )
            .map_err(failed)?;
            dnn::set_convolution_group_count(plan.conv, groups).map_err(failed)?;
            dnn::set_convolution_math_type(plan.conv, math).map_err(failed)?;
        }
        let Self { x, y, weight, conv, .. } = plan;
        let allowed = |found: sys::cudnnMathType_t| found == math || math != sys::cudnnMathType_t::CUDNN_FMA_MATH;
        plan.forward = choose!(dnn::get_convolution_forward_algorithm, handle, x, weight, conv, y)
            .filter(|found| allowed(found.2))
            .map(|found| (found.0, found.1));
        plan.input = choose!(dnn::get_convolution_backward_data_algorithm, handle, weight, y, conv, x)
            .filter(|found| allowed(found.2))
            .map(|found| (found.0, found.1));
        plan.filter = choose!(dnn::get_convolution_backward_filter_algorithm, handle, x, y, conv, weight)
            .filter(|found| allowed(found.2))
            .map(|found| (found.0, found.1));
        Ok(plan)
    }
}

#[allow(unsafe_code)]
impl Drop for Plan {
    fn drop(&mut self) {
        // SAFETY: made in `new`, and nobody else has them.
        unsafe {
            let _ = dnn::destroy_tensor_descriptor(self.x);
            let _ = dnn::destroy_tensor_descriptor(self.y);
            let _ = dnn::destroy_filter_descriptor(self.weight);
            let _ = dnn::destroy_convolution_descriptor(self.conv);
        }
    }
}

#[allow(unsafe_code)]
impl Convolutions {
    pub(super) fn new(stream: Arc<CudaStream>, settings: CudaSettings) -> Result<Self, GpuError> {
        let start = |error| GpuError::device("starting cuDNN", error);
        let handle = dnn::create_handle().map_err(start)?;
        let math = match settings.tf32 {
            true => sys::cudnnMathType_t::CUDNN_DEFAULT_MATH,
            false => sys::cudnnMathType_t::CUDNN_FMA_MATH,
        };
        let made = Self { handle, stream, math, plans: RefCell::default(), workspace: RefCell::default() };
        // SAFETY: handle and stream are alive.
        unsafe { dnn::set_stream(handle, made.stream.cu_stream().cast()) }.map_err(start)?;
        Ok(made)
    }

    /// One pass; false where cuDNN has no repeatable way for it.
    pub(super) fn run<A: Activation>(&self, s: &ConvShape, pass: ConvPass<'_, A>) -> Result<bool, GpuError> {
        let mut plans = self.plans.borrow_mut();
        let plan = match plans.entry((*s, A::ELEMENT)) {
            Entry::Occupied(plan) => plan.into_mut(),
            Entry::Vacant(place) => place.insert(Plan::new(self.handle, self.math, s, A::ELEMENT)?),
        };
        let factors = |accumulate: bool| (1f32, f32::from(u8::from(accumulate)));
        let number = |value: &f32| std::ptr::from_ref(value).cast::<c_void>();
        // SAFETY: views are as long as the shape says (`GpuConv::run` checks that), descriptors and handle are alive, and the workspace is
        // as large as the algorithm wants.
        unsafe {
            match pass {
                ConvPass::Forward { x, weight, y, accumulate } => {
                    let Some((algorithm, bytes)) = plan.forward else { return Ok(false) };
                    let (room, (alpha, beta)) = (self.room(bytes)?, factors(accumulate));
                    dnn::convolution_forward(
                        self.handle,
                        number(&alpha),
                        plan.x,
                        x.address() as *const c_void,
                        plan.weight,
                        weight.address() as *const c_void,
                        plan.conv,
                        algorithm,
                        room,
                        bytes,
                        number(&beta),
                        plan.y,
                        y.address() as *mut c_void,
                    )
                }
                ConvPass::InputGradient { dy, weight, dx, accumulate } => {
                    let Some((algorithm, bytes)) = plan.input else { return Ok(false) };
                    let (room, (alpha, beta)) = (self.room(bytes)?, factors(accumulate));
                    dnn::convolution_backward_data(
                        self.handle,
                        number(&alpha),
                        plan.weight,
                        weight.address() as *const c_void,
                        plan.y,
                        dy.address() as *const c_void,
                        plan.conv,
                        algorithm,
                        room,
                        bytes,
                        number(&beta),
                        plan.x,
                        dx.address() as *mut c_void,
                    )
                }
                ConvPass::WeightGradient { x, dy, dweight } => {
                    let Some((algorithm, bytes)) = plan.filter else { return Ok(false) };
                    let (room, (alpha, beta)) = (self.room(bytes)?, factors(false));
                    dnn::convolution_backward_filter(
                        self.handle,
                        number(&alpha),
                        plan.x,
                        x.address() as *const c_void,
                        plan.y,
                        dy.address() as *const c_void,
                        plan.conv,
                        algorithm,
                        room,
                        bytes,
                        number(&beta),
                        plan.weight,
                        dweight.address() as *mut c_void,
                    )
                }
            }
        }
        .map_err(failed)?;
        Ok(true)
    }

    /// The workspace, at least `bytes` long.
    fn room(&self, bytes: usize) -> Result<*mut c_void, GpuError> {
        if bytes == 0 {
            return Ok(std::ptr::null_mut());
        }
        let mut workspace = self.workspace.borrow_mut();
        if workspace.as_ref().is_none_or(|room| room.len() < bytes) {
            *workspace = None; // the old one goes first, after the work that was asked for before
            let made = self.stream.alloc_zeros(bytes).map_err(|_| GpuError::OutOfMemory { bytes })?;
            *workspace = Some(made);
        }
        let room = workspace.as_ref().expect("just made");
        Ok(room.device_ptr(&self.stream).0 as *mut c_void)
    }
}

#[allow(unsafe_code)]
impl Drop for Convolutions {
    fn drop(&mut self) {
        self.plans.borrow_mut().clear();
        // SAFETY: made in `new`, and its plans are gone.
        let _ = unsafe { dnn::destroy_handle(self.handle) };
    }
}
