//! Folders of a workspace as open descriptors. Nothing here ever follows a symbolic link: each step of
//! a path is opened from the one before, so what a station swaps in cannot lead out.

use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{Dir, Mode, OFlags, openat},
    io::{Errno, Result},
};
use std::ffi::CString;

/// Opens the folder `path` below `root`, one name at a time; an empty path is `root` itself.
///
/// Never holds more than two descriptors, however deep the path.
pub(super) fn open(root: impl AsFd, path: &str) -> Result<OwnedFd> {
    let mut at = open_one(&root, ".")?;
    for name in path.split('/').filter(|name| !name.is_empty()) {
        at = open_one(&at, name)?;
    }
    Ok(at)
}

/// Opens the folder `name` in `parent`; an error (`ENOTDIR`, `ELOOP`) if it is a link.
pub(super) fn open_one(parent: impl AsFd, name: impl rustix::path::Arg) -> Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
    openat(parent, name, flags, Mode::empty())
}

/// The names in a folder, but no more than `most`: one more means that there are too many. The
/// descriptor comes back to be used with them.
pub(super) fn names(folder: OwnedFd, most: usize) -> Result<(OwnedFd, Vec<CString>)> {
    let mut names = Vec::new();
    for entry in Dir::read_from(&folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        names.push(name.to_owned());
        if names.len() > most {
            break;
        }
    }
    Ok((folder, names))
}

/// Whether an unlink failed because the name is a folder's.
pub(super) fn says_folder(errno: Errno) -> bool {
    // Linux says the one, POSIX and macOS the other.
    matches!(errno, Errno::ISDIR | Errno::PERM)
}
