//! Results as POSTs to a server.

use super::{Came, SinkSettings, unread};
use crate::{
    item::Item,
    journal::Delivery,
    line::sink::Webhook,
    name::Name,
    sandbox::egress::post::{Call, Posted, Unposted},
    visit::Millis,
};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Calls of one sink at the same time, and results that are sent together: a sink that is stopped waits no
/// longer than one call may take.
pub(super) const AT_ONCE: usize = 8;

/// Sends the results of these items: what came of each, in their order.
pub(super) async fn give(
    settings: &SinkSettings,
    name: &Name,
    webhook: &Webhook,
    owed: &[(Delivery, Millis, Option<Item>)],
) -> Vec<Came> {
    let mut calls = Vec::new();
    for (_, _, item) in owed {
        calls.push(send(settings, name, webhook, item.clone()));
    }
    stream::iter(calls).buffered(AT_ONCE).collect().await
}

async fn send(settings: &SinkSettings, name: &Name, webhook: &Webhook, item: Option<Item>) -> Came {
    let Some((item, payload)) = item.as_ref().and_then(|i| Some((i, i.result()?))) else {
        return never("the item has no result".into());
    };
    let (state, of) = (settings.state.clone(), (payload.clone(), item.workspace));
    let body = match tokio::task::spawn_blocking(move || state.body(&of.0, of.1)).await {
        Ok(Ok(body)) => body,
        Ok(Err(error)) => return unread(&error),
        Err(error) => return again(error.to_string()),
    };
    if body.len() as u64 > Webhook::MOST {
        let most = Webhook::MOST >> 20;
        return never(format!("it is longer than the {most} MiB that are sent"));
    }
    let mut headers = HeaderMap::new();
    // What a guest calls its media type need not be one.
    let content_type = HeaderValue::from_str(&payload.content_type)
        .unwrap_or_else(|_| HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CONTENT_TYPE, content_type);
    let key = format!("{}.{name}", item.id);
    for (header, value) in [
        ("andon-item", item.id.as_str()),
        ("andon-line", settings.line.as_str()),
        ("idempotency-key", &key),
        ("user-agent", concat!("andon/", env!("CARGO_PKG_VERSION"))),
    ] {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(header), value);
        }
    }
    let call = Call {
        line: settings.line.clone(),
        revision: settings.revision,
        rule: format!("sinks.{name}"),
        by: name.clone(),
        item: Some(item.id.clone()),
        webhook: webhook.clone(),
        ceiling: settings.ceiling.clone(),
        headers,
        body: Bytes::from(body),
    };
    judged(settings.post.post(call).await)
}

/// What an answer means: whether it is worth trying again.
fn judged(posted: Result<Posted, Unposted>) -> Came {
    match posted {
        Ok(Posted {
            status: 200..=299, ..
        }) => Came::Done,
        Ok(Posted {
            status: status @ (408 | 425 | 429 | 500..),
            retry_after,
        }) => Came::Again {
            why: format!("status {status}"),
            after: retry_after,
        },
        Ok(Posted {
            status: status @ 300..=399,
            ..
        }) => never(format!("status {status}: redirects are not followed")),
        Ok(Posted { status, .. }) => never(format!("status {status}")),
        // What is not open or not set now may be so when somebody has seen to it.
        Err(error) => again(error.to_string()),
    }
}

fn again(why: String) -> Came {
    Came::Again { why, after: None }
}

fn never(why: String) -> Came {
    Came::Never { why }
}
