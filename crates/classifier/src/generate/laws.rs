//! The Gaussian that each source row's offspring is drawn from, as a short list of components.

/// No component in this slot.
pub const NO_CLASS: u32 = u32::MAX;

/// For every source row i, the law of the rows generated from it:
///
/// `y = a_i·x_i + Σ_s m_is·c_{k_is} + Σ_s n_is·A_{k_is}·e_is + √v·ξ + √w·g·1`
///
/// with x the base rows, c the class means or prototypes, A a factor of the class covariance and e, ξ, g independent
/// standard normals. So `mean = a·x + Σ m·c` and `cov = Σ n²·Σ_k + v·I + w·11ᵀ`, exactly.
#[derive(Debug, Clone, PartialEq)]
pub struct RowLaws {
    slots: usize,
    source_weight: Vec<f32>,
    class: Vec<u32>,
    mean_weight: Vec<f32>,
    noise_weight: Vec<f32>,
    /// v ≥ 0, added to every diagonal entry of the covariance.
    pub diagonal_variance: f64,
    /// w ≥ 0, added to every entry of the covariance.
    pub shared_variance: f64,
}

/// One component of a row's law.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Component {
    /// The class whose mean and covariance it brings.
    pub class: u32,
    /// m: weight of the class's mean or prototype.
    pub mean_weight: f32,
    /// n: weight of the class's noise; its square multiplies the covariance.
    pub noise_weight: f32,
}

impl RowLaws {
    /// Laws of `rows` sources with at most `slots` components each, all empty and with source weight 1.
    pub fn new(rows: usize, slots: usize) -> Self {
        Self {
            slots,
            source_weight: vec![1.0; rows],
            class: vec![NO_CLASS; rows * slots],
            mean_weight: vec![0.0; rows * slots],
            noise_weight: vec![0.0; rows * slots],
            diagonal_variance: 0.0,
            shared_variance: 0.0,
        }
    }

    /// Number of source rows N.
    pub fn rows(&self) -> usize {
        self.source_weight.len()
    }

    /// Most components a source can have.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// Sets the law of one source; slots that are left over are empty.
    ///
    /// # Panics
    /// If there are more components than slots: a mistake of the calling generator.
    pub fn set(&mut self, row: usize, source_weight: f32, components: &[Component]) {
        assert!(components.len() <= self.slots, "{} components for {} slots", components.len(), self.slots);
        self.source_weight[row] = source_weight;
        for slot in 0..self.slots {
            let at = row * self.slots + slot;
            let component = components.get(slot);
            self.class[at] = component.map_or(NO_CLASS, |c| c.class);
            self.mean_weight[at] = component.map_or(0.0, |c| c.mean_weight);
            self.noise_weight[at] = component.map_or(0.0, |c| c.noise_weight);
        }
    }

    /// a: weight of the source row in the mean.
    pub fn source_weight(&self, row: usize) -> f32 {
        self.source_weight[row]
    }

    /// The component in one slot, none where it is empty.
    pub fn component(&self, row: usize, slot: usize) -> Option<Component> {
        let at = row * self.slots + slot;
        (self.class[at] != NO_CLASS).then(|| Component {
            class: self.class[at],
            mean_weight: self.mean_weight[at],
            noise_weight: self.noise_weight[at],
        })
    }

    /// All components of a source, in slot order.
    pub fn components(&self, row: usize) -> impl Iterator<Item = Component> + '_ {
        (0..self.slots).filter_map(move |slot| self.component(row, slot))
    }

    /// Memory that the model holds, in bytes.
    pub fn bytes(&self) -> usize {
        4 * (self.source_weight.len() + 3 * self.class.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_left_over_are_empty() {
        let mut laws = RowLaws::new(2, 3);
        laws.set(1, 0.5, &[Component { class: 7, mean_weight: 0.25, noise_weight: 2.0 }]);
        assert_eq!(laws.components(1).count(), 1);
        assert_eq!(laws.component(1, 0).map(|c| c.class), Some(7));
        assert_eq!((laws.source_weight(0), laws.source_weight(1)), (1.0, 0.5));
        assert_eq!(laws.components(0).count(), 0);
    }
}
