//! Prompts: text with `{{…}}` in it. Nothing of an item is ever read as a template.

use andon_station::prelude::*;
use serde_json::Value;

/// What placeholders stand for.
pub(crate) struct Item {
    body: String,
    json: Option<Value>,
    labels: Labels,
}

impl Item {
    pub(crate) fn of(input: &Payload) -> Result<Self> {
        let body = input.text()?;
        Ok(Self {
            json: serde_json::from_str(&body).ok(),
            body,
            labels: input.labels.clone(),
        })
    }

    fn value(&self, name: &str) -> Result<String> {
        if name == "body" {
            return Ok(self.body.clone());
        }
        if let Some(label) = name.strip_prefix("label.") {
            let value = self.labels.get(label).map(String::from);
            return value.or_reject(format!("the item has no label `{label}`"));
        }
        if let Some(path) = name.strip_prefix("json.") {
            let json = self.json.as_ref().or_reject("the item is not JSON")?;
            let pointer = format!("/{}", path.replace('.', "/"));
            return match json.pointer(&pointer) {
                Some(Value::String(text)) => Ok(text.clone()),
                Some(other) => Ok(other.to_string()),
                None => Err(Stop::reject(format!("the item has no `{path}`"))),
            };
        }
        Err(Stop::reject(format!(
            "`{{{{{name}}}}}` stands for nothing; hint: `{{{{body}}}}`, `{{{{json.a.b}}}}` and `{{{{label.name}}}}` do"
        )))
    }
}

/// The template with its placeholders filled.
pub(crate) fn fill(template: &str, item: &Item) -> Result<String> {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after
            .split_once("}}")
            .or_reject("the prompt has `{{` without `}}`")?;
        filled.push_str(before);
        filled.push_str(&item.value(name.trim())?);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_once() {
        let input = Payload::text_of(r#"{"a":{"b":[1,"{{body}}"]}}"#).label("team", "core");
        let item = Item::of(&input).unwrap();
        let cases = [
            ("plain } {", Ok("plain } {")),
            ("{{ label.team }}/{{json.a.b.0}}", Ok("core/1")),
            ("{{json.a.b.1}}", Ok("{{body}}")),
            ("{{json.a.c}}", Err("the item has no `a.c`")),
            ("{{label.x}}", Err("the item has no label `x`")),
            ("{{x", Err("the prompt has `{{` without `}}`")),
        ];
        for (template, expected) in cases {
            match (fill(template, &item), expected) {
                (Ok(filled), Ok(expected)) => assert_eq!(filled, expected),
                (Err(Stop::Reject(said)), Err(expected)) => assert_eq!(said, expected),
                (other, _) => panic!("{template}: {other:?}"),
            }
        }
    }
}
