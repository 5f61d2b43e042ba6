//! Scatter matrices: sums of outer products of rows.

use ndarray::{Array2, ArrayView1, ArrayView2};

use crate::{LinalgError, ffi};

/// Scatter of rows around a centre: `S = Σ_i (x_i − c)(x_i − c)ᵀ`, by `ssyrk` (half of a gemm's work).
///
/// Divide by N − 1 for a covariance. `S` is symmetric to the bit and positive semi-definite up to rounding.
///
/// # Shapes
/// - `x`: `(N, d)` f32, finite; N may be 0 (then S = 0)  - `center`: `(d,)` f32 or none for the origin  - returns `(d, d)`
///
/// # Errors
/// [`LinalgError::Shape`] when the centre's length is not d; [`LinalgError::NotFinite`] for a NaN or an infinity.
pub fn scatter(x: ArrayView2<f32>, center: Option<ArrayView1<f32>>) -> Result<Array2<f32>, LinalgError> {
    let (rows, columns) = x.dim();
    if let Some(center) = center
        && center.len() != columns
    {
        return Err(LinalgError::Shape {
            function: "scatter",
            rows: 1,
            columns: center.len(),
            expected: "a centre as long as a row",
        });
    }
    let mut centred = Vec::with_capacity(rows * columns);
    for (row_index, row) in x.outer_iter().enumerate() {
        for (column, &value) in row.iter().enumerate() {
            let value = value - center.map_or(0.0, |c| c[column]);
            if !value.is_finite() {
                return Err(LinalgError::NotFinite {
                    function: "scatter",
                    row: row_index,
                    column,
                    value: f64::from(value),
                });
            }
            centred.push(value);
        }
    }
    let mut out = vec![0f32; columns * columns];
    ffi::syrk_upper(&centred, rows, columns, &mut out)?;
    for row in 0..columns {
        for column in 0..row {
            out[row * columns + column] = out[column * columns + row];
        }
    }
    Ok(Array2::from_shape_vec((columns, columns), out).expect("out was made with columns² entries"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn two_rows_by_hand() {
        let x = array![[1.0, 2.0], [3.0, 0.0]];
        // centred at (2, 1): (-1, 1) and (1, -1)
        let s = scatter(x.view(), Some(array![2.0, 1.0].view())).expect("finite");
        assert_eq!(s, array![[2.0, -2.0], [-2.0, 2.0]]);
        assert_eq!(scatter(x.view(), None).expect("finite"), array![[10.0, 2.0], [2.0, 4.0]]);
    }

    #[test]
    fn no_rows_give_zero() {
        let x = Array2::<f32>::zeros((0, 3));
        assert_eq!(scatter(x.view(), None).expect("empty"), Array2::<f32>::zeros((3, 3)));
    }

    #[test]
    fn a_nan_is_named() {
        let x = array![[1.0, 2.0], [3.0, f32::NAN]];
        let error = scatter(x.view(), None).expect_err("NaN");
        assert!(matches!(error, LinalgError::NotFinite { row: 1, column: 1, .. }), "{error}");
    }
}
