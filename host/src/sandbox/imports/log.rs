//! `andon:station/log`: lines for the item's log.

use crate::{
    sandbox::{
        bindings::station::andon::station::log::{self, Level},
        state::State,
    },
    visit::LogLine,
};
use wasmtime::component::{HasSelf, Linker};

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    log::add_to_linker::<_, HasSelf<State>>(linker, |state| state)
}

impl log::Host for State {
    fn write(
        &mut self,
        level: Level,
        message: String,
        fields: Vec<(String, String)>,
    ) -> wasmtime::Result<()> {
        let level = match level {
            Level::Trace => "trace",
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        };
        self.tape.log(LogLine {
            level: level.into(),
            message,
            fields,
        })?;
        Ok(())
    }
}
