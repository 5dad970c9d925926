//! What the audit hears of a line that is accepted: each right that it gives a station.

use super::Revision;
use crate::{
    audit::{Deed, Entry},
    grant::{Access, Grants},
    journal::{Journal, JournalError, audit::AuditFilter},
    line::Line,
    visit::Millis,
};
use futures::executor::block_on;

/// Notes the grants of a revision that were not noted yet, and waits until they are durable: before the
/// first visit under them. `line` is the line as it runs, every path absolute.
///
/// # Errors
/// When the journal fails.
pub fn note_grants(
    journal: &dyn Journal,
    line: &Line,
    revision: (u64, &Revision),
    at: Millis,
) -> Result<(), JournalError> {
    let (number, revision) = revision;
    // Those of one revision are kept together, so one of them shows that all are there.
    let newest = journal.audited(&AuditFilter {
        line: Some(line.name.clone()),
        deed: Some(Deed::Grant),
        most: Some(1),
        newest: true,
        ..AuditFilter::default()
    })?;
    if newest.iter().any(|kept| kept.heading.revision >= number) {
        return Ok(());
    }
    let mut entries = Vec::new();
    for (name, station) in &line.stations {
        entries.extend(granted(&station.grants).map(|(what, rule)| Entry {
            at,
            deed: Deed::Grant,
            allowed: true,
            line: line.name.clone(),
            revision: number,
            station: name.clone(),
            component: revision.components.get(name).copied(),
            item: None,
            what,
            rule: Some(rule),
            why: None,
        }));
    }
    if entries.is_empty() {
        return Ok(());
    }
    block_on(journal.audit(entries))
}

/// Each grant: its kind with what widens it, and its rule.
fn granted(grants: &Grants) -> impl Iterator<Item = (String, String)> {
    let widened = |kind: &str, flags: &[(bool, &str)]| {
        let flags = flags.iter().filter(|(on, _)| *on).map(|(_, flag)| *flag);
        std::iter::once(kind)
            .chain(flags)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let fs = grants.fs.iter().map(|mount| {
        let access = match mount.access {
            Access::Read => "read",
            Access::Write => "write",
        };
        let what = format!("fs {access} {}", mount.guest);
        (what, mount.host.display().to_string())
    });
    let http = grants.http.iter().map(move |grant| {
        let flags = [
            (grant.private, "private"),
            (grant.idempotent, "idempotent"),
            (grant.resample, "resample"),
        ];
        (widened("http", &flags), grant.rule.to_string())
    });
    let tcp = grants.tcp.iter().map(move |grant| {
        let what = widened(
            "tcp",
            &[(grant.private, "private"), (grant.idempotent, "idempotent")],
        );
        (what, grant.rule.to_string())
    });
    let secrets = grants
        .secrets
        .iter()
        .map(|grant| (format!("secret {}", grant.name), grant.r#for.to_string()));
    fs.chain(http).chain(tcp).chain(secrets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        digest::Digest,
        journal::Memory,
        line::{Vars, parse},
    };
    use std::collections::BTreeMap;

    #[test]
    fn each_grant_of_a_new_revision_is_noted_once() {
        let text = r#"
line = "l"
entry = "a"
[stations.a]
use = "x"
next = "b"
grants.fs = [{ host = "data", guest = "/data", access = "read" }]
grants.http = ["GET,HEAD https://api.example.com/v1/**"]
grants.tcp = ["db.internal:5432"]
[stations.b]
use = "x"
next = "done"
"#;
        let line = parse("line.toml", text, &Vars::default())
            .expect("a line")
            .line;
        let journal = Memory::new();
        let components = line.stations.keys().cloned();
        let kept = Revision {
            line: line.clone(),
            folder: "..".into(),
            file: None,
            components: components.map(|name| (name, Digest::of("x"))).collect(),
        };
        let noted = || -> Vec<Entry> {
            let all = journal.audited(&AuditFilter::default()).expect("it reads");
            all.into_iter().filter_map(|kept| kept.entry).collect()
        };
        for (revision, times) in [(1, 1), (1, 1), (2, 2), (1, 2), (2, 2)] {
            note_grants(&journal, &line, (revision, &kept), 7).expect("it notes");
            assert_eq!(noted().len(), 3 * times);
        }
        let told: Vec<_> = noted()[..3]
            .iter()
            .map(|entry| (entry.what.clone(), entry.rule.clone().unwrap_or_default()))
            .collect();
        let expected = [
            ("fs read /data", "data"),
            ("http", "GET,HEAD https://api.example.com/v1/**"),
            ("tcp", "db.internal:5432"),
        ];
        assert_eq!(told, expected.map(|(a, b)| (a.into(), b.into())));
        for entry in noted() {
            assert_eq!((entry.deed, entry.allowed), (Deed::Grant, true));
            assert_eq!(entry.component, Some(Digest::of("x")));
            assert!(entry.item.is_none() && entry.station == *"a");
        }
        let none = Line {
            stations: BTreeMap::new(),
            ..line
        };
        note_grants(&journal, &none, (3, &kept), 7).expect("it notes");
        assert_eq!(noted().len(), 6);
    }
}
