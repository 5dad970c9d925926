//! `wasi:filesystem/preopens`, 0.2 and 0.3: the folders that a visit sees.
//!
//! The workspace comes into being when the guest first asks which folders it has; a visit that never
//! asks pays nothing. wasi-libc asks when the program first opens a file.

use crate::{
    sandbox::{
        folders::{Folder, Folders, Left},
        state::State,
    },
    visit::Visit,
};
use std::{fs::File, io, path::Path, sync::Arc};
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

/// A visit's workspace, once it was asked for.
pub(crate) struct Files {
    folders: Arc<dyn Folders>,
    entered: Option<Box<dyn Folder>>,
}

impl Files {
    pub(crate) fn new(folders: Arc<dyn Folders>) -> Self {
        Self {
            folders,
            entered: None,
        }
    }

    /// The workspace, if the visit has asked for it.
    pub(crate) fn entered(&self) -> Option<&dyn Folder> {
        self.entered.as_deref()
    }

    /// The workspace, brought into being where it is not there yet.
    pub(crate) async fn enter(&mut self, visit: &Arc<Visit>) -> io::Result<&dyn Folder> {
        if self.entered.is_none() {
            // An empty folder is made quicker than another thread is woken.
            let folder = if visit.workspace.is_none() && visit.joined.is_empty() {
                self.folders.enter(visit)?
            } else {
                let (folders, visit) = (self.folders.clone(), visit.clone());
                tokio::task::spawn_blocking(move || folders.enter(&visit)).await??
            };
            self.entered = Some(folder);
        }
        Ok(self.entered.as_deref().expect("entered above"))
    }

    /// Keeps what the visit changed.
    pub(crate) async fn leave(&mut self) -> io::Result<Left> {
        match self.entered.take() {
            Some(folder) => tokio::task::spawn_blocking(move || folder.leave()).await?,
            None => Ok(Left::default()),
        }
    }
}

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    for interface in [
        "wasi:filesystem/preopens@0.2.0",
        "wasi:filesystem/preopens@0.3.0",
    ] {
        linker.instance(interface)?.func_wrap_async(
            "get-directories",
            |store: StoreContextMut<'_, State>, (): ()| {
                Box::new(async move { Ok((directories(store).await?,)) })
            },
        )?;
    }
    Ok(())
}

async fn directories(
    mut store: StoreContextMut<'_, State>,
) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
    let state = store.data_mut();
    let blocking = state.prepared.quick_files;
    let mut found = Vec::new();
    let folder = state.files.enter(&state.visit).await?;
    found.push((
        open(folder.path(), FsPerms::ReadWrite, blocking)?,
        WORKSPACE.to_string(),
    ));
    for (n, path) in folder.joined().into_iter().enumerate() {
        if let Some(path) = path {
            found.push((
                open(path, FsPerms::ReadOnly, blocking)?,
                format!("{WORKSPACE}/in/{n}"),
            ));
        }
    }
    for mount in &state.prepared.mounts {
        found.push((
            open(&mount.host, mount.perms, blocking)?,
            mount.guest.clone(),
        ));
    }
    let mut directories = Vec::with_capacity(found.len());
    for (dir, guest) in found {
        directories.push((state.table.push(Descriptor::Dir(dir))?, guest));
    }
    Ok(directories)
}

fn open(path: &Path, perms: FsPerms, blocking: bool) -> io::Result<Dir> {
    let mode = match perms {
        FsPerms::ReadOnly => OpenMode::READ,
        FsPerms::ReadWrite => OpenMode::READ | OpenMode::WRITE,
    };
    let dir = File::open(path)
        .map_err(|error| io::Error::new(error.kind(), format!("`{}`: {error}", path.display())))?;
    Ok(Dir::new(dir, perms, mode, blocking))
}
