//! Laws of the factorisations on random matrices of odd sizes, and the same bits from many threads at once.

use longtail_linalg::{cholesky, eigh, qr_r, scatter, solve};
use ndarray::{Array2, Axis};
use proptest::prelude::*;

/// A matrix of the given shape with entries in (−2, 2).
fn matrix(rows: usize, columns: usize) -> impl Strategy<Value = Array2<f64>> {
    proptest::collection::vec(-2.0f64..2.0, rows * columns)
        .prop_map(move |values| Array2::from_shape_vec((rows, columns), values).expect("rows × columns values"))
}

fn any_matrix(max: usize) -> impl Strategy<Value = Array2<f64>> {
    (1..=max, 1..=max).prop_flat_map(|(rows, columns)| matrix(rows, columns))
}

fn square(max: usize) -> impl Strategy<Value = Array2<f64>> {
    (1..=max).prop_flat_map(|dim| matrix(dim, dim))
}

fn largest_difference(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    assert_eq!(a.dim(), b.dim());
    a.iter().zip(b).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn scatter_is_the_gram_matrix_of_the_centred_rows(x in any_matrix(23)) {
        let center = x.mean_axis(Axis(0)).expect("at least one row");
        let (x32, center32) = (x.mapv(|v| v as f32), center.mapv(|v| v as f32));
        let got = scatter(x32.view(), Some(center32.view())).expect("finite");
        let centred = &x - &center;
        let want = centred.t().dot(&centred);
        prop_assert!(largest_difference(&got.mapv(f64::from), &want) < 1e-4);
        prop_assert_eq!(&got, &got.t());
    }

    #[test]
    fn cholesky_rebuilds_the_matrix(x in square(19)) {
        let a = x.dot(&x.t()) + Array2::<f64>::eye(x.nrows()) * 0.1;
        let lower = cholesky(a.view()).expect("positive definite");
        prop_assert!(largest_difference(&lower.dot(&lower.t()), &a) < 1e-11);
        prop_assert!(lower.indexed_iter().all(|((row, column), &v)| column <= row || v == 0.0));
        prop_assert!(lower.diag().iter().all(|&v| v > 0.0));
    }

    #[test]
    fn eigenvectors_are_orthonormal_and_rebuild_the_matrix(x in square(19)) {
        let a = &x + &x.t();
        let (values, vectors) = eigh(a.view()).expect("symmetric");
        let rebuilt = (&vectors * &values).dot(&vectors.t());
        prop_assert!(largest_difference(&rebuilt, &a) < 1e-11);
        prop_assert!(largest_difference(&vectors.t().dot(&vectors), &Array2::eye(a.nrows())) < 1e-12);
        prop_assert!(values.windows(2).into_iter().all(|pair| pair[0] <= pair[1]));
    }

    #[test]
    fn a_solution_solves(x in square(15), b in any_matrix(15)) {
        let a = x.dot(&x.t()) + Array2::<f64>::eye(x.nrows());
        let mut right = Array2::<f64>::zeros((a.nrows(), b.ncols()));
        for ((row, column), value) in right.indexed_iter_mut() {
            *value = b[[row % b.nrows(), column]];
        }
        let solution = solve(a.view(), right.view()).expect("regular");
        prop_assert!(largest_difference(&a.dot(&solution), &right) < 1e-10);
    }

    #[test]
    fn r_has_the_gram_matrix_of_its_rows(x in any_matrix(23)) {
        let r = qr_r(x.view()).expect("finite");
        prop_assert_eq!(r.dim(), (x.nrows().min(x.ncols()), x.ncols()));
        prop_assert!(largest_difference(&r.t().dot(&r), &x.t().dot(&x)) < 1e-11);
        prop_assert!(r.indexed_iter().all(|((row, column), &v)| column >= row || v == 0.0));
    }
}

#[test]
fn r_of_a_rank_deficient_class_needs_no_jitter() {
    // three equal rows: the scatter is singular, Cholesky fails, R does not
    let x = Array2::from_shape_fn((3, 2), |(_, column)| 1.0 + column as f64);
    let r = qr_r(x.view()).expect("finite");
    assert!(largest_difference(&r.t().dot(&r), &x.t().dot(&x)) < 1e-12);
    assert!(cholesky(x.t().dot(&x).view()).is_err());
}

#[test]
fn many_threads_at_once_give_the_same_bits() {
    let x = Array2::from_shape_fn((130, 65), |(row, column)| ((row * 31 + column * 17) % 101) as f64 / 50.0 - 1.0);
    let want = qr_r(x.view()).expect("finite");
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(|| qr_r(x.view()).expect("finite"))).collect();
        for worker in workers {
            assert_eq!(worker.join().expect("no panic"), want);
        }
    });
}
