//! The meta-network C(·; Θ): prototypes in, meta-prototypes out, row by row.

use candle_core::backprop::GradStore;
use candle_core::{D, DType, Device, Tensor, Var};
use longtail_ops::{ChaCha8Rng, uniform};
use longtail_recipe::MetaNetworkRecipe;

use crate::TrainingError;
use crate::head::{flat_gradient, normalize_rows};

/// Linear d→h, ReLU, linear h→h, ReLU, linear h→d; residual (`c' = c + f(c)`, last layer zero at the start, so c' = c)
/// or plain.
///
/// With an angle bound, a c' further than that from c is turned back onto the cone around c, its length kept.
///
/// # Source
/// The paper's §3.2 (Linear-ReLU, then Linear-ReLU-Linear); mpcl_mpfa.md §5 row 10. The bound is ours (§9).
#[derive(Debug, Clone, PartialEq)]
pub struct MetaNetwork {
    dim: usize,
    hidden: usize,
    residual: bool,
    /// Below 180; none = no bound.
    max_angle_deg: Option<f64>,
}

/// Θ by layers: weight (out, in) and bias (out) of each, as variables or as constants.
#[derive(Debug, Clone)]
pub struct MetaLayers {
    layers: Vec<(Tensor, Tensor)>,
}

impl MetaNetwork {
    /// For features of dimension `dim` through `hidden` numbers; `max_angle_deg` 180 or more is no bound.
    pub fn new(dim: usize, hidden: usize, residual: bool, max_angle_deg: f64) -> Self {
        Self { dim, hidden, residual, max_angle_deg: (max_angle_deg < 180.0).then_some(max_angle_deg) }
    }

    /// As the recipe says.
    pub fn from_recipe(recipe: &MetaNetworkRecipe, dim: usize) -> Self {
        Self::new(dim, recipe.hidden_width(dim), recipe.residual, recipe.max_angle_deg)
    }

    /// Feature dimension d.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Whether c' = c + f(c).
    pub fn is_residual(&self) -> bool {
        self.residual
    }

    /// The largest angle in degrees between c' and c; 180 = no bound.
    pub fn max_angle_deg(&self) -> f64 {
        self.max_angle_deg.unwrap_or(180.0)
    }

    /// `(name, shape)` of Θ in flat order; names as torch's `nn.Sequential(Linear, ReLU, Linear, ReLU, Linear)` has them.
    pub fn layout(&self) -> Vec<(&'static str, Vec<usize>)> {
        let (d, h) = (self.dim, self.hidden);
        vec![
            ("0.weight", vec![h, d]),
            ("0.bias", vec![h]),
            ("2.weight", vec![h, h]),
            ("2.bias", vec![h]),
            ("4.weight", vec![d, h]),
            ("4.bias", vec![d]),
        ]
    }

    /// The number of elements of Θ.
    pub fn len(&self) -> usize {
        self.layout().iter().map(|(_, shape)| shape.iter().product::<usize>()).sum()
    }

    /// Whether Θ is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A fresh Θ, flat, of f32 or f64: uniform in ±1/√fan_in (PyTorch's `nn.Linear`), the last layer zero if residual.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub fn init(&self, rng: &mut ChaCha8Rng, dtype: DType) -> Result<Tensor, TrainingError> {
        let mut theta = Vec::with_capacity(self.len());
        for (name, shape) in self.layout() {
            let fan_in = if name.starts_with('0') { self.dim } else { self.hidden };
            let bound = 1.0 / (fan_in as f64).sqrt();
            let is_last = name.starts_with('4');
            theta.extend((0..shape.iter().product::<usize>()).map(|_| {
                let drawn = (2.0 * uniform(rng) - 1.0) * bound;
                if is_last && self.residual { 0.0 } else { drawn }
            }));
        }
        Ok(Tensor::from_vec(theta, self.len(), &Device::Cpu)?.to_dtype(dtype)?)
    }

    /// Θ's tensors by name, views of the flat vector.
    ///
    /// # Errors
    /// If `theta` has another size.
    pub fn tensors(&self, theta: &Tensor) -> Result<Vec<(&'static str, Tensor)>, TrainingError> {
        TrainingError::check_size("meta-network", theta.elem_count(), self.len())?;
        let mut start = 0;
        let mut tensors = Vec::new();
        for (name, shape) in self.layout() {
            let len = shape.iter().product();
            tensors.push((name, theta.narrow(0, start, len)?.reshape(shape)?));
            start += len;
        }
        Ok(tensors)
    }

    /// Θ as variables, copies of the flat vector.
    ///
    /// # Errors
    /// If `theta` has another size.
    pub fn variables(&self, theta: &Tensor) -> Result<MetaLayers, TrainingError> {
        let mut variables = Vec::new();
        for (_, tensor) in self.tensors(theta)? {
            variables.push(Var::from_tensor(&tensor)?.into_inner());
        }
        Ok(MetaLayers::of(&variables))
    }

    /// c' of c, differentiable in Θ.
    ///
    /// # Shapes
    /// - `prototypes`: c, (K, d), no zero rows  - returns c', (K, d), not normalised
    /// # Errors
    /// If shapes do not fit.
    pub fn forward(&self, theta: &MetaLayers, prototypes: &Tensor) -> Result<Tensor, TrainingError> {
        let mut hidden = prototypes.clone();
        for (index, (weight, bias)) in theta.layers.iter().enumerate() {
            hidden = hidden.matmul(&weight.t()?)?.broadcast_add(bias)?;
            if index + 1 < theta.layers.len() {
                hidden = hidden.relu()?;
            }
        }
        let moved = if self.residual { (prototypes + hidden)? } else { hidden };
        match self.max_angle_deg {
            Some(angle) => bound_angle(&moved, prototypes, angle.to_radians()),
            None => Ok(moved),
        }
    }

    /// c' of c as a constant.
    ///
    /// # Shapes
    /// - `theta`: flat  - `prototypes`: c, (K, d); K may be 0  - returns c', (K, d)
    /// # Errors
    /// If sizes do not fit.
    pub fn apply(&self, theta: &Tensor, prototypes: &Tensor) -> Result<Tensor, TrainingError> {
        if prototypes.dim(0)? == 0 {
            return Ok(prototypes.clone());
        }
        let tensors: Vec<Tensor> = self.tensors(theta)?.into_iter().map(|(_, tensor)| tensor).collect();
        self.forward(&MetaLayers::of(&tensors), prototypes)
    }
}

impl MetaLayers {
    /// Of weight, bias, weight, bias, ….
    fn of(tensors: &[Tensor]) -> Self {
        Self { layers: tensors.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect() }
    }

    /// The gradient of Θ, flat; zeros where there is none.
    ///
    /// # Errors
    /// If a gradient has another type.
    pub fn gradient(&self, store: &GradStore) -> Result<Tensor, TrainingError> {
        let variables: Vec<&Tensor> = self.layers.iter().flat_map(|(weight, bias)| [weight, bias]).collect();
        flat_gradient(store, &variables)
    }
}

/// Rows of `moved` that stand further than `angle` from the row of `center` turned back onto the cone, length kept:
/// `‖c'‖·(cos θ·ĉ + sin θ·t/‖t‖)`, t the part of ĉ' orthogonal to ĉ.
fn bound_angle(moved: &Tensor, center: &Tensor, angle: f64) -> Result<Tensor, TrainingError> {
    let norm = (moved.sqr()?.sum_keepdim(D::Minus1)? + 1e-24)?.sqrt()?;
    let (unit, center) = (moved.broadcast_div(&norm)?, normalize_rows(center)?);
    let cosine = (&unit * &center)?.sum_keepdim(D::Minus1)?;
    let outside = cosine.detach().lt(angle.cos())?.broadcast_as(moved.shape())?.contiguous()?;
    let tangent = (&unit - center.broadcast_mul(&cosine)?)?;
    let on_cone = ((center * angle.cos())? + (normalize_rows(&tangent)? * angle.sin())?)?;
    Ok(outside.where_cond(&on_cone.broadcast_mul(&norm)?, moved)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scalar;
    use crate::prototype::row_cosines;
    use longtail_ops::stream;

    #[test]
    fn a_fresh_residual_network_is_the_identity() {
        let network = MetaNetwork::new(3, 3, true, 180.0);
        let theta = network.init(&mut stream(0, "meta", 0, 0), DType::F32).expect("memory");
        assert_eq!(theta.elem_count(), 3 * 9 + 3 * 3);
        let values = [0.6f32, 0.8, 0.0, 0.0, 0.0, 1.0];
        let prototypes = f32::constant(&values, &[2, 3]).expect("2·3");
        assert_eq!(f32::values(&network.apply(&theta, &prototypes).expect("fits")).expect("f32"), values);
        let literal = MetaNetwork::new(3, 3, false, 180.0);
        let theta = literal.init(&mut stream(0, "meta", 0, 0), DType::F32).expect("memory");
        assert_ne!(f32::values(&literal.apply(&theta, &prototypes).expect("fits")).expect("f32"), values);
    }

    #[test]
    fn the_bound_turns_back_what_is_outside_and_nothing_else() {
        // 90° away, bounded to 60°; 0° and about 11° stay.
        let moved = f64::constant(&[0.0, 2.0, 3.0, 0.0, 1.0, 0.2], &[3, 2]).expect("3·2");
        let center = f64::constant(&[1.0, 0.0, 1.0, 0.0, 1.0, 0.0], &[3, 2]).expect("3·2");
        let bounded = bound_angle(&moved, &center, 60f64.to_radians()).expect("fits");
        let values = f64::values(&bounded).expect("f64");
        for (actual, expected) in values.iter().zip([1.0, 3f64.sqrt(), 3.0, 0.0, 1.0, 0.2]) {
            assert!((actual - expected).abs() < 1e-9, "{values:?}");
        }
    }

    #[test]
    fn gradients_under_the_bound_are_differences() {
        let network = MetaNetwork::new(2, 3, true, 20.0);
        let mut rng = stream(5, "meta", 0, 0);
        let theta: Vec<f64> = (0..network.len()).map(|_| 2.0 * uniform(&mut rng) - 1.0).collect();
        let empirical = f64::constant(&[0.6, 0.8, -1.0, 0.0, 0.28, -0.96], &[3, 2]).expect("3·2");
        let flat = |theta: &[f64]| f64::constant(theta, &[theta.len()]).expect("a vector");
        let weights = f64::constant(&[1.0, -2.0, 0.5, 0.3, 2.0, 1.0], &[3, 2]).expect("3·2");
        let value = |theta: &[f64]| {
            let variables = network.variables(&flat(theta)).expect("fits");
            let total = (network.forward(&variables, &empirical).expect("fits") * &weights).expect("fits");
            (total.sum_all().expect("a sum"), variables)
        };
        let (total, variables) = value(&theta);
        let gradient = variables.gradient(&total.backward().expect("differentiable")).expect("f64");
        let gradient = f64::values(&gradient).expect("f64");
        for index in 0..theta.len() {
            let at = |shift: f64| {
                let mut moved = theta.clone();
                moved[index] += shift;
                value(&moved).0.to_scalar::<f64>().expect("scalar")
            };
            let difference = (at(1e-6) - at(-1e-6)) / 2e-6;
            assert!((gradient[index] - difference).abs() < 1e-8, "[{index}] {} is not {difference}", gradient[index]);
        }
        let cosines = row_cosines(&network.apply(&flat(&theta), &empirical).expect("fits"), &empirical);
        let angles = f64::values(&cosines.expect("shapes fit")).expect("f64");
        assert!(angles.iter().all(|cosine| *cosine >= 20f64.to_radians().cos() - 1e-12), "{angles:?}");
    }
}
