//! What a retool would change: the difference of two revisions, as data and as a text. Pure.

use super::{
    lowered::Lowered,
    render::{difference, flat, rules},
    shadow::{self, ShadowPlan},
};
use crate::{
    assembly::Revision,
    digest::Digest,
    escape::line as escaped,
    grant::Grants,
    item::ItemId,
    line::{Line, Station, sink::Notify, source::Origin},
    lock::{Change, Effect, Lock, Pin, What, changes, outside},
    name::Name,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Write as _},
};
use utoipa::ToSchema;

/// What a retool would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Plan {
    /// The line.
    pub line: Name,
    /// The revision that runs.
    pub from: u64,
    /// Where the new one comes from: `line.toml`, or `revision 3`.
    pub to: String,
    /// The digest of the new revision: what was looked at is what is applied.
    pub digest: Digest,
    /// What is another about the line itself: its entry, where its visits run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<Difference>,
    /// Stations that are new, gone or another, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stations: Vec<StationPlan>,
    /// Grants that open more than is open: each has to be accepted by its name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub widened: Vec<GrantPlan>,
    /// Grants that open less.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub narrowed: Vec<GrantPlan>,
    /// What happens to unfinished items at stations that are gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<WaitingPlan>,
    /// What came of recorded visits that were replayed, for each station that changes; none where that was
    /// not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Vec<ShadowPlan>>,
}

/// A value that is another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Difference {
    /// Which: `limits.wall`, `next.leak`.
    pub what: String,
    /// As it is; none where it is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    /// As it would be; none where it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<String>,
}

/// How a station would be another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StationPlan {
    /// The station.
    pub station: Name,
    /// Whether it is new, gone or another.
    pub change: StationChange,
    /// What is another about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
}

/// What happens to a station.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum StationChange {
    /// It is new.
    Added,
    /// It goes.
    Removed,
    /// It is another.
    Changed,
}

/// A grant that would be another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GrantPlan {
    /// Of which station; none where it is what the line has outside, whose text begins with its place:
    /// `sinks.hook: webhook https://hooks.example.com/x`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub station: Option<Name>,
    /// As it is, where there is one for the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    /// As it would be; none where it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<String>,
    /// The name to accept it by: `scan:http GET https://api.example.com/**`. None where nobody has to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept: Option<String>,
}

/// Unfinished items at a station that goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WaitingPlan {
    /// The station.
    pub station: Name,
    /// How many there are now.
    pub items: u64,
    /// How many of them are held by what the line asks there. A move ends their questions.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub held: u64,
    /// The first of those that are held, at most [`Unfinished::TOLD`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<ItemId>,
    /// Where they would go; none where that was not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Name>,
    /// Whether the line asks there as well, so that who was held is asked anew.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub asked_anew: bool,
}

/// Which unfinished items are at a station.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unfinished {
    /// How many.
    pub items: u64,
    /// How many of them are held by what the line asks there.
    pub held: u64,
    /// The first of those.
    pub holds: Vec<ItemId>,
}

impl Unfinished {
    /// As many held items a plan names.
    pub const TOLD: usize = 20;
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Why a plan cannot be carried out as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Grants would be wider, and nobody accepted that.
    #[error(
        "{} would open more than is open, which has to be accepted\n  hint: look at each, and accept it by its name:{}",
        grants(.0.len()), .0.iter().map(|name| format!("\n    --accept {}", quoted(name))).collect::<String>()
    )]
    Widens(Vec<String>),
    /// What was accepted is none of it.
    #[error("`--accept {}`: no grant that would be wider has this name\n  hint: `--dry-run` shows the names", escaped(.0))]
    NoGrant(String),
    /// Replayed visits came out differently, and nobody accepted that.
    #[error(
        "{different} of {replayed} replayed visits come out differently, which has to be accepted\n  hint: `--dry-run` shows what differs, `--accept shadow` takes it as it is"
    )]
    Differs {
        /// How many did.
        different: u64,
        /// Of how many.
        replayed: u64,
    },
    /// What is applied is not what was looked at.
    #[error(
        "what the line's file says is another than what was looked at\n  hint: look at the plan once more"
    )]
    Another,
    /// Items would have nowhere to go.
    #[error(
        "{} at station `{station}`, which the new revision does not have\n  hint: `--move {station}=OTHER` sends them to another station, `--drain` waits until none is there",
        unfinished(*.items)
    )]
    Homeless {
        /// The station.
        station: Name,
        /// How many.
        items: u64,
    },
    /// A station that stays needs no move.
    #[error("`--move {old}={new}`: {why}")]
    NoMove {
        /// From.
        old: Name,
        /// To.
        new: Name,
        /// What is wrong.
        why: &'static str,
    },
}

fn grants(count: usize) -> String {
    match count {
        1 => "a grant".into(),
        n => format!("{n} grants"),
    }
}

fn unfinished(items: u64) -> String {
    match items {
        1 => "1 unfinished item is".into(),
        n => format!("{n} unfinished items are"),
    }
}

/// A text as a shell reads it back.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

impl Plan {
    /// What it takes to get from one revision to another. `items` is which unfinished items each station
    /// has; `moves` says where those of stations go that the new revision does not have, `ceiling`
    /// below what each of the two runs.
    pub fn between(
        (from, old): (u64, &Revision),
        (to, new): (String, &Revision),
        items: &BTreeMap<Name, Unfinished>,
        moves: &BTreeMap<Name, Name>,
        ceiling: Lowered<'_>,
    ) -> Self {
        let grants = changes(Some(&pins(old, new)), &pins(new, old));
        let (mut widened, mut narrowed) = (Vec::new(), Vec::new());
        for change in &grants {
            let (old, new) = match &change.what {
                What::Grant { old, new } => (old.clone(), new.clone()),
                What::Outside { place, old, new } => {
                    let placed = |text: &String| format!("{place}: {text}");
                    (old.as_ref().map(placed), new.as_ref().map(placed))
                }
                _ => continue,
            };
            let list = match change.effect {
                Effect::Widens | Effect::Replaces => &mut widened,
                Effect::Narrows | Effect::Neutral => &mut narrowed,
            };
            list.push(GrantPlan {
                station: change.station.clone(),
                old,
                new,
                accept: change.name(),
            });
        }
        narrowed.extend(ceiling.narrowed(old, new));
        let gone = |name: &&Name| !new.line.stations.contains_key(*name);
        let waiting = old.line.stations.keys().filter(gone).filter_map(|name| {
            let there = items.get(name).filter(|there| there.items > 0)?;
            let to = moves.get(name);
            let asks = |to: &Name| (new.line.stations.get(to)).is_some_and(|to| to.ask.is_some());
            Some(WaitingPlan {
                station: name.clone(),
                items: there.items,
                held: there.held,
                holds: there.holds.clone(),
                to: to.cloned(),
                asked_anew: there.held > 0 && to.is_some_and(asks),
            })
        });
        Self {
            line: new.line.name.clone(),
            from,
            to,
            digest: new.digest(),
            settings: settings(&old.line, &new.line)
                .into_iter()
                .chain(ceiling.difference())
                .collect(),
            stations: stations(old, new, &grants),
            waiting: waiting.collect(),
            shadow: None,
            widened,
            narrowed,
        }
    }

    /// Whether nothing would be another.
    pub fn is_empty(&self) -> bool {
        self.settings.is_empty()
            && self.stations.is_empty()
            && self.widened.is_empty()
            && self.narrowed.is_empty()
    }

    /// The stations that the new revision does not have.
    pub fn removed(&self) -> impl Iterator<Item = &Name> {
        let removed = |plan: &&StationPlan| plan.change == StationChange::Removed;
        self.stations
            .iter()
            .filter(removed)
            .map(|plan| &plan.station)
    }

    /// How many held items are no longer asked what they are asked, because they are moved.
    pub fn questions_ended(&self) -> u64 {
        let moved = self.waiting.iter().filter(|plan| plan.to.is_some());
        moved.map(|plan| plan.held).sum()
    }

    /// The stations whose grants narrow, so that what is under way there has more than it should.
    pub fn narrows(&self) -> BTreeSet<Name> {
        self.narrowed
            .iter()
            .filter_map(|grant| grant.station.clone())
            .collect()
    }

    /// The stations that would do their work otherwise: new and changed ones.
    pub fn touched(&self) -> impl Iterator<Item = &Name> {
        let stays = |plan: &&StationPlan| plan.change != StationChange::Removed;
        self.stations.iter().filter(stays).map(|plan| &plan.station)
    }

    /// Whether all that widens is accepted by its name, and nothing else is.
    ///
    /// # Errors
    /// What is not.
    pub fn accepted(&self, names: &[String]) -> Result<(), Refusal> {
        let named = |name: &String| {
            self.widened.iter().any(|g| g.accept.as_ref() == Some(name))
                || name == shadow::ACCEPT && self.shadow.is_some()
        };
        if let Some(name) = names.iter().find(|name| !named(name)) {
            return Err(Refusal::NoGrant(name.clone()));
        }
        let open: Vec<String> = (self.widened.iter())
            .map(|grant| grant.accept.clone().unwrap_or_default())
            .filter(|name| !names.contains(name))
            .collect();
        match open.is_empty() {
            true => self.alike(names),
            false => Err(Refusal::Widens(open)),
        }
    }

    /// How many visits were replayed, and how many of them came out differently.
    pub fn replayed(&self) -> (u64, u64) {
        let all = self.shadow.iter().flatten();
        all.fold((0, 0), |(all, different), it| {
            (all + it.replayed, different + it.different)
        })
    }

    /// Whether no replayed visit came out differently, or that is accepted.
    ///
    /// # Errors
    /// How many did.
    pub fn alike(&self, names: &[String]) -> Result<(), Refusal> {
        match self.replayed() {
            (replayed, different)
                if different > 0 && !names.iter().any(|n| n == shadow::ACCEPT) =>
            {
                Err(Refusal::Differs {
                    different,
                    replayed,
                })
            }
            _ => Ok(()),
        }
    }

    /// Whether every unfinished item has somewhere to go, and every move is from a station that goes to
    /// one that `new` has.
    ///
    /// # Errors
    /// What is not so.
    pub fn housed(
        &self,
        old: &Line,
        new: &Line,
        moves: &BTreeMap<Name, Name>,
        drain: bool,
    ) -> Result<(), Refusal> {
        for (from, to) in moves {
            let why = match () {
                () if !old.stations.contains_key(from) => {
                    "the line has no such station to move from"
                }
                () if new.stations.contains_key(from) => "the new revision still has this station",
                () if !new.stations.contains_key(to) => {
                    "the new revision has no such station to move to"
                }
                () if new.stations[to].join.is_some() => {
                    "nothing can be moved to a station that joins"
                }
                () => continue,
            };
            return Err(Refusal::NoMove {
                old: from.clone(),
                new: to.clone(),
                why,
            });
        }
        let homeless = |plan: &&WaitingPlan| plan.to.is_none() && !drain;
        match self.waiting.iter().find(homeless) {
            None => Ok(()),
            Some(plan) => Err(Refusal::Homeless {
                station: plan.station.clone(),
                items: plan.items,
            }),
        }
    }
}

/// What a lock of this revision would pin, as far as two revisions are compared by it. Folders are named
/// so that those of two lines in different folders compare.
fn pins(revision: &Revision, other: &Revision) -> Lock {
    let placed = |grants: &Grants| {
        let mut grants = grants.clone();
        if revision.folder != other.folder {
            for mount in &mut grants.fs {
                mount.host = revision.folder.join(&mount.host);
            }
        }
        grants
    };
    let pin = |(name, station): (&Name, &Station)| {
        let nothing = Digest::of([]);
        let pin = Pin {
            r#use: station.r#use.display().to_string(),
            component: revision.components.get(name).copied().unwrap_or(nothing),
            requires: Vec::new(),
            assets: (station.assets.iter())
                .map(|asset| {
                    (
                        asset.guest.clone(),
                        Digest::of(asset.host.as_os_str().as_encoded_bytes()),
                    )
                })
                .collect(),
            grants: placed(&station.grants),
        };
        (name.clone(), pin)
    };
    Lock {
        vars: BTreeMap::new(),
        outside: outside(&revision.line, |path| {
            match revision.folder == other.folder {
                true => path.to_path_buf(),
                false => revision.folder.join(path),
            }
        }),
        stations: revision.line.stations.iter().map(pin).collect(),
    }
}

/// What is another about the line itself. What is listed among the grants is not told twice: as it stands
/// in the line, a URL may hold what nobody else should read.
fn settings(old: &Line, new: &Line) -> Vec<Difference> {
    let sources: BTreeSet<_> = old.sources.keys().chain(new.sources.keys()).collect();
    let sinks: BTreeSet<_> = old.sinks.keys().chain(new.sinks.keys()).collect();
    let about = |line: &Line| {
        let bare = Line {
            stations: BTreeMap::new(),
            sources: BTreeMap::new(),
            sinks: BTreeMap::new(),
            notify: Notify::default(),
            ..line.clone()
        };
        let mut all = serde_json::to_value(bare).unwrap_or_default();
        for name in &sources {
            let source = line.sources.get(*name).cloned().map(|mut source| {
                if let Origin::Folder(inbox) = &mut source.from {
                    (inbox.folder, inbox.done) = Default::default();
                }
                serde_json::to_value(source).unwrap_or_default()
            });
            let mut source = flat(source.as_ref());
            source.remove("folder");
            all[format!("sources.{name}")] = source.into();
        }
        for name in &sinks {
            let within = line
                .sinks
                .get(*name)
                .map(|sink| json!({ "within": sink.within }));
            all[format!("sinks.{name}")] = flat(within.as_ref()).into();
        }
        all
    };
    difference(&about(old), &about(new))
}

fn stations(old: &Revision, new: &Revision, grants: &[Change]) -> Vec<StationPlan> {
    let (before, now) = (&old.line.stations, &new.line.stations);
    let names: BTreeSet<&Name> = before.keys().chain(now.keys()).collect();
    let plan = |name: &Name| {
        let (change, differences) = match (before.get(name), now.get(name)) {
            (None, Some(station)) => (
                StationChange::Added,
                vec![made_of(station, new.components.get(name)), leads(station)],
            ),
            (Some(_), None) => (StationChange::Removed, Vec::new()),
            (Some(was), Some(is)) => {
                let mut all = Vec::new();
                let (a, b) = (old.components.get(name), new.components.get(name));
                if a != b {
                    all.push(component(a, b));
                }
                all.extend(
                    grants
                        .iter()
                        .filter(|c| c.station.as_ref() == Some(name))
                        .filter_map(asset),
                );
                all.extend(difference(&bare(was), &bare(is)));
                (StationChange::Changed, all)
            }
            (None, None) => return None,
        };
        let same = change == StationChange::Changed && differences.is_empty();
        (!same).then(|| StationPlan {
            station: name.clone(),
            change,
            differences,
        })
    };
    names.into_iter().filter_map(plan).collect()
}

/// A station without what is told otherwise.
fn bare(station: &Station) -> serde_json::Value {
    let bare = Station {
        r#use: Default::default(),
        assets: Vec::new(),
        grants: Grants::default(),
        ..station.clone()
    };
    serde_json::to_value(bare).unwrap_or_default()
}

/// What a new station is: its component, or what the line asks there.
fn made_of(station: &Station, digest: Option<&Digest>) -> Difference {
    match &station.ask {
        None => component(None, digest),
        Some(ask) => Difference {
            what: "ask".into(),
            old: None,
            new: Some(ask.prompt.clone()),
        },
    }
}

fn component(old: Option<&Digest>, new: Option<&Digest>) -> Difference {
    Difference {
        what: "component".into(),
        old: old.map(Digest::short),
        new: new.map(Digest::short),
    }
}

fn leads(station: &Station) -> Difference {
    let ports = (station.next.iter()).map(|(port, to)| format!("{port} = {}", rules(to)));
    Difference {
        what: "next".into(),
        old: None,
        new: Some(ports.collect::<Vec<_>>().join(", ")),
    }
}

fn asset(change: &Change) -> Option<Difference> {
    match &change.what {
        What::Asset { guest, old, new } => Some(Difference {
            what: format!("asset {guest}"),
            old: old.as_ref().map(Digest::short),
            new: new.as_ref().map(Digest::short),
        }),
        _ => None,
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, from, to, .. } = self;
        write!(f, "{line}: revision {from} -> {}", escaped(to))?;
        if self.is_empty() {
            return f.write_str("\n  nothing changes");
        }
        for difference in &self.settings {
            write!(f, "\n  line    {difference}")?;
        }
        for plan in &self.stations {
            let (mark, word) = match plan.change {
                StationChange::Added => ('+', " (new)"),
                StationChange::Removed => ('-', " (gone)"),
                StationChange::Changed => ('~', ""),
            };
            write!(f, "\n  {mark} {}{word}", plan.station)?;
            for difference in &plan.differences {
                write!(f, "\n      {difference}")?;
            }
        }
        for (word, list) in [("wider", &self.widened), ("narrower", &self.narrowed)] {
            for grant in list {
                write!(f, "\n  {word:<8} ")?;
                if let Some(station) = &grant.station {
                    write!(f, "{station}: ")?;
                }
                write!(f, "{}", Grant(grant))?;
            }
        }
        for plan in &self.waiting {
            let WaitingPlan { station, items, .. } = plan;
            write!(f, "\n  waiting  {station}: {items} unfinished, ")?;
            match &plan.to {
                Some(to) => write!(f, "moved to {to}")?,
                None => f.write_str("nowhere to go")?,
            }
            if plan.held > 0 {
                write!(f, "\n      {}", Held(plan))?;
            }
        }
        for plan in self.shadow.iter().flatten() {
            write!(f, "\n  shadow   {plan}")?;
            for visit in &plan.visits {
                let what = visit.differences.iter().map(|it| it.what.as_str());
                let what: Vec<_> = what.collect();
                let (item, nth) = (&visit.item, visit.nth);
                write!(f, "\n      {item}, visit {nth}: {}", what.join(", "))?;
            }
        }
        Ok(())
    }
}

/// Those that are asked something at a station that goes.
struct Held<'a>(&'a WaitingPlan);

impl fmt::Display for Held<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let WaitingPlan { held, holds, .. } = self.0;
        write!(f, "{held} held, ")?;
        match (&self.0.to, self.0.asked_anew) {
            (Some(to), true) => write!(f, "asked anew at {to}")?,
            (Some(to), false) => write!(f, "going on at {to} without an answer")?,
            (None, _) => f.write_str("waiting for an answer")?,
        }
        for (n, item) in holds.iter().enumerate() {
            write!(f, "{} {item}", if n == 0 { ":" } else { "," })?;
        }
        if *held > holds.len() as u64 {
            f.write_str(", …")?;
        }
        Ok(())
    }
}

/// A grant as it changes.
struct Grant<'a>(&'a GrantPlan);

impl fmt::Display for Grant<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.0.old, &self.0.new) {
            (Some(old), Some(new)) => write!(f, "{} -> {}", escaped(old), escaped(new)),
            (None, Some(new)) => f.write_str(&escaped(new)),
            (Some(old), None) => write!(f, "no more {}", escaped(old)),
            (None, None) => Ok(()),
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escaped(&self.what))?;
        if let Some(old) = &self.old {
            write!(f, " {}", escaped(old))?;
        }
        f.write_str(" ->")?;
        match &self.new {
            Some(new) => {
                f.write_char(' ')?;
                f.write_str(&escaped(new))
            }
            None => f.write_str(" nothing"),
        }
    }
}
