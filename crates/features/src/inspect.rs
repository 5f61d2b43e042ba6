//! `features inspect`: what a hand-off file holds.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use comfy_table::{Table, presets};
use longtail_artifact::{ArtifactError, TensorCensus, TensorFile, census, counted, counted_are};
use longtail_metrics::ShotGroup;
use longtail_recipe::ShotGroups;
use serde_json::{Value, json};

use crate::FeaturesError;
use crate::error::DUMP_AGAIN;

/// What the rows of a dump look like.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureSummary {
    /// Number of rows N, one per image.
    pub rows: usize,
    /// Feature dimension d.
    pub dim: usize,
    /// Rows of this file per class, (K,).
    pub rows_per_class: Vec<usize>,
    /// The smallest, lower quartile, median, upper quartile and largest L2 norm of a row; None without rows.
    pub norm_quantiles: Option<[f64; 5]>,
    /// Per class: the root mean square distance of its L2-normalised rows from their mean; None for a class without rows.
    pub spread: Vec<Option<f64>>,
}

/// Summarises a dump; None when the file is no dump (no `features` with `labels` and `class_counts`).
///
/// The features are read in place; memory is for the labels, and for the means of classes that have rows, at most N of them.
///
/// # Errors
/// A label that is out of range, or tensors whose sizes contradict each other.
pub fn summarize(file: &TensorFile) -> Result<Option<FeatureSummary>, FeaturesError> {
    let (Some(&[rows, dim]), Some(_), Some(&[classes])) =
        (file.shape("features"), file.shape("labels"), file.shape("class_counts"))
    else {
        return Ok(None);
    };
    let features = file.f32("features")?;
    let labels = file.expect_u32("labels", &[Some(rows)])?;
    if let Some(at) = labels.iter().position(|label| *label as usize >= classes) {
        let text = format!("`{}`: label {} of row {at} is not below {classes}", file.path().display(), labels[at]);
        return Err(FeaturesError::unfit(text, DUMP_AGAIN));
    }
    let mut rows_per_class = vec![0usize; classes];
    let mut directions: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    let mut norms = Vec::with_capacity(rows);
    for (row, label) in features.chunks_exact(dim.max(1)).zip(&labels) {
        let norm = row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        norms.push(norm);
        let class = *label as usize;
        rows_per_class[class] += 1;
        let sums = directions.entry(class).or_insert_with(|| vec![0.0; dim]);
        if norm > 0.0 {
            for (sum, x) in sums.iter_mut().zip(row) {
                *sum += f64::from(*x) / norm;
            }
        }
    }
    // For unit vectors the mean squared distance from the mean is 1 − ‖mean‖².
    let spread_of = |(class, sums): (&usize, &Vec<f64>)| {
        let count = rows_per_class[*class] as f64;
        let squared = sums.iter().map(|sum| (sum / count).powi(2)).sum::<f64>();
        (*class, (1.0 - squared).max(0.0).sqrt())
    };
    let mut spread = vec![None; classes];
    for (class, value) in directions.iter().map(spread_of) {
        spread[class] = Some(value);
    }
    norms.sort_by(f64::total_cmp);
    let norm_quantiles = (!norms.is_empty()).then(|| [0.0, 0.25, 0.5, 0.75, 1.0].map(|q| quantile(&norms, q)));
    Ok(Some(FeatureSummary { rows, dim, rows_per_class, norm_quantiles, spread }))
}

fn quantile(sorted: &[f64], q: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * q).round() as usize]
}

/// Prints what `file` holds; of many classes a summary, unless `all`.
///
/// # Errors
/// A file that cannot be read.
pub fn run(file: &Path, as_json: bool, all: bool) -> anyhow::Result<ExitCode> {
    let tensors = TensorFile::open(file)?;
    let rows = census(&tensors)?;
    // Another program's features are shown too, with why no stage takes them.
    let (summary, refused) = match summarize(&tensors) {
        Ok(summary) => (summary, None),
        Err(FeaturesError::Artifact(error @ (ArtifactError::WrongType { .. } | ArtifactError::ValueLost { .. }))) => {
            (None, Some(error))
        }
        Err(error) => return Err(error.into()),
    };
    if as_json {
        println!("{}", to_json(&tensors, &rows, summary.as_ref()));
        return Ok(ExitCode::SUCCESS);
    }
    println!("{}\nblake3 {}\n", file.display(), tensors.hash());
    println!("{}\n", tensor_table(&rows));
    if let Some(summary) = &summary {
        print_summary(&tensors, summary, all);
    }
    if let Value::Object(fields) = tensors.metadata() {
        println!("Metadata");
        for (name, value) in fields {
            println!("  {name}: {value}");
        }
    }
    let bad: usize = rows.iter().map(|row| row.nan + row.infinite).sum();
    if bad > 0 {
        println!("\nwarning: {} NaN or infinite", counted_are(bad, "value"));
    }
    if let Some(error) = refused {
        println!("\nwarning: no stage accepts this file: {error}");
        error.hint().iter().for_each(|hint| println!("hint: {hint}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn tensor_table(rows: &[TensorCensus]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["tensor", "type", "shape", "min", "mean", "max", "NaN", "inf"]);
    let number = |value: Option<f64>| match value {
        None => "–".to_owned(),
        Some(value) if value.fract() == 0.0 && value.abs() < 1e15 => format!("{value:.0}"),
        Some(value) => format!("{value:.4}"),
    };
    for row in rows {
        table.add_row([
            row.name.clone(),
            row.dtype.clone(),
            format!("{:?}", row.shape),
            number(row.min),
            number(row.mean),
            number(row.max),
            row.nan.to_string(),
            row.infinite.to_string(),
        ]);
    }
    table
}

/// So many classes are listed one by one; of more, so many of either end.
const MOST_CLASSES: usize = 40;
const EACH_END: usize = 5;

fn print_summary(file: &TensorFile, summary: &FeatureSummary, all: bool) {
    println!("{} of dimension {}", counted(summary.rows, "feature"), summary.dim);
    if let Some([least, lower, median, upper, most]) = summary.norm_quantiles {
        println!("L2 norm: min {least:.4}, quartiles {lower:.4} {median:.4} {upper:.4}, max {most:.4}");
    }
    let trained = file.u32("class_counts").unwrap_or_default();
    let classes = summary.rows_per_class.len();
    if classes <= MOST_CLASSES || all {
        println!("{}\n", class_table(summary, &trained, 0..classes));
        return;
    }
    println!("\n{}\n", group_table(summary, &trained));
    println!("{}", class_table(summary, &trained, (0..EACH_END).chain(classes - EACH_END..classes)));
    println!("the first and last {EACH_END} of {classes} classes; --all shows every class\n");
}

fn class_table(summary: &FeatureSummary, trained: &[u32], classes: impl Iterator<Item = usize>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["class", "training images", "rows here", "spread on the sphere"]);
    for class in classes {
        table.add_row([
            class.to_string(),
            trained.get(class).map_or("–".to_owned(), u32::to_string),
            summary.rows_per_class[class].to_string(),
            summary.spread[class].map_or("–".to_owned(), |value| format!("{value:.4}")),
        ]);
    }
    table
}

/// One row a shot group, by the usual bounds: a dump does not know its recipe's.
fn group_table(summary: &FeatureSummary, trained: &[u32]) -> Table {
    let bounds = ShotGroups::default();
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "group",
        "training images per class",
        "classes",
        "training images",
        "rows here",
        "classes without rows",
        "mean spread",
    ]);
    for group in ShotGroup::ALL {
        let span = match group {
            ShotGroup::Many => format!("over {}", bounds.many_above),
            ShotGroup::Medium => format!("{} to {}", bounds.few_below, bounds.many_above),
            ShotGroup::Few => format!("under {}", bounds.few_below),
        };
        let members: Vec<usize> =
            (0..trained.len()).filter(|class| ShotGroup::of(trained[*class], bounds) == group).collect();
        let rows: usize = members.iter().map(|class| summary.rows_per_class[*class]).sum();
        let images: u64 = members.iter().map(|class| u64::from(trained[*class])).sum();
        let spread: Vec<f64> = members.iter().filter_map(|class| summary.spread[*class]).collect();
        let mean = spread.iter().sum::<f64>() / spread.len() as f64;
        table.add_row([
            group.name().to_owned(),
            span,
            members.len().to_string(),
            images.to_string(),
            rows.to_string(),
            (members.len() - spread.len()).to_string(),
            if spread.is_empty() { "–".to_owned() } else { format!("{mean:.4}") },
        ]);
    }
    table
}

fn to_json(file: &TensorFile, rows: &[TensorCensus], summary: Option<&FeatureSummary>) -> Value {
    let tensors: Vec<Value> = rows
        .iter()
        .map(|row| {
            json!({"name": row.name, "dtype": row.dtype, "shape": row.shape, "min": row.min, "mean": row.mean,
                   "max": row.max, "nan": row.nan, "infinite": row.infinite})
        })
        .collect();
    let features = summary.map(|summary| {
        json!({"rows": summary.rows, "dim": summary.dim, "rows_per_class": summary.rows_per_class,
               "norm_quantiles": summary.norm_quantiles, "spread": summary.spread})
    });
    json!({"blake3": file.hash(), "tensors": tensors, "features": features, "metadata": file.metadata()})
}

#[cfg(test)]
mod tests {
    use super::*;
    use longtail_artifact::{NamedTensor, TensorData, write_tensors};

    #[test]
    fn norms_counts_and_spread_are_those_of_the_rows() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("x.safetensors");
        let tensor = |name: &str, shape: Vec<usize>, data| NamedTensor { name: name.into(), shape, data };
        let rows = vec![3.0, 4.0, 3.0, 4.0, 1.0, 0.0, 0.0, 2.0];
        let tensors = [
            tensor("features", vec![4, 2], TensorData::F32(rows)),
            tensor("labels", vec![4], TensorData::U32(vec![0, 0, 1, 1])),
            tensor("class_counts", vec![3], TensorData::U32(vec![9, 5, 1])),
        ];
        write_tensors(&path, &tensors, &Value::Null).expect("writable");
        let summary = summarize(&TensorFile::open(&path).expect("sound")).expect("consistent").expect("a dump");
        assert_eq!(summary.rows_per_class, [2, 2, 0]);
        assert_eq!(summary.norm_quantiles.map(|q| (q[0], q[4])), Some((1.0, 5.0)));
        assert!(summary.spread[0].expect("rows").abs() < 1e-6, "equal directions have no spread");
        // (1, 0) and (0, 1): the mean is (½, ½), the squared distance of each ½.
        assert!((summary.spread[1].expect("rows") - 0.5f64.sqrt()).abs() < 1e-12);
        assert_eq!(summary.spread[2], None);
    }
}
