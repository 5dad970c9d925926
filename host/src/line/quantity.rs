//! Lengths of time as people write them.

use std::time::Duration;

/// Writes a length of time: `2h 30m`.
pub(crate) fn written(time: Duration) -> String {
    humantime::format_duration(time).to_string()
}

/// Reads a length of time: `30s`, `2h 30m`.
pub(crate) fn time(text: &str) -> Option<Duration> {
    humantime::parse_duration(text.trim()).ok()
}

/// Reads two lengths of time, the first no longer than the second: `200ms..60s`.
pub(crate) fn backoff(text: &str) -> Option<(Duration, Duration)> {
    let (first, longest) = text.split_once("..")?;
    Some((time(first)?, time(longest)?))
}
