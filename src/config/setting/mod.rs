//! One row of a table of settings: what it is called, what it may be, what it means.
//!
//! The same row parses the command line and the file, checks a topic's configs, and answers DescribeConfigs.

use std::borrow::Cow;
use std::fmt;

use super::parsed::parsed;

/// Kafka's types of configuration values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Boolean,
    String,
    Int,
    Short,
    Long,
    Double,
    List,
    Class,
    Password,
    /// Of a name that no table has.
    Unknown,
}

impl Kind {
    /// The type's number in DescribeConfigs.
    #[must_use]
    pub fn code(self) -> i8 {
        match self {
            Kind::Unknown => 0,
            Kind::Boolean => 1,
            Kind::String => 2,
            Kind::Int => 3,
            Kind::Short => 4,
            Kind::Long => 5,
            Kind::Double => 6,
            Kind::List => 7,
            Kind::Class => 8,
            Kind::Password => 9,
        }
    }
}

/// The values a setting takes, within its kind.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Allowed {
    /// Whatever its kind can hold.
    Any,
    /// Whole numbers, both ends included.
    Range {
        min: i64,
        max: i64,
    },
    /// Real numbers, both ends included.
    Real {
        min: f64,
        max: f64,
    },
    OneOf(&'static [&'static str]),
    /// A list, each element one of these, none twice.
    EachOf(&'static [&'static str]),
    /// Where reading begins without a position: `earliest`, `latest`, or `by_duration:` and a duration of ISO 8601.
    OffsetReset,
    /// `*`, or a list of PARTITION:BROKER.
    ThrottledReplicas,
}

/// Whether this version does what the setting says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
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
    /// Only shown where somebody set it.
    Internal,
}

/// A row. Rows are built by the `const` functions below, so that a table reads as one.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Setting {
    pub name: &'static str,
    pub kind: Kind,
    /// `None` = Kafka's null: not set.
    pub default: Option<&'static str>,
    pub allowed: Allowed,
    pub update: Update,
    pub effect: Effect,
    pub visibility: Visibility,
    pub doc: &'static str,
}

/// The row for names that no table has. As in Kafka, a broker keeps what it is told under such a name, for whatever plugin
/// may read it, and shows nobody the value.
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
            effect: Effect::Listed,
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

    /// A setting of any kind that is not set unless someone does.
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
        self.effect = Effect::Acts;
        self
    }

    /// Whether DescribeConfigs shows the setting when its value comes from there.
    #[must_use]
    pub fn is_shown(&self, origin: Origin) -> bool {
        self.visibility == Visibility::Public || origin != Origin::Default
    }

    /// A value that someone wrote, as it is shown.
    #[must_use]
    pub fn shown(&self, written: &str) -> String {
        parsed(self.kind, written)
    }

    /// Whether the value must never be shown.
    #[must_use]
    pub fn is_sensitive(&self) -> bool {
        matches!(self.kind, Kind::Password | Kind::Unknown)
    }

    /// What the setting means, and whether this version heeds it.
    #[must_use]
    pub fn documentation(&self) -> String {
        match self.effect {
            Effect::Acts => self.doc.to_owned(),
            Effect::Listed => format!("{} (This version of Ringmain does not act on it yet.)", self.doc),
        }
    }

    /// Checks a value as someone wrote it.
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
        kind_takes && self.allows(value)
    }

    fn allows(&self, value: &str) -> bool {
        match self.allowed {
            Allowed::Any => true,
            Allowed::Range { min, max } => {
                value.parse().is_ok_and(|number: i64| (min..=max).contains(&number))
            }
            Allowed::Real { min, max } => {
                value.parse().is_ok_and(|number: f64| (min..=max).contains(&number))
            }
            Allowed::OneOf(values) => values.contains(&value),
            Allowed::EachOf(values) => {
                let mut elements: Vec<&str> = list(value).collect();
                let count = elements.len();
                elements.sort_unstable();
                elements.dedup();
                elements.len() == count && elements.iter().all(|element| values.contains(element))
            }
            Allowed::OffsetReset => {
                let duration = value.strip_prefix("by_duration:");
                matches!(value, "earliest" | "latest") || duration.is_some_and(is_duration)
            }
            Allowed::ThrottledReplicas => value == "*" || list(value).all(is_replica),
        }
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

    /// Kafka's names end in their unit.
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

/// PARTITION:BROKER.
fn is_replica(text: &str) -> bool {
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once(':').is_some_and(|(partition, broker)| is_number(partition) && is_number(broker))
}

/// A duration of ISO 8601 as far as Java's reads it, not negative: days, then hours, minutes and seconds after a T.
fn is_duration(text: &str) -> bool {
    let upper = text.to_ascii_uppercase();
    let Some(rest) = upper.strip_prefix('P') else { return false };
    let (days, time) = match rest.split_once('T') {
        Some((_, "")) => return false,
        Some((days, time)) => (days, time),
        None => (rest, ""),
    };
    !(days.is_empty() && time.is_empty()) && are_amounts(days, "D") && are_amounts(time, "HMS")
}

/// Numbers, each with one of these units, in their order; a fraction only of the last unit, seconds.
fn are_amounts(text: &str, units: &str) -> bool {
    let (mut rest, mut units) = (text, units.chars());
    while !rest.is_empty() {
        let Some(end) = rest.find(|it: char| it.is_ascii_alphabetic()) else { return false };
        let (number, unit) = (&rest[..end], rest[end..].chars().next());
        if !units.any(|it| Some(it) == unit) {
            return false;
        }
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let is_digits = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
        let is_number = !whole.is_empty() && is_digits(whole) && fraction.len() <= 9 && is_digits(fraction);
        if !is_number || (number.contains('.') && unit != Some('S')) {
            return false;
        }
        rest = &rest[end + 1..];
    }
    true
}

/// The elements of a comma-separated list; an empty text is an empty list.
pub fn list(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|element| !element.is_empty())
}

/// Why settings were refused. One line that names the key, the value and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("Unknown topic config name: {0}")]
    UnknownTopicConfig(String),
    #[error("Unknown group config name: {0}")]
    UnknownGroupConfig(String),
    #[error("Unknown client metrics configuration: {0}")]
    UnknownClientMetricsConfig(String),
    #[error("Invalid value {value} for interval.ms, interval must be between {min} and {max} (1 hour)")]
    Interval { value: i32, min: i32, max: i32 },
    #[error("unknown setting {key}{}", Nearest(.nearest))]
    UnknownKey { key: String, nearest: Option<&'static str> },
    #[error("Invalid value {value} for configuration {key}: must be {expected}")]
    Invalid { key: String, value: String, expected: String },
    #[error("Cannot update these configs dynamically: [{0}]")]
    ReadOnly(String),
    #[error("{0} is a secret: this version keeps secrets nowhere but in its settings at start")]
    Secret(String),
    #[error("'{0}' is not KEY=VALUE")]
    NotAnAssignment(String),
    #[error("cannot read the settings file {path}: {reason}")]
    File { path: String, reason: String },
    #[error("{0}")]
    Contradiction(String),
}

struct Nearest<'a>(&'a Option<&'static str>);

impl fmt::Display for Nearest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(name) => write!(f, "; is {name} meant?"),
            None => Ok(()),
        }
    }
}

/// Where a value comes from, the strongest last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Source {
    Default,
    File,
    Environment,
    CommandLine,
}

/// What DescribeConfigs says where a value comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// Set on the topic.
    Topic,
    /// Changed for this server while it ran.
    Broker,
    /// Changed for all servers.
    AllBrokers,
    /// Set for the server, by file, environment or command line.
    StaticBroker,
    Default,
    ClientMetrics,
    Group,
}

impl Origin {
    /// Kafka's number for it.
    #[must_use]
    pub fn code(self) -> i8 {
        match self {
            Origin::Topic => 1,
            Origin::Broker => 2,
            Origin::AllBrokers => 3,
            Origin::StaticBroker => 4,
            Origin::Default => 5,
            Origin::ClientMetrics => 7,
            Origin::Group => 8,
        }
    }
}

/// One setting as DescribeConfigs shows it.
#[derive(Clone, Debug)]
pub struct Described {
    pub name: Cow<'static, str>,
    /// [`UNKNOWN`] for a name that no table has.
    pub setting: &'static Setting,
    /// `None` when unset, and always when sensitive.
    pub value: Option<String>,
    pub origin: Origin,
    /// All places that give a value, the one in force first.
    pub synonyms: Vec<Synonym>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synonym {
    pub name: Cow<'static, str>,
    pub value: Option<String>,
    pub origin: Origin,
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
