//! What people and programs ask, carried out on the lines of this process.

use super::{
    Because, Clear, ClearAll, ClearedAll, Control, Done, Far, Fault, GiveAnswer, How, ItemView,
    LeftAlone, LineStatus, Lines, PayloadView, Rerun, StationStatus, Status, Submission, Submit,
    Visiting, Which, earlier,
};
use crate::{
    conveyor::{Board, Counts, Input, Submitted, Unable},
    digest::Digest,
    escape::shown,
    item::{
        self, Body, Event, Item, ItemId, Labels, Passage, Payload, Phase, PhaseKind, Record,
        Summary, Taking, Ticket,
    },
    journal::{Filter, LineState, Paused},
    name::Name,
    retool::{History, Plan, PlanFor, Promote, Retool, Retooled},
    visit::Millis,
};
use bytes::Bytes;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// The largest body of a submission, in bytes.
const LARGEST: usize = 64 << 20;
/// As many visits of a line tell how far they are.
const VISITS: usize = 16;
/// The longest key of a submission, in bytes.
const KEY: usize = 256;
/// The longest name of a submission, in bytes.
const SOURCE: usize = 1024;
/// The longest reason that is given for something, in bytes.
const WHY: usize = 4096;

impl Control for Lines {
    fn submit(&self, by: &str, submit: Submit) -> Done<'_, Submission> {
        let by = by.to_owned();
        Box::pin(async move {
            let line = submit.line.clone();
            let input = self.input(by, submit)?;
            self.take(&line, input).await
        })
    }

    fn clear(&self, by: &str, item: &str, clear: Clear) -> Done<'_, Summary> {
        let (by, text) = (by.to_owned(), item.to_owned());
        Box::pin(async move {
            let Clear { how, why } = clear;
            let why = bounded(why)?;
            let item = self.find(&text, &[PhaseKind::Jammed])?;
            let how = self.clearing(&item, how)?;
            self.act(&item, Event::Cleared { by, why, how }).await
        })
    }

    fn clear_all(&self, by: &str, clear: ClearAll) -> Done<'_, ClearedAll> {
        let by = by.to_owned();
        Box::pin(async move {
            let ClearAll {
                line,
                station,
                reason,
                how,
                why,
            } = clear;
            if matches!(how, How::Edit { .. }) {
                return Err(Fault::invalid(
                    "one body is not given to many items\n  hint: clear each with a body of its own",
                ));
            }
            let why = bounded(why)?;
            let jammed = self.state().journal.list(&Filter {
                line,
                station,
                phases: vec![PhaseKind::Jammed],
                ..Filter::default()
            })?;
            let mut all = ClearedAll::default();
            for summary in jammed {
                let is = summary.reason.as_deref().unwrap_or_default();
                if reason.as_ref().is_some_and(|part| !is.contains(part)) {
                    continue;
                }
                let done = async {
                    let item = self.load(&summary.item)?;
                    let how = self.clearing(&item, how.clone())?;
                    let (by, why) = (by.clone(), why.clone());
                    self.act(&item, Event::Cleared { by, why, how }).await
                };
                match done.await {
                    Ok(summary) => all.cleared.push(summary),
                    Err(fault) => all.left.push(LeftAlone {
                        item: summary.item,
                        why: fault.message,
                    }),
                }
            }
            Ok(all)
        })
    }

    fn answer(&self, by: &str, item: &str, answer: GiveAnswer) -> Done<'_, Summary> {
        let (by, text) = (by.to_owned(), item.to_owned());
        Box::pin(async move {
            let why = bounded(answer.why)?;
            let given = item::Given {
                choice: answer.choice,
                text: bounded(answer.text)?,
                payload: answer.payload,
            };
            let item = self.find(&text, &[PhaseKind::Held])?;
            // An answer that does not say what it is for is for what is there when it is given.
            let payload = given.payload.or_else(|| item.asks());
            let given = item::Given { payload, ..given };
            self.act(&item, Event::Answered { by, why, given }).await
        })
    }

    fn cancel(&self, by: &str, item: &str, cancel: Because) -> Done<'_, Summary> {
        let (by, text) = (by.to_owned(), item.to_owned());
        Box::pin(async move {
            let why = bounded(cancel.why)?;
            let unfinished = PhaseKind::ALL.into_iter().filter(|phase| !phase.ended());
            let item = self.find(&text, &unfinished.collect::<Vec<_>>())?;
            self.act(&item, Event::Cancelled { by, why }).await
        })
    }

    fn rerun(&self, by: &str, item: &str, rerun: Rerun) -> Done<'_, Submission> {
        let (by, text) = (by.to_owned(), item.to_owned());
        Box::pin(async move {
            let item = self.find(&text, &[])?;
            let input = self.again(by, &item, rerun)?;
            self.take(&item.line, input).await
        })
    }

    fn pause(&self, by: &str, line: &Name, station: &Name, why: Because) -> Done<'_, ()> {
        self.paused(by, (line, station), true, why)
    }

    fn plan(&self, line: &Name, wanted: PlanFor) -> Done<'_, Plan> {
        let line = line.clone();
        Box::pin(async move { self.me()?.plan_retool(&line, wanted).await })
    }

    fn retool(&self, by: &str, line: &Name, wanted: Retool) -> Done<'_, Retooled> {
        let (by, line) = (by.to_owned(), line.clone());
        Box::pin(async move {
            let why = bounded(wanted.why)?;
            let wanted = Retool { why, ..wanted };
            self.me()?.carry_out(&by, &line, wanted).await
        })
    }

    fn promote(&self, by: &str, line: &Name, wanted: Promote) -> Done<'_, Retooled> {
        let (by, line) = (by.to_owned(), line.clone());
        Box::pin(async move {
            let why = bounded(wanted.why)?;
            self.me()?.end_ramp(&by, &line, Promote { why }).await
        })
    }

    fn history(&self, line: &Name) -> Done<'_, History> {
        let line = line.clone();
        Box::pin(async move { self.history_of(&line) })
    }

    fn resume(&self, by: &str, line: &Name, station: &Name, why: Because) -> Done<'_, ()> {
        self.paused(by, (line, station), false, why)
    }

    fn status(&self, line: Option<&Name>) -> Done<'_, Status> {
        let only = line.cloned();
        Box::pin(async move {
            let mut lines = Vec::new();
            for state in self.all_states()? {
                if only.as_ref().is_none_or(|only| *only == state.line) {
                    lines.push(self.line_status(state)?);
                }
            }
            if let Some(only) = only.filter(|_| lines.is_empty()) {
                return Err(Self::no_line(&only));
            }
            Ok(Status {
                condition: self.condition().borrow().clone(),
                lines,
            })
        })
    }

    fn items(&self, which: Which) -> Done<'_, Vec<Summary>> {
        Box::pin(async move {
            let journal = &self.state().journal;
            if let Some(after) = &which.after
                && journal.load(after)?.is_empty()
            {
                return Err(Fault::not_found(format!(
                    "there is no item `{after}` to go on after\n  hint: it was let go of; begin anew"
                )));
            }
            let items = journal.list(&Filter {
                line: which.line,
                phases: which.phases,
                station: which.station,
                root: which.tree,
                inputs: which.inputs,
                most: which.most,
                after: which.after,
                ..Filter::default()
            })?;
            Ok(items)
        })
    }

    fn item(&self, item: &str) -> Done<'_, ItemView> {
        let text = item.to_owned();
        Box::pin(async move {
            let item = self.find(&text, &[])?;
            let records = self.state().journal.load(&item.id)?;
            let history = Passage::all(&item.id, &records)
                .map_err(|error| Fault::internal(error.to_string()))?;
            let board = self.board(&item.line).ok();
            Ok(ItemView {
                far: board
                    .and_then(|board| board.progress(&item.id))
                    .map(Far::from),
                ..view(&item, history)
            })
        })
    }
}

impl Lines {
    fn paused(
        &self,
        by: &str,
        (line, station): (&Name, &Name),
        pause: bool,
        why: Because,
    ) -> Done<'_, ()> {
        let (by, line, station) = (by.to_owned(), line.clone(), station.clone());
        Box::pin(async move {
            let said = Paused {
                by,
                why: bounded(why.why)?,
                at: (self.clock)(),
            };
            self.set_paused(&line, &station, pause, said).await
        })
    }

    async fn take(&self, line: &Name, input: Input) -> Result<Submission, Fault> {
        let Submitted { item, known } = self.orders(line)?.submit(input).await?;
        Ok(Submission { item, known })
    }

    async fn act(&self, item: &Item, event: Event) -> Result<Summary, Fault> {
        let orders = self.orders(&item.line)?;
        Ok(orders.act(item.id.clone(), event).await?)
    }

    /// That there is time left for a new item; what was taken before is known, however late that is.
    fn in_time(&self, line: &Name, key: &str, deadline: Option<Millis>) -> Result<(), Fault> {
        let now = (self.clock)();
        let Some(late) = deadline.and_then(|deadline| now.checked_sub(deadline)) else {
            return Ok(());
        };
        let journal = &self.state().journal;
        if journal.knows(&ItemId::input(&journal.factory(), line, key))? {
            return Ok(());
        }
        let late = Duration::from_secs(late / 1000);
        Err(Fault::invalid(format!(
            "the deadline passed {} ago\n  hint: a deadline is `2h` from now, or `2026-01-31T09:05:00Z`, or milliseconds since 1970",
            humantime::format_duration(late)
        )))
    }

    fn input(&self, by: String, submit: Submit) -> Result<Input, Fault> {
        let source = submit.source.unwrap_or_else(|| "submitted".into());
        if source.is_empty() || source.len() > SOURCE {
            return Err(Fault::invalid(format!(
                "the name of an input is 1 to {SOURCE} bytes"
            )));
        }
        let mut labels = Labels::default();
        for (name, value) in &submit.labels {
            let set = labels.set(name, value);
            set.map_err(|problem| Fault::invalid(problem.to_string()))?;
        }
        let key = key(submit.key)?;
        self.in_time(&submit.line, &key, submit.deadline)?;
        let bytes = submit.body.bytes()?;
        let content_type = match submit.content_type {
            Some(given) => given,
            None => Payload::guess(&source, &bytes).into(),
        };
        let payload = Payload {
            content_type,
            body: self.body(bytes)?,
            labels,
        };
        let ticket = Ticket {
            by: Some(by),
            priority: submit.priority,
            deadline: submit.deadline,
            ..Ticket::default()
        };
        Ok(Input {
            key,
            taking: Taking {
                ticket,
                ..Taking::plain(source, payload)
            },
            blobs: Vec::new(),
        })
    }

    /// Runs an item again from where it came to a station.
    fn again(&self, by: String, item: &Item, rerun: Rerun) -> Result<Input, Fault> {
        let records = self.state().journal.load(&item.id)?;
        if records.iter().any(|r| matches!(r, Record::Erased { .. })) {
            return Err(Fault::conflict(format!(
                "what item `{}` carried was erased",
                item.id
            )));
        }
        let brought = earlier::brought_to(&item.id, &records, &rerun.from)
            .map_err(|error| Fault::internal(error.to_string()))?;
        let Some(brought) = brought else {
            return Err(Fault::conflict(format!(
                "item `{}` was never at station `{}`\n  hint: `andon show {}` tells its way",
                item.id, rerun.from, item.id
            )));
        };
        let (Ok([payload]), false) = (<[Payload; 1]>::try_from(brought.inputs), brought.joined)
        else {
            return Err(Fault::conflict(format!(
                "item `{}` came to station `{}` with all that a join collected, which cannot be taken as one input\n  hint: run it again from the station that split it",
                item.id, rerun.from
            )));
        };
        let key = key(rerun.key)?;
        self.in_time(&item.line, &key, rerun.deadline)?;
        Ok(Input {
            key,
            taking: Taking {
                source: item.source.clone(),
                payload,
                workspace: brought.workspace,
                ticket: Ticket {
                    priority: rerun.priority.unwrap_or(item.ticket.priority),
                    deadline: rerun.deadline,
                    ..item.ticket.again(item.id.clone(), by)
                },
                from: Some(rerun.from),
            },
            blobs: Vec::new(),
        })
    }

    fn clearing(&self, item: &Item, how: How) -> Result<item::Clear, Fault> {
        Ok(match how {
            How::Retry => item::Clear::Retry,
            How::Scrap => item::Clear::Scrap,
            How::Skip { port } => item::Clear::Skip(match port {
                Some(port) => port,
                None => (Name::PASS.parse()).map_err(|_| Fault::invalid("no port is named"))?,
            }),
            How::Edit { body } => {
                let before = (item.inputs.first())
                    .ok_or_else(|| Fault::conflict("the item carries nothing"))?;
                item::Clear::Edit(Payload {
                    body: self.body(body.bytes()?)?,
                    ..before.clone()
                })
            }
        })
    }

    /// A body as records have it: large ones are in the content store before.
    fn body(&self, bytes: Bytes) -> Result<Body, Fault> {
        if bytes.len() > LARGEST {
            return Err(Fault::invalid(format!(
                "a body is at most {} MiB\n  hint: split it, or mount its folder with `grants.fs` and pass its name",
                LARGEST >> 20
            )));
        }
        if bytes.len() <= Body::INLINE {
            return Ok(Body::Inline(bytes));
        }
        let kept = self.state().content.put(&bytes);
        let digest = kept.map_err(|error| {
            let text = error.to_string();
            match error.is_full() {
                true => Fault::no_room(format!(
                    "{text}\n  hint: free some space: what was reported as done is kept"
                )),
                false => Fault::internal(text),
            }
        })?;
        Ok(Body::Stored {
            digest,
            len: bytes.len() as u64,
        })
    }

    /// The item that is meant: by its id, or a beginning of it that only one has of those in one of these
    /// phases; of all, where none is named.
    fn find(&self, text: &str, phases: &[PhaseKind]) -> Result<Item, Fault> {
        let journal = &self.state().journal;
        if let Ok(id) = text.parse::<ItemId>()
            && journal.knows(&id)?
        {
            return self.load(&id);
        }
        let fitting = match text {
            // Every id begins with nothing.
            "" => Vec::new(),
            _ => journal.list(&Filter {
                phases: phases.to_vec(),
                begins: Some(text.into()),
                most: Some(2),
                ..Filter::default()
            })?,
        };
        match &fitting[..] {
            [found] => self.load(&found.item),
            [_, ..] => Err(Fault::conflict(format!(
                "several items begin with `{}`\n  hint: give more of the id",
                shown(text)
            ))),
            [] => Err(Fault::not_found(match phases {
                [one] => format!(
                    "there is no {one} item `{}`\n  hint: `andon items --{one}` lists them",
                    shown(text)
                ),
                _ => format!(
                    "there is no item `{}`\n  hint: `andon items` lists them",
                    shown(text)
                ),
            })),
        }
    }

    fn load(&self, id: &ItemId) -> Result<Item, Fault> {
        let records = self.state().journal.load(id)?;
        let item = Item::fold(id.clone(), &records);
        let item = item.map_err(|error| Fault::internal(error.to_string()))?;
        item.ok_or_else(|| Unable::NoItem(id.clone()).into())
    }

    /// How each line stands that runs here, or that the folder knows.
    fn all_states(&self) -> Result<Vec<LineState>, Fault> {
        let mut all: BTreeMap<Name, LineState> = (self.state().journal.lines()?.into_iter())
            .map(|state| (state.line.clone(), state))
            .collect();
        for (name, line) in self.running().iter() {
            all.insert(name.clone(), line.state.clone());
        }
        Ok(all.into_values().collect())
    }

    fn line_status(&self, state: LineState) -> Result<LineStatus, Fault> {
        let name = state.line.clone();
        let mut items: BTreeMap<String, u64> = BTreeMap::new();
        let mut waits: BTreeMap<(PhaseKind, Name), u64> = BTreeMap::new();
        for (phase, station, count) in self.state().journal.counts(&name)? {
            *items.entry(phase.key().into()).or_default() += count;
            if let Some(station) = station {
                *waits.entry((phase, station)).or_default() += count;
            }
        }
        let (running, failed, board, change) = match self.running().get(&name) {
            Some(line) => (
                line.run.is_some() && !self.resting,
                line.failed.clone(),
                Some(line.board.clone()),
                Some(line.change.clone()),
            ),
            None => (false, None, None, None),
        };
        let kept;
        let line = match &change {
            Some(change) => &change.current.line,
            None => {
                kept = self.revision(&name, state.current)?.line;
                &kept
            }
        };
        let reported = board.iter().flat_map(|board| board.reported(VISITS));
        let visits = reported.map(|(item, station, progress)| Visiting {
            item,
            station,
            far: progress.into(),
        });
        let visits = visits.collect();
        let counted: BTreeMap<Name, Counts> = board.iter().flat_map(counts).collect();
        // Those of a ramp as well, which the current revision need not have.
        let ramp = change.iter().filter_map(|change| change.ramp.as_ref());
        let mut all: BTreeMap<_, _> = ramp.flat_map(|ramp| &ramp.to.line.stations).collect();
        all.extend(&line.stations);
        let stations = all.into_iter().map(|(station, about)| {
            let of = |phase| waits.get(&(phase, station.clone())).copied();
            let counted = counted.get(station).filter(|_| running);
            // Where the line itself asks, nothing runs.
            let counted = counted.filter(|_| about.ask.is_none());
            // Where none ended, none took any time.
            let lately = counted.filter(|counted| counted.rate > 0.0);
            StationStatus {
                station: station.clone(),
                waiting: of(PhaseKind::Waiting).unwrap_or_default(),
                working: match counted {
                    Some(counted) => counted.working,
                    None => of(PhaseKind::Working).unwrap_or_default(),
                },
                held: of(PhaseKind::Held).unwrap_or_default(),
                jammed: of(PhaseKind::Jammed).unwrap_or_default(),
                passed: counted.map_or(0, |counted| counted.passed),
                failed: counted.map_or(0, |counted| counted.failed),
                workers: match about.ask {
                    Some(_) => 0,
                    None => about.workers,
                },
                paused: state.paused.get(station).cloned(),
                rate: counted.map(|counted| counted.rate),
                p50_ms: lately.map(|counted| counted.p50.as_secs_f64() * 1000.0),
                p99_ms: lately.map(|counted| counted.p99.as_secs_f64() * 1000.0),
            }
        });
        Ok(LineStatus {
            stations: stations.collect(),
            entry: line.entry.clone(),
            line: name,
            file: state.file,
            revision: state.current,
            ramp: state.ramp,
            running,
            failed,
            items,
            visits,
        })
    }
}

fn counts(board: &Arc<Board>) -> Vec<(Name, Counts)> {
    board.counts().collect()
}

/// What makes an input the same: what was given, or what nobody else has.
fn key(given: Option<String>) -> Result<String, Fault> {
    let Some(given) = given else {
        let mut drawn = [0; 16];
        rustix::rand::getrandom(&mut drawn, rustix::rand::GetRandomFlags::empty())
            .map_err(|error| Fault::internal(format!("no random number is to be had: {error}")))?;
        return Ok(format!("drawn\0{}", Digest::of(drawn)));
    };
    if given.is_empty() || given.len() > KEY {
        return Err(Fault::invalid(format!(
            "the key of an input is 1 to {KEY} bytes"
        )));
    }
    // No key of a file or of standard input begins so.
    Ok(format!("key\0{given}"))
}

fn bounded(text: String) -> Result<String, Fault> {
    if text.len() > WHY {
        return Err(Fault::invalid(format!(
            "a reason, and the text of an answer, is at most {WHY} bytes"
        )));
    }
    Ok(text)
}

fn view(item: &Item, history: Vec<Passage>) -> ItemView {
    let (question, answers) = match &item.phase {
        Phase::Held { hold, course, .. } => (Some(hold.question.clone()), course.answers.clone()),
        Phase::Ready { course, .. }
        | Phase::Working { course, .. }
        | Phase::Jammed { course, .. } => (None, course.answers.clone()),
        Phase::Split(_) | Phase::Ended { .. } => (None, Vec::new()),
    };
    let payloads = item.inputs.iter().map(|payload| PayloadView {
        content_type: payload.content_type.clone(),
        len: match &payload.body {
            Body::Inline(bytes) => Some(bytes.len() as u64),
            Body::Stored { len, .. } => Some(*len),
            Body::File(_) => None,
        },
        file: match &payload.body {
            Body::File(path) => Some(path.clone()),
            _ => None,
        },
        labels: (payload.labels.iter())
            .map(|(name, value)| (name.into(), value.into()))
            .collect(),
    });
    ItemView {
        summary: item.summary(),
        ticket: item.ticket.clone(),
        carries: item.asks().unwrap_or_else(|| item.carries()),
        payloads: payloads.collect(),
        visits: item.visits.clone(),
        far: None,
        question,
        answers,
        history,
    }
}
