//! Reads `[ceiling]`.

use super::Factory;
use crate::{
    grant::{Ceiling, Grants, HttpGrant, Mount, SecretGrant, SecretPlace, unreached},
    limits::Limits,
    line::{
        Vars,
        parse::{
            grants::{access, destination, each, flag, rule, secret_name, tcp},
            path, settings,
        },
        reader::{Node, Reader},
    },
    problem::{Problem, shown},
};
use std::time::Duration;

/// Reads the ceiling; what it says of limits is taken over into `most`.
pub(super) fn read(reader: &mut Reader<'_>, node: &Node<'_>, most: &mut Limits) -> Ceiling {
    let Some(fields) = reader.table(node) else {
        return Ceiling::default();
    };
    if let Some(node) = fields.get("limits") {
        settings::limits(reader, &node, most);
    }
    let notify = fields.get("notify").and_then(|node| reader.table(&node));
    let commands = notify.is_some_and(|fields| flag(reader, &fields, "commands"));
    let grants = fields.get("grants").and_then(|node| reader.table(&node));
    let Some(grants) = grants else {
        return Ceiling {
            commands,
            ..Ceiling::default()
        };
    };
    // A ceiling is not written with variables: it bounds what they may be.
    let vars = Vars::default();
    Ceiling {
        commands,
        grants: Grants {
            fs: each(reader, &grants, "fs", mount),
            http: each(reader, &grants, "http", |r, node| http(r, node, &vars)),
            tcp: each(reader, &grants, "tcp", |r, node| tcp(r, node, &vars, true)),
            secrets: each(reader, &grants, "secrets", |r, node| secret(r, node, &vars)),
        },
    }
}

fn mount(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Mount> {
    let fields = reader.table(node)?;
    let host = fields.get("host").and_then(|node| {
        let text = reader.text(&node)?;
        path(reader, &node, text)
    });
    let access = fields.get("access").and_then(|node| access(reader, &node));
    Some(Mount {
        host: host?,
        guest: String::new(),
        access: access?,
        quota: None,
        max_files: None,
    })
}

/// A call that the ceiling admits; what it does not bound is not bounded.
fn http(reader: &mut Reader<'_>, node: &Node<'_>, vars: &Vars) -> Option<HttpGrant> {
    let unbounded = |rule| HttpGrant {
        rule,
        private: false,
        idempotent: true,
        resample: true,
        max_response: u64::MAX,
        timeout: Duration::MAX,
    };
    if node.value.is_str() {
        return rule(reader, node, vars).map(unbounded);
    }
    let fields = reader.table(node)?;
    let rule = fields
        .get("rule")
        .and_then(|node| rule(reader, &node, vars));
    let private = flag(reader, &fields, "private");
    let max_response = fields
        .get("max-response")
        .and_then(|node| reader.size(&node));
    let timeout = fields.get("timeout").and_then(|node| reader.time(&node));
    let mut grant = unbounded(rule?);
    grant.private = private;
    grant.max_response = max_response.unwrap_or(grant.max_response);
    grant.timeout = timeout.unwrap_or(grant.timeout);
    Some(grant)
}

fn secret(reader: &mut Reader<'_>, node: &Node<'_>, vars: &Vars) -> Option<SecretGrant> {
    let fields = reader.table(node)?;
    let name = fields
        .get("name")
        .and_then(|node| secret_name(reader, &node));
    let r#for = fields
        .get("for")
        .and_then(|node| destination(reader, &node, vars));
    Some(SecretGrant {
        name: name?,
        // The ceiling says where a secret may go, not in which way it is written there.
        place: SecretPlace::Query {
            name: String::new(),
        },
        r#for: r#for?,
    })
}

/// What stands in a ceiling without effect.
pub(super) fn check(factory: &Factory, problems: &mut Vec<Problem>) {
    let Some(ceiling) = &factory.ceiling else {
        return;
    };
    let grants = &ceiling.grants;
    let mut tell = |key: &str, (n, _): (usize, usize), rule: String| {
        let Some((file, place)) = factory.place(&format!("ceiling.grants.{key}.{n}")) else {
            return;
        };
        problems.push(
            Problem::on(
                file,
                place,
                format!(
                    "this entry has no effect: `{}` before it is for all that it is for",
                    shown(&rule)
                ),
            )
            .hint("the first that is for a call decides; take one of the two out, or put the narrower one first"),
        );
    };
    for pair in unreached(&grants.http, |a, b| a.rule.covers(&b.rule)) {
        tell("http", pair, grants.http[pair.1].rule.to_string());
    }
    for pair in unreached(&grants.tcp, |a, b| a.rule.covers(&b.rule)) {
        tell("tcp", pair, grants.tcp[pair.1].rule.to_string());
    }
    for pair in unreached(&grants.secrets, |a, b| {
        a.name == b.name && a.r#for.covers(&b.r#for)
    }) {
        tell("secrets", pair, grants.secrets[pair.1].r#for.to_string());
    }
}
