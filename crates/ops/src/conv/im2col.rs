//! Convolution as a matrix product: the patches of a strip of output rows, unrolled, times the
//! weight.
//!
//! It takes every shape, and the direct kernels are checked against it.

use rayon::prelude::*;

use super::{ConvShape, Workspace, images_per_partial};
use crate::Real;
use crate::gemm::{gemm, gemm_single};
use crate::scratch::with_scratch;

/// Elements of the unrolled patches of one strip: 256 kB of f32, so that they stay in the second
/// cache.
const STRIP_ELEMENTS: usize = 1 << 16;

/// The strip of output rows that is unrolled at once: the largest divisor of the height whose
/// patches fit.
fn strip_rows(s: &ConvShape) -> usize {
    let fits = (STRIP_ELEMENTS / (s.out_width() * s.patch_len()).max(1)).max(1);
    (1..=s.out_height().min(fits)).rev().find(|&rows| s.out_height().is_multiple_of(rows)).unwrap_or(1)
}

pub(super) fn forward<T: Real>(s: &ConvShape, x: &[T], weight: &[T], y: &mut [T], ws: &mut Workspace<T>) {
    pack_weight(s, weight, &mut ws.packed);
    let packed = &ws.packed[..];
    let (patch, group_in, group_out) = (s.patch_len(), s.group_in(), s.group_out());
    if s.is_pointwise() {
        let pixels = s.batch * s.height * s.width;
        for g in 0..s.groups {
            let (x, w) = (&x[g * group_in..], &packed[g * patch * group_out..]);
            let y = &mut y[g * group_out..];
            gemm(
                pixels,
                group_out,
                patch,
                T::ONE,
                x,
                (s.in_channels, 1),
                w,
                (group_out, 1),
                T::ZERO,
                y,
                (s.out_channels, 1),
            );
        }
        return;
    }
    let rows = strip_rows(s);
    let strips = s.out_height() / rows;
    let pixels = rows * s.out_width();
    let image_len = s.height * s.width * s.in_channels;
    y.par_chunks_mut(pixels * s.out_channels).enumerate().for_each(|(task, y)| {
        let (image, strip) = (task / strips, task % strips);
        let x = &x[image * image_len..(image + 1) * image_len];
        with_scratch(pixels * patch, |columns| {
            for g in 0..s.groups {
                unroll(s, x, g, strip * rows, rows, columns);
                let (w, y) = (&packed[g * patch * group_out..], &mut y[g * group_out..]);
                gemm_single(
                    pixels,
                    group_out,
                    patch,
                    T::ONE,
                    columns,
                    (patch, 1),
                    w,
                    (group_out, 1),
                    T::ZERO,
                    y,
                    (s.out_channels, 1),
                );
            }
        });
    });
}

pub(super) fn backward_input<T: Real>(
    s: &ConvShape,
    dy: &[T],
    weight: &[T],
    dx: &mut [T],
    accumulate: bool,
    ws: &mut Workspace<T>,
) {
    pack_weight(s, weight, &mut ws.packed);
    let packed = &ws.packed[..];
    let (patch, group_in, group_out) = (s.patch_len(), s.group_in(), s.group_out());
    if s.is_pointwise() {
        let pixels = s.batch * s.height * s.width;
        let beta = if accumulate { T::ONE } else { T::ZERO };
        for g in 0..s.groups {
            let (dy, w) = (&dy[g * group_out..], &packed[g * patch * group_out..]);
            let dx = &mut dx[g * group_in..];
            gemm(
                pixels,
                patch,
                group_out,
                T::ONE,
                dy,
                (s.out_channels, 1),
                w,
                (1, group_out),
                beta,
                dx,
                (s.in_channels, 1),
            );
        }
        return;
    }
    let rows = strip_rows(s);
    let pixels = rows * s.out_width();
    let dy_len = s.out_height() * s.out_width() * s.out_channels;
    dx.par_chunks_mut(s.height * s.width * s.in_channels).enumerate().for_each(|(image, dx)| {
        let dy = &dy[image * dy_len..(image + 1) * dy_len];
        if !accumulate {
            dx.fill(T::ZERO);
        }
        with_scratch(pixels * patch, |columns| {
            for (strip, dy) in dy.chunks(pixels * s.out_channels).enumerate() {
                for g in 0..s.groups {
                    let (dy, w) = (&dy[g * group_out..], &packed[g * patch * group_out..]);
                    gemm_single(
                        pixels,
                        patch,
                        group_out,
                        T::ONE,
                        dy,
                        (s.out_channels, 1),
                        w,
                        (1, group_out),
                        T::ZERO,
                        columns,
                        (patch, 1),
                    );
                    roll_up(s, columns, g, strip * rows, rows, dx);
                }
            }
        });
    });
}

pub(super) fn backward_weight<T: Real>(s: &ConvShape, x: &[T], dy: &[T], dweight: &mut [T], ws: &mut Workspace<T>) {
    let (patch, group_in, group_out) = (s.patch_len(), s.group_in(), s.group_out());
    let rows = strip_rows(s);
    let pixels = rows * s.out_width();
    let images = images_per_partial(s);
    let partials = s.batch.div_ceil(images).max(1);
    let x_len = s.height * s.width * s.in_channels;
    let dy_len = s.out_height() * s.out_width() * s.out_channels;
    ws.partial.clear();
    ws.partial.resize(partials * s.weight_len(), T::ZERO);
    ws.partial.par_chunks_mut(s.weight_len()).enumerate().for_each(|(block, partial)| {
        let first = block * images;
        let last = (first + images).min(s.batch);
        if s.is_pointwise() {
            let (x, dy) = (&x[first * x_len..last * x_len], &dy[first * dy_len..last * dy_len]);
            let pixels = (last - first) * s.height * s.width;
            for (g, partial) in partial.chunks_mut(patch * group_out).enumerate() {
                let (x, dy) = (&x[g * group_in..], &dy[g * group_out..]);
                gemm_single(
                    patch,
                    group_out,
                    pixels,
                    T::ONE,
                    x,
                    (1, s.in_channels),
                    dy,
                    (s.out_channels, 1),
                    T::ZERO,
                    partial,
                    (group_out, 1),
                );
            }
            return;
        }
        with_scratch(pixels * patch, |columns| {
            for image in first..last {
                let x = &x[image * x_len..(image + 1) * x_len];
                let dy = &dy[image * dy_len..(image + 1) * dy_len];
                for (strip, dy) in dy.chunks(pixels * s.out_channels).enumerate() {
                    for (g, partial) in partial.chunks_mut(patch * group_out).enumerate() {
                        unroll(s, x, g, strip * rows, rows, columns);
                        let dy = &dy[g * group_out..];
                        gemm_single(
                            patch,
                            group_out,
                            pixels,
                            T::ONE,
                            columns,
                            (1, patch),
                            dy,
                            (s.out_channels, 1),
                            T::ONE,
                            partial,
                            (group_out, 1),
                        );
                    }
                }
            }
        });
    });
    unpack_gradient(s, &ws.partial, dweight);
}

/// `(O, I/g, k, k)` to, group after group, `(k, k, I/g)` rows of `O/g`.
fn pack_weight<T: Real>(s: &ConvShape, weight: &[T], packed: &mut Vec<T>) {
    let (taps, group_in, group_out) = (s.kernel * s.kernel, s.group_in(), s.group_out());
    packed.resize(s.weight_len(), T::ZERO);
    for (o, filter) in weight.chunks_exact(s.patch_len()).enumerate() {
        let (g, o) = (o / group_out, o % group_out);
        for i in 0..group_in {
            for tap in 0..taps {
                packed[((g * taps + tap) * group_in + i) * group_out + o] = filter[i * taps + tap];
            }
        }
    }
}

/// Sums the partial gradients in their order and puts them into PyTorch's layout: the inverse of
/// `pack_weight`.
fn unpack_gradient<T: Real>(s: &ConvShape, partials: &[T], dweight: &mut [T]) {
    let (taps, group_in, group_out) = (s.kernel * s.kernel, s.group_in(), s.group_out());
    for (o, filter) in dweight.chunks_exact_mut(s.patch_len()).enumerate() {
        let (g, o) = (o / group_out, o % group_out);
        for i in 0..group_in {
            for tap in 0..taps {
                let at = ((g * taps + tap) * group_in + i) * group_out + o;
                filter[i * taps + tap] =
                    partials.chunks_exact(s.weight_len()).fold(T::ZERO, |sum, partial| sum + partial[at]);
            }
        }
    }
}

/// The input row or column under a tap, when it lies inside the image.
fn source(out: usize, tap: usize, s: &ConvShape, size: usize) -> Option<usize> {
    (out * s.stride + tap * s.dilation).checked_sub(s.padding).filter(|&at| at < size)
}

/// Writes the patches of `rows` output rows from `first` on as rows of `(ky, kx, channel)`.
fn unroll<T: Real>(s: &ConvShape, x: &[T], group: usize, first: usize, rows: usize, columns: &mut [T]) {
    let group_in = s.group_in();
    let mut cells = columns.chunks_exact_mut(group_in);
    for oy in first..first + rows {
        for ox in 0..s.out_width() {
            for ky in 0..s.kernel {
                let iy = source(oy, ky, s, s.height);
                for kx in 0..s.kernel {
                    let cell = cells.next().expect("the buffer holds every tap of the strip");
                    match (iy, source(ox, kx, s, s.width)) {
                        (Some(iy), Some(ix)) => {
                            let at = (iy * s.width + ix) * s.in_channels + group * group_in;
                            cell.copy_from_slice(&x[at..at + group_in]);
                        }
                        _ => cell.fill(T::ZERO),
                    }
                }
            }
        }
    }
}

/// Adds unrolled patches back onto the image: the adjoint of `unroll`.
fn roll_up<T: Real>(s: &ConvShape, columns: &[T], group: usize, first: usize, rows: usize, dx: &mut [T]) {
    let group_in = s.group_in();
    let mut cells = columns.chunks_exact(group_in);
    for oy in first..first + rows {
        for ox in 0..s.out_width() {
            for ky in 0..s.kernel {
                let iy = source(oy, ky, s, s.height);
                for kx in 0..s.kernel {
                    let cell = cells.next().expect("the buffer holds every tap of the strip");
                    if let (Some(iy), Some(ix)) = (iy, source(ox, kx, s, s.width)) {
                        let at = (iy * s.width + ix) * s.in_channels + group * group_in;
                        for (d, &v) in dx[at..at + group_in].iter_mut().zip(cell) {
                            *d += v;
                        }
                    }
                }
            }
        }
    }
}
