//! Whether a station could make a call, and who decides that: the same decisions that are taken when it
//! is made, asked beforehand.

use super::{Asset, Draft};
use crate::{
    escape::line as escaped,
    factory::Factory,
    grant::{
        Access, BadAddress, BadTarget, Denied, Host, HttpRule, Rights, Target, TcpRule, within,
    },
    name::Name,
    problem::shown,
};
use serde::Serialize;
use std::{fmt, ptr, str::FromStr};

/// A call that is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// `POST https://api.example.com/v1/x`.
    Http {
        /// The method.
        method: String,
        /// Where to.
        target: Target,
    },
    /// `connect db:5432`.
    Connect {
        /// The host.
        host: Host,
        /// The port.
        port: u16,
    },
    /// `read /data/x`, `write /data/x`.
    Open {
        /// The path in the guest.
        path: String,
        /// How far.
        access: Access,
    },
}

/// Why a text is no call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadCall {
    /// Its first word says nothing.
    #[error(
        "`{0}` is no call\n  hint: `GET https://api.example.com/`, `connect db.internal:5432`, `read /data/x` or `write /data/x` is meant"
    )]
    Kind(String),
    /// Its URL is none.
    #[error("`{0}` is no URL that a call goes to: {1}")]
    Url(String, BadTarget),
    /// It is nothing to connect to.
    #[error("`{0}` is nothing to connect to\n  hint: `host:port` is meant")]
    To(String),
    /// It is no path in a guest.
    #[error("`{0}` is no path in a guest\n  hint: an absolute path without `.` and `..` is meant")]
    Path(String),
}

impl FromStr for Call {
    type Err = BadCall;

    fn from_str(text: &str) -> Result<Self, BadCall> {
        let kind = || BadCall::Kind(shown(text));
        let (word, rest) = text.trim().split_once(' ').ok_or_else(kind)?;
        let rest = rest.trim();
        let access = match word {
            "connect" => {
                let rule: TcpRule = rest.parse().map_err(|_| BadCall::To(shown(rest)))?;
                let host = Host::parse(&rule.host.to_string());
                return Ok(Self::Connect {
                    host: host.map_err(|_| BadCall::To(shown(rest)))?,
                    port: rule.port,
                });
            }
            "read" => Access::Read,
            "write" => Access::Write,
            method if method.bytes().all(|b| b.is_ascii_uppercase() || b == b'-') => {
                return Ok(Self::Http {
                    method: method.into(),
                    target: Target::parse(rest).map_err(|bad| BadCall::Url(shown(rest), bad))?,
                });
            }
            _ => return Err(kind()),
        };
        let clean = rest.strip_prefix('/').is_some_and(|rest| {
            rest.is_empty() || rest.split('/').all(|part| !matches!(part, "" | "." | ".."))
        });
        if !clean {
            return Err(BadCall::Path(shown(rest)));
        }
        Ok(Self::Open {
            path: rest.into(),
            access,
        })
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http { method, target } => write!(f, "{method} {target}"),
            Self::Connect { host, port } => write!(f, "connect {host}:{port}"),
            Self::Open { path, access } => write!(f, "{} {path}", word(*access)),
        }
    }
}

/// What decides, and where it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Decides {
    /// The grant or the entry of the ceiling, as it is written there.
    pub rule: String,
    /// File and line.
    pub from: String,
}

/// Whether a call would pass.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// Whether it would.
    pub passes: bool,
    /// The line's grant that is for it.
    pub grant: Option<Decides>,
    /// The entry of the ceiling that is for it.
    pub ceiling: Option<Decides>,
    /// The secrets that would be put in, by name and place.
    pub secrets: Vec<Decides>,
    /// Why it would not.
    pub why: Option<String>,
    /// What to add where for it to pass.
    pub hint: Option<String>,
    /// What is only known when it is made.
    pub note: Option<String>,
}

/// All that decides on the calls of one station.
#[derive(Debug, Clone, Copy)]
pub struct Would<'a> {
    /// The line.
    pub draft: &'a Draft,
    /// The factory.
    pub factory: &'a Factory,
    /// The station.
    pub station: &'a Name,
    /// Its rights, folders resolved.
    pub rights: &'a Rights,
}

impl Would<'_> {
    /// Whether the station could make this call.
    pub fn pass(&self, call: &Call) -> Answer {
        match call {
            Call::Http { method, target } => self.http(method, target),
            Call::Connect { host, port } => self.connect(host, *port),
            Call::Open { path, access } => self.open(path, *access),
        }
    }

    fn http(&self, method: &str, target: &Target) -> Answer {
        let rule = HttpRule::just(method, target).to_string();
        let given = match self.rights.http(method, target) {
            Ok(given) => given,
            Err(denied) => return self.denied("http", &rule, &denied),
        };
        let number = position(&self.rights.grants.http, given.grant);
        let grant = self.granted("http", number, &given.grant.rule);
        let ceiling = given.ceiling().zip(self.rights.ceiling.as_ref());
        let ceiling = ceiling.map(|(entry, all)| {
            let number = position(&all.grants.http, entry);
            self.admitted("http", number, &entry.rule)
        });
        let secrets = self.rights.secrets(method, target).map(|secret| {
            let number = position(&self.rights.grants.secrets, secret);
            let rule = format!("{} into {}", secret.name, secret.place);
            self.granted("secrets", number, &rule)
        });
        let answer = Answer {
            passes: true,
            grant: Some(grant),
            ceiling,
            secrets: secrets.collect(),
            ..Answer::default()
        };
        match &target.host {
            Host::Name(name) => noted(answer, name),
            Host::Address(address) => self.addressed(answer, given.admit(*address)),
        }
    }

    fn connect(&self, host: &Host, port: u16) -> Answer {
        let given = match self.rights.tcp(host, port) {
            Ok(given) => given,
            Err(denied) => return self.denied("tcp", &format!("{host}:{port}"), &denied),
        };
        let number = position(&self.rights.grants.tcp, given.grant);
        let grant = self.granted("tcp", number, &given.grant.rule);
        let ceiling = given.ceiling().zip(self.rights.ceiling.as_ref());
        let answer = Answer {
            passes: true,
            grant: Some(grant),
            ceiling: ceiling.map(|(entry, all)| {
                let number = position(&all.grants.tcp, entry);
                self.admitted("tcp", number, &entry.rule)
            }),
            ..Answer::default()
        };
        match host {
            Host::Name(name) => noted(answer, name),
            Host::Address(address) => self.addressed(answer, given.admit(*address)),
        }
    }

    fn open(&self, path: &str, access: Access) -> Answer {
        let always = |rule: &str| Answer {
            passes: true,
            grant: Some(Decides {
                rule: rule.into(),
                from: "always".into(),
            }),
            ..Answer::default()
        };
        if within(path, "/workspace") {
            return always("the item's own directory");
        }
        let station = &self.draft.line.stations[self.station];
        let asset = |asset: &Asset| within(path, &asset.guest);
        if let Some(n) = station.assets.iter().position(asset) {
            let place = format!("stations.{}.assets.{n}", self.station);
            let guest = &station.assets[n].guest;
            let answer = Answer {
                passes: access == Access::Read,
                grant: Some(self.decides(&place, &format!("asset {}", shown(guest)))),
                ..Answer::default()
            };
            return match access {
                Access::Read => answer,
                Access::Write => Answer {
                    why: Some("assets are for reading only".into()),
                    hint: Some(format!(
                        "grant a folder at `{}` with `grants.fs` and `access = \"write\"` instead",
                        shown(guest)
                    )),
                    ..answer
                },
            };
        }
        let mounts = &self.rights.grants.fs;
        let Some(n) = mounts.iter().position(|mount| within(path, &mount.guest)) else {
            let text = format!(
                "{{ host = \"…\", guest = \"{}\", access = \"{}\" }}",
                escaped(folder_of(path)),
                word(access)
            );
            return self.denied_text("fs", &text, "nothing is mounted there".into());
        };
        let mount = &mounts[n];
        let describe = |access: Access, host: &std::path::Path| {
            format!("{} {}", word(access), shown(&host.display().to_string()))
        };
        let place = format!("stations.{}.grants.fs.{n}", self.station);
        let mut answer = Answer {
            grant: Some(self.decides(&place, &describe(mount.access, &mount.host))),
            ..Answer::default()
        };
        if access > mount.access {
            answer.why = Some("the line grants the folder for reading".into());
            answer.hint = Some(format!(
                "`access = \"write\"` at {} grants it",
                self.from(&format!("{place}.access"))
            ));
            return answer;
        }
        let Some(ceiling) = &self.rights.ceiling else {
            answer.passes = true;
            return answer;
        };
        let left = ceiling.mount(mount);
        if let Some((n, _)) = left {
            let entry = &ceiling.grants.fs[n];
            answer.ceiling =
                Some(self.above(&format!("fs.{n}"), &describe(entry.access, &entry.host)));
        }
        answer.passes = left.is_some_and(|(_, left)| left >= access);
        if !answer.passes {
            let host = escaped(&mount.host.display().to_string());
            answer.why = Some("the line grants it, and the ceiling does not admit it".into());
            answer.hint = Some(self.would_admit(
                "fs",
                &format!("{{ host = \"{host}\", access = \"{}\" }}", word(access)),
            ));
        }
        answer
    }

    /// What a literal address makes of an answer.
    fn addressed(&self, answer: Answer, admitted: Result<(), BadAddress>) -> Answer {
        match admitted {
            Ok(()) => answer,
            Err(bad) => Answer {
                passes: false,
                secrets: Vec::new(),
                why: Some(bad.to_string()),
                ..answer
            },
        }
    }

    fn denied(&self, key: &str, rule: &str, denied: &Denied) -> Answer {
        let text = format!("\"{}\"", escaped(rule));
        match denied {
            Denied::Ceiling(_) => Answer {
                why: Some(denied.to_string()),
                hint: Some(self.would_admit(key, &text)),
                ..Answer::default()
            },
            _ => self.denied_text(key, &text, denied.to_string()),
        }
    }

    fn denied_text(&self, key: &str, text: &str, why: String) -> Answer {
        let at = self.from(&format!("stations.{}.grants.{key}", self.station));
        Answer {
            why: Some(why),
            hint: Some(format!(
                "`grants.{key} = [{text}]` of station `{}` grants it, at {at}",
                self.station
            )),
            ..Answer::default()
        }
    }

    fn would_admit(&self, key: &str, text: &str) -> String {
        let at = match self.factory.place(&format!("ceiling.grants.{key}")) {
            Some((file, place)) => format!("{}:{}", shown(file), place.line),
            None => "andon.toml".into(),
        };
        format!("`{key} = [{text}]` in `[ceiling.grants]` admits it, at {at}")
    }

    fn granted(&self, key: &str, number: usize, rule: &dyn fmt::Display) -> Decides {
        let place = format!("stations.{}.grants.{key}.{number}", self.station);
        self.decides(&place, &rule.to_string())
    }

    fn admitted(&self, key: &str, number: usize, rule: &dyn fmt::Display) -> Decides {
        self.above(&format!("{key}.{number}"), &rule.to_string())
    }

    fn decides(&self, place: &str, rule: &str) -> Decides {
        Decides {
            rule: rule.into(),
            from: self.from(place),
        }
    }

    fn above(&self, place: &str, rule: &str) -> Decides {
        let place = self.factory.place(&format!("ceiling.grants.{place}"));
        Decides {
            rule: rule.into(),
            from: place.map_or_else(String::new, |(file, place)| {
                format!("{file}:{}", place.line)
            }),
        }
    }

    fn from(&self, place: &str) -> String {
        format!("{}:{}", self.draft.file, self.draft.place(place).line)
    }
}

fn noted(answer: Answer, name: &str) -> Answer {
    Answer {
        note: Some(format!(
            "the address that `{}` leads to is checked when it is dialled",
            shown(name)
        )),
        ..answer
    }
}

fn position<T>(all: &[T], one: &T) -> usize {
    all.iter()
        .position(|other| ptr::eq(other, one))
        .unwrap_or_default()
}

/// The folder that a file would be granted with.
fn folder_of(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) | None => path,
        Some((folder, _)) => folder,
    }
}

fn word(access: Access) -> &'static str {
    match access {
        Access::Read => "read",
        Access::Write => "write",
    }
}
