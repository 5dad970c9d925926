//! `andon test`: a station against recorded visits.

use super::{
    Done, print,
    replay::{find, play, revision, show, shown},
    state::{FactoryArg, State, StateArg},
};
use crate::{
    assembly::{Assembly, AssemblyError},
    grant::Rights,
    name::Name,
    replay::{Cassette, FOLDER, Stage},
};
use anyhow::Context as _;
use std::path::{Path, PathBuf};

/// Run a station against the visits that were recorded for it
///
/// Each folder of `cassettes/` beside the station's source is a recorded visit. It is replayed, offline, against
/// the station as it is built now. `--record` adds one, from a line's state folder.
///
/// Exit codes: 0 nothing differs, 1 something does.
#[derive(Debug, clap::Args)]
pub(super) struct Test {
    /// The station's folder.
    station: PathBuf,
    /// Record a visit of this item (its id, or the beginning of one) instead.
    #[arg(long, value_name = "ITEM", requires = "at")]
    record: Option<String>,
    /// The station's name on the line that the item was on.
    #[arg(long, value_name = "STATION", requires = "record")]
    at: Option<Name>,
    /// Which of the item's visits to it [default: the last that ended].
    #[arg(long, value_name = "N", requires = "record")]
    visit: Option<u32>,
    /// What to call the recording [default: the station's name and the item].
    #[arg(long, value_name = "NAME", requires = "record")]
    name: Option<Name>,
    /// Take what comes of the visits now for right, instead of showing what differs.
    #[arg(long, conflicts_with = "record")]
    update: bool,
    #[command(flatten)]
    state: StateArg,
    #[command(flatten)]
    factory: FactoryArg,
}

impl Test {
    pub(super) fn execute(self) -> anyhow::Result<Done> {
        match (&self.record, &self.at) {
            (Some(item), Some(at)) => self.record(item, at),
            _ => self.test(),
        }
    }

    fn record(&self, item: &str, at: &Name) -> anyhow::Result<Done> {
        if !self.station.join("station.toml").is_file() {
            anyhow::bail!(
                "`{}` is no station's folder: there is no `station.toml` in it",
                shown(&self.station)
            );
        }
        let state = State::view(&self.state.nearest()?)?;
        let case = find(&state, item, at, self.visit)?;
        let name = match &self.name {
            Some(name) => name.to_string(),
            None => format!("{at}-{}", case.item.id).replace('.', "-"),
        };
        let folder = self.station.join(FOLDER).join(&name);
        if folder.exists() {
            anyhow::bail!(
                "`{}` is there already\n  hint: remove it, or name another with `--name`",
                shown(&folder)
            );
        }
        let line = revision(&state, &case)?.line;
        Cassette::write(&case, &line, state.workspaces.snapshots(), &folder)?;
        print::note(&format!("recorded `{}`", shown(&folder)));
        Ok(Done::Well)
    }

    fn test(&self) -> anyhow::Result<Done> {
        let all = Cassette::all(&self.station)?;
        if all.is_empty() {
            anyhow::bail!(
                "there is nothing to test with: no recorded visit is in `{}`\n  hint: `andon test {} --record ITEM --at STATION` adds one",
                shown(&self.station.join(FOLDER)),
                shown(&self.station)
            );
        }
        let assembly = Assembly {
            factory: self.factory.path(),
            state: None,
            exe: std::env::current_exe()?,
            say: &print::note,
        };
        let built = match assembly.assemble_unlocked(&self.station) {
            Err(AssemblyError::Problems(problems)) => return Ok(super::check::wrong(&problems)),
            built => built?,
        };
        let part = built.parts.values().next();
        let part = part.context("the station has no component")?;
        let mut different = 0;
        for folder in &all {
            let name = folder.file_name().map(Path::new).unwrap_or(folder);
            let stage = Stage::new()?;
            let mut cassette = Cassette::read(folder)?;
            let (line, case) = cassette.case(folder, stage.content())?;
            let rights = Rights {
                grants: (line.stations.get(&case.visit.station))
                    .map(|station| station.grants.clone())
                    .unwrap_or_default(),
                ceiling: None,
            };
            let after = play(&stage, &case, &line, rights, part)?;
            let differences = cassette.told.differences(&after);
            if differences.is_empty() {
                print::text(&format!("{}: the same", shown(name)))?;
            } else if self.update {
                cassette.told = after;
                cassette.save(folder)?;
                print::text(&format!("{}: updated", shown(name)))?;
            } else {
                different += 1;
                print::text(&format!("{}: different", shown(name)))?;
                show(&differences)?;
            }
        }
        Ok(match different {
            0 => Done::Well,
            _ => Done::Wrong,
        })
    }
}
