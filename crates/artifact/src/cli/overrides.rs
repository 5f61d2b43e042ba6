//! The texts of `--set`.

use crate::ArtifactError;

/// The texts of `--set` as (dotted path, YAML value), for `longtail_recipe::read`.
///
/// # Errors
/// One without `=`.
pub fn overrides(set: &[String]) -> Result<Vec<(String, String)>, ArtifactError> {
    let mut overrides = Vec::with_capacity(set.len() + 1);
    for text in set {
        match text.split_once('=') {
            Some((path, value)) if !path.trim().is_empty() => {
                overrides.push((path.trim().to_owned(), value.trim().to_owned()));
            }
            _ => {
                return Err(ArtifactError::Setting(format!(
                    "`--set {text}` has no `=`: write it as PATH=VALUE, for example --set representations.ce.epochs=2"
                )));
            }
        }
    }
    Ok(overrides)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_split_at_its_first_equals_sign() {
        let pairs =
            overrides(&["data.normalize={mean: [0.5]}".to_owned(), " a.b = c=d".to_owned()]).expect("well formed");
        assert_eq!(pairs[1], ("a.b".to_owned(), "c=d".to_owned()));
        for text in ["nothing", "=5"] {
            assert!(
                overrides(&[text.to_owned()])
                    .expect_err("no path")
                    .to_string()
                    .contains(&format!("`--set {text}` has no `=`"))
            );
        }
    }
}
