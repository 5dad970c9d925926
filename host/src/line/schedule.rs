//! When a line submits by itself: a cron expression in a time zone, and what is due by it.
//!
//! Times are instants; the zone only says what its clocks show then. Where they are put forward, what
//! falls into the gap is due once at its end, unless minute or hour begin with `*`: such times do not
//! come then. Where they are put back, what names its hour is due once, the first time; with `*` it is
//! due in both passes.

use crate::visit::Millis;
use chrono::{DateTime, LocalResult, NaiveDateTime, TimeDelta, TimeZone as _, Utc};
use chrono_tz::Tz;
use croner::{
    Cron, Direction,
    parser::{CronParser, Seconds, Year},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, fmt};

/// A cron expression and the zone that it is read in.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Schedule {
    written: Written,
    cron: Cron,
    zone: Tz,
    /// Minute and hour are named, not any.
    named: bool,
}

/// As it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Written {
    cron: String,
    zone: String,
}

/// Why a text is no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSchedule {
    /// It is no cron expression.
    #[error("{0}")]
    Cron(String),
    /// There is no such zone.
    #[error("there is no such zone")]
    Zone,
    /// No time fits it.
    #[error("no day is like that")]
    Never,
}

/// What happens to runs whose time went by while nothing could be submitted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Missed {
    /// The last of them is made up for.
    #[default]
    Last,
    /// All of them are.
    All,
    /// None is.
    Skip,
}

/// A run that is later than this, in milliseconds, was missed.
const LATE: Millis = 60_000;
/// As far around a change of clocks, in hours, it is looked for times that come in another order.
const AROUND: i64 = 3;
/// The longest gap that clocks make, in hours: where the date line is moved.
const GAP: i64 = 25;

impl Schedule {
    /// The most runs that are due at once; the others are afterwards.
    pub const MOST: usize = 100;

    /// Reads an expression of five fields, or six with seconds before them, and the name of a zone.
    ///
    /// # Errors
    /// When one of them is none.
    pub fn new(cron: &str, zone: &str) -> Result<Self, BadSchedule> {
        let parser = CronParser::builder()
            .seconds(Seconds::Optional)
            .year(Year::Disallowed)
            .build();
        let fields = cron.split_whitespace().count();
        if !matches!(fields, 5 | 6) && !cron.trim().starts_with('@') {
            let reason = format!("it has {fields} fields, and five are meant, or six with seconds");
            return Err(BadSchedule::Cron(reason));
        }
        let parsed = parser.parse(cron).map_err(|error| {
            let reason = error.to_string();
            let reason = reason.rsplit(": ").next().unwrap_or_default();
            BadSchedule::Cron(reason.trim_end_matches('.').to_lowercase())
        })?;
        let schedule = Self {
            named: named(cron),
            cron: parsed,
            zone: zone.parse().map_err(|_| BadSchedule::Zone)?,
            written: Written {
                cron: cron.into(),
                zone: zone.into(),
            },
        };
        // Eight years have every day of every month, on every day of the week a month has.
        let from = DateTime::UNIX_EPOCH.naive_utc();
        let first = schedule.local(from, Direction::Forward);
        match first.filter(|first| *first < from + TimeDelta::days(366 * 41)) {
            Some(_) => Ok(schedule),
            None => Err(BadSchedule::Never),
        }
    }

    /// The first time after `after`.
    pub fn next(&self, after: Millis) -> Option<Millis> {
        let after = self.instant(after)?;
        let from = after.naive_local();
        let next = self.local(from, Direction::Forward)?;
        if self.plain(from)
            && let LocalResult::Single(next) = self.zone.from_local_datetime(&next)
        {
            return millis(&next);
        }
        // Near a change of clocks: all that comes around it, in the order of the instants.
        let (mut from, mut found) = (from - TimeDelta::hours(AROUND), None);
        while let Some(local) = self.local(from, Direction::Forward) {
            if found.is_some_and(|found: DateTime<Tz>| {
                local > found.naive_local() + TimeDelta::hours(AROUND)
            }) {
                break;
            }
            let later = self.instants(local).into_iter().filter(|at| *at > after);
            found = later.chain(found).min();
            from = local;
        }
        millis(&found?)
    }

    /// The last time up to and with `at`.
    pub fn last(&self, at: Millis) -> Option<Millis> {
        let at = self.instant(at)?;
        let until = at.naive_local() + TimeDelta::seconds(1);
        let last = self.local(until, Direction::Backward)?;
        if self.plain(until)
            && let LocalResult::Single(last) = self.zone.from_local_datetime(&last)
        {
            return millis(&last);
        }
        let (mut until, mut found) = (until + TimeDelta::hours(AROUND), None);
        while let Some(local) = self.local(until, Direction::Backward) {
            if found.is_some_and(|found: DateTime<Tz>| {
                local < found.naive_local() - TimeDelta::hours(AROUND)
            }) {
                break;
            }
            let earlier = self.instants(local).into_iter().filter(|time| *time <= at);
            found = earlier.chain(found).max();
            until = local;
        }
        millis(&found?)
    }

    /// What is to be submitted `now`, oldest first, after all up to `settled` was looked after: at most
    /// [`Self::MOST`]. A clock that went back makes nothing due.
    pub fn due(&self, settled: Millis, now: Millis, missed: Missed) -> Vec<Millis> {
        let settled = match missed {
            Missed::Last => {
                let last = self.last(now).filter(|last| *last > settled);
                return last.into_iter().collect();
            }
            Missed::All => settled,
            Missed::Skip => settled.max(now.saturating_sub(LATE)),
        };
        let after = |after: &Millis| self.next(*after);
        std::iter::successors(self.next(settled), after)
            .take_while(|at| *at <= now)
            .take(Self::MOST)
            .collect()
    }

    /// What the zone's clocks show at a time, as RFC 3339 has it.
    pub fn shown(&self, at: Millis) -> String {
        self.instant(at)
            .map_or_else(String::new, |at| at.to_rfc3339())
    }

    fn instant(&self, at: Millis) -> Option<DateTime<Tz>> {
        let utc = DateTime::<Utc>::from_timestamp_millis(i64::try_from(at).ok()?)?;
        Some(utc.with_timezone(&self.zone))
    }

    /// The nearest time on a clock that is never changed.
    fn local(&self, from: NaiveDateTime, direction: Direction) -> Option<NaiveDateTime> {
        let from = from.and_utc();
        let found = match direction {
            Direction::Forward => self.cron.find_next_occurrence(&from, false),
            Direction::Backward => {
                // Parts of a second would be kept by the search.
                let whole = DateTime::from_timestamp(from.timestamp(), 0)?;
                self.cron.find_previous_occurrence(&whole, false)
            }
        };
        let found = found.ok()?.timestamp();
        Some(DateTime::from_timestamp(found, 0)?.naive_utc())
    }

    /// Whether the clocks show it once.
    fn plain(&self, local: NaiveDateTime) -> bool {
        matches!(
            self.zone.from_local_datetime(&local),
            LocalResult::Single(_)
        )
    }

    /// When it is due what the clocks show as `local`.
    fn instants(&self, local: NaiveDateTime) -> BTreeSet<DateTime<Tz>> {
        match self.zone.from_local_datetime(&local) {
            LocalResult::Single(at) => BTreeSet::from([at]),
            LocalResult::Ambiguous(first, _) if self.named => BTreeSet::from([first]),
            LocalResult::Ambiguous(first, second) => BTreeSet::from([first, second]),
            LocalResult::None if self.named => {
                let minutes = (1..GAP * 60).map(|n| local + TimeDelta::minutes(n));
                // Clocks are changed at whole minutes.
                let whole = |at: NaiveDateTime| {
                    let at = at.and_utc().timestamp();
                    DateTime::from_timestamp(at - at.rem_euclid(60), 0)
                };
                let end = minutes
                    .filter_map(|at| Some(whole(at)?.naive_utc()))
                    .find_map(|at| self.zone.from_local_datetime(&at).earliest());
                end.into_iter().collect()
            }
            LocalResult::None => BTreeSet::new(),
        }
    }
}

/// Whether minute and hour of an expression are named.
fn named(cron: &str) -> bool {
    let fields: Vec<&str> = cron.split_whitespace().collect();
    let time = match fields.len() {
        0..5 => return !cron.trim().eq_ignore_ascii_case("@hourly"),
        5 => &fields[..2],
        _ => &fields[..3],
    };
    time.iter().all(|field| !field.starts_with('*'))
}

fn millis(at: &DateTime<Tz>) -> Option<Millis> {
    u64::try_from(at.timestamp_millis()).ok()
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.written.cron, self.written.zone)
    }
}

impl TryFrom<Written> for Schedule {
    type Error = BadSchedule;

    fn try_from(written: Written) -> Result<Self, BadSchedule> {
        Self::new(&written.cron, &written.zone)
    }
}

impl From<Schedule> for Written {
    fn from(schedule: Schedule) -> Self {
        schedule.written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Millis {
        let time = DateTime::parse_from_rfc3339(text).expect(text);
        time.timestamp_millis().try_into().expect("after 1970")
    }

    fn berlin(cron: &str) -> Schedule {
        Schedule::new(cron, "Europe/Berlin").expect(cron)
    }

    /// The next times after one, as the zone's clocks show them.
    fn nexts(schedule: &Schedule, after: &str, many: usize) -> Vec<String> {
        let next = |at: &Millis| schedule.next(*at);
        std::iter::successors(schedule.next(at(after)), next)
            .take(many)
            .map(|at| schedule.shown(at))
            .collect()
    }

    #[test]
    fn clocks_that_are_changed() {
        let cases: &[(&str, &str, &[&str])] = &[
            // the gap of 2026-03-29 is from 02:00 to 03:00
            (
                "30 2 * * *",
                "2026-03-28T00:00:00Z",
                &[
                    "2026-03-28T02:30:00+01:00",
                    "2026-03-29T03:00:00+02:00",
                    "2026-03-30T02:30:00+02:00",
                ],
            ),
            (
                "0 2,14 * * *",
                "2026-03-28T20:00:00Z",
                &["2026-03-29T03:00:00+02:00", "2026-03-29T14:00:00+02:00"],
            ),
            (
                "0 2,3 * * *",
                "2026-03-28T20:00:00Z",
                &["2026-03-29T03:00:00+02:00", "2026-03-30T02:00:00+02:00"],
            ),
            (
                "*/30 * * * *",
                "2026-03-29T00:00:00Z",
                &[
                    "2026-03-29T01:30:00+01:00",
                    "2026-03-29T03:00:00+02:00",
                    "2026-03-29T03:30:00+02:00",
                ],
            ),
            // the clocks of 2026-10-25 show 02:00 to 03:00 twice
            (
                "30 2 * * *",
                "2026-10-24T20:00:00Z",
                &["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"],
            ),
            (
                "*/30 2 * * *",
                "2026-10-24T20:00:00Z",
                &[
                    "2026-10-25T02:00:00+02:00",
                    "2026-10-25T02:30:00+02:00",
                    "2026-10-25T02:00:00+01:00",
                    "2026-10-25T02:30:00+01:00",
                    "2026-10-26T02:00:00+01:00",
                ],
            ),
            (
                "0 0 29 2 *",
                "2026-01-01T00:00:00Z",
                &["2028-02-29T00:00:00+01:00"],
            ),
        ];
        for (cron, after, expected) in cases {
            let schedule = berlin(cron);
            assert_eq!(nexts(&schedule, after, expected.len()), *expected, "{cron}");
            // Backwards they are the same.
            let first = schedule.next(at(after)).expect("one");
            let mut all: Vec<String> = Vec::new();
            let mut until = schedule.next(first).map_or(first, |_| {
                at(expected.last().expect("one")) // the last of them
            });
            while let Some(last) = schedule.last(until).filter(|last| *last >= first) {
                all.insert(0, schedule.shown(last));
                until = last - 1;
            }
            assert_eq!(all, *expected, "{cron} backwards");
        }
    }

    #[test]
    fn next_and_last_agree_at_any_moment_around_a_change() {
        for cron in [
            "30 2 * * *",
            "*/20 * * * *",
            "0 3 * * *",
            "59 1 * * *",
            "0 */2 * * *",
        ] {
            let schedule = berlin(cron);
            for begin in ["2026-03-28T22:00:00Z", "2026-10-24T22:00:00Z"] {
                for minute in 0..8 * 60 {
                    let moment = at(begin) + minute * 60_000 + 7;
                    let next = schedule.next(moment).expect("one");
                    assert!(next > moment);
                    assert_eq!(schedule.last(next), Some(next), "{cron} {moment}");
                    assert!(
                        schedule.last(next - 1).expect("one") <= moment,
                        "{cron} {moment}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_is_due() {
        let schedule = berlin("0 2 * * *");
        let due = |settled: &str, now: &str, missed| -> Vec<String> {
            let all = schedule.due(at(settled), at(now), missed);
            all.into_iter().map(|at| schedule.shown(at)).collect()
        };
        let three = ["2026-06-02", "2026-06-03", "2026-06-04"];
        let three = three.map(|day| format!("{day}T02:00:00+02:00"));
        let (before, after) = ("2026-06-01T12:00:00+02:00", "2026-06-04T12:00:00+02:00");
        assert_eq!(due(before, after, Missed::All), three);
        assert_eq!(due(before, after, Missed::Last), three[2..]);
        assert!(due(before, after, Missed::Skip).is_empty());
        // Just now it is due by every policy, once.
        let now = "2026-06-04T02:00:01+02:00";
        for missed in [Missed::All, Missed::Last, Missed::Skip] {
            assert_eq!(due(&three[1], now, missed), three[2..]);
            assert!(due(&three[2], now, missed).is_empty());
            // A clock that went back.
            assert!(due(after, now, missed).is_empty());
        }
        // Many are due one part after the other.
        let often = berlin("* * * * * *");
        let parts = often.due(at(before), at(after), Missed::All);
        assert_eq!(parts.len(), Schedule::MOST);
        assert_eq!(parts[1] - parts[0], 1000);
        assert_eq!(often.due(at(before), at(after), Missed::Last), [at(after)]);
        assert_eq!(often.due(at(before), at(after), Missed::Skip).len(), 60);
    }

    #[test]
    fn what_is_no_schedule() {
        for (cron, zone) in [
            ("", "UTC"),
            ("every day", "UTC"),
            ("0 2 * *", "UTC"),
            ("60 2 * * *", "UTC"),
            ("0 2 * * 9", "UTC"),
            ("0 0 0 2 * * 2026", "UTC"),
            ("0 0 30 2 *", "UTC"),
            ("0 2 * * *", "Europe/Atlantis"),
            ("0 2 * * *", ""),
        ] {
            assert!(Schedule::new(cron, zone).is_err(), "{cron:?} {zone:?}");
        }
        let text = serde_json::to_string(&berlin("0 2 * * *")).expect("it is written");
        assert_eq!(text, r#"{"cron":"0 2 * * *","zone":"Europe/Berlin"}"#);
        let again: Schedule = serde_json::from_str(&text).expect("it is read");
        assert_eq!(again, berlin("0 2 * * *"));
        assert!(serde_json::from_str::<Schedule>(r#"{"cron":"x","zone":"UTC"}"#).is_err());
    }
}
