//! What another ceiling leaves of grants that the line has as before. Pure.

use super::plan::GrantPlan;
use crate::{
    assembly::Revision,
    grant::{Ceiling, Grants, Left, Rights, SecretGrant, TcpGrant},
    limits::write_size,
    lock::Granted,
};
use std::time::Duration;

/// The grants that the new revision has as the old one did, and of which its ceiling leaves less or
/// something else; folders aside, of which a revision has what is left. Where it leaves more nobody is
/// asked: the ceiling is the operator's, and the grant was accepted whole.
pub(super) fn lowered(old: &Revision, new: &Revision) -> Vec<GrantPlan> {
    let mut all = Vec::new();
    for (name, station) in &new.line.stations {
        let Some(was) = old.line.stations.get(name) else {
            continue;
        };
        let known = Granted::all(&was.grants);
        let below = |revision: &Revision| Rights {
            grants: station.grants.clone(),
            ceiling: revision.ceiling.clone(),
        };
        let (before, now) = (below(old), below(new));
        for grant in Granted::all(&station.grants) {
            let (before, now) = (within(&before, grant), within(&now, grant));
            let Some(entries) = now.filter(|now| before.as_ref() != Some(now)) else {
                continue;
            };
            if known.contains(&grant) {
                all.push(GrantPlan {
                    station: Some(name.clone()),
                    old: Some(grant.to_string()),
                    new: (!entries.is_empty()).then(|| format!("only {}", entries.join(", "))),
                    accept: None,
                });
            }
        }
    }
    all
}

/// What of the ceiling a grant is only open within; none where it is open as a whole.
fn within(rights: &Rights, grant: Granted<'_>) -> Option<Vec<String>> {
    let ceiling = &rights.ceiling.as_ref()?.grants;
    let (left, all) = match grant {
        Granted::Fs(_) => return None,
        Granted::Http(grant) => (rights.left_of_http(grant), Vec::from_iter(http(ceiling))),
        Granted::Tcp(grant) => (rights.left_of_tcp(grant), Vec::from_iter(tcp(ceiling))),
        Granted::Secret(grant) => (
            rights.left_of_secret(grant),
            Vec::from_iter(secrets(ceiling)),
        ),
    };
    match left {
        Left::Whole(_) => None,
        Left::Part(entries) => Some(entries.iter().map(|n| all[*n].clone()).collect()),
        Left::Nothing => Some(Vec::new()),
    }
}

/// What a ceiling admits, in words; folders are told with the grants.
pub(super) fn allowed(ceiling: Option<&Ceiling>) -> String {
    let Some(Ceiling { grants, commands }) = ceiling else {
        return "anything".into();
    };
    let mut words = Vec::from_iter(http(grants).chain(tcp(grants)).chain(secrets(grants)));
    words.extend(commands.then(|| "commands of `notify`".into()));
    match words.is_empty() {
        true => "nothing".into(),
        false => words.join(", "),
    }
}

/// A ceiling's entries, each with what it bounds.
fn http(ceiling: &Grants) -> impl Iterator<Item = String> {
    ceiling.http.iter().map(|entry| {
        let mut text = format!("http {}{}", entry.rule, private(entry.private));
        if entry.max_response < u64::MAX {
            text += &format!(" max-response={}", write_size(entry.max_response));
        }
        if entry.timeout < Duration::MAX {
            text += &format!(" timeout={}", humantime::format_duration(entry.timeout));
        }
        text
    })
}

fn tcp(ceiling: &Grants) -> impl Iterator<Item = String> {
    let words = |entry: &TcpGrant| format!("tcp {}{}", entry.rule, private(entry.private));
    ceiling.tcp.iter().map(words)
}

fn secrets(ceiling: &Grants) -> impl Iterator<Item = String> {
    let words = |entry: &SecretGrant| format!("secret {} for {}", entry.name, entry.r#for);
    ceiling.secrets.iter().map(words)
}

fn private(private: bool) -> &'static str {
    if private { " private" } else { "" }
}
