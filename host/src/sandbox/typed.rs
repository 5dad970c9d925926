//! Typed stations: `andon:station/process` and `process-async`.

use super::{
    answer::{Answer, Given, REASON, Unfit},
    bindings::{station::StationPre, station_async::StationAsyncPre, work},
    body,
    folders::Contents,
    prepared::bounded,
    state::State,
};
use crate::{
    item::{Body, Payload},
    visit::{Outcome, Question, Visit},
};
use bytes::Bytes;
use std::{sync::Arc, time::Duration};
use wasmtime::Store;

/// What a typed station answers.
pub(crate) type Said = Result<Vec<work::Output>, work::Stop>;

/// Calls a station of the plain interface.
pub(crate) async fn call(
    store: &mut Store<State>,
    pre: &StationPre<State>,
    contents: &Arc<dyn Contents>,
) -> wasmtime::Result<Said> {
    let visit = store.data().visit.clone();
    let inputs = inputs(&visit, contents).await?;
    let station = pre.instantiate_async(&mut *store).await?;
    station
        .andon_station_process()
        .call_run(&mut *store, &told(&visit), &inputs)
        .await
}

/// Calls a station of the interface that may wait in WASI 0.3.
pub(crate) async fn call_async(
    store: &mut Store<State>,
    pre: &StationAsyncPre<State>,
    contents: &Arc<dyn Contents>,
) -> wasmtime::Result<Said> {
    let visit = store.data().visit.clone();
    let inputs = inputs(&visit, contents).await?;
    let station = pre.instantiate_async(&mut *store).await?;
    store
        .run_concurrent(async |accessor| {
            station
                .andon_station_process_async()
                .call_run(accessor, told(&visit), inputs)
                .await
        })
        .await?
}

/// Checks what the station said.
pub(crate) async fn judge(said: Said, mut answer: Answer<'_>) -> Result<Outcome, Unfit> {
    let outputs = match said {
        Ok(outputs) => outputs,
        Err(work::Stop::Reject(reason)) => {
            return Ok(Outcome::Rejected(bounded(&reason, REASON)));
        }
        Err(work::Stop::Retry(later)) => {
            return Ok(Outcome::Retry {
                reason: bounded(&later.reason, REASON),
                after: later.after_ms.map(Duration::from_millis),
            });
        }
        Err(work::Stop::Ask(question)) => {
            let work::Question {
                id,
                prompt,
                choices,
                free_text,
            } = question;
            let question = Question {
                id,
                prompt,
                choices,
                free_text,
            };
            return question.checked().map(Outcome::Asked).map_err(Unfit::Form);
        }
    };
    for work::Output { port, payload } in outputs {
        let body = match payload.body {
            work::Body::Bytes(bytes) => Given::Bytes(Bytes::from(bytes)),
            work::Body::File(path) => Given::File(path),
        };
        let labels = payload.labels.iter();
        answer
            .add(
                &port,
                &payload.content_type,
                body,
                labels.map(|(k, v)| (k.as_str(), v.as_str())),
            )
            .await?;
    }
    Ok(answer.outcome())
}

fn told(visit: &Visit) -> work::Visit {
    work::Visit {
        item: visit.item.to_string(),
        root: visit.item.root().to_string(),
        line: visit.line.to_string(),
        revision: visit.revision,
        station: visit.station.to_string(),
        nth: visit.nth,
        attempt: visit.attempt,
        deadline: visit.deadline,
        answers: visit
            .answers
            .iter()
            .map(|answer| work::Answer {
                question: answer.question.clone(),
                choice: answer.choice.clone(),
                text: answer.text.clone(),
                by: answer.by.clone(),
            })
            .collect(),
    }
}

async fn inputs(
    visit: &Visit,
    contents: &Arc<dyn Contents>,
) -> wasmtime::Result<Vec<work::Payload>> {
    let mut inputs = Vec::with_capacity(visit.inputs.len());
    for (n, input) in visit.inputs.iter().enumerate() {
        let Payload {
            content_type,
            body,
            labels,
        } = input;
        let body = match body {
            // At a join each input has a workspace of its own.
            Body::File(path) if !visit.joined.is_empty() => {
                work::Body::File(format!("in/{n}/{path}"))
            }
            Body::File(path) => work::Body::File(path.clone()),
            Body::Inline(bytes) => work::Body::Bytes(bytes.to_vec()),
            Body::Stored { digest, .. } => work::Body::Bytes(body::read(contents, digest).await?),
        };
        inputs.push(work::Payload {
            content_type: content_type.clone(),
            body,
            labels: labels.iter().map(|(k, v)| (k.into(), v.into())).collect(),
        });
    }
    Ok(inputs)
}
