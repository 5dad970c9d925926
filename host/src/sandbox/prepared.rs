//! A station made ready: its component linked, its settings and folders looked up, so that a visit
//! only has to instantiate it.

use super::{
    bindings::{station::StationPre, station_async::StationAsyncPre},
    imports::{Counted, Shared},
    state::State,
};
use crate::{
    grant::Access,
    line::{Asset, Station},
    name::Name,
};
use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};
use tempfile::TempDir;
use wasmtime::component::{Component, Linker};
use wasmtime_wasi::{p2, p3};
use wasmtime_wasi_http::{p2::bindings::ProxyPre, p3::bindings::ServicePre};

/// How a component is a station.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Exports `andon:station/process` or `process-async`.
    Typed,
    /// Exports `wasi:cli/run`.
    Command,
    /// Exports `wasi:http/incoming-handler` or `wasi:http/handler`.
    Handler,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Typed => "typed",
            Self::Command => "command",
            Self::Handler => "handler",
        })
    }
}

/// Why a station cannot be made ready.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The component exports nothing that makes it a station.
    #[error(
        "the component of station `{station}` is no station: it exports {exports}\n  hint: a station exports `andon:station/process@0.1`, `wasi:cli/run` or `wasi:http/incoming-handler`"
    )]
    World {
        /// The station.
        station: Name,
        /// What it does export.
        exports: String,
    },
    /// The component imports what nobody knows, or knows otherwise.
    #[error("the component of station `{station}` does not fit this andon: {reason}")]
    Import {
        /// The station.
        station: Name,
        /// What the engine says.
        reason: String,
    },
    /// A folder or file that the station is to see is not there.
    #[error("station `{station}` cannot be given `{path}`: {reason}")]
    Folder {
        /// The station.
        station: Name,
        /// The folder on the host.
        path: String,
        /// What the system says.
        reason: String,
    },
}

/// A linked component, by how a visit enters it.
pub(crate) enum Entrance {
    Typed(StationPre<State>),
    TypedAsync(StationAsyncPre<State>),
    Command(p2::bindings::CommandPre<State>),
    CommandAsync(p3::bindings::CommandPre<State>),
    Handler(ProxyPre<State>),
    HandlerAsync(ServicePre<State>),
}

impl Entrance {
    /// The kind of station that it makes.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Typed(_) | Self::TypedAsync(_) => Kind::Typed,
            Self::Command(_) | Self::CommandAsync(_) => Kind::Command,
            Self::Handler(_) | Self::HandlerAsync(_) => Kind::Handler,
        }
    }
}

/// A folder that the guest sees.
pub(crate) struct Mounted {
    pub(crate) guest: String,
    pub(crate) host: PathBuf,
    pub(crate) access: Access,
    /// Whether it is a folder of the host's: there may be pipes and devices in it, and it may lie on a
    /// network.
    pub(crate) foreign: bool,
    pub(crate) quota: Option<u64>,
    pub(crate) max_files: Option<u64>,
    /// What is known of how much it holds, where that is bounded.
    pub(crate) counted: Option<Shared>,
}

impl Mounted {
    /// A folder of andon's own, to be read.
    fn own(guest: String, host: PathBuf) -> Self {
        Self {
            guest,
            host,
            access: Access::Read,
            foreign: false,
            quota: None,
            max_files: None,
            counted: None,
        }
    }
}

/// A station made ready.
pub(crate) struct Prepared {
    pub(crate) entrance: Entrance,
    pub(crate) station: Station,
    /// Sorted by key; values that are no strings are JSON.
    pub(crate) config: Vec<(String, String)>,
    pub(crate) mounts: Vec<Mounted>,
    /// Holds the assets that are single files.
    _assets: Option<TempDir>,
}

impl Prepared {
    pub(crate) fn new(
        linker: &Linker<State>,
        name: &Name,
        station: &Station,
        component: &Component,
        counted: &Counted,
    ) -> Result<Self, PrepareError> {
        let entrance = entrance(linker, name, component)?;
        let mut config: Vec<_> = (station.config.iter())
            .map(|(key, value)| {
                let value = match value {
                    serde_json::Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                (key.clone(), value)
            })
            .collect();
        config.sort();
        let mut mounts = Vec::new();
        for mount in &station.grants.fs {
            let host = folder(name, &mount.host)?;
            let bounded = mount.access == Access::Write
                && (mount.quota.is_some() || mount.max_files.is_some());
            let shared = bounded
                .then(|| File::open(&host).and_then(|open| counted.of(&open)))
                .transpose()
                .map_err(|error| PrepareError::Folder {
                    station: name.clone(),
                    path: host.display().to_string(),
                    reason: error.to_string(),
                })?;
            mounts.push(Mounted {
                guest: mount.guest.clone(),
                host,
                access: mount.access,
                foreign: true,
                quota: mount.quota,
                max_files: mount.max_files,
                counted: shared,
            });
        }
        let assets = assets(name, &station.assets, &mut mounts)?;
        Ok(Self {
            entrance,
            station: station.clone(),
            config,
            mounts,
            _assets: assets,
        })
    }
}

fn entrance(
    linker: &Linker<State>,
    name: &Name,
    component: &Component,
) -> Result<Entrance, PrepareError> {
    let ty = component.component_type();
    let exports: Vec<String> = ty
        .exports(linker.engine())
        .map(|(name, _)| name.to_string())
        .collect();
    let has = |prefix: &str| exports.iter().any(|export| export.starts_with(prefix));
    let misfit = |error: wasmtime::Error| PrepareError::Import {
        station: name.clone(),
        reason: bounded(&format!("{error:#}"), 1 << 10),
    };
    let pre = linker.instantiate_pre(component).map_err(misfit)?;
    // The typed interface first: a component may be a command as well, to be tried by hand.
    if has("andon:station/process@0.1.") {
        Ok(Entrance::Typed(StationPre::new(pre).map_err(misfit)?))
    } else if has("andon:station/process-async@0.1.") {
        Ok(Entrance::TypedAsync(
            StationAsyncPre::new(pre).map_err(misfit)?,
        ))
    } else if has("wasi:http/incoming-handler@0.2.") {
        Ok(Entrance::Handler(ProxyPre::new(pre).map_err(misfit)?))
    } else if has("wasi:http/handler@0.3.") {
        Ok(Entrance::HandlerAsync(
            ServicePre::new(pre).map_err(misfit)?,
        ))
    } else if has("wasi:cli/run@0.2.") {
        Ok(Entrance::Command(
            p2::bindings::CommandPre::new(pre).map_err(misfit)?,
        ))
    } else if has("wasi:cli/run@0.3.") {
        Ok(Entrance::CommandAsync(
            p3::bindings::CommandPre::new(pre).map_err(misfit)?,
        ))
    } else {
        let exports = match &exports[..] {
            [] => "nothing".into(),
            some => bounded(&format!("`{}`", some.join("`, `")), 400),
        };
        Err(PrepareError::World {
            station: name.clone(),
            exports,
        })
    }
}

fn folder(station: &Name, path: &Path) -> Result<PathBuf, PrepareError> {
    let refuse = |reason: String| PrepareError::Folder {
        station: station.clone(),
        path: path.display().to_string(),
        reason,
    };
    let metadata = fs::metadata(path).map_err(|error| refuse(error.to_string()))?;
    if !metadata.is_dir() {
        return Err(refuse("it is no folder".into()));
    }
    Ok(path.to_path_buf())
}

/// Mounts the assets. WASI knows no mount of a single file: such ones are gathered in a folder that
/// stands for the one that the guest sees them in.
fn assets(
    station: &Name,
    assets: &[Asset],
    mounts: &mut Vec<Mounted>,
) -> Result<Option<TempDir>, PrepareError> {
    let refuse = |path: &Path, reason: String| PrepareError::Folder {
        station: station.clone(),
        path: path.display().to_string(),
        reason,
    };
    let mut gathered: BTreeMap<&str, PathBuf> = BTreeMap::new();
    let mut holder = None;
    for asset in assets {
        let failed = |error: io::Error| refuse(&asset.host, error.to_string());
        if fs::metadata(&asset.host).map_err(failed)?.is_dir() {
            mounts.push(Mounted::own(asset.guest.clone(), asset.host.clone()));
            continue;
        }
        let (parent, file) = match asset.guest.trim_end_matches('/').rsplit_once('/') {
            Some((parent, file)) if !parent.is_empty() && !matches!(file, "" | "." | "..") => {
                (parent, file)
            }
            _ => {
                return Err(refuse(
                    &asset.host,
                    format!(
                        "`{}` is no place for a file: name one such as `/rules/{}`",
                        crate::escape::shown(&asset.guest),
                        asset.host.file_name().unwrap_or_default().display()
                    ),
                ));
            }
        };
        let holder: &TempDir = match &mut holder {
            Some(holder) => holder,
            none => none.insert(tempfile::tempdir().map_err(failed)?),
        };
        let number = gathered.len().to_string();
        let folder = gathered
            .entry(parent)
            .or_insert_with(|| holder.path().join(number));
        fs::create_dir_all(&*folder).map_err(failed)?;
        fs::copy(&asset.host, folder.join(file)).map_err(failed)?;
    }
    mounts.extend((gathered.into_iter()).map(|(guest, host)| Mounted::own(guest.into(), host)));
    Ok(holder)
}

/// The text, cut at `most` bytes.
pub(crate) fn bounded(text: &str, most: usize) -> String {
    if text.len() <= most {
        text.into()
    } else {
        format!("{}…", &text[..text.floor_char_boundary(most)])
    }
}
