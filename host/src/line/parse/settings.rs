//! What defaults and stations both set: retries, limits, workers, queue.

use super::super::{
    Retry, Station,
    reader::{Fields, Node, Reader},
};
use crate::limits::Limits;

/// What a station has that does not say otherwise.
#[derive(Clone)]
pub(super) struct Defaults {
    pub(super) retry: Retry,
    pub(super) limits: Limits,
    pub(super) workers: u32,
    pub(super) queue: u32,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            retry: Retry::default(),
            limits: Limits::default(),
            workers: Station::WORKERS,
            queue: Station::QUEUE,
        }
    }
}

impl Defaults {
    /// Reads `defaults`.
    pub(super) fn read(reader: &mut Reader<'_>, node: &Node<'_>) -> Self {
        let mut defaults = Self::default();
        if let Some(fields) = reader.table(node) {
            defaults.set(reader, &fields);
        }
        defaults
    }

    /// Takes over what a table says.
    pub(super) fn set(&mut self, reader: &mut Reader<'_>, fields: &Fields<'_>) {
        if let Some(node) = fields.get("retry") {
            retry(reader, &node, &mut self.retry);
        }
        if let Some(node) = fields.get("limits") {
            limits(reader, &node, &mut self.limits);
        }
        if let Some(count) = fields.get("workers").and_then(|node| reader.count(&node)) {
            self.workers = count;
        }
        if let Some(count) = fields.get("queue").and_then(|node| reader.count(&node)) {
            self.queue = count;
        }
    }
}

fn retry(reader: &mut Reader<'_>, node: &Node<'_>, retry: &mut Retry) {
    let Some(fields) = reader.table(node) else {
        return;
    };
    if let Some(attempts) = fields.get("attempts").and_then(|node| reader.count(&node)) {
        retry.attempts = attempts;
    }
    if let Some(backoff) = fields.get("backoff").and_then(|node| reader.backoff(&node)) {
        (retry.first, retry.longest) = backoff;
    }
}

fn limits(reader: &mut Reader<'_>, node: &Node<'_>, limits: &mut Limits) {
    let Some(fields) = reader.table(node) else {
        return;
    };
    for (name, limit) in [("wall", &mut limits.wall), ("cpu", &mut limits.cpu)] {
        if let Some(time) = fields.get(name).and_then(|node| reader.time(&node)) {
            *limit = time;
        }
    }
    for (name, limit) in [
        ("memory", &mut limits.memory),
        ("output", &mut limits.output),
        ("log", &mut limits.log),
        ("sent", &mut limits.sent),
        ("received", &mut limits.received),
        ("disk", &mut limits.disk),
    ] {
        if let Some(size) = fields.get(name).and_then(|node| reader.size(&node)) {
            *limit = size;
        }
    }
    for (name, limit) in [
        ("tables", &mut limits.tables),
        ("instances", &mut limits.instances),
        ("handles", &mut limits.handles),
        ("outputs", &mut limits.outputs),
        ("labels", &mut limits.labels),
        ("children", &mut limits.children),
        ("visits", &mut limits.visits),
        ("requests", &mut limits.requests),
        ("files", &mut limits.files),
    ] {
        if let Some(count) = fields.get(name).and_then(|node| reader.count(&node)) {
            *limit = count.into();
        }
    }
}
