//! What another ceiling leaves of grants that a line has as before. Pure.

use super::plan::{Difference, GrantPlan};
use crate::{
    assembly::Revision,
    grant::{Ceiling, Grants, Left, Rights, SecretGrant, TcpGrant},
    limits::write_size,
    lock::Granted,
};
use std::time::Duration;

/// Below which ceilings two revisions run: the old one as it was made ready, the new one by what is so now.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lowered<'c> {
    pub(super) from: Option<&'c Ceiling>,
    pub(super) to: Option<&'c Ceiling>,
}

impl Lowered<'_> {
    /// By what name a plan has what is another about the ceiling.
    pub(super) const WHAT: &'static str = "ceiling";

    /// What is another about the ceiling.
    pub(super) fn difference(self) -> Option<Difference> {
        let (old, new) = (allowed(self.from), allowed(self.to));
        (old != new).then(|| Difference {
            what: Self::WHAT.into(),
            old: Some(old),
            new: Some(new),
        })
    }

    /// The grants that the new revision has as the old one did, and of which its ceiling leaves less;
    /// folders aside, of which a revision has what is left. Where it leaves more nobody is asked: the
    /// ceiling is the operator's, and the grant was accepted whole.
    pub(super) fn narrowed(self, old: &Revision, new: &Revision) -> Vec<GrantPlan> {
        let mut all = Vec::new();
        for (name, station) in &new.line.stations {
            let Some(was) = old.line.stations.get(name) else {
                continue;
            };
            let known = Granted::all(&was.grants);
            let below = |ceiling: Option<&Ceiling>| Rights {
                grants: station.grants.clone(),
                ceiling: ceiling.cloned(),
            };
            let (before, now) = (below(self.from), below(self.to));
            for grant in Granted::all(&station.grants) {
                let Some(entries) = within(&now, grant) else {
                    continue;
                };
                let stays = within(&before, grant)
                    .is_some_and(|before| before.iter().all(|entry| entries.contains(entry)));
                if !stays && known.contains(&grant) {
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
fn allowed(ceiling: Option<&Ceiling>) -> String {
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
