//! A line as it runs: stations joined by their ports, every value resolved and checked.
//!
//! How it is written (`line.toml`) is read and checked by the modules below; what it does to an item
//! is decided in [`crate::item`].

pub(crate) mod check;
mod definition;
mod draft;
pub mod fit;
pub(crate) mod grammar;
mod lower;
pub(crate) mod parse;
mod quantity;
pub(crate) mod reader;
pub mod schedule;
mod schema;
pub mod sink;
pub mod source;
mod vars;
pub mod would;

pub use check::check;
pub use definition::{BadDefinition, NoDefinition};
pub use draft::Draft;
pub use fit::{Kind, Known, fit};
pub use lower::lower;
pub use parse::{parse, parse_bytes};
pub use schema::{schema_factory, schema_line, schema_station};
pub use vars::Vars;

use crate::{
    grant::{self, Access, Grants, Rates},
    item::Labels,
    limits::Limits,
    name::Name,
};
use serde::{Deserialize, Serialize};
use sink::{Notify, Sink};
use source::Source;
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

/// A line, checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Its name.
    pub name: Name,
    /// The station that inputs come to.
    pub entry: Name,
    /// Where its visits run; none where the line leaves that to whoever runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<Worker>,
    /// Within what time each of its items has to be through; one that is not jams with its next start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Duration>,
    /// Its stations.
    pub stations: BTreeMap<Name, Station>,
    /// What submits to it by itself.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sources: BTreeMap<Name, Source>,
    /// Where its results go.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sinks: BTreeMap<Name, Sink>,
    /// Who is told when an item needs a person.
    #[serde(default, skip_serializing_if = "Notify::is_none")]
    pub notify: Notify,
}

/// A station on a line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Station {
    /// Where the component comes from: a folder, a `.wasm` or a `.wat` file. Relative to the line
    /// file until the line is resolved.
    pub r#use: PathBuf,
    /// Where each port leads; the last rule of each has no `when`, so that no item fits none.
    pub next: BTreeMap<Name, Vec<Rule>>,
    /// Settings for the guest; values that are no strings are JSON.
    #[serde(default)]
    pub config: BTreeMap<String, serde_json::Value>,
    /// Host files and folders that are copied into the revision and mounted read-only.
    #[serde(default)]
    pub assets: Vec<Asset>,
    /// Arguments of a command station.
    #[serde(default)]
    pub args: Vec<String>,
    /// Environment of a command station.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Which exit code of a command station leaves by which port, beside 0 and 75.
    #[serde(default)]
    pub exits: BTreeMap<i32, Name>,
    /// Visits at the same time. Default 4.
    pub workers: u32,
    /// Waiting items before upstream stops starting visits. Default 64.
    pub queue: u32,
    /// Set where the line itself asks a person here; there is no component then, and `use` is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask: Option<Ask>,
    /// Until when a question that comes up here waits, and what is taken then.
    #[serde(default, skip_serializing_if = "Holding::is_plain")]
    pub hold: Holding,
    /// How often one item may come here; none where it is in no loop.
    pub visits: Option<u32>,
    /// Set where the station collects what another split an item into.
    pub join: Option<Join>,
    /// What happens after a failed attempt.
    pub retry: Retry,
    /// What a visit may use.
    pub limits: Limits,
    /// What a visit is given.
    pub grants: Grants,
    /// How fast the station may use the network, all its visits together.
    #[serde(default)]
    pub rate: Rates,
    /// What a call leads to that was not granted.
    #[serde(default)]
    pub violation: OnViolation,
    /// Which time a visit is shown.
    #[serde(default, skip_serializing_if = "Clocking::is_recorded")]
    pub clock: Clocking,
}

/// What the line asks at a station of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// What is asked.
    pub prompt: String,
    /// What may be chosen: each is a port of the station.
    pub choices: Vec<Name>,
}

/// How a question is held for its answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// How long it waits; none waits for ever.
    #[serde(default)]
    pub within: Option<Duration>,
    /// The choice that is taken then; without one the item jams.
    #[serde(default)]
    pub otherwise: Option<String>,
    /// Whether whoever submitted the item may not answer (`not = "submitter"`).
    #[serde(default)]
    pub not_submitter: bool,
}

/// Where visits run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Worker {
    /// In processes of the line's own, behind a second wall.
    Own,
    /// In the host's process.
    Shared,
}

/// What a call on the network leads to that was not granted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnViolation {
    /// The visit ends there and the item jams.
    #[default]
    Jam,
    /// The guest gets an error and goes on.
    Deny,
}

/// Which time a visit is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Clocking {
    /// That of what was recorded last, so that a run of the same attempt reads the same.
    #[default]
    Recorded,
    /// The host's own. A visit that is run again reads another.
    Real,
}

impl Clocking {
    /// Whether it is the one that can be replayed.
    pub fn is_recorded(&self) -> bool {
        *self == Self::Recorded
    }
}

/// Files that a revision carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asset {
    /// A file or folder on the host; relative to the line file until the line is resolved.
    pub host: PathBuf,
    /// Where the guest sees it.
    pub guest: String,
}

/// One way that a port leads: the first rule that fits is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Labels that the payload has to carry with just these values; empty fits all.
    #[serde(default)]
    pub when: BTreeMap<String, String>,
    /// Where it leads.
    pub to: Target,
}

/// Where a rule leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// To a station.
    Station(Name),
    /// To the end `done`: the payload is a result.
    Done,
    /// To the end `scrap`: the payload is not wanted.
    Scrap,
}

/// A station that waits for all that another split an item into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// The station that splits. At most one join of a line names it.
    pub of: Name,
    /// How long to wait, from the split; none waits for ever.
    pub after: Option<Duration>,
    /// What happens then if children are missing.
    pub missing: Missing,
}

/// What a join does when its time is over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Missing {
    /// The item jams.
    #[default]
    Jam,
    /// It goes on with what has arrived; what comes later is dropped, and said so.
    Pass,
}

/// What happens after a failed attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// Attempts of a visit, the first included. Default 3.
    pub attempts: u32,
    /// The wait after the first failed attempt; doubled after each. Default 200 ms.
    pub first: Duration,
    /// The longest wait. Default 60 s.
    pub longest: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 3,
            first: Duration::from_millis(200),
            longest: Duration::from_secs(60),
        }
    }
}

impl Holding {
    /// Whether it says nothing.
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}

impl Rule {
    /// Whether a payload with these labels takes it.
    pub fn fits(&self, labels: &Labels) -> bool {
        self.when
            .iter()
            .all(|(name, value)| labels.get(name) == Some(value))
    }
}

impl Target {
    /// The names of the ends, which no station may have.
    pub const ENDS: [&str; 2] = ["done", "scrap"];
}

impl Station {
    /// Default of `workers`.
    pub const WORKERS: u32 = 4;
    /// Default of `queue`.
    pub const QUEUE: u32 = 64;

    /// What the station may do at this place in the guest, by its assets and grants; none where nothing
    /// is mounted there. The item's own directories are no grants.
    pub fn access(&self, guest: &str) -> Option<Access> {
        let mounts = self.grants.fs.iter().map(|m| (&m.guest, m.access));
        let assets = self.assets.iter().map(|a| (&a.guest, Access::Read));
        mounts
            .chain(assets)
            .find(|(at, _)| grant::within(guest, at))
            .map(|(_, access)| access)
    }

    /// The stations that its ports may lead to.
    pub fn downstream(&self) -> impl Iterator<Item = &Name> {
        self.next
            .values()
            .flatten()
            .filter_map(|rule| match &rule.to {
                Target::Station(name) => Some(name),
                Target::Done | Target::Scrap => None,
            })
    }
}

impl Line {
    /// The servers that the line calls by itself, each with its place in the line file: `sinks.hook`.
    pub fn webhooks(&self) -> impl Iterator<Item = (String, &sink::Webhook)> {
        let sinks = self.sinks.iter().filter_map(|(name, sink)| match &sink.to {
            sink::To::Webhook(webhook) => Some((format!("sinks.{name}"), webhook)),
            sink::To::Folder(_) => None,
        });
        sinks.chain(self.notify.all().filter_map(|(kind, told)| match told {
            sink::Told::Webhook(webhook) => Some((format!("notify.{kind}"), webhook)),
            sink::Told::Command(_) => None,
        }))
    }

    /// Whether it has anything outside of its stations.
    pub fn has_outside(&self) -> bool {
        !self.sources.is_empty() || !self.sinks.is_empty() || !self.notify.is_none()
    }

    /// The join that collects what `station` splits an item into.
    pub fn join_of(&self, station: &str) -> Option<(&Name, &Join)> {
        self.stations.iter().find_map(|(name, s)| {
            s.join
                .as_ref()
                .filter(|join| join.of == *station)
                .map(|join| (name, join))
        })
    }
}

#[cfg(test)]
mod tests;
