//! How a lock is written: TOML, sorted, one line a grant, so that a difference is easy to read. Grants
//! stay in their order, since the first that is for a call decides.

use super::{Lock, Need, Pin};
use crate::{
    digest::Digest,
    grant::{Access, Grants, HttpGrant, HttpRule, Mount, SecretGrant, SecretPlace, TcpGrant},
    limits::{parse_size, write_size},
    name::Name,
    problem::Problem,
};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use std::{collections::BTreeMap, fmt::Write as _, path::PathBuf, time::Duration};

/// What stands at the top of each lock.
const HEAD: &str = "\
# Written by `andon lock`; keep it with the line. It says what was accepted: as long as it is here, the
# line runs only with these components and assets, and with no wider grants.
";
/// The version of the format.
const VERSION: i64 = 1;
/// What can be done about a lock that is none.
const RESTORE: &str = "restore it, or remove it and accept the line as it is now with `andon lock`";

/// Why a text is no lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLock {
    /// Where, in bytes.
    pub offset: usize,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: &'static str,
}

impl BadLock {
    /// The same as a problem of the file `file` with the text `text`.
    pub fn problem(&self, file: &str, text: &str) -> Problem {
        Problem::at(file, text, self.offset, &self.message).hint(self.hint)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "version")]
    _version: i64,
    #[serde(default)]
    vars: BTreeMap<String, String>,
    #[serde(default)]
    outside: BTreeMap<String, String>,
    stations: BTreeMap<Name, Station>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Station {
    r#use: String,
    component: Digest,
    #[serde(default)]
    assets: Vec<Asset>,
    #[serde(default)]
    requires: Vec<Asked>,
    #[serde(default)]
    grants: Given,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asset {
    guest: String,
    digest: Digest,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    what: String,
    why: String,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Given {
    fs: Vec<Folder>,
    http: Vec<Http>,
    tcp: Vec<Tcp>,
    secrets: Vec<Secret>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Folder {
    host: PathBuf,
    guest: String,
    access: Access,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quota: Option<Size>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_files: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Http {
    rule: HttpRule,
    #[serde(default, skip_serializing_if = "is_false")]
    private: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    idempotent: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    resample: bool,
    max_response: Size,
    timeout: Time,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tcp {
    to: crate::grant::TcpRule,
    #[serde(default, skip_serializing_if = "is_false")]
    private: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    idempotent: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Secret {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    header: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prefix: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    query: Option<String>,
    r#for: HttpRule,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// A number of bytes, written as in a line.
struct Size(u64);

impl Serialize for Size {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&write_size(self.0))
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_size(&text).map(Self).map_err(D::Error::custom)
    }
}

/// A time, written as in a line.
struct Time(Duration);

impl Serialize for Time {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_duration(self.0))
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_duration(&text)
            .map(Self)
            .map_err(D::Error::custom)
    }
}

impl Lock {
    /// Reads what [`Self::to_text`] wrote.
    ///
    /// # Errors
    /// When it is no lock, one of another version, or cut short in the middle of something.
    pub fn from_text(text: &str) -> Result<Self, BadLock> {
        let bad = |error: toml::de::Error| BadLock {
            offset: error.span().map_or(0, |span| span.start),
            message: format!("no lock of a line: {}", error.message()),
            hint: RESTORE,
        };
        // Before the keys are judged: those of another version are others.
        let table: toml::Table = toml::from_str(text).map_err(bad)?;
        match table.get("version") {
            Some(toml::Value::Integer(VERSION)) => {}
            Some(other) => {
                return Err(BadLock {
                    offset: text.find("version").unwrap_or(0),
                    message: format!(
                        "the lock's version is {other}, and this andon knows {VERSION}"
                    ),
                    hint: "use the andon that wrote it, or a newer one",
                });
            }
            None => {
                return Err(BadLock {
                    offset: 0,
                    message: "no lock of a line: it has no `version`".into(),
                    hint: RESTORE,
                });
            }
        }
        let file: File = toml::from_str(text).map_err(bad)?;
        let mut stations = BTreeMap::new();
        for (name, station) in file.stations {
            let pin = station.pin().map_err(|message| BadLock {
                offset: text.find(&format!("[stations.{name}]")).unwrap_or(0),
                message: format!("no lock of a line: station `{name}`: {message}"),
                hint: RESTORE,
            })?;
            stations.insert(name, pin);
        }
        Ok(Self {
            vars: file.vars,
            outside: file.outside,
            stations,
        })
    }

    /// The lock as a file: the same for the same lock.
    pub fn to_text(&self) -> String {
        let mut text = format!("{HEAD}version = {VERSION}\n");
        if !self.vars.is_empty() {
            text.push_str("\n[vars]\n");
            for (name, value) in &self.vars {
                let _ = writeln!(text, "{name} = {}", inline(value));
            }
        }
        if !self.outside.is_empty() {
            text.push_str("\n[outside]\n");
            for (place, what) in &self.outside {
                let _ = writeln!(text, "{} = {}", inline(place), inline(what));
            }
        }
        if self.stations.is_empty() {
            text.push_str("\n[stations]\n");
        }
        for (name, pin) in &self.stations {
            let _ = writeln!(text, "\n[stations.{name}]");
            let _ = writeln!(text, "use = {}", inline(&pin.r#use));
            let _ = writeln!(text, "component = \"{}\"", pin.component);
            let assets = pin.assets.iter().map(|(guest, digest)| Asset {
                guest: guest.clone(),
                digest: *digest,
            });
            list(&mut text, "assets", assets);
            let requires = pin.requires.iter().map(|need| Asked {
                what: need.what.clone(),
                why: need.why.clone(),
            });
            list(&mut text, "requires", requires);
            let Given {
                fs,
                http,
                tcp,
                secrets,
            } = Given::of(&pin.grants);
            list(&mut text, "grants.fs", fs);
            list(&mut text, "grants.http", http);
            list(&mut text, "grants.tcp", tcp);
            list(&mut text, "grants.secrets", secrets);
        }
        text
    }
}

/// A value as TOML on one line.
fn inline(value: impl Serialize) -> String {
    // Texts, numbers and tables of them, with text keys: TOML has all of it.
    toml::Value::try_from(value).map_or_else(|_| "\"\"".into(), |value| value.to_string())
}

/// A list, one value a line; nothing where it is empty.
fn list(text: &mut String, key: &str, values: impl IntoIterator<Item = impl Serialize>) {
    let values: Vec<String> = values.into_iter().map(inline).collect();
    if values.is_empty() {
        return;
    }
    let _ = writeln!(text, "{key} = [");
    for value in values {
        let _ = writeln!(text, "  {value},");
    }
    text.push_str("]\n");
}

impl Given {
    fn of(grants: &Grants) -> Self {
        let fs = grants.fs.iter().map(|mount| Folder {
            host: mount.host.clone(),
            guest: mount.guest.clone(),
            access: mount.access,
            quota: mount.quota.map(Size),
            max_files: mount.max_files,
        });
        let http = grants.http.iter().map(|grant| Http {
            rule: grant.rule.clone(),
            private: grant.private,
            idempotent: grant.idempotent,
            resample: grant.resample,
            max_response: Size(grant.max_response),
            timeout: Time(grant.timeout),
        });
        let tcp = grants.tcp.iter().map(|grant| Tcp {
            to: grant.rule.clone(),
            private: grant.private,
            idempotent: grant.idempotent,
        });
        let secrets = grants.secrets.iter().map(|grant| {
            let (header, prefix, query) = match &grant.place {
                SecretPlace::Header { name, prefix } => {
                    let prefix = Some(prefix.clone()).filter(|prefix| !prefix.is_empty());
                    (Some(name.clone()), prefix, None)
                }
                SecretPlace::Query { name } => (None, None, Some(name.clone())),
            };
            Secret {
                name: grant.name.clone(),
                header,
                prefix,
                query,
                r#for: grant.r#for.clone(),
            }
        });
        Self {
            fs: fs.collect(),
            http: http.collect(),
            tcp: tcp.collect(),
            secrets: secrets.collect(),
        }
    }
}

impl Station {
    fn pin(self) -> Result<Pin, &'static str> {
        let mut secrets = Vec::new();
        for secret in self.grants.secrets {
            let place = match (secret.header, secret.prefix, secret.query) {
                (Some(name), prefix, None) => SecretPlace::Header {
                    name,
                    prefix: prefix.unwrap_or_default(),
                },
                (None, None, Some(name)) => SecretPlace::Query { name },
                _ => return Err("a secret goes into a `header` or into a `query`"),
            };
            secrets.push(SecretGrant {
                name: secret.name,
                place,
                r#for: secret.r#for,
            });
        }
        let fs = self.grants.fs.into_iter().map(|folder| Mount {
            host: folder.host,
            guest: folder.guest,
            access: folder.access,
            quota: folder.quota.map(|Size(bytes)| bytes),
            max_files: folder.max_files,
        });
        let http = self.grants.http.into_iter().map(|http| HttpGrant {
            rule: http.rule,
            private: http.private,
            idempotent: http.idempotent,
            resample: http.resample,
            max_response: http.max_response.0,
            timeout: http.timeout.0,
        });
        let tcp = self.grants.tcp.into_iter().map(|tcp| TcpGrant {
            rule: tcp.to,
            private: tcp.private,
            idempotent: tcp.idempotent,
        });
        let requires = self.requires.into_iter().map(|asked| Need {
            what: asked.what,
            why: asked.why,
        });
        let assets = self.assets.into_iter();
        Ok(Pin {
            r#use: self.r#use,
            component: self.component,
            requires: requires.collect(),
            assets: assets.map(|asset| (asset.guest, asset.digest)).collect(),
            grants: Grants {
                fs: fs.collect(),
                http: http.collect(),
                tcp: tcp.collect(),
                secrets,
            },
        })
    }
}
