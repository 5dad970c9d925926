//! `wasi:config/store`: the station's settings, in the order of their keys.

use crate::sandbox::{
    bindings::station::wasi::config::store::{self, Error},
    state::State,
};
use wasmtime::component::{HasSelf, Linker};

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    store::add_to_linker::<_, HasSelf<State>>(linker, |state| state)
}

impl store::Host for State {
    fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<String>, Error>> {
        let config = &self.prepared.config;
        let found = config.binary_search_by(|(name, _)| name.as_str().cmp(&key));
        Ok(Ok(found.ok().map(|index| config[index].1.clone())))
    }

    fn get_all(&mut self) -> wasmtime::Result<Result<Vec<(String, String)>, Error>> {
        Ok(Ok(self.prepared.config.clone()))
    }
}
