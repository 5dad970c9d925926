//! How far a visit has come; also its heartbeat.

use crate::host;

/// Reports `done` of `total` steps with a short note. A `total` of 0 means that it is unknown. Only
/// the latest report is kept.
pub fn report(done: u64, total: u64, note: &str) {
    host::progress(done, total, note);
}
