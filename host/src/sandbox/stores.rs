//! The stores as the sandbox needs them.

use super::{
    folders::{Contents, Folder, Folders, LeaveError, Left},
    way::Vault,
};
use crate::{
    content::Content,
    digest::Digest,
    item::ItemId,
    secrets::Secrets,
    visit::Visit,
    workspace::{Held, Mounts, Workspace, Workspaces},
};
use std::{fs::File, io, path::Path};
use zeroize::Zeroizing;

impl Folders for Workspaces {
    fn enter(&self, visit: &Visit) -> io::Result<Box<dyn Folder>> {
        let mut workspace = self.of(&visit.item, visit.workspace, &visit.joined);
        let mounts = workspace.enter()?.clone();
        Ok(Box::new(Entered { workspace, mounts }))
    }

    fn parted(&self, item: &ItemId) {
        // A station may have left a hundred thousand files: nobody waits for them to go. What stays when
        // the process ends first is removed by the next one.
        if self.part(item) {
            let all = self.clone();
            tokio::task::spawn_blocking(move || all.clear_away());
        }
    }
}

struct Entered {
    workspace: Workspace,
    mounts: Mounts,
}

impl Folder for Entered {
    fn path(&self) -> &Path {
        &self.mounts.workspace
    }

    fn joined(&self) -> Vec<Option<&Path>> {
        self.mounts
            .joined
            .iter()
            .map(|path| Some(path.as_path()))
            .collect()
    }

    fn held(&self) -> Option<Held> {
        self.workspace.held()
    }

    fn leave(self: Box<Self>, most: Held) -> Result<Left, LeaveError> {
        match self.workspace.leave(Some(most)) {
            Ok(Some(snapshot)) => Ok(Left {
                workspace: Some(snapshot.digest),
                blobs: snapshot.blobs,
            }),
            Ok(None) => Ok(Left::default()),
            Err(error) if error.is_stations() => Err(LeaveError::Station(error.to_string())),
            Err(error) => Err(LeaveError::Host(error.into())),
        }
    }
}

impl Contents for Content {
    fn put(&self, bytes: &[u8]) -> io::Result<Digest> {
        Ok(Content::put(self, bytes)?)
    }

    fn open(&self, digest: &Digest) -> io::Result<File> {
        self.file(digest)?.ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, format!("blob {digest} is gone"))
        })
    }
}

impl Vault for Secrets {
    fn secret(&self, name: &str) -> io::Result<Option<Zeroizing<String>>> {
        self.get(name).map_err(io::Error::other)
    }
}
