//! Shadow: before anything takes the new revision, the last recorded visits of the stations that change are
//! replayed offline against it. What differs is told; whether that is well is for whoever looks.

use super::{
    StationChange,
    draw::{Drawn, wrong},
};
use crate::{
    assembly::AssemblyError,
    escape::line as escaped,
    item::ItemId,
    journal::Filter,
    lines::{Fault, Lines},
    name::Name,
    replay::{self, Cast, ReplayError, Stage},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};
use tokio::runtime::Handle;
use utoipa::ToSchema;

/// The name by which it is accepted that visits come out differently.
pub const ACCEPT: &str = "shadow";
/// The most visits of a station that are replayed.
const MOST: u32 = 1000;
/// So many items are looked through for visits, those that came last.
const LOOKED: usize = 10_000;
/// Of each station so many visits are told with all that differs.
const TOLD: usize = 5;
/// The longest text of a difference, in bytes.
const TEXT: usize = 4096;

/// What came of replaying a station's last recorded visits against the new revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShadowPlan {
    /// The station.
    pub station: Name,
    /// How many visits were replayed.
    pub replayed: u64,
    /// How many of them came out differently.
    pub different: u64,
    /// In how many something differs, by what: `how`, `output`, `workspace`, `log`, `effects`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub what: BTreeMap<String, u64>,
    /// The first visits that came out differently.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub visits: Vec<ShadowVisit>,
    /// How many visits could not be replayed.
    #[serde(default)]
    pub left_out: u64,
    /// Why the first of them could not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A recorded visit that came out differently. Texts are not escaped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShadowVisit {
    /// The item.
    pub item: ItemId,
    /// Which of its visits to the station.
    pub nth: u32,
    /// The revision on which it was.
    pub revision: u64,
    /// What differs.
    pub differences: Vec<ShadowDifference>,
}

/// What differs between a recorded visit and its replay. Texts are not escaped, and shortened where they
/// are long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShadowDifference {
    /// `how`, `output 1`, `workspace`, `log`, `effects`.
    pub what: String,
    /// As recorded; empty where there was nothing.
    pub recorded: String,
    /// As it would be now; empty where there would be nothing.
    pub replayed: String,
}

/// Whether so many visits of each station may be replayed.
pub(super) fn permitted(visits: Option<u32>) -> Result<(), Fault> {
    match visits {
        Some(visits) if !(1..=MOST).contains(&visits) => Err(Fault::invalid(format!(
            "a shadow replays 1 to {MOST} visits of each station that changes"
        ))),
        _ => Ok(()),
    }
}

/// Replays the last visits of each station that changes, at most `most` of each. Blocks; `runtime` is where
/// visits run.
pub(super) fn replayed(
    lines: &Lines,
    drawn: &Drawn,
    most: u32,
    runtime: &Handle,
) -> Result<Vec<ShadowPlan>, Fault> {
    let assembled = &drawn.assembled;
    let line = (assembled.kept_line(lines.stock())).map_err(|e| wrong(AssemblyError::from(e)))?;
    let changed = (drawn.plan.stations.iter()).filter(|it| it.change == StationChange::Changed);
    let cast = changed.filter_map(|plan| {
        let name = &plan.station;
        let (station, part) = (line.stations.get(name)?, assembled.parts.get(name)?);
        let cast = Cast {
            station,
            rights: assembled.rights(name),
            code: (part.component.digest, &part.compiled),
        };
        Some((name, cast))
    });
    let state = lines.state();
    let items = state.journal.list(&Filter {
        line: Some(line.name.clone()),
        most: Some(LOOKED),
        newest: true,
        ..Filter::default()
    })?;
    let stage = Stage::new().map_err(fault)?;
    let mut all = Vec::new();
    for (station, cast) in cast {
        let mut plan = ShadowPlan::of(station.clone());
        for item in &items {
            if plan.replayed + plan.left_out >= u64::from(most) {
                break;
            }
            let case = match replay::find(&*state.journal, &item.item, station, None) {
                // It never came there, or is gone meanwhile.
                Err(ReplayError::NoVisit { .. } | ReplayError::NoItem(_)) => continue,
                case => case,
            };
            let played = case.and_then(|case| {
                if opens(drawn, station) {
                    return Err(ReplayError::Opens(station.clone()));
                }
                case.bring(state.workspaces.snapshots(), stage.content())?;
                let told = runtime.block_on(stage.play(&case, &line, &cast))?;
                Ok((case.told().differences(&told), case))
            });
            match played {
                Ok((differences, case)) => plan.add(
                    &item.item,
                    (case.visit.nth, case.visit.revision),
                    &differences,
                ),
                Err(
                    error @ (ReplayError::Scratch(_)
                    | ReplayError::Engine(_)
                    | ReplayError::Prepare(_)),
                ) => {
                    return Err(fault(error));
                }
                Err(error) => {
                    plan.left_out += 1;
                    plan.why.get_or_insert_with(|| error.to_string());
                }
            }
        }
        all.push(plan);
    }
    Ok(all)
}

/// Whether a station would get a folder that it does not have: a plan opens nothing that nobody accepted.
fn opens(drawn: &Drawn, station: &Name) -> bool {
    let mut grants = drawn.plan.widened.iter();
    grants.any(|grant| {
        grant.station.as_ref() == Some(station)
            && (grant.new.as_ref()).is_some_and(|new| new.starts_with("fs "))
    })
}

/// What keeps every visit from being replayed.
fn fault(error: ReplayError) -> Fault {
    let message = error.to_string();
    match error {
        ReplayError::Prepare(_) => Fault::invalid(message),
        _ => Fault::internal(message),
    }
}

impl ShadowPlan {
    fn of(station: Name) -> Self {
        Self {
            station,
            replayed: 0,
            different: 0,
            what: BTreeMap::new(),
            visits: Vec::new(),
            left_out: 0,
            why: None,
        }
    }

    /// Counts a visit that was replayed.
    fn add(&mut self, item: &ItemId, of: (u32, u64), differences: &[replay::Difference]) {
        self.replayed += 1;
        if differences.is_empty() {
            return;
        }
        self.different += 1;
        let mut kinds: Vec<&str> = (differences.iter())
            .map(|it| it.what.split(' ').next().unwrap_or_default())
            .collect();
        kinds.dedup();
        for kind in kinds {
            *self.what.entry(kind.into()).or_default() += 1;
        }
        if self.visits.len() < TOLD {
            let told = |difference: &replay::Difference| ShadowDifference {
                what: difference.what.clone(),
                recorded: shortened(&difference.before),
                replayed: shortened(&difference.after),
            };
            self.visits.push(ShadowVisit {
                item: item.clone(),
                nth: of.0,
                revision: of.1,
                differences: differences.iter().map(told).collect(),
            });
        }
    }
}

fn shortened(text: &str) -> String {
    match text.len() > TEXT {
        true => format!("{}…", &text[..text.floor_char_boundary(TEXT)]),
        false => text.into(),
    }
}

impl fmt::Display for ShadowPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            station, replayed, ..
        } = self;
        write!(f, "{station}: {replayed} replayed, ")?;
        match self.different {
            0 => f.write_str("none differs")?,
            different => {
                let what = self.what.iter().map(|(what, n)| format!("{what} {n}"));
                let what: Vec<_> = what.collect();
                write!(f, "{different} different ({})", what.join(", "))?;
            }
        }
        if let Some(why) = &self.why {
            write!(f, ", {} left out: {}", self.left_out, escaped(why))?;
        }
        Ok(())
    }
}
