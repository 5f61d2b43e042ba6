//! The meta-gradient in closed form: no second-order graph.
//!
//! With Ŵ(Θ) = W − α·∇_W L_tr(W, Θ) and v = ∇L_meta at Ŵ,
//! `dL_meta/dΘ = −α·∇_Θ ⟨∇_W L_tr(W, Θ), v⟩ = −α·∇_Θ G(Θ)`: G is the derivative of λ·L_PC along v, which needs only the
//! features u and their directional derivative u̇ (constants), so autograd runs through two small GEMMs and the
//! meta-network.

use candle_core::{DType, Tensor};

use super::loss::{one_hot, similarities, softmax_rows};
use super::meta_network::MetaNetwork;
use super::seen::{SeenClasses, select_rows};
use super::unit_rows::UnitRows;
use crate::TrainingError;
use crate::head::normalize_rows;

/// What G is built from; all constants.
#[derive(Debug, Clone)]
pub struct ContrastDirection {
    /// u of the samples whose class is seen, (n_seen, d), unit rows.
    pub unit: Tensor,
    /// u̇ along v^E, (n_seen, d).
    pub unit_dot: Tensor,
    /// Each sample's class as its place among the seen ones, (n_seen).
    pub targets: Vec<u32>,
    /// n of the mean: the whole batch.
    pub batch: usize,
    /// λ of L_CE + λ·L_PC.
    pub lambda: f64,
    /// Temperature τ, above 0.
    pub tau: f64,
}

impl ContrastDirection {
    /// Of a batch's features z, (n, d), and the direction u̇, (n, d), in which they move on the sphere.
    ///
    /// # Errors
    /// If sizes do not fit.
    pub fn of(
        features: &Tensor,
        unit_dot: &Tensor,
        labels: &[u32],
        seen: &SeenClasses,
        (lambda, tau): (f64, f64),
    ) -> Result<Self, TrainingError> {
        let (rows, targets) = seen.members(labels);
        let (unit, unit_dot) = (select_rows(&UnitRows::of(features)?.rows, &rows)?, select_rows(unit_dot, &rows)?);
        Ok(Self { unit, unit_dot, targets, batch: labels.len(), lambda, tau })
    }
}

/// What is asked of Θ.
#[derive(Debug, Clone, Copy)]
pub struct MetaObjective {
    /// The step size in front of −∇G: α_lr, or α_lr(1+μ) with Nesterov; 1 instead of α_lr with `meta_scale: unit`.
    pub factor: f64,
    /// Coefficient of the mean of ‖ĉ' − ĉ‖².
    pub proximity: f64,
}

/// `G(Θ) = (λ/n)·Σ_i [ Σ_k p_ik·ṡ_ik − ṡ_{i,y_i} ]`, `s = u·ĉᵀ/τ`, `ṡ = u̇·ĉᵀ/τ`, `p = softmax(s)`.
///
/// # Shapes
/// - `unit_prototypes`: ĉ, (K_seen, d), differentiable  - returns a scalar
/// # Errors
/// If shapes do not fit.
/// # Source
/// mpcl_mpfa.md §4.2.
pub fn directional_derivative(
    direction: &ContrastDirection,
    unit_prototypes: &Tensor,
) -> Result<Tensor, TrainingError> {
    let classes = unit_prototypes.dim(0)?;
    let ContrastDirection { unit, unit_dot, targets, tau, .. } = direction;
    let probabilities = softmax_rows(&similarities(unit, unit_prototypes, *tau)?)?;
    let moved = similarities(unit_dot, unit_prototypes, *tau)?;
    let sum = ((probabilities - one_hot(targets, classes, unit)?)? * moved)?.sum_all()?;
    Ok((sum * (direction.lambda / direction.batch as f64))?)
}

/// The gradient of the meta objective with respect to Θ, flat, and the value of G, a scalar of f64.
///
/// # Shapes
/// - `theta`: the meta-network's flat vector  - `prototypes`: c of the seen classes, (K_seen, d)
/// # Errors
/// If shapes do not fit.
/// # Source
/// mpcl_mpfa.md §4.1 to §4.3; checked against brute force (`representation/tests/meta_gradient.rs`).
pub fn meta_gradient(
    network: &MetaNetwork,
    theta: &Tensor,
    prototypes: &Tensor,
    direction: &ContrastDirection,
    objective: MetaObjective,
) -> Result<(Tensor, Tensor), TrainingError> {
    let layers = network.variables(theta)?;
    let unit = normalize_rows(&network.forward(&layers, prototypes)?)?;
    let directional = directional_derivative(direction, &unit)?;
    let mut total = (&directional * -objective.factor)?;
    if objective.proximity > 0.0 {
        let away = (&unit - normalize_rows(prototypes)?)?.sqr()?.sum_all()?;
        total = (total + (away * (objective.proximity / unit.dim(0)? as f64))?)?;
    }
    Ok((layers.gradient(&total.backward()?)?, directional.detach().to_dtype(DType::F64)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scalar;
    use longtail_ops::{normal, stream};

    /// ∂G/∂ĉ by §4.2's formula.
    fn prototype_gradient(direction: &ContrastDirection, prototypes: &[f64], dim: usize) -> Vec<f64> {
        let classes = prototypes.len() / dim;
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let mut gradient = vec![0.0; prototypes.len()];
        let [unit, unit_dot] = [&direction.unit, &direction.unit_dot].map(|rows| f64::values(rows).expect("f64"));
        for ((unit, unit_dot), &target) in
            unit.chunks_exact(dim).zip(unit_dot.chunks_exact(dim)).zip(&direction.targets)
        {
            let s: Vec<f64> = prototypes.chunks_exact(dim).map(|c| dot(unit, c) / direction.tau).collect();
            let s_dot: Vec<f64> = prototypes.chunks_exact(dim).map(|c| dot(unit_dot, c) / direction.tau).collect();
            let total: f64 = s.iter().map(|s| s.exp()).sum();
            let p: Vec<f64> = s.iter().map(|s| s.exp() / total).collect();
            let mean = dot(&p, &s_dot);
            for class in 0..classes {
                let one = f64::from(u8::from(class == target as usize));
                for j in 0..dim {
                    gradient[class * dim + j] += direction.lambda / (direction.batch as f64 * direction.tau)
                        * ((p[class] - one) * unit_dot[j] + p[class] * (s_dot[class] - mean) * unit[j]);
                }
            }
        }
        gradient
    }

    #[test]
    fn autograd_through_g_is_the_written_out_gradient_and_has_no_radial_part() {
        let mut rng = stream(3, "test", 0, 0);
        let mut draw = |count: usize| -> Vec<f64> { (0..count).map(|_| normal(&mut rng)).collect() };
        let (features, dot, prototypes) = (draw(5 * 4), draw(5 * 4), draw(3 * 4));
        let matrix = |values: &[f64]| f64::constant(values, &[5, 4]).expect("5·4");
        let unit = UnitRows::of(&matrix(&features)).expect("a matrix");
        let direction = ContrastDirection {
            unit_dot: unit.tangent(&matrix(&dot)).expect("sizes fit"),
            unit: unit.rows,
            targets: vec![0, 2, 1, 2, 2],
            batch: 6,
            lambda: 0.5,
            tau: 0.2,
        };
        let raw = f64::variable(&prototypes, &[3, 4]).expect("3·4");
        let unit_prototypes = normalize_rows(&raw).expect("a matrix");
        let hat = f64::variable(&f64::values(&unit_prototypes).expect("f64"), &[3, 4]).expect("3·4");
        let value = directional_derivative(&direction, &hat).expect("fits");
        let actual = f64::values(value.backward().expect("ok").get(&hat).expect("a gradient")).expect("f64");
        let expected = prototype_gradient(&direction, &f64::values(&hat).expect("f64"), 4);
        for (actual, expected) in actual.iter().zip(&expected) {
            assert!((actual - expected).abs() < 1e-14, "{actual} is not {expected}");
        }
        // ⟨∂G/∂c'_k, c'_k⟩ = 0 and ⟨u_i, u̇_i⟩ = 0.
        let value = directional_derivative(&direction, &unit_prototypes).expect("fits");
        let radial = f64::values(value.backward().expect("ok").get(&raw).expect("a gradient")).expect("f64");
        let [unit, unit_dot] = [&direction.unit, &direction.unit_dot].map(|rows| f64::values(rows).expect("f64"));
        let pairs = radial.chunks(4).zip(prototypes.chunks(4)).chain(unit.chunks(4).zip(unit_dot.chunks(4)));
        for (a, b) in pairs {
            assert!(a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>().abs() < 1e-14);
        }
    }
}
