//! Command stations: any `wasi:cli/run` program, of WASI 0.2 or 0.3.
//!
//! It gets the arguments and environment of the line, the item's labels, and the body on its
//! standard input (at a join all bodies, one after the other, with the labels that they share). What
//! it writes to its standard output is the new body, of the same media type. A program with more to
//! say writes JSON Lines to the file that `ANDON_OUTPUT` names: then these are its outputs.

use super::{
    answer::{Answer, Given, REASON, Unfit},
    body::Source,
    folders::Contents,
    imports::{
        OUTPUT,
        stdio::{Sink, Stdin},
    },
    prepared::bounded,
    state::State,
    tape::{Channel, Tape},
};
use crate::{
    limits::Limit,
    line::Station,
    name::Name,
    visit::{Outcome, Visit},
};
use bytes::Bytes;
use serde::Deserialize;
use std::{collections::BTreeMap, io, sync::Arc};
use wasmtime::Store;
use wasmtime_wasi::{I32Exit, p2, p3};

/// The exit code of a program that asks to be run again later (`EX_TEMPFAIL`).
const TEMPFAIL: i32 = 75;

/// A line of the file that `ANDON_OUTPUT` names.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Line {
    /// Where it goes; the port of the exit code where it says nothing.
    port: Option<String>,
    /// Its media type; the input's where it says nothing.
    content_type: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// A file of the workspace that is the body; empty where it names none.
    file: Option<String>,
}

/// Runs a program of WASI 0.2: its exit code.
pub(crate) async fn call(
    store: &mut Store<State>,
    pre: &p2::bindings::CommandPre<State>,
    contents: &Arc<dyn Contents>,
) -> wasmtime::Result<i32> {
    give(store.data_mut(), contents).await?;
    let command = pre.instantiate_async(&mut *store).await?;
    code(command.wasi_cli_run().call_run(&mut *store).await)
}

/// Runs a program of WASI 0.3: its exit code.
pub(crate) async fn call_async(
    store: &mut Store<State>,
    pre: &p3::bindings::CommandPre<State>,
    contents: &Arc<dyn Contents>,
) -> wasmtime::Result<i32> {
    give(store.data_mut(), contents).await?;
    let command = pre.instantiate_async(&mut *store).await?;
    let run = store
        .run_concurrent(async |accessor| command.wasi_cli_run().call_run(accessor).await)
        .await;
    code(run.and_then(|result| result))
}

fn code(run: wasmtime::Result<Result<(), ()>>) -> wasmtime::Result<i32> {
    match run {
        Ok(Ok(())) => Ok(0),
        Ok(Err(())) => Ok(1),
        Err(error) => match error.downcast_ref() {
            Some(I32Exit(code)) => Ok(*code),
            None => Err(error),
        },
    }
}

/// Gives the program what it is told.
async fn give(state: &mut State, contents: &Arc<dyn Contents>) -> io::Result<()> {
    let source = Source::of(state, contents).await?;
    let station = &state.prepared.station;
    let mut wasi = State::closed(&state.tape);
    wasi.stdin(Stdin::new(source)).stdout(Sink {
        tape: state.tape.clone(),
        channel: Channel::Body,
    });
    wasi.arg(&*state.visit.station).args(&station.args);
    for (name, value) in &station.env {
        wasi.env(name, value);
    }
    wasi.env("ANDON_OUTPUT", OUTPUT);
    let mut inputs = state.visit.inputs.iter();
    if let Some(first) = inputs.next() {
        let shared = |name: &str, value: &str| {
            inputs
                .clone()
                .all(|input| input.labels.get(name) == Some(value))
        };
        for (name, value) in first.labels.iter().filter(|(n, v)| shared(n, v)) {
            wasi.env(variable(name), value);
        }
    }
    state.wasi = Some(Box::new(wasi.build()));
    Ok(())
}

/// The environment variable of a label.
fn variable(label: &str) -> String {
    let fitting = |c: char| match c {
        '.' | '-' => '_',
        c => c.to_ascii_uppercase(),
    };
    format!(
        "ANDON_LABEL_{}",
        label.chars().map(fitting).collect::<String>()
    )
}

/// What the exit code and the outputs say.
pub(crate) async fn judge(
    code: i32,
    station: &Station,
    visit: &Visit,
    tape: &Tape,
    mut answer: Answer<'_>,
) -> Result<Outcome, Unfit> {
    let port = match (code, station.exits.get(&code)) {
        (_, Some(port)) => port.as_str(),
        (0, None) => Name::PASS,
        (code, None) => {
            let reason = (tape.last_words()).unwrap_or_else(|| format!("exit code {code}"));
            let reason = bounded(&reason, REASON);
            return Ok(match code {
                TEMPFAIL => Outcome::Retry {
                    reason,
                    after: None,
                },
                _ => Outcome::Rejected(reason),
            });
        }
    };
    let media = (visit.inputs.first()).map_or("", |input| &input.content_type);
    let said = answer.files.said(station.limits.output);
    let said = said.map_err(|e| match e.kind() {
        io::ErrorKind::FileTooLarge => Unfit::Over(Limit::Output),
        _ => Unfit::Form(format!("`{OUTPUT}` cannot be read: {e}")),
    })?;
    let Some(said) = said else {
        let body = Given::Bytes(Bytes::from(tape.take_body()));
        answer.add(port, media, body, []).await?;
        return Ok(answer.outcome());
    };
    for (n, line) in said.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let line: Line = serde_json::from_str(line)
            .map_err(|e| Unfit::Form(format!("line {} of `{OUTPUT}`: {e}", n + 1)))?;
        let body = match line.file {
            Some(path) => Given::File(path),
            None => Given::Bytes(Bytes::new()),
        };
        let labels = line.labels.iter();
        answer
            .add(
                line.port.as_deref().unwrap_or(port),
                line.content_type.as_deref().unwrap_or(media),
                body,
                labels.map(|(k, v)| (k.as_str(), v.as_str())),
            )
            .await?;
    }
    Ok(answer.outcome())
}
