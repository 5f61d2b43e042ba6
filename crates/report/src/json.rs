//! `report.json`: the table for programs.

use serde_json::{Value, json};

use crate::groups::Groups;
use crate::summary::{RowSummary, Summary};

/// The table:
///
/// ```json
/// {"recipe": "…", "rows": [{"method": "VARIANT+METHOD", "many": 1.0, "medium": 1.0, "few": null, "all": 1.0,
///   "std": {"many": 0.1, "medium": 0.1, "few": null, "all": 0.1}, "seeds": [0, 1], "paper": {"many": null, …}}]}
/// ```
///
/// Means and deviations in percent, rounded to four digits after the point; `null` for an empty group and for a row that
/// was not run; `std` is `null` with fewer than two seeds, `paper` where the recipe quotes nothing.
pub fn report_json(summary: &Summary) -> Value {
    let rows: Vec<Value> = summary.rows.iter().map(row).collect();
    json!({"recipe": summary.recipe, "rows": rows})
}

fn row(row: &RowSummary) -> Value {
    let mut object = groups(&row.mean);
    object["method"] = json!(row.method());
    object["std"] = row.std.as_ref().map_or(Value::Null, groups);
    object["seeds"] = json!(row.seeds);
    object["paper"] = row.paper.as_ref().map_or(Value::Null, groups);
    object
}

fn groups(groups: &Groups) -> Value {
    let rounded = |value: &Option<f64>| value.map(|value| (value * 1e4).round() / 1e4);
    json!({
        "many": rounded(&groups.many),
        "medium": rounded(&groups.medium),
        "few": rounded(&groups.few),
        "all": rounded(&groups.all),
    })
}
