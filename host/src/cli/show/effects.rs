//! What left the sandbox in an item's visits.

use super::payload_json;
use crate::{
    cli::print,
    effect::{Effect, Rest, VisitKey},
    item::{Body, Labels, Payload},
};
use serde_json::{Value, json};

/// Each effect on a line, by when it was intended.
pub(super) fn text(all: &[(VisitKey, Effect)]) -> anyhow::Result<()> {
    for (visit, effect) in all {
        let Effect {
            run,
            number,
            at,
            intent,
            ..
        } = effect;
        let (station, nth) = (&visit.station, visit.nth);
        print::text(&format!(
            "{}  effect {number} of run {run} at `{station}`, visit {nth}: {}: {}",
            print::time(*at),
            print::line(&intent.what),
            came(effect)
        ))?;
    }
    Ok(())
}

/// What came of an effect, in words.
fn came(effect: &Effect) -> String {
    let Some(end) = &effect.end else {
        return "nobody knows what came of it".into();
    };
    let mut words = end.ended.key().to_string();
    if let Some(answer) = &end.answer {
        let len = length(&answer.body);
        words.push_str(&format!(", status {}, {}", answer.status, print::size(len)));
        match answer.rest {
            Rest::Whole if answer.read < len => {
                words.push_str(&format!(
                    ", of which the guest read {}",
                    print::size(answer.read)
                ));
            }
            Rest::Whole => {}
            Rest::Failed(failure) => words.push_str(&format!(", then it failed: {failure:?}")),
            Rest::Unread => words.push_str(", and the guest read no further"),
        }
    }
    if let Some(failure) = &end.failure {
        words.push_str(&format!(", failed: {failure:?}"));
    }
    if end.answer.is_none() && end.failure.is_none() {
        let (sent, received) = (print::size(end.bytes_out), print::size(end.bytes_in));
        words.push_str(&format!(", {sent} out, {received} in"));
    }
    words
}

fn length(body: &Body) -> u64 {
    match body {
        Body::Inline(bytes) => bytes.len() as u64,
        Body::Stored { len, .. } => *len,
        Body::File(_) => 0,
    }
}

pub(super) fn json((visit, effect): &(VisitKey, Effect)) -> Value {
    let intent = &effect.intent;
    let mut value = json!({
        "station": visit.station,
        "nth": visit.nth,
        "run": effect.run,
        "number": effect.number,
        "at": effect.at,
        "kind": intent.kind,
        "safe": intent.safe,
        "what": intent.what,
        "digest": intent.digest,
        "occurrence": intent.occurrence,
        "grant": intent.rule,
        "ended": effect.end.as_ref().map(|end| end.ended),
    });
    let Some(end) = &effect.end else {
        return value;
    };
    value["ended-at"] = json!(end.at);
    value["bytes-out"] = json!(end.bytes_out);
    value["bytes-in"] = json!(end.bytes_in);
    if let Some(failure) = end.failure {
        value["failure"] = json!(failure);
    }
    if let Some(answer) = &end.answer {
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let headers = answer.headers.iter();
        let headers: Vec<_> = headers.map(|(name, value)| (name, text(value))).collect();
        let body = payload_json(&Payload {
            content_type: String::new(),
            body: answer.body.clone(),
            labels: Labels::default(),
        });
        value["answer"] = json!({
            "at": answer.at,
            "status": answer.status,
            "headers": headers,
            "text": body["text"],
            "digest": body["digest"],
            "length": length(&answer.body),
            "read": answer.read,
            "rest": answer.rest,
        });
    }
    value
}
