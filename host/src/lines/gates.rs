//! The ways out of the lines: one gate for all lines of a factory. Which gate a visit goes by is a matter
//! of its line; what may pass is decided behind it.

use super::LinesError;
use crate::{
    assembly::Assembled,
    content::Content,
    grant::Ceiling,
    journal::{Journal, JournalAuditor},
    line::Line,
    name::Name,
    sandbox::{
        Egress, Vault, Way,
        egress::{Closed, Gate, Log, Means, NoSecrets},
    },
    secrets::{self, Secrets},
    visit::{Millis, Visit},
};
use std::{
    collections::HashMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

/// What lines of one gate have in common: whose secrets they are granted, if any, and who is asked for
/// names.
type Factory = (Option<PathBuf>, Vec<SocketAddr>);

/// The gates of all lines.
pub(super) struct Gates {
    journal: Arc<dyn Journal>,
    log: Log,
    clock: fn() -> Millis,
    open: RwLock<Open>,
}

/// A gate, and the ceiling that a line is below.
type Passed = (Gate, Option<Ceiling>);

#[derive(Default)]
struct Open {
    gates: HashMap<Factory, Gate>,
    /// By line and revision: the gate, and what the operator allows at most.
    lines: HashMap<(Name, u64), Passed>,
}

impl Gates {
    pub(super) fn new(journal: Arc<dyn Journal>, content: Content, clock: fn() -> Millis) -> Self {
        Self {
            log: Log::new(journal.clone(), content),
            journal,
            clock,
            open: RwLock::default(),
        }
    }

    /// Lets the stations of a revision through, on the terms of what was assembled. `line` is the line as
    /// it runs.
    pub(super) fn admit(
        &self,
        assembled: &Assembled,
        line: &Line,
        revision: u64,
    ) -> Result<(), LinesError> {
        let secrets = match grants_secrets(line) {
            true => {
                let file = assembled.factory.file.as_deref().map(Path::new);
                let place = secrets::factory(file, &assembled.folder);
                let named = file.unwrap_or(&assembled.folder);
                Some(place.map_err(|error| LinesError::Factory {
                    path: named.display().to_string(),
                    reason: error.to_string(),
                })?)
            }
            false => None,
        };
        let key = (secrets, assembled.factory.network.resolvers.clone());
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        let gate = match open.gates.get(&key) {
            Some(gate) => gate.clone(),
            None => {
                let vault: Arc<dyn Vault> = match &key.0 {
                    Some(place) => Arc::new(Secrets::of(place)?),
                    None => Arc::new(NoSecrets),
                };
                let gate = Gate::new(Means {
                    vault,
                    auditor: Arc::new(JournalAuditor(self.journal.clone())),
                    resolvers: key.1.clone(),
                    clock: self.clock,
                    log: Some(self.log.clone()),
                });
                open.gates.insert(key, gate.clone());
                gate
            }
        };
        for (station, terms) in assembled.terms(line) {
            gate.admit(&line.name, revision, &station, terms);
        }
        let ceiling = assembled.factory.ceiling.clone();
        open.lines
            .insert((line.name.clone(), revision), (gate, ceiling));
        Ok(())
    }

    /// Lets the stations of a revision through no more.
    pub(super) fn dismiss(&self, line: &Name, revision: u64) {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        if let Some((gate, _)) = open.lines.remove(&(line.clone(), revision)) {
            gate.dismiss(line, revision);
        }
    }

    /// The gate of a revision, and the ceiling that it is below.
    pub(super) fn of(&self, line: &Name, revision: u64) -> Option<(Gate, Option<Ceiling>)> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        open.lines.get(&(line.clone(), revision)).cloned()
    }

    /// Waits until no request of any line is under way any more.
    pub(super) async fn settled(&self) {
        let gates: Vec<Gate> = {
            let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
            open.gates.values().cloned().collect()
        };
        for gate in gates {
            gate.settled().await;
        }
    }
}

impl Egress for Gates {
    fn enter(&self, visit: &Arc<Visit>) -> Arc<dyn Way> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        match open.lines.get(&(visit.line.clone(), visit.revision)) {
            Some((gate, _)) => gate.enter(visit),
            None => Arc::new(Closed),
        }
    }
}

/// Whether any station of the line is granted a secret, or a call of the line's own is signed with one.
pub fn grants_secrets(line: &Line) -> bool {
    let mut stations = line.stations.values();
    stations.any(|station| !station.grants.secrets.is_empty())
        || line.webhooks().any(|(_, webhook)| webhook.secret.is_some())
}
