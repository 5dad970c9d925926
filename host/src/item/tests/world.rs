//! A factory without stations, stores or time of its own: items, mail between them, and a clock that
//! tests move. Every step is checked against the fold over all records.

use super::lines::{line, name, payload};
use crate::{
    item::{
        ChildEnd, End, Event, Item, ItemId, Message, Phase, Record, Refused, Taking, messages,
        step, take,
    },
    line::Line,
    visit::Millis,
};
use std::collections::{BTreeMap, btree_map::Entry};

pub(crate) struct World {
    pub(crate) line: Line,
    pub(crate) now: Millis,
    pub(crate) items: BTreeMap<ItemId, (Item, Vec<Record>)>,
    pub(crate) mail: Vec<Message>,
    pub(crate) root: ItemId,
}

impl World {
    pub(crate) fn new(text: &str) -> Self {
        Self::of(line(text))
    }

    pub(crate) fn of(line: Line) -> Self {
        Self::with(line, Taking::plain("input", payload("input")))
    }

    pub(crate) fn with(line: Line, taking: Taking) -> Self {
        let root = ItemId::input(b"0123456789abcdef", "line", "input");
        let taken = take(0, &line, 1, taking);
        let mut world = Self {
            line,
            now: 0,
            items: BTreeMap::new(),
            mail: vec![],
            root: root.clone(),
        };
        world.deliver(Message::Spawn {
            child: root,
            taken: Box::new(taken),
        });
        world
    }

    /// The item with this path below the root, `1.2`; the root's is empty.
    pub(crate) fn id(&self, path: &str) -> ItemId {
        let numbers = path.split('.').filter(|n| !n.is_empty());
        numbers.fold(self.root.clone(), |id, n| {
            id.child(n.parse().unwrap()).unwrap()
        })
    }

    pub(crate) fn item(&self, id: &ItemId) -> &Item {
        &self.items[id].0
    }

    /// What a conveyor does with an event.
    pub(crate) fn event(&mut self, id: &ItemId, event: Event) -> Result<usize, Refused> {
        let (item, records) = self.items.get_mut(id).unwrap();
        let new = step(item, &self.line, self.now, event)?;
        for record in &new {
            item.apply(record).unwrap();
            records.push(record.clone());
        }
        let folded = Item::fold(id.clone(), records).unwrap().unwrap();
        assert_eq!(folded, *item, "the fold of {records:#?}");
        assert_eq!(item.seq as usize, records.len());
        self.mail.extend(messages(item, &new));
        Ok(new.len())
    }

    /// What a conveyor does with a message.
    pub(crate) fn deliver(&mut self, message: Message) {
        match message {
            Message::Spawn { child, taken } => match self.items.entry(child.clone()) {
                Entry::Vacant(entry) => {
                    let records = vec![*taken];
                    let item = Item::fold(child, &records).unwrap().unwrap();
                    self.mail.extend(messages(&item, &records));
                    entry.insert((item, records));
                }
                Entry::Occupied(entry) => self.mail.extend(entry.get().0.farewell()),
            },
            Message::ChildEnded { parent, child, end } => {
                self.event(&parent, Event::ChildEnded { child, end })
                    .unwrap();
            }
        }
    }

    pub(crate) fn deliver_all(&mut self) {
        while !self.mail.is_empty() {
            let message = self.mail.remove(0);
            self.deliver(message);
        }
    }

    /// Where an item is, in a few words.
    pub(crate) fn tell(&self, id: &ItemId) -> String {
        let Some((item, _)) = self.items.get(id) else {
            return "unknown".into();
        };
        let at = |station: &str, nth: u32, attempt: u32| format!("{station} {nth}/{attempt}");
        let mut text = match &item.phase {
            Phase::Ready {
                station,
                nth,
                attempt,
                ..
            } => format!("ready {}", at(station, *nth, *attempt)),
            Phase::Working {
                station,
                nth,
                attempt,
                ..
            } => format!("working {}", at(station, *nth, *attempt)),
            Phase::Split(split) => {
                let out: Vec<_> = split.children.keys().map(u32::to_string).collect();
                format!("split {}", out.join(","))
            }
            Phase::Held { station, hold, .. } => {
                format!("held at {station}: {}", hold.question.prompt)
            }
            Phase::Jammed { station, jam, .. } => format!("jammed at {station}: {jam}"),
            Phase::Ended { end, result, .. } => match (end, result) {
                (End::Done, Some(_)) => "done with a result".into(),
                (End::Done, None) => "done".into(),
                (End::Scrapped, _) => "scrapped".into(),
                (End::Joined, _) => "joined".into(),
            },
        };
        if item.inputs.len() != 1 {
            text += &format!(" x{}", item.inputs.len());
        }
        if matches!(item.phase, Phase::Ready { .. }) {
            for payload in &item.inputs {
                for (k, v) in payload.labels.iter() {
                    text += &format!(" {k}={v}");
                }
            }
        }
        text
    }

    pub(crate) fn ended(parent: ItemId, child: u32) -> Message {
        Message::ChildEnded {
            parent,
            child,
            end: ChildEnd {
                end: End::Done,
                arrivals: vec![],
                unused: 0,
            },
        }
    }

    pub(crate) fn skip(port: &str) -> Event {
        Event::Cleared {
            by: "ann".into(),
            why: "it has to go on".into(),
            how: crate::item::Clear::Skip(name(port)),
        }
    }
}
