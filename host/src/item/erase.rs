//! Erasing what an item carried and said, while that it was there, and what became of it, stays.

use super::{
    Arrival, Body, Clearing, Destination, Facts, Hold, Item, ItemId, Jam, Labels, Payload,
    PhaseKind, Record,
};
use crate::visit::{Millis, Violation};
use bytes::Bytes;

/// Why an item cannot be erased.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum NotErased {
    #[error(
        "item `{item}` has not ended: it is {phase}\n  hint: `andon cancel {item}` takes it from the line first"
    )]
    Unfinished { item: ItemId, phase: PhaseKind },
    #[error("item `{item}` was erased before")]
    Again { item: ItemId },
}

/// The media type of a payload that was erased.
pub const ERASED: &str = "application/x-erased";

/// The records of an item without what it carried and what stations said of it, and one more that says
/// who erased that, when and why. Times, stations, ports and usage stay.
///
/// # Errors
/// When the item has not ended, or was erased before.
pub fn erased(
    item: &Item,
    records: &[Record],
    at: Millis,
    by: &str,
    why: &str,
) -> Result<Vec<Record>, NotErased> {
    let id = || item.id.clone();
    if !item.kind().ended() {
        return Err(NotErased::Unfinished {
            item: id(),
            phase: item.kind(),
        });
    }
    if records.iter().any(|r| matches!(r, Record::Erased { .. })) {
        return Err(NotErased::Again { item: id() });
    }
    let mut records = records.to_vec();
    records.iter_mut().for_each(without);
    records.push(Record::Erased {
        at,
        by: by.into(),
        why: why.into(),
    });
    Ok(records)
}

fn without(record: &mut Record) {
    match record {
        Record::Taken {
            to,
            payload,
            workspace,
            ..
        } => {
            destination(to);
            blank(payload);
            *workspace = None;
        }
        Record::Moved {
            to,
            payload,
            workspace,
            facts,
            ..
        } => {
            destination(to);
            blank(payload);
            *workspace = None;
            silence(facts);
        }
        Record::Split {
            children,
            workspace,
            facts,
            ..
        } => {
            for child in children {
                destination(&mut child.to);
                blank(&mut child.payload);
            }
            *workspace = None;
            silence(facts);
        }
        Record::Finished { facts, .. } => silence(facts),
        Record::Failed { reason, facts, .. } => {
            *reason = word();
            silence(facts);
        }
        Record::Jammed { jam, facts, .. } => {
            hush(jam);
            facts.iter_mut().for_each(silence);
        }
        Record::ChildEnded { end, .. } => end.arrivals.iter_mut().for_each(arrival),
        Record::Cleared { how, .. } => {
            if let Clearing::Edit(payload) = how {
                blank(payload);
            }
        }
        Record::Asked { hold, facts, .. } => {
            let Hold {
                question,
                otherwise,
                ..
            } = &mut **hold;
            question.id = word();
            question.prompt = word();
            question.choices.clear();
            question.free_text = true;
            *otherwise = None;
            facts.iter_mut().for_each(silence);
        }
        Record::Answered { answer, .. } => {
            answer.question = word();
            answer.choice.clear();
            answer.text = word();
        }
        Record::Started { .. }
        | Record::Interrupted { .. }
        | Record::Recalled { .. }
        | Record::Gathered { .. }
        | Record::Cancelled { .. }
        | Record::Relocated { .. }
        | Record::Erased { .. } => {}
    }
}

fn word() -> String {
    "erased".into()
}

fn blank(payload: &mut Payload) {
    *payload = Payload {
        content_type: ERASED.into(),
        body: Body::Inline(Bytes::new()),
        labels: Labels::default(),
    };
}

fn arrival(arrival: &mut Arrival) {
    blank(&mut arrival.payload);
    arrival.workspace = None;
}

fn silence(facts: &mut Facts) {
    facts.log.clear();
    if facts.reason.is_some() {
        facts.reason = Some(word());
    }
}

fn destination(to: &mut Destination) {
    if let Destination::Nowhere(jam) = to {
        hush(jam);
    }
}

/// Takes out of a jam what a station said.
fn hush(jam: &mut Jam) {
    match jam {
        Jam::Retries(text)
        | Jam::Rejected(text)
        | Jam::Invalid(text)
        | Jam::Diverged(text)
        | Jam::UnknownOutcome(text) => *text = word(),
        Jam::Violation(Violation { what, why, hint }) => {
            for text in [what, why, hint] {
                *text = word();
            }
        }
        Jam::Exhausted(_)
        | Jam::NoRoute(_)
        | Jam::Overrun { .. }
        | Jam::Missing(_)
        | Jam::HostCrash
        | Jam::Deadline
        | Jam::Unanswered
        | Jam::Homeless(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::one_of_each_kind;

    /// What the samples say that a station or a sender chose.
    const SAID: [&str; 8] = [
        "hello",
        "high",
        "not mine",
        "busy",
        "colour",
        "Ship it?",
        "but slowly",
        "text/plain",
    ];

    #[test]
    fn nothing_that_was_carried_or_said_is_left() {
        for mut record in one_of_each_kind() {
            without(&mut record);
            let text = format!("{record:?}");
            for said in SAID {
                assert!(!text.contains(said), "`{said}` is left in {text}");
            }
            assert_eq!(record.named(), [], "{}", record.kind());
        }
    }
}
