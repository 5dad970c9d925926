//! Stands in for the host in unit tests, on the build machine only.
//!
//! ```
//! use andon_station::{prelude::*, testing};
//!
//! let host = testing::Host::start().config("greeting", "good day");
//! log::info!("about to greet");
//! assert_eq!(config::require::<String>("greeting"), Ok("good day".into()));
//! assert_eq!(host.log(), ["info: about to greet"]);
//! ```

use std::path::PathBuf;

use crate::host::native::{LogLine, State, with};
use crate::http::{Error, Request, Response};

/// What the host of this thread is, until it is dropped. Another `start` on the thread replaces it.
#[must_use = "the settings are gone when this is dropped"]
#[derive(Debug)]
pub struct Host(());

impl Host {
    /// A host without settings, with an empty log and no workspace.
    pub fn start() -> Self {
        with(|state| *state = State::default());
        Self(())
    }

    /// Sets a configuration value, as the line file would: a string as it is, else JSON.
    pub fn config(self, key: impl Into<String>, value: impl Into<String>) -> Self {
        with(|state| state.config.insert(key.into(), value.into()));
        self
    }

    /// Takes `folder` for `/workspace`.
    pub fn workspace(self, folder: impl Into<PathBuf>) -> Self {
        with(|state| state.workspace = Some(folder.into()));
        self
    }

    /// What the next call over HTTP comes to; several are given in their order.
    pub fn answer(self, answer: Result<Response, Error>) -> Self {
        with(|state| state.answers.push_back(answer));
        self
    }

    /// The calls so far.
    pub fn requests(&self) -> Vec<Request> {
        with(|state| state.requests.clone())
    }

    /// The log so far, a line each: `level: message name=value`.
    pub fn log(&self) -> Vec<String> {
        with(|state| {
            let line = |(level, message, fields): &LogLine| {
                let mut line = format!("{level}: {message}");
                for (name, value) in fields {
                    line.push_str(&format!(" {name}={value}"));
                }
                line
            };
            state.log.iter().map(line).collect()
        })
    }

    /// The latest progress: done, total, note.
    pub fn progress(&self) -> Option<(u64, u64, String)> {
        with(|state| state.progress.clone())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        with(|state| *state = State::default());
    }
}
