//! The routes of the API. Each is registered with what it asks for, by which the gate decides; paths,
//! methods and types are written once, at the handler, and `/openapi.json` is made of just these.

mod asked;
mod daemon;
mod items;
mod lines;
mod retool;
mod watch;

pub use daemon::Drain;
pub use items::{Accepted, Outcome, ResultView, moment};

use super::{Api, failure::Failure, gate, tokens::Known};
use crate::{
    lines::{Fault, FaultKind},
    role::Act,
};
use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    http::StatusCode,
    middleware::{Next, from_fn, from_fn_with_state},
};
use std::sync::Arc;
use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouter, UtoipaMethodRouterExt as _},
    routes,
};

/// Routes with what they ask for.
struct Routes(OpenApiRouter<Arc<Api>>);

impl Routes {
    /// Adds routes, behind the gate.
    fn to(self, act: Act, routes: UtoipaMethodRouter<Arc<Api>>) -> Self {
        let gate = from_fn(move |request: Request, next: Next| gate::pass(act, request, next));
        Self(self.0.routes(routes.layer(gate)))
    }
}

/// All of them.
fn all() -> OpenApiRouter<Arc<Api>> {
    Routes(OpenApiRouter::with_openapi(About::openapi()))
        .to(Act::Live, routes!(daemon::health))
        .to(Act::Look, routes!(daemon::metrics))
        .to(Act::Look, routes!(daemon::description))
        .to(Act::Drain, routes!(daemon::drain))
        .to(Act::Look, routes!(lines::status))
        .to(Act::Look, routes!(lines::lines))
        .to(Act::Look, routes!(lines::line))
        .to(Act::Pause, routes!(lines::pause))
        .to(Act::Pause, routes!(lines::resume))
        .to(Act::Retool, routes!(retool::plan))
        .to(Act::Retool, routes!(retool::retool))
        .to(Act::Retool, routes!(retool::promote))
        .to(Act::Look, routes!(retool::history))
        .to(Act::Submit, routes!(items::submit))
        .to(Act::Look, routes!(items::items))
        .to(Act::Look, routes!(items::item))
        .to(Act::Look, routes!(items::result))
        .to(Act::Look, routes!(items::body))
        .to(Act::Clear, routes!(items::clear))
        .to(Act::Clear, routes!(items::clear_all))
        .to(Act::Answer, routes!(items::answer))
        .to(Act::Cancel, routes!(items::cancel))
        .to(Act::Rerun, routes!(items::rerun))
        .to(Act::Look, routes!(watch::logs))
        .to(Act::Look, routes!(watch::events))
        .0
}

/// The whole API as it is served.
pub(super) fn router(api: Arc<Api>, known: Arc<Known>) -> Router {
    let (router, _) = all().split_for_parts();
    router
        // The gate bounds bodies.
        .layer(DefaultBodyLimit::disable())
        .fallback(missing)
        .method_not_allowed_fallback(other_method)
        .layer(from_fn_with_state(known, gate::enter))
        .with_state(api)
}

/// The description of the API.
pub fn openapi() -> utoipa::openapi::OpenApi {
    all().split_for_parts().1
}

async fn missing() -> Failure {
    Fault::not_found("there is no such page\n  hint: `/openapi.json` describes all").into()
}

async fn other_method() -> Failure {
    Failure::new(
        StatusCode::METHOD_NOT_ALLOWED,
        FaultKind::Invalid,
        "this page knows other methods\n  hint: `/openapi.json` describes all",
    )
}

/// What stands at the top of the description.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "andon",
        description = "Acts on the lines of a state folder while `andon serve` runs them. Over the socket \
                       in the state folder every caller is its owner, an admin; over TCP a token says who \
                       calls (`andon token add`). Every answer that is no success is a `Fault`.",
    ),
    components(schemas(Fault)),
    security(("token" = [])),
    modifiers(&Tokens),
)]
struct About;

struct Tokens;

impl Modify for Tokens {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        openapi
            .components
            .get_or_insert_default()
            .add_security_scheme("token", SecurityScheme::Http(bearer));
    }
}
