//! The JSON schema of recipes, `pipelines/recipe.schema.json`: editors complete and check recipes by it.
//!
//! Its form is that of the raw types. Its words are the docs of the resolved ones, where meaning, range and default of every
//! field stand once. Tests alone make it and compare: no program carries any of this.

mod tests;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::classifier::ClassifierRecipe;
use crate::whole::RawRecipe;
use crate::whole::Recipe;

/// What writes the file anew.
const COMMAND: &str = "LONGTAIL_BLESS=1 cargo xtask test -- -p longtail-recipe --lib schema";

/// The schema, of draft 7: the newest that all editors know.
pub(crate) fn schema() -> Value {
    let (raw, raw_definitions) = of::<RawRecipe>();
    let (docs, docs_definitions) = of::<Recipe>();
    let mut maker =
        Maker { raw: raw_definitions, docs: docs_definitions, pairs: BTreeMap::new(), made: BTreeMap::new() };
    let mut root = maker.inline(&raw, &docs);
    // `crt:` alone is a classifier with its defaults; under another name the method must be said.
    let entry = root["properties"]["classifiers"]["additionalProperties"].clone();
    let or_nothing = |name: &&str| ((*name).to_owned(), json!({"anyOf": [entry, {"type": "null"}]}));
    root["properties"]["classifiers"]["properties"] =
        Value::Object(ClassifierRecipe::NAMES.iter().map(or_nothing).collect());
    root["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    root["$comment"] = json!(format!("Made from the types of crates/recipe; written anew by: {COMMAND}"));
    root["title"] = json!("A recipe of Longtail");
    root["definitions"] = json!(maker.made);
    root
}

/// A type's own schema, and those of the types in it by name.
fn of<T: JsonSchema>() -> (Value, Map<String, Value>) {
    let root = SchemaSettings::draft07().into_generator().into_root_schema_for::<T>().to_value();
    let definitions = root["definitions"].as_object().cloned().unwrap_or_default();
    (root, definitions)
}

/// Lays docs under forms.
struct Maker {
    raw: Map<String, Value>,
    docs: Map<String, Value>,
    /// The resolved type of each raw one that was met.
    pairs: BTreeMap<String, String>,
    /// Definitions, by the names of the types that have the docs: one raw form may have several.
    made: BTreeMap<String, Value>,
}

impl Maker {
    /// The schema of one value. `docs` is null where the resolved form does not have the field.
    fn value(&mut self, raw: &Value, docs: &Value) -> Value {
        let (raw, docs) = (without_null(raw), without_null(docs));
        let Some(raw_name) = reference(&raw) else {
            return self.inline(&raw, &docs);
        };
        let paired = || self.pairs.get(raw_name).cloned();
        let name = reference(&docs).map(str::to_owned).or_else(paired).unwrap_or_else(|| raw_name.to_owned());
        self.define(&name, raw_name);
        let target = json!({"$ref": format!("#/definitions/{name}")});
        match description(&docs).or_else(|| description(&raw)) {
            Some(text) => json!({"description": text, "allOf": [target]}),
            None => target,
        }
    }

    fn define(&mut self, name: &str, raw_name: &str) {
        if self.made.contains_key(name) {
            return;
        }
        self.pairs.insert(raw_name.to_owned(), name.to_owned());
        let raw = self.raw.get(raw_name).cloned().unwrap_or_default();
        let docs = self.docs.get(name).cloned().unwrap_or_else(|| raw.clone());
        let made = self.inline(&raw, &docs);
        self.made.insert(name.to_owned(), made);
    }

    /// A schema that is no reference.
    fn inline(&mut self, raw: &Value, docs: &Value) -> Value {
        let choices = choices(raw);
        if !choices.is_empty() {
            return self.choice(&choices, docs);
        }
        let mut made = Map::new();
        for (key, value) in raw.as_object().into_iter().flatten() {
            let made_of = match (key.as_str(), value) {
                ("properties", Value::Object(fields)) => self.fields(fields, &docs["properties"]),
                ("items" | "additionalProperties", Value::Object(_)) => self.value(value, &docs[key]),
                ("format", _) if value == "uint32" => {
                    made.insert("maximum".to_owned(), json!(u32::MAX));
                    continue;
                }
                // Words of Rust, not of JSON schema; and what `schema` puts at the root.
                ("format" | "definitions" | "$schema" | "title", _) => continue,
                _ => value.clone(),
            };
            made.insert(key.clone(), made_of);
        }
        if let Some(text) = description(docs).or_else(|| description(raw)) {
            made.insert("description".to_owned(), json!(text));
        }
        Value::Object(made)
    }

    fn fields(&mut self, raw: &Map<String, Value>, docs: &Value) -> Value {
        // Those with docs first: they say which resolved type a raw one belongs to.
        let (with, without): (Vec<_>, Vec<_>) = raw.iter().partition(|(name, _)| docs.get(name).is_some());
        let field = |(name, value): (&String, &Value)| (name.clone(), self.value(value, &docs[name]));
        Value::Object(with.into_iter().chain(without).map(field).collect())
    }

    /// A word of an enum, or a map of one of its words to settings. Maps are one object of at most one entry: so an editor says of
    /// a mistake in the settings where it stands, and not that none of many alternatives fits.
    fn choice(&mut self, choices: &[Choice], docs: &Value) -> Value {
        let told: BTreeMap<String, Choice> =
            self::choices(docs).into_iter().map(|choice| (choice.word.clone(), choice)).collect();
        let text_of =
            |choice: &Choice| told.get(&choice.word).and_then(|told| told.text.clone()).or_else(|| choice.text.clone());
        let (mut words, mut maps, mut list) = (Vec::new(), Map::new(), String::new());
        for choice in choices {
            let text = text_of(choice);
            let Some(settings) = &choice.settings else {
                words.push(choice.word.clone());
                list += &text.map_or_else(String::new, |text| format!("\n\n- `{}`: {text}", choice.word));
                continue;
            };
            let docs = told.get(&choice.word).and_then(|told| told.settings.clone()).unwrap_or_default();
            let mut made = self.value(settings, &docs);
            if let Some(text) = text {
                made = match made.get("$ref") {
                    Some(_) => json!({"description": text, "allOf": [made]}),
                    None => with(made, "description", json!(text)),
                };
            }
            maps.insert(choice.word.clone(), made);
        }
        let word = json!({"type": "string", "enum": words});
        let map = json!({"type": "object", "properties": maps, "additionalProperties": false,
                         "minProperties": 1, "maxProperties": 1});
        let made = match (words.is_empty(), maps.is_empty()) {
            (false, true) => word,
            (true, _) => map,
            (false, false) => json!({"oneOf": [word, map]}),
        };
        let text = description(docs).unwrap_or_default() + &list;
        if text.is_empty() { made } else { with(made, "description", json!(text.trim_start())) }
    }
}

/// One variant of an enum.
struct Choice {
    word: String,
    text: Option<String>,
    /// The schema of its settings; a variant without any is written as the word alone.
    settings: Option<Value>,
}

/// The variants of an enum's schema; none of any other.
fn choices(schema: &Value) -> Vec<Choice> {
    let text = description(schema);
    let word = |word: &Value, text| Choice { word: word.as_str().unwrap_or_default().to_owned(), text, settings: None };
    if let Some(words) = schema["enum"].as_array() {
        return words.iter().map(|one| word(one, None)).collect();
    }
    if let Some(one) = schema.get("const") {
        return vec![word(one, text)];
    }
    let map = |alternative: &Value| {
        let (word, settings) = alternative["properties"].as_object()?.iter().next()?;
        let text = description(alternative);
        Some(Choice { word: word.clone(), text, settings: Some(settings.clone()) })
    };
    let alternatives = schema["oneOf"].as_array().into_iter().flatten();
    alternatives.flat_map(|one| map(one).map_or_else(|| choices(one), |choice| vec![choice])).collect()
}

/// The name of the type that a schema stands for.
fn reference(schema: &Value) -> Option<&str> {
    let target = schema.get("$ref").or_else(|| schema["allOf"][0].get("$ref"))?;
    target.as_str()?.strip_prefix("#/definitions/")
}

/// A field that may be left out; what is named has a value.
fn without_null(schema: &Value) -> Value {
    let is_null = |schema: &Value| schema["type"] == "null";
    if let Some(other) = schema["anyOf"].as_array().and_then(|all| all.iter().find(|one| !is_null(one))) {
        let text = schema.get("description").cloned();
        return text.map_or_else(|| other.clone(), |text| json!({"description": text, "allOf": [other]}));
    }
    match schema["type"].as_array().and_then(|all| all.iter().find(|one| *one != "null")) {
        Some(one) => with(schema.clone(), "type", one.clone()),
        None => schema.clone(),
    }
}

fn with(mut schema: Value, key: &str, value: Value) -> Value {
    schema[key] = value;
    schema
}

/// A type's or field's doc as an editor shows it: a paragraph a line, links of rustdoc as words, no sections.
fn description(schema: &Value) -> Option<String> {
    let text = schema["description"].as_str()?;
    let told = text.split("\n\n").take_while(|paragraph| !paragraph.starts_with("# "));
    let paragraphs = told.map(|paragraph| paragraph.replace('\n', " "));
    Some(paragraphs.collect::<Vec<_>>().join("\n\n").replace("[`", "`").replace("`]", "`"))
}
