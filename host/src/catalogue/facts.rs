//! What a component's bytes say: its imports and exports by name. Looks at the top level only and
//! steps over what is nested, so that large components are known in a moment. The bytes are hostile.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use wasmparser::{Chunk, Encoding, Parser, Payload};

/// The most imports and exports together: what is kept of them is kept in the host. Toolchains make
/// some hundreds.
const NAMES: usize = 100_000;

/// What a component or core module imports and exports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Which of the two it is.
    pub format: Format,
    /// Names with versions (`wasi:cli/exit@0.2.6`), sorted; of a core module those of the modules
    /// that it imports from.
    pub imports: BTreeSet<String>,
    /// Names with versions, sorted.
    pub exports: BTreeSet<String>,
}

/// The two kinds of WebAssembly binaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// A component.
    Component,
    /// A core module; made into a component when it is compiled.
    Module,
}

impl Facts {
    /// Reads the facts from `wasm`. The sections are not validated: compiling does that.
    ///
    /// # Errors
    /// When it is cut short or malformed; the text says where.
    pub fn of(wasm: &[u8]) -> Result<Self, String> {
        Self::read(wasm).map_err(|broken| match broken {
            Broken::CutShort => format!("it ends after {} bytes, before its time", wasm.len()),
            Broken::TooMany => format!("it has more than {NAMES} imports and exports"),
            Broken::Malformed(error) => crate::escape::block(&error.to_string()),
        })
    }

    fn read(wasm: &[u8]) -> Result<Self, Broken> {
        let mut facts = Self {
            format: Format::Module,
            imports: BTreeSet::new(),
            exports: BTreeSet::new(),
        };
        let (mut parser, mut at) = (Parser::new(0), 0);
        loop {
            let rest = wasm.get(at..).ok_or(Broken::CutShort)?;
            let (consumed, payload) = match parser.parse(rest, true)? {
                Chunk::Parsed { consumed, payload } => (consumed, payload),
                Chunk::NeedMoreData(_) => return Err(Broken::CutShort),
            };
            at += consumed;
            match payload {
                Payload::Version {
                    encoding: Encoding::Component,
                    ..
                } => {
                    facts.format = Format::Component;
                }
                Payload::ModuleSection {
                    unchecked_range, ..
                }
                | Payload::ComponentSection {
                    unchecked_range, ..
                } => at = unchecked_range.end,
                // Bodies are for whoever compiles them.
                Payload::CodeSectionStart { size, .. } => {
                    parser.skip_section();
                    at += size as usize;
                }
                Payload::ComponentImportSection(section) => {
                    for import in section {
                        facts.import(import?.name.name)?;
                    }
                }
                Payload::ComponentExportSection(section) => {
                    for export in section {
                        facts.export(export?.name.name)?;
                    }
                }
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        facts.import(import?.module)?;
                    }
                }
                Payload::ExportSection(section) => {
                    for export in section {
                        facts.export(export?.name)?;
                    }
                }
                Payload::End(_) => return Ok(facts),
                _ => {}
            }
        }
    }

    fn import(&mut self, name: &str) -> Result<(), Broken> {
        self.room()?;
        self.imports.insert(name.into());
        Ok(())
    }

    fn export(&mut self, name: &str) -> Result<(), Broken> {
        self.room()?;
        self.exports.insert(name.into());
        Ok(())
    }

    fn room(&self) -> Result<(), Broken> {
        if self.imports.len() + self.exports.len() >= NAMES {
            return Err(Broken::TooMany);
        }
        Ok(())
    }
}

enum Broken {
    CutShort,
    TooMany,
    Malformed(wasmparser::BinaryReaderError),
}

impl From<wasmparser::BinaryReaderError> for Broken {
    fn from(error: wasmparser::BinaryReaderError) -> Self {
        Self::Malformed(error)
    }
}
