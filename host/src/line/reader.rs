//! Reads a TOML file by its grammar and remembers where everything stands.
//!
//! Owns what is the same for every file: the TOML itself, tables and their keys, single values, places
//! and the list of problems. Knows nothing of lines.

use super::grammar::{Key, Kind, Table};
use crate::problem::{Place, Problem, shown};
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

mod syntax;
mod value;

/// The longest file that is read, in bytes.
const LONGEST: usize = 512 << 10;
/// The most problems that are told of one file.
const MOST: usize = 200;

/// A file being read.
pub(crate) struct Reader<'t> {
    file: &'t str,
    text: &'t str,
    /// Where each line begins.
    starts: Vec<usize>,
    /// The byte that was last placed, and its place: most are looked up in the order of the text.
    last: Cell<(usize, Place)>,
    problems: Vec<Problem>,
    untold: usize,
    places: BTreeMap<String, Place>,
    spoiled: BTreeSet<String>,
}

/// What was found out about a file beside its content.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// What is wrong with it.
    pub(crate) problems: Vec<Problem>,
    /// Where each key stands, by its dotted path.
    pub(crate) places: BTreeMap<String, Place>,
    /// The paths of what could not be read.
    pub(crate) spoiled: BTreeSet<String>,
}

/// A value with all that is known of it.
#[derive(Clone)]
pub(crate) struct Node<'a> {
    /// Its dotted path in the file.
    pub(crate) path: String,
    /// The value.
    pub(crate) value: &'a DeValue<'a>,
    /// Where it is in the text.
    pub(crate) span: Range<usize>,
    /// What it has to be.
    pub(crate) kind: &'static Kind,
}

impl<'a> Node<'a> {
    /// A value somewhere within this one, where the grammar says nothing any more.
    pub(crate) fn inner(&self, value: &'a Spanned<DeValue<'a>>) -> Self {
        Self {
            path: self.path.clone(),
            value: value.get_ref(),
            span: value.span(),
            kind: &Kind::Any,
        }
    }
}

/// The keys of a table; each one that the grammar names has to be asked for.
pub(crate) struct Fields<'a> {
    path: String,
    map: &'a DeTable<'a>,
    grammar: &'static Table,
    asked: RefCell<BTreeSet<&'static str>>,
}

impl<'t> Reader<'t> {
    pub(crate) fn new(file: &'t str, text: &'t str) -> Self {
        let starts = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        Self {
            file,
            text,
            starts,
            last: Cell::new((0, Place { line: 1, column: 1 })),
            problems: Vec::new(),
            untold: 0,
            places: BTreeMap::new(),
            spoiled: BTreeSet::new(),
        }
    }

    /// Parses the TOML; none where what is left of it would only mislead.
    pub(crate) fn document(&mut self) -> Option<Spanned<DeTable<'t>>> {
        if self.text.len() > LONGEST {
            self.problems.push(Problem::of(
                self.file,
                format!("the file is longer than {} KiB", LONGEST >> 10),
            ));
            return None;
        }
        let (document, errors) = DeTable::parse_recoverable(self.text);
        let errors: Vec<_> = errors
            .iter()
            .take(MOST)
            .map(|error| (error.span().map_or(0, |span| span.start), error.message()))
            .collect();
        let (told, misleading) = syntax::explain(self.text, &errors);
        for told in told {
            self.problem(told.at, told.message, Some(told.hint));
        }
        (!misleading).then_some(document)
    }

    /// The root table of a document by its grammar.
    pub(crate) fn root<'a>(
        &mut self,
        document: &'a Spanned<DeTable<'a>>,
        grammar: &'static Table,
    ) -> Fields<'a> {
        self.fields(document.get_ref(), String::new(), 0, grammar)
    }

    pub(crate) fn finish(mut self) -> Findings {
        self.problems.sort();
        self.problems.dedup();
        if self.untold > 0 {
            self.problems.push(Problem::of(
                self.file,
                format!("there are {} more problems", self.untold),
            ));
        }
        Findings {
            problems: self.problems,
            places: self.places,
            spoiled: self.spoiled,
        }
    }

    /// Where a byte of the text is.
    fn place(&self, offset: usize) -> Place {
        let offset = self.text.floor_char_boundary(offset);
        let line = self.starts.partition_point(|start| *start <= offset);
        let (from, column) = match self.last.get() {
            (last, place) if place.line == line && last <= offset => (last, place.column),
            _ => (self.starts[line - 1], 1),
        };
        let place = Place {
            line,
            column: column + self.text[from..offset].chars().count(),
        };
        self.last.set((offset, place));
        place
    }

    /// Notes a problem at a byte of the text.
    pub(crate) fn problem(&mut self, at: usize, message: impl Into<String>, hint: Option<String>) {
        if self.problems.len() >= MOST {
            self.untold += 1;
            return;
        }
        let mut problem = Problem::on(self.file, self.place(at), message);
        problem.hint = hint;
        self.problems.push(problem);
    }

    /// Notes a problem of a value, which is then not relied on.
    pub(crate) fn spoil(
        &mut self,
        node: &Node<'_>,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        self.spoiled.insert(node.path.clone());
        self.problem(node.span.start, message, hint);
    }

    /// Marks a value that is not relied on, and of which a problem is told already.
    pub(crate) fn doubt(&mut self, node: &Node<'_>) {
        self.spoiled.insert(node.path.clone());
    }

    /// The first place of `part` in the source of a value; where it begins if it is written otherwise.
    pub(crate) fn find(&self, node: &Node<'_>, part: &str) -> usize {
        let source = self.text.get(node.span.clone()).unwrap_or_default();
        node.span.start + source.find(part).unwrap_or(0)
    }

    fn fields<'a>(
        &mut self,
        map: &'a DeTable<'a>,
        path: String,
        at: usize,
        grammar: &'static Table,
    ) -> Fields<'a> {
        let names = grammar.keys.iter().map(|key| key.name);
        let mut mistyped = BTreeSet::new();
        for (key, value) in map {
            let name = &**key.get_ref();
            if grammar.key(name).is_some() {
                self.stands(join(&path, name), key, value);
            } else if let Some((_, what)) = grammar.later.iter().find(|(later, _)| *later == name) {
                self.problem(
                    key.span().start,
                    format!("`{name}` is not supported yet"),
                    Some(format!("it will be for {what}; take it out for now")),
                );
            } else {
                mistyped.extend(nearest(name, names.clone()));
                self.problem(
                    key.span().start,
                    format!("unknown key `{}` in {}", shown(name), grammar.what),
                    Some(known(name, names.clone())),
                );
            }
        }
        for key in grammar.keys {
            let instead = key.unless.is_some_and(|other| map.contains_key(other));
            if key.required && !instead && !map.contains_key(key.name) {
                self.spoiled.insert(join(&path, key.name));
                if mistyped.contains(key.name) {
                    continue;
                }
                self.problem(
                    at,
                    format!("{} has no `{}`", self.whose(grammar, &path), key.name),
                    Some(format!("it takes {}", key.kind.meant())),
                );
            }
        }
        Fields {
            path,
            map,
            grammar,
            asked: RefCell::default(),
        }
    }

    fn whose(&self, grammar: &Table, path: &str) -> String {
        match path.rsplit('.').next() {
            Some(name) if path.starts_with("stations.") && path.matches('.').count() == 1 => {
                format!("station `{}`", shown(name))
            }
            _ if path.is_empty() => "the file".into(),
            _ => grammar.what.into(),
        }
    }

    fn stands(
        &mut self,
        path: String,
        key: &Spanned<toml::de::DeString<'_>>,
        value: &Spanned<DeValue<'_>>,
    ) {
        let at = match value.get_ref() {
            DeValue::Table(_) => key.span().start,
            _ => value.span().start,
        };
        let place = self.place(at);
        self.places.insert(path, place);
    }

    /// The keys of a table of the grammar.
    pub(crate) fn table<'a>(&mut self, node: &Node<'a>) -> Option<Fields<'a>> {
        let Some(grammar) = node.kind.table() else {
            debug_assert!(false, "`{}` is no table of the grammar", node.path);
            return None;
        };
        match node.value {
            DeValue::Table(map) => {
                Some(self.fields(map, node.path.clone(), node.span.start, grammar))
            }
            _ => self.wrong_kind(node),
        }
    }

    /// The entries of a table whose keys the author names: each key, where it stands, and its value.
    pub(crate) fn map<'a>(&mut self, node: &Node<'a>) -> Vec<(&'a str, usize, Node<'a>)> {
        let Some(Kind::Map { value: kind, .. }) = node.kind.map() else {
            debug_assert!(false, "`{}` is no map of the grammar", node.path);
            return Vec::new();
        };
        let DeValue::Table(map) = node.value else {
            self.wrong_kind::<()>(node);
            return Vec::new();
        };
        map.iter()
            .map(|(key, value)| {
                let path = join(&node.path, key.get_ref());
                self.stands(path.clone(), key, value);
                let span = match value.get_ref() {
                    DeValue::Table(_) => key.span(),
                    _ => value.span(),
                };
                let node = Node {
                    path,
                    value: value.get_ref(),
                    span,
                    kind,
                };
                (&**key.get_ref(), key.span().start, node)
            })
            .collect()
    }

    /// The entries of a list.
    pub(crate) fn list<'a>(&mut self, node: &Node<'a>) -> Vec<Node<'a>> {
        let Some(Kind::List(kind)) = node.kind.list() else {
            debug_assert!(false, "`{}` is no list of the grammar", node.path);
            return Vec::new();
        };
        let DeValue::Array(array) = node.value else {
            self.wrong_kind::<()>(node);
            return Vec::new();
        };
        let mut nodes = Vec::new();
        for (n, value) in array.iter().enumerate() {
            let path = join(&node.path, &n.to_string());
            let place = self.place(value.span().start);
            self.places.insert(path.clone(), place);
            nodes.push(Node {
                path,
                value: value.get_ref(),
                span: value.span(),
                kind,
            });
        }
        nodes
    }
}

impl<'a> Fields<'a> {
    /// The value of a key.
    pub(crate) fn get(&self, name: &'static str) -> Option<Node<'a>> {
        self.asked.borrow_mut().insert(name);
        let key: Option<&'static Key> = self.grammar.key(name);
        debug_assert!(
            key.is_some(),
            "the grammar of {} has no `{name}`",
            self.grammar.what
        );
        let (written, value) = self.map.get_key_value(name)?;
        let span = match value.get_ref() {
            DeValue::Table(_) => written.span(),
            _ => value.span(),
        };
        Some(Node {
            path: join(&self.path, name),
            value: value.get_ref(),
            span,
            kind: &key?.kind,
        })
    }
}

impl Drop for Fields<'_> {
    /// A key that the grammar names and nobody reads would be ignored in silence.
    fn drop(&mut self) {
        let asked = self.asked.borrow();
        debug_assert!(
            std::thread::panicking()
                || self.grammar.keys.iter().all(|key| asked.contains(key.name)),
            "not every key of {} is read: only {asked:?}",
            self.grammar.what,
        );
    }
}

/// A hint for a name that is not known: the nearest that is, or all of them.
pub(crate) fn known<'k>(name: &str, known: impl Iterator<Item = &'k str> + Clone) -> String {
    if let Some(candidate) = nearest(name, known.clone()) {
        return format!("did you mean `{candidate}`?");
    }
    let names: Vec<_> = known
        .take(30)
        .map(|name| format!("`{}`", shown(name)))
        .collect();
    if names.is_empty() {
        "there are none".into()
    } else {
        format!("known here: {}", names.join(", "))
    }
}

/// The nearest of the known names, where one is near.
fn nearest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let name = clip(name);
    known
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= name.len().max(candidate.len()) / 3)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Long names are near to none; comparing them would only take time.
fn clip(name: &str) -> &str {
    &name[..name.floor_char_boundary(100)]
}

pub(crate) fn join(path: &str, name: &str) -> String {
    match path {
        "" => name.into(),
        _ => format!("{path}.{name}"),
    }
}
