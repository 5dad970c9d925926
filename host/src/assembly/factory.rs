//! Finds the factory's file of a line.

use super::{AssemblyError, reserved::resolve, unreadable};
use crate::factory::Factory;
use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// The name of the file.
const NAME: &str = "andon.toml";

/// The factory's file: the one given, or the nearest in `folder` or above.
pub fn file(given: Option<&Path>, folder: &Path) -> Option<PathBuf> {
    if let Some(file) = given {
        return Some(file.into());
    }
    let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.into());
    let mut files = folder.ancestors().map(|above| above.join(NAME));
    files.find(|file| file.is_file())
}

/// What the factory's file says, which is `file`, or the nearest in `folder` or above; the folders of its
/// ceiling are resolved.
///
/// # Errors
/// When it cannot be read, or is wrong.
pub fn find(file: Option<&Path>, folder: &Path) -> Result<Factory, AssemblyError> {
    let Some(file) = self::file(file, folder) else {
        return Ok(Factory::default());
    };
    let bytes =
        fs::read(&file).map_err(|e| unreadable(&file, &e, "a factory file is an `andon.toml`"))?;
    // as a person here would name it
    let here = env::current_dir().and_then(fs::canonicalize).ok();
    let named = here.and_then(|here| file.strip_prefix(here).ok());
    let named = named.unwrap_or(&file).display().to_string();
    let mut factory = Factory::parse(&named, &bytes).map_err(AssemblyError::Problems)?;
    let beside = file.parent().unwrap_or(&file);
    for entry in factory.ceiling.iter_mut().flat_map(|c| &mut c.grants.fs) {
        entry.host = resolve(&beside.join(&entry.host));
    }
    Ok(factory)
}
