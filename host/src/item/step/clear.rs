//! Clearing a jam: what a person may ask for, and what it leads to.

use super::{Clear, Refused, Step};
use crate::{
    item::{Clearing, Phase, Record, Split, route},
    name::Name,
};

impl Step<'_> {
    pub(super) fn cleared(
        &self,
        by: String,
        why: String,
        how: Clear,
    ) -> Result<Vec<Record>, Refused> {
        let id = || self.item.id.clone();
        let Phase::Jammed { station, split, .. } = &self.item.phase else {
            return Err(Refused::NotJammed {
                item: id(),
                phase: self.item.kind(),
            });
        };
        let cleared = |how| Record::Cleared {
            at: self.at,
            by: by.clone(),
            why,
            how,
        };
        match (how, split) {
            (Clear::Retry, Some(split)) => self.go_on_without(split, cleared(Clearing::Retry)),
            (Clear::Edit(_) | Clear::Skip(_), Some(split)) => Err(Refused::MissingChildren {
                item: id(),
                missing: split.children.len(),
            }),
            (Clear::Edit(_), None) if self.item.inputs.len() > 1 => Err(Refused::SeveralInputs {
                item: id(),
                inputs: self.item.inputs.len(),
            }),
            (Clear::Skip(port), None) => {
                // To go on without an answer is as good as giving one.
                if self.station(station)?.hold.not_submitter {
                    self.no_submitter(&by)?;
                }
                let onward = self.skip(station, &port)?;
                Ok(vec![cleared(Clearing::Skip { port }), onward])
            }
            (how @ (Clear::Retry | Clear::Edit(_)), None) => {
                self.station(station)?;
                Ok(vec![cleared(how.clearing())])
            }
            (Clear::Scrap, _) => Ok(vec![cleared(Clearing::Scrap)]),
        }
    }

    fn skip(&self, station: &Name, port: &Name) -> Result<Record, Refused> {
        if !self.station(station)?.next.contains_key(port) {
            return Err(Refused::Unwired {
                item: self.item.id.clone(),
                station: station.clone(),
                port: port.clone(),
                wired: route::wired(self.line, station),
            });
        }
        self.leave_as_it_came(station, port)
            .map_err(|jam| Refused::NoWay {
                item: self.item.id.clone(),
                port: port.clone(),
                jam,
            })
    }

    fn go_on_without(&self, split: &Split, cleared: Record) -> Result<Vec<Record>, Refused> {
        if !split.has_arrivals() {
            return Err(Refused::NothingArrived {
                item: self.item.id.clone(),
            });
        }
        let mut after = self.item.clone();
        let mut records = vec![cleared];
        if after.apply(&records[0]).is_ok() {
            records.extend(self.gather(after));
        }
        Ok(records)
    }
}
