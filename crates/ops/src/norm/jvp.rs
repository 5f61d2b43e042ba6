//! The derivative of batch normalisation along a direction.

use rayon::prelude::*;

use super::{BatchNormShape, fill_tile};
use crate::Real;
use crate::conv::NormRest;
use crate::scratch::with_scratch;
use crate::simd::{Kernel, dispatch, multiply_add};

/// `ẏ = scale·ẋ + slope·(x − centre) + offset + residual_dot`, zero where the ReLU's output `relu_y` is not positive: the
/// tangent of a batch norm whose coefficients are known.
///
/// # Shapes
/// - `x`, `x_dot`, `residual_dot`, `relu_y` (given exactly when there was a ReLU), `y_dot`: `(rows, channels)`
/// # Panics
/// When a length does not fit.
pub fn batch_norm_tangent<T: Real>(
    s: &BatchNormShape,
    x: &[T],
    x_dot: &[T],
    scale: &[T],
    rest: &NormRest<'_, T>,
    residual_dot: Option<&[T]>,
    relu_y: Option<&[T]>,
    y_dot: &mut [T],
) {
    s.check(
        "batch_norm_tangent",
        &[
            ("x", x.len()),
            ("x_dot", x_dot.len()),
            ("residual_dot", residual_dot.map_or(s.len(), <[T]>::len)),
            ("relu_y", relu_y.map_or(s.len(), <[T]>::len)),
            ("y_dot", y_dot.len()),
        ],
        &[
            ("scale", scale.len()),
            ("slope", rest.slope.len()),
            ("centre", rest.centre.len()),
            ("offset", rest.offset.len()),
        ],
    );
    let (tile_len, block) = (s.tile_len(), s.block_len());
    with_scratch(4 * tile_len, |tiles| {
        let mut parts = tiles.chunks_exact_mut(tile_len);
        let mut tile = |values: &[T]| {
            let part = parts.next().expect("four tiles");
            fill_tile(part, s.channels, |c| values[c]);
            &*part
        };
        let (scale, centre, slope, offset) = (tile(scale), tile(rest.centre), tile(rest.slope), tile(rest.offset));
        y_dot.par_chunks_mut(block).enumerate().for_each(|(i, y_dot)| {
            let at = i * block..i * block + y_dot.len();
            let residual_dot = residual_dot.map(|r| &r[at.clone()]);
            let relu_y = relu_y.map(|y| &y[at.clone()]);
            let x = &x[at.clone()];
            dispatch(Tangent { x, x_dot: &x_dot[at], scale, centre, slope, offset, residual_dot, relu_y, y_dot });
        });
    });
}

/// `ẏ = scale·ẋ + slope·(x − centre) + offset (+ residual_dot)`, shut where `relu_y ≤ 0`.
struct Tangent<'a, T> {
    x: &'a [T],
    x_dot: &'a [T],
    scale: &'a [T],
    centre: &'a [T],
    slope: &'a [T],
    offset: &'a [T],
    residual_dot: Option<&'a [T]>,
    relu_y: Option<&'a [T]>,
    y_dot: &'a mut [T],
}

impl<T: Real> Kernel for Tangent<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let tile = self.scale.len();
        for (i, y_dot) in self.y_dot.chunks_mut(tile).enumerate() {
            let at = i * tile..i * tile + y_dot.len();
            let (x, x_dot) = (&self.x[at.clone()], &self.x_dot[at.clone()]);
            let columns =
                y_dot.iter_mut().zip(x).zip(x_dot).zip(self.scale).zip(self.centre).zip(self.slope).zip(self.offset);
            for ((((((y_dot, &x), &d), &a), &m), &b), &c) in columns {
                *y_dot = multiply_add::<T, FUSED>(a, d, multiply_add::<T, FUSED>(b, x - m, c));
            }
            if let Some(residual) = self.residual_dot {
                for (y_dot, &r) in y_dot.iter_mut().zip(&residual[at.clone()]) {
                    *y_dot += r;
                }
            }
            if let Some(relu_y) = self.relu_y {
                for (y_dot, &y) in y_dot.iter_mut().zip(&relu_y[at.clone()]) {
                    *y_dot = if y <= T::ZERO { T::ZERO } else { *y_dot };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_statistics_by_hand() {
        let s = BatchNormShape { rows: 2, channels: 1 };
        let mut y_dot = [0.0f64; 2];
        // Mean 2, 1/σ ½, γ 3, γ̇ 10, β̇ 100.
        let rest = NormRest { slope: &[5.0], centre: &[2.0], offset: &[100.0] };
        batch_norm_tangent(&s, &[4.0, 6.0], &[1.0, 1.0], &[1.5], &rest, Some(&[1000.0, 0.0]), None, &mut y_dot);
        assert_eq!(y_dot, [1.5 + 10.0 + 100.0 + 1000.0, 1.5 + 20.0 + 100.0]);
    }
}
