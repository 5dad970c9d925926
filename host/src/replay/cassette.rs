//! Cassettes: recorded visits as files beside a station's source, to be played against what is built of
//! it. `NAME/cassette.json` says what happened; `NAME/blobs/` has each body under its digest.
//!
//! No secret is in one: none ever comes to where visits are recorded from.

use super::{Case, ReplayError, Told, case};
use crate::{
    content::Content,
    digest::Digest,
    effect::{Answered, Effect, End, Ended, Failure, Intent, Rest},
    item::{Body, Item, ItemId, Payload, Record},
    line::{Line, Rule, Station, Target},
    name::Name,
    visit::Millis,
    workspace::Snapshots,
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

/// The format that is written, and the newest that is read.
const VERSION: u32 = 1;

/// The folder of a station in which its cassettes are.
pub const FOLDER: &str = "cassettes";
const FILE: &str = "cassette.json";
const BLOBS: &str = "blobs";

/// A recorded visit with the station's settings, as a file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Cassette {
    version: u32,
    item: ItemId,
    seed: Digest,
    /// The station's line, with nothing else in it.
    line: Line,
    /// What came of the visit.
    pub told: Told,
    /// What happened to the item until the visit's last run.
    records: Vec<Record>,
    ended: Record,
    effects: Vec<Recorded>,
}

/// An effect.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Recorded {
    run: u32,
    number: u32,
    at: Millis,
    intent: Intent,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    end: Option<RecordedEnd>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RecordedEnd {
    at: Millis,
    ended: Ended,
    bytes_out: u64,
    bytes_in: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answer: Option<RecordedAnswer>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RecordedAnswer {
    at: Millis,
    status: u16,
    headers: Vec<(String, String)>,
    body: Body,
    read: u64,
    rest: Rest,
}

/// Why there is no cassette.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum CassetteError {
    #[error("`{path}` cannot be {doing}: {reason}", path = .path.display())]
    File {
        path: PathBuf,
        doing: &'static str,
        reason: io::Error,
    },
    #[error("`{path}` is no cassette: {reason}\n  hint: record it again with `andon test --record`", path = .path.display())]
    Wrong { path: PathBuf, reason: String },
    #[error(
        "a visit to `{0}` cannot be recorded: the line gives it assets or folders of the host's, which another machine does not have\n  hint: `andon replay` runs it here"
    )]
    Folders(Name),
    #[error("`{path}` gives `{station}` assets or folders of the host's, which no cassette may\n  hint: look who wrote it; record it again with `andon test --record`", path = .path.display())]
    Grants { path: PathBuf, station: Name },
    #[error(transparent)]
    Replay(#[from] ReplayError),
}

impl CassetteError {
    fn file(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |reason| Self::File {
            path: path.into(),
            doing,
            reason,
        }
    }
}

impl Cassette {
    /// Writes a case below `folder`, in a folder of this name: all or, where it fails, nothing that would
    /// be taken for a cassette.
    ///
    /// # Errors
    /// When the station sees folders that no cassette has, or the files cannot be written.
    pub fn write(
        case: &Case,
        line: &Line,
        from: &Snapshots,
        folder: &Path,
    ) -> Result<(), CassetteError> {
        let line = alone(line, &case.visit.station)?;
        let blobs = folder.join(BLOBS);
        fs::create_dir_all(&blobs).map_err(CassetteError::file(&blobs, "made"))?;
        let keep = |bytes: &[u8]| -> Result<Digest, CassetteError> {
            let digest = Digest::of(bytes);
            let path = blobs.join(digest.to_string());
            fs::write(&path, bytes).map_err(CassetteError::file(&path, "written"))?;
            Ok(digest)
        };
        for digest in case.blobs(from)? {
            let bytes = from.blob(&digest).map_err(ReplayError::from)?;
            keep(&bytes)?;
        }
        let mut records = case.records.clone();
        let mut ended = case.ended.clone();
        for record in records.iter_mut().chain([&mut ended]) {
            for payload in payloads(record) {
                put_aside(&mut payload.body, keep)?;
            }
        }
        let mut effects = Vec::new();
        for effect in &case.effects {
            let mut end = effect.end.clone();
            if let Some(answer) = end.as_mut().and_then(|end| end.answer.as_mut()) {
                put_aside(&mut answer.body, keep)?;
            }
            effects.push(Recorded::of(effect, end));
        }
        let cassette = Self {
            version: VERSION,
            item: case.item.id.clone(),
            seed: Digest::from_bytes(case.visit.seed),
            line,
            told: case.told(),
            records,
            ended,
            effects,
        };
        cassette.save(folder)
    }

    /// Writes the file again.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, folder: &Path) -> Result<(), CassetteError> {
        let path = folder.join(FILE);
        let written = || {
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            serde_json::to_writer_pretty(&mut file, self)?;
            file.persist(&path).map_err(|error| error.error)?;
            Ok(())
        };
        written().map_err(CassetteError::file(&path, "written"))
    }

    /// The cassettes of a station's folder, by name.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn all(station: &Path) -> Result<Vec<PathBuf>, CassetteError> {
        let folder = station.join(FOLDER);
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(CassetteError::file(&folder, "read"))?,
        };
        let mut all: Vec<_> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.join(FILE).is_file())
            .collect();
        all.sort();
        Ok(all)
    }

    /// Reads the cassette in `folder`.
    ///
    /// # Errors
    /// When it cannot be read, or is none.
    pub fn read(folder: &Path) -> Result<Self, CassetteError> {
        let path = folder.join(FILE);
        let text = fs::read(&path).map_err(CassetteError::file(&path, "read"))?;
        let wrong = |reason: String| CassetteError::Wrong {
            path: path.clone(),
            reason,
        };
        let about: serde_json::Value =
            serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
        match about["version"].as_u64() {
            Some(found) if found > u64::from(VERSION) => Err(wrong(format!(
                "it is of the version {found}, and this andon reads up to {VERSION}"
            ))),
            _ => serde_json::from_value(about).map_err(|error| wrong(error.to_string())),
        }
    }

    /// The line that it was recorded on, with nothing but its station; and the case, everything that it
    /// names brought into `to`.
    ///
    /// # Errors
    /// When a body is missing or is another, or the records make no sense.
    pub fn case(&self, folder: &Path, to: &Content) -> Result<(Line, Case), CassetteError> {
        let path = folder.join(FILE);
        let wrong = |reason: String| CassetteError::Wrong {
            path: path.clone(),
            reason,
        };
        let blobs = folder.join(BLOBS);
        let entries = fs::read_dir(&blobs).map_err(CassetteError::file(&blobs, "read"))?;
        let mut short = BTreeMap::new();
        for entry in entries.flatten() {
            let path = entry.path();
            let bytes = fs::read(&path).map_err(CassetteError::file(&path, "read"))?;
            let digest = to.put(&bytes).map_err(ReplayError::from)?;
            if entry.file_name().to_str() != Some(&digest.to_string()) {
                return Err(wrong(format!("`{}` has other bytes", path.display())));
            }
            if bytes.len() <= Body::INLINE {
                short.insert(digest, Bytes::from(bytes));
            }
        }
        // As it was: what is short stood in the records.
        let restore = |body: &mut Body| {
            if let Body::Stored { digest, .. } = body
                && let Some(bytes) = short.get(digest)
            {
                *body = Body::Inline(bytes.clone());
            }
        };
        let (mut records, mut ended) = (self.records.clone(), self.ended.clone());
        for record in records.iter_mut().chain([&mut ended]) {
            for payload in payloads(record) {
                restore(&mut payload.body);
            }
        }
        let item = Item::fold(self.item.clone(), &records).map_err(|e| wrong(e.to_string()))?;
        let item = item.ok_or_else(|| wrong("it has no records".into()))?;
        let mut visit = case::visit(&item, *self.seed.as_bytes())
            .ok_or_else(|| wrong("it ends at no visit".into()))?;
        visit.revision = 1;
        let station = self.line.stations.get(&visit.station);
        let station =
            station.ok_or_else(|| wrong(format!("its line has no `{}`", visit.station)))?;
        // Whoever wrote the file may not be who lets it be played: it grants itself nothing here.
        if has_folders(station) {
            return Err(CassetteError::Grants {
                path: folder.join(FILE),
                station: visit.station,
            });
        }
        let effects = self.effects.iter().map(|effect| effect.effect(restore));
        let case = Case {
            effects: effects.collect(),
            item,
            visit,
            records,
            ended,
        };
        Ok((self.line.clone(), case))
    }
}

/// Whether a station sees something of the host's files.
fn has_folders(station: &Station) -> bool {
    !station.assets.is_empty() || !station.grants.fs.is_empty()
}

/// The line with just one station, whose ports all lead to `done`.
fn alone(line: &Line, name: &Name) -> Result<Line, CassetteError> {
    let no_station = || ReplayError::NoStation {
        line: line.name.clone(),
        station: name.clone(),
    };
    let mut station = line.stations.get(name).ok_or_else(no_station)?.clone();
    if has_folders(&station) {
        return Err(CassetteError::Folders(name.clone()));
    }
    for rules in station.next.values_mut() {
        *rules = vec![Rule {
            when: BTreeMap::new(),
            to: Target::Done,
        }];
    }
    station.join = None;
    station.r#use = PathBuf::from("..");
    Ok(Line {
        entry: name.clone(),
        stations: [(name.clone(), station)].into(),
        ..line.clone()
    })
}

/// The payloads that a record holds.
fn payloads(record: &mut Record) -> Vec<&mut Payload> {
    match record {
        Record::Taken { payload, .. } | Record::Moved { payload, .. } => vec![payload],
        Record::Split { children, .. } => children
            .iter_mut()
            .map(|child| &mut child.payload)
            .collect(),
        _ => Vec::new(),
    }
}

fn put_aside(
    body: &mut Body,
    keep: impl Fn(&[u8]) -> Result<Digest, CassetteError>,
) -> Result<(), CassetteError> {
    if let Body::Inline(bytes) = body {
        let (digest, len) = (keep(bytes)?, bytes.len() as u64);
        *body = Body::Stored { digest, len };
    }
    Ok(())
}

impl Recorded {
    fn of(effect: &Effect, end: Option<End>) -> Self {
        let answer = |answer: Answered| {
            let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
            let headers = answer.headers.iter();
            RecordedAnswer {
                at: answer.at,
                status: answer.status,
                headers: headers
                    .map(|(name, value)| (name.clone(), text(value)))
                    .collect(),
                body: answer.body,
                read: answer.read,
                rest: answer.rest,
            }
        };
        Self {
            run: effect.run,
            number: effect.number,
            at: effect.at,
            intent: effect.intent.clone(),
            end: end.map(|end| RecordedEnd {
                at: end.at,
                ended: end.ended,
                bytes_out: end.bytes_out,
                bytes_in: end.bytes_in,
                failure: end.failure,
                answer: end.answer.map(answer),
            }),
        }
    }

    fn effect(&self, restore: impl Fn(&mut Body)) -> Effect {
        let answer = |answer: &RecordedAnswer| {
            let mut body = answer.body.clone();
            restore(&mut body);
            let headers = answer.headers.iter();
            let bytes = |text: &String| serde_bytes::ByteBuf::from(text.as_bytes());
            Answered {
                at: answer.at,
                status: answer.status,
                headers: headers
                    .map(|(name, value)| (name.clone(), bytes(value)))
                    .collect(),
                body,
                read: answer.read,
                rest: answer.rest,
            }
        };
        Effect {
            run: self.run,
            number: self.number,
            at: self.at,
            intent: self.intent.clone(),
            end: self.end.as_ref().map(|end| End {
                at: end.at,
                ended: end.ended,
                bytes_out: end.bytes_out,
                bytes_in: end.bytes_in,
                failure: end.failure,
                answer: end.answer.as_ref().map(answer),
            }),
        }
    }
}
