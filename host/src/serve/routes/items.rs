//! Items: submitted, listed, waited for, and acted on.

use super::{
    super::{Api, failure::Failure, stopped},
    asked::{Asked, At, Order, YEAR, wait},
};
use crate::{
    conveyor::wall_clock,
    item::{Body, Item, ItemId, Payload, Phase, PhaseKind, Priority, Summary},
    journal::Filter,
    lines::{
        Because, Clear, ClearAll, ClearedAll, Fault, FaultKind, GiveAnswer, Given, ItemView, Rerun,
        State as Stores, Submission, Submit, Which,
    },
    name::Name,
    role::Caller,
    visit::Millis,
};
use axum::{
    Extension, Json,
    body::Bytes,
    extract::{RawQuery, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};
use tokio::time::timeout;
use url::form_urlencoded;
use utoipa::{IntoParams, ToSchema};

/// As many items are listed where nobody says, and no more at a time.
const PAGE: usize = 1000;
/// As many results of one item are given.
const RESULTS: usize = 1000;
/// As many bytes of them together; the bodies of the others are to be asked for one by one.
const BYTES: u64 = 16 << 20;
/// What curl and old libraries say a body is where nobody told them. Nothing here reads forms, so it is
/// taken as not said: by the name and the content of an input more is known.
const UNSAID: &str = "application/x-www-form-urlencoded";

/// What came of a submission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Accepted {
    /// The item.
    #[serde(flatten)]
    pub submission: Submission,
    /// What it came to, where the caller waited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

/// What an item came to so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Outcome {
    /// Where it is. It has ended with its whole tree when its phase is `done`, `scrapped` or `joined`.
    pub summary: Summary,
    /// What it, and what was split from it, brought to `done`; at most 1000.
    pub results: Vec<ResultView>,
}

/// A result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResultView {
    /// The item that brought it.
    pub item: ItemId,
    /// Its media type.
    pub content_type: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its body; none where it is a file of a workspace, or all
    /// together would be too large: `/v1/items/{item}/body` has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Given>,
}

/// Submits an input: the request's body as it is, its media type in `content-type`. With `wait` the
/// answer comes when the item has ended, jammed or is held, or the time is over.
#[utoipa::path(post, path = "/v1/lines/{line}/items", tag = "items",
    params(
        ("line" = Name, Path, description = "the line"),
        ("idempotency-key" = Option<String>, Header,
            description = "1 to 256 bytes; the same key is the same item"),
        ("source" = Option<String>, Query, description = "its name, for people"),
        ("priority" = Option<Priority>, Query, description = "how urgent it is"),
        ("deadline" = Option<String>, Query,
            description = "when it has to be through: `2h` from now, `2026-01-31T09:05:00Z`, or milliseconds since 1970"),
        ("label" = Option<Vec<String>>, Query, description = "`name=value`; may come several times"),
        ("wait" = Option<String>, Query, description = "how long to wait for its end, such as `30s`"),
    ),
    request_body(content = Vec<u8>, content_type = "*/*"),
    responses(
        (status = 200, body = Accepted, description = "it had been taken before, or has ended"),
        (status = 201, body = Accepted, description = "it is taken, durably"),
        (status = 429, body = Fault, description = "the line has no room: try again after `retry-after`"),
        (status = 503, body = Fault, description = "the line takes nothing now"),
    ))]
pub(super) async fn submit(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    At(line): At<Name>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Failure> {
    let text = |name: &str| {
        let value = headers
            .get(name)
            .map(|value| value.to_str().map(str::to_string));
        let wrong = |_| Fault::invalid(format!("the header `{name}` is no text"));
        value.transpose().map_err(wrong)
    };
    let asked = Asking::read(query.as_deref().unwrap_or_default(), wall_clock())?;
    let submit = Submit {
        line,
        key: text("idempotency-key")?,
        source: asked.source,
        content_type: text("content-type")?.filter(|kind| said(kind)),
        body: Given::of(&body),
        labels: asked.labels,
        priority: asked.priority,
        deadline: asked.deadline,
    };
    let submission = api.control.submit(&caller.name, submit).await?;
    // Who waits for the end takes no room from others.
    drop(body);
    let outcome = match asked.wait {
        Duration::ZERO => None,
        wait => Some(outcome(&api, &submission.item, wait).await?),
    };
    let status = match submission.known || outcome.as_ref().is_some_and(Outcome::ended) {
        true => StatusCode::OK,
        false => StatusCode::CREATED,
    };
    // An id has nothing that a header may not.
    let place = HeaderValue::from_str(&format!("/v1/items/{}", submission.item)).ok();
    let accepted = Json(Accepted {
        submission,
        outcome,
    });
    let mut response = (status, accepted).into_response();
    if let Some(place) = place {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(response)
}

/// Whether somebody chose this media type.
fn said(kind: &str) -> bool {
    let essence = kind.split(';').next().unwrap_or_default().trim();
    !essence.eq_ignore_ascii_case(UNSAID)
}

/// What the query of a submission says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asking {
    source: Option<String>,
    priority: Priority,
    deadline: Option<Millis>,
    labels: BTreeMap<String, String>,
    wait: Duration,
}

impl Asking {
    fn read(query: &str, now: Millis) -> Result<Self, Fault> {
        let mut asked = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "source" => asked.source = Some(value.into_owned()),
                "priority" => asked.priority = priority(&value)?,
                "deadline" => asked.deadline = Some(moment(&value, now)?),
                "wait" => asked.wait = wait(Some(&value))?,
                "label" => {
                    let Some((name, value)) = value.split_once('=') else {
                        return Err(Fault::invalid("a `label` is no `name=value`"));
                    };
                    if asked.labels.insert(name.into(), value.into()).is_some() {
                        let name = crate::escape::shown(name);
                        return Err(Fault::invalid(format!(
                            "the label `{name}` comes twice\n  hint: a label has one value"
                        )));
                    }
                }
                other => {
                    return Err(Fault::invalid(format!(
                        "`{other}` is not known here\n  hint: `source`, `priority`, `deadline`, `label` and `wait` are"
                    )));
                }
            }
        }
        Ok(asked)
    }
}

fn priority(text: &str) -> Result<Priority, Fault> {
    let known = Priority::ALL
        .into_iter()
        .find(|priority| priority.key() == text);
    known.ok_or_else(|| Fault::invalid("`priority` is `high`, `normal` or `low`"))
}

/// A moment: from now on (`2h`), on the calendar (`2026-01-31T09:05:00Z`), or in milliseconds since 1970.
///
/// # Errors
/// When it is none of these, or more than a year from now.
pub fn moment(text: &str, now: Millis) -> Result<Millis, Fault> {
    if let Ok(millis) = text.parse() {
        return Ok(millis);
    }
    if let Ok(later) = humantime::parse_duration(text) {
        if later > YEAR {
            return Err(Fault::invalid(
                "a time from now is at most a year\n  hint: a later one is `2126-01-31T09:05:00Z`, or none at all",
            ));
        }
        return Ok(now.saturating_add(later.as_millis() as Millis));
    }
    let calendar = humantime::parse_rfc3339_weak(text).ok();
    calendar
        .and_then(|at| at.duration_since(UNIX_EPOCH).ok())
        .map(|since| since.as_millis() as Millis)
        .ok_or_else(|| {
            Fault::invalid(
                "a time is `2h` from now, or `2026-01-31T09:05:00Z`, or milliseconds since 1970",
            )
        })
}

/// Which items to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Listed {
    /// Only of this line.
    line: Option<Name>,
    /// Only in these phases, with commas between them.
    phase: Option<String>,
    /// Only at this station, or last there.
    station: Option<Name>,
    /// Only this item and what was split from it.
    tree: Option<ItemId>,
    /// Only inputs, not what was split from them.
    #[serde(default)]
    inputs: bool,
    /// At most so many; 1000 where none is said, and at most.
    most: Option<usize>,
    /// Only those after this one. The last item of a page leads to the next one, whatever comes or ends
    /// meanwhile; a page with fewer items than asked for is the last.
    after: Option<ItemId>,
}

/// The items that fit, in the order in which they were taken.
#[utoipa::path(get, path = "/v1/items", tag = "items", params(Listed), responses(
    (status = 200, body = Vec<Summary>),
))]
pub(super) async fn items(
    State(api): State<Arc<Api>>,
    Asked(listed): Asked<Listed>,
) -> Result<Json<Vec<Summary>>, Failure> {
    let mut phases = Vec::new();
    for text in listed.phase.iter().flat_map(|phases| phases.split(',')) {
        let phase = PhaseKind::ALL.into_iter().find(|phase| phase.key() == text);
        phases.push(phase.ok_or_else(|| {
            let all = PhaseKind::ALL.map(|phase| format!("`{phase}`")).join(", ");
            let text = crate::escape::shown(text);
            Fault::invalid(format!("`{text}` is no phase\n  hint: phases are {all}"))
        })?);
    }
    let which = Which {
        line: listed.line,
        phases,
        station: listed.station,
        tree: listed.tree,
        inputs: listed.inputs,
        most: Some(listed.most.unwrap_or(PAGE).min(PAGE)),
        after: listed.after,
    };
    Ok(Json(api.control.items(which).await?))
}

/// One item: where it is, what it carries, what it is asked.
#[utoipa::path(get, path = "/v1/items/{item}", tag = "items",
    params(("item" = String, Path, description = "its id, or a beginning that no other has")),
    responses((status = 200, body = ItemView), (status = 404, body = Fault)))]
pub(super) async fn item(
    State(api): State<Arc<Api>>,
    At(item): At<String>,
) -> Result<Json<ItemView>, Failure> {
    Ok(Json(api.control.item(&item).await?))
}

/// How long to wait.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Waiting {
    /// How long to wait for its end, such as `30s`.
    wait: Option<String>,
}

/// What an item came to: at once, or when it has ended, jammed or is held, or the time is over.
#[utoipa::path(get, path = "/v1/items/{item}/result", tag = "items",
    params(("item" = String, Path, description = "its id, or a beginning that no other has"), Waiting),
    responses(
        (status = 200, body = Outcome, description = "it has ended"),
        (status = 202, body = Outcome, description = "it has not"),
        (status = 404, body = Fault),
    ))]
pub(super) async fn result(
    State(api): State<Arc<Api>>,
    At(item): At<String>,
    Asked(waiting): Asked<Waiting>,
) -> Result<(StatusCode, Json<Outcome>), Failure> {
    let wait = wait(waiting.wait.as_deref())?;
    let id = api.control.item(&item).await?.summary.item;
    let outcome = outcome(&api, &id, wait).await?;
    let status = match outcome.ended() {
        true => StatusCode::OK,
        false => StatusCode::ACCEPTED,
    };
    Ok((status, Json(outcome)))
}

impl Outcome {
    fn ended(&self) -> bool {
        self.summary.phase.ended()
    }
}

/// What an item has come to when it has ended, or waits for a person, or the time is over.
async fn outcome(api: &Arc<Api>, id: &ItemId, wait: Duration) -> Result<Outcome, Failure> {
    let look = || match folded(&api.state, id) {
        // What waits for a person comes to nothing by itself.
        Ok(item) => Ok((item.kind().ended()
            || matches!(item.kind(), PhaseKind::Jammed | PhaseKind::Held))
        .then_some(())),
        Err(fault) => Err(fault),
    };
    if wait > Duration::ZERO {
        let waiter = api.events.waiter(id);
        tokio::select! {
            looked = timeout(wait, waiter.until(look)) => {
                if let Ok(Err(fault)) = looked {
                    return Err(fault.into());
                }
            }
            () = stopped(api.stop.clone()) => {}
        }
    }
    let (api, id) = (api.clone(), id.clone());
    let read = tokio::task::spawn_blocking(move || read(&api.state, &id)).await;
    Ok(read.map_err(|error| Fault::internal(error.to_string()))??)
}

fn folded(state: &Stores, id: &ItemId) -> Result<Item, Fault> {
    let records = state.journal.load(id)?;
    let item = Item::fold(id.clone(), &records)
        .map_err(|error| Fault::internal(format!("item `{id}` cannot be read back: {error}")))?;
    item.ok_or_else(|| Fault::not_found(format!("there is no item `{id}`")))
}

fn read(state: &Stores, id: &ItemId) -> Result<Outcome, Fault> {
    let summary = folded(state, id)?.summary();
    let mut found = state.journal.list(&Filter {
        root: Some(id.clone()),
        phases: vec![PhaseKind::Done],
        ..Filter::default()
    })?;
    found.retain(|found| found.result);
    found.truncate(RESULTS);
    let mut results = Vec::new();
    let mut room = BYTES;
    for found in found {
        let item = folded(state, &found.item)?;
        let Some(payload) = carried(&item) else {
            continue;
        };
        let small = match &payload.body {
            Body::Inline(bytes) => bytes.len() as u64 <= room,
            Body::Stored { len, .. } => *len <= room,
            // Its length is known to its workspace only.
            Body::File(_) => false,
        };
        let body = match small {
            true => {
                let bytes = body_of(state, &item, payload)?;
                room -= bytes.len() as u64;
                Some(Given::of(&bytes))
            }
            false => None,
        };
        results.push(ResultView {
            content_type: payload.content_type.clone(),
            labels: (payload.labels.iter())
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect(),
            body,
            item: found.item,
        });
    }
    Ok(Outcome { summary, results })
}

/// What an item brought to `done`, or what it carries.
fn carried(item: &Item) -> Option<&Payload> {
    match &item.phase {
        Phase::Ended { result, .. } => result.as_ref(),
        _ => item.inputs.first(),
    }
}

fn body_of(state: &Stores, item: &Item, payload: &Payload) -> Result<Vec<u8>, Fault> {
    let read = state.body(payload, item.workspace);
    read.map_err(|error| Fault::internal(error.to_string()))
}

/// The body of what an item brought to `done`, or of the first payload that it carries.
#[utoipa::path(get, path = "/v1/items/{item}/body", tag = "items",
    params(("item" = String, Path, description = "its id, or a beginning that no other has")),
    responses(
        (status = 200, body = Vec<u8>, content_type = "*/*"),
        (status = 404, body = Fault),
    ))]
pub(super) async fn body(
    State(api): State<Arc<Api>>,
    At(item): At<String>,
) -> Result<Response, Failure> {
    let id = api.control.item(&item).await?.summary.item;
    let read = tokio::task::spawn_blocking(move || {
        let item = folded(&api.state, &id)?;
        let none = || Fault::of(FaultKind::NotFound, format!("item `{id}` has no body"));
        let payload = carried(&item).ok_or_else(none)?;
        let bytes = body_of(&api.state, &item, payload)?;
        Ok::<_, Fault>((payload.content_type.clone(), bytes))
    });
    let read = read
        .await
        .map_err(|error| Fault::internal(error.to_string()))?;
    let (kind, bytes) = read?;
    // What a station says may not be a header; a page in a browser may not take it for its own.
    let kind = HeaderValue::from_str(&kind)
        .unwrap_or(HeaderValue::from_static("application/octet-stream"));
    let headers = [
        (header::CONTENT_TYPE, kind),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
        (
            header::CONTENT_DISPOSITION,
            HeaderValue::from_static("attachment"),
        ),
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("sandbox; default-src 'none'"),
        ),
    ];
    Ok((headers, bytes).into_response())
}

/// Clears a jam: where the item is then.
#[utoipa::path(post, path = "/v1/items/{item}/clear", tag = "items",
    params(("item" = String, Path, description = "its id, or a beginning that no other jammed one has")),
    request_body = Clear,
    responses(
        (status = 200, body = Summary),
        (status = 404, body = Fault),
        (status = 409, body = Fault, description = "it is not jammed"),
    ))]
pub(super) async fn clear(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    At(item): At<String>,
    Order(clear, _body): Order<Clear>,
) -> Result<Json<Summary>, Failure> {
    Ok(Json(api.control.clear(&caller.name, &item, clear).await?))
}

/// Clears all jams that fit. One that cannot be cleared keeps no other from it.
#[utoipa::path(post, path = "/v1/clear", tag = "items", request_body = ClearAll, responses(
    (status = 200, body = ClearedAll),
))]
pub(super) async fn clear_all(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Order(clear, _body): Order<ClearAll>,
) -> Result<Json<ClearedAll>, Failure> {
    Ok(Json(api.control.clear_all(&caller.name, clear).await?))
}

/// Answers what an item is held for: where it is then.
#[utoipa::path(post, path = "/v1/items/{item}/answer", tag = "items",
    params(("item" = String, Path, description = "its id, or a beginning that no other held one has")),
    request_body = GiveAnswer,
    responses(
        (status = 200, body = Summary),
        (status = 403, body = Fault, description = "the line does not let its submitter answer"),
        (status = 404, body = Fault),
        (status = 409, body = Fault, description = "it is not held, or carries something else"),
    ))]
pub(super) async fn answer(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    At(item): At<String>,
    Order(answer, _body): Order<GiveAnswer>,
) -> Result<Json<Summary>, Failure> {
    Ok(Json(api.control.answer(&caller.name, &item, answer).await?))
}

/// Takes an item and all that was split from it from the line: it ends as scrapped.
#[utoipa::path(post, path = "/v1/items/{item}/cancel", tag = "items",
    params(("item" = String, Path, description = "its id, or a beginning that no other has")),
    request_body = Because,
    responses((status = 200, body = Summary), (status = 404, body = Fault), (status = 409, body = Fault)))]
pub(super) async fn cancel(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    At(item): At<String>,
    Order(why, _body): Order<Because>,
) -> Result<Json<Summary>, Failure> {
    Ok(Json(api.control.cancel(&caller.name, &item, why).await?))
}

/// Takes a new input that begins at a station with what the item had when it last came there.
#[utoipa::path(post, path = "/v1/items/{item}/rerun", tag = "items",
    params(("item" = String, Path, description = "its id, or a beginning that no other has")),
    request_body = Rerun,
    responses((status = 201, body = Submission), (status = 404, body = Fault), (status = 429, body = Fault)))]
pub(super) async fn rerun(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    At(item): At<String>,
    Order(rerun, _body): Order<Rerun>,
) -> Result<(StatusCode, Json<Submission>), Failure> {
    let submission = api.control.rerun(&caller.name, &item, rerun).await?;
    let status = match submission.known {
        true => StatusCode::OK,
        false => StatusCode::CREATED,
    };
    Ok((status, Json(submission)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_submission_says_of_itself() {
        let read = |query| Asking::read(query, 1000).map_err(|fault| fault.message);
        assert_eq!(read(""), Ok(Asking::default()));
        let asked = Asking {
            source: Some("a b".into()),
            priority: Priority::High,
            deadline: Some(3000),
            labels: [("risk".into(), "a=b".into()), ("x".into(), "".into())].into(),
            wait: Duration::from_secs(30),
        };
        assert_eq!(
            read("source=a+b&priority=high&deadline=2s&label=risk%3Da%3Db&label=x=&wait=30s"),
            Ok(asked)
        );
        for wrong in [
            "priority=urgent",
            "deadline=soon",
            "deadline=18446744073709552s",
            "wait=1h",
            "wait=x",
            "label=x",
            "label=x=1&label=x=2",
            "key=1",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_nobody_said_of_a_body_counts_as_not_said() {
        for kind in [UNSAID, "Application/X-WWW-Form-Urlencoded; charset=utf-8"] {
            assert!(!said(kind), "{kind}");
        }
        for kind in ["text/plain", "multipart/form-data; boundary=x", ""] {
            assert!(said(kind), "{kind}");
        }
    }

    #[test]
    fn moments_are_read() {
        for (text, expected) in [
            ("2h", Some(7_201_000)),
            ("12345", Some(12345)),
            ("366d", Some(31_622_401_000)),
            ("367d", None),
            ("18446744073709552s", None),
            ("1970-01-01T00:00:05Z", Some(5000)),
            ("1970-01-01 00:00:05", Some(5000)),
            ("1969-01-01T00:00:05Z", None),
            ("", None),
            ("tomorrow", None),
        ] {
            assert_eq!(moment(text, 1000).ok(), expected, "{text}");
        }
    }
}
