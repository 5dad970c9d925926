//! Questions: what is asked, what may be answered, and what an item does that somebody takes from the
//! line or that a retool sends elsewhere.

use super::{Given, Refused, Step, bounded};
use crate::{
    escape::shown,
    item::{Asker, Course, Facts, Hold, Jam, Phase, Record},
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
        let invalid = |text: String| Record::Jammed {
            at: self.at,
            jam: Jam::Invalid(text),
            facts: Some(facts.clone()),
        };
        if let Phase::Working { course, .. } = &self.item.phase
            && course.answers.len() >= Course::ANSWERS
        {
            return Ok(invalid(format!(
                "it asks again, after {} answers",
                Course::ANSWERS
            )));
        }
        if let Some(otherwise) = &holding.otherwise
            && !question.choices.contains(otherwise)
            && !question.free_text
        {
            return Ok(invalid(format!(
                "it asks, and the line's `otherwise` `{}` is none of its choices",
                shown(otherwise)
            )));
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
                payload: self.item.asked(self.at),
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
        if hold.until.is_some_and(|until| self.at >= until) {
            return Err(Refused::Over { item: item() });
        }
        if given.payload.is_some_and(|payload| payload != hold.payload) {
            return Err(Refused::OtherPayload { item: item() });
        }
        if hold.not_submitter {
            self.no_submitter(&by)?;
        }
        let Question {
            choices, free_text, ..
        } = &hold.question;
        bounded("text", &given.text, 0, Answer::TEXT)?;
        if !given.text.is_empty() && !free_text {
            return Err(Refused::NoText { item: item() });
        }
        let only_text =
            given.choice.is_empty() && !given.text.is_empty() && hold.asker == Asker::Station;
        if !choices.contains(&given.choice) && !only_text {
            let listed: Vec<String> = choices
                .iter()
                .map(|choice| format!("`{}`", shown(choice)))
                .collect();
            let choices = match &*listed {
                [] => "it asks for text, `--text TEXT`".into(),
                _ => format!("choose one of {}", listed.join(", ")),
            };
            return Err(Refused::NoChoice {
                item: item(),
                choice: shown(&given.choice),
                choices,
            });
        }
        let choice = shown(&given.choice);
        self.answer(hold, by, why, given.choice, given.text)
            .map_err(|jam| Refused::NoChoice {
                item: item(),
                choice,
                choices: jam.to_string(),
            })
    }

    /// Refuses whoever submitted the item or had a part in what it carries.
    pub(super) fn no_submitter(&self, by: &str) -> Result<(), Refused> {
        let item = self.item.id.clone();
        match self.item.ticket.is_of(by) {
            None => Err(Refused::NoSubmitter { item }),
            Some(true) => Err(Refused::Submitter {
                item,
                by: by.into(),
            }),
            Some(false) => Ok(()),
        }
    }

    /// The time for the answer is over: an item that is late jams, another one goes by the line's
    /// `otherwise`.
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
        let otherwise = match &hold.otherwise {
            _ if self.late() => return jam(Jam::Deadline),
            None => return jam(Jam::Unanswered),
            Some(otherwise) => otherwise.clone(),
        };
        // to a question that has no such choice it is said in words
        let (choice, text) = if hold.question.choices.contains(&otherwise) {
            (otherwise, String::new())
        } else {
            (String::new(), otherwise)
        };
        self.answer(hold, String::new(), String::new(), choice, text)
            .unwrap_or_else(jam)
    }

    /// What an answer leads to; or why the item cannot go where the choice leads.
    fn answer(
        &self,
        hold: &Hold,
        by: String,
        why: String,
        choice: String,
        text: String,
    ) -> Result<Vec<Record>, Jam> {
        let onward = match (hold.asker, self.item.station()) {
            (Asker::Line, Some(station)) => {
                let port: Name = choice
                    .parse()
                    .map_err(|_| Jam::Invalid(format!("`{}` is no port", shown(&choice))))?;
                Some(self.leave_as_it_came(station, &port)?)
            }
            _ => None,
        };
        let answered = Record::Answered {
            answer: Answer {
                question: hold.question.id.clone(),
                choice,
                text,
                by,
                at: self.at,
            },
            why,
        };
        Ok([answered].into_iter().chain(onward).collect())
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
        if let Some(to) = to.as_ref()
            && !self.line.stations.contains_key(to)
        {
            return Err(Refused::NowhereTo {
                item: self.item.id.clone(),
                station: to.clone(),
                line: self.line.name.clone(),
            });
        }
        let joins = (self.item.split()).is_some_and(|split| split.join.is_some());
        match (&self.item.phase, to) {
            (
                Phase::Ready { .. } | Phase::Held { .. } | Phase::Jammed { split: None, .. },
                Some(to),
            ) => Ok(vec![Record::Relocated { at, to }]),
            // what children still bring to the join comes to where it is now
            (_, Some(to)) if joins => Ok(vec![Record::Relocated { at, to }]),
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
