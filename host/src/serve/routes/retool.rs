//! Other revisions of a line: what they would change, taken, and which there were.

use super::{
    super::{Api, failure::Failure, gate::Peer},
    asked::{At, Order},
};
use crate::{
    lines::{Fault, FaultKind},
    name::Name,
    retool::{Aim, History, Plan, PlanFor, Promote, Retool, Retooled},
    role::{Caller, Door},
};
use axum::{Extension, Json, extract::State};
use std::{
    path::{Component, Path},
    sync::Arc,
};

/// Over TCP a line is retooled by files beside its own only: what is told of others would tell who asks
/// what else there is on this machine. This does not depend on what there is.
async fn beside(api: &Api, peer: &Peer, line: &Name, aim: &Aim) -> Result<(), Failure> {
    let (Some(file), Door::Loopback { .. }) = (&aim.file, peer.door) else {
        return Ok(());
    };
    let status = api.control.status(Some(line)).await?;
    let own = status.lines.into_iter().find_map(|status| status.file);
    let folder = own.as_deref().and_then(|own| Path::new(own).parent());
    let within = |folder: &Path| {
        let mut rest = Path::new(file).strip_prefix(folder).ok()?.components();
        rest.all(|part| matches!(part, Component::Normal(_)))
            .then_some(())
    };
    match folder.and_then(within) {
        Some(()) => Ok(()),
        None => Err(Fault::of(
            FaultKind::Forbidden,
            "over TCP a line is retooled by a file in the folder of its own\n  hint: leave `file` out, or ask over the socket in the state folder",
        )
        .into()),
    }
}

/// What a retool would change. Changes nothing; takes as long as building and compiling.
#[utoipa::path(post, path = "/v1/lines/{line}/retool/plan", tag = "retool",
    params(("line" = Name, Path, description = "the line")),
    request_body = PlanFor,
    responses((status = 200, body = Plan), (status = 404, body = Fault), (status = 409, body = Fault)))]
pub(super) async fn plan(
    State(api): State<Arc<Api>>,
    Extension(peer): Extension<Peer>,
    At(line): At<Name>,
    Order(wanted, _body): Order<PlanFor>,
) -> Result<Json<Plan>, Failure> {
    beside(&api, &peer, &line, &wanted.aim).await?;
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
    Extension(peer): Extension<Peer>,
    At(line): At<Name>,
    Order(wanted, _body): Order<Retool>,
) -> Result<Json<Retooled>, Failure> {
    beside(&api, &peer, &line, &wanted.aim).await?;
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
    Order(wanted, _body): Order<Promote>,
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
