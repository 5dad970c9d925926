//! Other revisions of a line: what they would change, taken, and which there were.

use super::{
    super::{Api, failure::Failure},
    asked::{At, Order},
};
use crate::{
    lines::Fault,
    name::Name,
    retool::{History, Plan, PlanFor, Promote, Retool, Retooled},
    role::Caller,
};
use axum::{Extension, Json, extract::State};
use std::sync::Arc;

/// What a retool would change. Changes nothing; takes as long as building and compiling.
#[utoipa::path(post, path = "/v1/lines/{line}/retool/plan", tag = "retool",
    params(("line" = Name, Path, description = "the line")),
    request_body = PlanFor,
    responses((status = 200, body = Plan), (status = 404, body = Fault), (status = 409, body = Fault)))]
pub(super) async fn plan(
    State(api): State<Arc<Api>>,
    At(line): At<Name>,
    Order(wanted): Order<PlanFor>,
) -> Result<Json<Plan>, Failure> {
    Ok(Json(api.control.plan(&line, wanted).await?))
}

/// Has a line run by another revision, or a share of its items.
#[utoipa::path(post, path = "/v1/lines/{line}/retool", tag = "retool",
    params(("line" = Name, Path, description = "the line")),
    request_body = Retool,
    responses(
        (status = 200, body = Retooled),
        (status = 404, body = Fault),
        (status = 409, body = Fault, description = "nothing has changed"),
    ))]
pub(super) async fn retool(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    At(line): At<Name>,
    Order(wanted): Order<Retool>,
) -> Result<Json<Retooled>, Failure> {
    let control = &api.control;
    Ok(Json(control.retool(&caller.name, &line, wanted).await?))
}

/// Has all items of a line take the revision of its ramp.
#[utoipa::path(post, path = "/v1/lines/{line}/promote", tag = "retool",
    params(("line" = Name, Path, description = "the line")),
    request_body = Promote,
    responses(
        (status = 200, body = Retooled),
        (status = 404, body = Fault),
        (status = 409, body = Fault, description = "nothing has changed"),
    ))]
pub(super) async fn promote(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    At(line): At<Name>,
    Order(wanted): Order<Promote>,
) -> Result<Json<Retooled>, Failure> {
    let control = &api.control;
    Ok(Json(control.promote(&caller.name, &line, wanted).await?))
}

/// The changes of the revisions that a line ran by, the oldest first.
#[utoipa::path(get, path = "/v1/lines/{line}/history", tag = "retool",
    params(("line" = Name, Path, description = "the line")),
    responses((status = 200, body = History), (status = 404, body = Fault)))]
pub(super) async fn history(
    State(api): State<Arc<Api>>,
    At(line): At<Name>,
) -> Result<Json<History>, Failure> {
    Ok(Json(api.control.history(&line).await?))
}
