//! Heads that come before that of the answer (1xx): nobody gets them, and they count as received, so
//! that a server that sends nothing else comes to an end.

use super::{head, passage::Visiting};
use crate::sandbox::way::Refusal;
use http::Request;
use hyper::ext::on_informational;
use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, Ordering::Relaxed},
};
use tokio::sync::Notify;

/// What came before the answer to one request.
pub(super) struct Interim(Arc<Came>);

#[derive(Default)]
struct Came {
    bytes: AtomicU64,
    over: OnceLock<Refusal>,
    ended: Notify,
}

impl Interim {
    /// Counts what comes before the answer to `request`.
    pub(super) fn count<B>(request: &mut Request<B>, visiting: Arc<Visiting>) -> Self {
        let came = Arc::new(Came::default());
        let counted = came.clone();
        on_informational(request, move |response| {
            let bytes = head::size(response.headers()) as u64 + head::STATUS;
            counted.bytes.fetch_add(bytes, Relaxed);
            visiting.outlet.bytes.take(bytes);
            if let Err(over) = visiting.received(bytes) {
                counted.over.get_or_init(|| over);
                counted.ended.notify_one();
            }
        });
        Self(came)
    }

    /// Waits until more came than may come.
    pub(super) async fn over(&mut self) -> Refusal {
        loop {
            if let Some(over) = self.0.over.get() {
                return over.clone();
            }
            self.0.ended.notified().await;
        }
    }

    /// How many bytes came.
    pub(super) fn bytes(&self) -> u64 {
        self.0.bytes.load(Relaxed)
    }
}
