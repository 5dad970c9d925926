//! What happens and what stations log, as it comes: server-sent events.

use super::{
    super::{Api, Event, LogError, Logged, failure::Failure, logged, recent},
    asked::Asked,
};
use crate::{conveyor::wall_clock, item::ItemId, lines::Fault, name::Name, visit::Millis};
use axum::{
    Json,
    extract::State,
    http::HeaderMap,
    response::{
        IntoResponse, Response, Sse,
        sse::{self, KeepAlive},
    },
};
use futures::{StreamExt as _, stream};
use serde::Deserialize;
use std::{collections::HashMap, convert::Infallible, sync::Arc, time::Duration};
use utoipa::IntoParams;

/// How often a stream says that it lives.
const ALIVE: Duration = Duration::from_secs(15);
/// As many lines of the log are given where nobody says.
const LINES: usize = 100;
/// As many items are remembered of those whose log was given in part.
const REMEMBERED: usize = 10_000;

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    /// Only of this line.
    line: Option<Name>,
}

/// What happens from now on, or after the event with the id in `last-event-id`, as server-sent events.
/// An event `lost` says that some are missing.
#[utoipa::path(get, path = "/v1/events", tag = "events",
    params(Which, ("last-event-id" = Option<String>, Header, description = "goes on after this one")),
    responses((status = 200, body = Event, content_type = "text/event-stream")))]
pub(super) async fn events(
    State(api): State<Arc<Api>>,
    Asked(which): Asked<Which>,
    headers: HeaderMap,
) -> impl IntoResponse {
    let last = headers
        .get("last-event-id")
        .map(|id| id.to_str().unwrap_or_default());
    let events = api.events.clone();
    let followed = events.follow(last, api.stop.clone());
    let told = followed.filter_map(move |(number, event)| {
        let line = event.about().map(|(line, _)| line);
        let fits = line.is_none_or(|line| which.line.as_ref().is_none_or(|only| only == line));
        let told = fits.then(|| {
            let id = events.id(number);
            let told = sse::Event::default().id(id).event(event.key());
            Ok::<_, Infallible>(told.json_data(&*event).unwrap_or_default())
        });
        std::future::ready(told)
    });
    Sse::new(told).keep_alive(KeepAlive::new().interval(ALIVE))
}

/// Which lines of the log.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Logs {
    /// Only of this line.
    line: Option<Name>,
    /// Only of this station.
    station: Option<Name>,
    /// Only of this item, or the one whose id begins so.
    item: Option<String>,
    /// At most so many, the last ones; 100 where none is said.
    most: Option<usize>,
    /// Whether to go on with what comes, as server-sent events named `log`. A station's lines come when
    /// its item jams, is held, or ends.
    #[serde(default)]
    follow: bool,
}

/// What stations logged.
#[utoipa::path(get, path = "/v1/logs", tag = "events", params(Logs),
    responses((status = 200, content(
        (Vec<Logged> = "application/json"),
        (Logged = "text/event-stream"),
    ))))]
pub(super) async fn logs(
    State(api): State<Arc<Api>>,
    Asked(which): Asked<Logs>,
) -> Result<Response, Failure> {
    let item = match &which.item {
        Some(item) => Some(api.control.item(item).await?.summary.item),
        None => None,
    };
    let most = which.most.unwrap_or(LINES);
    let since = wall_clock();
    // Subscribed before it is read, so that nothing falls in between.
    let followed = which
        .follow
        .then(|| api.events.follow(None, api.stop.clone()));
    let found = {
        let (api, item) = (api.clone(), item.clone());
        let (line, station) = (which.line.clone(), which.station.clone());
        let read = move || match &item {
            Some(item) => {
                let mut found = logged(item, &api.state.journal.load(item)?, 0)?;
                found.retain(|logged| station.as_ref().is_none_or(|s| logged.station == *s));
                Ok(found.split_off(found.len().saturating_sub(most)))
            }
            None => recent(&*api.state.journal, line.as_ref(), station.as_ref(), most),
        };
        let read = tokio::task::spawn_blocking(read).await;
        read.map_err(|error| Fault::internal(error.to_string()))?
            .map_err(|error: LogError| Fault::internal(error.to_string()))?
    };
    let Some(followed) = followed else {
        return Ok(Json(found).into_response());
    };
    let mut given = Given {
        since,
        until: HashMap::new(),
    };
    for logged in &found {
        given.remember(&logged.item, logged.at);
    }
    let later = followed.flat_map(move |(_, event)| {
        let more = event
            .about()
            .filter(|(line, about)| {
                which.line.as_ref().is_none_or(|only| only == *line)
                    && item.as_ref().is_none_or(|only| only == *about)
            })
            .map(|(_, about)| given.more(&api, about, which.station.as_ref()));
        stream::iter(more.unwrap_or_default())
    });
    let told = stream::iter(found).chain(later).map(|logged| {
        let told = sse::Event::default().event("log");
        Ok::<_, Infallible>(told.json_data(&logged).unwrap_or_default())
    });
    let alive = KeepAlive::new().interval(ALIVE);
    Ok(Sse::new(told).keep_alive(alive).into_response())
}

/// What a follower of the log was given.
struct Given {
    /// When it began to follow.
    since: Millis,
    /// Until when, of each item.
    until: HashMap<ItemId, Millis>,
}

impl Given {
    fn remember(&mut self, item: &ItemId, at: Millis) {
        if self.until.len() >= REMEMBERED {
            self.until.clear();
        }
        let until = self.until.entry(item.clone()).or_default();
        *until = at.max(*until);
    }

    /// What was logged of an item and not given yet.
    fn more(&mut self, api: &Api, item: &ItemId, station: Option<&Name>) -> Vec<Logged> {
        let records = api.state.journal.load(item).unwrap_or_default();
        let mut found = logged(item, &records, 0).unwrap_or_default();
        match self.until.get(item) {
            Some(until) => found.retain(|logged| logged.at > *until),
            None => found.retain(|logged| logged.at >= self.since),
        }
        if let Some(last) = found.last() {
            self.remember(item, last.at);
        }
        found.retain(|logged| station.is_none_or(|station| logged.station == *station));
        found
    }
}
