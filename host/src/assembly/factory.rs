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

/// The factory's file that bounds a line in `folder`: the one given; else the one that bounded it before,
/// or the nearest where that is nearer by now; none where there is none. Links in it are resolved.
///
/// # Errors
/// When the one that bounded it before is gone: what it said at most would not hold any more.
pub fn still(
    given: Option<&Path>,
    before: Option<&Path>,
    folder: &Path,
) -> Result<Option<PathBuf>, AssemblyError> {
    let nearest = file(given, folder).map(|file| resolve(&file));
    let Some(before) = before.filter(|_| given.is_none()) else {
        return Ok(nearest);
    };
    let known = resolve(before);
    if !fs::metadata(&known).is_ok_and(|it| !it.is_dir()) {
        return Err(AssemblyError::NoFactory(known));
    }
    // Only beside one that was found by itself another one that is found by itself counts.
    let found = known.file_name().is_some_and(|name| name == NAME);
    let nearer = |file: &PathBuf| match (file.parent(), known.parent()) {
        (Some(inner), Some(outer)) => found && inner.starts_with(outer),
        _ => false,
    };
    Ok(Some(nearest.filter(nearer).unwrap_or(known)))
}

/// Whether two paths lead to the same file.
pub fn same_file(one: Option<&Path>, other: Option<&Path>) -> bool {
    one.map(resolve) == other.map(resolve)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_below_the_file_that_bounded_it() {
        let ground = tempfile::tempdir().expect("a folder");
        let path = |name: &str| resolve(ground.path()).join(name);
        for folder in ["a/b", "c"] {
            fs::create_dir_all(path(folder)).expect("made");
        }
        for file in ["andon.toml", "a/andon.toml", "c/prod.toml", "c/andon.toml"] {
            fs::write(path(file), "").expect("written");
        }
        type Case<'a> = (
            Option<&'a str>,
            Option<&'a str>,
            &'a str,
            Result<&'a str, &'a str>,
        );
        let cases: &[Case] = &[
            // given, before, the line's folder: the file that bounds it, or the one that is gone
            (None, None, "a/b", Ok("a/andon.toml")),
            (None, None, "c", Ok("c/andon.toml")),
            (
                Some("c/prod.toml"),
                Some("a/gone.toml"),
                "a/b",
                Ok("c/prod.toml"),
            ),
            (None, Some("a/andon.toml"), "a/b", Ok("a/andon.toml")),
            // One is nearer by now.
            (None, Some("andon.toml"), "a/b", Ok("a/andon.toml")),
            // One that was named is not what is nearest.
            (None, Some("c/prod.toml"), "a/b", Ok("c/prod.toml")),
            (None, Some("c/prod.toml"), "c", Ok("c/prod.toml")),
            (None, Some("c/andon.toml"), "a/b", Ok("c/andon.toml")),
            // One further up is none for it.
            (None, Some("a/b/andon.toml"), "a/b", Err("a/b/andon.toml")),
            (None, Some("c/gone.toml"), "c", Err("c/gone.toml")),
            (None, Some("c"), "c", Err("c")),
        ];
        for (given, before, folder, expected) in cases {
            let (given, before) = (given.map(path), before.map(path));
            let found = still(given.as_deref(), before.as_deref(), &path(folder));
            match expected {
                Ok(file) => assert_eq!(found.expect(file), Some(path(file))),
                Err(gone) => match found.expect_err(gone) {
                    AssemblyError::NoFactory(file) => assert_eq!(file, path(gone)),
                    other => panic!("{other}"),
                },
            }
        }
        // Nothing bounds, and nothing is said to be bounded.
        let none = still(
            Some(Path::new("/dev/null")),
            Some(&path("gone")),
            &path("c"),
        );
        assert_eq!(none.expect("it is there"), Some("/dev/null".into()));
    }
}
