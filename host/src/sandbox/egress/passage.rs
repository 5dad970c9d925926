//! One visit's way out: what it used up, and what is taken down of it.

use super::{Inner, Outlet, book::Book, exchange, tcp};
use crate::{
    audit::{Deed, Entry},
    limits::Limit,
    line::OnViolation,
    sandbox::way::{Connection, Egress, Patience, Refusal, Way, WayBody},
    visit::{Violation, Visit},
};
use futures::future::BoxFuture;
use http::{Request, Response};
use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

/// The way out of one visit, for as long as the visit lasts.
pub(super) struct Passage(Arc<Visiting>);

/// A visit, also after its end: a request that is being sent goes on.
pub(super) struct Visiting {
    pub(super) gate: Arc<Inner>,
    pub(super) outlet: Arc<Outlet>,
    visit: Arc<Visit>,
    left: AtomicBool,
    requests: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
    /// What its look-ups answered.
    pub(super) pins: tcp::Pins,
    /// Its effects, where they are kept.
    pub(super) book: Option<Arc<Book>>,
}

/// Why something is not done, for the audit and for whoever reads of the jam.
pub(super) struct Denial {
    /// The grant that was not enough, where one was near.
    pub(super) rule: Option<String>,
    pub(super) why: String,
    pub(super) hint: String,
}

impl Passage {
    pub(super) fn new(gate: Arc<Inner>, outlet: Arc<Outlet>, visit: Arc<Visit>) -> Self {
        let book = (gate.means.log.clone()).map(|log| Book::new(log, &visit));
        Self(Arc::new(Visiting {
            book,
            gate,
            outlet,
            visit,
            left: AtomicBool::new(false),
            requests: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            pins: tcp::Pins::default(),
        }))
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        self.0.left.store(true, Relaxed);
    }
}

impl Way for Passage {
    fn send(
        &self,
        request: Request<WayBody>,
        patience: Patience,
    ) -> BoxFuture<'static, Result<Response<WayBody>, Refusal>> {
        Box::pin(exchange::call(self.0.clone(), request, patience))
    }

    fn look_up(&self, name: String) -> BoxFuture<'static, Result<Vec<IpAddr>, Refusal>> {
        Box::pin(tcp::look_up(self.0.clone(), name))
    }

    fn connect(&self, to: SocketAddr) -> BoxFuture<'static, Result<Box<dyn Connection>, Refusal>> {
        Box::pin(tcp::connect(self.0.clone(), to))
    }
}

impl Visiting {
    /// Whether the visit is over.
    pub(super) fn left(&self) -> bool {
        self.left.load(Relaxed)
    }

    /// One request, connection or look-up more. Asked for first, so that a guest that is denied
    /// again and again comes to an end as well.
    pub(super) fn count(&self) -> Result<(), Refusal> {
        let most = self.outlet.terms.limits.requests;
        over(&self.requests, 1, most, Limit::Requests)
    }

    /// So many bytes more that are sent.
    pub(super) fn sent(&self, bytes: u64) -> Result<(), Refusal> {
        let most = self.outlet.terms.limits.sent;
        over(&self.sent, bytes, most, Limit::Sent)
    }

    /// How many of so many bytes more may be sent, at least one. They are counted; those that are
    /// not sent after all are to be given back.
    pub(super) fn may_send(&self, bytes: u64) -> Result<u64, Refusal> {
        let most = self.outlet.terms.limits.sent;
        let fits = |sent: u64| most.saturating_sub(sent).min(bytes);
        let more = |sent: u64| (fits(sent) > 0).then(|| sent + fits(sent));
        match self.sent.fetch_update(Relaxed, Relaxed, more) {
            Ok(before) => Ok(fits(before)),
            Err(_) => Err(Refusal::Over(Limit::Sent)),
        }
    }

    /// Gives bytes back that [`Self::may_send`] counted.
    pub(super) fn did_not_send(&self, bytes: u64) {
        self.sent.fetch_sub(bytes, Relaxed);
    }

    /// So many bytes more that came.
    pub(super) fn received(&self, bytes: u64) -> Result<(), Refusal> {
        let most = self.outlet.terms.limits.received;
        over(&self.received, bytes, most, Limit::Received)
    }

    /// Takes down that something is denied, and says it as the station's line wants it said.
    pub(super) fn deny(&self, deed: Deed, what: String, denial: Denial) -> Refusal {
        let why = Some(denial.why.clone());
        self.note(vec![self.entry(deed, false, &what, denial.rule, why)]);
        let violation = Violation {
            what: cut(&what),
            why: denial.why,
            hint: denial.hint,
        };
        match self.outlet.terms.violation {
            OnViolation::Jam => Refusal::Violation(violation),
            OnViolation::Deny => Refusal::Denied(violation),
        }
    }

    /// An entry for the audit.
    pub(super) fn entry(
        &self,
        deed: Deed,
        allowed: bool,
        what: &str,
        rule: Option<String>,
        why: Option<String>,
    ) -> Entry {
        Entry {
            at: (self.gate.means.clock)(),
            deed,
            allowed,
            line: self.visit.line.clone(),
            revision: self.visit.revision,
            station: self.visit.station.clone(),
            component: Some(self.outlet.terms.component),
            item: Some(self.visit.item.clone()),
            what: cut(what),
            rule,
            why,
        }
    }

    pub(super) fn note(&self, entries: Vec<Entry>) {
        self.gate.means.auditor.note(entries);
    }
}

fn over(count: &AtomicU64, more: u64, most: u64, limit: Limit) -> Result<(), Refusal> {
    let before = count.fetch_add(more, Relaxed);
    if before.saturating_add(more) > most {
        return Err(Refusal::Over(limit));
    }
    Ok(())
}

/// As much of a text as the audit keeps.
pub(super) fn cut(what: &str) -> String {
    what[..what.floor_char_boundary(Entry::WHAT)].into()
}

/// No way out at all: of an egress that lets nobody through, and of stations that it does not know.
pub struct Closed;

impl Egress for Closed {
    fn enter(&self, _: &Arc<Visit>) -> Arc<dyn Way> {
        Arc::new(Self)
    }
}

impl Closed {
    fn refuse<T: Send + 'static>(what: String) -> BoxFuture<'static, Result<T, Refusal>> {
        Box::pin(std::future::ready(Err(Refusal::Violation(Violation {
            what: cut(&what),
            why: "there is no way out to the network here".into(),
            hint: "run the line with `andon run`".into(),
        }))))
    }
}

impl Way for Closed {
    fn send(
        &self,
        request: Request<WayBody>,
        _: Patience,
    ) -> BoxFuture<'static, Result<Response<WayBody>, Refusal>> {
        Self::refuse(exchange::asked(request.method(), request.uri()))
    }

    fn look_up(&self, name: String) -> BoxFuture<'static, Result<Vec<IpAddr>, Refusal>> {
        Self::refuse(format!("look up {name}"))
    }

    fn connect(&self, to: SocketAddr) -> BoxFuture<'static, Result<Box<dyn Connection>, Refusal>> {
        Self::refuse(format!("connect {to}"))
    }
}
