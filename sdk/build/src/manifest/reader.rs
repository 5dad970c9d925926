//! `station.toml` as text: its structure, and where in the text each thing stands.
//!
//! Finds what has no place in a manifest or has the wrong shape; whether a value keeps its rule is
//! asked of [`Manifest::check`]. All problems are collected, so that one look is enough.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::{
    Access, ConfigKey, ConfigType, FsNeed, HttpNeed, Inputs, LIMIT, Language, Manifest, Port,
    Problem, Requires, SecretNeed, StationFile, TcpNeed,
};

impl Manifest {
    /// Reads a `station.toml`; schema paths are taken relative to `dir`. All problems are returned
    /// at once, in the order of the text.
    pub fn from_toml(text: &str, dir: &Path) -> Result<Self, Vec<Problem>> {
        StationFile::from_toml(text, dir).map(|file| file.manifest)
    }
}

impl StationFile {
    /// As [`Manifest::from_toml`], with what only building needs.
    pub fn from_toml(text: &str, dir: &Path) -> Result<Self, Vec<Problem>> {
        let (root, errors) = DeTable::parse_recoverable(text);
        let mut reader = Reader {
            text,
            dir,
            problems: Vec::new(),
            files: Vec::new(),
            spans: HashMap::new(),
            wrong: Vec::new(),
        };
        for error in errors {
            let span = error.span().unwrap_or(0..0);
            reader.report(span, error.message().replace('\n', ", "), None);
        }
        // What does not parse has holes; complaints about these would only hide the cause.
        if reader.problems.is_empty() {
            let (manifest, language) = reader.file(root.get_ref());
            reader.apply_rules(&manifest);
            if reader.problems.is_empty() {
                return Ok(Self {
                    manifest,
                    language,
                    files: reader.files,
                });
            }
        }
        reader.problems.sort();
        reader.problems.dedup();
        Err(reader.problems)
    }
}

type Item<'t> = Spanned<DeValue<'t>>;

struct Reader<'a> {
    text: &'a str,
    dir: &'a Path,
    problems: Vec<Problem>,
    files: Vec<PathBuf>,
    /// Where each key of the manifest stands in the text.
    spans: HashMap<String, Range<usize>>,
    /// Keys that were found wrong already, about which the rules keep silent.
    wrong: Vec<String>,
}

impl Reader<'_> {
    fn file(&mut self, root: &DeTable<'_>) -> (Manifest, Option<Language>) {
        let known = [
            "name",
            "version",
            "description",
            "build",
            "inputs",
            "ports",
            "requires",
            "config",
        ];
        self.known(root, "", &known);
        let manifest = Manifest {
            name: self.required_string(root, "", "name", 0..0),
            version: self.required_string(root, "", "version", 0..0),
            description: self.required_string(root, "", "description", 0..0),
            inputs: self.inputs(root),
            ports: self.ports(root),
            requires: self.requires(root),
            config: self.config(root),
        };
        let language = self.table(root, "", "build").and_then(|build| {
            self.known(build, "build", &["language"]);
            let names = Language::ALL.map(Language::as_str);
            let i = self.choice(build, "build", "language", &names)?;
            Some(Language::ALL[i])
        });
        (manifest, language)
    }

    fn inputs(&mut self, root: &DeTable<'_>) -> Inputs {
        let Some(table) = self.table(root, "", "inputs") else {
            return Inputs::default();
        };
        self.known(table, "inputs", &["types", "schema"]);
        Inputs {
            types: self.types(table, "inputs"),
            schema: self.schema(table, "inputs"),
        }
    }

    fn ports(&mut self, root: &DeTable<'_>) -> BTreeMap<String, Port> {
        let mut ports = BTreeMap::new();
        for (name, at, table) in self.tables(root, "ports") {
            self.known(table, &at, &["description", "types", "schema"]);
            let port = Port {
                description: self.string(table, &at, "description").unwrap_or_default(),
                types: self.types(table, &at),
                schema: self.schema(table, &at),
            };
            ports.insert(name, port);
        }
        ports
    }

    fn requires(&mut self, root: &DeTable<'_>) -> Requires {
        let mut requires = Requires::default();
        let Some(table) = self.table(root, "", "requires") else {
            return requires;
        };
        self.known(table, "requires", &["fs", "http", "tcp", "secrets"]);
        for (at, span, need) in self.entries(table, "requires", "fs") {
            self.known(need, &at, &["guest", "access", "why", "optional"]);
            let access = self.choice(need, &at, "access", &["read", "write"]);
            if !need.contains_key("access") {
                self.missing(&at, "access", span.clone());
            }
            requires.fs.push(FsNeed {
                guest: self.required_string(need, &at, "guest", span.clone()),
                access: if access == Some(1) {
                    Access::Write
                } else {
                    Access::Read
                },
                why: self.required_string(need, &at, "why", span),
                optional: self.boolean(need, &at, "optional"),
            });
        }
        for (at, span, need) in self.entries(table, "requires", "http") {
            self.known(need, &at, &["rule", "why", "optional"]);
            requires.http.push(HttpNeed {
                rule: self.required_string(need, &at, "rule", span.clone()),
                why: self.required_string(need, &at, "why", span),
                optional: self.boolean(need, &at, "optional"),
            });
        }
        for (at, span, need) in self.entries(table, "requires", "tcp") {
            self.known(need, &at, &["to", "why", "optional"]);
            requires.tcp.push(TcpNeed {
                to: self.required_string(need, &at, "to", span.clone()),
                why: self.required_string(need, &at, "why", span),
                optional: self.boolean(need, &at, "optional"),
            });
        }
        for (at, span, need) in self.entries(table, "requires", "secrets") {
            self.known(need, &at, &["name", "why", "optional"]);
            requires.secrets.push(SecretNeed {
                name: self.required_string(need, &at, "name", span.clone()),
                why: self.required_string(need, &at, "why", span),
                optional: self.boolean(need, &at, "optional"),
            });
        }
        requires
    }

    fn config(&mut self, root: &DeTable<'_>) -> BTreeMap<String, ConfigKey> {
        const KINDS: [ConfigType; 5] = [
            ConfigType::String,
            ConfigType::Number,
            ConfigType::Integer,
            ConfigType::Boolean,
            ConfigType::Json,
        ];
        let mut config = BTreeMap::new();
        for (name, at, table) in self.tables(root, "config") {
            self.known(table, &at, &["type", "description", "default", "required"]);
            if !table.contains_key("type") {
                let span = self.spans.get(&at).cloned().unwrap_or(0..0);
                self.missing(&at, "type", span);
            }
            let kind = self.choice(table, &at, "type", &KINDS.map(ConfigType::as_str));
            if kind.is_none() {
                self.wrong.push(format!("{at}.default"));
            }
            let default = table.get("default").and_then(|item| {
                self.stands(&at, "default", item.span());
                self.json(item)
            });
            let key = ConfigKey {
                kind: KINDS[kind.unwrap_or(4)],
                description: self.string(table, &at, "description").unwrap_or_default(),
                default,
                required: self.boolean(table, &at, "required"),
            };
            config.insert(name, key);
        }
        config
    }

    fn types(&mut self, table: &DeTable<'_>, at: &str) -> Vec<String> {
        let Some(items) = self.array(table, at, "types") else {
            return Vec::new();
        };
        if items.is_empty() {
            let span = self.spans[&join(at, "types")].clone();
            self.report(
                span,
                "`types` is empty".into(),
                Some("leave it out to take any".into()),
            );
        }
        let mut types = Vec::new();
        for (i, item) in items.iter().enumerate() {
            self.stands(at, &format!("types.{i}"), item.span());
            match item.get_ref().as_str() {
                Some(text) => types.push(text.to_owned()),
                None => {
                    self.wrong.push(join(at, &format!("types.{i}")));
                    self.expected::<()>(item, "a media type as a string");
                    types.push(String::new());
                }
            }
        }
        types
    }

    /// A schema stands in the file itself or is the path of a file beside it.
    fn schema(&mut self, table: &DeTable<'_>, at: &str) -> Option<Value> {
        let item = table.get("schema")?;
        self.stands(at, "schema", item.span());
        let Some(path) = item.get_ref().as_str() else {
            return self.json(item);
        };
        let plain = Path::new(path)
            .components()
            .all(|c| matches!(c, Component::Normal(_)));
        if path.is_empty() || !plain {
            let hint = "a relative path without `..`, or an inline table".to_owned();
            self.report(
                item.span(),
                format!("`{path}` is not beside `station.toml`"),
                Some(hint),
            );
            return None;
        }
        let file = self.dir.join(path);
        let too_large = std::fs::metadata(&file).is_ok_and(|m| m.len() > LIMIT as u64);
        let read = match too_large {
            true => Err(format!("larger than {LIMIT} bytes")),
            false => std::fs::read(&file).map_err(|e| e.to_string()),
        };
        let parsed = read
            .and_then(|bytes| serde_json::from_slice(&bytes).map_err(|e| format!("not JSON: {e}")));
        self.files.push(file);
        parsed
            .map_err(|e| {
                self.report(
                    item.span(),
                    format!("cannot read the schema `{path}`: {e}"),
                    None,
                )
            })
            .ok()
    }

    /// TOML as JSON. Dates have no counterpart, and neither have `inf` and `nan`.
    fn json(&mut self, item: &Item<'_>) -> Option<Value> {
        let value = match item.get_ref() {
            DeValue::String(text) => Value::String(text.to_string()),
            DeValue::Boolean(on) => Value::Bool(*on),
            DeValue::Integer(n) => match i64::from_str_radix(n.as_str(), n.radix()) {
                Ok(n) => n.into(),
                Err(_) => return self.expected(item, "a whole number of 64 bits"),
            },
            DeValue::Float(n) => {
                match n.as_str().parse::<f64>().map(serde_json::Number::from_f64) {
                    Ok(Some(n)) => Value::Number(n),
                    _ => return self.expected(item, "a finite number"),
                }
            }
            DeValue::Datetime(_) => {
                return self.expected(item, "something that JSON has, as a string");
            }
            DeValue::Array(items) => {
                let items: Vec<_> = items.iter().map(|item| self.json(item)).collect();
                items.into_iter().collect::<Option<Vec<_>>>()?.into()
            }
            DeValue::Table(table) => {
                let entries: Vec<_> = table
                    .iter()
                    .map(|(key, item)| Some((key.get_ref().to_string(), self.json(item)?)))
                    .collect();
                Value::Object(entries.into_iter().collect::<Option<_>>()?)
            }
        };
        Some(value)
    }

    fn string(&mut self, table: &DeTable<'_>, at: &str, key: &str) -> Option<String> {
        let item = table.get(key)?;
        self.stands(at, key, item.span());
        match item.get_ref().as_str() {
            Some(text) => Some(text.to_owned()),
            None => {
                self.wrong.push(join(at, key));
                self.expected(item, "a string")
            }
        }
    }

    fn required_string(
        &mut self,
        table: &DeTable<'_>,
        at: &str,
        key: &str,
        span: Range<usize>,
    ) -> String {
        if !table.contains_key(key) {
            self.missing(at, key, span);
        }
        self.string(table, at, key).unwrap_or_default()
    }

    fn boolean(&mut self, table: &DeTable<'_>, at: &str, key: &str) -> bool {
        let Some(item) = table.get(key) else {
            return false;
        };
        self.stands(at, key, item.span());
        match item.get_ref().as_bool() {
            Some(on) => on,
            None => self.expected(item, "`true` or `false`").unwrap_or_default(),
        }
    }

    /// The index of the one of `choices` that is written.
    fn choice(
        &mut self,
        table: &DeTable<'_>,
        at: &str,
        key: &str,
        choices: &[&str],
    ) -> Option<usize> {
        let text = self.string(table, at, key)?;
        let found = choices.iter().position(|choice| *choice == text);
        if found.is_none() {
            let span = self.spans[&join(at, key)].clone();
            let hint = format!("one of {}", quoted(choices));
            self.report(span, format!("unknown `{key}`: `{text}`"), Some(hint));
        }
        found
    }

    fn table<'t, 'i>(
        &mut self,
        table: &'t DeTable<'i>,
        at: &str,
        key: &str,
    ) -> Option<&'t DeTable<'i>> {
        let item = table.get(key)?;
        self.stands(at, key, item.span());
        let found = item.get_ref().as_table();
        if found.is_none() {
            self.expected::<()>(item, "a table");
        }
        found
    }

    /// The tables of a table of tables: name, dotted path, content.
    fn tables<'t, 'i>(
        &mut self,
        root: &'t DeTable<'i>,
        key: &str,
    ) -> Vec<(String, String, &'t DeTable<'i>)> {
        let Some(outer) = self.table(root, "", key) else {
            return Vec::new();
        };
        let mut tables = Vec::new();
        for name in outer.keys() {
            if let Some(table) = self.table(outer, key, name.get_ref()) {
                self.stands(key, name.get_ref(), name.span());
                tables.push((name.get_ref().to_string(), join(key, name.get_ref()), table));
            }
        }
        tables
    }

    fn array<'t, 'i>(
        &mut self,
        table: &'t DeTable<'i>,
        at: &str,
        key: &str,
    ) -> Option<&'t DeArray<'i>> {
        let item = table.get(key)?;
        self.stands(at, key, item.span());
        let found = item.get_ref().as_array();
        if found.is_none() {
            self.expected::<()>(item, "an array");
        }
        found
    }

    /// The tables of an array of tables: dotted path, position, content.
    fn entries<'t, 'i>(
        &mut self,
        table: &'t DeTable<'i>,
        at: &str,
        key: &str,
    ) -> Vec<(String, Range<usize>, &'t DeTable<'i>)> {
        let Some(items) = self.array(table, at, key) else {
            return Vec::new();
        };
        let mut entries = Vec::new();
        for (i, item) in items.iter().enumerate() {
            match item.get_ref().as_table() {
                Some(table) => entries.push((join(at, &format!("{key}.{i}")), item.span(), table)),
                None => self
                    .expected(item, &format!("a table, as in `[[{at}.{key}]]`"))
                    .unwrap_or(()),
            }
        }
        entries
    }

    fn known(&mut self, table: &DeTable<'_>, at: &str, known: &[&str]) {
        for key in table
            .keys()
            .filter(|key| !known.contains(&key.get_ref().as_ref()))
        {
            let name = key.get_ref();
            let nearest = known
                .iter()
                .map(|candidate| (strsim::damerau_levenshtein(name, candidate), *candidate))
                .filter(|(distance, _)| *distance <= 2)
                .min();
            let hint = match nearest {
                Some((_, candidate)) => format!("did you mean `{candidate}`?"),
                None => format!("known here: {}", quoted(known)),
            };
            let place = if at.is_empty() {
                String::new()
            } else {
                format!(" in `{at}`")
            };
            self.report(
                key.span(),
                format!("unknown key `{name}`{place}"),
                Some(hint),
            );
        }
    }

    fn missing(&mut self, at: &str, key: &str, span: Range<usize>) {
        let place = if at.is_empty() {
            String::new()
        } else {
            format!(" in `{at}`")
        };
        self.wrong.push(join(at, key));
        self.report(span, format!("`{key}` is missing{place}"), None);
    }

    fn expected<T>(&mut self, item: &Item<'_>, what: &str) -> Option<T> {
        let found = item.get_ref().type_str();
        self.report(
            item.span(),
            format!("expected {what}, found {} {found}", article(found)),
            None,
        );
        None
    }

    fn stands(&mut self, at: &str, key: &str, span: Range<usize>) {
        self.spans.insert(join(at, key), span);
    }

    fn apply_rules(&mut self, manifest: &Manifest) {
        for broken in manifest.check() {
            if !self.wrong.contains(&broken.at) {
                let span = self.spans.get(&broken.at).cloned().unwrap_or(0..0);
                self.report(span, broken.message, broken.hint);
            }
        }
    }

    fn report(&mut self, span: Range<usize>, message: String, hint: Option<String>) {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        self.problems.push(Problem {
            line: count(before.matches('\n').count() + 1),
            column: count(before[line_start..].chars().count() + 1),
            message,
            hint,
        });
    }
}

fn join(at: &str, key: &str) -> String {
    if at.is_empty() {
        key.to_owned()
    } else {
        format!("{at}.{key}")
    }
}

fn quoted(words: &[&str]) -> String {
    words
        .iter()
        .map(|word| format!("`{word}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn article(noun: &str) -> &'static str {
    if noun.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "an"
    } else {
        "a"
    }
}
