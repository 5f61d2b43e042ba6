//! What a stage's key holds beside the recipe's own fields is told in words: no key of the code's reaches a user.

use longtail_artifact::code_versions::of_part;
use longtail_recipe::read_str;

/// Fields of parts that are the recipe's: its own, and those that a part calls otherwise.
const OF_RECIPES: [&str; 6] = ["seed", "data", "representation", "features", "augmentation", "classifier"];

#[test]
fn every_key_that_no_recipe_has_is_told_in_words() {
    let text = "
data: {dataset: imagenet_lt, packed: true}
representations: {r: {method: {mpcl: {}}, head: {cosine: 16}}}
features: {views: 1}
classifiers: {one: {tau_norm: {taus: [0.5]}}, mpfa: , ncm: }
rows: [{representation: r, classifier: ncm}]
";
    let recipe = read_str(text, "words.yaml", &[]).expect("the recipe holds");
    let mut parts = vec![recipe.representation_part("r").expect("there"), recipe.features_part("r").expect("there")];
    parts.extend(recipe.classifiers.keys().map(|name| recipe.classifier_part("r", name).expect("there")));
    let data = serde_json::to_value(&recipe.data).expect("JSON");
    let mut found = Vec::new();
    for part in &parts {
        let of_data =
            part["data"].as_object().into_iter().flatten().filter(|(key, _)| data.get(key.as_str()).is_none());
        let of_part_alone =
            part.as_object().into_iter().flatten().filter(|(key, _)| !OF_RECIPES.contains(&key.as_str()));
        found.extend(of_data.chain(of_part_alone).map(|(key, _)| key.as_str()));
    }
    found.sort_unstable();
    found.dedup();
    assert_eq!(found, ["cosine_head", "given_values", "photo_pixels"]);
    assert!(found.iter().all(|key| of_part(key).is_some()));
}
