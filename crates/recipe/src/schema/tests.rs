//! The schema's file is current; it takes what the types take and refuses what they refuse.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use boon::{Compiler, SchemaIndex, Schemas, ValidationError};
use serde_yaml::Value;

use super::{COMMAND, schema};
use crate::choices;
use crate::classifier::ClassifierRecipe;
use crate::merge::write_out;
use crate::whole::typed;
use crate::without_value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All recipes of the repository, with their files' names.
fn recipes() -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for folder in ["pipelines", "tests/recipes", "crates/recipe/tests/common"] {
        for entry in std::fs::read_dir(root().join(folder)).expect("a folder of the repository") {
            let file = entry.expect("a readable entry").path();
            if file.extension().is_some_and(|extension| extension == "yaml") {
                let text = std::fs::read_to_string(&file).expect("a readable recipe");
                let recipe = crate::read(&file, &[]).unwrap_or_else(|error| panic!("{error}"));
                let name = file.display().to_string();
                found.push((format!("{name}, resolved"), serde_yaml::from_str(&recipe.to_yaml()).expect("YAML")));
                found.push((name, serde_yaml::from_str(&text).expect("YAML")));
            }
        }
    }
    assert!(found.len() > 20, "{} recipes", found.len());
    found
}

/// A schema, ready to hold values against.
struct Validator {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Validator {
    fn of(schema: serde_json::Value) -> Self {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource("recipe.json", schema).expect("JSON");
        let index = compiler.compile("recipe.json", &mut schemas).expect("a schema that is one");
        Self { schemas, index }
    }

    /// Where the first mistake stands, and which it is.
    fn mistake(&self, tree: &Value) -> Option<(String, String)> {
        let value = as_json(tree);
        let error = self.schemas.validate(&value, self.index).err()?;
        let mut at = &error;
        while let [cause] = at.causes.as_slice() {
            at = cause;
        }
        let words = |error: &ValidationError| error.kind.to_string();
        Some((at.instance_location.to_string(), words(at)))
    }
}

fn as_json(tree: &Value) -> serde_json::Value {
    serde_json::to_value(tree).expect("a recipe's tree has keys of text")
}

#[test]
fn the_file_is_current() {
    let file = root().join("pipelines/recipe.schema.json");
    let made = serde_json::to_string_pretty(&schema()).expect("JSON is written") + "\n";
    if std::env::var_os("LONGTAIL_BLESS").is_some() {
        std::fs::write(&file, &made).expect("the folder can be written");
    }
    let there = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(there == made, "pipelines/recipe.schema.json is not what the types say now. Write it anew: {COMMAND}");
}

#[test]
fn every_recipe_passes() {
    let validator = Validator::of(schema());
    for (name, tree) in recipes() {
        assert_eq!(validator.mistake(&tree), None, "{name}");
    }
}

/// What an editor underlines is the mistake, and not the recipe around it.
#[test]
fn a_mistake_is_found_where_it_stands() {
    let validator = Validator::of(schema());
    let good = "data: {dataset: fashion_mnist, shot_groups: {many_above: 9}}\n\
                representations: {ce: {method: {ce: {}}, loss: ce}, m: {method: {mpcl: {lambda: 0.5}}, schedule: cosine}}\n\
                classifiers: {crt: ~, mine: {mpfa: {alpha: {fixed: 0.4}, training: {lr: 1}}}}\nrows: []\n";
    let place = |text: &str| validator.mistake(&serde_yaml::from_str(text).expect("YAML")).map(|(place, _)| place);
    assert_eq!(place(good), None);
    for (from, to, at) in [
        ("rows:", "row:", ""),
        ("dataset: fashion_mnist", "dataset: fashion_mnst", "/data/dataset"),
        ("many_above: 9", "many_over: 9", "/data/shot_groups"),
        ("many_above: 9", "many_above: -9", "/data/shot_groups/many_above"),
        ("many_above: 9", "many_above: 4294967296", "/data/shot_groups/many_above"),
        ("method: {ce: {}}", "method: {cee: {}}", "/representations/ce/method"),
        ("method: {ce: {}}", "method: ce", "/representations/ce/method"),
        ("loss: ce", "loss: cross_entropy", "/representations/ce/loss"),
        ("loss: ce", "loss: {ldam: {margin: 1}}", "/representations/ce/loss"),
        ("lambda: 0.5", "lamda: 0.5", "/representations/m/method/mpcl"),
        ("lambda: 0.5", "lambda: half", "/representations/m/method/mpcl/lambda"),
        ("schedule: cosine", "schedule: {cosine: {}}", "/representations/m/schedule"),
        ("crt: ~", "crx: ~", "/classifiers/crx"),
        ("fixed: 0.4", "fixd: 0.4", "/classifiers/mine/mpfa/alpha"),
        ("fixed: 0.4", "fixed: 0.4, adaptive: 0.2", "/classifiers/mine/mpfa/alpha"),
        ("lr: 1", "lr: ~", "/classifiers/mine/mpfa/training/lr"),
        ("rows: []", "rows: {}", "/rows"),
    ] {
        assert!(good.contains(from), "the test changes existing text: {from}");
        assert_eq!(place(&good.replacen(from, to, 1)).as_deref(), Some(at), "{from} → {to}");
    }
}

/// Every value of every recipe, replaced by one of each kind; and a key more in every map.
#[test]
fn the_schema_refuses_what_the_types_refuse_and_nothing_else() {
    let validator = Validator::of(schema());
    let others: Vec<Value> =
        ["~", "true", "word", "1", "-1", "0.5", "4294967296", "[]", "[1, 2]", "{}", "{zzz: 1}", "{crt: {}}"]
            .map(|text| serde_yaml::from_str(text).expect("YAML"))
            .to_vec();
    let (mut tried, mut seen) = (0, BTreeSet::new());
    for (name, tree) in recipes() {
        for path in paths(&tree).into_iter().filter(|path| seen.insert(place(path))) {
            let mut changes = others.clone();
            if let Value::Mapping(map) = at(&mut tree.clone(), &path) {
                let mut longer = map.clone();
                longer.insert("zzz".into(), 1.into());
                changes.push(Value::Mapping(longer));
            }
            for change in changes {
                let mut changed = tree.clone();
                *at(&mut changed, &path) = change;
                tried += 1;
                let taken = taken_by_the_types(&changed);
                assert_eq!(validator.mistake(&changed).is_none(), taken, "{name} at {path:?}: {changed:?}");
            }
        }
    }
    assert!(tried > 2000, "{tried} changes");
}

/// Types, fields without a value, and names of classifiers alone: what is asked before ranges.
fn taken_by_the_types(tree: &Value) -> bool {
    let mut written_out = tree.clone();
    if let Some(Value::Mapping(classifiers)) = written_out.get_mut("classifiers") {
        classifiers.iter_mut().for_each(|(name, entry)| write_out(name, entry));
        if classifiers.values().any(Value::is_null) {
            return false;
        }
    }
    typed(tree).is_ok() && without_value::first(tree).is_none()
}

/// A path without the names and numbers of entries: what stands there has one type.
fn place(path: &[Value]) -> String {
    let named = |index: usize| index == 1 && path[0] != "data" && path[0] != "features";
    let step = |(index, step): (usize, &Value)| step.as_str().filter(|_| !named(index)).unwrap_or("*").to_owned();
    path.iter().enumerate().map(step).collect::<Vec<_>>().join(".")
}

/// The steps to every value below the root.
fn paths(tree: &Value) -> Vec<Vec<Value>> {
    let below: Vec<(Value, &Value)> = match tree {
        Value::Mapping(map) => map.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Sequence(items) => items.iter().enumerate().map(|(index, item)| (index.into(), item)).collect(),
        _ => return vec![],
    };
    let mut found = Vec::new();
    for (step, value) in below {
        found.push(vec![step.clone()]);
        found.extend(paths(value).into_iter().map(|path| std::iter::once(step.clone()).chain(path).collect()));
    }
    found
}

fn at<'a>(tree: &'a mut Value, path: &[Value]) -> &'a mut Value {
    path.iter().fold(tree, |value, step| match step.as_u64() {
        Some(index) => &mut value[index as usize],
        None => &mut value[step],
    })
}

/// `choices` holds, by hand, which fields are choices and an example of each choice's settings: neither may lack one.
#[test]
fn choices_are_those_of_the_types() {
    let schema = schema();
    let mut fields = BTreeSet::new();
    let mut words = BTreeSet::new();
    let definitions = schema["definitions"].as_object().expect("definitions");
    for definition in definitions.values() {
        for (field, value) in definition["properties"].as_object().into_iter().flatten() {
            let target = super::reference(value).map_or(value, |name| &definitions[name]);
            let alternatives = target["oneOf"].as_array().map_or(std::slice::from_ref(target), Vec::as_slice);
            let Some(map) = alternatives.iter().find(|one| one["maxProperties"] == 1) else {
                continue;
            };
            fields.insert(field.as_str());
            for word in map["properties"].as_object().expect("words").keys() {
                words.insert(word.as_str());
                let mut alone = target.clone();
                alone["definitions"] = schema["definitions"].clone();
                let example = format!("{{{word}: {}}}", choices::example(word));
                let tree = serde_yaml::from_str(&example).expect("YAML");
                assert_eq!(Validator::of(alone).mistake(&tree), None, "{field}: {example}");
            }
        }
    }
    assert_eq!(fields, BTreeSet::from(choices::FIELDS));
    assert_eq!(words, choices::SETTINGS.map(|(word, _)| word).into());
    assert!(ClassifierRecipe::NAMES.iter().all(|name| choices::example(name) == "{}"), "those of stage 3 take a map");
}
