//! What defaults and stations both set: retries, limits, workers, queue.

use super::super::{
    OnViolation, Retry, Station,
    reader::{Fields, Node, Reader},
};
use crate::{grant::Rates, limits::Limits};

/// What a station has that does not say otherwise.
#[derive(Clone)]
pub(super) struct Defaults {
    pub(super) retry: Retry,
    pub(super) limits: Limits,
    pub(super) workers: u32,
    pub(super) queue: u32,
    pub(super) rate: Rates,
    pub(super) violation: OnViolation,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            retry: Retry::default(),
            limits: Limits::default(),
            workers: Station::WORKERS,
            queue: Station::QUEUE,
            rate: Rates::default(),
            violation: OnViolation::default(),
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
        if let Some(node) = fields.get("rate") {
            rates(reader, &node, &mut self.rate);
        }
        let violation = fields
            .get("violation")
            .and_then(|node| reader.one_of(&node));
        match violation {
            Some("deny") => self.violation = OnViolation::Deny,
            Some(_) => self.violation = OnViolation::Jam,
            None => {}
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

fn rates(reader: &mut Reader<'_>, node: &Node<'_>, rates: &mut Rates) {
    let Some(fields) = reader.table(node) else {
        return;
    };
    for (name, rate) in [
        ("requests", &mut rates.requests),
        ("connections", &mut rates.connections),
        ("bytes", &mut rates.bytes),
    ] {
        if let Some(pace) = fields.get(name).and_then(|node| reader.pace(&node)) {
            *rate = pace;
        }
    }
}

/// Reads `limits`: what it names is taken over.
pub(crate) fn limits(reader: &mut Reader<'_>, node: &Node<'_>, limits: &mut Limits) {
    let Some(fields) = reader.table(node) else {
        return;
    };
    for (name, limit) in [
        ("wall", &mut limits.wall),
        ("heartbeat", &mut limits.heartbeat),
        ("cpu", &mut limits.cpu),
    ] {
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
