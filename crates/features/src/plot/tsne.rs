//! t-SNE, exactly: every pair of points, no trees. A picture has a few hundred points.

use rayon::prelude::*;

/// The input of one run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TsneSpec {
    /// The effective number of neighbours, at least 1; below a third of the number of points.
    pub perplexity: f64,
    /// Gradient steps in all; the first quarter pulls clusters together.
    pub steps: usize,
}

impl TsneSpec {
    /// The usual number of steps.
    pub const STEPS: usize = 1000;
}

/// Where the points went.
#[derive(Debug, Clone, PartialEq)]
pub struct Tsne {
    /// `(n, 2)`, centred.
    pub points: Vec<[f64; 2]>,
    /// The Kullback–Leibler divergence that is left, in nats.
    pub kl: f64,
}

/// Early exaggeration, and momentum before and after it; gains: the numbers of van der Maaten's and of scikit-learn's code.
const EXAGGERATION: f64 = 12.0;
const MOMENTUM: [f64; 2] = [0.5, 0.8];
const LEAST_GAIN: f64 = 0.01;
/// The standard deviation of the start, along its first axis.
const START_STD: f64 = 1e-4;
/// How near the entropy of a row's neighbours comes to the wanted one, in nats, and after how many halvings we are content.
const ENTROPY_TOLERANCE: f64 = 1e-9;
const MOST_HALVINGS: usize = 200;

/// Moves points of the plane until their neighbourhoods resemble those of the rows.
///
/// `C = Σ_ij p_ij ln(p_ij / q_ij)` with `q_ij ∝ 1 / (1 + ‖y_i − y_j‖²)` and `p_ij = (p_j|i + p_i|j) / 2n`, `p_j|i ∝ exp(−β_i ‖x_i − x_j‖²)`, where β_i
/// gives row i's neighbours the entropy `ln perplexity`. Gradient descent with momentum and gains, learning rate
/// `max(n / 48, 50)`. Nothing is drawn at random and every sum has a fixed order: the same rows and start give the same bits with
/// any number of threads.
///
/// # Shapes
/// - `rows`: `(n, dim)` f64, finite, n > 3 · perplexity - `start`: `(n, 2)`, its scale does not matter; not all the same
/// # Source
/// van der Maaten and Hinton 2008; Belkina et al. 2019 for the learning rate; constants and results compared with scikit-learn's
/// `TSNE(method="exact")` in `tests/golden/plot`.
pub fn tsne(rows: &[f64], dim: usize, start: &[[f64; 2]], spec: TsneSpec) -> Tsne {
    let n = start.len();
    let p = joint_probabilities(&squared_distances(rows, dim), n, spec.perplexity);
    let scale = START_STD / std_of_first_axis(start).max(f64::MIN_POSITIVE);
    let mut points: Vec<[f64; 2]> = start.iter().map(|point| point.map(|value| value * scale)).collect();
    let (mut velocity, mut gains) = (vec![[0.0; 2]; n], vec![[1.0f64; 2]; n]);
    let learning_rate = (n as f64 / EXAGGERATION / 4.0).max(50.0);
    for step in 0..spec.steps {
        let early = step < spec.steps / 4;
        let (exaggeration, momentum) = if early { (EXAGGERATION, MOMENTUM[0]) } else { (1.0, MOMENTUM[1]) };
        if step == spec.steps / 4 {
            // Another function from here on.
            velocity.fill([0.0; 2]);
            gains.fill([1.0; 2]);
        }
        let gradient = gradient(&p, &points, exaggeration);
        for i in 0..n {
            for axis in 0..2 {
                let (slope, speed, gain) = (gradient[i][axis], &mut velocity[i][axis], &mut gains[i][axis]);
                *gain = if slope * *speed < 0.0 { *gain + 0.2 } else { (*gain * 0.8).max(LEAST_GAIN) };
                *speed = momentum * *speed - learning_rate * *gain * slope;
                points[i][axis] += *speed;
            }
        }
    }
    let kl = divergence(&p, &points);
    centre(&mut points);
    Tsne { points, kl }
}

fn std_of_first_axis(points: &[[f64; 2]]) -> f64 {
    let n = points.len() as f64;
    let mean = points.iter().map(|point| point[0]).sum::<f64>() / n;
    (points.iter().map(|point| (point[0] - mean).powi(2)).sum::<f64>() / n).sqrt()
}

fn centre(points: &mut [[f64; 2]]) {
    for axis in 0..2 {
        let mean = points.iter().map(|point| point[axis]).sum::<f64>() / points.len() as f64;
        points.iter_mut().for_each(|point| point[axis] -= mean);
    }
}

/// `(n, n)`: ‖x_i − x_j‖².
fn squared_distances(rows: &[f64], dim: usize) -> Vec<f64> {
    let rows: Vec<&[f64]> = rows.chunks_exact(dim.max(1)).collect();
    let of = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum::<f64>();
    rows.par_iter().flat_map_iter(|a| rows.iter().map(|b| of(a, b)).collect::<Vec<_>>()).collect()
}

/// `(n, n)`: p_ij, symmetric, zero on the diagonal, 1 in all.
fn joint_probabilities(distances: &[f64], n: usize, perplexity: f64) -> Vec<f64> {
    let conditional: Vec<f64> = (0..n)
        .into_par_iter()
        .flat_map_iter(|i| conditional_row(&distances[i * n..(i + 1) * n], i, perplexity.ln()))
        .collect();
    let joint = |at: usize| (conditional[at] + conditional[at % n * n + at / n]) / (2 * n) as f64;
    (0..n * n).map(joint).collect()
}

/// p_j|i for all j: β by bisection, from the nearest other point's distance, which keeps exp from vanishing.
fn conditional_row(distances: &[f64], i: usize, entropy: f64) -> Vec<f64> {
    let others = || distances.iter().enumerate().filter(|(j, _)| *j != i);
    let nearest = others().map(|(_, distance)| *distance).fold(f64::INFINITY, f64::min);
    let (mut beta, mut low, mut high) = (1.0f64, 0.0f64, f64::INFINITY);
    let mut row = vec![0.0; distances.len()];
    for _ in 0..MOST_HALVINGS {
        let (mut sum, mut moment) = (0.0, 0.0);
        for (j, distance) in others() {
            let gap = distance - nearest;
            row[j] = (-beta * gap).exp();
            sum += row[j];
            moment += row[j] * gap;
        }
        row.iter_mut().for_each(|value| *value /= sum);
        // H = ln Σ exp(−β gap) + β Σ p gap.
        let excess = sum.ln() + beta * moment / sum - entropy;
        if excess.abs() <= ENTROPY_TOLERANCE {
            break;
        }
        if excess > 0.0 {
            (low, beta) = (beta, if high.is_finite() { (beta + high) / 2.0 } else { beta * 2.0 });
        } else {
            (high, beta) = (beta, (beta + low) / 2.0);
        }
    }
    row
}

fn kernel(a: [f64; 2], b: [f64; 2]) -> f64 {
    1.0 / (1.0 + (a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2))
}

/// Σ_ij 1 / (1 + ‖y_i − y_j‖²) without the diagonal.
fn normaliser(points: &[[f64; 2]]) -> f64 {
    // The diagonal's kernel is 1 exactly.
    let row = |a: &[f64; 2]| points.iter().map(|b| kernel(*a, *b)).sum::<f64>() - 1.0;
    let sums: Vec<f64> = points.par_iter().map(row).collect();
    sums.iter().sum()
}

/// `∂C/∂y_i = 4 Σ_j (e·p_ij − q_ij) (y_i − y_j) / (1 + ‖y_i − y_j‖²)` with exaggeration e.
fn gradient(p: &[f64], points: &[[f64; 2]], exaggeration: f64) -> Vec<[f64; 2]> {
    let (n, total) = (points.len(), normaliser(points));
    let row = |i: usize| {
        let (a, mut slope) = (points[i], [0.0; 2]);
        for (p, b) in p[i * n..(i + 1) * n].iter().zip(points) {
            let near = kernel(a, *b);
            let pull = (exaggeration * p - near / total) * near;
            slope[0] += pull * (a[0] - b[0]);
            slope[1] += pull * (a[1] - b[1]);
        }
        slope.map(|value| 4.0 * value)
    };
    (0..n).into_par_iter().map(row).collect()
}

/// C in nats.
fn divergence(p: &[f64], points: &[[f64; 2]]) -> f64 {
    let (n, total) = (points.len(), normaliser(points));
    let row = |i: usize| {
        let terms = p[i * n..(i + 1) * n].iter().zip(points).filter(|(p, _)| **p > 0.0);
        terms.map(|(p, b)| p * (p * total / kernel(points[i], *b)).ln()).sum::<f64>()
    };
    let rows: Vec<f64> = (0..n).into_par_iter().map(row).collect();
    rows.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use longtail_ops::{normal, stream};

    /// Three heaps of ten points in five dimensions, and a start.
    fn heaps() -> (Vec<f64>, Vec<[f64; 2]>) {
        let mut rng = stream(7, "test", 0, 0);
        let rows = (0..30 * 5).map(|at| normal(&mut rng) + if at / 5 % 3 == at % 5 { 12.0 } else { 0.0 }).collect();
        let start = (0..30).map(|_| [normal(&mut rng), normal(&mut rng)]).collect();
        (rows, start)
    }

    #[test]
    fn probabilities_are_symmetric_and_have_the_perplexity() {
        let (rows, start) = heaps();
        let n = start.len();
        let distances = squared_distances(&rows, 5);
        for i in 0..n {
            let row = conditional_row(&distances[i * n..(i + 1) * n], i, 6f64.ln());
            let entropy: f64 = row.iter().filter(|p| **p > 0.0).map(|p| -p * p.ln()).sum();
            assert!((entropy.exp() - 6.0).abs() < 1e-6 && row[i] == 0.0, "{}", entropy.exp());
        }
        let p = joint_probabilities(&distances, n, 6.0);
        assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!((0..n * n).all(|at| p[at] == p[at % n * n + at / n]));
    }

    #[test]
    fn the_gradient_is_that_of_the_divergence() {
        let (rows, points) = heaps();
        let n = points.len();
        let p = joint_probabilities(&squared_distances(&rows, 5), n, 6.0);
        let gradient = gradient(&p, &points, 1.0);
        for i in [0, 13, n - 1] {
            for axis in 0..2 {
                let at = |step: f64| {
                    let mut moved = points.clone();
                    moved[i][axis] += step;
                    divergence(&p, &moved)
                };
                let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
                assert!((slope - gradient[i][axis]).abs() < 1e-8 * slope.abs().max(1.0), "{slope} {:?}", gradient[i]);
            }
        }
    }

    #[test]
    fn the_divergence_of_scikit_learns_plane_is_what_scikit_learn_says() {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/plot/golden.json");
        let golden: serde_json::Value =
            serde_json::from_slice(&std::fs::read(file).expect("there")).expect("a golden file is JSON");
        let numbers =
            |value: &serde_json::Value| -> Vec<f64> { serde_json::from_value(value.clone()).expect("numbers") };
        let (rows, dim) = (numbers(&golden["points"]), golden["dim"].as_u64().expect("a number") as usize);
        for run in golden["tsne"].as_array().expect("runs") {
            let (perplexity, theirs) = (run["perplexity"].as_f64().expect("one"), run["kl"].as_f64().expect("one"));
            let plane: Vec<[f64; 2]> =
                numbers(&run["plane"]).chunks_exact(2).map(|point| [point[0], point[1]]).collect();
            let p = joint_probabilities(&squared_distances(&rows, dim), plane.len(), perplexity);
            let ours = divergence(&p, &plane);
            // Their search for the perplexity stops at 1e-5, and their plane is f32, rounded to five digits.
            assert!((ours - theirs).abs() < 1e-4 * theirs, "perplexity {perplexity}: {ours}, scikit-learn {theirs}");
        }
    }

    #[test]
    fn the_divergence_falls_and_heaps_stay_apart() {
        let (rows, start) = heaps();
        let run = |steps| tsne(&rows, 5, &start, TsneSpec { perplexity: 6.0, steps });
        let (short, long) = (run(40), run(1000));
        assert!(long.kl < short.kl && long.kl < 0.4, "{} {}", short.kl, long.kl);
        let square = |a: [f64; 2], b: [f64; 2]| (a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2);
        for i in 0..30 {
            let others = (0..30).filter(|j| *j != i);
            let nearest = others.min_by(|j, k| {
                square(long.points[i], long.points[*j]).total_cmp(&square(long.points[i], long.points[*k]))
            });
            assert_eq!(nearest.map(|j| j % 3), Some(i % 3));
        }
    }

    #[test]
    fn equal_rows_and_far_rows_are_no_trouble() {
        // Two places of five rows each, 10⁶ apart: distances whose exp is zero, and distances of zero.
        let rows: Vec<f64> = (0..10).map(|at| if at < 5 { 0.0 } else { 1e6 }).collect();
        let start: Vec<[f64; 2]> = rows.iter().map(|x| [*x, 0.0]).collect();
        let found = tsne(&rows, 1, &start, TsneSpec { perplexity: 3.0, steps: 300 });
        assert!(found.kl.is_finite() && found.points.iter().flatten().all(|value| value.is_finite()));
        assert!(found.points[0][0] < found.points[9][0]);
    }

    #[test]
    fn threads_change_no_bit() {
        let (rows, start) = heaps();
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            pool.install(|| tsne(&rows, 5, &start, TsneSpec { perplexity: 5.0, steps: 100 }))
        };
        let one = run(1);
        for threads in [2, 3, 8] {
            assert_eq!(run(threads), one);
        }
    }
}
