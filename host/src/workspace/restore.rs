//! Making a folder equal to a snapshot.

use super::{
    Entry, Snapshots, Tree, WorkspaceError, folder,
    scan::{Stamp, Stamps, now},
};
use crate::content::Content;
use rustix::{
    fd::OwnedFd,
    fs::{Mode, OFlags, mkdirat, openat, symlinkat},
    io::Errno,
};
use std::{fs::File, io::Write};

/// Fills the empty folder `root` with what `tree` says; the stamps of the files, as far as a later
/// change will show in them.
pub(super) fn restore(
    root: &OwnedFd,
    tree: &Tree,
    from: &Snapshots,
) -> Result<Stamps, WorkspaceError> {
    let mut stamps = Stamps::new();
    // Entries of a folder mostly stand together, so the last folder is kept open.
    let mut last: Option<(String, OwnedFd)> = None;
    for (path, entry) in tree.iter() {
        let fail = |errno: Errno| WorkspaceError::system("restore", path)(errno);
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let parent = match &last {
            Some((open, fd)) if open == parent => fd,
            _ => {
                let opened = folder::open(root, parent).map_err(fail)?;
                &last.insert((parent.into(), opened)).1
            }
        };
        match entry {
            Entry::Folder => mkdirat(parent, name, Mode::from_raw_mode(0o755)).map_err(fail)?,
            Entry::Link { target } => symlinkat(target.as_str(), parent, name).map_err(fail)?,
            Entry::File { digest, len, exec } => {
                let mode = if *exec { 0o755 } else { 0o644 };
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
                let mut file: File = openat(parent, name, flags, Mode::from_raw_mode(mode))
                    .map_err(fail)?
                    .into();
                let fail = |error| WorkspaceError::system("restore", path)(error);
                if *len <= Content::SMALL as u64 {
                    file.write_all(&from.small(digest)?).map_err(fail)?;
                } else {
                    let mut source = from.large(digest)?;
                    let copied = std::io::copy(&mut source, &mut file).map_err(fail)?;
                    if copied != *len {
                        let reason = format!("`{digest}` has {copied} bytes instead of {len}");
                        return Err(WorkspaceError::Damaged {
                            digest: *digest,
                            reason,
                        });
                    }
                }
                let stamp = Stamp::of_file(&file)
                    .map_err(|errno| WorkspaceError::system("restore", path)(errno))?;
                stamps.insert(path.into(), stamp);
            }
        }
    }
    let end = now();
    stamps.retain(|_, stamp| stamp.tells_after(end));
    Ok(stamps)
}
