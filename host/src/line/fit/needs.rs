//! What a station's manifest requires against what the line grants and the ceiling admits. Each problem
//! stands at the file that has to change, with the text to add and the manifest's reason.

use super::Known;
use crate::{
    escape::line as escaped,
    factory::Factory,
    grant::{self, HttpRule, Lack, TcpRule},
    line::{Draft, Station},
    manifest::{Access, FsNeed},
    name::Name,
    problem::{Problem, shown},
};

pub(super) fn fit(
    draft: &Draft,
    factory: &Factory,
    name: &Name,
    known: &Known,
    problems: &mut Vec<Problem>,
) {
    let (Some(manifest), Some(station)) = (&known.manifest, draft.line.stations.get(name)) else {
        return;
    };
    let needs = Needs {
        draft,
        factory,
        path: format!("stations.{name}"),
        station,
        known,
        whose: shown(&manifest.name),
    };
    let requires = &manifest.requires;
    for need in requires.fs.iter().filter(|need| !need.optional) {
        problems.extend(needs.folder(need));
    }
    for need in &requires.http {
        match need.rule.parse::<HttpRule>() {
            Err(bad) => problems.push(needs.bad(&need.rule, &bad.to_string())),
            Ok(_) if need.optional => {}
            Ok(rule) => {
                let lack = known.rights.lacks_http(&rule);
                let what = format!("calls to `{}`", shown(&need.rule));
                let text = format!("\"{rule}\"");
                problems.extend(lack.map(|lack| needs.lack(lack, "http", &what, &text, &need.why)));
            }
        }
    }
    for need in &requires.tcp {
        match need.to.parse::<TcpRule>() {
            Err(bad) => problems.push(needs.bad(&need.to, &bad.to_string())),
            Ok(_) if need.optional => {}
            Ok(rule) => {
                let lack = known.rights.lacks_tcp(&rule);
                let what = format!("connections to `{}`", shown(&need.to));
                let text = format!("\"{rule}\"");
                problems.extend(lack.map(|lack| needs.lack(lack, "tcp", &what, &text, &need.why)));
            }
        }
    }
    for need in requires.secrets.iter().filter(|need| !need.optional) {
        let lack = known.rights.lacks_secret(&need.name);
        let what = format!("the secret `{}`", shown(&need.name));
        let text = match lack {
            Some(Lack::Ceiling) => {
                let mut granted = known.rights.grants.secrets.iter();
                let to = granted.find(|grant| grant.name == need.name);
                let to = to.map_or_else(|| "…".into(), |grant| grant.r#for.to_string());
                format!("{{ name = \"{}\", for = \"{to}\" }}", shown(&need.name))
            }
            _ => format!(
                "{{ name = \"{}\", header = \"authorization\", for = \"https://…\" }}",
                shown(&need.name)
            ),
        };
        problems.extend(lack.map(|lack| needs.lack(lack, "secrets", &what, &text, &need.why)));
    }
}

struct Needs<'a> {
    draft: &'a Draft,
    factory: &'a Factory,
    path: String,
    station: &'a Station,
    known: &'a Known,
    whose: String,
}

impl Needs<'_> {
    /// A need that nobody can give.
    fn bad(&self, rule: &str, why: &str) -> Problem {
        self.draft
            .problem(
                &format!("{}.use", self.path),
                format!(
                    "`{}` says that it needs `{}`: {why}",
                    self.whose,
                    shown(rule)
                ),
            )
            .hint("mend `requires` in the station's `station.toml`")
    }

    /// Something that is needed and that the line or the ceiling does not give.
    fn lack(&self, lack: Lack, key: &str, what: &str, text: &str, why: &str) -> Problem {
        let whose = &self.whose;
        let why = shown(why);
        match lack {
            Lack::Line => self
                .draft
                .problem(
                    &format!("{}.grants", self.path),
                    format!("`{whose}` needs {what}, which the line does not grant"),
                )
                .hint(format!(
                    "`grants.{key} = [{text}]` grants it; why it asks: {why}"
                )),
            Lack::Ceiling => self.above(
                key,
                format!("`{whose}` needs {what}, which the ceiling does not admit"),
                format!("`{key} = [{text}]` in `[ceiling.grants]` admits it; why it asks: {why}"),
            ),
        }
    }

    /// A problem that only the operator can mend.
    fn above(&self, key: &str, message: String, hint: String) -> Problem {
        match self.factory.place(&format!("ceiling.grants.{key}")) {
            Some((file, place)) => Problem::on(file, place, message),
            None => self
                .draft
                .problem(&format!("{}.grants", self.path), message),
        }
        .hint(hint)
    }

    /// What is wrong with what is given for a folder that the station needs.
    fn folder(&self, need: &FsNeed) -> Option<Problem> {
        let (draft, path, whose) = (self.draft, &self.path, &self.whose);
        let guest = shown(&need.guest);
        let why = shown(&need.why);
        let (word, wanted) = match need.access {
            Access::Read => ("read", grant::Access::Read),
            Access::Write => ("write", grant::Access::Write),
        };
        let mounts = &self.known.rights.grants.fs;
        let mount = mounts
            .iter()
            .position(|mount| grant::within(&need.guest, &mount.guest));
        match self.station.access(&need.guest) {
            None => Some(
                draft
                    .problem(
                        &format!("{path}.grants"),
                        format!("`{whose}` needs to {word} `{guest}`, which is not granted"),
                    )
                    .hint(format!(
                        "`grants.fs = [{{ host = \"…\", guest = \"{guest}\", access = \"{word}\" }}]` grants it; why it asks: {why}"
                    )),
            ),
            Some(given) if given < wanted => {
                let at = match mount {
                    Some(n) => format!("{path}.grants.fs.{n}.access"),
                    None => format!("{path}.assets"),
                };
                Some(
                    draft
                        .problem(
                            &at,
                            format!("`{whose}` needs to write `{guest}`, which is granted for reading"),
                        )
                        .hint(format!(
                            "`access = \"write\"` in `grants.fs` grants it; why it asks: {why}"
                        )),
                )
            }
            Some(_) => {
                let mount = &mounts[mount?];
                let ceiling = self.known.rights.ceiling.as_ref()?;
                let left = ceiling.mount(mount).map(|(_, access)| access);
                if left >= Some(wanted) {
                    return None;
                }
                let host = escaped(&mount.host.display().to_string());
                Some(self.above(
                    "fs",
                    format!("`{whose}` needs to {word} `{guest}`, and the ceiling does not admit `{host}` for that"),
                    format!("`fs = [{{ host = \"{host}\", access = \"{word}\" }}]` in `[ceiling.grants]` admits it; why it asks: {why}"),
                ))
            }
        }
    }
}
