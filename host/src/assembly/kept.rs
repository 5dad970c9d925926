//! Revisions that stand on the state folder alone: what is kept of a line so that it can be assembled
//! again when its sources are others or gone, and the assembling.
//!
//! Components are kept in the content store under their digests, assets below `assets`. What the operator
//! allows is not kept: a revision comes back under the ceiling of today.

use super::{
    Assembled, Assembly, AssemblyError, AssetError, From, Revision, factory, here, reserved,
};
use crate::{
    content::{Content, ContentError},
    factory::Factory,
    limits::Limit,
    line::{self, Draft, Line},
};
use std::{
    collections::BTreeMap,
    fs,
    path::{Component, Path, PathBuf},
};

/// The part of a state folder in which revisions are kept.
#[derive(Debug, Clone, Copy)]
pub struct Stock<'a> {
    /// The state folder.
    pub folder: &'a Path,
    /// Its content store.
    pub content: &'a Content,
}

/// Why a revision cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// An asset cannot be copied.
    #[error(transparent)]
    Asset(#[from] AssetError),
    /// A component cannot be copied.
    #[error(transparent)]
    Content(#[from] ContentError),
}

impl Stock<'_> {
    pub(super) fn shelf(&self) -> PathBuf {
        self.folder.join("assets")
    }
}

impl Assembled {
    /// The line that runs, every path absolute; and the revision that the journal is to keep of it. All
    /// that the revision needs is in the state folder, durable, when this returns.
    ///
    /// # Errors
    /// When assets or components cannot be copied.
    pub fn keep(&self, stock: Stock<'_>) -> Result<(Line, Revision), KeepError> {
        let line = self.placed(&stock.shelf())?;
        // Several stations may have the same one.
        let components = self.parts.values().map(|part| &part.component);
        let components = components.map(|it| (&it.digest, &it.file));
        for (digest, bytes) in components.collect::<BTreeMap<_, _>>() {
            // One that is there and was damaged since is mended.
            if stock.content.get(digest)?.as_ref() == Some(bytes) {
                stock.content.put(bytes)?;
            } else {
                stock.content.copy(&mut &bytes[..], u64::MAX)?;
            }
        }
        Ok((line, self.revision(stock.folder)))
    }
}

impl Assembled {
    /// The line that runs, of a revision that was revived: all that it needs is in the state folder, and
    /// nothing is written.
    ///
    /// # Errors
    /// When an asset is gone.
    pub fn kept_line(&self, stock: Stock<'_>) -> Result<Line, AssetError> {
        self.placed(&stock.shelf())
    }
}

impl Assembly<'_> {
    /// Assembles a revision from the state folder that it was kept in, whatever has become of the files
    /// that it was made from. It was held to the line's lock when it was kept; the ceiling is that of
    /// today, and limits above it are lowered to it.
    ///
    /// # Errors
    /// When something that was kept is gone or damaged, a granted folder is, or the ceiling does not
    /// admit what a station requires.
    pub fn revive(
        &self,
        revision: &Revision,
        number: u64,
        stock: Stock<'_>,
    ) -> Result<Assembled, AssemblyError> {
        let folder = reserved::resolve(&stock.folder.join(&revision.folder));
        let factory = factory::find(self.factory, &folder)?;
        let mut line = revision.line.clone();
        lower(&mut line, &factory);
        let from = format!("revision {number} of `{}`", line.name);
        let file = revision.file.as_ref().map(|file| folder.join(file));
        let written = file.as_deref().and_then(|file| written(file, &factory));
        let kept = From::Kept(stock, &revision.components);
        let assembled = self.complete(Draft::kept(from, line), file, folder, factory, kept)?;
        Ok(Assembled {
            written,
            ..assembled
        })
    }
}

/// The line file as it is now, for the places in it; none where it is gone or wrong, which is no matter.
fn written(file: &Path, factory: &Factory) -> Option<Draft> {
    let bytes = fs::read(file).ok()?;
    line::parse_bytes(&here(file).display().to_string(), &bytes, &factory.vars).ok()
}

/// Lowers limits to what the factory allows at most.
fn lower(line: &mut Line, factory: &Factory) {
    for station in line.stations.values_mut() {
        for limit in Limit::ALL {
            if station.limits.above(*limit, &factory.most) {
                station.limits.take(*limit, &factory.most);
            }
        }
    }
}

/// How to come from one absolute folder to another: by a relative way where both are below a common
/// folder that is not the root.
pub(crate) fn seen_from(from: &Path, to: &Path) -> PathBuf {
    let (from, to) = (&reserved::resolve(from), &reserved::resolve(to));
    let both = from.components().zip(to.components());
    let common = both.take_while(|(a, b)| a == b).count();
    let named = |part: &Component<'_>| matches!(part, Component::Normal(_));
    if !from.components().take(common).any(|part| named(&part)) {
        return to.into();
    }
    let up = from.components().skip(common).map(|_| Component::ParentDir);
    let way: PathBuf = up.chain(to.components().skip(common)).collect();
    match way.as_os_str().is_empty() {
        true => PathBuf::from("."),
        false => way,
    }
}

#[cfg(test)]
mod tests {
    use super::seen_from;
    use std::path::Path;

    #[test]
    fn folders_seen_from_others() {
        let cases = [
            ("/a/l/.andon", "/a/l", ".."),
            ("/a/state", "/a/lines/review", "../lines/review"),
            ("/a/l", "/a/l", "."),
            ("/a", "/a/b/c", "b/c"),
            ("/var/andon", "/srv/lines", "/srv/lines"),
        ];
        for (from, to, way) in cases {
            assert_eq!(seen_from(Path::new(from), Path::new(to)), Path::new(way));
        }
    }
}
