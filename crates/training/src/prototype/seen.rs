//! Which classes have a prototype yet.

use candle_core::Tensor;

use crate::TrainingError;

/// Which classes take part in the prototype softmax, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenClasses {
    classes: Vec<u32>,
    position: Vec<Option<u32>>,
}

impl SeenClasses {
    /// `classes`: ascending, below `num_classes`.
    pub fn new(classes: Vec<u32>, num_classes: usize) -> Self {
        let mut position = vec![None; num_classes];
        for (place, &class) in classes.iter().enumerate() {
            position[class as usize] = Some(place as u32);
        }
        Self { classes, position }
    }

    /// The seen classes, ascending.
    pub fn classes(&self) -> &[u32] {
        &self.classes
    }

    /// 1 for a seen class, else 0, (K).
    pub fn mask(&self) -> Vec<u32> {
        self.position.iter().map(|place| u32::from(place.is_some())).collect()
    }

    /// A (K, d) matrix with `rows` (K_seen, d) at the seen classes and zeros elsewhere.
    ///
    /// # Errors
    /// If the number of rows differs.
    pub fn spread(&self, rows: &Tensor) -> Result<Tensor, TrainingError> {
        let (seen, dim) = rows.dims2()?;
        TrainingError::check_size("rows of seen classes", seen, self.classes.len())?;
        let with_zeros = Tensor::cat(&[rows, &Tensor::zeros((1, dim), rows.dtype(), rows.device())?], 0)?;
        let places: Vec<u32> = self.position.iter().map(|place| place.unwrap_or(seen as u32)).collect();
        Ok(with_zeros.index_select(&Tensor::from_vec(places, self.position.len(), rows.device())?, 0)?)
    }

    /// The samples whose class is seen: their rows in the batch, and their class's place among the seen ones.
    pub fn members(&self, labels: &[u32]) -> (Vec<u32>, Vec<u32>) {
        labels
            .iter()
            .enumerate()
            .filter_map(|(row, &label)| self.position[label as usize].map(|place| (row as u32, place)))
            .unzip()
    }
}

/// `tensor` itself if `rows` are all of its rows, else those rows.
pub(super) fn select_rows(tensor: &Tensor, rows: &[u32]) -> Result<Tensor, TrainingError> {
    if rows.len() == tensor.dim(0)? {
        return Ok(tensor.clone());
    }
    Ok(tensor.index_select(&Tensor::from_slice(rows, rows.len(), tensor.device())?, 0)?)
}
