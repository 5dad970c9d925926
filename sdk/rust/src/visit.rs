//! The visit under way, and what people were asked and answered in it.

use std::time::SystemTime;

use crate::{Result, Stop};

/// The visit under way.
///
/// In a unit test start from the default and name what matters:
///
/// ```
/// # use andon_station::Visit;
/// let visit = Visit { attempt: 2, ..Visit::default() };
/// assert_eq!(visit.nth, 1);
/// ```
#[derive(Debug, Clone)]
pub struct Visit {
    /// The item's id; it keeps it for life.
    pub item: String,
    /// The id of the input that this item was split from; the item's own id if it is an input.
    pub root: String,
    /// The line's name.
    pub line: String,
    /// The line's revision, counted from 1.
    pub revision: u64,
    /// The station's name on the line.
    pub station: String,
    /// The how manieth visit of this item to this station, counted from 1.
    pub nth: u32,
    /// The how manieth attempt of this visit, counted from 1.
    pub attempt: u32,
    /// When the item has to be through.
    pub deadline: Option<SystemTime>,
    /// Answers given to this visit so far, oldest first.
    pub answers: Vec<Answer>,
}

impl Visit {
    /// The latest answer to the question `id`.
    pub fn answer(&self, id: &str) -> Option<&Answer> {
        self.answers.iter().rev().find(|a| a.question == id)
    }

    /// The answer to `question`, or the stop that asks it.
    ///
    /// The visit runs again from its start once a person has answered:
    ///
    /// ```
    /// # use andon_station::prelude::*;
    /// fn run(visit: &Visit, inputs: Inputs) -> Result<Outputs> {
    ///     let ship = visit.ask(Question::new("ship", "Ship it?").choices(["yes", "no"]))?;
    ///     let port = if ship.choice == "yes" { "pass" } else { "rework" };
    ///     Ok(Output::to(port).forward(inputs.one()?).into())
    /// }
    /// # assert!(matches!(run(&Visit::default(), Payload::text_of("x").into()), Err(Stop::Ask(_))));
    /// ```
    pub fn ask(&self, question: Question) -> Result<&Answer> {
        self.answer(&question.id).ok_or(Stop::Ask(question))
    }

    /// The visit with one more answer, by `somebody`: for unit tests.
    ///
    /// ```
    /// # use andon_station::{Question, Visit};
    /// let visit = Visit::default().answered("ship", "yes");
    /// let ship = visit.ask(Question::new("ship", "Ship it?").choices(["yes", "no"]));
    /// assert_eq!(ship.unwrap().choice, "yes");
    /// ```
    #[must_use]
    pub fn answered(mut self, question: impl Into<String>, choice: impl Into<String>) -> Self {
        self.answers.push(Answer {
            question: question.into(),
            choice: choice.into(),
            text: String::new(),
            by: "somebody".into(),
        });
        self
    }
}

impl Default for Visit {
    /// The first attempt of the first visit of item `item` to station `station` of line `line`.
    fn default() -> Self {
        Self {
            item: "item".into(),
            root: "item".into(),
            line: "line".into(),
            revision: 1,
            station: "station".into(),
            nth: 1,
            attempt: 1,
            deadline: None,
            answers: Vec::new(),
        }
    }
}

/// A person's answer to a question that this visit asked before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The id of the question.
    pub question: String,
    /// The choice that was made; empty where only text was given.
    pub choice: String,
    /// Free text; empty where none was given.
    pub text: String,
    /// Who answered.
    pub by: String,
}

/// Something that only a person can decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Names the question within the visit, so that its answer can be found.
    pub id: String,
    /// What is asked; at most 4 KiB.
    pub prompt: String,
    /// What may be chosen; at most 16.
    pub choices: Vec<String>,
    /// Whether text may be given beside or instead of a choice.
    pub free_text: bool,
}

impl Question {
    /// A question without choices, which takes free text.
    pub fn new(id: impl Into<String>, prompt: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            prompt: prompt.into(),
            choices: Vec::new(),
            free_text: true,
        }
    }

    /// Offers `choices`, and free text no longer; see [`free_text`](Self::free_text).
    pub fn choices<I, S>(mut self, choices: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: Into<String>,
    {
        self.choices = choices.into_iter().map(Into::into).collect();
        self.free_text = false;
        self
    }

    /// Allows text beside or instead of a choice.
    pub fn free_text(mut self) -> Self {
        self.free_text = true;
        self
    }
}
