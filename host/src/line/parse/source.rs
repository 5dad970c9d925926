//! Reads one source of a line.

use super::{
    super::{
        Vars,
        reader::{Fields, Node, Reader},
        schedule::{BadSchedule, Missed, Schedule},
        source::{Inbox, Origin, Overlap, Source, Timed},
    },
    host,
};
use crate::{
    item::{Labels, Priority},
    problem::shown,
};

/// Keys that a source has for files, and for times.
const FILES: &[&str] = &["done", "pattern", "settle"];
const TIMES: &[&str] = &["zone", "missed", "overlap", "payload", "type"];

/// Reads `sources.<name>`.
pub(super) fn read(reader: &mut Reader<'_>, node: &Node<'_>, vars: &Vars) -> Option<Source> {
    let fields = reader.table(node)?;
    let priority = fields.get("priority").and_then(|node| reader.one_of(&node));
    let priority = Priority::ALL
        .into_iter()
        .find(|one| Some(one.key()) == priority);
    let deadline = fields.get("deadline").and_then(|node| reader.time(&node));
    let labels = fields
        .get("labels")
        .map(|node| labels(reader, &node, vars))
        .unwrap_or_default();
    let (folder, cron) = (fields.get("folder"), fields.get("cron"));
    // Both are read: all that is wrong with a source is told at once.
    let inbox = inbox(reader, &fields, folder.as_ref(), vars);
    let timed = timed(reader, &fields, cron.as_ref(), vars);
    let from = match (folder, cron) {
        (Some(_), Some(cron)) => {
            reader.spoil(
                &cron,
                "a source is a folder or a schedule, not both",
                Some("make two sources of it".into()),
            );
            None
        }
        (Some(_), None) => {
            of_another(reader, &fields, TIMES, "cron");
            Some(Origin::Folder(inbox?))
        }
        (None, Some(_)) => {
            of_another(reader, &fields, FILES, "folder");
            Some(Origin::Cron(Box::new(timed?)))
        }
        (None, None) => {
            reader.spoil(
                node,
                "a source has a `folder` or a `cron`",
                Some(
                    "`folder = \"inbox\"` takes files, `cron = \"0 2 * * *\"` submits at times"
                        .into(),
                ),
            );
            None
        }
    };
    Some(Source {
        from: from?,
        priority: priority.unwrap_or_default(),
        deadline,
        labels,
    })
}

/// Says of keys that they have no effect beside what the source is.
fn of_another(reader: &mut Reader<'_>, fields: &Fields<'_>, keys: &[&'static str], with: &str) {
    for key in keys {
        if let Some(node) = fields.get(key) {
            reader.problem(
                node.span.start,
                format!("`{key}` has no effect without `{with}`"),
                Some(format!("take it out, or make a source with `{with}`")),
            );
        }
    }
}

fn inbox(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    folder: Option<&Node<'_>>,
    vars: &Vars,
) -> Option<Inbox> {
    let done = fields
        .get("done")
        .and_then(|node| host(reader, &node, vars));
    let settle = fields.get("settle").and_then(|node| reader.time(&node));
    let pattern = fields.get("pattern").and_then(|node| {
        let text = reader.text(&node)?;
        if text.is_empty() || text.len() > 255 || text.contains('/') {
            reader.spoil(
                &node,
                format!("`{}` is no pattern of names", shown(text)),
                Some("names of files are meant, such as `*.patch`; `*` stands for any text".into()),
            );
            return None;
        }
        Some(text.to_owned())
    });
    Some(Inbox {
        folder: host(reader, folder?, vars)?,
        done,
        pattern,
        settle: settle.unwrap_or(Inbox::SETTLE),
    })
}

fn timed(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    cron: Option<&Node<'_>>,
    vars: &Vars,
) -> Option<Timed> {
    let zone = fields.get("zone");
    let missed = fields.get("missed").and_then(|node| reader.one_of(&node));
    let overlap = fields.get("overlap").and_then(|node| reader.one_of(&node));
    let payload = fields.get("payload").and_then(|node| {
        let text = reader.text(&node)?;
        vars.fill(reader, &node, text)
    });
    let content_type = fields
        .get("type")
        .and_then(|node| media_type(reader, &node));
    let cron = cron?;
    let expression = reader.text(cron)?;
    let name = match &zone {
        Some(node) => reader.text(node)?,
        None => "UTC",
    };
    let (node, message, hint) = match Schedule::new(expression, name) {
        Ok(schedule) => {
            return Some(Timed {
                schedule,
                missed: match missed {
                    Some("all") => Missed::All,
                    Some("skip") => Missed::Skip,
                    _ => Missed::Last,
                },
                overlap: match overlap {
                    Some("queue") => Overlap::Queue,
                    _ => Overlap::Skip,
                },
                content_type: content_type.unwrap_or_else(|| "text/plain".into()),
                payload: payload.unwrap_or_default(),
            });
        }
        Err(BadSchedule::Zone) => (
            zone.as_ref().unwrap_or(cron),
            format!("there is no time zone `{}`", shown(name)),
            "a name as `Europe/Berlin` or `UTC` is meant",
        ),
        Err(BadSchedule::Never) => (
            cron,
            format!("`{}` never comes", shown(expression)),
            "no month has such a day",
        ),
        Err(BadSchedule::Cron(reason)) => (
            cron,
            format!(
                "`{}` is no cron expression: {}",
                shown(expression),
                shown(&reason)
            ),
            "minute, hour, day, month and day of the week are meant: `0 2 * * *` is every night at two",
        ),
    };
    reader.spoil(node, message, Some(hint.into()));
    None
}

fn media_type(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<String> {
    let text = reader.text(node)?;
    let fits = text.len() <= 255
        && text.bytes().all(|b| (b' '..=b'~').contains(&b))
        && text
            .split_once('/')
            .is_some_and(|(a, b)| !a.trim().is_empty() && !b.trim().is_empty());
    if !fits {
        reader.spoil(
            node,
            format!("`{}` is no media type", shown(text)),
            Some("such as `application/json` is meant".into()),
        );
        return None;
    }
    Some(text.into())
}

fn labels(reader: &mut Reader<'_>, node: &Node<'_>, vars: &Vars) -> Labels {
    let mut labels = Labels::default();
    for (name, at, value) in reader.map(node) {
        let Some(text) = reader.text(&value) else {
            continue;
        };
        let Some(text) = vars.fill(reader, &value, text) else {
            continue;
        };
        if name == Timed::LABEL {
            reader.problem(
                at,
                format!("the label `{name}` is the host's to set"),
                Some("it says which run of a schedule an item is; take another name".into()),
            );
        } else if text.is_empty() {
            reader.problem(
                at,
                format!("the label `{}` has no value", shown(name)),
                Some("name its value".into()),
            );
        } else if let Err(problem) = labels.set(name, &text) {
            reader.problem(
                at,
                problem.to_string(),
                Some("a label and its value are meant, such as `team = \"core\"`".into()),
            );
        }
    }
    // A schedule's items carry one more.
    if labels.iter().count() >= Labels::MOST {
        reader.spoil(
            node,
            format!("there are more than {} labels", Labels::MOST - 1),
            Some("take some out".into()),
        );
    }
    labels
}
