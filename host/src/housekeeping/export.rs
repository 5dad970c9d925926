//! All that a state folder knows, one JSON object at a time. Holds no more than one item at once.

use super::HousekeepingError;
use crate::{
    assembly::Revision, journal::Listed, journal::audit::AuditFilter, lines::State, name::Name,
    visit::Millis,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

/// What to export.
#[derive(Debug, Clone, Default)]
pub struct Export {
    /// Only of this line.
    pub line: Option<Name>,
    /// Only items that changed, and entries of the audit that came, since then.
    pub since: Option<Millis>,
}

/// The format of what is given, in its first object.
const FORMAT: u32 = 1;
/// How many items, or entries of the audit, are read at a time.
const PAGE: usize = 256;

/// Gives everything that fits to `emit`: first what the export is, then revisions, then each item with its
/// records and deliveries, then the audit. `JOURNAL.md` describes the objects.
///
/// # Errors
/// When the journal cannot be read, and what `emit` says.
pub fn export<E: From<HousekeepingError>>(
    state: &State,
    which: &Export,
    now: Millis,
    emit: &mut dyn FnMut(&Value) -> Result<(), E>,
) -> Result<(), E> {
    let failed = |error| E::from(HousekeepingError::Journal(error));
    let journal = &state.journal;
    let factory: String = journal
        .factory()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    let epoch = journal.epoch().map_err(failed)?;
    emit(&json!({
        "type": "export", "format": FORMAT, "at": now, "factory": factory, "epoch": epoch,
    }))?;
    let fits = |line: &Name| which.line.as_ref().is_none_or(|wanted| wanted == line);
    for line in journal.line_names().map_err(failed)? {
        let mut number = 1;
        while fits(&line)
            && let Some(text) = journal.revision(&line, number).map_err(failed)?
        {
            let revision = Revision::from_text(&text).map(|revision| json!(revision));
            let definition = revision.unwrap_or(Value::String(text));
            emit(&json!({
                "type": "revision", "line": line, "number": number, "definition": definition,
            }))?;
            number += 1;
        }
    }
    let mut after = 0;
    loop {
        let page = journal.page(after, PAGE).map_err(failed)?;
        let Some(last) = page.last() else { break };
        after = last.position;
        for Listed { summary, .. } in page {
            let summary = summary.map_err(failed)?;
            if fits(&summary.line) && which.since.is_none_or(|since| summary.changed >= since) {
                item(state, &summary, emit)?;
            }
        }
    }
    let mut filter = AuditFilter {
        line: which.line.clone(),
        most: Some(PAGE),
        ..AuditFilter::default()
    };
    loop {
        let entries = journal.audited(&filter).map_err(failed)?;
        let Some(last) = entries.last() else {
            return Ok(());
        };
        filter.from = last.seq + 1;
        for kept in entries {
            if which.since.is_none_or(|since| kept.heading.at >= since) {
                let about = match &kept.entry {
                    Some(entry) => json!(entry),
                    None => json!(kept.heading),
                };
                emit(&json!({
                    "type": "audit", "seq": kept.seq, "entry": about,
                    "erased": kept.entry.is_none(), "digest": kept.digest, "chain": kept.chain,
                }))?;
            }
        }
    }
}

fn item<E: From<HousekeepingError>>(
    state: &State,
    summary: &crate::item::Summary,
    emit: &mut dyn FnMut(&Value) -> Result<(), E>,
) -> Result<(), E> {
    let failed = |error| E::from(HousekeepingError::Journal(error));
    let id = &summary.item;
    emit(&with_type("item", json!(summary)))?;
    for (seq, record) in (1..).zip(state.journal.load(id).map_err(failed)?) {
        let mut facts = json!(record);
        // The name of the variant says what `kind` says.
        if let Value::Object(variant) = &mut facts
            && let Some((_, inner)) = std::mem::take(variant).into_iter().next()
        {
            facts = inner;
        }
        readable(&mut facts);
        emit(&json!({
            "type": "record", "item": id, "seq": seq, "kind": record.kind(), "at": record.at(),
            "facts": facts,
        }))?;
    }
    let effects = futures::executor::block_on(state.journal.effects(id.clone(), None));
    for (visit, effect) in effects.map_err(failed)? {
        let mut end = json!(effect.end);
        readable(&mut end);
        emit(&json!({
            "type": "effect", "item": id, "station": visit.station, "visit": visit.nth,
            "run": effect.run, "number": effect.number, "at": effect.at, "intent": effect.intent,
            "end": end,
        }))?;
    }
    for delivery in state.journal.deliveries(id).map_err(failed)? {
        emit(&with_type("delivery", json!(delivery)))?;
    }
    Ok(())
}

fn with_type(name: &str, mut value: Value) -> Value {
    value["type"] = json!(name);
    value
}

/// Bytes that stand in a record as numbers, as text where they are UTF-8 and else in base64.
fn readable(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::Object(body)) = fields.get_mut("body")
                && let Some(Value::Array(numbers)) = body.get("Inline")
            {
                let bytes = numbers.iter().filter_map(|n| n.as_u64()?.try_into().ok());
                let shown = match String::from_utf8(bytes.collect()) {
                    Ok(text) => json!({ "Text": text }),
                    Err(error) => json!({ "Base64": BASE64_STANDARD.encode(error.as_bytes()) }),
                };
                fields.insert("body".into(), shown);
            }
            fields.values_mut().for_each(readable);
        }
        Value::Array(values) => values.iter_mut().for_each(readable),
        _ => {}
    }
}
