//! From planes of samples to RGB: components of fewer samples widened as libjpeg does it, colours converted as it and Pillow do.

use super::kernel::{double_row, sum_rows_3_1, widen_rows, ycc_row_to_rgb};

use super::super::Pixels;
use super::frame::{Colours, Frame};
use super::plan::{Plan, Scale};
use super::planes::{Plane, Planes};

/// Buffers for one row of the picture.
#[derive(Debug, Default)]
pub(super) struct Rows {
    sums: Vec<u16>,
    widened: [Vec<u8>; 4],
    /// Of CMY that is kept as luma and chroma.
    inks: Vec<u8>,
}

/// Paints what `plan` names into `rgb`.
pub(super) fn paint<'a>(
    frame: &Frame,
    plan: &Plan,
    planes: &Planes,
    rows: &mut Rows,
    rgb: &'a mut Vec<u8>,
) -> Pixels<'a> {
    let (width, height) = (plan.x.len(), plan.y.len());
    rgb.resize(3 * width * height, 0);
    let Rows { sums, widened: buffers, inks } = rows;
    for (y, out) in plan.y.clone().zip(rgb.chunks_exact_mut((3 * width).max(1))) {
        let mut samples: [&[u8]; 4] = [&[]; 4];
        for ((row, buffer), (plane, scale)) in
            samples.iter_mut().zip(buffers.iter_mut()).zip(planes.planes.iter().zip(&plan.scales))
        {
            *row = widened(plane, scale, plan, y, sums, buffer);
        }
        let [first, second, third, key] = samples;
        match frame.colours {
            Colours::Grey => out.chunks_exact_mut(3).zip(first).for_each(|(pixel, grey)| pixel.fill(*grey)),
            Colours::Ycc => ycc_row_to_rgb(first, second, third, out),
            Colours::Rgb => interleave([first, second, third], out),
            Colours::Cmyk => {
                interleave([first, second, third], out);
                through_key(key, out);
            }
            Colours::Ycck => {
                inks.resize(3 * width, 0);
                ycc_row_to_rgb(first, second, third, inks);
                out.iter_mut().zip(inks.iter()).for_each(|(ink, light)| *ink = 255 - light);
                through_key(key, out);
            }
        }
    }
    Pixels { rgb, stride: 3 * width, width, height, left: plan.x.start, top: plan.y.start, reduce: plan.reduce as u32 }
}

fn interleave(samples: [&[u8]; 3], out: &mut [u8]) {
    let [first, second, third] = samples;
    for (((pixel, first), second), third) in out.chunks_exact_mut(3).zip(first).zip(second).zip(third) {
        pixel.copy_from_slice(&[*first, *second, *third]);
    }
}

/// From inks as they are stored, which to Pillow are 255 where there is none, to RGB: `light − ink·light/255` of the light that the
/// black lets through.
///
/// # Source
/// Pillow's raw mode `CMYK;I` and its `cmyk2rgb`.
fn through_key(key: &[u8], out: &mut [u8]) {
    for (pixel, light) in out.chunks_exact_mut(3).zip(key) {
        for channel in pixel {
            let product = u32::from(255 - *channel) * u32::from(*light) + 128;
            *channel = light.saturating_sub(((product + (product >> 8)) >> 8) as u8);
        }
    }
}

/// Row `y` of a component at the picture's size, its columns `plan.x`.
///
/// # Source
/// libjpeg-turbo's `jdsample.c`: which way of widening is taken when, and that the last sample stands in for those beyond it.
fn widened<'a>(
    plane: &'a Plane,
    scale: &Scale,
    plan: &Plan,
    y: usize,
    sums: &mut Vec<u16>,
    out: &'a mut Vec<u8>,
) -> &'a [u8] {
    if (scale.wide, scale.high) == (1, 1) {
        return plane.row(y, plan.x.clone());
    }
    let columns = plan.x.start / scale.wide..plan.x.end.div_ceil(scale.wide);
    let row = y / scale.high;
    let smooth = plan.reduce < 8;
    out.resize(columns.len() * scale.wide, 0);
    if scale.wide > 2 || scale.high > 2 {
        for (same, sample) in out.chunks_exact_mut(scale.wide).zip(plane.row(row, columns)) {
            same.fill(*sample);
        }
        return &out[..plan.x.len()];
    }
    // The row beyond: the upper one for the upper of two pixels.
    let other = if y.is_multiple_of(2) { row.saturating_sub(1) } else { (row + 1).min(scale.height - 1) };
    if scale.wide == 1 {
        let near = plane.row(row, columns.clone());
        if smooth {
            widen_rows(near, plane.row(other, columns), 1 + (y % 2) as u16, out);
        } else {
            out.copy_from_slice(near);
        }
    } else if !smooth || scale.width <= 2 {
        for (two, sample) in out.chunks_exact_mut(2).zip(plane.row(row, columns)) {
            two.fill(*sample);
        }
    } else {
        // With a neighbour on each side.
        let (before, after) = (columns.start.saturating_sub(1), (columns.end + 1).min(scale.width));
        sums.resize(columns.len() + 2, 0);
        let start = usize::from(columns.start == 0);
        let there = &mut sums[start..start + after - before];
        if scale.high == 1 {
            there.iter_mut().zip(plane.row(row, before..after)).for_each(|(wide, byte)| *wide = u16::from(*byte));
        } else {
            sum_rows_3_1(plane.row(row, before..after), plane.row(other, before..after), there);
        }
        let last = sums.len() - 1;
        if columns.start == 0 {
            sums[0] = sums[1];
        }
        if columns.end == scale.width {
            sums[last] = sums[last - 1];
        }
        if scale.high == 1 {
            double_row(sums, (1, 2), 2, out);
        } else {
            double_row(sums, (8, 7), 4, out);
        }
    }
    &out[..plan.x.len()]
}
