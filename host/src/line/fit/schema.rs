//! JSON Schemas of neighbours, compared by their structure.
//!
//! Only what is plain is judged: what the input requires has to be declared by the output, with a type that
//! fits. Anything cleverer (references, alternatives, patterns) passes, since a wrong refusal is worse than
//! a check that is left to the station.

use crate::problem::shown;
use serde_json::{Map, Value};

/// How deep is looked; a schema is hostile until checked.
const DEEPEST: usize = 32;

/// Why what keeps `output` can never keep `input`; none where it may.
pub(super) fn misfit(output: &Value, input: &Value) -> Option<String> {
    compare(output, input, "the body", DEEPEST)
}

fn compare(output: &Value, input: &Value, what: &str, deeper: usize) -> Option<String> {
    let (output, input) = (output.as_object()?, input.as_object()?);
    if deeper == 0 || clever(output) || clever(input) {
        return None;
    }
    if let (Some(out), Some(taken)) = (types(output), types(input))
        && !out
            .iter()
            .any(|out| taken.iter().any(|taken| same(out, taken)))
    {
        return Some(format!(
            "{what} is {} and has to be {}",
            shown(&out.join(" or ")),
            shown(&taken.join(" or "))
        ));
    }
    if let (Some(out), Some(taken)) = (output.get("items"), input.get("items"))
        && let Some(why) = compare(out, taken, &format!("an entry of {what}"), deeper - 1)
    {
        return Some(why);
    }
    let declared = output.get("properties")?.as_object()?;
    let required = input.get("required").and_then(Value::as_array);
    for name in required.into_iter().flatten().filter_map(Value::as_str) {
        let what = format!("the property `{}`", shown(name));
        let Some(out) = declared.get(name) else {
            return Some(format!("{what} is required and never there"));
        };
        if let Some(taken) = input.get("properties").and_then(|all| all.get(name))
            && let Some(why) = compare(out, taken, &what, deeper - 1)
        {
            return Some(why);
        }
    }
    None
}

fn clever(schema: &Map<String, Value>) -> bool {
    [
        "$ref",
        "$dynamicRef",
        "allOf",
        "anyOf",
        "oneOf",
        "not",
        "if",
        "patternProperties",
    ]
    .iter()
    .any(|keyword| schema.contains_key(*keyword))
}

/// The types that a schema allows; none where it does not say, or says it in no way that is known.
fn types(schema: &Map<String, Value>) -> Option<Vec<&str>> {
    match schema.get("type")? {
        Value::String(one) => Some(vec![one]),
        Value::Array(all) => all.iter().map(Value::as_str).collect(),
        _ => None,
    }
}

fn same(a: &str, b: &str) -> bool {
    a == b || matches!((a, b), ("integer", "number") | ("number", "integer"))
}
