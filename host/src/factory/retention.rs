//! `[retention]`: how long a factory keeps what has ended.

use crate::line::reader::{Node, Reader};
use std::time::Duration;

/// How long a factory keeps what has ended. What it does not say, it keeps for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// How long after its end an input is kept, with all that was split from it.
    pub finished: Option<Duration>,
    /// How many ended inputs of each line are kept, the newest.
    pub most: Option<u32>,
    /// How long a result is kept that nobody fetched and no sink has.
    pub unfetched: Option<Duration>,
    /// How long an input that is gone is still known, so that it is not taken once more.
    pub known: Duration,
}

/// A year.
const KNOWN: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl Default for Retention {
    fn default() -> Self {
        Self {
            finished: None,
            most: None,
            unfetched: None,
            known: KNOWN,
        }
    }
}

pub(super) fn read(reader: &mut Reader<'_>, node: &Node<'_>) -> Retention {
    let mut retention = Retention::default();
    let Some(fields) = reader.table(node) else {
        return retention;
    };
    let mut time = |name| fields.get(name).and_then(|node| reader.time(&node));
    retention.finished = time("finished");
    retention.unfetched = time("unfetched");
    retention.known = time("known").unwrap_or(KNOWN);
    retention.most = fields.get("most").and_then(|node| reader.count(&node));
    retention
}
