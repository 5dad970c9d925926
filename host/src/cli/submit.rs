//! `andon submit`: inputs for a line that a daemon runs, or will run.

use super::{
    Done,
    control::{Acting, ByArg},
    inputs::{self, Cut},
    print,
    state::StateArg,
};
use crate::{
    conveyor::{Input, wall_clock},
    digest::Digest,
    item::{Body, PhaseKind, Priority},
    lines::{Fault, FaultKind, Given, Submission, Submit as Order},
    name::Name,
    serve::{self, Accepted, Outcome},
    visit::Millis,
};
use anyhow::Context as _;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::json;
use std::{path::PathBuf, time::Duration};

/// Submit inputs to a line
///
/// Prints the id of each item once it is durable. The same file is the same item when it comes again;
/// `--again` makes it a new one. Where the line is full, it is waited for.
///
/// Exit codes: 0 all taken (with `--wait`: all done), 1 something was not, 2 some items jammed or are held.
#[derive(Debug, clap::Args)]
pub(super) struct Submit {
    /// The line's name.
    line: Name,
    /// Files, folders, or `-` for standard input (an mbox gives an item for each mail).
    #[arg(required = true)]
    inputs: Vec<PathBuf>,
    /// Take standard input as one JSON value a line, each an item.
    #[arg(long)]
    jsonl: bool,
    /// Take inputs also if they were taken before.
    #[arg(long)]
    again: bool,
    /// What makes it the same input when it comes again; for one input only [default: its path and content]
    #[arg(long, conflicts_with = "again")]
    key: Option<String>,
    /// Its media type [default: by its name and content]
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// A label; may be given several times.
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// How urgent it is.
    #[arg(long, value_enum, default_value = "normal")]
    priority: Urgency,
    /// When it has to be through: `2h` from now, or `2026-01-31T09:05:00Z`.
    #[arg(long, value_name = "WHEN")]
    deadline: Option<String>,
    /// Wait so long for each to end, and give its results.
    #[arg(long, value_name = "TIME", value_parser = time)]
    wait: Option<Duration>,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    by: ByArg,
    #[command(flatten)]
    state: StateArg,
}

/// How urgent an item is.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(super) enum Urgency {
    /// Before the others.
    High,
    /// As most are.
    Normal,
    /// When nothing else waits.
    Low,
}

impl From<Urgency> for Priority {
    fn from(urgency: Urgency) -> Self {
        match urgency {
            Urgency::High => Self::High,
            Urgency::Normal => Self::Normal,
            Urgency::Low => Self::Low,
        }
    }
}

/// The longest time that the daemon is asked to wait at once.
const TURN: Duration = Duration::from_secs(60);

/// The longest time that a person may name: later moments are not reckoned with.
const YEAR: Duration = Duration::from_secs(366 * 86_400);

/// What submitting came to.
#[derive(Default)]
struct Tally {
    wrong: bool,
    stuck: bool,
}

impl Submit {
    pub(super) fn execute(self) -> anyhow::Result<Done> {
        let sources = match inputs::find(&self.inputs) {
            Ok(sources) => sources,
            Err(wrong) => {
                for error in wrong {
                    print::note(&format!("error: {}", print::error(&error.into())));
                }
                return Ok(Done::Wrong);
            }
        };
        if self.key.is_some() && sources.len() != 1 {
            anyhow::bail!(
                "one key is not for several inputs\n  hint: without `--key`, each has its own"
            );
        }
        let deadline = moment(self.deadline.as_deref())?;
        let acting = Acting::on(&self.state)?;
        if self.wait.is_some() && acting.daemon.is_none() {
            anyhow::bail!(
                "no daemon runs here, so nothing comes of waiting\n  hint: `andon serve`, or `andon run`"
            );
        }
        let cut = if self.jsonl {
            Cut::JsonLines
        } else {
            Cut::Mails
        };
        let again = self.again.then(|| wall_clock().to_string());
        let mut tally = Tally::default();
        let mut ended: anyhow::Result<()> = Ok(());
        for source in &sources {
            inputs::read(source, cut, again.as_deref(), &mut |input| {
                let submitted = match input {
                    Ok(input) => self.submit(&acting, input, deadline, &mut tally),
                    Err(error) => {
                        tally.wrong = true;
                        print::note(&format!("error: {}", print::error(&error.into())));
                        Ok(())
                    }
                };
                ended = submitted;
                ended.is_ok()
            });
            if ended.is_err() {
                break;
            }
        }
        acting.end()?;
        ended?;
        Ok(match tally {
            Tally { wrong: true, .. } => Done::Wrong,
            Tally { stuck: true, .. } => Done::Jammed,
            _ => Done::Well,
        })
    }

    fn submit(
        &self,
        acting: &Acting,
        input: Input,
        deadline: Option<Millis>,
        tally: &mut Tally,
    ) -> anyhow::Result<()> {
        let Body::Inline(body) = &input.taking.payload.body else {
            anyhow::bail!("an input is not in memory");
        };
        let source = input.taking.source.clone();
        let order = Order {
            line: self.line.clone(),
            // Of any length, with anything in it; a key is short and plain.
            key: Some(match &self.key {
                Some(key) => key.clone(),
                None => Digest::of(&input.key).to_string(),
            }),
            source: Some(source.clone()),
            content_type: Some(match &self.content_type {
                Some(kind) => kind.clone(),
                None => input.taking.payload.content_type.clone(),
            }),
            body: Given::of(body),
            labels: self.labels.iter().cloned().collect(),
            priority: self.priority.into(),
            deadline,
        };
        let accepted = self.take(acting, &order)?;
        self.say(&source, &accepted, tally)
    }

    /// Submits an input until there is room for it, and waits for its end where that is wanted.
    fn take(&self, acting: &Acting, order: &Order) -> Result<Accepted, Fault> {
        let by = self.by.name();
        let accepted = loop {
            match acting.act(|control| control.submit(&by, order.clone())) {
                Err(fault) if fault.kind == FaultKind::Full && acting.daemon.is_some() => {
                    let after = Duration::from_secs(fault.retry_after.unwrap_or(1));
                    acting.wait(async { tokio::time::sleep(after).await });
                }
                submitted => break submitted?,
            }
        };
        let outcome = match (&acting.daemon, self.wait) {
            (Some(daemon), Some(wait)) => {
                let path = format!("/v1/items/{}/result", accepted.item);
                Some(acting.wait(async {
                    let until = tokio::time::Instant::now() + wait;
                    loop {
                        let left = until.saturating_duration_since(tokio::time::Instant::now());
                        let turn = left.min(TURN).as_millis();
                        let path = format!("{path}?wait={turn}ms");
                        let outcome: Outcome = daemon.get(&path).await?;
                        if settled(&outcome) || left <= TURN {
                            return Ok::<_, Fault>(outcome);
                        }
                    }
                })?)
            }
            _ => None,
        };
        Ok(Accepted {
            submission: accepted,
            outcome,
        })
    }

    fn say(&self, source: &str, accepted: &Accepted, tally: &mut Tally) -> anyhow::Result<()> {
        let Accepted {
            submission: Submission { item, known },
            outcome,
        } = accepted;
        if self.json {
            let mut value = serde_json::to_value(accepted)?;
            value["source"] = json!(source);
            print::json(&value)?;
        } else if let Some(outcome) = outcome {
            for result in &outcome.results {
                match &result.body {
                    Some(Given::Text(text)) => print::data(text.as_bytes())?,
                    Some(Given::Base64(text)) => {
                        let bytes = BASE64_STANDARD.decode(text);
                        print::data(&bytes.context("the daemon's answer is not understood")?)?;
                    }
                    None => print::note(&format!(
                        "the result of {} is large\n  hint: `GET /v1/items/{}/body` gives it",
                        result.item, result.item
                    )),
                }
            }
        } else {
            print::text(item.as_str())?;
            if *known {
                print::note(&format!(
                    "{item} ({}) was taken before",
                    print::line(source)
                ));
            }
        }
        match outcome {
            Some(outcome) if !outcome.summary.phase.ended() => {
                let stuck = settled(outcome);
                tally.stuck |= stuck;
                tally.wrong |= !stuck;
                if !self.json {
                    let reason = outcome.summary.reason.as_deref().unwrap_or_default();
                    let phase = outcome.summary.phase;
                    print::note(&format!("{item} is {phase} {}", print::first(reason)));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Whether nothing more comes by itself.
fn settled(outcome: &Outcome) -> bool {
    let phase = outcome.summary.phase;
    phase.ended() || matches!(phase, PhaseKind::Jammed | PhaseKind::Held)
}

/// A moment, where one is given.
pub(super) fn moment(text: Option<&str>) -> Result<Option<Millis>, Fault> {
    text.map(|text| serve::moment(text, wall_clock()))
        .transpose()
}

/// A time, such as `30s`, of at most a year.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) if time <= YEAR => Ok(time),
        Ok(_) => Err("it is longer than a year".into()),
        Err(error) => Err(error.to_string()),
    }
}

fn label(text: &str) -> Result<(String, String), &'static str> {
    let parts = text.split_once('=').ok_or("a label is `name=value`")?;
    Ok((parts.0.into(), parts.1.into()))
}
