//! Points at which a test has the process end as a loss of power ends it.
//!
//! With `ANDON_FAILPOINT=name:n` in the environment the process ends by SIGKILL when it comes to the point
//! of that name for the n-th time. Only where debug assertions are on: of a release nothing is left but
//! calls of an empty function. Knows nothing of what happens at its points.

/// Where a process may be ended: before and after whatever is to outlast it, and in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// The journal's writer has orders and nothing of them is written.
    CommitBegins,
    /// All of a transaction is written and it is not committed.
    CommitWritten,
    /// It is committed and nobody was told.
    Committed,
    /// A blob's bytes are on the disk and it has no name yet.
    BlobWritten,
    /// A blob has its name, and no record names it.
    BlobKept,
    /// An unsafe request is about to be recorded.
    Intending,
    /// It is recorded, and was not sent.
    Intended,
    /// A request is being sent.
    Sending,
    /// The head of an answer came, and is not recorded.
    Answered,
    /// The end of an effect was handed to the journal, and may not be durable.
    EffectEnded,
    /// What a line is to run by is about to be kept.
    ChangeBegins,
    /// It is kept, and the conveyor has not heard of it.
    ChangeKept,
    /// The conveyor goes by it, and nobody was told.
    ChangeMade,
    /// A result's file is whole and does not have its name.
    ResultWritten,
    /// It has its name, and it is not noted that it was given.
    ResultGiven,
    /// A source is about to claim a file.
    Claiming,
    /// The file is claimed and was not submitted.
    Claimed,
    /// It is submitted and was not put away.
    Submitted,
}

impl Point {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::CommitBegins,
        Self::CommitWritten,
        Self::Committed,
        Self::BlobWritten,
        Self::BlobKept,
        Self::Intending,
        Self::Intended,
        Self::Sending,
        Self::Answered,
        Self::EffectEnded,
        Self::ChangeBegins,
        Self::ChangeKept,
        Self::ChangeMade,
        Self::ResultWritten,
        Self::ResultGiven,
        Self::Claiming,
        Self::Claimed,
        Self::Submitted,
    ];

    /// Its name in the environment.
    pub fn name(self) -> &'static str {
        match self {
            Self::CommitBegins => "commit-begins",
            Self::CommitWritten => "commit-written",
            Self::Committed => "committed",
            Self::BlobWritten => "blob-written",
            Self::BlobKept => "blob-kept",
            Self::Intending => "intending",
            Self::Intended => "intended",
            Self::Sending => "sending",
            Self::Answered => "answered",
            Self::EffectEnded => "effect-ended",
            Self::ChangeBegins => "change-begins",
            Self::ChangeKept => "change-kept",
            Self::ChangeMade => "change-made",
            Self::ResultWritten => "result-written",
            Self::ResultGiven => "result-given",
            Self::Claiming => "claiming",
            Self::Claimed => "claimed",
            Self::Submitted => "submitted",
        }
    }

    /// The process is here. It comes back unless this is where it is to end.
    #[cfg(debug_assertions)]
    pub(crate) fn reached(self) {
        armed::reached(self);
    }

    /// The process is here.
    #[cfg(not(debug_assertions))]
    #[inline(always)]
    pub(crate) fn reached(self) {}
}

#[cfg(debug_assertions)]
mod armed {
    use super::Point;
    use std::sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    };

    /// Where the process is to end, and how often it has still to come there.
    static ARMED: OnceLock<Option<(Point, AtomicU64)>> = OnceLock::new();

    pub(super) fn reached(point: Point) {
        let armed = ARMED.get_or_init(|| std::env::var("ANDON_FAILPOINT").ok().map(|it| read(&it)));
        if let Some((at, left)) = armed
            && *at == point
            && left.fetch_sub(1, Relaxed) == 1
        {
            let _ = rustix::process::kill_process(
                rustix::process::getpid(),
                rustix::process::Signal::KILL,
            );
            // The signal may come to another thread first; nothing more is done on this one.
            loop {
                std::thread::park();
            }
        }
    }

    /// A test that means another point than there is would prove nothing.
    fn read(text: &str) -> (Point, AtomicU64) {
        let read = || {
            let (name, number) = text.split_once(':')?;
            let point = Point::ALL.into_iter().find(|point| point.name() == name)?;
            let number = number.parse().ok().filter(|number| *number > 0)?;
            Some((point, AtomicU64::new(number)))
        };
        read().unwrap_or_else(|| panic!("`ANDON_FAILPOINT` names no failpoint: `{text}`"))
    }
}
