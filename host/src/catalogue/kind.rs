//! Which of the ways to be a station a component takes, told by the names of its exports; and which
//! of its imports andon knows.

use super::{Facts, Format};
use crate::escape;
use std::fmt;

/// A way to be a station.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Exports `andon:station/process`.
    Typed,
    /// Exports `andon:station/process-async`.
    TypedAsync,
    /// Exports `wasi:cli/run`.
    Command(Wasi),
    /// Exports `wasi:http/incoming-handler` (0.2) or `wasi:http/handler` (0.3).
    Handler(Wasi),
}

/// The versions of WASI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the numbers")]
pub enum Wasi {
    V0_2,
    V0_3,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Typed => "typed",
            Self::TypedAsync => "typed, async",
            Self::Command(Wasi::V0_2) => "command (WASI 0.2)",
            Self::Command(Wasi::V0_3) => "command (WASI 0.3)",
            Self::Handler(Wasi::V0_2) => "handler (WASI 0.2)",
            Self::Handler(Wasi::V0_3) => "handler (WASI 0.3)",
        })
    }
}

/// The component is made for another host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "it is no station: it exports {exports}\n  hint: a station exports `andon:station/process@0.1.0`, `wasi:cli/run` or `wasi:http/incoming-handler`"
)]
pub struct OtherWorld {
    exports: String,
}

/// The exports that make a station; the first that fits counts.
const WORLDS: [(&str, &str, Kind); 6] = [
    ("andon:station/process", "0.1", Kind::Typed),
    ("andon:station/process-async", "0.1", Kind::TypedAsync),
    ("wasi:cli/run", "0.2", Kind::Command(Wasi::V0_2)),
    ("wasi:cli/run", "0.3", Kind::Command(Wasi::V0_3)),
    (
        "wasi:http/incoming-handler",
        "0.2",
        Kind::Handler(Wasi::V0_2),
    ),
    ("wasi:http/handler", "0.3", Kind::Handler(Wasi::V0_3)),
];

/// The interfaces that a station may import: package, version, names.
const KNOWN: [(&str, &str, &[&str]); 15] = [
    ("andon:station", "0.1", &["work", "log", "progress"]),
    ("wasi:config", "0.2.0-rc.1", &["store"]),
    (
        "wasi:cli",
        "0.2",
        &[
            "environment",
            "exit",
            "stdin",
            "stdout",
            "stderr",
            "terminal-input",
            "terminal-output",
            "terminal-stdin",
            "terminal-stdout",
            "terminal-stderr",
        ],
    ),
    (
        "wasi:cli",
        "0.3",
        &[
            "types",
            "environment",
            "exit",
            "stdin",
            "stdout",
            "stderr",
            "terminal-input",
            "terminal-output",
            "terminal-stdin",
            "terminal-stdout",
            "terminal-stderr",
        ],
    ),
    ("wasi:clocks", "0.2", &["monotonic-clock", "wall-clock"]),
    (
        "wasi:clocks",
        "0.3",
        &["types", "monotonic-clock", "system-clock"],
    ),
    ("wasi:filesystem", "0.2", &["types", "preopens"]),
    ("wasi:filesystem", "0.3", &["types", "preopens"]),
    ("wasi:io", "0.2", &["error", "poll", "streams"]),
    (
        "wasi:random",
        "0.2",
        &["random", "insecure", "insecure-seed"],
    ),
    (
        "wasi:random",
        "0.3",
        &["random", "insecure", "insecure-seed"],
    ),
    (
        "wasi:sockets",
        "0.2",
        &[
            "network",
            "instance-network",
            "ip-name-lookup",
            "tcp",
            "tcp-create-socket",
            "udp",
            "udp-create-socket",
        ],
    ),
    ("wasi:sockets", "0.3", &["types", "ip-name-lookup"]),
    ("wasi:http", "0.2", &["types", "outgoing-handler"]),
    ("wasi:http", "0.3", &["types", "client"]),
];

impl Facts {
    /// The way in which this is a station. Of a core module it is the way of the component that is
    /// made of it.
    ///
    /// # Errors
    /// When it is none.
    pub fn kind(&self) -> Result<Kind, OtherWorld> {
        let module = self.format == Format::Module;
        // The adapter makes a command of it, whatever else it exports.
        if module && self.exports.contains("_start") {
            return Ok(Kind::Command(Wasi::V0_2));
        }
        let exports = || {
            let names = self.exports.iter();
            names.map(|name| if module { interface(name) } else { name })
        };
        let found = WORLDS.iter().find(|(path, line, _)| {
            exports().any(|export| parts(export).is_some_and(|(p, v)| p == *path && is_of(v, line)))
        });
        found
            .map(|(_, _, kind)| *kind)
            .ok_or_else(|| self.other_world())
    }

    /// The imports that andon does not know: with any of them the component cannot be run. To be known
    /// is not to be granted.
    pub fn unknown_imports(&self) -> Vec<&str> {
        if self.format == Format::Module {
            return Vec::new();
        }
        let known = |import: &str| {
            let (path, version) = parts(import)?;
            let (package, name) = path.split_once('/')?;
            KNOWN
                .iter()
                .find(|(p, line, names)| {
                    *p == package && is_of(version, line) && names.contains(&name)
                })
                .map(|_| ())
        };
        self.imports
            .iter()
            .map(String::as_str)
            .filter(|import| known(import).is_none())
            .collect()
    }

    fn other_world(&self) -> OtherWorld {
        let mut names: Vec<_> = self
            .exports
            .iter()
            .take(12)
            .map(|name| format!("`{}`", escape::shown(name)))
            .collect();
        match self.exports.len() {
            0 => names.push("nothing".into()),
            n if n > 12 => names.push(format!("{} more", n - 12)),
            _ => {}
        }
        OtherWorld {
            exports: names.join(", "),
        }
    }
}

/// The interface of a core module's export: `[async-lift]ns:package/interface@1.0.0#function`.
fn interface(export: &str) -> &str {
    let name = match export.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or(rest, |(_, name)| name),
        None => export,
    };
    name.split_once('#')
        .map_or(name, |(interface, _)| interface)
}

/// `ns:package/interface` and the version.
fn parts(name: &str) -> Option<(&str, &str)> {
    name.split_once('@')
}

/// Whether `version` is of the `line`: the same, or `line.N`. What comes before a release is of none.
fn is_of(version: &str, line: &str) -> bool {
    version == line
        || version
            .strip_prefix(line)
            .and_then(|rest| rest.strip_prefix('.'))
            .is_some_and(|patch| {
                !patch.is_empty()
                    && !line.contains('-')
                    && patch.bytes().all(|b| b.is_ascii_digit())
            })
}
