//! The rows of the three files, in one space.

use std::collections::BTreeMap;
use std::path::Path;

use longtail_artifact::TensorFile;
use serde_json::Value;

use crate::FeaturesError;
use crate::error::DUMP_AGAIN;

/// Rows with their labels, read in place.
pub struct Rows {
    file: TensorFile,
    /// The features' tensor.
    name: &'static str,
    /// Feature dimension d.
    pub dim: usize,
    /// Label of each row.
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
            let what = format!("`{}`: `{name}` has shape {shape:?}, not (N, d)", path.display());
            return Err(FeaturesError::unfit(what, DUMP_AGAIN));
        };
        let labels = file.expect_u32(labels, &[Some(rows)])?;
        if let Some(row) = labels.iter().position(|label| classes.is_some_and(|classes| *label as usize >= classes)) {
            let (label, classes) = (labels[row], classes.unwrap_or_default());
            let text = format!("`{}`: label {label} of row {row} is not below {classes}", path.display());
            return Err(FeaturesError::unfit(text, "the two files belong to different data sets, or one is damaged"));
        }
        Ok(Self { file, name, dim, labels })
    }

    /// Returns the open file.
    pub fn file(&self) -> &TensorFile {
        &self.file
    }

    /// The rows of each class, ascending.
    fn rows_by_class(&self) -> BTreeMap<u32, Vec<usize>> {
        let mut rows: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (row, label) in self.labels.iter().enumerate() {
            rows.entry(*label).or_default().push(row);
        }
        rows
    }

    /// A row as it stands, checked.
    fn raw(&self, row: usize) -> Result<Vec<f64>, FeaturesError> {
        let mut values = vec![0.0; self.dim];
        self.file.read_f64(self.name, row * self.dim, &mut values)?;
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(values),
            Some(at) => Err(FeaturesError::unfit(
                format!(
                    "`{}`: row {row} of `{}` (class {}) holds {} at dimension {at}",
                    self.file.path().display(),
                    self.name,
                    self.labels[row],
                    values[at]
                ),
                DUMP_AGAIN,
            )),
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
                return Err(FeaturesError::unfit(
                    format!(
                        "`{}`: row {row} holds {} at dimension {at}, which has no power of {} (Tukey's λ)",
                        self.file.path().display(),
                        values[at],
                        space.tukey
                    ),
                    "draw features with negative values with --tukey 1",
                ));
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
    /// What the generator did to rows, by `tukey` in its file's metadata, at the top or within; nothing where it does not say.
    pub fn of(metadata: &Value) -> Self {
        fn find(value: &Value) -> Option<f64> {
            let fields = value.as_object()?;
            fields.get("tukey").and_then(Value::as_f64).or_else(|| fields.values().find_map(find))
        }
        let stated = find(metadata);
        Self { tukey: stated.filter(|tukey| *tukey > 0.0 && *tukey <= 1.0).unwrap_or(1.0) }
    }

    /// Refuses a generated file whose `real` rows, where it has any of a class, are not the training dump's of that class, in
    /// the dump's order or sorted by class.
    ///
    /// # Errors
    /// The first row among `rows` that lies elsewhere; a class with another number of rows.
    pub fn check(self, train: &Rows, generated: &Rows, rows: &[usize]) -> Result<(), FeaturesError> {
        let path = generated.file.path();
        if generated.file.shape("real").is_none() {
            return Ok(());
        }
        let real = Rows::open(path, "real", "real_labels", None)?;
        let (of_real, of_train) = (real.rows_by_class(), train.rows_by_class());
        let other = |what: String| {
            let (generated, train) = (path.display(), train.file.path().display());
            Err(FeaturesError::unfit(
                format!("`{generated}` was made from other rows than those of `{train}`, or in another space: {what}"),
                "generate the rows from this dump, or give the classifier's λ with --tukey",
            ))
        };
        for &row in rows {
            let class = train.labels[row];
            let (Some(theirs), Some(ours)) = (of_real.get(&class), of_train.get(&class)) else { continue };
            if theirs.len() != ours.len() {
                return other(format!("class {class} has {} real rows there and {} here", theirs.len(), ours.len()));
            }
            let place = ours.binary_search(&row).expect("a row is among those of its class");
            let (ours, theirs) = (train.placed(row, self)?, real.generated(theirs[place])?);
            if ours.len() != theirs.len() {
                return other(format!("real rows have dimension {} there and {} here", theirs.len(), ours.len()));
            }
            let cosine: f64 = ours.iter().zip(&theirs).map(|(x, y)| x * y).sum();
            let both_zero = ours.iter().chain(&theirs).all(|value| *value == 0.0);
            if cosine < SAME_DIRECTION && !both_zero {
                let tukey = self.tukey;
                return other(format!(
                    "row {row} here (class {class}) and its counterpart have a cosine of {cosine:.4} under Tukey's λ = {tukey}"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_generators_lambda_is_found_wherever_it_stands() {
        let of = |metadata: Value| Space::of(&metadata).tukey;
        assert_eq!(of(json!({"kind": "generated", "tukey": 0.9})), 0.9);
        assert_eq!(of(json!({"recipe": {"mpfa": {"beta": 0.05, "tukey": 0.5}}})), 0.5);
        assert_eq!(of(json!({"kind": "generated"})), 1.0);
        assert_eq!(of(Value::Null), 1.0);
        assert_eq!(of(json!({"tukey": -3.0})), 1.0, "no λ");
    }
}
