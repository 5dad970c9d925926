//! When a conveyor ends before its time. A line that cannot be carried stops alone; a journal that cannot
//! write stops all, until it can again.

use super::{
    Condition, Lines,
    running::{End, Way, came_to},
};
use crate::{conveyor::ConveyorError, disk, journal::JournalError, name::Name};
use std::{
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::sync::mpsc;

/// How long to wait before it is tried again whether the journal can write, at first and at most.
const SOON: Duration = Duration::from_millis(200);
const LATE: Duration = Duration::from_secs(5);

/// Hears of the ends of conveyors, and of a full disk, for as long as there are lines.
pub(super) async fn watch_over(
    lines: Weak<Lines>,
    mut ended: mpsc::UnboundedReceiver<End>,
    mut full: mpsc::UnboundedReceiver<String>,
) {
    loop {
        tokio::select! {
            Some((name, number)) = ended.recv() => match lines.upgrade() {
                Some(lines) => lines.ended(&name, number).await,
                None => return,
            },
            Some(reason) = full.recv() => match lines.upgrade() {
                Some(lines) => lines.out_of_room(reason).await,
                None => return,
            },
            else => return,
        }
    }
}

impl Lines {
    async fn ended(self: &Arc<Self>, name: &Name, number: u64) {
        if *self.condition.borrow() == Condition::Draining {
            return;
        }
        let over = match self.running().get(name).and_then(|line| line.run.as_ref()) {
            Some(run) if run.number == number => run.over.clone(),
            // It was stopped, or another one runs.
            _ => return,
        };
        let reason = match came_to(over).await {
            Some(Ok(_)) => return,
            Some(Err(ConveyorError::Journal(
                error @ (JournalError::Full { .. } | JournalError::Unwritable { .. }),
            ))) if self.settings.patient => {
                self.wait_for_the_journal(&error).await;
                return;
            }
            // Whoever waits for the end of the line tells of it.
            Some(Err(_)) | None if !self.settings.patient => return,
            Some(Err(error)) => error.to_string(),
            None => "its conveyor stopped unexpectedly".into(),
        };
        // The visits that are still under way would report to nobody.
        self.stop(name).await;
        (self.settings.say)(&format!("error: line `{name}` stopped: {reason}"));
        if let Some(line) = self.running().get_mut(name) {
            line.failed = Some(reason);
        }
    }

    /// A visit could not leave behind what it made.
    async fn out_of_room(&self, reason: String) {
        if !self.settings.patient || *self.condition.borrow() != Condition::Running {
            return;
        }
        self.wait_for_the_journal(&self.unwritable(reason)).await;
    }

    fn unwritable(&self, reason: String) -> JournalError {
        JournalError::Unwritable {
            path: self.state.folder.display().to_string(),
            reason,
            hint: "free some space: the lines go on by themselves".into(),
        }
    }

    /// Stops all lines, waits until the journal can write again, and starts them anew.
    async fn wait_for_the_journal(&self, cause: &JournalError) {
        let mut cause = cause.clone();
        let mut condition = self.condition.subscribe();
        (self.settings.say)(&format!("error: all lines wait: {cause}"));
        self.wait(&cause);
        // Their conveyors fail as well, each when it next writes; visits that are under way could not be
        // written down.
        for name in self.names() {
            self.stop(&name).await;
        }
        let mut pause = SOON;
        loop {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = condition.wait_for(|now| *now == Condition::Draining) => return,
            }
            pause = LATE.min(pause * 2);
            match disk::has_room(&self.state.folder) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(error) => {
                    cause = self.unwritable(error.to_string());
                    self.wait(&cause);
                    continue;
                }
            }
            match self.state.journal.try_again().await {
                Ok(()) => match self.start_anew() {
                    Ok(()) => return,
                    Err(error) => cause = error,
                },
                Err(error) => cause = error,
            }
            self.wait(&cause);
        }
    }

    fn wait(&self, cause: &JournalError) {
        self.condition.send_if_modified(|now| {
            let next = Condition::Waiting {
                reason: cause.to_string(),
            };
            let changes = *now != Condition::Draining && *now != next;
            if changes {
                *now = next;
            }
            changes
        });
    }

    fn start_anew(&self) -> Result<(), JournalError> {
        // A change may have been kept and not have come to the conveyor.
        let kept = self.state.journal.lines()?;
        let mut running = self.running();
        for state in kept {
            if let Some(line) = running.get_mut(&state.line) {
                line.adopt(state);
            }
        }
        let way = Way {
            stopped: true,
            resting: false,
        };
        let mut going = false;
        self.condition.send_if_modified(|now| {
            going = *now != Condition::Draining;
            if going {
                *now = Condition::Running;
            }
            going
        });
        if going {
            self.room.is_back();
            for (name, line) in running.iter_mut().filter(|(_, line)| line.failed.is_none()) {
                self.convey(name, line, way);
            }
            drop(running);
            self.changed.send_replace(());
            (self.settings.say)("there is room again: all lines go on");
        }
        Ok(())
    }
}
