//! `andon:station/progress`: how far a visit has come.

use crate::{
    sandbox::{bindings::station::andon::station::progress, meter::Pulse, state::State},
    visit::Visit,
};
use wasmtime::component::{HasSelf, Linker};

/// The most characters of a note.
pub(crate) const NOTE: usize = 256;

/// How far a visit has come; also its heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Steps done.
    pub done: u64,
    /// Steps in all; 0 where it is not known.
    pub total: u64,
    /// What the station says of it, in at most 256 characters; not escaped.
    pub note: String,
}

/// Told of each report of progress, on the thread of the visit: it has to be quick.
pub type Listener = dyn Fn(&Visit, Progress) + Send + Sync;

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    progress::add_to_linker::<_, HasSelf<State>>(linker, |state| state)
}

impl progress::Host for State {
    fn report(&mut self, done: u64, total: u64, note: String) -> wasmtime::Result<()> {
        self.tape.beat(Pulse::now());
        if let Some(listener) = &self.progress {
            let note = note.chars().take(NOTE).collect();
            listener(&self.visit, Progress { done, total, note });
        }
        Ok(())
    }
}
