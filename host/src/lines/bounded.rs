//! By which factory's file a line is bounded, over restarts: a file that is moved away takes no ceiling
//! with it.

use super::{Lines, LinesError};
use crate::{
    assembly::{self, Assembled, AssemblyError},
    conveyor::Revised,
    grant::Ceiling,
    journal::LineState,
    limits::Limit,
    name::Name,
};
use std::path::{Path, PathBuf, absolute};

impl Lines {
    /// The factory's file that bounds a line in `folder`: the one that was given, else the one that bounded
    /// it before, else the nearest; none where there is none. `line` is how a line that is known stands.
    ///
    /// # Errors
    /// When the one that bounded it before is gone.
    pub(crate) fn bounds(
        &self,
        line: Option<&LineState>,
        folder: &Path,
    ) -> Result<Option<PathBuf>, AssemblyError> {
        let before = line.and_then(|line| line.factory.as_deref());
        let before = before.map(|noted| self.state.folder.join(noted));
        assembly::factory_still(self.settings.factory.as_deref(), before.as_deref(), folder)
    }

    /// The same of a revision of a line.
    ///
    /// # Errors
    /// As [`Self::bounds`], and when there is no such revision.
    pub(super) fn bounds_of(
        &self,
        line: &LineState,
        number: u64,
    ) -> Result<Option<PathBuf>, LinesError> {
        let revision = self.revision(&line.line, number)?;
        let folder = self.state.folder.join(&revision.folder);
        Ok(self.bounds(Some(line), &folder)?)
    }

    /// The ceiling below which a revision of a line that runs was made ready; none where it is not.
    pub(crate) fn runs_below(&self, line: &Name, number: u64) -> Option<Option<Ceiling>> {
        let (_, ceiling) = self.gates.of(line, number)?;
        Some(ceiling)
    }

    /// Whether a revision that is ready runs below the ceiling that its factory's file has by now.
    pub(super) fn is_below_todays(
        &self,
        line: &LineState,
        ready: &Revised,
    ) -> Result<bool, LinesError> {
        let bounds = self.bounds_of(line, ready.number)?;
        let folder = self.revision(&line.line, ready.number)?.folder;
        let today = assembly::factory_of(bounds.as_deref(), &self.state.folder.join(folder))?;
        let passed = self.gates.of(&line.line, ready.number);
        let mut limits = ready.line.stations.values().map(|station| &station.limits);
        Ok(passed.is_some_and(|(_, ceiling)| ceiling == today.ceiling)
            && limits.all(|it| !Limit::ALL.iter().any(|limit| it.above(*limit, &today.most))))
    }

    /// A factory's file as a line keeps it in mind: so that both may be moved together with the state folder.
    pub(crate) fn noted(&self, factory: Option<&Path>) -> Option<String> {
        let seen = assembly::seen_from(&self.state.folder, factory?);
        // One that is no UTF-8 is not found again, and what is not found keeps the line from running.
        Some(seen.to_string_lossy().into_owned())
    }

    /// Assembles a line's file below what bounds the line.
    pub(super) fn assemble_bounded(
        &self,
        file: &Path,
    ) -> Result<(Assembled, Option<LineState>), LinesError> {
        let say = &*self.settings.say;
        let before = self.known_by(file)?;
        let folder = assembly::folder_of(file);
        let factory = self.bounds(before.as_ref(), folder)?;
        let assembled = self.assembly(say, factory.as_deref()).assemble(file)?;
        let known = self.known(&assembled.draft.line.name)?;
        if known == before {
            return Ok((assembled, known));
        }
        // It was known from another file.
        let bounds = self.bounds(known.as_ref(), folder)?;
        if bounds == factory {
            return Ok((assembled, known));
        }
        let assembled = self.assembly(say, bounds.as_deref()).assemble(file)?;
        Ok((assembled, known))
    }

    /// That what was assembled is below what bounds the line: that.
    pub(super) fn held_to_its_bounds(
        &self,
        assembled: &Assembled,
        known: Option<&LineState>,
    ) -> Result<Option<PathBuf>, AssemblyError> {
        let bounds = self.bounds(known, &assembled.folder)?;
        let by = assembled.factory.file.as_deref().map(Path::new);
        match &bounds {
            Some(bounds) if !assembly::same_file(Some(bounds), by) => {
                Err(AssemblyError::OtherFactory(bounds.clone()))
            }
            _ => Ok(bounds),
        }
    }

    /// The line that was started from a file, or from the one in a folder.
    fn known_by(&self, file: &Path) -> Result<Option<LineState>, LinesError> {
        let Ok(file) = absolute(file) else {
            return Ok(None);
        };
        let inside = file.join("line.toml");
        let is = |state: &LineState| {
            let known = state.file.as_deref().map(Path::new);
            known == Some(&file) || known == Some(&inside)
        };
        Ok(self.state.journal.lines()?.into_iter().find(is))
    }

    /// Keeps in mind which factory's file bounds a line.
    pub(super) fn keep_bounds(&self, state: &mut LineState) -> Result<(), LinesError> {
        let bounds = self.bounds_of(state, state.current)?;
        let noted = self.noted(bounds.as_deref());
        if state.factory != noted {
            state.factory = noted;
            let kept = self.state.journal.keep_line(state.clone(), None);
            futures::executor::block_on(kept)?;
        }
        Ok(())
    }

    /// How a line stands that runs, or is about to.
    pub(super) fn stands(&self, name: &Name) -> Result<LineState, LinesError> {
        let running = self.runs_by(name);
        running.ok_or_else(|| LinesError::NoLine(name.clone()))
    }
}
