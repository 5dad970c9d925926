//! How the lines stand, as Prometheus reads it. Labels are lines, stations and phases: their number is
//! bounded by the line files.

use crate::lines::{Condition, LineStatus, StationStatus, Status};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use std::{fmt, sync::atomic::AtomicU64};

/// The media type of [`text`].
pub(super) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfStation {
    line: String,
    station: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfLine {
    line: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfPhase {
    line: String,
    phase: String,
}

type Level = Gauge<f64, AtomicU64>;

/// A gauge of each station: its name, what it is, and where it is read.
type StationGauge = (
    &'static str,
    &'static str,
    fn(&StationStatus) -> Option<f64>,
);

const STATIONS: &[StationGauge] = &[
    (
        "waiting",
        "Items that wait for a worker or their next attempt",
        |s| Some(s.waiting as f64),
    ),
    ("working", "Visits under way", |s| Some(s.working as f64)),
    ("held", "Items that wait for an answer", |s| {
        Some(s.held as f64)
    }),
    ("jammed", "Items that wait to be cleared", |s| {
        Some(s.jammed as f64)
    }),
    (
        "workers",
        "Visits at the same time, at most; 0 where the line asks",
        |s| Some(f64::from(s.workers)),
    ),
    (
        "paused",
        "1 where the station starts no visits, 0 where it does",
        |s| Some(f64::from(u8::from(s.paused.is_some()))),
    ),
    (
        "visits_per_second",
        "Visits that ended, per second, over the last minutes",
        |s| s.rate,
    ),
    (
        "visit_p50_milliseconds",
        "Half of the visits of the last minutes took at most so many milliseconds",
        |s| s.p50_ms,
    ),
    (
        "visit_p99_milliseconds",
        "99 of a hundred visits of the last minutes took at most so many milliseconds",
        |s| s.p99_ms,
    ),
];

/// The text that Prometheus reads.
pub(super) fn text(status: &Status) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("andon");
    let running = Level::default();
    running.set(f64::from(u8::from(status.condition == Condition::Running)));
    registry.register(
        "running",
        "1 where the lines run, 0 where they wait or end",
        running,
    );
    let lines = || status.lines.iter();
    let stations = || {
        lines().flat_map(|line| {
            line.stations
                .iter()
                .map(move |station| (OfStation::new(line, station), station))
        })
    };

    let revision = Family::<OfLine, Level>::default();
    let items = Family::<OfPhase, Level>::default();
    for line in lines() {
        let name = line.line.to_string();
        let of = OfLine { line: name.clone() };
        revision.get_or_create(&of).set(line.revision as f64);
        for (phase, count) in &line.items {
            let of = OfPhase {
                line: name.clone(),
                phase: phase.clone(),
            };
            items.get_or_create(&of).set(*count as f64);
        }
    }
    registry.register(
        "line_revision",
        "The number of the revision that runs",
        revision,
    );
    registry.register("line_items", "Items in each phase", items);

    for (name, help, value) in STATIONS {
        let family = Family::<OfStation, Level>::default();
        for (of, station) in stations() {
            if let Some(value) = value(station) {
                family.get_or_create(&of).set(value);
            }
        }
        registry.register(format!("station_{name}"), *help, family);
    }
    let passed = Family::<OfStation, Counter>::default();
    let failed = Family::<OfStation, Counter>::default();
    for (of, station) in stations() {
        passed.get_or_create(&of).inc_by(station.passed);
        failed.get_or_create(&of).inc_by(station.failed);
    }
    registry.register(
        "station_attempts_passed",
        "Attempts that gave their outputs, since the start of the daemon",
        passed,
    );
    registry.register(
        "station_attempts_failed",
        "Attempts that gave none, since the start of the daemon",
        failed,
    );
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

impl OfStation {
    fn new(line: &LineStatus, station: &StationStatus) -> Self {
        Self {
            line: line.line.to_string(),
            station: station.station.to_string(),
        }
    }
}
