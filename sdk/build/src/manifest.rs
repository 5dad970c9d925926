//! The manifest: what a station says about itself.
//!
//! Owns the nouns, the rules that each of them keeps ([`Manifest::check`]), how they are written in a
//! `station.toml` and how they travel inside a component. Knows nothing of lines and grants: what a
//! manifest requires is a wish, and whether it is granted is the host's business.

mod reader;
mod rules;
mod section;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use rules::Broken;
pub use section::{LIMIT, ManifestError, SECTION, embed, extract};

/// What a station says about itself. Written as `station.toml`, see [`Manifest::from_toml`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// 1 to 64 of `a-z0-9-`.
    pub name: String,
    /// As semver has it: `1.2.3`, `1.2.3-rc.1`.
    pub version: String,
    /// One line for people, at most 300 bytes.
    pub description: String,
    /// What it takes.
    #[serde(default, skip_serializing_if = "Inputs::is_any")]
    pub inputs: Inputs,
    /// The ports it may name, by name; empty where the manifest does not say.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ports: BTreeMap<String, Port>,
    /// What it needs to be granted.
    #[serde(default, skip_serializing_if = "Requires::is_nothing")]
    pub requires: Requires,
    /// The configuration it knows, by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, ConfigKey>,
}

/// What payloads a station takes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// Media types without parameters; `text/*` and `*/*` are allowed. Empty means any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<String>,
    /// A JSON Schema that a JSON body keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
}

/// A named way out of a station.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// What leaves here, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Media types, as in [`Inputs::types`]. Empty means any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<String>,
    /// A JSON Schema that a JSON body on this port keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
}

/// What a station needs to be granted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requires {
    /// Folders.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fs: Vec<FsNeed>,
    /// Addresses on the network.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub http: Vec<HttpNeed>,
    /// Connections over TCP.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tcp: Vec<TcpNeed>,
    /// Secrets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretNeed>,
}

/// A folder that a station needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FsNeed {
    /// Where the station looks for it: an absolute path without `.` and `..`, not one of the host's
    /// own (`/workspace`, `/item`).
    pub guest: String,
    /// How far it has to be open.
    pub access: Access,
    /// Why, for the person who grants it.
    pub why: String,
    /// Whether the station also works without it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub optional: bool,
}

/// How far a folder is open. `write` includes `read`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Reading only.
    Read,
    /// Reading and writing.
    Write,
}

/// An address that a station needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpNeed {
    /// A rule such as `GET https://api.example.com/v1/**`. Only its outer form is checked here; its
    /// grammar is the egress's.
    pub rule: String,
    /// Why, for the person who grants it.
    pub why: String,
    /// Whether the station also works without it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub optional: bool,
}

/// A place that a station has to connect to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TcpNeed {
    /// `host:port`. Only its outer form is checked here, as of a rule.
    pub to: String,
    /// Why, for the person who grants it.
    pub why: String,
    /// Whether the station also works without it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub optional: bool,
}

/// A secret that a station needs. It never enters the station; the host puts it in behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretNeed {
    /// 1 to 64 of `A-Z0-9_`, beginning with a letter.
    pub name: String,
    /// Why, for the person who grants it.
    pub why: String,
    /// Whether the station also works without it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub optional: bool,
}

/// A key of a station's configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigKey {
    /// What its values are.
    #[serde(rename = "type")]
    pub kind: ConfigType,
    /// What it does, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What the station takes where the line says nothing; of the type `kind`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// Whether a line has to set it. Never together with a default.
    #[serde(default, skip_serializing_if = "is_false")]
    pub required: bool,
}

/// The type of a configuration value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConfigType {
    /// Text.
    String,
    /// A number, whole or not.
    Number,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// Anything; the station reads it as JSON.
    Json,
}

impl ConfigType {
    /// As it is written in `station.toml`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Number => "number",
            Self::Integer => "integer",
            Self::Boolean => "boolean",
            Self::Json => "json",
        }
    }

    /// Whether `value` is of this type.
    pub fn admits(self, value: &Value) -> bool {
        match self {
            Self::String => value.is_string(),
            Self::Number => value.is_number(),
            Self::Integer => value.is_i64() || value.is_u64(),
            Self::Boolean => value.is_boolean(),
            Self::Json => true,
        }
    }
}

impl Inputs {
    fn is_any(&self) -> bool {
        self.types.is_empty() && self.schema.is_none()
    }
}

impl Requires {
    fn is_nothing(&self) -> bool {
        self.fs.is_empty() && self.http.is_empty() && self.tcp.is_empty() && self.secrets.is_empty()
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

/// Something wrong with a `station.toml`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The line, counted from 1.
    pub line: u32,
    /// The column, counted from 1 in characters.
    pub column: u32,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// A whole `station.toml`: the manifest, and what only building needs.
#[derive(Clone, Debug, PartialEq)]
pub struct StationFile {
    /// What is embedded.
    pub manifest: Manifest,
    /// `[build] language`, where it is given.
    pub language: Option<Language>,
    /// The schema files that were read, so that a change of them is noticed.
    pub files: Vec<PathBuf>,
}

/// A language that stations are built from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// A Cargo package: a `cdylib` is a typed station, a binary is a command station.
    Rust,
    /// `*.c` beside `station.toml` or under `src`: a command station.
    C,
}

impl Language {
    /// All there are.
    pub const ALL: [Self; 2] = [Self::Rust, Self::C];

    /// As it is written in `station.toml`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::C => "c",
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
