//! `wasi:filesystem/preopens`, 0.2 and 0.3: the folders that a visit sees.
//!
//! The guest asks which folders it has even if it only prints a line: the adapter of WASI 0.1 does so
//! for it. So what it gets are promises, and the workspace comes into being with the first call that
//! uses one of them. A visit that touches no file pays nothing.

use crate::{
    sandbox::{
        folders::{Folder, Folders, LeaveError, Left},
        prepared::Kind,
        state::State,
    },
    visit::Visit,
};
use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
    sync::{Arc, LazyLock},
};
use tempfile::TempDir;
use tokio::runtime::RuntimeFlavor;
use wasmtime::{
    StoreContextMut,
    component::{Linker, Resource},
};
use wasmtime_wasi::{
    FsPerms, OpenMode,
    filesystem::{Descriptor, Dir},
};

/// Where the guest sees its workspace.
pub(crate) const WORKSPACE: &str = "/workspace";

/// Where a command may write what more it has to say; no part of the workspace.
const ANDON: &str = "/andon";
/// The file in it, as the command is told.
pub(crate) const OUTPUT: &str = "/andon/output.jsonl";

/// A visit's workspace, once it was asked for.
pub(crate) struct Files {
    folders: Arc<dyn Folders>,
    entered: Option<Box<dyn Folder>>,
    /// The folder that a command sees as [`ANDON`].
    aside: Option<TempDir>,
    /// Descriptors that stand for folders until they are used, by their place in the table.
    promised: Vec<(u32, Promise)>,
    /// Why the promises could not be kept: the host's trouble, not the guest's.
    pub(crate) broken: Option<io::Error>,
}

/// A folder that the guest was told of.
enum Promise {
    Workspace,
    Joined(usize),
    Aside,
    Mount(usize),
}

/// What a promise holds on to until it is kept: every file call on it fails.
static NOTHING: LazyLock<io::Result<File>> = LazyLock::new(|| File::open("/dev/null"));

impl Files {
    pub(crate) fn new(folders: Arc<dyn Folders>) -> Self {
        Self {
            folders,
            entered: None,
            aside: None,
            promised: Vec::new(),
            broken: None,
        }
    }

    /// What a command wrote to [`OUTPUT`]: none if nothing, an error beyond `most` bytes.
    pub(crate) fn said(&self, most: u64) -> io::Result<Option<String>> {
        let Some(aside) = &self.aside else {
            return Ok(None);
        };
        let name = OUTPUT.rsplit('/').next().unwrap_or_default();
        let dir = cap_std::fs::Dir::open_ambient_dir(aside.path(), cap_std::ambient_authority())?;
        let file = match dir.open(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut text = String::new();
        file.take(most.saturating_add(1))
            .read_to_string(&mut text)?;
        if text.len() as u64 > most {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(Some(text).filter(|text| !text.trim().is_empty()))
    }

    /// The workspace, if the visit has asked for it.
    pub(crate) fn entered(&self) -> Option<&dyn Folder> {
        self.entered.as_deref()
    }

    /// The workspace, brought into being where it is not there yet. Blocks.
    pub(crate) fn enter(&mut self, visit: &Visit) -> io::Result<&dyn Folder> {
        let folder = match self.entered.take() {
            Some(folder) => folder,
            None => self.folders.enter(visit)?,
        };
        Ok(&**self.entered.insert(folder))
    }

    /// Keeps what the visit changed.
    pub(crate) async fn leave(&mut self) -> Result<Left, LeaveError> {
        match self.entered.take() {
            Some(folder) => tokio::task::spawn_blocking(move || folder.leave())
                .await
                .map_err(io::Error::from)?,
            None => Ok(Left::default()),
        }
    }
}

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    // Just the versions that wasmtime-wasi links, or its own would still be found beside these.
    for interface in [
        "wasi:filesystem/preopens@0.2.12",
        "wasi:filesystem/preopens@0.3.0",
    ] {
        linker.instance(interface)?.func_wrap(
            "get-directories",
            |mut store: StoreContextMut<'_, State>, (): ()| Ok((promise(store.data_mut())?,)),
        )?;
    }
    Ok(())
}

/// Tells the guest of its folders.
fn promise(state: &mut State) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
    let mut folders = vec![(Promise::Workspace, WORKSPACE.to_string())];
    for (n, joined) in state.visit.joined.iter().enumerate() {
        if joined.is_some() {
            folders.push((Promise::Joined(n), format!("{WORKSPACE}/in/{n}")));
        }
    }
    if state.prepared.entrance.kind() == Kind::Command {
        folders.push((Promise::Aside, ANDON.into()));
    }
    for (n, mount) in state.prepared.mounts.iter().enumerate() {
        folders.push((Promise::Mount(n), mount.guest.clone()));
    }
    let mut directories = Vec::with_capacity(folders.len());
    for (promise, guest) in folders {
        let nothing = NOTHING.as_ref().map_err(|e| io::Error::from(e.kind()))?;
        let dir = Dir::new(
            nothing.try_clone()?,
            FsPerms::ReadOnly,
            OpenMode::READ,
            true,
        );
        let descriptor = state.table.push(Descriptor::Dir(dir))?;
        state.files.promised.push((descriptor.rep(), promise));
        directories.push((descriptor, guest));
    }
    Ok(directories)
}

/// Whether the descriptor is a folder that is not used yet.
pub(super) fn is_promised(state: &State, descriptor: &Resource<Descriptor>) -> bool {
    let promised = &state.files.promised;
    promised.iter().any(|(rep, _)| *rep == descriptor.rep())
}

/// Makes the folders that the guest was told of what they are said to be.
pub(super) fn keep_promises(state: &mut State) {
    if state.files.promised.is_empty() {
        return;
    }
    let promised = std::mem::take(&mut state.files.promised);
    let kept = match tokio::runtime::Handle::try_current() {
        // Restoring a workspace takes its time: other visits of this thread go on elsewhere.
        Ok(runtime)
            if runtime.runtime_flavor() == RuntimeFlavor::MultiThread
                && state.visit.workspace.is_some() =>
        {
            tokio::task::block_in_place(|| keep(state, promised))
        }
        _ => keep(state, promised),
    };
    if let Err(error) = kept {
        state.files.broken = Some(error);
    }
}

fn keep(state: &mut State, promised: Vec<(u32, Promise)>) -> io::Result<()> {
    let quick = state.prepared.quick_files;
    for (rep, promise) in promised {
        let dir = match promise {
            Promise::Workspace => {
                let folder = state.files.enter(&state.visit)?;
                open(folder.path(), FsPerms::ReadWrite, quick)?
            }
            Promise::Joined(n) => {
                let folder = state.files.enter(&state.visit)?;
                let joined = folder.joined();
                let path = joined.get(n).copied().flatten();
                let path = path.ok_or_else(|| {
                    io::Error::other(format!("the workspace of input {n} is not there"))
                })?;
                open(path, FsPerms::ReadOnly, quick)?
            }
            Promise::Aside => {
                // A guest may ask for its folders more than once, and sees the same one each time.
                let aside = match state.files.aside.take() {
                    Some(aside) => aside,
                    None => tempfile::tempdir()?,
                };
                let aside = state.files.aside.insert(aside);
                open(aside.path(), FsPerms::ReadWrite, quick)?
            }
            Promise::Mount(n) => {
                let mount = &state.prepared.mounts[n];
                open(&mount.host, mount.perms, quick)?
            }
        };
        let place = Resource::<Descriptor>::new_borrow(rep);
        let descriptor = state.table.get_mut(&place).map_err(io::Error::other)?;
        *descriptor = Descriptor::Dir(dir);
    }
    Ok(())
}

fn open(path: &Path, perms: FsPerms, quick: bool) -> io::Result<Dir> {
    let mode = match perms {
        FsPerms::ReadOnly => OpenMode::READ,
        FsPerms::ReadWrite => OpenMode::READ | OpenMode::WRITE,
    };
    let dir = File::open(path)
        .map_err(|error| io::Error::new(error.kind(), format!("`{}`: {error}", path.display())))?;
    Ok(Dir::new(dir, perms, mode, quick))
}
