//! Where a port leads: rules, bounds of loops, joins. Pure; knows lines and nothing of items' lives.

use super::{Destination, Jam, Labels};
use crate::{
    line::{Line, Rule, Station, Target},
    name::Name,
};
use std::collections::BTreeMap;

/// Someone who leaves a station: what a route depends on beside the port and the labels.
pub(super) struct Traveller<'a> {
    pub(super) line: &'a Line,
    pub(super) visits: &'a BTreeMap<Name, u32>,
    pub(super) lineage: &'a [Name],
}

impl Traveller<'_> {
    /// Where `port` of `station` leads a payload with these labels.
    pub(super) fn by(
        &self,
        station: &Name,
        port: &Name,
        labels: &Labels,
    ) -> Result<Destination, Jam> {
        let rules = self
            .line
            .stations
            .get(station)
            .and_then(|station| station.next.get(port))
            .ok_or_else(|| unwired(self.line, station, port))?;
        let target = first(rules, labels).ok_or_else(|| Jam::NoRoute(port.clone()))?;
        Ok(self.to(target, labels))
    }

    /// Where it comes to if it is sent to `target`: past stations that it may not visit any more, by
    /// their ports `exhausted`.
    pub(super) fn to<'t>(&'t self, mut target: &'t Target, labels: &Labels) -> Destination {
        // each station is passed once at most, so that a ring of `exhausted` ports ends
        for _ in 0..=self.line.stations.len() {
            let name = match target {
                Target::Done => return Destination::Done,
                Target::Scrap => return Destination::Scrap,
                Target::Station(name) => name,
            };
            let Some(station) = self.line.stations.get(name) else {
                return Destination::Nowhere(Jam::Invalid(format!(
                    "the line has no station `{name}`"
                )));
            };
            let join = station.join.as_ref();
            if join.is_some_and(|join| self.lineage.contains(&join.of)) {
                return Destination::Join(name.clone());
            }
            if self.may_visit(name, station) {
                return Destination::Station(name.clone());
            }
            let exhausted = station.next.get(Name::EXHAUSTED);
            match exhausted.and_then(|rules| first(rules, labels)) {
                Some(next) => target = next,
                None => return Destination::Nowhere(Jam::Exhausted(name.clone())),
            }
        }
        match target {
            Target::Station(name) => Destination::Nowhere(Jam::Exhausted(name.clone())),
            Target::Done => Destination::Done,
            Target::Scrap => Destination::Scrap,
        }
    }

    fn may_visit(&self, name: &Name, station: &Station) -> bool {
        let so_far = self.visits.get(name).copied().unwrap_or(0);
        station.visits.is_none_or(|most| so_far < most)
    }
}

fn first<'a>(rules: &'a [Rule], labels: &Labels) -> Option<&'a Target> {
    rules
        .iter()
        .find(|rule| rule.fits(labels))
        .map(|rule| &rule.to)
}

fn unwired(line: &Line, station: &Name, port: &Name) -> Jam {
    Jam::Invalid(format!(
        "the port `{port}` of `{station}` is not wired ({})",
        wired(line, station)
    ))
}

/// The ports of a station that lead somewhere, for messages.
pub(super) fn wired(line: &Line, station: &Name) -> String {
    let ports: Vec<_> = line
        .stations
        .get(station)
        .into_iter()
        .flat_map(|station| station.next.keys())
        .map(|port| format!("`{port}`"))
        .collect();
    match &*ports {
        [] => "no port is".into(),
        [one] => format!("only {one} is"),
        several => format!("{} are", several.join(", ")),
    }
}
