//! Defaults that a recipe shares between its entries.

use serde_yaml::{Mapping, Value};

use crate::choices;
use crate::classifier::ClassifierRecipe;

/// Puts `representation_defaults` under each representation, `head_training_defaults` under each classifier that trains,
/// and writes out a classifier that is only its name (`crt:` for `crt: {crt: {}}`).
pub(crate) fn merge_defaults(tree: &mut Value) {
    let representation_defaults = tree.get("representation_defaults").cloned().unwrap_or(Value::Null);
    if let Some(Value::Mapping(entries)) = tree.get_mut("representations") {
        for (_, entry) in entries.iter_mut() {
            *entry = merged(&representation_defaults, entry);
        }
    }
    let head_defaults = tree.get("head_training_defaults").cloned().unwrap_or(Value::Null);
    if let Some(Value::Mapping(entries)) = tree.get_mut("classifiers") {
        for (name, entry) in entries.iter_mut() {
            write_out(name, entry);
            let Value::Mapping(choice) = entry else {
                continue;
            };
            for (method, settings) in choice.iter_mut() {
                if !method.as_str().is_some_and(ClassifierRecipe::trains_head) || head_defaults.is_null() {
                    continue;
                }
                if let Value::Mapping(settings) = settings {
                    let own = settings.get("training").cloned().unwrap_or(Value::Null);
                    settings.insert("training".into(), merged(&head_defaults, &own));
                }
            }
        }
    }
}

/// `{name: {}}` for an entry that is empty and is called after a method.
pub(crate) fn write_out(name: &Value, entry: &mut Value) {
    if entry.is_null() && name.as_str().is_some_and(|name| ClassifierRecipe::NAMES.contains(&name)) {
        let mut choice = Mapping::new();
        choice.insert(name.clone(), Value::Mapping(Mapping::new()));
        *entry = Value::Mapping(choice);
    }
}

/// `over` laid on `under`: maps key by key, everything else replaced; nothing leaves what is under it.
fn merged(under: &Value, over: &Value) -> Value {
    match (under, over) {
        (_, Value::Null) => under.clone(),
        (Value::Mapping(under), Value::Mapping(over)) => {
            let mut result = under.clone();
            for (key, value) in over {
                let choice = key.as_str().is_some_and(|key| choices::FIELDS.contains(&key));
                let combined = match under.get(key) {
                    Some(below) if !choice || same_choice(below, value) => merged(below, value),
                    _ => value.clone(),
                };
                result.insert(key.clone(), combined);
            }
            Value::Mapping(result)
        }
        _ => over.clone(),
    }
}

fn same_choice(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Mapping(a), Value::Mapping(b)) => a.keys().eq(b.keys()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> Value {
        serde_yaml::from_str(text).expect("the test's YAML is well formed")
    }

    #[test]
    fn maps_are_merged_and_other_choices_replaced() {
        let mut recipe = tree(
            "representation_defaults: {lr: 1, method: {mpcl: {tau: 1, lambda: 2}}}\n\
             representations: {a: {method: {mpcl: {tau: 3}}}, b: {method: {ce: {}}, lr: 2}}",
        );
        merge_defaults(&mut recipe);
        assert_eq!(recipe["representations"]["a"], tree("{lr: 1, method: {mpcl: {tau: 3, lambda: 2}}}"));
        assert_eq!(recipe["representations"]["b"], tree("{lr: 2, method: {ce: {}}}"));
    }

    #[test]
    fn head_training_goes_where_a_head_is_trained() {
        let mut recipe = tree(
            "head_training_defaults: {epochs: 3}\n\
             classifiers: {crt: , ncm: , mine: {mpfa: {training: {epochs: 4}}}}",
        );
        merge_defaults(&mut recipe);
        assert_eq!(recipe["classifiers"]["crt"], tree("{crt: {training: {epochs: 3}}}"));
        assert_eq!(recipe["classifiers"]["ncm"], tree("{ncm: {}}"));
        assert_eq!(recipe["classifiers"]["mine"], tree("{mpfa: {training: {epochs: 4}}}"));
    }
}
