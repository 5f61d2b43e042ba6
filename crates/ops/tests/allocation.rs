//! Hot calls allocate nothing once their buffers have grown.
#![allow(unsafe_code)]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{normals, single, with_threads};
use longtail_ops::{
    BatchNormShape, ConvShape, Workspace, batch_norm_backward, batch_norm_statistics, conv2d, conv2d_backward_input,
    conv2d_backward_weight,
};

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: every call goes to the system's allocator unchanged; counting touches no memory of the
// caller.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`, which is the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `alloc` above, hence from the system.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn a_step_of_convolutions_and_norms_allocates_nothing() {
    let counted = with_threads(1, || {
        let mut ws = Workspace::default();
        let mut shapes = Vec::new();
        for (in_channels, out_channels, stride) in [(3, 16, 1), (16, 16, 1), (16, 32, 2)] {
            let s = ConvShape {
                batch: 4,
                height: 8,
                width: 8,
                in_channels,
                out_channels,
                kernel: 3,
                stride,
                padding: 1,
                dilation: 1,
                groups: 1,
            };
            let (x, w) = (single(&normals("x", s.input_len())), single(&normals("w", s.weight_len())));
            let y = vec![0f32; s.output_len()];
            shapes.push((s, x.clone(), w.clone(), y, x, w));
        }
        let mut step = || {
            for (s, x, w, y, dx, dw) in &mut shapes {
                conv2d(s, x, w, y, &mut ws);
                conv2d_backward_input(s, y, w, dx, false, &mut ws);
                conv2d_backward_weight(s, x, y, dw, &mut ws);
                let n = BatchNormShape { rows: y.len() / 16, channels: 16 };
                let (mut mean, mut var, mut dgamma, mut dbeta) = ([0f32; 16], [0f32; 16], [0f32; 16], [0f32; 16]);
                batch_norm_statistics(&n, y, &mut mean, &mut var);
                let dy = &y[..];
                let mut dx = [0f32; 8192];
                let dx = &mut dx[..y.len()];
                batch_norm_backward(&n, y, None, &mean, &var, &var, dy, dx, &mut dgamma, &mut dbeta, None, true);
            }
        };
        step();
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        step();
        ALLOCATIONS.load(Ordering::Relaxed) - before
    });
    assert_eq!(counted, 0);
}
