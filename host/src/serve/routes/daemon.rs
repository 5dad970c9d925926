//! The daemon itself: whether it lives, its figures, its description, its end.

use super::{
    super::{Api, failure::Failure, metrics as figures},
    asked::{Order, YEAR},
};
use crate::{
    lines::{Condition, Fault, FaultKind},
    role::Caller,
};
use axum::{
    Extension, Json,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};
use utoipa::ToSchema;

/// How long a drain takes at most where nobody says.
const WITHIN: Duration = Duration::from_secs(30);

/// Whether the lines run.
#[utoipa::path(get, path = "/healthz", tag = "daemon", security(()), responses(
    (status = 200, body = Condition, description = "the lines run"),
    (status = 503, body = Fault, description = "they do not take anything"),
))]
pub(super) async fn health(State(api): State<Arc<Api>>) -> Result<Json<Condition>, Failure> {
    let condition = api.condition.borrow().clone();
    match condition {
        // Why is for those who may look.
        Condition::Waiting { .. } => Err(Fault::of(
            FaultKind::Unavailable,
            "the lines wait until the journal can write again",
        )
        .into()),
        Condition::Draining => Err(Fault::of(FaultKind::Unavailable, "the lines drain").into()),
        running => Ok(Json(running)),
    }
}

/// Figures of every line and station, for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "daemon", responses(
    (status = 200, body = String, content_type = "application/openmetrics-text"),
))]
pub(super) async fn metrics(State(api): State<Arc<Api>>) -> Result<impl IntoResponse, Failure> {
    let status = api.control.status(None).await?;
    let text = figures::text(&status).map_err(|error| Fault::internal(error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, figures::MEDIA_TYPE)], text))
}

/// This description.
#[utoipa::path(get, path = "/openapi.json", tag = "daemon", responses((status = 200, body = Object)))]
pub(super) async fn description() -> Json<utoipa::openapi::OpenApi> {
    Json(super::openapi())
}

/// How to drain.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Drain {
    /// How many seconds visits under way may take to end; 30 where none is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<u64>,
}

/// Takes nothing any more, lets visits under way end, then ends the daemon.
#[utoipa::path(post, path = "/v1/drain", tag = "daemon", request_body = Drain, responses(
    (status = 202, description = "it has begun"),
))]
pub(super) async fn drain(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Order(drain, _body): Order<Drain>,
) -> Result<StatusCode, Failure> {
    let within = drain.within.map_or(WITHIN, Duration::from_secs);
    if within > YEAR {
        return Err(Fault::invalid(format!(
            "`within` is longer than a year\n  hint: it is in seconds, at most {}",
            YEAR.as_secs()
        ))
        .into());
    }
    tracing::info!("{} asks to drain", crate::escape::line(&caller.name));
    api.drain.send_replace(Some(within));
    Ok(StatusCode::ACCEPTED)
}
