//! The manifest inside a component: a custom section of canonical JSON at its top level.
//!
//! Read as bytes, never by running anything, and never from what is nested inside: a component that
//! was composed of others does not speak with their manifests.

use serde_json::Value;
use wasmparser::{Chunk, Encoding, Parser, Payload};

use super::{Broken, Manifest};

/// The custom section's name.
pub const SECTION: &str = "andon:manifest";
/// The most that a manifest may take, in bytes of JSON.
pub const LIMIT: usize = 256 * 1024;

/// Why a component's manifest could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not wasm, or broken off.
    #[error("the component cannot be read: {0}")]
    Malformed(String),
    /// A core module where a component was expected.
    #[error("a core module cannot carry a manifest; adapt it to a component first")]
    CoreModule,
    /// Two manifests.
    #[error("the component carries more than one manifest")]
    Twice,
    /// Over [`LIMIT`].
    #[error("the manifest takes {0} bytes, and {LIMIT} are allowed")]
    TooLarge(usize),
    /// Not the JSON of a manifest.
    #[error("the manifest inside the component is not one: {0}")]
    NotAManifest(String),
    /// A rule is broken; `0` has all of them.
    #[error("the manifest inside the component breaks a rule: {}", list(.0))]
    Broken(Vec<Broken>),
}

fn list(broken: &[Broken]) -> String {
    let lines: Vec<_> = broken
        .iter()
        .map(|b| format!("`{}`: {}", b.at, b.message))
        .collect();
    lines.join("; ")
}

impl Manifest {
    /// The manifest as JSON without white space and with sorted keys, so that equal manifests are
    /// equal bytes.
    pub fn to_json(&self) -> String {
        // Plain data with string keys: there is nothing in it that could fail to serialise.
        let value = serde_json::to_value(self).unwrap_or_default();
        sorted(value).to_string()
    }

    /// Reads what [`Manifest::to_json`] wrote, and checks it.
    pub fn from_json(json: &[u8]) -> Result<Self, ManifestError> {
        if json.len() > LIMIT {
            return Err(ManifestError::TooLarge(json.len()));
        }
        let manifest: Self =
            serde_json::from_slice(json).map_err(|e| ManifestError::NotAManifest(e.to_string()))?;
        match manifest.check() {
            broken if broken.is_empty() => Ok(manifest),
            broken => Err(ManifestError::Broken(broken)),
        }
    }
}

/// Sorts the keys of every object; `serde_json` may be built to keep the order of insertion.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.into_iter().map(|(k, v)| (k, sorted(v))).collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(entries.into_iter().collect())
        }
        Value::Array(items) => items.into_iter().map(sorted).collect(),
        other => other,
    }
}

/// Puts a manifest into a component. One that was there is replaced.
pub fn embed(component: &[u8], manifest: &Manifest) -> Result<Vec<u8>, ManifestError> {
    let json = manifest.to_json();
    if json.len() > LIMIT {
        return Err(ManifestError::TooLarge(json.len()));
    }
    let found = scan(component)?;
    if !found.is_component {
        return Err(ManifestError::CoreModule);
    }
    let mut out = Vec::with_capacity(component.len() + json.len() + 64);
    let mut kept = 0;
    for section in &found.manifests {
        out.extend_from_slice(&component[kept..section.start]);
        kept = section.end;
    }
    out.extend_from_slice(&component[kept..]);
    let mut body = Vec::with_capacity(json.len() + 32);
    leb128(&mut body, SECTION.len());
    body.extend_from_slice(SECTION.as_bytes());
    body.extend_from_slice(json.as_bytes());
    out.push(0);
    leb128(&mut out, body.len());
    out.extend_from_slice(&body);
    Ok(out)
}

/// Reads the manifest of a component; none where it has none, or where the bytes are a core module.
pub fn extract(component: &[u8]) -> Result<Option<Manifest>, ManifestError> {
    let found = scan(component)?;
    match found.manifests.as_slice() {
        [] => Ok(None),
        [one] => Manifest::from_json(&component[one.data..one.end]).map(Some),
        _ => Err(ManifestError::Twice),
    }
}

struct Scan {
    is_component: bool,
    manifests: Vec<Section>,
}

/// Offsets of one custom section: its header, its data, its end.
struct Section {
    start: usize,
    data: usize,
    end: usize,
}

/// Walks the sections of the top level and steps over what is nested without looking into it.
fn scan(wasm: &[u8]) -> Result<Scan, ManifestError> {
    let malformed = |e: wasmparser::BinaryReaderError| ManifestError::Malformed(e.to_string());
    let mut parser = Parser::new(0);
    let mut scan = Scan {
        is_component: false,
        manifests: Vec::new(),
    };
    let mut at = 0;
    loop {
        let (consumed, payload) = match parser.parse(&wasm[at..], true).map_err(malformed)? {
            Chunk::Parsed { consumed, payload } => (consumed, payload),
            // Cannot be asked for at the end of the data, but must not loop if it were.
            Chunk::NeedMoreData(_) => {
                return Err(ManifestError::Malformed("unexpected end".into()));
            }
        };
        let start = at;
        at += consumed;
        match payload {
            Payload::Version { encoding, .. } => {
                scan.is_component = encoding == Encoding::Component
            }
            Payload::ModuleSection {
                unchecked_range, ..
            }
            | Payload::ComponentSection {
                unchecked_range, ..
            } => {
                // The parser has stepped behind the nested bytes already; the data has to follow.
                at = unchecked_range.end;
                if at > wasm.len() {
                    return Err(ManifestError::Malformed(
                        "a nested module is cut off".into(),
                    ));
                }
            }
            Payload::CustomSection(reader) if scan.is_component && reader.name() == SECTION => {
                let data = at - reader.data().len();
                scan.manifests.push(Section {
                    start,
                    data,
                    end: at,
                });
            }
            Payload::End(_) => return Ok(scan),
            _ => {}
        }
    }
}

fn leb128(out: &mut Vec<u8>, mut value: usize) {
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            return out.push(byte);
        }
        out.push(byte | 0x80);
    }
}
