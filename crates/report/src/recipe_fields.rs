//! In which fields of the recipe a stage's settings differ from those that the recipe has now.

use longtail_artifact::{FieldDifference, as_read, field_differences};
use longtail_recipe::Row;
use serde_json::Value;

/// The longest value that is shown whole.
const LONGEST: usize = 40;

/// Each field that differs, in words: "representations.ce.epochs is 1 in the run and 12 in the recipe". Empty when none does.
///
/// `there` is from a manifest, `here` from the recipe: parts of one stage of `row`.
pub(crate) fn differing(there: &Value, here: &Value, row: &Row) -> Vec<String> {
    let here = as_read(here);
    let fields = field_differences(there, &here);
    fields.iter().map(|found| in_words(found, row)).collect()
}

/// A stage's part calls its settings `representation`, `augmentation` and `classifier`; the recipe has them under a name.
fn field(path: &[&str], row: &Row) -> String {
    let mut words: Vec<&str> = path.to_vec();
    match words.first() {
        Some(&"representation") => drop(words.splice(..1, ["representations", row.representation.as_str()])),
        Some(&"augmentation") => drop(words.splice(..0, ["representations", row.representation.as_str()])),
        Some(&"classifier") => drop(words.splice(..1, ["classifiers", row.classifier.as_str()])),
        _ => {}
    }
    words.join(".")
}

fn in_words(found: &FieldDifference<'_>, row: &Row) -> String {
    if let Some(code) = found.code() {
        let [there, here] = found.versions();
        return format!("the code version of {code} is {there} in the run and {here} now");
    }
    let field = field(&found.path, row);
    match (found.before, found.now) {
        (Some(there), Some(here)) => {
            format!("{field} is {} in the run and {} in the recipe", short(there), short(here))
        }
        (Some(there), None) => format!("{field} = {} matters in the run, but not in the recipe", short(there)),
        (None, Some(here)) => format!("{field} = {} matters in the recipe, but not in the run", short(here)),
        (None, None) => String::new(),
    }
}

fn short(value: &Value) -> String {
    crate::escape::shortened(&value.to_string(), LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row() -> Row {
        let text =
            "data: {dataset: fashion_mnist}\nrepresentations: {base: {method: {ce: {}}}}\nclassifiers: {joint: }\n";
        longtail_recipe::read_str(text, "test.yaml", &[]).expect("the recipe holds").rows[0].clone()
    }

    #[test]
    fn fields_have_the_names_that_the_recipe_gives_them() {
        let there = json!({"seed": 0, "representation": {"epochs": 1, "lr": 0.1}, "augmentation": {"none": {}}});
        let here = json!({"seed": 1, "representation": {"epochs": 12, "lr": 0.1}, "classifier": {"taus": [0.5]}});
        assert_eq!(
            differing(&there, &here, &row()),
            [
                "representations.base.augmentation = {\"none\":{}} matters in the run, but not in the recipe",
                "classifiers.joint = {\"taus\":[0.5]} matters in the recipe, but not in the run",
                "representations.base.epochs is 1 in the run and 12 in the recipe",
                "seed is 0 in the run and 1 in the recipe",
            ]
        );
        assert!(differing(&here, &here, &row()).is_empty());
        let tau = |version: u32| json!({"classifier": {"taus": [0.5]}, "given_values": version});
        assert_eq!(
            differing(&tau(1), &tau(2), &row()),
            ["the code version of the record of a τ that was given is 1 in the run and 2 now"]
        );
    }

    #[test]
    fn a_float_that_moves_when_it_is_read_is_no_difference() {
        for step in 1..20_000u32 {
            let fresh = json!({ "x": f64::from(step).sqrt() * 1e-7 });
            let manifest: Value = serde_json::from_str(&fresh.to_string()).expect("JSON");
            assert!(differing(&manifest, &fresh, &row()).is_empty(), "{fresh}");
        }
    }
}
