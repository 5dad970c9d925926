//! The station's settings: what the line's `config` says.
//!
//! The host hands them over as strings, and what was no string in the line file as JSON. Here they
//! become any type that serde can make: numbers, booleans, unit enums from their names, lists and
//! tables from JSON.
//!
//! ```
//! # use andon_station::{prelude::*, testing};
//! # fn main() -> Result<()> {
//! # let _host = testing::Host::start().config("entropy", "4.5").config("paths", r#"["a","b"]"#);
//! let entropy: f64 = config::get("entropy")?.unwrap_or(4.0);
//! let paths: Vec<String> = config::require("paths")?;
//! # Ok(()) }
//! ```
//!
//! or all at once, with defaults and with unknown keys refused if the type says so:
//!
//! ```
//! # use andon_station::prelude::*;
//! #[derive(serde::Deserialize)]
//! #[serde(default, deny_unknown_fields)]
//! struct Config { entropy: f64, redact: bool }
//!
//! impl Default for Config {
//!     fn default() -> Self { Self { entropy: 4.5, redact: true } }
//! }
//!
//! # fn main() -> Result<()> {
//! let config: Config = config::load()?;
//! # Ok(()) }
//! ```

use serde::de::value::MapDeserializer;
use serde::de::{DeserializeOwned, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use crate::{Result, Stop, host};

type Error = serde::de::value::Error;

/// The value of `key`, or none; rejects the item if it is no `T`.
pub fn get<T: DeserializeOwned>(key: &str) -> Result<Option<T>> {
    let value = host::config(key).map_err(|why| Stop::retry(format!("config `{key}`: {why}")))?;
    value
        .map(|raw| {
            T::deserialize(Raw(raw))
                .map_err(|error| Stop::reject(format!("config `{key}`: {error}")))
        })
        .transpose()
}

/// The value of `key`; rejects the item if there is none or it is no `T`.
pub fn require<T: DeserializeOwned>(key: &str) -> Result<T> {
    get(key)?.ok_or_else(|| {
        Stop::reject(format!(
            "config `{key}` is missing; hint: set it in `config` of this station"
        ))
    })
}

/// All settings as one `T`, mostly a struct with `#[serde(default, deny_unknown_fields)]`.
pub fn load<T: DeserializeOwned>() -> Result<T> {
    let all = host::config_all().map_err(|why| Stop::retry(format!("config: {why}")))?;
    let map =
        MapDeserializer::<_, Error>::new(all.into_iter().map(|(key, value)| (key, Raw(value))));
    T::deserialize(map).map_err(|error| Stop::reject(format!("config: {error}")))
}

/// One value as the host gives it; what it means depends on the type that is wanted.
struct Raw(String);

impl Raw {
    fn json<'de, V: Visitor<'de>>(self, visitor: V) -> std::result::Result<V::Value, Error> {
        let value: serde_json::Value = serde_json::from_str(&self.0).map_err(|_| {
            serde::de::Error::custom(format!(
                "`{}` is not the JSON that was expected",
                short(&self.0)
            ))
        })?;
        serde::Deserializer::deserialize_any(value, visitor).map_err(serde::de::Error::custom)
    }
}

impl IntoDeserializer<'_, Error> for Raw {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! parsed {
    ($($method:ident $visit:ident $type:ty, $what:literal;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> std::result::Result<V::Value, Error> {
            match self.0.trim().parse::<$type>() {
                Ok(value) => visitor.$visit(value),
                Err(_) => Err(serde::de::Error::custom(format!(concat!("`{}` is not ", $what), short(&self.0)))),
            }
        }
    )*};
}

impl<'de> serde::Deserializer<'de> for Raw {
    type Error = Error;

    parsed! {
        deserialize_bool visit_bool bool, "`true` or `false`";
        deserialize_u8 visit_u64 u64, "a whole number from 0";
        deserialize_u16 visit_u64 u64, "a whole number from 0";
        deserialize_u32 visit_u64 u64, "a whole number from 0";
        deserialize_u64 visit_u64 u64, "a whole number from 0";
        deserialize_i8 visit_i64 i64, "a whole number";
        deserialize_i16 visit_i64 i64, "a whole number";
        deserialize_i32 visit_i64 i64, "a whole number";
        deserialize_i64 visit_i64 i64, "a whole number";
        deserialize_f32 visit_f64 f64, "a number";
        deserialize_f64 visit_f64 f64, "a number";
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> std::result::Result<V::Value, Error> {
        match serde_json::from_str::<serde_json::Value>(&self.0) {
            Ok(value) => serde::Deserializer::deserialize_any(value, visitor)
                .map_err(serde::de::Error::custom),
            Err(_) => visitor.visit_string(self.0),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> std::result::Result<V::Value, Error> {
        visitor.visit_string(self.0)
    }

    fn deserialize_string<V: Visitor<'de>>(
        self,
        visitor: V,
    ) -> std::result::Result<V::Value, Error> {
        visitor.visit_string(self.0)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> std::result::Result<V::Value, Error> {
        visitor.visit_string(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(
        self,
        visitor: V,
    ) -> std::result::Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> std::result::Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> std::result::Result<V::Value, Error> {
        if self.0.trim_start().starts_with('{') {
            let value: serde_json::Value =
                serde_json::from_str(&self.0).map_err(serde::de::Error::custom)?;
            return value
                .deserialize_enum(name, variants, visitor)
                .map_err(serde::de::Error::custom);
        }
        visitor.visit_enum(IntoDeserializer::<Error>::into_deserializer(self.0))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> std::result::Result<V::Value, Error> {
        self.json(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> std::result::Result<V::Value, Error> {
        self.json(visitor)
    }

    forward_to_deserialize_any! { bytes byte_buf unit identifier ignored_any }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> std::result::Result<V::Value, Error> {
        self.json(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _: usize,
        visitor: V,
    ) -> std::result::Result<V::Value, Error> {
        self.json(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> std::result::Result<V::Value, Error> {
        self.json(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> std::result::Result<V::Value, Error> {
        self.json(visitor)
    }
}

/// Enough of a value to recognise it in a message.
fn short(value: &str) -> String {
    let mut short: String = value.chars().take(40).collect();
    if short.len() < value.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Host;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Mode {
        Strict,
        Lax,
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Config {
        mode: Mode,
        #[serde(default)]
        limit: Option<u8>,
        paths: Vec<String>,
        name: String,
    }

    #[test]
    fn values_become_what_is_wanted() {
        let _host = Host::start()
            .config("number", "4.5")
            .config("digits", "007")
            .config("yes", "true")
            .config("list", "[1, 2]")
            .config("mode", "lax");
        assert_eq!(get::<f64>("number"), Ok(Some(4.5)));
        assert_eq!(
            get::<String>("number"),
            Ok(Some("4.5".into())),
            "a string stays a string"
        );
        assert_eq!(get::<String>("digits"), Ok(Some("007".into())));
        assert_eq!(get::<bool>("yes"), Ok(Some(true)));
        assert_eq!(get::<Vec<u8>>("list"), Ok(Some(vec![1, 2])));
        assert_eq!(get::<Mode>("mode"), Ok(Some(Mode::Lax)));
        assert_eq!(get::<u8>("missing"), Ok(None));
    }

    #[test]
    fn what_is_wrong_names_the_key() {
        let _host = Host::start()
            .config("n", "many")
            .config("m", "300")
            .config("list", "{");
        let reason = |stop: Stop| stop.to_string();
        assert_eq!(
            reason(get::<u64>("n").unwrap_err()),
            "reject: config `n`: `many` is not a whole number from 0"
        );
        assert!(reason(get::<u8>("m").unwrap_err()).starts_with("reject: config `m`: "));
        assert!(reason(get::<Vec<u8>>("list").unwrap_err()).starts_with("reject: config `list`: "));
        assert!(
            reason(require::<u8>("x").unwrap_err()).starts_with("reject: config `x` is missing")
        );
    }

    #[test]
    fn all_at_once() {
        let _host = Host::start()
            .config("mode", "strict")
            .config("paths", r#"["a"]"#)
            .config("name", "12");
        let wanted = Config {
            mode: Mode::Strict,
            limit: None,
            paths: vec!["a".into()],
            name: "12".into(),
        };
        assert_eq!(load::<Config>(), Ok(wanted));
        let _host = Host::start().config("mod", "strict");
        assert!(
            load::<Config>()
                .unwrap_err()
                .to_string()
                .contains("unknown field `mod`")
        );
    }
}
