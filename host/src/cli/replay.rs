//! `andon replay`: a recorded visit once more, with no network at all.

use super::{
    Done, print,
    state::{FactoryArg, State, StateArg, choose},
};
use crate::{
    assembly::{Assembly, Part, Revision, Stock},
    grant::Rights,
    journal::Filter,
    line::Line,
    name::Name,
    replay::{self, Case, Cast, Difference, ReplayError, Stage, Told},
};
use anyhow::Context as _;
use serde_json::json;
use similar::TextDiff;
use std::path::{Path, PathBuf};

/// Run a recorded visit again, offline, and show what differs
///
/// The visit gets what it was given, the same time and random numbers, and the recorded answers to its calls;
/// nothing leaves, and the state folder is not written to. A call that is not recorded ends it as diverged.
///
/// Exit codes: 0 nothing differs, 1 something does, or it cannot be replayed.
#[derive(Debug, clap::Args)]
pub(super) struct Replay {
    /// The item: its id, or the beginning of one.
    item: String,
    /// The station.
    station: Name,
    /// Which of the item's visits to it [default: the last that ended].
    #[arg(long, value_name = "N")]
    visit: Option<u32>,
    /// Another component instead: a station folder, a `.wasm` or a `.wat` file.
    #[arg(long, value_name = "FILE")]
    with: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    state: StateArg,
    #[command(flatten)]
    factory: FactoryArg,
}

impl Replay {
    pub(super) fn execute(self) -> anyhow::Result<Done> {
        let state = State::view(&self.state.nearest()?)?;
        let case = find(&state, &self.item, &self.station, self.visit)?;
        let kept = revision(&state, &case)?;
        let assembly = Assembly {
            factory: self.factory.path(),
            state: Some(&state.folder),
            exe: std::env::current_exe()?,
            say: &print::note,
        };
        let stock = Stock {
            folder: &state.folder,
            content: &state.content,
        };
        let as_it_was = assembly.revive(&kept, case.visit.revision, stock)?;
        let line = as_it_was.kept_line(stock)?;
        let other = (self.with.as_deref())
            .map(|path| assembly.assemble_unlocked(path))
            .transpose()?;
        let stage = Stage::new()?;
        case.bring(state.workspaces.snapshots(), stage.content())?;
        let rights = as_it_was.rights(&self.station);
        let part = match &other {
            Some(other) => other.parts.values().next(),
            None => as_it_was.parts.get(&self.station),
        };
        let part = part.with_context(|| format!("station `{}` has no component", self.station))?;
        let after = play(&stage, &case, &line, rights, part)?;
        let before = case.told();
        let differences = before.differences(&after);
        if self.json {
            print::json(&json!({
                "item": case.item.id, "station": case.visit.station, "nth": case.visit.nth,
                "recorded": before, "replayed": after, "differences": differences,
            }))?;
        } else {
            show(&differences)?;
        }
        Ok(match differences.is_empty() {
            true => Done::Well,
            false => Done::Wrong,
        })
    }
}

/// The recorded visit that a person means.
pub(super) fn find(
    state: &State,
    item: &str,
    station: &Name,
    nth: Option<u32>,
) -> anyhow::Result<Case> {
    let all = state.journal.list(&Filter::default())?;
    let all: Vec<_> = all.into_iter().map(|summary| summary.item).collect();
    let item = choose(item, &all)?;
    Ok(replay::find(&*state.journal, &item, station, nth)?)
}

/// The revision on which a visit was.
pub(super) fn revision(state: &State, case: &Case) -> Result<Revision, ReplayError> {
    let (line, revision) = (&case.visit.line, case.visit.revision);
    let text = state.journal.revision(line, revision)?;
    let text = text.ok_or_else(|| ReplayError::NoRevision {
        line: line.clone(),
        revision,
    })?;
    Revision::from_text(&text).map_err(|error| ReplayError::Unreadable {
        line: line.clone(),
        revision,
        reason: error.to_string(),
    })
}

/// Plays a case of a line with this component and these rights.
pub(super) fn play(
    stage: &Stage,
    case: &Case,
    line: &Line,
    rights: Rights,
    part: &Part,
) -> anyhow::Result<Told> {
    let name = &case.visit.station;
    let no_station = || ReplayError::NoStation {
        line: line.name.clone(),
        station: name.clone(),
    };
    let station = line.stations.get(name).ok_or_else(no_station)?;
    let cast = Cast {
        station,
        rights,
        code: (part.component.digest, &part.compiled),
    };
    let runtime = tokio::runtime::Runtime::new()?;
    Ok(runtime.block_on(stage.play(case, line, &cast))?)
}

/// What differs, as a person reads it.
pub(super) fn show(differences: &[Difference]) -> anyhow::Result<()> {
    if differences.is_empty() {
        print::note("nothing differs");
    }
    for Difference {
        what,
        before,
        after,
    } in differences
    {
        let laid_out = |text: &str| print::block(&format!("{text}\n"));
        let (before, after) = (laid_out(before), laid_out(after));
        let text = TextDiff::from_lines(&before, &after)
            .unified_diff()
            .context_radius(2)
            .header(&format!("{what}, recorded"), &format!("{what}, replayed"))
            .to_string();
        print::text(text.trim_end())?;
    }
    Ok(())
}

/// The name of a folder, for messages.
pub(super) fn shown(path: &Path) -> String {
    print::line(&path.display().to_string())
}
