//! One row of a table of settings: its name, its allowed values, its meaning.
//!
//! The row is used to parse the command line and the file, to check a topic's configs, and to answer DescribeConfigs.

mod allowed;
mod error;
mod kind;
mod origin;
mod parsed;

use std::borrow::Cow;

pub use allowed::{Allowed, list};
pub use error::ConfigError;
pub use kind::Kind;
pub use origin::{Origin, Source, Synonym};
use parsed::parsed;

/// Whether this version acts on the setting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Support {
    Acts,
    /// Known, checked, kept and described, because tools look it up; nothing reads it yet.
    Listed,
}

/// Whether a setting can change while the server runs, as Kafka has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Update {
    ReadOnly,
    Dynamic,
}

/// Whether DescribeConfigs shows a setting that nobody set, as Kafka has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Visibility {
    Public,
    /// The setting is shown only where somebody has set it.
    Internal,
}

/// A setting: one row of a table. Rows are built by the `const` functions below, so that a table can be read as one.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Setting {
    pub name: &'static str,
    pub kind: Kind,
    /// The default; `None` = Kafka's null: not set.
    pub default: Option<&'static str>,
    pub allowed: Allowed,
    pub update: Update,
    pub support: Support,
    pub visibility: Visibility,
    pub doc: &'static str,
}

/// One setting as DescribeConfigs shows it.
#[derive(Clone, Debug)]
pub struct Described {
    pub name: Cow<'static, str>,
    /// [`UNKNOWN`] for a name that no table has.
    pub setting: &'static Setting,
    /// The value in force; `None` when unset, and always when sensitive.
    pub value: Option<String>,
    pub origin: Origin,
    /// All places that give a value, the one in force first.
    pub synonyms: Vec<Synonym>,
}

/// The row for names that no table has. As in Kafka, a broker keeps the value of such a name, because a plugin might read
/// it, and never shows the value.
pub static UNKNOWN: Setting =
    Setting::new("", Kind::Unknown, None, "A name that this server does not know; nothing reads the value.")
        .acts();

impl Setting {
    const fn new(
        name: &'static str,
        kind: Kind,
        default: Option<&'static str>,
        doc: &'static str,
    ) -> Setting {
        Setting {
            name,
            kind,
            default,
            allowed: Allowed::Any,
            update: Update::ReadOnly,
            support: Support::Listed,
            visibility: Visibility::Public,
            doc,
        }
    }

    /// A 32-bit number, at least `min`.
    pub const fn int(name: &'static str, default: &'static str, min: i64, doc: &'static str) -> Setting {
        Setting::new(name, Kind::Int, Some(default), doc).within(min, i32::MAX as i64)
    }

    /// A 64-bit number, at least `min`.
    pub const fn long(name: &'static str, default: &'static str, min: i64, doc: &'static str) -> Setting {
        Setting::new(name, Kind::Long, Some(default), doc).within(min, i64::MAX)
    }

    /// A 16-bit number, at least `min`.
    pub const fn short(name: &'static str, default: &'static str, min: i64, doc: &'static str) -> Setting {
        Setting::new(name, Kind::Short, Some(default), doc).within(min, i16::MAX as i64)
    }

    /// A real number from `min` to `max`.
    pub const fn double(
        name: &'static str,
        default: &'static str,
        (min, max): (f64, f64),
        doc: &'static str,
    ) -> Setting {
        let mut setting = Setting::new(name, Kind::Double, Some(default), doc);
        setting.allowed = Allowed::Real { min, max };
        setting
    }

    pub const fn boolean(name: &'static str, default: &'static str, doc: &'static str) -> Setting {
        Setting::new(name, Kind::Boolean, Some(default), doc)
    }

    pub const fn string(name: &'static str, default: &'static str, doc: &'static str) -> Setting {
        Setting::new(name, Kind::String, Some(default), doc)
    }

    pub const fn list(name: &'static str, default: &'static str, doc: &'static str) -> Setting {
        Setting::new(name, Kind::List, Some(default), doc)
    }

    /// A setting of any kind without a default.
    pub const fn unset(name: &'static str, kind: Kind, doc: &'static str) -> Setting {
        Setting::new(name, kind, None, doc)
    }

    /// The name of a class that Kafka would load.
    pub const fn class(name: &'static str, default: &'static str, doc: &'static str) -> Setting {
        Setting::new(name, Kind::Class, Some(default), doc)
    }

    pub const fn within(mut self, min: i64, max: i64) -> Setting {
        self.allowed = Allowed::Range { min, max };
        self
    }

    pub const fn one_of(mut self, values: &'static [&'static str]) -> Setting {
        self.allowed = Allowed::OneOf(values);
        self
    }

    pub const fn each_of(mut self, values: &'static [&'static str]) -> Setting {
        self.allowed = Allowed::EachOf(values);
        self
    }

    pub const fn offset_reset(mut self) -> Setting {
        self.allowed = Allowed::OffsetReset;
        self
    }

    pub const fn throttled_replicas(mut self) -> Setting {
        self.allowed = Allowed::ThrottledReplicas;
        self
    }

    pub const fn dynamic(mut self) -> Setting {
        self.update = Update::Dynamic;
        self
    }

    pub const fn internal(mut self) -> Setting {
        self.visibility = Visibility::Internal;
        self
    }

    pub const fn acts(mut self) -> Setting {
        self.support = Support::Acts;
        self
    }

    /// Whether DescribeConfigs shows the setting when its value comes from `origin`.
    #[must_use]
    pub fn is_shown(&self, origin: Origin) -> bool {
        self.visibility == Visibility::Public || origin != Origin::Default
    }

    /// A written value in the form in which it is shown.
    #[must_use]
    pub fn shown(&self, written: &str) -> String {
        parsed(self.kind, written)
    }

    /// Whether the value must never be shown.
    #[must_use]
    pub fn is_sensitive(&self) -> bool {
        matches!(self.kind, Kind::Password | Kind::Unknown)
    }

    /// What the setting means, and whether this version acts on it.
    #[must_use]
    pub fn documentation(&self) -> String {
        match self.support {
            Support::Acts => self.doc.to_owned(),
            Support::Listed => format!("{} (This version of Ringmain does not act on it yet.)", self.doc),
        }
    }

    /// Checks a written value.
    ///
    /// # Errors
    /// When the value is not of this kind or not allowed; the error names both and what is allowed.
    pub fn check(&self, value: &str) -> Result<(), ConfigError> {
        if self.takes(value.trim()) { Ok(()) } else { Err(self.invalid(value)) }
    }

    /// The error for a value of this setting.
    #[must_use]
    pub fn invalid(&self, value: &str) -> ConfigError {
        let value = if self.is_sensitive() { "[hidden]" } else { value };
        ConfigError::Invalid { key: self.name.to_owned(), value: value.to_owned(), expected: self.expected() }
    }

    fn takes(&self, value: &str) -> bool {
        let kind_takes = match self.kind {
            Kind::Boolean => value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false"),
            Kind::Int => value.parse::<i32>().is_ok(),
            Kind::Short => value.parse::<i16>().is_ok(),
            Kind::Long => value.parse::<i64>().is_ok(),
            Kind::Double => value.parse::<f64>().is_ok_and(f64::is_finite),
            Kind::String | Kind::List | Kind::Class | Kind::Password | Kind::Unknown => true,
        };
        kind_takes && self.allowed.allows(value)
    }

    /// The allowed values in words.
    #[must_use]
    pub fn expected(&self) -> String {
        match (self.kind, self.allowed) {
            (_, Allowed::Range { min, max }) => {
                let unit = self.unit();
                match max {
                    i64::MAX => format!("a whole number{unit}, {min} or more"),
                    _ => format!("a whole number{unit} from {min} to {max}"),
                }
            }
            (_, Allowed::Real { min, max }) => format!("a number from {min} to {max}"),
            (_, Allowed::OneOf(values)) => format!("one of {}", values.join(", ")),
            (_, Allowed::EachOf(values)) => format!("a list, each once, of {}", values.join(", ")),
            (_, Allowed::OffsetReset) => "latest, earliest or by_duration:PnDTnHnMn.nS".to_owned(),
            (_, Allowed::ThrottledReplicas) => {
                "* or a list of [partitionId]:[brokerId],[partitionId]:[brokerId],...".to_owned()
            }
            (Kind::Boolean, Allowed::Any) => "true or false".to_owned(),
            (Kind::Int | Kind::Short | Kind::Long, Allowed::Any) => "a whole number".to_owned(),
            (Kind::Double, Allowed::Any) => "a number".to_owned(),
            (Kind::List, Allowed::Any) => "a comma-separated list".to_owned(),
            (Kind::String | Kind::Class | Kind::Password | Kind::Unknown, Allowed::Any) => "text".to_owned(),
        }
    }

    /// The unit, which the names of Kafka's settings end in.
    fn unit(&self) -> &'static str {
        match self.name.rsplit('.').next() {
            Some("bytes") => " of bytes",
            Some("ms") => " of milliseconds",
            Some("seconds") => " of seconds",
            Some("minutes") => " of minutes",
            Some("hours") => " of hours",
            _ => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(setting: &Setting, good: &[&str], bad: &[&str]) {
        for value in good {
            assert_eq!(setting.check(value), Ok(()), "{} = {value}", setting.name);
        }
        for value in bad {
            assert!(setting.check(value).is_err(), "{} = {value}", setting.name);
        }
    }

    #[test]
    fn values_are_held_to_their_kind_and_range() {
        check(
            &Setting::int("a.ms", "1", 0, ""),
            &["0", "2147483647", " 7 "],
            &["-1", "2147483648", "", "x", "1.5"],
        );
        check(&Setting::short("a", "1", 1, ""), &["1", "32767"], &["0", "32768"]);
        check(
            &Setting::long("a", "1", -1, ""),
            &["-1", "9223372036854775807"],
            &["-2", "9223372036854775808"],
        );
        check(&Setting::boolean("a", "true", ""), &["true", "FALSE"], &["yes", "1", ""]);
        check(
            &Setting::double("a", "0.5", (0.0, 1.0), ""),
            &["0", "0.25", "1"],
            &["1.1", "NaN", "inf", "-0.1"],
        );
        let policy = Setting::list("p", "delete", "").each_of(&["compact", "delete"]);
        check(&policy, &["delete", "compact, delete", ""], &["remove", "delete,delete"]);
        let throttled = Setting::list("r", "", "").throttled_replicas();
        check(&throttled, &["", "*", "0:1", "0:1, 12:1002"], &["x", "*,0:1", "0", "0:", "-1:2"]);
        let reset = Setting::string("o", "latest", "").offset_reset();
        check(
            &reset,
            &["latest", "earliest", "by_duration:PT1H", "by_duration:P2DT3H4M5.5S", "by_duration:p1d"],
            &[
                "",
                "never",
                "by_duration:",
                "by_duration:P",
                "by_duration:PT",
                "by_duration:P1H",
                "by_duration:-PT1H",
            ],
        );
    }

    #[test]
    fn refusals_say_what_would_be_right() {
        let setting = Setting::int("segment.bytes", "1", 14, "");
        assert_eq!(
            setting.check("3").expect_err("too small").to_string(),
            "Invalid value 3 for configuration segment.bytes: must be a whole number of bytes from 14 to 2147483647"
        );
        let secret = Setting::unset("ssl.key.password", Kind::Password, "");
        assert!(!secret.invalid("geheim").to_string().contains("geheim"));
    }
}
