//! The real host: the bindings of the world `station`, and the crate's types to theirs and back.

use std::marker::PhantomData;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::log::Level;
use crate::{Answer, Body, Labels, Output, Payload, Question, Result, Station, Stop, Visit};

/// Generated from `wit/`, the only copy of the interface.
#[allow(missing_docs, unsafe_code, unreachable_pub, clippy::all)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "station",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export",
        default_bindings_module: "andon_station::bindings",
    });
}

use bindings::andon::station::{log as wit_log, progress as wit_progress, work};
use bindings::exports::andon::station::process;
use bindings::wasi::config::store;

/// A [`Station`] as the interface wants it.
pub struct Exported<S>(PhantomData<S>);

impl<S: Station> process::Guest for Exported<S> {
    fn run(
        visit: work::Visit,
        inputs: Vec<work::Payload>,
    ) -> Result<Vec<work::Output>, work::Stop> {
        let inputs = inputs.into_iter().map(Payload::from).collect();
        match S::run(&visit.into(), inputs) {
            Ok(outputs) => Ok(outputs.into_iter().map(work::Output::from).collect()),
            Err(stop) => Err(stop.into()),
        }
    }
}

pub(crate) fn config(key: &str) -> Result<Option<String>, String> {
    store::get(key).map_err(why)
}

pub(crate) fn config_all() -> Result<Vec<(String, String)>, String> {
    store::get_all().map_err(why)
}

fn why(error: store::Error) -> String {
    match error {
        store::Error::Upstream(why) | store::Error::Io(why) => why,
    }
}

pub(crate) fn log(level: Level, message: &str, fields: &[(&str, String)]) {
    let level = match level {
        Level::Trace => wit_log::Level::Trace,
        Level::Debug => wit_log::Level::Debug,
        Level::Info => wit_log::Level::Info,
        Level::Warn => wit_log::Level::Warn,
        Level::Error => wit_log::Level::Error,
    };
    let fields: Vec<(String, String)> = fields
        .iter()
        .map(|(name, value)| (name.to_string(), value.clone()))
        .collect();
    wit_log::write(level, message, &fields);
}

pub(crate) fn progress(done: u64, total: u64, note: &str) {
    wit_progress::report(done, total, note);
}

pub(crate) fn workspace() -> PathBuf {
    PathBuf::from("/workspace")
}

impl From<work::Visit> for Visit {
    fn from(visit: work::Visit) -> Self {
        Self {
            item: visit.item,
            root: visit.root,
            line: visit.line,
            revision: visit.revision,
            station: visit.station,
            nth: visit.nth,
            attempt: visit.attempt,
            deadline: visit
                .deadline
                .and_then(|ms| SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(ms))),
            answers: visit.answers.into_iter().map(Answer::from).collect(),
        }
    }
}

impl From<work::Answer> for Answer {
    fn from(answer: work::Answer) -> Self {
        Self {
            question: answer.question,
            choice: answer.choice,
            text: answer.text,
            by: answer.by,
        }
    }
}

impl From<work::Payload> for Payload {
    fn from(payload: work::Payload) -> Self {
        Self {
            content_type: payload.content_type,
            body: match payload.body {
                work::Body::Bytes(bytes) => Body::Bytes(bytes),
                work::Body::File(path) => Body::File(path),
            },
            labels: Labels::from_iter(payload.labels),
        }
    }
}

impl From<Output> for work::Output {
    fn from(Output { port, payload }: Output) -> Self {
        let body = match payload.body {
            Body::Bytes(bytes) => work::Body::Bytes(bytes),
            Body::File(path) => work::Body::File(path),
        };
        let labels = payload.labels.into_iter().collect();
        Self {
            port,
            payload: work::Payload {
                content_type: payload.content_type,
                body,
                labels,
            },
        }
    }
}

impl From<Stop> for work::Stop {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Retry { reason, after } => {
                let after_ms =
                    after.map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX));
                work::Stop::Retry(work::Later { reason, after_ms })
            }
            Stop::Reject(reason) => work::Stop::Reject(reason),
            Stop::Ask(question) => work::Stop::Ask(question.into()),
        }
    }
}

impl From<Question> for work::Question {
    fn from(question: Question) -> Self {
        Self {
            id: question.id,
            prompt: question.prompt,
            choices: question.choices,
            free_text: question.free_text,
        }
    }
}
