//! Reads what a station is granted.

use super::{
    super::{
        Vars,
        reader::{Fields, Node, Reader},
    },
    host,
};
use crate::{
    grant::{
        Access, BadHeader, Grants, HttpGrant, HttpRule, Mount, SecretGrant, SecretPlace, TcpGrant,
        TcpRule,
    },
    problem::shown,
};

/// Reads `grants`.
pub(super) fn read(reader: &mut Reader<'_>, node: &Node<'_>, vars: &Vars) -> Grants {
    let Some(fields) = reader.table(node) else {
        return Grants::default();
    };
    Grants {
        fs: each(reader, &fields, "fs", |r, node| mount(r, node, vars)),
        http: each(reader, &fields, "http", |r, node| http(r, node, vars)),
        tcp: each(reader, &fields, "tcp", |r, node| tcp(r, node, vars, false)),
        secrets: each(reader, &fields, "secrets", |r, node| secret(r, node, vars)),
    }
}

/// Reads the entries of a list. One that cannot be read is left out, and spoils the list.
pub(crate) fn each<T>(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    key: &'static str,
    read: impl Fn(&mut Reader<'_>, &Node<'_>) -> Option<T>,
) -> Vec<T> {
    let Some(node) = fields.get(key) else {
        return Vec::new();
    };
    let list = reader.list(&node);
    list.iter().filter_map(|node| read(reader, node)).collect()
}

fn mount(reader: &mut Reader<'_>, node: &Node<'_>, vars: &Vars) -> Option<Mount> {
    let fields = reader.table(node)?;
    let host = fields
        .get("host")
        .and_then(|node| host(reader, &node, vars));
    let guest = fields.get("guest").and_then(|node| reader.text(&node));
    let access = fields
        .get("access")
        .and_then(|node| self::access(reader, &node));
    let (quota, max_files) = (fields.get("quota"), fields.get("max-files"));
    if access == Some(Access::Read) {
        for (key, node) in [("quota", &quota), ("max-files", &max_files)] {
            if let Some(node) = node {
                reader.spoil(
                    node,
                    format!("`{key}` of a folder that is granted for reading has no effect"),
                    Some("take it out, or grant the folder with `access = \"write\"`".into()),
                );
            }
        }
    }
    Some(Mount {
        host: host.unwrap_or_default(),
        guest: guest.unwrap_or_default().into(),
        access: access.unwrap_or(Access::Read),
        quota: quota.and_then(|node| reader.size(&node)),
        max_files: max_files
            .and_then(|node| reader.count(&node))
            .map(Into::into),
    })
}

/// Reads `access`.
pub(crate) fn access(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Access> {
    Some(match reader.one_of(node)? {
        "write" => Access::Write,
        _ => Access::Read,
    })
}

fn http(reader: &mut Reader<'_>, node: &Node<'_>, vars: &Vars) -> Option<HttpGrant> {
    if node.value.is_str() {
        return rule(reader, node, vars).map(HttpGrant::new);
    }
    let fields = reader.table(node)?;
    let rule = fields
        .get("rule")
        .and_then(|node| rule(reader, &node, vars));
    let private = flag(reader, &fields, "private");
    let idempotent = flag(reader, &fields, "idempotent");
    let resample = flag(reader, &fields, "resample");
    let max_response = fields
        .get("max-response")
        .and_then(|node| reader.size(&node));
    let timeout = fields.get("timeout").and_then(|node| reader.time(&node));
    let mut grant = HttpGrant::new(rule?);
    (grant.private, grant.idempotent, grant.resample) = (private, idempotent, resample);
    grant.max_response = max_response.unwrap_or(grant.max_response);
    grant.timeout = timeout.unwrap_or(grant.timeout);
    Some(grant)
}

/// Reads a connection that is granted, or that the ceiling admits.
pub(crate) fn tcp(
    reader: &mut Reader<'_>,
    node: &Node<'_>,
    vars: &Vars,
    ceiling: bool,
) -> Option<TcpGrant> {
    if node.value.is_str() {
        return to(reader, node, vars).map(|rule| TcpGrant {
            rule,
            private: false,
            idempotent: false,
        });
    }
    let fields = reader.table(node)?;
    let rule = fields.get("to").and_then(|node| to(reader, &node, vars));
    let private = flag(reader, &fields, "private");
    // The ceiling says where to, not what may be done there twice.
    let idempotent = !ceiling && flag(reader, &fields, "idempotent");
    Some(TcpGrant {
        rule: rule?,
        private,
        idempotent,
    })
}

/// Reads a key that is `true` or `false`, and false where it is not there.
pub(crate) fn flag(reader: &mut Reader<'_>, fields: &Fields<'_>, key: &'static str) -> bool {
    let flag = fields.get(key).and_then(|node| reader.flag(&node));
    flag.unwrap_or_default()
}

/// Reads which calls are meant.
pub(crate) fn rule(reader: &mut Reader<'_>, node: &Node<'_>, vars: &Vars) -> Option<HttpRule> {
    let text = reader.text(node)?;
    let text = vars.fill(reader, node, text)?;
    match text.parse() {
        Ok(rule) => Some(rule),
        Err(bad) => {
            reader.spoil(
                node,
                format!("`{}` is no rule for calls: {bad}", shown(&text)),
                Some(
                    "methods and a URL are meant, such as `GET,HEAD https://api.example.com/v1/**`"
                        .into(),
                ),
            );
            None
        }
    }
}

/// Reads `for` of a secret: which calls are meant, of all methods where none are named.
pub(crate) fn destination(
    reader: &mut Reader<'_>,
    node: &Node<'_>,
    vars: &Vars,
) -> Option<HttpRule> {
    let text = reader.text(node)?;
    let text = vars.fill(reader, node, text)?;
    match HttpRule::of_any_method(&text) {
        Ok(rule) => Some(rule),
        Err(bad) => {
            reader.spoil(
                node,
                format!("`{}` is no destination of a secret: {bad}", shown(&text)),
                Some("a URL is meant, such as `https://api.example.com/v1/**`; methods may stand before it".into()),
            );
            None
        }
    }
}

fn to(reader: &mut Reader<'_>, node: &Node<'_>, vars: &Vars) -> Option<TcpRule> {
    let text = reader.text(node)?;
    let text = vars.fill(reader, node, text)?;
    match text.parse() {
        Ok(rule) => Some(rule),
        Err(_) => {
            reader.spoil(
                node,
                format!("`{}` is no place to connect to", shown(&text)),
                Some("`host:port` is meant, such as `db.internal:5432`".into()),
            );
            None
        }
    }
}

/// Reads the name of a secret.
pub(crate) fn secret_name(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<String> {
    let name = reader.text(node)?;
    if SecretGrant::is_name(name) {
        return Some(name.into());
    }
    reader.spoil(
        node,
        format!("`{}` is no name of a secret", shown(name)),
        Some("1 to 64 of `A-Z`, `0-9` and `_` are meant, with a letter first".into()),
    );
    None
}

fn secret(reader: &mut Reader<'_>, node: &Node<'_>, vars: &Vars) -> Option<SecretGrant> {
    let fields = reader.table(node)?;
    let name = fields
        .get("name")
        .and_then(|node| secret_name(reader, &node));
    let r#for = fields
        .get("for")
        .and_then(|node| destination(reader, &node, vars));
    let (header, query) = (fields.get("header"), fields.get("query"));
    let prefix = fields.get("prefix");
    if let Some(prefix) = &prefix
        && header.is_none()
    {
        reader.spoil(
            prefix,
            "`prefix` stands before a secret in a header, and none is named",
            Some("name the header with `header`, or take `prefix` out".into()),
        );
    }
    let place = match (header, query) {
        (Some(node), None) => self::header(reader, &node, prefix.as_ref()),
        (None, Some(node)) => parameter(reader, &node),
        (None, None) => {
            reader.spoil(
                node,
                "a granted secret is put nowhere",
                Some(
                    "`header = \"authorization\"` puts it into a header, `query = \"key\"` into the URL"
                        .into(),
                ),
            );
            None
        }
        (Some(_), Some(node)) => {
            reader.spoil(
                &node,
                "a secret is put into a header or into the query, not into both",
                Some("take `header` or `query` out; grant it twice where both are needed".into()),
            );
            None
        }
    };
    Some(SecretGrant {
        name: name?,
        place: place?,
        r#for: r#for?,
    })
}

fn header(
    reader: &mut Reader<'_>,
    node: &Node<'_>,
    prefix: Option<&Node<'_>>,
) -> Option<SecretPlace> {
    let name = reader.text(node)?;
    let prefix = match prefix {
        None => SecretPlace::prefix_of(name),
        Some(node) => {
            let text = reader.text(node)?;
            if !SecretPlace::is_prefix(text) {
                reader.spoil(
                    node,
                    format!("`{}` cannot stand in a header", shown(text)),
                    Some("at most 256 printable characters of ASCII can".into()),
                );
                return None;
            }
            text
        }
    };
    let (message, hint) = match SecretPlace::header_name(name) {
        Ok(()) => {
            return Some(SecretPlace::Header {
                name: name.into(),
                prefix: prefix.into(),
            });
        }
        Err(BadHeader::Name) => (
            format!("`{}` is no name of a header", shown(name)),
            "1 to 64 letters, digits and `-` in lower case are meant, such as `authorization`",
        ),
        Err(BadHeader::Own) => (
            format!("no secret is put into the header `{}`", shown(name)),
            "it belongs to the connection and is the host's to set; name another",
        ),
    };
    reader.spoil(node, message, Some(hint.into()));
    None
}

fn parameter(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<SecretPlace> {
    let name = reader.text(node)?;
    if SecretPlace::is_parameter(name) {
        return Some(SecretPlace::Query { name: name.into() });
    }
    reader.spoil(
        node,
        format!("`{}` is no name of a parameter", shown(name)),
        Some("1 to 64 letters, digits, `.`, `_`, `~` and `-` are meant, such as `key`".into()),
    );
    None
}
