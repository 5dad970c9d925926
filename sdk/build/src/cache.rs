//! The user's cache folder, locks between processes, and files that appear whole.

use std::env;
use std::fs::{self, File, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::error::{BuildError, Doing};

/// Where everything goes that stations share: `$ANDON_BUILD_CACHE`, else `andon/build` in
/// `$XDG_CACHE_HOME` or `~/.cache`. Always absolute.
pub(crate) fn folder() -> Result<PathBuf, BuildError> {
    let set = |name: &str| {
        env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    let folder = set("ANDON_BUILD_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|home| home.join("andon/build")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/andon/build")))
        .ok_or(BuildError::NoCache)?;
    fs::create_dir_all(&folder).doing("create", &folder)?;
    folder.canonicalize().doing("open", &folder)
}

/// An exclusive lock on a file, given back when dropped or when the process ends.
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock; calls `waiting` once if another process has it.
    pub(crate) fn take(path: &Path, waiting: impl FnOnce()) -> Result<Self, BuildError> {
        let options = File::options()
            .create(true)
            .write(true)
            .truncate(false)
            .open(path);
        let file = options.doing("open", path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                waiting();
                file.lock().doing("lock", path)?;
            }
            Err(TryLockError::Error(error)) => return Err(error).doing("lock", path),
        }
        Ok(Self { _file: file })
    }
}

/// Writes a file so that others see the old content or the new one, never a part.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), BuildError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut draft = tempfile::Builder::new()
        .permissions(readable())
        .tempfile_in(folder)
        .doing("write in", folder)?;
    draft.write_all(bytes).doing("write", draft.path())?;
    draft
        .persist(path)
        .map_err(|e| e.error)
        .doing("write", path)?;
    Ok(())
}

/// Temporary files are private by default; what is built is as readable as any file.
fn readable() -> fs::Permissions {
    use std::os::unix::fs::PermissionsExt as _;
    fs::Permissions::from_mode(0o644)
}
