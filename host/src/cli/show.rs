//! `andon show`: an item's way, or what is in a component.

mod effects;

use super::{
    Done,
    control::daemon,
    print,
    state::{State, StateArg, choose},
    status::so_far,
};
use crate::{
    assembly, catalogue,
    item::{
        Body, Clearing, Destination, Facts, Hold, Item, ItemId, Passage, Payload, Phase, PhaseKind,
        Priority, Record,
    },
    journal::{Delivery, DeliveryState, Filter},
    lines::{Control as _, Far},
    visit::{Answer, Question},
};
use andon_build::Options;
use futures::executor::block_on;
use serde_json::{Value, json};
use std::{collections::BTreeMap, path::PathBuf};

/// Show an item's way, or what is in a component
///
/// An item: its visits with attempts, times, logs, labels and outputs. A component file or a station
/// folder: its kind, imports, exports, manifest, digest and size.
#[derive(Debug, clap::Args)]
pub(super) struct Show {
    /// An item (its id or the beginning of one), a component file, or a station folder.
    subject: String,
    /// Also show what left the sandbox in its visits, and what came of it.
    #[arg(long)]
    effects: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    state: StateArg,
}

impl Show {
    pub(super) fn execute(self) -> anyhow::Result<Done> {
        let path = PathBuf::from(&self.subject);
        if path.exists() {
            return self.component(&path);
        }
        let state = State::view(&self.state.nearest()?)?;
        let all: Vec<ItemId> = state
            .journal
            .list(&Filter::default())?
            .into_iter()
            .map(|s| s.item)
            .collect();
        let id = choose(&self.subject, &all).map_err(|error| {
            match self.subject.contains(['/', '.']) {
                true => anyhow::anyhow!(
                    "there is neither a file nor an item `{}`",
                    print::line(&self.subject)
                ),
                false => error,
            }
        })?;
        let records = state.journal.load(&id)?;
        let Some(item) = Item::fold(id.clone(), &records)? else {
            anyhow::bail!("item `{id}` has no records");
        };
        let deliveries = state.journal.deliveries(&id)?;
        let effects = match self.effects {
            true => Some(block_on(state.journal.effects(id, None))?),
            false => None,
        };
        if self.json {
            let mut about = item_json(&item, &records)?;
            if !deliveries.is_empty() {
                about["deliveries"] = deliveries.iter().map(delivery_json).collect();
            }
            if let Some(all) = &effects {
                about["effects"] = all.iter().map(effects::json).collect();
            }
            print::json(&about)?;
        } else {
            item_text(&item, &records)?;
            if let Some(far) = self.far(&item)? {
                print::text(&format!("so far   {}", so_far(&far)))?;
            }
            deliveries_text(&deliveries)?;
            effects::text(effects.as_deref().unwrap_or_default())?;
        }
        Ok(Done::Well)
    }

    /// How far a visit under way has come: the daemon alone knows.
    fn far(&self, item: &Item) -> anyhow::Result<Option<Far>> {
        if item.kind() != PhaseKind::Working {
            return Ok(None);
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let folder = self.state.nearest()?;
        // Where it cannot be asked, all that is kept is shown all the same.
        Ok(runtime.block_on(async {
            let daemon = daemon(&folder).await.ok()??;
            daemon.item(item.id.as_str()).await.ok()?.far
        }))
    }

    fn component(&self, path: &std::path::Path) -> anyhow::Result<Done> {
        let options = Options {
            progress: Some(&|progress| assembly::tell(progress, &print::note)),
            force: false,
        };
        let about = about(&catalogue::resolve(path, &options)?);
        if self.json {
            print::json(&about)?;
            return Ok(Done::Well);
        }
        let Some(fields) = about.as_object() else {
            return Ok(Done::Well);
        };
        for (name, value) in fields.iter() {
            match value {
                Value::Array(values) => {
                    print::text(&format!("{name}:"))?;
                    for value in values {
                        print::text(&format!("  {}", print::line(&plain(value))))?;
                    }
                }
                Value::Object(_) => {
                    print::text(&format!("{name}:"))?;
                    let text = serde_json::to_string_pretty(value)?;
                    print::text(&print::block(&text))?;
                }
                value => print::text(&format!("{name}: {}", print::line(&plain(value))))?,
            }
        }
        Ok(Done::Well)
    }
}

fn about(component: &catalogue::Component) -> Value {
    let facts = &component.facts;
    let kind = facts
        .kind()
        .map_or_else(|other| format!("none: {other}"), |kind| kind.to_string());
    json!({
        "file": component.source.display().to_string(),
        "kind": kind.split("\n").next(),
        "digest": component.digest,
        "size": component.size,
        "imports": facts.imports,
        "exports": facts.exports,
        "unknown imports": facts.unknown_imports(),
        "manifest": component.manifest,
    })
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_string)
}

fn item_text(item: &Item, records: &[Record]) -> anyhow::Result<()> {
    let summary = item.summary();
    print::text(&format!("item     {}", item.id))?;
    print::text(&format!("source   {}", print::line(&item.source)))?;
    print::text(&format!(
        "line     {}, revision {}",
        item.line, item.revision
    ))?;
    let ticket = &item.ticket;
    if let Some(by) = &ticket.by {
        print::text(&format!("by       {}", print::line(by)))?;
    }
    if ticket.priority != Priority::default() {
        print::text(&format!("priority {}", ticket.priority))?;
    }
    if let Some(deadline) = ticket.deadline {
        print::text(&format!("deadline {}", print::time(deadline)))?;
    }
    let at = summary
        .station
        .map_or_else(String::new, |station| format!(" (last at `{station}`)"));
    print::text(&format!("phase    {}{at}", summary.phase))?;
    if let Some(reason) = &summary.reason {
        print::text(&format!("reason   {}", print::below(reason, "         ")))?;
    }
    if let Some(asks) = item.asks() {
        print::text(&format!("carries  {asks}"))?;
    }
    for (record, passage) in records.iter().zip(Passage::all(&item.id, records)?) {
        let words = told(record);
        let place = match (record, &passage.station, passage.nth, passage.attempt) {
            (Record::Started { .. }, Some(station), Some(nth), Some(attempt)) => {
                format!(" at `{station}`, visit {nth}, attempt {attempt}")
            }
            _ => String::new(),
        };
        let other = (passage.revision)
            .filter(|revision| *revision != item.revision)
            .map_or_else(String::new, |revision| format!(", revision {revision}"));
        print::text(&format!(
            "{}  {words}{place}{other}",
            print::time(record.at())
        ))?;
        if let Record::Split { children, .. } = record {
            for child in children {
                print::text(&format!(
                    "    {}.{} by `{}` to {}: {}",
                    item.id,
                    child.n,
                    child.port,
                    destination(&child.to),
                    payload_words(&child.payload)
                ))?;
            }
        }
        let Some(facts) = record.facts() else {
            continue;
        };
        for line in &facts.log {
            let mut text = format!(
                "    {}: {}",
                print::line(&line.level),
                print::line(&line.message)
            );
            for (name, value) in &line.fields {
                text.push_str(&format!(" {}={}", print::line(name), print::line(value)));
            }
            print::text(&text)?;
        }
    }
    if let Phase::Ended {
        result: Some(payload),
        ..
    } = &item.phase
    {
        print::text(&format!("result   {}", payload_words(payload)))?;
    }
    Ok(())
}

/// How far its result is on the way to each sink that tried.
fn deliveries_text(deliveries: &[Delivery]) -> anyhow::Result<()> {
    for delivery in deliveries {
        let words = match delivery.state {
            DeliveryState::Owed => format!("is tried again after {}", print::time(delivery.next)),
            DeliveryState::Done => format!("has it since {}", print::time(delivery.next)),
            DeliveryState::GivenUp => "does not get it".into(),
        };
        let attempts = print::count(delivery.attempts.into(), "attempt");
        let mut text = format!("sink     `{}` {words}, {attempts}", delivery.sink);
        if let Some(reason) = &delivery.reason {
            text.push_str(&format!(": {}", print::line(reason)));
        }
        print::text(&text)?;
    }
    Ok(())
}

fn delivery_json(delivery: &Delivery) -> Value {
    json!({
        "sink": delivery.sink,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "at": delivery.next,
        "reason": delivery.reason,
    })
}

/// What a record says, in words.
fn told(record: &Record) -> String {
    match record {
        Record::Taken { to, payload, .. } => {
            format!("taken, to {}: {}", destination(to), payload_words(payload))
        }
        Record::Started { .. } => "attempt started".into(),
        Record::Interrupted { stopped: false, .. } => "the host ended during the attempt".into(),
        Record::Interrupted { stopped: true, .. } => "the host stopped the attempt".into(),
        Record::Recalled { why, .. } => {
            format!("the host stopped the attempt: {}", print::line(why))
        }
        Record::Asked { hold, .. } => asked(hold),
        Record::Answered { answer, why } => answered(answer, why),
        Record::Cancelled { by, why, .. } => {
            format!("cancelled by {}: {}", print::line(by), print::line(why))
        }
        Record::Relocated { to, .. } => format!("sent to `{to}` by a retool"),
        Record::Erased { by, why, .. } => {
            format!("erased by {}: {}", print::line(by), print::line(why))
        }
        Record::Moved {
            port,
            to,
            payload,
            facts,
            ..
        } => format!(
            "left by `{port}` to {}{}: {}",
            destination(to),
            used(facts),
            payload_words(payload)
        ),
        Record::Split {
            children, facts, ..
        } => format!("split into {} children{}", children.len(), used(facts)),
        Record::Finished { facts, .. } => format!("finished without output{}", used(facts)),
        Record::Failed {
            reason,
            again,
            facts,
            ..
        } => format!(
            "attempt failed{}: {}; again at {}",
            used(facts),
            print::below(reason, "    "),
            print::time(*again)
        ),
        Record::Jammed { jam, .. } => format!("jammed: {}", print::below(&jam.to_string(), "    ")),
        Record::ChildEnded { child, end, .. } => format!(
            "child {child} ended: {}",
            format!("{:?}", end.end).to_lowercase()
        ),
        Record::Gathered { join, .. } => match join {
            Some(join) => format!("all children are in, on to `{join}`"),
            None => "all children have ended".into(),
        },
        Record::Cleared { by, why, how, .. } => {
            let how = match how {
                Clearing::Retry => "retry".to_string(),
                Clearing::Edit(payload) => format!("edit: {}", payload_words(payload)),
                Clearing::Skip { port, .. } => format!("skip by `{port}`"),
                Clearing::Scrap => "scrap".to_string(),
            };
            let why = if why.is_empty() {
                String::new()
            } else {
                format!(" ({})", print::line(why))
            };
            format!("cleared by {}: {how}{why}", print::line(by))
        }
    }
}

fn used(facts: &Facts) -> String {
    let usage = facts.usage;
    if usage == Default::default() {
        // Nothing ran: the line itself asked.
        return String::new();
    }
    format!(
        " after {:.1} ms, {:.1} ms of processor, {} of memory",
        usage.wall_us as f64 / 1000.0,
        usage.cpu_us as f64 / 1000.0,
        print::size(usage.memory)
    )
}

fn destination(to: &Destination) -> String {
    match to {
        Destination::Station(name) => format!("`{name}`"),
        Destination::Join(name) => format!("the join `{name}`"),
        Destination::Done => "done".into(),
        Destination::Scrap => "scrap".into(),
        Destination::Nowhere(jam) => format!("nowhere ({})", print::line(&jam.to_string())),
    }
}

/// A question, with what may be answered and what happens where nobody does.
fn asked(hold: &Hold) -> String {
    let Question {
        prompt,
        choices,
        free_text,
        ..
    } = &hold.question;
    let mut words: Vec<String> = choices
        .iter()
        .map(|choice| format!("`{}`", print::line(choice)))
        .collect();
    if *free_text {
        words.push("text".into());
    }
    let mut text = format!("asked: {} ({})", print::line(prompt), words.join(", "));
    if hold.not_submitter {
        text.push_str(", not of who submitted it");
    }
    match (hold.until, &hold.otherwise) {
        (None, _) => {}
        (Some(until), None) => text.push_str(&format!(", until {}", print::time(until))),
        (Some(until), Some(otherwise)) => text.push_str(&format!(
            ", until {}, then `{}`",
            print::time(until),
            print::line(otherwise)
        )),
    }
    text
}

fn answered(answer: &Answer, why: &str) -> String {
    let by = match &*answer.by {
        "" => "nobody in time".into(),
        by => print::line(by),
    };
    let mut words = format!("answered by {by}: {}", print::line(&answer.choice));
    for (text, mark) in [(&*answer.text, " "), (why, ", because ")] {
        if !text.is_empty() {
            words.push_str(&format!("{mark}{}", print::line(text)));
        }
    }
    words
}

fn payload_words(payload: &Payload) -> String {
    let body = match &payload.body {
        Body::Inline(bytes) => print::size(bytes.len() as u64),
        Body::Stored { len, .. } => print::size(*len),
        Body::File(path) => format!("file `{}`", print::line(path)),
    };
    let mut words = format!("{} of {}", body, print::line(&payload.content_type));
    for (name, value) in payload.labels.iter() {
        words.push_str(&format!(", {}={}", print::line(name), print::line(value)));
    }
    words
}

fn item_json(item: &Item, records: &[Record]) -> anyhow::Result<Value> {
    let history: Vec<Value> = records
        .iter()
        .zip(Passage::all(&item.id, records)?)
        .map(|(record, passage)| {
            let mut value = json!(passage);
            value["what"] = json!(told(record));
            if let Record::Split { children, .. } = record {
                value["children"] = children
                    .iter()
                    .map(|child| {
                        json!({
                            "item": item.id.child(child.n), "port": child.port,
                            "to": child.to.word(), "payload": payload_json(&child.payload),
                        })
                    })
                    .collect();
            }
            if let Some(facts) = record.facts() {
                value["log"] = json!(facts.log);
            }
            if let Record::Taken { payload, .. } | Record::Moved { payload, .. } = record {
                value["payload"] = payload_json(payload);
            }
            value
        })
        .collect();
    let mut value = json!(item.summary());
    value["ticket"] = json!(item.ticket);
    value["inputs"] = item.inputs.iter().map(payload_json).collect();
    value["history"] = Value::Array(history);
    Ok(value)
}

fn payload_json(payload: &Payload) -> Value {
    let mut value = json!({
        "content-type": payload.content_type,
        "labels": payload.labels.iter().collect::<BTreeMap<_, _>>(),
    });
    match &payload.body {
        Body::Inline(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => value["text"] = json!(text),
            Err(_) => value["length"] = json!(bytes.len()),
        },
        Body::Stored { digest, len } => {
            value["digest"] = json!(digest);
            value["length"] = json!(len);
        }
        Body::File(path) => value["file"] = json!(path),
    }
    value
}
