//! Lines that write down what they are told.

use crate::{
    item::{Item, Summary},
    lines::{
        Because, Clear, ClearAll, ClearedAll, Condition, Control, Done, Fault, FaultKind,
        GiveAnswer, ItemView, LineStatus, Rerun, State, StationStatus, Status, Submission, Submit,
        Which,
    },
    name::Name,
    retool::{History, Plan, PlanFor, Promote, Retool, Retooled},
};
use futures::FutureExt as _;
use std::{collections::BTreeMap, fmt::Debug, sync::Mutex};

/// Lines that do nothing.
pub(super) struct Double {
    pub(super) state: State,
    calls: Mutex<Vec<String>>,
}

impl Double {
    pub(super) fn new(state: State) -> Self {
        Self {
            state,
            calls: Mutex::default(),
        }
    }

    /// What it was told.
    pub(super) fn calls(&self) -> Vec<String> {
        self.calls.lock().expect("nobody panicked").clone()
    }

    fn called<T: Send + 'static>(&self, by: &str, what: impl Debug) -> Done<'_, T> {
        let call = format!("{by}: {what:?}");
        let full = call.contains("\"full\"");
        self.calls.lock().expect("nobody panicked").push(call);
        async move {
            let mut fault = Fault::not_found("there is nothing here");
            if full {
                fault = Fault::of(FaultKind::Full, "there is no room");
                fault.retry_after = Some(3);
            }
            Err(fault)
        }
        .boxed()
    }

    fn view(&self, text: &str) -> Result<ItemView, Fault> {
        let missing = || Fault::not_found(format!("there is no item `{text}`"));
        let id = text.parse().map_err(|_| missing())?;
        let records = self.state.journal.load(&id)?;
        let item = Item::fold(id, &records)
            .ok()
            .flatten()
            .ok_or_else(missing)?;
        Ok(ItemView {
            summary: item.summary(),
            ticket: item.ticket.clone(),
            carries: item.asks().unwrap_or_else(|| item.carries()),
            payloads: Vec::new(),
            visits: BTreeMap::new(),
            far: None,
            question: None,
            answers: Vec::new(),
            history: Vec::new(),
        })
    }
}

impl Control for Double {
    fn submit(&self, by: &str, submit: Submit) -> Done<'_, Submission> {
        let item = crate::item::ItemId::input(&[0; 16], &submit.line, "x");
        drop(self.called::<()>(by, submit));
        async { Ok(Submission { item, known: false }) }.boxed()
    }

    fn clear(&self, by: &str, item: &str, clear: Clear) -> Done<'_, Summary> {
        self.called(by, (item, clear))
    }

    fn clear_all(&self, by: &str, clear: ClearAll) -> Done<'_, ClearedAll> {
        self.called(by, clear)
    }

    fn answer(&self, by: &str, item: &str, answer: GiveAnswer) -> Done<'_, Summary> {
        self.called(by, (item, answer))
    }

    fn cancel(&self, by: &str, item: &str, cancel: Because) -> Done<'_, Summary> {
        self.called(by, (item, cancel))
    }

    fn rerun(&self, by: &str, item: &str, rerun: Rerun) -> Done<'_, Submission> {
        self.called(by, (item, rerun))
    }

    fn pause(&self, by: &str, line: &Name, station: &Name, why: Because) -> Done<'_, ()> {
        drop(self.called::<()>(by, ("pause", line, station, why)));
        async { Ok(()) }.boxed()
    }

    fn resume(&self, by: &str, line: &Name, station: &Name, why: Because) -> Done<'_, ()> {
        drop(self.called::<()>(by, ("resume", line, station, why)));
        async { Ok(()) }.boxed()
    }

    fn plan(&self, line: &Name, wanted: PlanFor) -> Done<'_, Plan> {
        self.called("", (line, wanted))
    }

    fn retool(&self, by: &str, line: &Name, wanted: Retool) -> Done<'_, Retooled> {
        self.called(by, (line, wanted))
    }

    fn promote(&self, by: &str, line: &Name, wanted: Promote) -> Done<'_, Retooled> {
        self.called(by, (line, wanted))
    }

    fn history(&self, line: &Name) -> Done<'_, History> {
        self.called("", line)
    }

    fn status(&self, _line: Option<&Name>) -> Done<'_, Status> {
        let name: Name = "l".parse().expect("a name");
        let station = StationStatus {
            station: "s".parse().expect("a name"),
            waiting: 1,
            working: 2,
            held: 3,
            jammed: 4,
            passed: 5,
            failed: 6,
            workers: 7,
            paused: None,
            rate: Some(1.5),
            p50_ms: Some(2.5),
            p99_ms: None,
        };
        let line = LineStatus {
            entry: station.station.clone(),
            line: name,
            file: Some("/srv/l/line.toml".into()),
            revision: 2,
            ramp: None,
            running: true,
            failed: None,
            stations: vec![station],
            items: BTreeMap::from([("done".into(), 8)]),
            visits: Vec::new(),
        };
        let status = Status {
            condition: Condition::Running,
            lines: vec![line],
        };
        async { Ok(status) }.boxed()
    }

    fn items(&self, _which: Which) -> Done<'_, Vec<Summary>> {
        async { Ok(Vec::new()) }.boxed()
    }

    fn item(&self, item: &str) -> Done<'_, ItemView> {
        let view = self.view(item);
        async { view }.boxed()
    }
}
