//! The stand-in for the host on the build machine: what a test has set, per thread.
//!
//! It knows nothing of limits and grants; those are the real host's.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;

use crate::http::{Error, Request, Response};
use crate::log::Level;

/// Level, message and fields.
pub(crate) type LogLine = (Level, String, Vec<(String, String)>);

#[derive(Default)]
pub(crate) struct State {
    pub(crate) config: BTreeMap<String, String>,
    pub(crate) log: Vec<LogLine>,
    pub(crate) progress: Option<(u64, u64, String)>,
    pub(crate) workspace: Option<PathBuf>,
    pub(crate) answers: VecDeque<Result<Response, Error>>,
    pub(crate) requests: Vec<Request>,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

pub(crate) fn with<T>(act: impl FnOnce(&mut State) -> T) -> T {
    STATE.with_borrow_mut(act)
}

pub(crate) fn config(key: &str) -> Result<Option<String>, String> {
    Ok(with(|state| state.config.get(key).cloned()))
}

pub(crate) fn config_all() -> Result<Vec<(String, String)>, String> {
    Ok(with(|state| state.config.clone().into_iter().collect()))
}

pub(crate) fn log(level: Level, message: &str, fields: &[(&str, String)]) {
    let fields = fields
        .iter()
        .map(|(name, value)| (name.to_string(), value.clone()))
        .collect();
    with(|state| state.log.push((level, message.into(), fields)));
}

pub(crate) fn progress(done: u64, total: u64, note: &str) {
    with(|state| state.progress = Some((done, total, note.into())));
}

pub(crate) fn workspace() -> PathBuf {
    with(|state| state.workspace.clone()).unwrap_or_else(|| PathBuf::from("/workspace"))
}

pub(crate) fn http(request: Request) -> Result<Response, Error> {
    with(|state| {
        state.requests.push(request);
        state.answers.pop_front()
    })
    .unwrap_or_else(|| Err(Error::Failed("the test has no answer for it".into())))
}
