//! What a station is granted, as facts: each grant, where it comes from, and what the ceiling leaves of it.

use crate::{
    assembly::Assembled,
    grant::{Access, HttpGrant, Lack, Left, Mount, Rights, SecretGrant, TcpGrant, within},
    limits::write_size,
    line::Station,
    manifest::{self, Requires},
    name::Name,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// One station's grants with all that decides on them.
pub(super) struct Grants<'a> {
    pub(super) assembled: &'a Assembled,
    pub(super) name: &'a Name,
    pub(super) station: &'a Station,
    pub(super) rights: Rights,
}

impl Grants<'_> {
    /// Everything that the guest sees of files.
    pub(super) fn mounts(&self) -> Vec<Value> {
        let own = json!({
            "guest": "/workspace", "access": "write", "host": "the item's own directory", "from": "always",
        });
        let assets = self.station.assets.iter().enumerate().map(|(n, asset)| {
            json!({
                "guest": asset.guest, "access": "read", "host": asset.host,
                "from": self.from(&format!("assets.{n}.guest")),
            })
        });
        let mounts = self.station.grants.fs.iter().enumerate().map(|(n, mount)| {
            let resolved = &self.rights.grants.fs[n];
            let entry = |entry: &Mount| format!("{} {}", word(entry.access), entry.host.display());
            json!({
                "guest": mount.guest, "access": mount.access, "host": mount.host,
                "quota": mount.quota.map(write_size), "max-files": mount.max_files,
                "from": self.from(&format!("grants.fs.{n}.guest")),
                "ceiling": self.left("fs", &self.rights.left_of_mount(resolved), |all| {
                    all.grants.fs.iter().map(entry).collect()
                }),
            })
        });
        std::iter::once(own).chain(assets).chain(mounts).collect()
    }

    pub(super) fn http(&self) -> Vec<Value> {
        let each = |(n, grant): (usize, &HttpGrant)| {
            json!({
                "rule": grant.rule, "private": grant.private, "idempotent": grant.idempotent,
                "resample": grant.resample, "max-response": write_size(grant.max_response),
                "timeout": humantime::format_duration(grant.timeout).to_string(),
                "from": self.from(&format!("grants.http.{n}")),
                "ceiling": self.left("http", &self.rights.left_of_http(grant), |all| {
                    all.grants.http.iter().map(|entry| entry.rule.to_string()).collect()
                }),
            })
        };
        let all = self.station.grants.http.iter().enumerate();
        all.map(each).collect()
    }

    pub(super) fn tcp(&self) -> Vec<Value> {
        let each = |(n, grant): (usize, &TcpGrant)| {
            json!({
                "to": grant.rule, "private": grant.private, "idempotent": grant.idempotent,
                "from": self.from(&format!("grants.tcp.{n}")),
                "ceiling": self.left("tcp", &self.rights.left_of_tcp(grant), |all| {
                    all.grants.tcp.iter().map(|entry| entry.rule.to_string()).collect()
                }),
            })
        };
        let all = self.station.grants.tcp.iter().enumerate();
        all.map(each).collect()
    }

    /// Names and destinations; the values are nowhere near.
    pub(super) fn secrets(&self) -> Vec<Value> {
        let each = |(n, grant): (usize, &SecretGrant)| {
            json!({
                "name": grant.name, "into": grant.place.to_string(), "for": grant.r#for,
                "from": self.from(&format!("grants.secrets.{n}")),
                "ceiling": self.left("secrets", &self.rights.left_of_secret(grant), |all| {
                    let entries = all.grants.secrets.iter();
                    entries.map(|entry| format!("{} for {}", entry.name, entry.r#for)).collect()
                }),
            })
        };
        let all = self.station.grants.secrets.iter().enumerate();
        all.map(each).collect()
    }

    /// What the manifest asks for and does not get, and who does not give it.
    pub(super) fn not_given(&self, requires: &Requires) -> Vec<Value> {
        let told = |lack: Lack, what: String, why: &str, optional: bool| {
            let by = match lack {
                Lack::Line => "line",
                Lack::Ceiling => "ceiling",
            };
            json!({ "what": what, "why": why, "optional": optional, "by": by })
        };
        let mut missing = Vec::new();
        for need in &requires.fs {
            let wanted = match need.access {
                manifest::Access::Read => Access::Read,
                manifest::Access::Write => Access::Write,
            };
            let given = self.station.access(&need.guest);
            let left = self
                .rights
                .mounts()
                .find(|(_, m)| within(&need.guest, &m.guest));
            let asset = self
                .station
                .assets
                .iter()
                .any(|a| within(&need.guest, &a.guest));
            let lack = if given < Some(wanted) {
                Lack::Line
            } else if !asset && left.map(|(_, mount)| mount.access) < Some(wanted) {
                Lack::Ceiling
            } else {
                continue;
            };
            let what = format!("{} {}", word(wanted), need.guest);
            missing.push(told(lack, what, &need.why, need.optional));
        }
        for need in &requires.http {
            let lack = need.rule.parse().ok();
            if let Some(lack) = lack.and_then(|rule| self.rights.lacks_http(&rule)) {
                missing.push(told(lack, need.rule.clone(), &need.why, need.optional));
            }
        }
        for need in &requires.tcp {
            let lack = need.to.parse().ok();
            if let Some(lack) = lack.and_then(|rule| self.rights.lacks_tcp(&rule)) {
                let what = format!("connect {}", need.to);
                missing.push(told(lack, what, &need.why, need.optional));
            }
        }
        for need in &requires.secrets {
            if let Some(lack) = self.rights.lacks_secret(&need.name) {
                let what = format!("secret {}", need.name);
                missing.push(told(lack, what, &need.why, need.optional));
            }
        }
        missing
    }

    /// Those of a component's imports that nothing granted opens.
    pub(super) fn closed<'i>(&self, imports: &'i BTreeSet<String>) -> Vec<&'i str> {
        let http = self.station.grants.http.iter();
        let http = http.map(|grant| self.rights.left_of_http(grant));
        let tcp = self.station.grants.tcp.iter();
        let tcp = tcp.map(|grant| self.rights.left_of_tcp(grant));
        let (http, tcp) = (open(http), open(tcp));
        let closed = |import: &&str| {
            if import.starts_with("wasi:sockets") {
                !tcp || import.starts_with("wasi:sockets/udp")
            } else {
                !http
                    && (import.starts_with("wasi:http/outgoing")
                        || import.starts_with("wasi:http/client"))
            }
        };
        imports.iter().map(String::as_str).filter(closed).collect()
    }

    fn from(&self, key: &str) -> String {
        let draft = &self.assembled.draft;
        let place = draft.place(&format!("stations.{}.{key}", self.name));
        format!("{}:{}", draft.file, place.line)
    }

    /// What the ceiling leaves, and its entries that say so; nothing where there is no ceiling.
    fn left(
        &self,
        key: &str,
        left: &Left,
        entries: impl Fn(&crate::grant::Ceiling) -> Vec<String>,
    ) -> Value {
        let Some(ceiling) = &self.rights.ceiling else {
            return Value::Null;
        };
        let (word, numbers) = match left {
            Left::Whole(n) => ("whole", n.iter().copied().collect()),
            Left::Part(numbers) => ("part", numbers.clone()),
            Left::Nothing => ("nothing", Vec::new()),
        };
        let entries = entries(ceiling);
        let by: Vec<Value> = numbers
            .into_iter()
            .map(|n| {
                let place = format!("ceiling.grants.{key}.{n}");
                let from = self.assembled.factory.place(&place);
                let from = from.map(|(file, place)| format!("{file}:{}", place.line));
                json!({ "rule": entries[n], "from": from })
            })
            .collect();
        json!({ "left": word, "by": by })
    }
}

fn open(mut left: impl Iterator<Item = Left>) -> bool {
    left.any(|left| left != Left::Nothing)
}

fn word(access: Access) -> &'static str {
    match access {
        Access::Read => "read",
        Access::Write => "write",
    }
}
