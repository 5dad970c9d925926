//! What records name that is kept elsewhere: bodies in the content store, and workspaces.

use super::{Body, Clearing, Payload, Record};
use crate::digest::Digest;

/// Something kept elsewhere that a record names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Named {
    /// A body.
    Body(Digest),
    /// A snapshot of a workspace, which names files itself.
    Snapshot(Digest),
}

impl Record {
    /// All that it names, some of it more than once.
    pub fn named(&self) -> Vec<Named> {
        let mut found = Vec::new();
        let mut payload = |payload: &Payload| {
            if let Body::Stored { digest, .. } = &payload.body {
                found.push(Named::Body(*digest));
            }
        };
        let workspace = match self {
            Self::Taken {
                payload: carried,
                workspace,
                ..
            }
            | Self::Moved {
                payload: carried,
                workspace,
                ..
            } => {
                payload(carried);
                *workspace
            }
            Self::Split {
                children,
                workspace,
                ..
            } => {
                children.iter().for_each(|child| payload(&child.payload));
                *workspace
            }
            Self::ChildEnded { end, .. } => {
                end.arrivals.iter().for_each(|it| payload(&it.payload));
                let workspaces = end.arrivals.iter().filter_map(|it| it.workspace);
                found.extend(workspaces.map(Named::Snapshot));
                None
            }
            Self::Cleared {
                how: Clearing::Edit(edited),
                ..
            } => {
                payload(edited);
                None
            }
            _ => None,
        };
        found.extend(workspace.map(Named::Snapshot));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::one_of_each_kind;

    #[test]
    fn nothing_that_a_record_holds_is_missed() {
        let stored = Digest::of("stored");
        for record in one_of_each_kind() {
            // whatever in a record is a body or a workspace is found in its text
            let mut value = serde_json::to_value(&record).unwrap();
            let mut expected = Vec::new();
            put_in(&mut value, stored, &mut expected);
            let record: Record = serde_json::from_value(value).unwrap();
            let mut found = record.named();
            let key = |named: &Named| format!("{named:?}");
            found.sort_by_key(key);
            expected.sort_by_key(key);
            assert_eq!(found, expected, "{}", record.kind());
        }
    }

    fn put_in(value: &mut serde_json::Value, stored: Digest, expected: &mut Vec<Named>) {
        use serde_json::{Value, json};
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    match (name.as_str(), &value) {
                        ("body", _) => {
                            *value = json!({ "Stored": { "digest": stored, "len": 7 } });
                            expected.push(Named::Body(stored));
                        }
                        ("workspace", Value::String(digest)) => {
                            expected.push(Named::Snapshot(digest.parse().unwrap()));
                        }
                        _ => put_in(value, stored, expected),
                    }
                }
            }
            Value::Array(values) => {
                for value in values {
                    put_in(value, stored, expected);
                }
            }
            _ => {}
        }
    }
}
