//! `list`: the recipes in `pipelines/`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use serde_json::{Value, json};

use crate::cli::ListArgs;
use crate::plan_view::plain_table;
use crate::workspace;

pub fn run(root: &Path, arguments: &ListArgs) -> Result<ExitCode> {
    let mut table = plain_table(&["recipe", "rows", "what"]);
    let mut objects: Vec<Value> = Vec::new();
    let mut broken = Vec::new();
    for name in workspace::recipe_names(root)? {
        let file = root.join("pipelines").join(format!("{name}.yaml"));
        match workspace::read_recipe(&file, &[], None) {
            Ok(recipe) => {
                table.add_row([name.clone(), recipe.rows.len().to_string(), recipe.description.clone()]);
                let rows: Vec<String> =
                    recipe.rows.iter().map(|row| format!("{}+{}", row.representation, row.classifier)).collect();
                objects.push(json!({"recipe": name, "description": recipe.description, "rows": rows}));
            }
            Err(error) => broken.push(error.context(format!("pipelines/{name}.yaml cannot be read"))),
        }
    }
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&objects)?);
    } else {
        println!("{}", table.trim_fmt());
    }
    match broken.into_iter().next() {
        Some(error) => Err(error),
        None => Ok(ExitCode::SUCCESS),
    }
}
