//! Reads one sink of a line, and who is notified.

use super::{
    super::{
        Vars,
        reader::{Fields, Node, Reader},
        sink::{Notify, Sink, To, Told, Webhook},
    },
    grants::{flag, secret_name},
    host,
};
use crate::grant::{AddressClass, Host, Scheme, Target, address_class};

/// Reads `sinks.<name>`.
pub(super) fn read(reader: &mut Reader<'_>, node: &Node<'_>, vars: &Vars) -> Option<Sink> {
    let fields = reader.table(node)?;
    let within = fields.get("within").and_then(|node| reader.time(&node));
    let folder = fields.get("folder");
    let path = folder.as_ref().and_then(|node| host(reader, node, vars));
    let url = fields.get("webhook");
    let webhook = webhook(reader, &fields, url.as_ref(), vars);
    let to = match (folder, url) {
        (Some(_), None) => {
            only_of_webhooks(reader, &fields);
            To::Folder(path?)
        }
        (None, Some(_)) => To::Webhook(webhook?),
        (Some(_), Some(url)) => {
            reader.spoil(
                &url,
                "a sink is a folder or a server, not both",
                Some("make two sinks of it: each gets all results".into()),
            );
            return None;
        }
        (None, None) => {
            reader.spoil(
                node,
                "a sink has a `folder` or a `webhook`",
                Some(
                    "`folder = \"out\"` writes files, `webhook = \"https://…\"` calls a server"
                        .into(),
                ),
            );
            return None;
        }
    };
    Some(Sink {
        to,
        within: within.unwrap_or(Sink::WITHIN),
    })
}

/// Reads `notify`.
pub(super) fn notify(reader: &mut Reader<'_>, node: &Node<'_>, vars: &Vars) -> Notify {
    let Some(fields) = reader.table(node) else {
        return Notify::default();
    };
    let mut one = |key| {
        let node = fields.get(key)?;
        told(reader, &node, vars)
    };
    Notify {
        jam: one("jam"),
        hold: one("hold"),
    }
}

fn told(reader: &mut Reader<'_>, node: &Node<'_>, vars: &Vars) -> Option<Told> {
    if node.value.is_str() {
        let target = target(reader, node, false, vars)?;
        return Some(Told::Webhook(Webhook {
            target,
            secret: None,
            private: false,
        }));
    }
    let fields = reader.table(node)?;
    let url = fields.get("webhook");
    let webhook = webhook(reader, &fields, url.as_ref(), vars);
    let command = fields.get("command");
    let words = command.as_ref().and_then(|node| words(reader, node, vars));
    match (url, command) {
        (Some(_), None) => webhook.map(Told::Webhook),
        (None, Some(_)) => {
            only_of_webhooks(reader, &fields);
            words.map(Told::Command)
        }
        (Some(_), Some(node)) => {
            reader.spoil(
                &node,
                "a server or a program is notified, not both",
                Some("take `webhook` or `command` out".into()),
            );
            None
        }
        (None, None) => {
            reader.spoil(
                node,
                "nobody is named",
                Some("`webhook = \"https://…\"` or `command = [\"notify-send\", \"andon\"]` is meant".into()),
            );
            None
        }
    }
}

/// Says of what belongs to a webhook that it has no effect.
fn only_of_webhooks(reader: &mut Reader<'_>, fields: &Fields<'_>) {
    for key in ["secret", "private"] {
        if let Some(node) = fields.get(key) {
            reader.problem(
                node.span.start,
                format!("`{key}` has no effect without `webhook`"),
                Some("take it out".into()),
            );
        }
    }
}

fn words(reader: &mut Reader<'_>, node: &Node<'_>, vars: &Vars) -> Option<Vec<String>> {
    let mut words = Vec::new();
    for node in reader.list(node) {
        let text = reader.text(&node)?;
        words.push(vars.fill(reader, &node, text)?);
    }
    let nul = words.iter().any(|word| word.contains('\0'));
    if nul || words.first().is_none_or(String::is_empty) {
        reader.spoil(
            node,
            "this is no command",
            Some(
                "a program and its arguments are meant, such as `[\"notify-send\", \"andon\"]`"
                    .into(),
            ),
        );
        return None;
    }
    Some(words)
}

fn webhook(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    url: Option<&Node<'_>>,
    vars: &Vars,
) -> Option<Webhook> {
    let secret = fields.get("secret");
    let name = secret.as_ref().and_then(|node| secret_name(reader, node));
    let private = flag(reader, fields, "private");
    let target = target(reader, url?, private, vars)?;
    // Nothing is sent unsigned that was to be signed.
    if secret.is_some() && name.is_none() {
        return None;
    }
    Some(Webhook {
        target,
        secret: name,
        private,
    })
}

fn target(reader: &mut Reader<'_>, node: &Node<'_>, private: bool, vars: &Vars) -> Option<Target> {
    let text = reader.text(node)?;
    let text = vars.fill(reader, node, text)?;
    let class = |target: &Target| match target.host {
        Host::Address(address) => Some(address_class(address)),
        Host::Name(_) => None,
    };
    let (message, hint) = match Target::parse(&text) {
        Err(bad) => (
            // The text may hold what nobody else should read.
            format!("this is no URL of a server: {bad}"),
            "`https://hooks.example.com/path` is meant",
        ),
        Ok(target) if class(&target) == Some(AddressClass::Never) => (
            format!("`{}` is no address of a machine", target.host),
            "name another host",
        ),
        Ok(target)
            if target.scheme == Scheme::Http && class(&target) == Some(AddressClass::Public) =>
        {
            (
                format!(
                    "nothing is sent to `{}` without TLS: everybody on the way could read it",
                    target.host
                ),
                "write `https://`",
            )
        }
        Ok(target) if target.scheme == Scheme::Http && !private => (
            format!(
                "nothing is sent to `{}` without TLS: everybody on the way could read it",
                target.host
            ),
            "write `https://`; for a server in your own network, say `private = true` beside `webhook`",
        ),
        Ok(target) => return Some(target),
    };
    reader.spoil(node, message, Some(hint.into()));
    None
}
