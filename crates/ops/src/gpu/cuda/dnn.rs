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
/// Algorithms that are asked for: more than there are, twice, since some come with and without tensor cores.
const ALGORITHMS: usize = 20;

/// cuDNN on one stream.
pub(super) struct Convolutions {
    handle: sys::cudnnHandle_t,
    stream: Arc<CudaStream>,
    math: sys::cudnnMathType_t,
    plans: RefCell<HashMap<(ConvShape, Element), Plan>>,
    workspace: RefCell<Option<CudaSlice<u8>>>,
}

/// Ways to one pass, best first, with their workspaces in bytes: those that give the same bits each time and fit.
type Ways<A> = Vec<(A, usize)>;

/// Descriptors of one shape, and the ways to each pass.
struct Plan {
    x: sys::cudnnTensorDescriptor_t,
    y: sys::cudnnTensorDescriptor_t,
    weight: sys::cudnnFilterDescriptor_t,
    conv: sys::cudnnConvolutionDescriptor_t,
    forward: Ways<sys::cudnnConvolutionFwdAlgo_t>,
    input: Ways<sys::cudnnConvolutionBwdDataAlgo_t>,
    filter: Ways<sys::cudnnConvolutionBwdFilterAlgo_t>,
}

fn failed(error: CudnnError) -> GpuError {
    GpuError::device("a convolution (cuDNN)", error)
}

/// Whether cuDNN says that it has no such convolution, which is no fault of anyone's.
fn is_refusal(error: CudnnError) -> bool {
    error.0 as u32 / 1000 == sys::cudnnStatus_t::CUDNN_STATUS_NOT_SUPPORTED as u32 / 1000 // with its reasons, 3001 and so on
}

/// By the first way that cuDNN does not refuse; what it refuses is not tried again. False if none is left.
fn by_first<A: Copy>(
    ways: &mut Ways<A>,
    mut run: impl FnMut(A, usize) -> Result<Result<(), CudnnError>, GpuError>,
) -> Result<bool, GpuError> {
    while let Some(&(algorithm, bytes)) = ways.first() {
        match run(algorithm, bytes)? {
            Ok(()) => return Ok(true),
            Err(error) if is_refusal(error) => ways.remove(0),
            Err(error) => return Err(failed(error)),
        };
    }
    Ok(false)
}

/// The ways to a pass, by what cuDNN expects of them; none where it does not know the shape. A way's workspace is what it takes with
/// the descriptors as they are: they say which arithmetic is allowed, an answer only which it has in mind.
macro_rules! ways {
    ($math:expr, $ask:path, $workspace:path, $($argument:expr),*) => {{
        let mut count = 0;
        // SAFETY: these are plain C structures of numbers; zeros are a value of each field.
        let mut found = [unsafe { std::mem::zeroed() }; ALGORITHMS];
        // SAFETY: descriptors and handle are alive, and there is room for as many answers as are asked for.
        match unsafe { $ask($($argument,)* ALGORITHMS as i32, &mut count, found.as_mut_ptr()) } {
            Err(error) if is_refusal(error) => count = 0,
            asked => asked.map_err(failed)?,
        }
        let mut ways = Vec::new();
        for one in &found[..count as usize] {
            let suits = one.status == sys::cudnnStatus_t::CUDNN_STATUS_SUCCESS
                && one.determinism == sys::cudnnDeterminism_t::CUDNN_DETERMINISTIC
                && is_allowed(one.mathType, $math);
            if !suits || ways.iter().any(|(algorithm, _)| *algorithm == one.algo) {
                continue;
            }
            // SAFETY: descriptors and handle are alive.
            match unsafe { $workspace($($argument,)* one.algo) } {
                Ok(bytes) if bytes <= MOST_WORKSPACE => ways.push((one.algo, bytes)),
                Err(error) if !is_refusal(error) => return Err(failed(error)),
                _ => {}
            }
        }
        ways
    }};
}

/// Whether a way that has such arithmetic in mind is one for descriptors that ask for `asked`: tensor cores round f32, unless that is
/// allowed.
fn is_allowed(meant: sys::cudnnMathType_t, asked: sys::cudnnMathType_t) -> bool {
    use sys::cudnnMathType_t::{CUDNN_DEFAULT_MATH, CUDNN_FMA_MATH};
    asked != CUDNN_FMA_MATH || matches!(meant, CUDNN_FMA_MATH | CUDNN_DEFAULT_MATH)
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
            forward: Vec::new(),
            input: Vec::new(),
            filter: Vec::new(),
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
        plan.forward = ways!(
            math,
            dnn::get_convolution_forward_algorithm,
            dnn::get_convolution_forward_workspace_size,
            handle,
            x,
            weight,
            conv,
            y
        );
        plan.input = ways!(
            math,
            dnn::get_convolution_backward_data_algorithm,
            dnn::get_convolution_backward_data_workspace_size,
            handle,
            weight,
            y,
            conv,
            x
        );
        plan.filter = ways!(
            math,
            dnn::get_convolution_backward_filter_algorithm,
            dnn::get_convolution_backward_filter_workspace_size,
            handle,
            x,
            y,
            conv,
            weight
        );
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
                    let (alpha, beta) = factors(accumulate);
                    by_first(&mut plan.forward, |algorithm, bytes| {
                        let room = self.room(bytes)?;
                        Ok(dnn::convolution_forward(
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
                        ))
                    })
                }
                ConvPass::InputGradient { dy, weight, dx, accumulate } => {
                    let (alpha, beta) = factors(accumulate);
                    by_first(&mut plan.input, |algorithm, bytes| {
                        let room = self.room(bytes)?;
                        Ok(dnn::convolution_backward_data(
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
                        ))
                    })
                }
                ConvPass::WeightGradient { x, dy, dweight } => {
                    let (alpha, beta) = factors(false);
                    by_first(&mut plan.filter, |algorithm, bytes| {
                        let room = self.room(bytes)?;
                        Ok(dnn::convolution_backward_filter(
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
                        ))
                    })
                }
            }
        }
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

#[cfg(test)]
mod tests {
    use sys::cudnnStatus_t::{
        CUDNN_STATUS_EXECUTION_FAILED, CUDNN_STATUS_NOT_SUPPORTED, CUDNN_STATUS_NOT_SUPPORTED_LAYOUT,
    };

    use super::*;

    #[test]
    fn what_is_refused_is_not_tried_again_and_what_fails_is_an_error() {
        let mut ways = vec![('a', 0), ('b', 8), ('c', 0)];
        let mut tried = Vec::new();
        let mut attempt = |ways: &mut Ways<char>, refused: &[char], with| {
            by_first(ways, |algorithm, _| {
                tried.push(algorithm);
                Ok(if refused.contains(&algorithm) { Err(CudnnError(with)) } else { Ok(()) })
            })
        };
        assert_eq!(attempt(&mut ways, &['a'], CUDNN_STATUS_NOT_SUPPORTED_LAYOUT).ok(), Some(true));
        assert_eq!(attempt(&mut ways, &[], CUDNN_STATUS_NOT_SUPPORTED).ok(), Some(true));
        assert!(attempt(&mut ways, &['b'], CUDNN_STATUS_EXECUTION_FAILED).is_err());
        assert_eq!(attempt(&mut ways, &['b', 'c'], CUDNN_STATUS_NOT_SUPPORTED).ok(), Some(false));
        assert_eq!((tried.as_slice(), ways.len()), (['a', 'b', 'b', 'b', 'b', 'c'].as_slice(), 0));
    }

    #[test]
    fn exact_products_take_no_tensor_cores() {
        use sys::cudnnMathType_t::{CUDNN_DEFAULT_MATH, CUDNN_FMA_MATH, CUDNN_TENSOR_OP_MATH};
        assert!(!is_allowed(CUDNN_TENSOR_OP_MATH, CUDNN_FMA_MATH));
        assert!(is_allowed(CUDNN_DEFAULT_MATH, CUDNN_FMA_MATH) && is_allowed(CUDNN_TENSOR_OP_MATH, CUDNN_DEFAULT_MATH));
    }
}
