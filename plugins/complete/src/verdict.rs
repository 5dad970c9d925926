//! Whether an answer is one that the line can work with.

use crate::{chat::Answer, schema::Schema};
use serde_json::Value;

/// An answer that is well formed.
pub(crate) enum Body {
    Json(Value),
    Text(String),
}

/// What the answer is, or what is wrong with it in words that the model can use.
pub(crate) fn judge(answer: &Answer, schema: Option<&Schema>) -> Result<Body, String> {
    if answer.finish == "length" {
        return Err("it was cut off at `max-tokens`".into());
    }
    let Some(schema) = schema else {
        return match answer.text.trim() {
            "" => Err("it is empty".into()),
            _ => Ok(Body::Text(answer.text.clone())),
        };
    };
    let value: Value = serde_json::from_str(unfenced(&answer.text))
        .map_err(|error| format!("it is not JSON ({error})"))?;
    let wrong = schema.wrong(&value);
    match wrong.is_empty() {
        true => Ok(Body::Json(value)),
        false => Err(format!("it does not keep the schema: {}", wrong.join("; "))),
    }
}

/// The text without the fence that models like to put around JSON.
fn unfenced(text: &str) -> &str {
    let text = text.trim();
    let Some(inner) = text.strip_prefix("```").and_then(|t| t.strip_suffix("```")) else {
        return text;
    };
    inner.strip_prefix("json").unwrap_or(inner).trim()
}
