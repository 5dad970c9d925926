//! The Rust SDK that this crate carries, laid out in the cache for cargo to find.
//!
//! One folder for each content, so that two versions of andon do not disturb each other.

use std::fs;
use std::path::PathBuf;

use crate::cache;
use crate::error::{BuildError, Doing};

include!(concat!(env!("OUT_DIR"), "/sdk.rs"));

/// The folder of the crate `andon-station` in the user's cache, written there when it is not yet.
///
/// It has the same place relative to the WIT files as in andon's own repository.
pub fn sdk_path() -> Result<PathBuf, BuildError> {
    let shelf = cache::folder()?.join("sdk");
    let home = shelf.join(SDK_DIGEST);
    if !home.is_dir() {
        fs::create_dir_all(&shelf).doing("create", &shelf)?;
        let draft = tempfile::tempdir_in(&shelf).doing("create a folder in", &shelf)?;
        for (name, bytes) in FILES {
            let file = draft.path().join(name);
            let folder = file.parent().unwrap_or(draft.path());
            fs::create_dir_all(folder).doing("create", folder)?;
            fs::write(&file, bytes).doing("write", &file)?;
        }
        // A folder that another process has put there in the meantime has the same content.
        if let Err(error) = fs::rename(draft.path(), &home)
            && !home.is_dir()
        {
            return Err(error).doing("create", &home);
        }
    }
    Ok(home.join("sdk/rust"))
}
