//! The prediction of a value from its neighbours: least squares over the image so far, leaning on all images before.

/// How many neighbours a prediction weighs.
pub(super) const INPUTS: usize = 16;
/// Pixels between two solutions of the normal equations.
const SOLVE_EVERY: u32 = 16;
/// How many pixels' worth of weight the images before have.
const PRIOR: f32 = 600.0;
/// What of the statistics of all images is kept from one image to the next.
const KEEP: f32 = 0.9995;

/// Sums of products of the inputs with one another and with the target. The elimination reads only the diagonal
/// and what is right of it; it begins rows at a multiple of four for the sake of vector instructions.
#[derive(Clone)]
struct Moments {
    inputs: [[f32; INPUTS]; INPUTS],
    target: [f32; INPUTS],
    count: f32,
}

impl Moments {
    const ZERO: Self = Self { inputs: [[0.0; INPUTS]; INPUTS], target: [0.0; INPUTS], count: 0.0 };
}

/// Predicts one channel.
pub(super) struct LeastSquares {
    image: Moments,
    all: Moments,
    /// `all`, scaled to weigh as [`PRIOR`] pixels and made well-conditioned.
    prior: Moments,
    weights: [f32; INPUTS],
    until_solve: u32,
}

impl LeastSquares {
    pub(super) fn new() -> Self {
        let mut this = Self {
            image: Moments::ZERO,
            all: Moments::ZERO,
            prior: Moments::ZERO,
            weights: [0.0; INPUTS],
            until_solve: SOLVE_EVERY,
        };
        this.start_image();
        this
    }

    /// Takes the finished image into the statistics of all and begins the next.
    pub(super) fn start_image(&mut self) {
        let (all, image, prior) = (&mut self.all, &self.image, &mut self.prior);
        all.count = all.count * KEEP + image.count;
        let scale = PRIOR / (all.count + 1.0);
        for i in 0..INPUTS {
            for j in 0..INPUTS {
                all.inputs[i][j] = all.inputs[i][j] * KEEP + image.inputs[i][j];
                prior.inputs[i][j] = all.inputs[i][j] * scale;
            }
            prior.inputs[i][i] = prior.inputs[i][i] * 1.0001 + 0.02;
            all.target[i] = all.target[i] * KEEP + image.target[i];
            prior.target[i] = all.target[i] * scale;
        }
        self.image = Moments::ZERO;
        self.solve();
    }

    /// The prediction, as a difference from what the target's difference is taken from.
    #[inline]
    pub(super) fn predict(&self, inputs: &[f32; INPUTS]) -> f32 {
        let mut lanes = [0.0f32; 4];
        for i in (0..INPUTS).step_by(4) {
            for lane in 0..4 {
                lanes[lane] += inputs[i + lane] * self.weights[i + lane];
            }
        }
        (lanes[0] + lanes[2]) + (lanes[1] + lanes[3])
    }

    /// Learns what the target was; `weight` says how much this pixel counts.
    #[inline]
    pub(super) fn learn(&mut self, inputs: &[f32; INPUTS], target: f32, weight: f32) {
        let image = &mut self.image;
        image.count += 1.0;
        let scaled: [f32; INPUTS] = std::array::from_fn(|i| inputs[i] * weight);
        for i in 0..INPUTS {
            for j in 0..INPUTS {
                image.inputs[i][j] += scaled[i] * inputs[j];
            }
            image.target[i] += scaled[i] * target;
        }
        self.until_solve -= 1;
        if self.until_solve == 0 {
            self.solve();
        }
    }

    /// Solves the normal equations by elimination; keeps the old weights where they have no solution.
    fn solve(&mut self) {
        self.until_solve = SOLVE_EVERY;
        let mut rows = self.prior.inputs;
        let mut right = self.prior.target;
        for i in 0..INPUTS {
            for j in 0..INPUTS {
                rows[i][j] += self.image.inputs[i][j];
            }
            right[i] += self.image.target[i];
        }
        // Gaussian elimination without pivots: the matrix is symmetric and positive definite.
        for k in 0..INPUTS {
            let pivot = rows[k];
            if pivot[k].is_nan() || pivot[k] < 1e-4 {
                return;
            }
            let inverse = 1.0 / pivot[k];
            for i in k + 1..INPUTS {
                let factor = pivot[i] * inverse;
                for j in (i & !3)..INPUTS {
                    rows[i][j] -= factor * pivot[j];
                }
                right[i] -= factor * right[k];
            }
        }
        for i in (0..INPUTS).rev() {
            let mut sum = right[i];
            for j in i + 1..INPUTS {
                sum -= rows[i][j] * right[j];
            }
            right[i] = sum / rows[i][i];
        }
        if right.iter().all(|w| w.is_finite()) {
            self.weights = right;
        }
    }
}
