//! Where ports lead: `next` in all its forms.

use super::super::{
    Rule, Target,
    reader::{Node, Reader},
};
use crate::{item::Labels, name::Name, problem::shown};
use std::collections::BTreeMap;
use toml::de::DeValue;

/// Reads `next`: a target or rules for `pass`, or either for each port.
pub(super) fn read(reader: &mut Reader<'_>, node: &Node<'_>) -> BTreeMap<Name, Vec<Rule>> {
    let mut next = BTreeMap::new();
    if matches!(node.value, DeValue::Table(_)) {
        for (port, at, node) in reader.map(node) {
            let name = reader.name_of(port, &node.path, at);
            let rules = rules(reader, &node);
            if let Some(name) = name {
                next.insert(name, rules);
            }
        }
    } else {
        next.insert(Name::PASS.parse().expect("a name"), rules(reader, node));
    }
    next
}

/// Reads where one port leads.
fn rules(reader: &mut Reader<'_>, node: &Node<'_>) -> Vec<Rule> {
    if let DeValue::Array(_) = node.value {
        let list = reader.list(node);
        if list.is_empty() {
            reader.spoil(
                node,
                "a port with an empty list of rules leads nowhere",
                Some("name a station, `done` or `scrap`".into()),
            );
        }
        return list.iter().filter_map(|node| rule(reader, node)).collect();
    }
    reader
        .name(node)
        .map(|name| Rule {
            when: BTreeMap::new(),
            to: target(name),
        })
        .into_iter()
        .collect()
}

fn rule(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Rule> {
    let fields = reader.table(node)?;
    let mut when = BTreeMap::new();
    if let Some(node) = fields.get("when") {
        for (name, at, value) in reader.map(&node) {
            let text = reader.text(&value).unwrap_or_default();
            if let Err(problem) = Labels::default().set(name, text) {
                reader.problem(
                    at,
                    problem.to_string(),
                    Some("a label and its value are meant, such as `risk = \"high\"`".into()),
                );
            } else if text.is_empty() && value.value.is_str() {
                reader.spoil(
                    &value,
                    format!("no payload has an empty label `{}`", shown(name)),
                    Some("name the value that the label has to have".into()),
                );
            }
            when.insert(name.into(), text.into());
        }
    }
    let to = fields.get("to").and_then(|node| reader.name(&node));
    Some(Rule {
        when,
        to: target(to?),
    })
}

fn target(name: Name) -> Target {
    match name.as_str() {
        "done" => Target::Done,
        "scrap" => Target::Scrap,
        _ => Target::Station(name),
    }
}
