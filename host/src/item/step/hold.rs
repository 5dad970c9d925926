//! Questions: what is asked, what may be answered, and what an item does that somebody takes from the
//! line or that a retool sends elsewhere.

use super::{Given, Refused, Step};
use crate::{
    escape::shown,
    item::{Asker, Facts, Hold, Jam, Phase, Record},
    line::{Ask, Holding},
    name::Name,
    visit::{Answer, Question},
};

impl Step<'_> {
    /// The line's own question.
    pub(super) fn ask(&self, ask: &Ask, holding: &Holding) -> Record {
        let question = Question {
            id: "ask".into(),
            prompt: ask.prompt.clone(),
            choices: ask
                .choices
                .iter()
                .map(|choice| choice.to_string())
                .collect(),
            free_text: true,
        };
        self.hold(question, Asker::Line, holding, None)
    }

    /// A station's question.
    pub(super) fn asked(
        &self,
        station: &Name,
        question: Question,
        facts: Facts,
    ) -> Result<Record, Refused> {
        let holding = &self.station(station)?.hold;
        let jam = |jam| Record::Jammed {
            at: self.at,
            jam,
            facts: Some(facts.clone()),
        };
        if let Some(otherwise) = &holding.otherwise
            && !question.choices.contains(otherwise)
            && !question.free_text
        {
            let text = format!(
                "it asks, and the line's `otherwise` {} is none of its choices",
                shown(otherwise)
            );
            return Ok(jam(Jam::Invalid(text)));
        }
        Ok(self.hold(question, Asker::Station, holding, Some(facts)))
    }

    fn hold(
        &self,
        question: Question,
        asker: Asker,
        holding: &Holding,
        facts: Option<Facts>,
    ) -> Record {
        let within = holding
            .within
            .map(|within| self.at.saturating_add(super::outcome::millis(within)));
        Record::Asked {
            at: self.at,
            hold: Box::new(Hold {
                question,
                asker,
                payload: self.item.carries(),
                until: [within, self.item.ticket.deadline]
                    .into_iter()
                    .flatten()
                    .min(),
                otherwise: holding.otherwise.clone(),
                not_submitter: holding.not_submitter,
            }),
            facts,
        }
    }

    pub(super) fn answered(
        &self,
        by: String,
        why: String,
        given: Given,
    ) -> Result<Vec<Record>, Refused> {
        let item = || self.item.id.clone();
        let Phase::Held { hold, .. } = &self.item.phase else {
            return Err(Refused::NotHeld {
                item: item(),
                phase: self.item.kind(),
            });
        };
        if given.payload.is_some_and(|payload| payload != hold.payload) {
            return Err(Refused::OtherPayload { item: item() });
        }
        if hold.not_submitter && self.item.ticket.by.as_ref().is_none_or(|own| *own == by) {
            return Err(Refused::Submitter { item: item(), by });
        }
        let Question {
            choices, free_text, ..
        } = &hold.question;
        let only_text = given.choice.is_empty()
            && !given.text.is_empty()
            && *free_text
            && hold.asker == Asker::Station;
        if !choices.contains(&given.choice) && !only_text {
            let listed: Vec<String> = choices.iter().map(|choice| shown(choice)).collect();
            let choices = match (&*listed, free_text) {
                ([], true) => "it asks for text, `--text TEXT`".into(),
                ([], false) => "it has no choices".into(),
                _ => format!("choose one of {}", listed.join(", ")),
            };
            return Err(Refused::NoChoice {
                item: item(),
                choice: shown(&given.choice),
                choices,
            });
        }
        self.answer(hold, by, why, given.choice, given.text)
    }

    /// The time for the answer is over.
    pub(super) fn unanswered(&self, hold: &Hold) -> Vec<Record> {
        if hold.until.is_none_or(|until| self.at < until) {
            return Vec::new();
        }
        let jam = |jam| {
            vec![Record::Jammed {
                at: self.at,
                jam,
                facts: None,
            }]
        };
        match &hold.otherwise {
            Some(choice) => self
                .answer(
                    hold,
                    String::new(),
                    String::new(),
                    choice.clone(),
                    String::new(),
                )
                .unwrap_or_else(|_| jam(Jam::Unanswered)),
            None => jam(Jam::Unanswered),
        }
    }

    fn answer(
        &self,
        hold: &Hold,
        by: String,
        why: String,
        choice: String,
        text: String,
    ) -> Result<Vec<Record>, Refused> {
        let answered = Record::Answered {
            answer: Answer {
                question: hold.question.id.clone(),
                choice: choice.clone(),
                text,
                by,
                at: self.at,
            },
            why,
        };
        if hold.asker == Asker::Station {
            return Ok(vec![answered]);
        }
        let Some(station) = self.item.station() else {
            return Ok(vec![answered]);
        };
        let no_choice = |choices: String| Refused::NoChoice {
            item: self.item.id.clone(),
            choice: shown(&choice),
            choices,
        };
        let port: Name = choice
            .parse()
            .map_err(|_| no_choice("it is no name of a port".into()))?;
        let onward = self
            .leave_as_it_came(station, &port)
            .map_err(|jam| no_choice(jam.to_string()))?;
        Ok(vec![answered, onward])
    }

    pub(super) fn cancelled(&self, by: String, why: String) -> Result<Vec<Record>, Refused> {
        match self.item.phase {
            Phase::Ended { .. } => Err(Refused::HasEnded {
                item: self.item.id.clone(),
                phase: self.item.kind(),
            }),
            _ => Ok(vec![Record::Cancelled {
                at: self.at,
                by,
                why,
            }]),
        }
    }

    pub(super) fn relocated(&self, to: Option<Name>) -> Result<Vec<Record>, Refused> {
        let at = self.at;
        let jams = |station: &Name| Record::Jammed {
            at,
            jam: Jam::Homeless(station.clone()),
            facts: None,
        };
        match (&self.item.phase, to) {
            (
                Phase::Ready { .. } | Phase::Held { .. } | Phase::Jammed { split: None, .. },
                Some(to),
            ) => {
                self.station(&to)?;
                Ok(vec![Record::Relocated { at, to }])
            }
            (Phase::Ready { station, .. } | Phase::Held { station, .. }, None) => {
                Ok(vec![jams(station)])
            }
            _ => Err(Refused::Stays {
                item: self.item.id.clone(),
                phase: self.item.kind(),
            }),
        }
    }
}
