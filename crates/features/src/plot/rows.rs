//! The rows of the three files, in one space.

use std::path::Path;

use longtail_artifact::TensorFile;
use serde_json::Value;

use crate::FeaturesError;

/// Rows with their labels, read in place.
pub struct Rows {
    file: TensorFile,
    /// The features' tensor.
    name: &'static str,
    /// d.
    pub dim: usize,
    /// One a row.
    pub labels: Vec<u32>,
}

/// How a row gets its place on the unit sphere, where our classifiers see it: `x^λ / ‖x^λ‖`, Tukey's λ being 1 for most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Space {
    /// λ in (0, 1].
    pub tukey: f64,
}

/// Rows of one place have at least this cosine; f32 arithmetic in two programs leaves about 1 − 10⁻⁶.
const SAME_DIRECTION: f64 = 1.0 - 1e-4;

impl Rows {
    /// Opens a file with (N, d) features called `name` and N labels called `labels`, all below `classes` if that is known.
    ///
    /// # Errors
    /// A file that cannot be read or holds something else.
    pub fn open(path: &Path, name: &'static str, labels: &str, classes: Option<usize>) -> Result<Self, FeaturesError> {
        let file = TensorFile::open(path)?;
        file.f32(name)?;
        let &[rows, dim] = file.shape(name).unwrap_or_default() else {
            let shape = file.shape(name).unwrap_or_default();
            return Err(FeaturesError::Unfit(format!(
                "`{}`: `{name}` has shape {shape:?}, not (N, d)",
                path.display()
            )));
        };
        let labels = file.expect_u32(labels, &[Some(rows)])?;
        if let Some(row) = labels.iter().position(|label| classes.is_some_and(|classes| *label as usize >= classes)) {
            let (label, classes) = (labels[row], classes.unwrap_or_default());
            let text = format!("`{}`: label {label} of row {row} is not below {classes}", path.display());
            return Err(FeaturesError::Unfit(text));
        }
        Ok(Self { file, name, dim, labels })
    }

    /// The open file.
    pub fn file(&self) -> &TensorFile {
        &self.file
    }

    /// A row as it stands, checked.
    fn raw(&self, row: usize) -> Result<Vec<f64>, FeaturesError> {
        let mut values = vec![0.0; self.dim];
        self.file.read_f64(self.name, row * self.dim, &mut values)?;
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(values),
            Some(at) => Err(FeaturesError::Unfit(format!(
                "`{}`: row {row} of `{}` (class {}) holds {} at dimension {at}",
                self.file.path().display(),
                self.name,
                self.labels[row],
                values[at]
            ))),
        }
    }

    /// A row of a dump on the sphere.
    ///
    /// # Errors
    /// NaN or infinity; a negative value where λ is not 1.
    pub fn placed(&self, row: usize, space: Space) -> Result<Vec<f64>, FeaturesError> {
        let mut values = self.raw(row)?;
        if space.tukey != 1.0 {
            if let Some(at) = values.iter().position(|value| *value < 0.0) {
                return Err(FeaturesError::Unfit(format!(
                    "`{}`: row {row} holds {} at dimension {at}, which has no power of {} (Tukey's λ)",
                    self.file.path().display(),
                    values[at],
                    space.tukey
                )));
            }
            values.iter_mut().for_each(|value| *value = value.powf(space.tukey));
        }
        Ok(unit(values))
    }

    /// A generated row, which is in the classifier's space already, on the sphere.
    ///
    /// # Errors
    /// NaN or infinity.
    pub fn generated(&self, row: usize) -> Result<Vec<f64>, FeaturesError> {
        Ok(unit(self.raw(row)?))
    }
}

fn unit(mut values: Vec<f64>) -> Vec<f64> {
    let norm = values.iter().map(|value| value * value).sum::<f64>().sqrt();
    if norm > 0.0 {
        values.iter_mut().for_each(|value| *value /= norm);
    }
    values
}

impl Space {
    /// What the generator did to rows, by its file's metadata; nothing where it does not say.
    pub fn of(metadata: &Value) -> Self {
        let stated = metadata["tukey"].as_f64().or(metadata["transform"]["tukey"].as_f64());
        Self { tukey: stated.filter(|tukey| *tukey > 0.0 && *tukey <= 1.0).unwrap_or(1.0) }
    }

    /// Refuses a generated file whose `real` rows, where it has one for each training row, are not those of the training dump.
    ///
    /// # Errors
    /// The first row among `rows` that lies elsewhere.
    pub fn check(self, train: &Rows, generated: &Path, rows: &[usize]) -> Result<(), FeaturesError> {
        let Ok(real) = Rows::open(generated, "real", "real_labels", None) else { return Ok(()) };
        if real.labels.len() != train.labels.len() {
            return Ok(());
        }
        for &row in rows {
            let (ours, theirs) = (train.placed(row, self)?, real.generated(row)?);
            let cosine: f64 = ours.iter().zip(&theirs).map(|(x, y)| x * y).sum();
            let both_zero = ours.iter().chain(&theirs).all(|value| *value == 0.0);
            if real.labels[row] != train.labels[row] || (cosine < SAME_DIRECTION && !both_zero) {
                return Err(FeaturesError::Unfit(format!(
                    "`{}` was made from other rows than `{}` holds, or in another space: row {row} has class {} there and {} here, \
                     and the cosine between the two is {cosine:.4} (under Tukey's λ = {}; --tukey sets it)",
                    generated.display(),
                    train.file.path().display(),
                    real.labels[row],
                    train.labels[row],
                    self.tukey
                )));
            }
        }
        Ok(())
    }
}
