//! The factory's own file, `andon.toml`: values for its lines' variables, what they may grant and use at
//! most, and how the network is reached. Knows no lines.

mod ceiling;
mod retention;

pub use retention::Retention;

use crate::{
    grant::Ceiling,
    limits::Limits,
    line::{
        Vars,
        grammar::FACTORY,
        parse::text,
        reader::{Node, Reader},
    },
    problem::{Place, Problem, shown},
};
use core::net::{IpAddr, SocketAddr};
use std::collections::BTreeMap;

/// What a factory's file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Factory {
    /// The file, as the person named it; none where there is no file.
    pub file: Option<String>,
    /// Values for the variables of its lines.
    pub vars: Vars,
    /// What its lines may grant at most; none where they may grant anything. The hosts of folders are
    /// relative to the file until the line is resolved.
    pub ceiling: Option<Ceiling>,
    /// The most that each limit of its lines may be.
    pub most: Limits,
    /// How stations reach the network.
    pub network: Network,
    /// How long what has ended is kept.
    pub retention: Retention,
    places: BTreeMap<String, Place>,
}

/// How stations reach the network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// Servers that are asked for addresses of names; the system's where there are none.
    pub resolvers: Vec<SocketAddr>,
}

impl Default for Factory {
    fn default() -> Self {
        Self {
            file: None,
            vars: Vars::default(),
            ceiling: None,
            most: Limits::UNBOUNDED,
            network: Network::default(),
            retention: Retention::default(),
            places: BTreeMap::new(),
        }
    }
}

impl Factory {
    /// Reads a factory's file.
    ///
    /// # Errors
    /// All that is wrong with it, in the order of the file.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, Vec<Problem>> {
        let text = text(file, bytes).map_err(|problem| vec![problem])?;
        let mut reader = Reader::new(file, text);
        let mut factory = Self {
            file: Some(file.into()),
            ..Self::default()
        };
        if let Some(document) = reader.document() {
            let root = reader.root(&document, &FACTORY);
            if let Some(node) = root.get("vars") {
                factory.vars = Vars::read(&mut reader, &node);
            }
            if let Some(node) = root.get("ceiling") {
                factory.ceiling = Some(ceiling::read(&mut reader, &node, &mut factory.most));
            }
            if let Some(node) = root.get("network") {
                factory.network = network(&mut reader, &node);
            }
            if let Some(node) = root.get("retention") {
                factory.retention = retention::read(&mut reader, &node);
            }
        }
        let findings = reader.finish();
        let mut problems = findings.problems;
        factory.places = findings.places;
        if problems.is_empty() {
            ceiling::check(&factory, &mut problems);
        }
        if problems.is_empty() {
            Ok(factory)
        } else {
            Err(problems)
        }
    }

    /// Where the file says what stands at this dotted path, such as `ceiling.grants.http.0`; the nearest
    /// around it where it says nothing there, and none where there is no file.
    pub fn place(&self, path: &str) -> Option<(&str, Place)> {
        let file = self.file.as_deref()?;
        let mut path = path;
        loop {
            if let Some(place) = self.places.get(path) {
                return Some((file, *place));
            }
            match path.rsplit_once('.') {
                Some((parent, _)) => path = parent,
                None => return Some((file, Place { line: 1, column: 1 })),
            }
        }
    }
}

fn network(reader: &mut Reader<'_>, node: &Node<'_>) -> Network {
    let mut network = Network::default();
    if let Some(fields) = reader.table(node)
        && let Some(node) = fields.get("resolvers")
    {
        for node in reader.list(&node) {
            network.resolvers.extend(resolver(reader, &node));
        }
    }
    network
}

/// The port that servers for names answer on.
const DNS: u16 = 53;

fn resolver(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<SocketAddr> {
    let text = reader.text(node)?;
    let address = text
        .parse()
        .ok()
        .or_else(|| Some(SocketAddr::new(text.parse::<IpAddr>().ok()?, DNS)))
        .filter(|address| address.port() != 0);
    if address.is_none() {
        reader.spoil(
            node,
            format!("`{}` is no address of a server", shown(text)),
            Some("an address and a port are meant, such as `127.0.0.1:5353`".into()),
        );
    }
    address
}
