//! Room on the disk: whether there is some, and which failures come from there being none.

use rustix::process::Signal;
use std::{
    fs::{self, File},
    io::{self, ErrorKind, Write},
    path::Path,
};
use tokio::signal::unix::{SignalKind, signal};

/// So much has to be free before anything is started again: some rounds of the journal's log.
const ENOUGH: u64 = 32 << 20;
/// On a small disk, this part of it.
const PART: u64 = 20;
/// As much is written to see whether it can be: a quota shows nowhere else.
const PROBE: usize = 1 << 20;

/// How much room a disk has, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// What an ordinary user may still write.
    pub free: u64,
    /// All of it.
    pub total: u64,
}

impl Room {
    /// Whether it is enough to go on with.
    pub fn is_enough(&self) -> bool {
        self.free >= ENOUGH.min(self.total / PART)
    }
}

/// The room on the disk that `folder` is on.
///
/// # Errors
/// What the system says.
pub fn room(folder: &Path) -> io::Result<Room> {
    let about = rustix::fs::statvfs(folder)?;
    Ok(Room {
        free: about.f_bavail.saturating_mul(about.f_frsize),
        total: about.f_blocks.saturating_mul(about.f_frsize),
    })
}

/// Whether there is room in `folder` again, for whoever waits for it: enough is free, and a file can be
/// written.
///
/// # Errors
/// What the system says, other than that there is no room.
pub fn has_room(folder: &Path) -> io::Result<bool> {
    if !room(folder)?.is_enough() {
        return Ok(false);
    }
    let probe = folder.join(format!(".room-{}", std::process::id()));
    let written = File::create(&probe).and_then(|mut file| {
        file.write_all(&vec![0; PROBE])?;
        file.sync_all()
    });
    let removed = fs::remove_file(&probe);
    match written {
        Ok(()) => removed.map(|()| true),
        Err(error) if is_full(error.kind()) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether a failure of this kind passes when there is room again, of the disk or of a bound that was set
/// for the process (`ulimit -f`).
pub fn is_full(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
    )
}

/// From now on, a file that would grow over the bound of the process is an error as others are, which
/// [`is_full`] knows; without this the system ends the process. To be called in a runtime.
///
/// # Errors
/// What the system says.
pub fn outlive_bounds() -> io::Result<()> {
    let kind = SignalKind::from_raw(Signal::XFSZ.as_raw());
    // Who once listens to a signal is never again ended by it.
    signal(kind).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enough_is_a_part_of_a_small_disk() {
        for (free, total, enough) in [
            (32 << 20, 1 << 40, true),
            ((32 << 20) - 1, 1 << 40, false),
            (1 << 20, 20 << 20, true),
            ((1 << 20) - 1, 20 << 20, false),
            (0, 1 << 40, false),
        ] {
            assert_eq!(
                Room { free, total }.is_enough(),
                enough,
                "{free} of {total}"
            );
        }
    }

    #[test]
    fn room_is_looked_for_without_a_trace() {
        let dir = tempfile::tempdir().unwrap();
        assert!(room(dir.path()).unwrap().total > 0);
        has_room(dir.path()).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        assert!(has_room(&dir.path().join("nowhere")).is_err());
    }
}
