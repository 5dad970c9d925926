//! `wasi:filesystem/preopens`, 0.2 and 0.3: the folders that a visit sees.
//!
//! The guest asks which folders it has even if it only prints a line: the adapter of WASI 0.1 does so
//! for it. So what it gets are promises, and the workspace comes into being with the first call that
//! uses one of them. A visit that touches no file pays nothing.

use super::filesystem::{self, Bound, Denials, Open, Place, Room, Then, User};
use crate::{
    grant::Access,
    limits::Limit,
    sandbox::{
        folders::{Folder, Folders, LeaveError, Left},
        prepared::Kind,
        state::State,
    },
    visit::Visit,
    workspace::Held,
};
use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
    sync::Arc,
};
use tempfile::TempDir;
use tokio::runtime::RuntimeFlavor;
use wasmtime::{
    StoreContextMut,
    component::{Linker, Resource},
};
use wasmtime_wasi::filesystem::Descriptor;

/// Where the guest sees its workspace.
pub(crate) const WORKSPACE: &str = "/workspace";

/// Where a command may write what more it has to say; no part of the workspace.
const ANDON: &str = "/andon";
/// The file in it, as the command is told.
pub(crate) const OUTPUT: &str = "/andon/output.jsonl";

/// Entries that a command may make beside its one file there.
const ANDON_ENTRIES: u64 = 64;

/// A visit's folders, once they were asked for.
pub(crate) struct Files {
    folders: Arc<dyn Folders>,
    entered: Option<Box<dyn Folder>>,
    /// What the workspace held when it was entered, where that was known without counting.
    held: Option<Held>,
    /// The folder that a command sees as [`ANDON`].
    aside: Option<TempDir>,
    /// The promises that were kept: a guest may ask for its folders more than once.
    kept: Vec<(Promise, Arc<Open>)>,
    /// What the visit was denied.
    pub(crate) denials: Arc<Denials>,
}

/// A folder that the guest was told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Promise {
    Workspace,
    Joined(usize),
    Aside,
    Mount(usize),
}

impl Files {
    pub(crate) fn new(folders: Arc<dyn Folders>) -> Self {
        Self {
            folders,
            entered: None,
            held: None,
            aside: None,
            kept: Vec::new(),
            denials: Arc::default(),
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
            None => {
                let folder = self.folders.enter(visit)?;
                self.held = folder.held();
                folder
            }
        };
        Ok(&**self.entered.insert(folder))
    }

    /// Keeps what the visit changed. `most` is what the workspace may hold; what it held before it may
    /// hold still.
    pub(crate) async fn leave(&mut self, most: Held) -> Result<Left, LeaveError> {
        let before = self.held.unwrap_or_default();
        let most = Held {
            bytes: most.bytes.max(before.bytes),
            entries: most.entries.max(before.entries),
        };
        match self.entered.take() {
            Some(folder) => tokio::task::spawn_blocking(move || folder.leave(most))
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
        directories.push((filesystem::promise(&mut state.table, promise)?, guest));
    }
    Ok(directories)
}

/// Makes a folder that the guest was told of what it is said to be.
pub(super) fn keep(state: &mut State, promise: Promise) -> io::Result<Arc<Open>> {
    let kept = state.files.kept.iter().find(|(of, _)| *of == promise);
    if let Some((_, open)) = kept {
        return Ok(open.clone());
    }
    let takes_time = match promise {
        Promise::Workspace => state.visit.workspace.is_some(),
        Promise::Joined(_) => true,
        Promise::Aside | Promise::Mount(_) => false,
    };
    let open = match tokio::runtime::Handle::try_current() {
        // Restoring a workspace takes its time: other visits of this thread go on elsewhere.
        Ok(runtime)
            if takes_time
                && state.files.entered.is_none()
                && runtime.runtime_flavor() == RuntimeFlavor::MultiThread =>
        {
            tokio::task::block_in_place(|| make(state, promise))
        }
        _ => make(state, promise),
    }?;
    let open = Arc::new(open);
    state.files.kept.push((promise, open.clone()));
    Ok(open)
}

fn make(state: &mut State, promise: Promise) -> io::Result<Open> {
    let limits = &state.prepared.station.limits;
    let place = |guest: String, access: Access| Place {
        guest,
        access,
        foreign: false,
        room: None,
        denials: state.files.denials.clone(),
        tape: state.tape.clone(),
    };
    let ending = |most: u64, limit: Limit| {
        Some(Bound {
            most,
            then: Then::End(limit),
        })
    };
    match promise {
        Promise::Workspace => {
            let mut place = place(WORKSPACE.into(), Access::Write);
            let (bytes, entries) = (
                ending(limits.disk, Limit::Disk),
                ending(limits.files, Limit::Files),
            );
            let folder = open(state.files.enter(&state.visit)?.path())?;
            place.room = Some(Room {
                usage: User::alone(state.files.held),
                bytes,
                entries,
            });
            Ok(Open::place(place, folder))
        }
        Promise::Joined(n) => {
            let place = place(format!("{WORKSPACE}/in/{n}"), Access::Read);
            let folder = state.files.enter(&state.visit)?;
            let path = folder.joined().get(n).copied().flatten();
            let path = path.ok_or_else(|| {
                io::Error::other(format!("the workspace of input {n} is not there"))
            })?;
            Ok(Open::place(place, open(path)?))
        }
        Promise::Aside => {
            let mut place = place(ANDON.into(), Access::Write);
            place.room = Some(Room {
                usage: User::alone(Some(Held::default())),
                bytes: ending(limits.output, Limit::Output),
                entries: Some(Bound {
                    most: ANDON_ENTRIES,
                    then: Then::Refuse,
                }),
            });
            let aside = state.files.aside.insert(tempfile::tempdir()?);
            Ok(Open::place(place, open(aside.path())?))
        }
        Promise::Mount(n) => {
            let mount = &state.prepared.mounts[n];
            let mut place = place(mount.guest.clone(), mount.access);
            place.foreign = mount.foreign;
            let refusing = |most: Option<u64>| {
                most.map(|most| Bound {
                    most,
                    then: Then::Refuse,
                })
            };
            place.room = mount.counted.as_ref().map(|counted| Room {
                usage: counted.enter(),
                bytes: refusing(mount.quota),
                entries: refusing(mount.max_files),
            });
            Ok(Open::place(place, open(&mount.host)?))
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    File::open(path)
        .map_err(|error| io::Error::new(error.kind(), format!("`{}`: {error}", path.display())))
}
