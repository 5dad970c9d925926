//! What a line gives a station: the grants, and the pure decisions over them.
//!
//! Grants for the network and for secrets have no type here yet: the line file refuses them.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Whether a mount may be changed by the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Reading only.
    Read,
    /// Reading and writing.
    Write,
}

/// A folder of the host's that the guest sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// The folder on the host; relative to the line file until the line is resolved.
    pub host: PathBuf,
    /// Where the guest sees it: an absolute path with no `.` or `..`, neither `/`, `/workspace` nor `/item`,
    /// nor below or above another mount of the station.
    pub guest: String,
    /// Reading or writing.
    pub access: Access,
}

/// All that a station is given beside its item.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grants {
    /// Mounted folders.
    pub fs: Vec<Mount>,
}
