//! What a line calls by itself, its sinks and whom it notifies, against what the ceiling admits.

use crate::{
    factory::Factory,
    grant::Scheme,
    line::{
        Draft,
        sink::{To, Told, Webhook},
    },
    problem::{Problem, shown},
};

pub(super) fn fit(draft: &Draft, factory: &Factory, problems: &mut Vec<Problem>) {
    let Some(ceiling) = &factory.ceiling else {
        return;
    };
    let line = &draft.line;
    for (name, sink) in &line.sinks {
        if let To::Webhook(webhook) = &sink.to {
            admitted(
                draft,
                factory,
                &format!("sinks.{name}.webhook"),
                webhook,
                problems,
            );
        }
    }
    for (kind, told) in line.notify.all() {
        let at = format!("notify.{kind}");
        match told {
            Told::Webhook(webhook) => admitted(draft, factory, &at, webhook, problems),
            Told::Command(_) if ceiling.commands => {}
            Told::Command(words) => {
                let program = shown(words.first().map_or("", String::as_str));
                let message = format!("the ceiling does not admit that `{program}` is run");
                problems.push(draft.problem(&at, message).hint(format!(
                    "`notify.commands = true` in `[ceiling]` of `{}` admits programs",
                    file(factory)
                )));
            }
        }
    }
}

fn admitted(
    draft: &Draft,
    factory: &Factory,
    at: &str,
    webhook: &Webhook,
    problems: &mut Vec<Problem>,
) {
    let rights = webhook.rights(factory.ceiling.as_ref());
    let target = &webhook.target;
    let call = rights
        .grants
        .http
        .first()
        .map(|grant| grant.rule.to_string());
    let call = shown(&call.unwrap_or_default());
    let (message, entry) = match rights.http("POST", target) {
        Err(_) => (
            format!("the ceiling does not admit `{call}`"),
            format!("`http = [\"{call}\"]`"),
        ),
        Ok(given)
            if target.scheme == Scheme::Http
                && given.ceiling().is_some_and(|entry| !entry.private) =>
        {
            (
                format!("the ceiling does not admit `{call}` in a private network"),
                format!("`http = [{{ rule = \"{call}\", private = true }}]`"),
            )
        }
        Ok(_) => match &webhook.secret {
            Some(name) if rights.secrets("POST", target).next().is_none() => (
                format!("the ceiling does not admit that `{call}` is signed with `{name}`"),
                format!("`secrets = [{{ name = \"{name}\", for = \"{call}\" }}]`"),
            ),
            _ => return,
        },
    };
    problems.push(draft.problem(at, message).hint(format!(
        "{entry} in `[ceiling.grants]` of `{}` admits it",
        file(factory)
    )));
}

fn file(factory: &Factory) -> String {
    shown(factory.file.as_deref().unwrap_or("andon.toml"))
}
