//! What the outcome of an attempt leads to.

use super::{Refused, Step};
use crate::{
    digest::Digest,
    item::{
        Budget, Child, Destination, Facts, Jam, LabelProblem, Payload, Phase, Record,
        route::Traveller,
    },
    line::Retry,
    name::Name,
    visit::{Millis, Outcome, Output, Report},
};
use std::time::Duration;

/// The longest that a station may ask to be left alone before its next attempt.
const LONGEST_ASKED: Duration = Duration::from_secs(24 * 60 * 60);

impl Step<'_> {
    pub(super) fn reported(&self, report: Report) -> Result<Vec<Record>, Refused> {
        let Phase::Working {
            station, attempt, ..
        } = &self.item.phase
        else {
            return Err(Refused::NotWorking {
                item: self.item.id.clone(),
                phase: self.item.kind(),
            });
        };
        let retry = &self.station(station)?.retry;
        let workspace = report.workspace.or(self.item.workspace);
        let facts = Facts {
            usage: report.usage,
            log: report.log,
            reason: None,
        };
        Ok(vec![match report.outcome {
            Outcome::Passed(outputs) => self.passed(station, outputs, workspace, facts),
            Outcome::Retry { reason, after } => self.again(*attempt, retry, reason, after, facts),
            Outcome::Trapped(reason) => self.again(*attempt, retry, reason, None, facts),
            Outcome::Overrun { limit, value } if limit.passing() => {
                let reason = format!("over the limit `{}` of {value}", limit.key());
                self.again(*attempt, retry, reason, None, facts)
            }
            Outcome::Overrun { limit, value } => self.jam(Jam::Overrun { limit, value }, facts),
            Outcome::Rejected(reason) => self.rejected(station, reason, facts),
            Outcome::Asked(question) => self.asked(station, question, facts)?,
            Outcome::Diverged(what) => self.jam(Jam::Diverged(what), facts),
            Outcome::UnknownOutcome(what) => self.jam(Jam::UnknownOutcome(what), facts),
            Outcome::Violation(violation) => self.jam(Jam::Violation(violation), facts),
            Outcome::Recalled(why) => Record::Recalled { at: self.at, why },
            Outcome::Invalid(what) => self.jam(Jam::Invalid(what), facts),
        }])
    }

    fn jam(&self, jam: Jam, facts: Facts) -> Record {
        Record::Jammed {
            at: self.at,
            jam,
            facts: Some(facts),
        }
    }

    fn passed(
        &self,
        station: &Name,
        outputs: Vec<Output>,
        workspace: Option<Digest>,
        facts: Facts,
    ) -> Record {
        if outputs.is_empty() {
            return Record::Finished { at: self.at, facts };
        }
        let merged: Result<Vec<_>, Jam> = outputs
            .into_iter()
            .map(|output| self.merged(station, output))
            .collect();
        match merged.and_then(|all| self.leave(station, all, workspace)) {
            Ok(record) => with(record, facts),
            Err(jam) => self.jam(jam, facts),
        }
    }

    /// The output with its labels merged over the item's.
    fn merged(&self, station: &Name, output: Output) -> Result<(Name, Payload), Jam> {
        let Output { port, mut payload } = output;
        if port == *Name::REJECT || port == *Name::EXHAUSTED {
            return Err(Jam::Invalid(format!(
                "an output of `{station}` is on the port `{port}`, which is reserved"
            )));
        }
        payload.labels = self
            .item
            .labels
            .merged(&payload.labels)
            .map_err(|problem: LabelProblem| Jam::Invalid(problem.to_string()))?;
        Ok((port, payload))
    }

    fn rejected(&self, station: &Name, reason: String, facts: Facts) -> Record {
        let port: Name = Name::REJECT.parse().expect("a name");
        let wired = self
            .line
            .stations
            .get(station)
            .is_some_and(|station| station.next.contains_key(&port));
        if !wired {
            return self.jam(Jam::Rejected(reason), facts);
        }
        match self.leave_as_it_came(station, &port) {
            Ok(record) => {
                let reason = Some(reason);
                with(record, Facts { reason, ..facts })
            }
            Err(jam) => self.jam(jam, facts),
        }
    }

    /// The record of leaving a station with these payloads, their labels merged: one moves on,
    /// several are a split. The facts are still to be filled in.
    pub(super) fn leave(
        &self,
        station: &Name,
        outputs: Vec<(Name, Payload)>,
        workspace: Option<Digest>,
    ) -> Result<Record, Jam> {
        let at = self.at;
        let several = outputs.len() > 1;
        let mut lineage = self.item.lineage.clone();
        if several {
            lineage.push(station.clone());
        }
        let traveller = Traveller {
            line: self.line,
            visits: &self.item.visits,
            lineage: &lineage,
        };
        let mut routed = outputs
            .into_iter()
            .map(|(port, payload)| {
                let to = traveller.by(station, &port, &payload.labels)?;
                Ok((port, to, payload))
            })
            .collect::<Result<Vec<_>, Jam>>()?;
        if !several {
            let (port, to, payload) = routed
                .pop()
                .ok_or_else(|| Jam::Invalid("it carries nothing".into()))?;
            return Ok(Record::Moved {
                at,
                port,
                to,
                payload,
                workspace,
                facts: Facts::default(),
            });
        }
        let most = self.line.stations.get(station);
        let most = most.map_or(u64::MAX, |station| station.limits.children);
        let shares = Budget::split(self.item.budget, most, routed.len() as u64)?;
        let children = self.children(routed)?;
        let (join, until) = match self.line.join_of(station) {
            Some((name, join)) => (
                Some(name.clone()),
                join.after.map(|after| at.saturating_add(millis(after))),
            ),
            None => (None, None),
        };
        Ok(Record::Split {
            at,
            children,
            workspace,
            join,
            until,
            shares: Some(shares),
            facts: Facts::default(),
        })
    }

    fn children(&self, routed: Vec<(Name, Destination, Payload)>) -> Result<Vec<Child>, Jam> {
        let last = u32::try_from(routed.len())
            .ok()
            .and_then(|number| self.item.children.checked_add(number));
        if last.is_none_or(|n| self.item.id.child(n).is_none()) {
            return Err(Jam::Invalid(
                "it splits an item that comes from too many splits already".into(),
            ));
        }
        Ok((self.item.children + 1..)
            .zip(routed)
            .map(|(n, (port, to, payload))| Child {
                n,
                port,
                to,
                payload,
            })
            .collect())
    }

    fn again(
        &self,
        attempt: u32,
        retry: &Retry,
        reason: String,
        asked: Option<Duration>,
        facts: Facts,
    ) -> Record {
        if attempt >= retry.attempts {
            return self.jam(Jam::Retries(reason), facts);
        }
        let wait = self
            .backoff(attempt, retry)
            .max(asked.unwrap_or_default().min(LONGEST_ASKED));
        let again = self.at.saturating_add(millis(wait));
        // Nothing is waited for past the deadline: the start that is due then jams.
        let latest = self.item.ticket.deadline.unwrap_or(Millis::MAX);
        Record::Failed {
            at: self.at,
            reason,
            again: again.min(latest.max(self.at)),
            facts,
        }
    }

    /// Doubled after each attempt, up to `longest`; of that between half and all, so that items that
    /// failed together do not come back together.
    fn backoff(&self, attempt: u32, retry: &Retry) -> Duration {
        let doubled = 1u32
            .checked_shl(attempt.saturating_sub(1))
            .unwrap_or(u32::MAX);
        let full = retry.first.saturating_mul(doubled).min(retry.longest);
        let (station, nth) = match &self.item.phase {
            Phase::Working { station, nth, .. } => (station.as_str(), *nth),
            _ => ("", 0),
        };
        let key = format!("{} {station} {nth} {attempt}", self.item.id);
        let hash = blake3::hash(key.as_bytes());
        let share = u32::from(u16::from_le_bytes([hash.as_bytes()[0], hash.as_bytes()[1]]));
        // in integers, so that every machine comes to the same
        let nanos = full.as_nanos() / 2 + full.as_nanos() / 2 * u128::from(share) / 0xffff;
        Duration::from_nanos(nanos.try_into().unwrap_or(u64::MAX))
    }
}

/// The record of a departure, with what is kept of the attempt.
fn with(mut record: Record, of_attempt: Facts) -> Record {
    if let Record::Moved { facts, .. } | Record::Split { facts, .. } = &mut record {
        *facts = of_attempt;
    }
    record
}

pub(super) fn millis(duration: Duration) -> Millis {
    duration.as_millis().try_into().unwrap_or(Millis::MAX)
}
