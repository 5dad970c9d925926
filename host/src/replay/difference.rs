//! What came of a visit, in a form in which two runs can be held against each other.

use crate::{
    digest::Digest,
    item::{Body, Facts, Payload, Record},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What came of a visit. Texts are not escaped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Told {
    /// How it ended: `moved by pass`, `failed: …`, `jammed: …`.
    pub how: String,
    /// What it put out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<Out>,
    /// The workspace afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<Digest>,
    /// What it wrote to its log, a line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
    /// What it called, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub effects: Vec<String>,
}

/// A payload that was put out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Out {
    /// Its port.
    pub port: String,
    /// Its media type.
    pub content_type: String,
    /// Its labels, merged over those that the item came with.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Its body, where that is short text; else its digest.
    pub body: String,
}

/// What differs between two runs of a visit: what, as it was recorded, as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// `how`, `output 1`, `workspace`, `log`, `effects`.
    pub what: String,
    /// As recorded; empty where there was nothing.
    pub before: String,
    /// As it is now; empty where there is nothing.
    pub after: String,
}

/// What a record says of how a visit ended, and what was called on the way.
pub fn told(record: &Record, mut effects: Vec<String>) -> Told {
    // Which of several calls at the same time comes first is nobody's to say.
    effects.sort();
    let (how, outputs, workspace, facts) = match record {
        Record::Moved {
            port,
            payload,
            workspace,
            facts,
            ..
        } => {
            let how = match &facts.reason {
                Some(reason) => format!("rejected: {reason}"),
                None => "passed".into(),
            };
            (how, vec![out(port, payload)], *workspace, Some(facts))
        }
        Record::Split {
            children,
            workspace,
            facts,
            ..
        } => {
            let outputs = children
                .iter()
                .map(|child| out(&child.port, &child.payload));
            ("passed".into(), outputs.collect(), *workspace, Some(facts))
        }
        Record::Finished { facts, .. } => ("passed".into(), Vec::new(), None, Some(facts)),
        Record::Failed { reason, facts, .. } => {
            (format!("failed: {reason}"), Vec::new(), None, Some(facts))
        }
        Record::Jammed { jam, facts, .. } => {
            (format!("jammed: {jam}"), Vec::new(), None, facts.as_ref())
        }
        Record::Asked { hold, facts, .. } => {
            let how = format!("asked: {}", hold.question.prompt);
            (how, Vec::new(), None, facts.as_ref())
        }
        other => (other.kind().into(), Vec::new(), None, None),
    };
    Told {
        how,
        outputs,
        workspace,
        log: facts.map(log).unwrap_or_default(),
        effects,
    }
}

fn out(port: &str, payload: &Payload) -> Out {
    let body = match &payload.body {
        Body::Inline(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => text.into(),
            Err(_) => format!("{} bytes {}", bytes.len(), Digest::of(bytes)),
        },
        Body::Stored { digest, len } => format!("{len} bytes {digest}"),
        Body::File(path) => format!("file {path}"),
    };
    let labels = payload.labels.iter();
    Out {
        port: port.into(),
        content_type: payload.content_type.clone(),
        labels: labels.map(|(k, v)| (k.into(), v.into())).collect(),
        body,
    }
}

fn log(facts: &Facts) -> Vec<String> {
    let line = |line: &crate::visit::LogLine| {
        let mut text = format!("{}: {}", line.level, line.message);
        for (name, value) in &line.fields {
            text.push_str(&format!(" {name}={value}"));
        }
        text
    };
    facts.log.iter().map(line).collect()
}

impl Told {
    /// What is different in `after`; nothing where both are equal.
    pub fn differences(&self, after: &Self) -> Vec<Difference> {
        let mut all = Vec::new();
        let mut compare = |what: String, before: String, after: String| {
            if before != after {
                all.push(Difference {
                    what,
                    before,
                    after,
                });
            }
        };
        compare("how".into(), self.how.clone(), after.how.clone());
        for n in 0..self.outputs.len().max(after.outputs.len()) {
            let text = |outputs: &[Out]| outputs.get(n).map_or(String::new(), Out::text);
            compare(
                format!("output {}", n + 1),
                text(&self.outputs),
                text(&after.outputs),
            );
        }
        let space = |told: &Self| told.workspace.map_or(String::new(), |it| it.to_string());
        compare("workspace".into(), space(self), space(after));
        compare("log".into(), self.log.join("\n"), after.log.join("\n"));
        compare(
            "effects".into(),
            self.effects.join("\n"),
            after.effects.join("\n"),
        );
        all
    }
}

impl Out {
    fn text(&self) -> String {
        let mut text = format!("port {}, {}\n", self.port, self.content_type);
        for (name, value) in &self.labels {
            text.push_str(&format!("{name}={value}\n"));
        }
        text.push_str(&self.body);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_named() {
        let told = |how: &str, body: &str, log: &[&str]| Told {
            how: how.into(),
            outputs: vec![Out {
                port: "pass".into(),
                content_type: "text/plain".into(),
                labels: BTreeMap::new(),
                body: body.into(),
            }],
            workspace: None,
            log: log.iter().map(ToString::to_string).collect(),
            effects: vec!["GET http://a/".into()],
        };
        let one = told("passed", "x", &["info: a"]);
        assert_eq!(one.differences(&one), []);
        let other = told("failed: no", "y", &["info: a", "info: b"]);
        let named: Vec<_> = one
            .differences(&other)
            .into_iter()
            .map(|d| d.what)
            .collect();
        assert_eq!(named, ["how", "output 1", "log"]);
        let nothing = Told {
            outputs: Vec::new(),
            ..one.clone()
        };
        assert_eq!(one.differences(&nothing)[0].after, "");
    }
}
