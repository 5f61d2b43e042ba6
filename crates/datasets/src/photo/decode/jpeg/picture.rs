//! From planes of samples to RGB: chroma widened as libjpeg does it, colours converted.

use longtail_ops::{double_row, sum_rows_3_1, widen_rows, ycc_row_to_rgb};

use super::super::Pixels;
use super::entropy::{Plane, Planes};
use super::frame::Frame;
use super::plan::{Plan, Scale};

/// Buffers for one row of the picture.
#[derive(Debug, Default)]
pub(super) struct Rows {
    sums: Vec<u16>,
    chroma: [Vec<u8>; 2],
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
    let planes = &planes.planes;
    for (y, out) in plan.y.clone().zip(rgb.chunks_exact_mut((3 * width).max(1))) {
        let luma = planes[0].row(y, plan.x.clone());
        if frame.components.len() == 1 {
            out.chunks_exact_mut(3).zip(luma).for_each(|(pixel, grey)| pixel.fill(*grey));
            continue;
        }
        let [first, second] = &mut rows.chroma;
        let blue = widened(&planes[1], &plan.scales[1], plan, y, &mut rows.sums, first);
        let red = widened(&planes[2], &plan.scales[2], plan, y, &mut rows.sums, second);
        if frame.is_ycc {
            ycc_row_to_rgb(luma, blue, red, out);
        } else {
            for (((pixel, first), second), third) in out.chunks_exact_mut(3).zip(luma).zip(blue).zip(red) {
                pixel.copy_from_slice(&[*first, *second, *third]);
            }
        }
    }
    Pixels { rgb, stride: 3 * width, width, height, left: plan.x.start, top: plan.y.start, reduce: plan.reduce as u32 }
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
