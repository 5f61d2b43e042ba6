//! The rows of the table, and what is expected of them.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::check::{At, Problem, Span};
use crate::classifier::ClassifierRecipe;
use crate::stage1::{HeadKind, RepresentationRecipe};

/// One row of the table.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Row {
    /// A key of `representations`.
    pub representation: String,
    /// A key of `classifiers`.
    pub classifier: String,
    /// The paper's accuracies in percent, where it has this row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paper: Option<Accuracies>,
    /// The range in percent that this recipe is expected to land in; outside it `reproduce` exits with 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<ExpectedRanges>,
    /// A remark printed under the table (where the paper's number is from, say).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Top-1 accuracies in percent, each in [0, 100].
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Accuracies {
    /// Mean over the classes with many training images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub many: Option<f64>,
    /// Mean over the classes in between.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub medium: Option<f64>,
    /// Mean over the classes with few training images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub few: Option<f64>,
    /// Over all test images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all: Option<f64>,
}

/// `[low, high]` in percent for each group that is pinned; 0 ≤ low ≤ high ≤ 100.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ExpectedRanges {
    /// Mean over the classes with many training images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub many: Option<[f64; 2]>,
    /// Mean over the classes in between.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub medium: Option<[f64; 2]>,
    /// Mean over the classes with few training images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub few: Option<[f64; 2]>,
    /// Over all test images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all: Option<[f64; 2]>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawRow {
    pub representation: Option<String>,
    pub classifier: Option<String>,
    pub paper: Option<RawAccuracies>,
    pub expected: Option<RawExpectedRanges>,
    pub note: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawAccuracies {
    pub many: Option<f64>,
    pub medium: Option<f64>,
    pub few: Option<f64>,
    pub all: Option<f64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawExpectedRanges {
    pub many: Option<[f64; 2]>,
    pub medium: Option<[f64; 2]>,
    pub few: Option<[f64; 2]>,
    pub all: Option<[f64; 2]>,
}

type Representations = IndexMap<String, RepresentationRecipe>;

type Classifiers = IndexMap<String, ClassifierRecipe>;

pub(crate) fn resolve(
    raw: Option<Vec<RawRow>>,
    representations: &Representations,
    classifiers: &Classifiers,
) -> Result<Vec<Row>, Problem> {
    let Some(raw) = raw else {
        return every_pair(representations, classifiers);
    };
    let mut rows: Vec<Row> = Vec::with_capacity(raw.len());
    for (index, entry) in raw.into_iter().enumerate() {
        let at = At::root("rows").key(index);
        let row = one(&at, entry, representations, classifiers)?;
        let same = |other: &Row| other.representation == row.representation && other.classifier == row.classifier;
        if let Some(first) = rows.iter().position(same) {
            return Err(at.conflict(
                format!("`{}` with `{}` is already row {first}", row.representation, row.classifier),
                "keep one of them; rows are counted from 0",
            ));
        }
        rows.push(row);
    }
    if rows.is_empty() {
        let help = "add a row, or leave out `rows` to pair every representation with every classifier";
        return Err(At::root("rows").conflict("a table needs at least one row", help));
    }
    Ok(rows)
}

fn every_pair(representations: &Representations, classifiers: &Classifiers) -> Result<Vec<Row>, Problem> {
    let mut rows = Vec::with_capacity(representations.len() * classifiers.len());
    for (representation, stage1) in representations {
        for (classifier, stage3) in classifiers {
            let at = At::root("classifiers").key(classifier);
            fits(&at, (representation, stage1), (classifier, stage3))?;
            rows.push(Row {
                representation: representation.clone(),
                classifier: classifier.clone(),
                paper: None,
                expected: None,
                note: None,
            });
        }
    }
    Ok(rows)
}

fn one(at: &At, raw: RawRow, representations: &Representations, classifiers: &Classifiers) -> Result<Row, Problem> {
    let representation =
        raw.representation.ok_or_else(|| at.missing("representation", "a key of `representations`"))?;
    let classifier = raw.classifier.ok_or_else(|| at.missing("classifier", "a key of `classifiers`"))?;
    let stage1 = representations
        .get(&representation)
        .ok_or_else(|| at.key("representation").unknown(&representation, representations.keys().cloned().collect()))?;
    let stage3 = classifiers
        .get(&classifier)
        .ok_or_else(|| at.key("classifier").unknown(&classifier, classifiers.keys().cloned().collect()))?;
    fits(&at.key("classifier"), (&representation, stage1), (&classifier, stage3))?;
    let paper = raw.paper.map(|paper| accuracies(&at.key("paper"), paper)).transpose()?;
    let expected = raw.expected.map(|expected| ranges(&at.key("expected"), expected)).transpose()?;
    raw.note.iter().try_for_each(|note| at.key("note").shown_text(note))?;
    Ok(Row { representation, classifier, paper, expected, note: raw.note })
}

/// Whether a classifier can work on a representation's head.
fn fits(at: &At, stage1: (&str, &RepresentationRecipe), stage3: (&str, &ClassifierRecipe)) -> Result<(), Problem> {
    let scales_norms = matches!(stage3.1, ClassifierRecipe::TauNorm(_) | ClassifierRecipe::Lws(_));
    let divides_by_norms = match stage1.1.head {
        HeadKind::Linear => false,
        HeadKind::Cosine(_) | HeadKind::NormedLinear => true,
    };
    if scales_norms && divides_by_norms {
        return Err(at.conflict(
            format!(
                "`{}` rescales the weight norms of the stage 1 head, but the cosine head of `{}` divides by them, so \
                 they have no effect",
                stage3.0, stage1.0
            ),
            format!("give `representations.{}` a `linear` head, or remove this row", stage1.0),
        ));
    }
    Ok(())
}

const PERCENT: Span = Span::closed(0.0, 100.0);

fn accuracies(at: &At, raw: RawAccuracies) -> Result<Accuracies, Problem> {
    let checked = |key: &str, value: Option<f64>| {
        value.map(|value| at.key(key).in_span(value, PERCENT, "an accuracy in percent")).transpose()
    };
    Ok(Accuracies {
        many: checked("many", raw.many)?,
        medium: checked("medium", raw.medium)?,
        few: checked("few", raw.few)?,
        all: checked("all", raw.all)?,
    })
}

fn ranges(at: &At, raw: RawExpectedRanges) -> Result<ExpectedRanges, Problem> {
    let checked = |key: &str, value: Option<[f64; 2]>| -> Result<Option<[f64; 2]>, Problem> {
        let Some([low, high]) = value else {
            return Ok(None);
        };
        let at = at.key(key);
        at.key(0).in_span(low, PERCENT, "an accuracy in percent")?;
        at.key(1).in_span(high, Span::closed(low, 100.0), "[low, high] in percent")?;
        Ok(Some([low, high]))
    };
    Ok(ExpectedRanges {
        many: checked("many", raw.many)?,
        medium: checked("medium", raw.medium)?,
        few: checked("few", raw.few)?,
        all: checked("all", raw.all)?,
    })
}
