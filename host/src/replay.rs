//! Recorded visits, run again offline: with no network at all, from what is kept of them, with the
//! component as it was or another one. And what differs then.
//!
//! Decides nothing about a visit: what its outcome leads to is asked of [`crate::item::step`], as when it
//! was live, and compared record by record.

mod case;
mod cassette;
mod difference;

pub use case::{Case, find};
pub use cassette::{Cassette, CassetteError, FOLDER};
pub use difference::{Difference, Told, told};

use crate::{
    content::{Content, ContentError},
    digest::Digest,
    grant::{Access, Rights},
    item::{Event, FoldError, ItemId, Record, Refused, step},
    journal::{JournalError, Memory},
    line::{Line, Station},
    name::Name,
    sandbox::{
        InProcess, PrepareError, Runner as _, Settings,
        egress::{Gate, Log, Means, NoSecrets, Played, Terms, Unaudited},
    },
    workspace::{WorkspaceError, Workspaces},
};
use std::{io, sync::Arc};
use tempfile::TempDir;

/// Why a visit cannot be replayed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum ReplayError {
    #[error("there is no item `{0}`\n  hint: `andon items` lists them")]
    NoItem(ItemId),
    #[error(
        "item `{item}` had no visit{nth} to `{station}` that ended\n  hint: `andon show {item}` lists its visits"
    )]
    NoVisit {
        item: ItemId,
        station: Name,
        nth: String,
    },
    #[error("revision {revision} of `{line}` is not kept any more")]
    NoRevision { line: Name, revision: u64 },
    #[error("revision {revision} of `{line}` cannot be read: {reason}")]
    Unreadable {
        line: Name,
        revision: u64,
        reason: String,
    },
    #[error("line `{line}` has no station `{station}`")]
    NoStation { line: Name, station: Name },
    #[error("`{what}` is not kept any more, so the visit cannot be replayed")]
    Gone { what: String },
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Content(#[from] ContentError),
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    #[error(transparent)]
    Fold(#[from] FoldError),
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    #[error(
        "a visit to `{0}` cannot be replayed: the station may write to a folder of the host's, and would do so again\n  hint: `andon show ITEM` tells what was recorded"
    )]
    Writes(Name),
    #[error(
        "`{0}` is granted a folder of the host's that nobody has accepted yet, which a replay would open"
    )]
    Opens(Name),
    #[error("the engine does not start: {0}")]
    Engine(String),
    #[error("there is no room for a replay: {0}")]
    Scratch(#[from] io::Error),
}

/// A component for a replay, and what it is given.
pub struct Cast<'a> {
    /// The station: its settings, limits and grants, every path absolute.
    pub station: &'a Station,
    /// What it may do.
    pub rights: Rights,
    /// Its code, and the digest of what it was compiled from.
    pub code: (Digest, &'a crate::catalogue::Compiled),
}

/// What is kept for replays while one process makes them: a folder of its own, so that nothing is
/// written to the state folder that the visits come from.
pub struct Stage {
    content: Content,
    folder: TempDir,
}

impl Stage {
    /// An empty one.
    ///
    /// # Errors
    /// When there is no room for temporary files.
    pub fn new() -> Result<Self, ReplayError> {
        let folder = tempfile::tempdir()?;
        let content = Content::open(folder.path().join("blobs"));
        Ok(Self { content, folder })
    }

    /// Everything that cases name has to be here before they are played.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// Plays a case: what came of it. Network calls are answered from what is recorded, and one that is
    /// not ends the visit as diverged. What the station may only read of the host's it reads as it is now.
    /// To be called in a runtime.
    ///
    /// # Errors
    /// When the component is no station, when the station may write to a folder of the host's, or when
    /// there is no room for what it writes.
    pub async fn play(
        &self,
        case: &Case,
        line: &Line,
        cast: &Cast<'_>,
    ) -> Result<Told, ReplayError> {
        let mut mounts = cast.station.grants.fs.iter();
        if mounts.any(|mount| mount.access == Access::Write) {
            return Err(ReplayError::Writes(case.visit.station.clone()));
        }
        let played = Arc::new(Played::new(case.effects.clone()));
        let gate = Gate::new(Means {
            vault: Arc::new(NoSecrets),
            auditor: Arc::new(Unaudited),
            resolvers: Vec::new(),
            clock: || 0,
            log: Some(Log::played(played.clone(), self.content.clone())),
        });
        let (name, revision) = (&case.visit.station, case.visit.revision);
        gate.admit(
            &case.visit.line,
            revision,
            name,
            Terms {
                rights: cast.rights.clone(),
                rate: cast.station.rate.clone(),
                limits: cast.station.limits.clone(),
                violation: cast.station.violation,
                component: cast.code.0,
                granted_at: "the line".into(),
            },
        );
        // What is small has no journal to be in: it is all in the content store.
        let journal = Arc::new(Memory::new());
        let work = tempfile::tempdir_in(self.folder.path())?;
        let workspaces = Workspaces::open(work.path(), self.content.clone(), journal);
        let sandbox = InProcess::new(Settings {
            visits: 1,
            folders: Arc::new(workspaces),
            contents: Arc::new(self.content.clone()),
            egress: Arc::new(gate),
            progress: None,
        })
        .map_err(|error| ReplayError::Engine(error.to_string()))?;
        sandbox.prepare_cached(&case.visit.line, revision, name, cast.station, cast.code)?;
        let mut report = sandbox.visit(case.visit.clone()).await;
        for (_, bytes) in std::mem::take(&mut report.blobs) {
            self.content.put(&bytes)?;
        }
        let asked = played.asked();
        let records = step(&case.item, line, case.ended.at(), Event::Reported(report))?;
        let record: &Record = records.first().unwrap_or(&case.ended);
        Ok(told(record, asked))
    }
}
