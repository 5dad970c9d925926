//! Lines and their stations.

use super::{
    super::{Api, failure::Failure},
    asked::{At, Order},
};
use crate::{
    lines::{Because, Fault, LineStatus, Status},
    name::Name,
    role::Caller,
};
use axum::{Extension, Json, extract::State, http::StatusCode};
use std::sync::Arc;

/// How all lines stand, and whether they run.
#[utoipa::path(get, path = "/v1/status", tag = "lines", responses((status = 200, body = Status)))]
pub(super) async fn status(State(api): State<Arc<Api>>) -> Result<Json<Status>, Failure> {
    Ok(Json(api.control.status(None).await?))
}

/// How all lines stand.
#[utoipa::path(get, path = "/v1/lines", tag = "lines", responses(
    (status = 200, body = Vec<LineStatus>),
))]
pub(super) async fn lines(State(api): State<Arc<Api>>) -> Result<Json<Vec<LineStatus>>, Failure> {
    Ok(Json(api.control.status(None).await?.lines))
}

/// How one line stands.
#[utoipa::path(get, path = "/v1/lines/{line}", tag = "lines",
    params(("line" = Name, Path, description = "its name")),
    responses((status = 200, body = LineStatus), (status = 404, body = Fault)))]
pub(super) async fn line(
    State(api): State<Arc<Api>>,
    At(line): At<Name>,
) -> Result<Json<LineStatus>, Failure> {
    let status = api.control.status(Some(&line)).await?;
    let found = status.lines.into_iter().find(|found| found.line == line);
    let missing = || {
        let message = format!("there is no line `{line}`\n  hint: `andon status` lists them");
        Failure::from(Fault::not_found(message))
    };
    found.map(Json).ok_or_else(missing)
}

/// Lets a station start no more visits; what is under way ends.
#[utoipa::path(post, path = "/v1/lines/{line}/stations/{station}/pause", tag = "lines",
    params(
        ("line" = Name, Path, description = "the line"),
        ("station" = Name, Path, description = "its station"),
    ),
    request_body = Because,
    responses((status = 204), (status = 404, body = Fault)))]
pub(super) async fn pause(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    At((line, station)): At<(Name, Name)>,
    Order(why, _body): Order<Because>,
) -> Result<StatusCode, Failure> {
    let control = &api.control;
    control.pause(&caller.name, &line, &station, why).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets a paused station start visits again.
#[utoipa::path(post, path = "/v1/lines/{line}/stations/{station}/resume", tag = "lines",
    params(
        ("line" = Name, Path, description = "the line"),
        ("station" = Name, Path, description = "its station"),
    ),
    request_body = Because,
    responses((status = 204), (status = 404, body = Fault)))]
pub(super) async fn resume(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    At((line, station)): At<(Name, Name)>,
    Order(why, _body): Order<Because>,
) -> Result<StatusCode, Failure> {
    let control = &api.control;
    control.resume(&caller.name, &line, &station, why).await?;
    Ok(StatusCode::NO_CONTENT)
}
