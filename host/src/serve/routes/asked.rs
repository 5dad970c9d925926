//! What a request asks for, taken out of its path, its query and its body; what does not fit is told as
//! every other fault.

use super::super::failure::Failure;
use crate::lines::Fault;
use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{header, request::Parts},
};
use serde::de::DeserializeOwned;
use std::time::Duration;

/// The longest time that a request may wait for something.
pub(super) const LONGEST: Duration = Duration::from_secs(300);
/// The longest time that anything is said to take or last: later moments are not reckoned with.
pub(super) const YEAR: Duration = Duration::from_secs(366 * 86_400);

/// Parts of the path.
pub(super) struct At<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for At<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(rejection) => Err(Fault::invalid(rejection.body_text()).into()),
        }
    }
}

/// The query.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(Fault::invalid(rejection.body_text()).into()),
        }
    }
}

/// A JSON body, none at all is as `{}`; and its bytes, whose room is taken for as long as what they say is
/// worked with.
pub(super) struct Order<T>(pub(super) T, pub(super) Bytes);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Order<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let kind = request.headers().get(header::CONTENT_TYPE);
        let json = kind
            .and_then(|kind| kind.to_str().ok())
            .is_some_and(|kind| {
                let essence = kind.split(';').next().unwrap_or_default().trim();
                essence.eq_ignore_ascii_case("application/json")
            });
        let body = Bytes::from_request(request, state)
            .await
            .map_err(|rejection| Fault::invalid(rejection.body_text()))?;
        if !json && !body.is_empty() {
            return Err(Fault::invalid(
                "the body is not said to be JSON\n  hint: `content-type: application/json`",
            )
            .into());
        }
        let text: &[u8] = if body.is_empty() { b"{}" } else { &body };
        // An array would be taken for the fields in their order.
        if text.trim_ascii_start().first() != Some(&b'{') {
            return Err(Fault::invalid("the body does not fit: it is no JSON object").into());
        }
        let value = serde_json::from_slice(text);
        match value {
            Ok(value) => Ok(Self(value, body)),
            Err(error) => Err(Fault::invalid(format!("the body does not fit: {error}")).into()),
        }
    }
}

/// A time to wait, such as `30s`; none is no time at all.
pub(super) fn wait(text: Option<&str>) -> Result<Duration, Fault> {
    let Some(text) = text else {
        return Ok(Duration::ZERO);
    };
    match humantime::parse_duration(text) {
        Ok(wait) if wait <= LONGEST => Ok(wait),
        Ok(_) => Err(Fault::invalid(format!(
            "`wait` is longer than {} s\n  hint: ask again",
            LONGEST.as_secs()
        ))),
        Err(_) => Err(Fault::invalid("`wait` is no time, such as `30s`")),
    }
}
