//! `andon status`: how the lines stand, once or live.

use super::{Done, control::Acting, print, state::StateArg, terminal};
use crate::{
    lines::{Condition, Far, LineStatus, StationStatus, Status as Standing, Visiting},
    name::Name,
};
use std::{
    fmt::Write as _,
    io::{self, IsTerminal as _},
    time::Duration,
};

/// Show how lines and their stations stand
#[derive(Debug, clap::Args)]
pub(super) struct Status {
    /// Only this line.
    line: Option<Name>,
    /// Show it live until Ctrl-C; once where standard output is no terminal.
    #[arg(long, short)]
    watch: bool,
    /// Print one JSON object.
    #[arg(long, conflicts_with = "watch")]
    json: bool,
    #[command(flatten)]
    state: StateArg,
}

/// How often it is drawn anew.
const FRAME: Duration = Duration::from_millis(500);

impl Status {
    pub(super) fn execute(self) -> anyhow::Result<Done> {
        let acting = Acting::on(&self.state)?;
        let live = self.watch && io::stdout().is_terminal();
        loop {
            let status = acting.act(|control| control.status(self.line.as_ref()))?;
            if let Some(line) = &self.line
                && !status.lines.iter().any(|status| status.line == *line)
            {
                anyhow::bail!("there is no line `{line}`\n  hint: `andon status` lists them");
            }
            if self.json {
                print::json(&serde_json::to_value(&status)?)?;
                return Ok(Done::Well);
            }
            let text = told(&status);
            if live {
                print::clear()?;
                print::text(&fitted(text.trim_end(), terminal::window()))?;
            } else {
                print::text(text.trim_end())?;
            }
            if !live || acting.daemon.is_none() {
                return Ok(Done::Well);
            }
            acting.wait(async { tokio::time::sleep(FRAME).await });
        }
    }
}

/// As much of a text as a window of so many rows and columns has room for, so that it is drawn over by the
/// next; all of it where the size is not known.
fn fitted(text: &str, window: Option<(usize, usize)>) -> String {
    let Some((rows, columns)) = window else {
        return text.into();
    };
    // The cursor stands below the last line.
    let room = rows.saturating_sub(1);
    let all = text.lines().count();
    let shown = if all > room {
        room.saturating_sub(1)
    } else {
        all
    };
    let lines = text.lines().take(shown);
    let mut lines: Vec<String> = lines
        .map(|line| line.chars().take(columns).collect())
        .collect();
    if all > shown {
        let more = format!("… {} more lines", all - shown);
        lines.push(more.chars().take(columns).collect());
    }
    lines.join("\n")
}

/// A column of the table: its head, and what stands in it.
type Column = (&'static str, fn(&StationStatus) -> String);

const COLUMNS: &[Column] = &[
    ("WAITING", |s| s.waiting.to_string()),
    ("WORKING", |s| match s.workers {
        0 => "-".into(),
        workers => format!("{}/{workers}", s.working),
    }),
    ("HELD", |s| s.held.to_string()),
    ("JAMMED", |s| s.jammed.to_string()),
    ("PASSED", |s| attempts(s, s.passed)),
    ("FAILED", |s| attempts(s, s.failed)),
    ("RATE", |s| {
        s.rate.map_or("-".into(), |rate| format!("{rate:.1}/s"))
    }),
    ("P50", |s| span(s.p50_ms)),
    ("P99", |s| span(s.p99_ms)),
];

fn told(status: &Standing) -> String {
    let mut text = match &status.condition {
        Condition::Running => String::new(),
        Condition::Waiting { reason } => {
            format!(
                "waiting until the journal can write again: {}\n\n",
                print::below(reason, "  ")
            )
        }
        Condition::Draining => "draining\n\n".into(),
        Condition::Resting => "no daemon runs these lines\n\n".into(),
    };
    if status.lines.is_empty() {
        text.push_str("no lines\n");
    }
    for line in &status.lines {
        of_line(&mut text, line);
        text.push('\n');
    }
    text
}

fn of_line(text: &mut String, line: &LineStatus) {
    let _ = write!(text, "{}  revision {}", line.line, line.revision);
    if let Some(ramp) = line.ramp {
        let _ = write!(text, ", {} % by revision {}", ramp.percent, ramp.to);
    }
    if let Some(why) = &line.failed {
        let _ = write!(text, ", stopped: {}", print::first(why));
    }
    let items: Vec<String> = line
        .items
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(phase, count)| format!("{count} {phase}"))
        .collect();
    if !items.is_empty() {
        let _ = write!(text, "  ({})", items.join(", "));
    }
    text.push('\n');
    let names = line.stations.iter().map(|station| station.station.len());
    let width = names.max().unwrap_or(0).max("STATION".len());
    let _ = write!(text, "{:width$}", "STATION");
    for (head, _) in COLUMNS {
        let _ = write!(text, "  {head:>7}");
    }
    text.push('\n');
    for station in &line.stations {
        let _ = write!(text, "{:width$}", station.station);
        for (_, value) in COLUMNS {
            let _ = write!(text, "  {:>7}", value(station));
        }
        if let Some(paused) = &station.paused {
            let _ = write!(text, "  paused by {}", print::line(&paused.by));
            if !paused.why.is_empty() {
                let _ = write!(text, ": {}", print::line(&paused.why));
            }
        }
        text.push('\n');
    }
    for Visiting { item, station, far } in &line.visits {
        let _ = writeln!(text, "  {item} at `{station}`: {}", so_far(far));
    }
}

/// How far a visit has come.
pub(super) fn so_far(Far { done, total, note }: &Far) -> String {
    let mut text = match total {
        0 => done.to_string(),
        total => format!("{done} of {total}"),
    };
    if !note.is_empty() {
        let _ = write!(text, ", {}", print::line(note));
    }
    text
}

/// A number of attempts, where there are any.
fn attempts(station: &StationStatus, number: u64) -> String {
    match station.workers {
        0 => "-".into(),
        _ => number.to_string(),
    }
}

/// A number of milliseconds as people read it.
fn span(millis: Option<f64>) -> String {
    match millis {
        None => "-".into(),
        Some(ms) if ms < 10.0 => format!("{ms:.1}ms"),
        Some(ms) if ms < 10_000.0 => format!("{ms:.0}ms"),
        Some(ms) => format!("{:.0}s", ms / 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        item::ItemId,
        journal::{Paused, Ramping},
    };
    use std::collections::BTreeMap;

    #[test]
    fn what_is_watched_stays_in_its_window() {
        let text = "one\ntwo and more\nthree";
        assert_eq!(fitted(text, None), text);
        assert_eq!(fitted(text, Some((4, 20))), text);
        assert_eq!(fitted(text, Some((4, 5))), "one\ntwo a\nthree");
        assert_eq!(fitted(text, Some((3, 20))), "one\n… 2 more lines");
        assert_eq!(fitted(text, Some((1, 3))), "… 3");
    }

    #[test]
    fn a_line_is_a_table() {
        let station = StationStatus {
            station: "scan".parse().expect("a name"),
            waiting: 12,
            working: 3,
            held: 0,
            jammed: 1,
            passed: 1234,
            failed: 2,
            workers: 4,
            paused: None,
            rate: Some(12.34),
            p50_ms: Some(1.25),
            p99_ms: Some(20_000.0),
        };
        let paused = StationStatus {
            station: "approve-it".parse().expect("a name"),
            paused: Some(Paused {
                by: "ada\u{1b}[2J".into(),
                why: "lunch".into(),
                at: 0,
            }),
            rate: None,
            p50_ms: None,
            p99_ms: Some(250.0),
            ..station.clone()
        };
        let asks = StationStatus {
            station: "ask".parse().expect("a name"),
            held: 2,
            jammed: 0,
            workers: 0,
            paused: None,
            p99_ms: None,
            ..paused.clone()
        };
        let status = Standing {
            condition: Condition::Waiting {
                reason: "the disk is full\n  hint: free some space".into(),
            },
            lines: vec![LineStatus {
                line: "review".parse().expect("a name"),
                file: None,
                revision: 3,
                ramp: Some(Ramping { to: 4, percent: 10 }),
                running: true,
                failed: Some("it ended\n  hint: start it again".into()),
                entry: "scan".parse().expect("a name"),
                stations: vec![station, paused, asks],
                items: BTreeMap::from([("done".into(), 7), ("held".into(), 0)]),
                visits: [(3, 10, ""), (4, 0, "lines\u{1b}[2J")]
                    .map(|(done, total, note)| Visiting {
                        item: ItemId::input(&[0; 16], "review", note),
                        station: "scan".parse().expect("a name"),
                        far: Far {
                            done,
                            total,
                            note: note.into(),
                        },
                    })
                    .into(),
            }],
        };
        insta::assert_snapshot!(told(&status));
    }
}
