//! Removing whole trees, however deep and wide a station made them.
//!
//! A tree is renamed into a folder that only the host uses, and there each folder that is found in it
//! is lifted to the top before it is emptied. So there is no recursion, no path that grows, and never
//! more than a few descriptors, where a plain recursive removal runs out of them.

use super::{WorkspaceError, folder};
use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{AtFlags, Mode, chmodat, fchmod, mkdirat, renameat, unlinkat},
    io::Errno,
};
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug)]
pub(super) struct Trash {
    folder: OwnedFd,
    next: AtomicU64,
}

impl Trash {
    /// The folder's name beside the workspaces.
    pub(super) const NAME: &str = ".trash";

    /// The trash of the folder `work`; empties it of what an earlier process did not come to.
    pub(super) fn open(work: impl AsFd) -> Result<Self, WorkspaceError> {
        let fail = |doing| WorkspaceError::system::<Errno>(doing, Self::NAME);
        match mkdirat(&work, Self::NAME, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(fail("create")(errno)),
        }
        let folder = folder::open_one(&work, Self::NAME).map_err(fail("open"))?;
        let (folder, names) = folder::names(folder, usize::MAX).map_err(fail("read"))?;
        // Numbered past anything that is there, so that lifting never meets a name in use.
        let taken = names
            .iter()
            .filter_map(|name| name.to_str().ok()?.parse::<u64>().ok());
        let next = AtomicU64::new(taken.max().map_or(0, |n| n + 1));
        let trash = Self { folder, next };
        for name in names {
            trash.remove(trash.folder.as_fd(), &name.to_string_lossy())?;
        }
        Ok(trash)
    }

    /// Removes `name` in `parent`, whatever it is; nothing there is fine.
    pub(super) fn remove(&self, parent: BorrowedFd<'_>, name: &str) -> Result<(), WorkspaceError> {
        self.take_down(parent, name)
            .map_err(WorkspaceError::system("remove", name))
    }

    fn take_down(&self, parent: BorrowedFd<'_>, name: &str) -> Result<(), Errno> {
        match unlinkat(parent, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(errno) if folder::says_folder(errno) => {}
            Err(errno) => return Err(errno),
        }
        let mut folders = vec![self.lift(parent, name)?];
        while let Some(name) = folders.pop() {
            let opened = match folder::open_one(&self.folder, name.as_str()) {
                Err(Errno::ACCESS) => {
                    chmodat(&self.folder, name.as_str(), Mode::RWXU, AtFlags::empty())?;
                    folder::open_one(&self.folder, name.as_str())
                }
                opened => opened,
            }?;
            let (opened, names) = folder::names(opened, usize::MAX)?;
            for inner in names {
                let mut tried = unlinkat(&opened, &inner, AtFlags::empty());
                if tried == Err(Errno::ACCESS) {
                    fchmod(&opened, Mode::RWXU)?;
                    tried = unlinkat(&opened, &inner, AtFlags::empty());
                }
                match tried {
                    Ok(()) | Err(Errno::NOENT) => {}
                    Err(errno) if folder::says_folder(errno) => {
                        folders.push(self.lift(opened.as_fd(), &inner)?);
                    }
                    Err(errno) => return Err(errno),
                }
            }
            unlinkat(&self.folder, name.as_str(), AtFlags::REMOVEDIR)?;
        }
        Ok(())
    }

    /// Renames a folder to the top of the trash; its name there.
    fn lift(&self, parent: BorrowedFd<'_>, name: impl rustix::path::Arg) -> Result<String, Errno> {
        let lifted = self.next.fetch_add(1, Ordering::Relaxed).to_string();
        let name = name.into_c_str()?;
        match renameat(parent, &*name, &self.folder, lifted.as_str()) {
            // A folder that may not be written cannot be moved: its `..` would change.
            Err(Errno::ACCESS) => {
                chmodat(parent, &*name, Mode::RWXU, AtFlags::empty())?;
                renameat(parent, &*name, &self.folder, lifted.as_str())?;
            }
            renamed => renamed?,
        }
        Ok(lifted)
    }
}
