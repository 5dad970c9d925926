//! Carrying out a retool: one at a time of a line, all that takes its time before the line hears of it.

use super::{
    Aim, History, Plan, PlanFor, Promote, Refusal, Retool, Retooled, drain,
    draw::{Drawn, draw, state_of, wrong},
    lowered::Lowered,
    shadow, tend,
};
use crate::{
    assembly::{Revision, same_file},
    conveyor::{Change, Ramp, Revised, wall_clock},
    journal::{ComponentChange, Drains, RetoolKind, RetoolRecord},
    lines::{Fault, FaultKind, Lines},
    name::Name,
};
use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    path::{Path, PathBuf, absolute},
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{runtime::Handle, sync::Notify, task::spawn_blocking};

/// Which lines are being retooled, and which are tended until a retool is complete.
#[derive(Debug, Default)]
pub struct Retools {
    busy: Mutex<BTreeMap<Name, Holder>>,
    freed: Notify,
}

/// Who retools a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    /// Somebody wants it.
    Somebody,
    /// It is done by itself, which takes a moment only.
    Itself,
}

/// A line's turn to be retooled, given back when dropped.
struct Turn {
    lines: Arc<Lines>,
    line: Name,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.lines.retools().busy().remove(&self.line);
        self.lines.retools().freed.notify_waiters();
    }
}

impl Retools {
    fn busy(&self) -> MutexGuard<'_, BTreeMap<Name, Holder>> {
        // A map is whole whoever panicked.
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a retool is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Errand {
    /// Somebody wants another revision.
    Wanted,
    /// A ramp ends: all its items, and all others, take its revision.
    Promote,
    /// A ramp ends: its items go back to the revision of all others.
    Back { by_itself: bool },
}

impl Lines {
    /// What a retool would change. Blocks no line; takes as long as building and compiling.
    ///
    /// # Errors
    /// When what is aimed at does not check, is another line, or cannot be put together.
    pub(crate) async fn plan_retool(
        self: &Arc<Self>,
        line: &Name,
        wanted: PlanFor,
    ) -> Result<Plan, Fault> {
        let drawn = (self.drawn(line, wanted.aim, wanted.moves, wanted.shadow)).await?;
        Ok(drawn.plan)
    }

    /// Has a line run by another revision.
    ///
    /// # Errors
    /// When it is retooled already, what is aimed at does not check, opens what was not accepted, or
    /// leaves items without a station; nothing has changed then.
    pub(crate) async fn carry_out(
        self: &Arc<Self>,
        by: &str,
        line: &Name,
        wanted: Retool,
    ) -> Result<Retooled, Fault> {
        let _turn = self.turn(line, Holder::Somebody).await?;
        self.retool_as(by, line, wanted, false).await
    }

    /// Has all items of a line take the revision of its ramp.
    ///
    /// # Errors
    /// When there is none, or its revision leaves items without a station.
    pub(crate) async fn end_ramp(
        self: &Arc<Self>,
        by: &str,
        line: &Name,
        wanted: Promote,
    ) -> Result<Retooled, Fault> {
        let _turn = self.turn(line, Holder::Somebody).await?;
        let state = state_of(self, line)?;
        let Some(ramp) = state.ramp else {
            return Err(Fault::conflict(format!(
                "line `{line}` has no ramp that could be promoted: revision {} runs for all items",
                state.current
            )));
        };
        let wanted = Retool {
            aim: Aim {
                revision: Some(ramp.to),
                file: None,
            },
            why: wanted.why,
            drain: !self.rests(),
            ..Retool::default()
        };
        self.retool_as(by, line, wanted, false).await
    }

    /// The changes of the revisions that a line ran by, the oldest first.
    ///
    /// # Errors
    /// When there is no such line.
    pub(crate) fn history_of(&self, line: &Name) -> Result<History, Fault> {
        state_of(self, line)?;
        Ok(History {
            line: line.clone(),
            retools: self.state().journal.retools(line)?,
        })
    }

    /// Ends a ramp whose revision jams more than the other.
    pub(super) async fn roll_back(self: &Arc<Self>, line: &Name, why: String) -> Result<(), Fault> {
        let _turn = self.turn(line, Holder::Itself).await?;
        let wanted = Retool {
            aim: Aim {
                revision: Some(state_of(self, line)?.current),
                file: None,
            },
            why,
            drain: true,
            ..Retool::default()
        };
        self.retool_as("", line, wanted, true).await.map(drop)
    }

    /// Completes a change whose stations have become empty.
    pub(super) async fn complete(
        self: &Arc<Self>,
        line: &Name,
        record: &RetoolRecord,
        drains: &Drains,
    ) -> Result<(), Fault> {
        let _turn = self.turn(line, Holder::Itself).await?;
        let state = state_of(self, line)?;
        if state.current != record.current || state.ramp.is_some() {
            return Ok(());
        }
        let _steady = self.steady(line).await;
        let to = self.ready_kept(line, drains.to).await?;
        let record = RetoolRecord {
            at: wall_clock(),
            kind: RetoolKind::Drained,
            from: state.current,
            drains: None,
            ..record.clone()
        };
        self.apply(line, Change::to(to), record).await.map(drop)
    }

    /// Takes the turn to retool a line. What somebody else wants is not waited for; what is done by itself
    /// is.
    async fn turn(self: &Arc<Self>, line: &Name, holder: Holder) -> Result<Turn, Fault> {
        loop {
            let mut freed = pin!(self.retools().freed.notified());
            // What is freed from here on is heard.
            freed.as_mut().enable();
            match self.retools().busy().entry(line.clone()) {
                Entry::Vacant(free) => {
                    free.insert(holder);
                    return Ok(Turn {
                        lines: self.clone(),
                        line: line.clone(),
                    });
                }
                Entry::Occupied(taken) if *taken.get() == Holder::Somebody => {
                    return Err(Fault::conflict(format!(
                        "line `{line}` is being retooled already\n  hint: try again when that is done"
                    )));
                }
                Entry::Occupied(_) => {}
            }
            freed.await;
        }
    }

    async fn drawn(
        self: &Arc<Self>,
        line: &Name,
        aim: Aim,
        moves: BTreeMap<Name, Name>,
        shadow: Option<u32>,
    ) -> Result<Drawn, Fault> {
        shadow::permitted(shadow)?;
        let (lines, line, runtime) = (self.clone(), line.clone(), Handle::current());
        blocking(move || {
            let mut drawn = draw(&lines, &line, &aim, &moves)?;
            if let Some(most) = shadow {
                drawn.plan.shadow = Some(shadow::replayed(&lines, &drawn, most, &runtime)?);
            }
            Ok(drawn)
        })
        .await
    }

    async fn retool_as(
        self: &Arc<Self>,
        by: &str,
        line: &Name,
        wanted: Retool,
        by_itself: bool,
    ) -> Result<Retooled, Fault> {
        let drawn = self
            .drawn(
                line,
                wanted.aim.clone(),
                wanted.moves.clone(),
                wanted.shadow,
            )
            .await?;
        let errand = errand(&drawn, &wanted, by_itself)?;
        permit(&drawn, &wanted, errand)?;
        if errand == Errand::Wanted && drawn.plan.is_empty() {
            return Ok(Retooled::nothing(drawn.plan));
        }
        // Attempts under way may still lead to stations that go, also where nobody waits there yet.
        let stays = |station: &&Name| !wanted.moves.contains_key(*station);
        let mut left: BTreeSet<Name> = drawn.plan.removed().filter(stays).cloned().collect();
        if self.rests() {
            let waits = |name: &Name| drawn.plan.waiting.iter().any(|plan| plan.station == *name);
            left.retain(waits);
        }
        if !left.is_empty() && self.rests() {
            return Err(Fault::of(
                FaultKind::Unavailable,
                format!(
                    "nothing drains while no process runs line `{line}`\n  hint: start it with `andon serve`, or send the items elsewhere with `--move`"
                ),
            ));
        }
        let Drawn {
            state,
            old,
            new,
            number,
            assembled,
            bounds,
            plan,
        } = drawn;
        let file = (assembled.file.as_deref()).and_then(|file| absolute(file).ok());
        let file = match number {
            // A revision that is gone back to brings the file back that it came from.
            Some(_) => {
                let before = state.file.as_deref().map(Path::new);
                file.filter(|file| !same_file(Some(file), before))
            }
            None => file,
        };
        let file = file.and_then(|file| file.to_str().map(String::from));
        let _steady = self.steady(line).await;
        let to = match number {
            Some(number) => self.ready_kept(line, number).await?,
            None => {
                let lines = self.clone();
                blocking(move || Ok(lines.make_revision(&assembled)?)).await?
            }
        };
        let mut record = RetoolRecord {
            at: wall_clock(),
            by: by.into(),
            why: wanted.why.clone(),
            kind: match errand {
                Errand::Promote => RetoolKind::Promote,
                Errand::Back { by_itself: true } => RetoolKind::AutoRollback,
                Errand::Back { by_itself: false } => RetoolKind::Rollback,
                Errand::Wanted if wanted.ramp.is_some() => RetoolKind::Ramp,
                Errand::Wanted if number.is_some() => RetoolKind::Rollback,
                Errand::Wanted => RetoolKind::Apply,
            },
            from: plan.from,
            components: components(&old, &new),
            accepted: wanted.accept.clone(),
            guard: wanted.ramp.map(|_| wanted.guard.unwrap_or_default()),
            file,
            factory: (self.noted(bounds.as_deref()))
                .filter(|it| state.factory.as_ref() != Some(it)),
            ..RetoolRecord::default()
        };
        if plan.shadow.is_some() {
            let (replayed, different) = plan.replayed();
            let told = format!("{replayed} visits replayed, {different} different");
            record.notes.insert("shadow".into(), told);
        }
        let below = plan.settings.iter().find(|it| it.what == Lowered::WHAT);
        let notes = below.map(|it| (it.what.clone(), it.to_string()));
        record.notes.extend(notes);
        let mut change = Change {
            moves: wanted.moves.clone(),
            ..Change::to(to.clone())
        };
        if let Some(percent) = wanted.ramp {
            change.current = self.ready_kept(line, state.current).await?;
            change.ramp = Some(Ramp {
                to: to.clone(),
                percent,
            });
        } else if !left.is_empty() {
            change.current = self
                .ready_beside(line, &new, &old, left.clone(), bounds)
                .await?;
            record.drains = Some(Drains {
                to: to.number,
                stations: left.clone(),
            });
        }
        let changed = self.apply(line, change, record).await?;
        let stopped = match wanted.now {
            true => {
                let why = format!("its grants are narrower in revision {}", to.number);
                // Where it is the same one below another ceiling, all began on it.
                let but = (to.number != plan.from).then_some(to.number);
                self.recall(line, &plan.narrows(), but, &why)
            }
            false => 0,
        };
        tend::tend(self, line);
        Ok(Retooled {
            plan,
            changed: true,
            revision: to.number,
            pause_us: u64::try_from(changed.pause.as_micros()).unwrap_or(u64::MAX),
            moved: changed.moved,
            stopped,
            draining: left.into_iter().collect(),
        })
    }

    async fn ready_kept(self: &Arc<Self>, line: &Name, number: u64) -> Result<Arc<Revised>, Fault> {
        let (lines, line) = (self.clone(), line.clone());
        blocking(move || Ok(lines.revive(&line, number)?)).await
    }

    /// Makes the new revision ready with stations of the old one beside it.
    async fn ready_beside(
        self: &Arc<Self>,
        line: &Name,
        new: &Revision,
        old: &Revision,
        stations: BTreeSet<Name>,
        bounds: Option<PathBuf>,
    ) -> Result<Arc<Revised>, Fault> {
        let (lines, line) = (self.clone(), line.clone());
        let (new, old) = (new.clone(), old.clone());
        blocking(move || {
            let state =
                absolute(&lines.state().folder).unwrap_or_else(|_| lines.state().folder.clone());
            let both = drain::beside(&new, &old, &stations, &state).map_err(Fault::conflict)?;
            let text = both
                .to_text()
                .map_err(|error| Fault::internal(error.to_string()))?;
            // First as it can be: only what can be made ready gets a number.
            let say = |_: &str| ();
            lines
                .assembly(&say, bounds.as_deref())
                .revive(&both, 0, lines.stock())
                .map_err(wrong)?;
            let number = lines.state().journal.keep_revision(&line, &text)?;
            Ok(lines.revive(&line, number)?)
        })
        .await
    }
}

/// Runs what blocks where that harms nobody.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(Fault::internal(format!(
            "the host's own code panicked: {error}"
        ))),
    }
}

/// What a retool is for, and that nothing else is under way.
fn errand(drawn: &Drawn, wanted: &Retool, by_itself: bool) -> Result<Errand, Fault> {
    let line = &drawn.plan.line;
    let Some(ramp) = drawn.state.ramp else {
        return Ok(Errand::Wanted);
    };
    match drawn.number {
        _ if wanted.ramp.is_some() => {}
        Some(number) if number == drawn.state.current => return Ok(Errand::Back { by_itself }),
        Some(number) if number == ramp.to => return Ok(Errand::Promote),
        _ => {}
    }
    Err(Fault::conflict(format!(
        "revision {} takes {} % of the items of line `{line}`\n  hint: `andon retool {line} --promote` has it take all of them, `--to {}` none",
        ramp.to, ramp.percent, drawn.state.current
    )))
}

/// Whether the plan may be carried out.
fn permit(drawn: &Drawn, wanted: &Retool, errand: Errand) -> Result<(), Fault> {
    let Drawn { plan, old, new, .. } = drawn;
    let gone = plan
        .removed()
        .find(|station| !wanted.moves.contains_key(*station));
    if let (Some(station), true) = (gone, wanted.ramp.is_some()) {
        return Err(Fault::invalid(format!(
            "a ramp takes no station away, and the new revision has no station `{station}`\n  hint: `--move {station}=OTHER` sends its items of the ramp to another station"
        )));
    }
    let refused = |refusal: Refusal| {
        let message = refusal.to_string();
        match refusal {
            Refusal::NoGrant(_) | Refusal::NoMove { .. } => Fault::invalid(message),
            _ => Fault::conflict(message),
        }
    };
    if wanted
        .ramp
        .is_some_and(|percent| !(1..=99).contains(&percent))
    {
        return Err(Fault::invalid(
            "a ramp is for 1 to 99 of a hundred items\n  hint: without `--ramp` all items take the new revision",
        ));
    }
    if let Some(guard) = wanted.guard {
        if wanted.ramp.is_none() {
            return Err(Fault::invalid(
                "a margin is for a ramp\n  hint: `--ramp 10%` begins one",
            ));
        }
        if !(1..=100).contains(&guard.margin) {
            return Err(Fault::invalid("a margin is 1 to 100 percentage points"));
        }
    }
    if wanted.ramp.is_some() && wanted.drain {
        return Err(Fault::invalid(
            "a ramp leaves all stations to the items that are not in it: there is nothing to drain\n  hint: drain with the promotion, or without a ramp",
        ));
    }
    if wanted.looked_at.is_some_and(|digest| digest != plan.digest) {
        return Err(refused(Refusal::Another));
    }
    match errand {
        Errand::Wanted => plan.accepted(&wanted.accept),
        // It was accepted when the ramp began.
        Errand::Promote | Errand::Back { .. } => plan.alike(&wanted.accept),
    }
    .map_err(refused)?;
    plan.housed(&old.line, &new.line, &wanted.moves, wanted.drain)
        .map_err(refused)
}

/// The components that are others.
fn components(old: &Revision, new: &Revision) -> Vec<ComponentChange> {
    let names: BTreeSet<&Name> = old.components.keys().chain(new.components.keys()).collect();
    let change = |station: &Name| ComponentChange {
        station: station.clone(),
        old: old.components.get(station).copied(),
        new: new.components.get(station).copied(),
    };
    let changes = names.into_iter().map(change);
    changes.filter(|change| change.old != change.new).collect()
}
