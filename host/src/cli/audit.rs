//! `andon audit`: what was granted, called, allowed and denied; and whether all of that is still there.

use super::{
    Done, print,
    state::{State, StateArg, choose},
};
use crate::{
    audit::{Deed, Heading},
    digest::Digest,
    item::ItemId,
    journal::{
        Filter,
        audit::{AuditFilter, Chain, Kept},
    },
    name::Name,
};
use serde_json::{Value, json};
use std::str::FromStr;

/// Show the audit: what stations were granted, and what they called, allowed and denied
///
/// The newest entry is the last. With `--verify`, follow the chain over all entries instead: a missing,
/// changed, reordered or inserted one shows. Whoever can write to the state folder can also write the
/// whole chain anew: note what `--verify` prints in another place, and give it back with `--noted`.
#[derive(Debug, clap::Args)]
pub(super) struct Audit {
    /// Only what was not let through.
    #[arg(long)]
    denied: bool,
    /// Only of this item (its id, or the beginning of one) and of what was split from it.
    #[arg(long)]
    item: Option<String>,
    /// Only of this station.
    #[arg(long)]
    station: Option<Name>,
    /// Only of this line.
    #[arg(long)]
    line: Option<Name>,
    /// Only about this: `grant`, `http`, `tcp`, `look-up`, `secret`, `file`, `limit` or `pause`.
    #[arg(long)]
    deed: Option<Deed>,
    /// Only the newest so many.
    #[arg(short = 'n', long = "newest", value_name = "N")]
    newest: Option<usize>,
    /// Follow the chain, and print how many entries there are and its head.
    #[arg(long, conflicts_with_all = ["denied", "item", "station", "line", "deed", "newest"])]
    verify: bool,
    /// What an earlier `--verify` printed and somebody noted: `ENTRIES:HEAD`.
    #[arg(long, value_name = "ENTRIES:HEAD", requires = "verify")]
    noted: Option<Noted>,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    state: StateArg,
}

/// A head that was noted elsewhere.
#[derive(Debug, Clone, Copy)]
struct Noted(Chain);

impl FromStr for Noted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once(':');
        let chain = parts.and_then(|(entries, head)| {
            let (entries, head) = (entries.parse().ok()?, head.parse::<Digest>().ok()?);
            Some(Self(Chain { entries, head }))
        });
        chain.ok_or_else(|| "it is written as `--verify` prints it: `ENTRIES:HEAD`".into())
    }
}

/// How many entries are read at a time where all are asked for.
const PAGE: usize = 1024;

impl Audit {
    pub(super) fn execute(self) -> anyhow::Result<Done> {
        let state = State::view(&self.state.nearest()?)?;
        if self.verify {
            return self.verify(&state);
        }
        let item = self.item.as_ref().map(|text| {
            let items = state.journal.list(&Filter::default())?;
            let ids: Vec<ItemId> = items.into_iter().map(|summary| summary.item).collect();
            choose(text, &ids)
        });
        let mut filter = AuditFilter {
            item: item.transpose()?,
            station: self.station.clone(),
            line: self.line.clone(),
            deed: self.deed,
            denied: self.denied,
            from: 0,
            most: Some(self.newest.unwrap_or(PAGE)),
            newest: self.newest.is_some(),
        };
        let mut shown = 0;
        loop {
            let entries = state.journal.audited(&filter)?;
            for entry in &entries {
                if self.json {
                    print::json(&in_json(entry))?;
                } else {
                    print::text(&words(entry))?;
                }
            }
            shown += entries.len();
            match entries.last() {
                Some(last) if !filter.newest && entries.len() == PAGE => filter.from = last.seq + 1,
                _ => break,
            }
        }
        if shown == 0 && !self.json {
            print::note("no entries");
        }
        Ok(Done::Well)
    }

    fn verify(&self, state: &State) -> anyhow::Result<Done> {
        let verified = state.journal.verify(self.noted.map(|noted| noted.0))?;
        if self.json {
            print::json(&match &verified {
                Ok(whole) => json!({
                    "ok": true, "entries": whole.chain.entries, "head": whole.chain.head,
                    "erased": whole.erased,
                }),
                Err(flaw) => json!({ "ok": false, "seq": flaw.seq(), "problem": flaw.to_string() }),
            })?;
        } else {
            match &verified {
                Ok(whole) => {
                    let entries = match whole.chain.entries {
                        1 => "1 entry".into(),
                        n => format!("{n} entries"),
                    };
                    let erased = match whole.erased {
                        0 => String::new(),
                        n => format!(", {n} erased"),
                    };
                    print::text(&format!("the audit is whole: {entries}{erased}"))?;
                    let Chain { entries, head } = whole.chain;
                    print::text(&format!("{entries}:{head}"))?;
                }
                Err(flaw) => print::note(&format!("error: the audit is broken: {flaw}")),
            }
        }
        Ok(match verified {
            Ok(_) => Done::Well,
            Err(_) => Done::Wrong,
        })
    }
}

/// An entry on one line.
fn words(kept: &Kept) -> String {
    let Heading {
        at,
        deed,
        allowed,
        line,
        station,
        item,
        ..
    } = &kept.heading;
    let item = item.as_ref().map_or("-", ItemId::as_str);
    let mut words = format!("{}  {item}  {line}/{station}  {deed}", print::time(*at));
    let verdict = if *allowed { "allowed" } else { "denied" };
    let Some(entry) = &kept.entry else {
        return format!("{words}: {verdict} (erased)");
    };
    words.push_str(&format!(" {}: {verdict}", print::line(&entry.what)));
    if let Some(rule) = &entry.rule {
        words.push_str(&format!(" by `{}`", print::line(rule)));
    }
    if let Some(why) = &entry.why {
        words.push_str(&format!(": {}", print::line(why)));
    }
    words
}

/// All that is kept of an entry; of an erased one what it is found by.
fn in_json(kept: &Kept) -> Value {
    let mut value = json!({ "seq": kept.seq });
    let about = match &kept.entry {
        Some(entry) => json!(entry),
        None => json!(kept.heading),
    };
    if let (Some(value), Value::Object(about)) = (value.as_object_mut(), about) {
        value.extend(about);
    }
    value["erased"] = json!(kept.entry.is_none());
    value["digest"] = json!(kept.digest);
    value["chain"] = json!(kept.chain);
    value
}
