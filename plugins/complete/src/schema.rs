//! The part of JSON Schema that models are asked to keep: what their structured answers support. A
//! keyword beyond it is an error of the schema, never passed over.

use serde_json::{Map, Value};

/// A schema that answers are held to.
#[derive(Debug)]
pub(crate) struct Schema(Value);

/// The deepest that a schema nests.
const DEPTH: usize = 32;
/// The most that is said to be wrong with one answer.
const MOST: usize = 5;

impl Schema {
    /// Reads a schema; says what in it is not supported.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let value: Value =
            serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
        known(&value, "#", DEPTH)?;
        Ok(Self(value))
    }

    pub(crate) fn value(&self) -> &Value {
        &self.0
    }

    /// What is wrong with a value, in words that the model can use; empty if nothing is.
    pub(crate) fn wrong(&self, value: &Value) -> Vec<String> {
        let mut wrong = Vec::new();
        check(&self.0, value, "the answer", &mut wrong);
        wrong.truncate(MOST);
        wrong
    }
}

/// Whether every keyword is one that [`check`] holds to, with a value of its kind.
fn known(schema: &Value, at: &str, depth: usize) -> Result<(), String> {
    let bad = |what: &str| Err(format!("`{at}`: {what}"));
    let Some(map) = schema.as_object() else {
        return bad("a schema is an object");
    };
    if depth == 0 {
        return bad("it nests too deep");
    }
    for (key, value) in map {
        let at = format!("{at}/{key}");
        match key.as_str() {
            "$schema" | "$id" | "title" | "description" | "examples" | "default" | "const" => {}
            "type" => {
                let names = match value {
                    Value::Array(names) => names.iter().collect(),
                    one => vec![one],
                };
                let all = [
                    "null", "boolean", "object", "array", "number", "integer", "string",
                ];
                let fits = |name: &&Value| name.as_str().is_some_and(|name| all.contains(&name));
                if names.is_empty() || !names.iter().all(fits) {
                    return Err(format!("`{at}`: {value} is no type"));
                }
            }
            "enum" | "required" if value.is_array() => {}
            "properties" if value.is_object() => {
                for (name, schema) in value.as_object().into_iter().flatten() {
                    known(schema, &format!("{at}/{name}"), depth - 1)?;
                }
            }
            "additionalProperties" if value.is_boolean() => {}
            "items" => known(value, &at, depth - 1)?,
            "anyOf" if value.as_array().is_some_and(|any| !any.is_empty()) => {
                for schema in value.as_array().into_iter().flatten() {
                    known(schema, &at, depth - 1)?;
                }
            }
            "minItems" | "maxItems" | "minLength" | "maxLength" if value.is_u64() => {}
            "minimum" | "maximum" if value.is_number() => {}
            _ => return Err(format!("`{at}` is not supported, or not of its kind")),
        }
    }
    Ok(())
}

fn check(schema: &Value, value: &Value, at: &str, wrong: &mut Vec<String>) {
    let Some(map) = schema.as_object() else {
        return;
    };
    let mut say = |what: String| wrong.push(format!("{at} {what}"));
    if let Some(types) = map.get("type") {
        let names: Vec<&str> = match types {
            Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
            one => one.as_str().into_iter().collect(),
        };
        if !names.iter().any(|name| is(name, value)) {
            return say(format!("is not of the type {}", names.join(" or ")));
        }
    }
    if let Some(constant) = map.get("const")
        && constant != value
    {
        say(format!("is not {constant}"));
    }
    if let Some(Value::Array(values)) = map.get("enum")
        && !values.contains(value)
    {
        say(format!(
            "is {value}, not one of {}",
            Value::Array(values.clone())
        ));
    }
    let number = |key: &str| map.get(key).and_then(Value::as_f64);
    let size = match value {
        Value::Array(all) => Some((all.len(), "minItems", "maxItems", "entries")),
        Value::String(text) => Some((text.chars().count(), "minLength", "maxLength", "characters")),
        _ => None,
    };
    if let Some((size, least, most, what)) = size {
        let limit = |key: &str| map.get(key).and_then(Value::as_u64);
        if limit(least).is_some_and(|least| (size as u64) < least) {
            say(format!("has only {size} {what}"));
        }
        if limit(most).is_some_and(|most| size as u64 > most) {
            say(format!("has {size} {what}, which are too many"));
        }
    }
    if let Some(found) = value.as_f64() {
        if number("minimum").is_some_and(|least| found < least) {
            say(format!("is {value}, which is too small"));
        }
        if number("maximum").is_some_and(|most| found > most) {
            say(format!("is {value}, which is too large"));
        }
    }
    match value {
        Value::Object(object) => members(map, object, at, wrong),
        Value::Array(all) => {
            if let Some(items) = map.get("items") {
                for (n, entry) in all.iter().enumerate() {
                    check(items, entry, &format!("{at}[{n}]"), wrong);
                }
            }
        }
        _ => {}
    }
    if let Some(Value::Array(any)) = map.get("anyOf") {
        let fits = |schema: &Value| {
            let mut wrong = Vec::new();
            check(schema, value, at, &mut wrong);
            wrong.is_empty()
        };
        if !any.iter().any(fits) {
            wrong.push(format!("{at} fits none of `anyOf`"));
        }
    }
}

fn members(
    schema: &Map<String, Value>,
    object: &Map<String, Value>,
    at: &str,
    wrong: &mut Vec<String>,
) {
    for name in (schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten())
    .filter_map(Value::as_str)
    .filter(|name| !object.contains_key(*name))
    {
        wrong.push(format!("{at} has no `{name}`"));
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, value) in object {
        match properties.and_then(|properties| properties.get(name)) {
            Some(schema) => check(schema, value, &format!("{at}.{name}"), wrong),
            None if schema.get("additionalProperties") == Some(&Value::Bool(false)) => {
                wrong.push(format!("{at} has `{name}`, which is not asked for"));
            }
            None => {}
        }
    }
}

fn is(name: &str, value: &Value) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        _ => value.is_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn answers_are_held_to_the_schema() {
        let schema = Schema::parse(
            r#"{"type":"object","additionalProperties":false,"required":["risk"],"properties":{
                "risk":{"enum":["low","high"]},"score":{"type":"integer","minimum":0,"maximum":9},
                "why":{"type":["string","null"],"maxLength":3},
                "files":{"type":"array","minItems":1,"items":{"anyOf":[{"type":"string"},{"const":7}]}}}}"#,
        )
        .unwrap();
        let cases = [
            (
                json!({"risk":"low","score":9,"why":null,"files":["a",7]}),
                "",
            ),
            (json!([]), "the answer is not of the type object"),
            (json!({}), "the answer has no `risk`"),
            (
                json!({"risk":"mid"}),
                r#"the answer.risk is "mid", not one of ["low","high"]"#,
            ),
            (
                json!({"risk":"low","x":1}),
                "the answer has `x`, which is not asked for",
            ),
            (
                json!({"risk":"low","score":1.5}),
                "the answer.score is not of the type integer",
            ),
            (
                json!({"risk":"low","score":10}),
                "the answer.score is 10, which is too large",
            ),
            (
                json!({"risk":"low","why":"four"}),
                "the answer.why has 4 characters, which are too many",
            ),
            (
                json!({"risk":"low","files":[]}),
                "the answer.files has only 0 entries",
            ),
            (
                json!({"risk":"low","files":[8]}),
                "the answer.files[0] fits none of `anyOf`",
            ),
        ];
        for (value, wrong) in cases {
            assert_eq!(schema.wrong(&value).join("; "), wrong, "{value}");
        }
    }

    #[test]
    fn what_is_not_supported_is_an_error() {
        for (text, wrong) in [
            ("{", "it is not JSON"),
            ("true", "`#`: a schema is an object"),
            (r#"{"pattern":"a"}"#, "`#/pattern` is not supported"),
            (
                r#"{"properties":{"a":{"type":"date"}}}"#,
                "`#/properties/a/type`: \"date\" is no type",
            ),
        ] {
            let said = Schema::parse(text).unwrap_err();
            assert!(said.starts_with(wrong), "{said}");
        }
    }
}
