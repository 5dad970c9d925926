//! Reads what a line says about questions: `ask` and `hold` of a station.

use super::super::{
    Ask, Holding,
    reader::{Fields, Node, Reader},
};
use crate::{name::Name, problem::shown, visit::Question};

/// Reads `ask`: what the line asks, and how the question is held.
pub(super) fn ask(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<(Ask, Holding)> {
    let fields = reader.table(node)?;
    let mut prompt = String::new();
    if let Some(node) = fields.get("prompt") {
        let text = reader.text(&node);
        if text.is_some_and(|text| text.len() > Question::PROMPT || text.trim().is_empty()) {
            reader.spoil(
                &node,
                format!("a question is text of 1 to {} bytes", Question::PROMPT),
                Some("say in a few words what is to be decided".into()),
            );
        }
        prompt = text.unwrap_or_default().into();
    }
    let mut choices: Vec<Name> = Vec::new();
    if let Some(node) = fields.get("choices") {
        let list = reader.list(&node);
        if list.is_empty() || list.len() > Question::CHOICES {
            reader.spoil(
                &node,
                format!("a question has 1 to {} choices", Question::CHOICES),
                Some("name ports of the station, such as `[\"pass\", \"rework\"]`".into()),
            );
        }
        for node in list {
            let Some(choice) = reader.name(&node) else {
                continue;
            };
            if choices.contains(&choice) {
                reader.problem(
                    node.span.start,
                    format!("`{choice}` is there twice"),
                    Some("take one of the two out".into()),
                );
            } else {
                choices.push(choice);
            }
        }
    }
    let otherwise = fields
        .get("otherwise")
        .and_then(|node| reader.name(&node))
        .map(|name| name.to_string());
    let holding = holding(reader, &fields, otherwise);
    Some((Ask { prompt, choices }, holding))
}

/// Reads `hold`.
pub(super) fn hold(reader: &mut Reader<'_>, node: &Node<'_>) -> Holding {
    let Some(fields) = reader.table(node) else {
        return Holding::default();
    };
    let mut otherwise = None;
    if let Some(node) = fields.get("otherwise")
        && let Some(text) = reader.text(&node)
    {
        let word =
            (1..=Question::WORD).contains(&text.len()) && !text.chars().any(char::is_control);
        if !word {
            reader.spoil(
                &node,
                format!("`{}` is no answer", shown(text)),
                Some(format!(
                    "1 to {} bytes without control characters are",
                    Question::WORD
                )),
            );
        }
        otherwise = Some(text.to_owned());
    }
    holding(reader, &fields, otherwise)
}

fn holding(reader: &mut Reader<'_>, fields: &Fields<'_>, otherwise: Option<String>) -> Holding {
    let within = fields.get("within");
    if let Some(node) = fields.get("otherwise")
        && within.is_none()
    {
        reader.problem(
            node.span.start,
            "`otherwise` without `within` has no effect",
            Some(
                "say with `within` how long an answer is waited for, or take `otherwise` out"
                    .into(),
            ),
        );
    }
    let within = within.and_then(|node| reader.time(&node));
    let not = fields.get("not").and_then(|node| reader.one_of(&node));
    Holding {
        within,
        otherwise,
        not_submitter: not.is_some(),
    }
}
