//! What a caller is told when something is not done: a status, and a [`Fault`] as JSON.

use crate::{
    lines::{Fault, FaultKind},
    role::{Denied, Foreign},
};
use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

/// An answer that is no success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    status: StatusCode,
    fault: Fault,
}

impl Failure {
    /// A fault with a status of its own.
    pub(super) fn new(status: StatusCode, kind: FaultKind, message: impl ToString) -> Self {
        Self {
            status,
            fault: Fault::of(kind, message.to_string()),
        }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        let status = match fault.kind {
            FaultKind::Invalid => StatusCode::BAD_REQUEST,
            FaultKind::NotFound => StatusCode::NOT_FOUND,
            FaultKind::Conflict => StatusCode::CONFLICT,
            FaultKind::Full => StatusCode::TOO_MANY_REQUESTS,
            FaultKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            FaultKind::Forbidden => StatusCode::FORBIDDEN,
            FaultKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self { status, fault }
    }
}

impl From<Denied> for Failure {
    fn from(denied: Denied) -> Self {
        let status = match denied {
            Denied::Unknown => StatusCode::UNAUTHORIZED,
            Denied::Role { .. } => StatusCode::FORBIDDEN,
        };
        Self::new(status, FaultKind::Forbidden, denied)
    }
}

impl From<Foreign> for Failure {
    fn from(foreign: Foreign) -> Self {
        let status = match foreign {
            Foreign::Host => StatusCode::MISDIRECTED_REQUEST,
            Foreign::Origin => StatusCode::FORBIDDEN,
        };
        Self::new(status, FaultKind::Forbidden, foreign)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let after = self.fault.retry_after;
        let mut response = (self.status, Json(self.fault)).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let bearer = HeaderValue::from_static("Bearer");
            headers.insert(header::WWW_AUTHENTICATE, bearer);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conveyor::Unable;
    use std::time::Duration;

    #[test]
    fn a_full_line_says_when_to_try_again() {
        let full = Unable::Full {
            line: "l".parse().expect("a name"),
            station: "s".parse().expect("a name"),
            waiting: 64,
            after: Duration::from_secs(2),
        };
        let response = Failure::from(Fault::from(full)).into_response();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
    }
}
