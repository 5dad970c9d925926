//! The rules that the fields of a manifest keep, wherever it came from.
//!
//! Pure: a manifest in, what it breaks out. The same rules hold for a `station.toml` that somebody
//! writes and for the bytes that a stranger's component carries.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{ConfigKey, Manifest};

/// Ports that are the host's own.
const RESERVED_PORTS: [&str; 2] = ["reject", "exhausted"];
/// Where the host mounts things of its own.
const RESERVED_PATHS: [&str; 2] = ["/workspace", "/item"];

/// A rule that a manifest breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The key, as a dotted path: `ports.pass.types.0`.
    pub at: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Manifest {
    /// Checks every rule and returns all that are broken.
    pub fn check(&self) -> Vec<Broken> {
        let mut found = Found(Vec::new());
        found.rule(
            "name",
            is_name(&self.name),
            || format!("`{}` is no station name", clip(&self.name)),
            "1 to 64 of `a-z`, `0-9` and `-`",
        );
        found.rule(
            "version",
            is_version(&self.version),
            || format!("`{}` is no version", clip(&self.version)),
            "three numbers, as in `0.1.0`; `-rc.1` may follow",
        );
        found.rule(
            "description",
            is_line(&self.description, 300),
            || "the description is not one line of 1 to 300 bytes".into(),
            "say in half a sentence what the station does",
        );
        found.types("inputs.types", &self.inputs.types);
        found.schema("inputs.schema", self.inputs.schema.as_ref());
        for (name, port) in &self.ports {
            let at = format!("ports.{name}");
            found.rule(
                &at,
                is_name(name),
                || format!("`{}` is no port name", clip(name)),
                "1 to 64 of `a-z`, `0-9` and `-`",
            );
            found.rule(
                &at,
                !RESERVED_PORTS.contains(&name.as_str()),
                || format!("the port `{name}` is the host's own"),
                "remove it; a station leaves by `reject` by stopping with a reason",
            );
            found.text(&format!("{at}.description"), &port.description);
            found.types(&format!("{at}.types"), &port.types);
            found.schema(&format!("{at}.schema"), port.schema.as_ref());
        }
        self.check_requires(&mut found);
        for (key, config) in &self.config {
            check_config(&mut found, key, config);
        }
        found.0
    }

    fn check_requires(&self, found: &mut Found) {
        let mut seen = BTreeSet::new();
        for (i, need) in self.requires.fs.iter().enumerate() {
            let at = format!("requires.fs.{i}.guest");
            found.rule(
                &at,
                is_guest_path(&need.guest),
                || format!("`{}` is no folder that can be granted", clip(&need.guest)),
                "an absolute path such as `/rules`, without `.` and `..`; `/workspace` and `/item` are always there",
            );
            found.once(&at, &mut seen, &need.guest);
            found.why(&format!("requires.fs.{i}.why"), &need.why);
        }
        seen.clear();
        for (i, need) in self.requires.http.iter().enumerate() {
            let at = format!("requires.http.{i}.rule");
            found.rule(
                &at,
                is_http_rule(&need.rule),
                || format!("`{}` is no rule for a request", clip(&need.rule)),
                "a method and an address, as in `GET https://api.example.com/v1/**`",
            );
            found.once(&at, &mut seen, &need.rule);
            found.why(&format!("requires.http.{i}.why"), &need.why);
        }
        seen.clear();
        for (i, need) in self.requires.tcp.iter().enumerate() {
            let at = format!("requires.tcp.{i}.to");
            found.rule(
                &at,
                is_host_and_port(&need.to),
                || format!("`{}` is no place to connect to", clip(&need.to)),
                "a host and a port, as in `db.internal:5432`",
            );
            found.once(&at, &mut seen, &need.to);
            found.why(&format!("requires.tcp.{i}.why"), &need.why);
        }
        seen.clear();
        for (i, need) in self.requires.secrets.iter().enumerate() {
            let at = format!("requires.secrets.{i}.name");
            found.rule(
                &at,
                is_secret_name(&need.name),
                || format!("`{}` is no name of a secret", clip(&need.name)),
                "1 to 64 of `A-Z`, `0-9` and `_`, beginning with a letter",
            );
            found.once(&at, &mut seen, &need.name);
            found.why(&format!("requires.secrets.{i}.why"), &need.why);
        }
    }
}

fn check_config(found: &mut Found, key: &str, config: &ConfigKey) {
    let at = format!("config.{key}");
    found.rule(
        &at,
        is_token(key, 64, |b| {
            b.is_ascii_alphanumeric() || b"_.-".contains(&b)
        }),
        || format!("`{}` is no configuration key", clip(key)),
        "1 to 64 of letters, digits, `_`, `-` and `.`",
    );
    found.text(&format!("{at}.description"), &config.description);
    if let Some(default) = &config.default {
        found.rule(
            &format!("{at}.default"),
            config.kind.admits(default),
            || {
                format!(
                    "the default of `{}` is not of its type, {}",
                    clip(key),
                    config.kind.as_str()
                )
            },
            "change `default` or `type`",
        );
        found.rule(
            &format!("{at}.required"),
            !config.required,
            || format!("`{}` is required and has a default", clip(key)),
            "remove one of the two",
        );
    }
}

struct Found(Vec<Broken>);

impl Found {
    fn rule(&mut self, at: &str, kept: bool, message: impl FnOnce() -> String, hint: &str) {
        if !kept {
            self.0.push(Broken {
                at: at.into(),
                message: message(),
                hint: Some(hint.into()),
            });
        }
    }

    fn types(&mut self, at: &str, types: &[String]) {
        for (i, media) in types.iter().enumerate() {
            self.rule(
                &format!("{at}.{i}"),
                is_media_range(media),
                || format!("`{}` is no media type", clip(media)),
                "lower case without parameters, as in `application/json`, `text/*` or `*/*`",
            );
        }
    }

    fn schema(&mut self, at: &str, schema: Option<&Value>) {
        let kept = schema.is_none_or(|s| s.is_object() || s.is_boolean());
        self.rule(
            at,
            kept,
            || "a JSON Schema is an object or a boolean".into(),
            "as in `{ type = \"object\" }`, or the path of a JSON file that has one",
        );
    }

    fn text(&mut self, at: &str, text: &str) {
        self.rule(
            at,
            text.len() <= 4096 && !text.contains('\0'),
            || "the description is longer than 4 KiB".into(),
            "shorten it",
        );
    }

    fn why(&mut self, at: &str, why: &str) {
        self.rule(
            at,
            is_line(why, 300),
            || "`why` is not one line of 1 to 300 bytes".into(),
            "say in half a sentence what it is for: whoever grants it reads this",
        );
    }

    fn once<'m>(&mut self, at: &str, seen: &mut BTreeSet<&'m str>, what: &'m str) {
        let first = seen.insert(what);
        self.rule(
            at,
            first,
            || format!("`{}` is required twice", clip(what)),
            "remove one of them",
        );
    }
}

fn is_token(text: &str, longest: usize, allowed: impl Fn(u8) -> bool) -> bool {
    (1..=longest).contains(&text.len()) && text.bytes().all(allowed)
}

fn is_name(text: &str) -> bool {
    is_token(text, 64, |b| {
        b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'
    })
}

fn is_secret_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_uppercase())
        && is_token(text, 64, |b| {
            b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_'
        })
}

fn is_line(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len())
        && !text.trim().is_empty()
        && !text.chars().any(char::is_control)
}

/// Semver's form, without its ban on leading zeros in pre-releases.
fn is_version(text: &str) -> bool {
    let (text, build) = split_off(text, '+');
    let (core, pre) = split_off(text, '-');
    let parts: Vec<&str> = core.split('.').collect();
    let numbers = parts.len() == 3
        && parts.iter().all(|p| {
            is_token(p, 10, |b| b.is_ascii_digit()) && (p.len() == 1 || !p.starts_with('0'))
        });
    let labels = |label: Option<&str>| {
        label.is_none_or(|label| {
            label
                .split('.')
                .all(|p| is_token(p, 64, |b| b.is_ascii_alphanumeric() || b == b'-'))
        })
    };
    numbers && labels(pre) && labels(build)
}

fn split_off(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at)
        .map_or((text, None), |(head, tail)| (head, Some(tail)))
}

fn is_media_range(text: &str) -> bool {
    let token = |part: &str| {
        is_token(part, 127, |b| {
            b.is_ascii_lowercase() || b.is_ascii_digit() || b"!#$&^_.+-".contains(&b)
        })
    };
    match text.split_once('/') {
        Some(("*", "*")) => true,
        Some((kind, "*")) => token(kind),
        Some((kind, sub)) => token(kind) && token(sub),
        None => false,
    }
}

fn is_guest_path(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('/') else {
        return false;
    };
    let reserved = RESERVED_PATHS.iter().any(|own| {
        text.strip_prefix(own)
            .is_some_and(|tail| tail.is_empty() || tail.starts_with('/'))
    });
    text.len() <= 1024
        && !reserved
        && !text.chars().any(char::is_control)
        && rest.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

fn is_http_rule(text: &str) -> bool {
    let Some((methods, url)) = text.split_once(' ') else {
        return false;
    };
    let method = |m: &str| m == "*" || is_token(m, 16, |b| b.is_ascii_uppercase());
    text.len() <= 2048
        && methods.split(',').all(method)
        && (url.starts_with("https://") || url.starts_with("http://"))
        && !url.contains(|c: char| c.is_control() || c.is_whitespace())
}

fn is_host_and_port(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        (1..=256).contains(&host.len())
            && !host.contains(|c: char| c.is_control() || c.is_whitespace() || c == '/')
            && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

/// A hostile manifest may hold anything; a message quotes only its beginning, on one line.
fn clip(text: &str) -> String {
    let mut clipped: String = text
        .chars()
        .take(80)
        .map(|c| if c.is_control() { '?' } else { c })
        .collect();
    if text.chars().nth(80).is_some() {
        clipped.push('…');
    }
    clipped
}
