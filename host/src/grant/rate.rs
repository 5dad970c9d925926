//! How fast a station may use the network: token buckets, all visits of the station together.

use crate::limits::{parse_size, write_size};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// So much in each such time. That much may also come at once; then what is more waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    /// How much; at least 1.
    pub amount: u64,
    /// In which time: a second, a minute or an hour.
    pub per: Duration,
}

/// The text is no pace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a number or a size, with `/s`, `/m` or `/h`, is meant, such as `50/s` or `16MiB/s`")]
pub struct BadPace;

impl Pace {
    /// So much a second.
    pub const fn a_second(amount: u64) -> Self {
        Self {
            amount,
            per: Duration::from_secs(1),
        }
    }

    /// Reads `50/s`, or of bytes `16MiB/m`.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str, bytes: bool) -> Result<Self, BadPace> {
        let (amount, unit) = text.split_once('/').ok_or(BadPace)?;
        if !bytes && !amount.trim().bytes().all(|b| b.is_ascii_digit()) {
            return Err(BadPace);
        }
        let seconds = match unit.trim() {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            _ => return Err(BadPace),
        };
        match parse_size(amount) {
            Ok(amount) if amount > 0 => Ok(Self {
                amount,
                per: Duration::from_secs(seconds),
            }),
            _ => Err(BadPace),
        }
    }

    /// As it is written, of a number or of bytes.
    pub fn written(&self, bytes: bool) -> String {
        let unit = match self.per.as_secs() {
            60 => "m",
            3600 => "h",
            _ => "s",
        };
        if bytes {
            format!("{}/{unit}", write_size(self.amount))
        } else {
            format!("{}/{unit}", self.amount)
        }
    }
}

/// How fast a station may use the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rates {
    /// Requests over HTTP. Default `50/s`.
    pub requests: Pace,
    /// Connections over TCP and look-ups of names. Default `20/s`.
    pub connections: Pace,
    /// Bytes, in and out together. Default `16MiB/s`.
    pub bytes: Pace,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            requests: Pace::a_second(50),
            connections: Pace::a_second(20),
            bytes: Pace::a_second(16 << 20),
        }
    }
}
