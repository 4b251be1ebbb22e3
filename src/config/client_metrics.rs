//! Configs of subscriptions to clients' metrics (KIP-714), and which clients and metrics a subscription selects.

use std::collections::BTreeMap;

use regex::Regex;

use super::setting::{ConfigError, Described, Origin, Setting, Synonym, list};

/// Interval at which a client pushes metrics, if no subscription sets another.
pub const INTERVAL_MS_DEFAULT: i32 = 300_000;
const INTERVAL_MS_MIN: i32 = 100;
const INTERVAL_MS_MAX: i32 = 3_600_000;
/// Most bytes that a compiled pattern may take.
const PATTERN_BYTES_MAX: usize = 1 << 20;

static ROWS: [Setting; 3] = [
    // The limits are checked separately: Kafka's error for them is another one than for a value that is no number.
    Setting::int(
        "interval.ms",
        "300000",
        i32::MIN as i64,
        "How often clients push their metrics, from 100 ms to an hour.",
    )
    .acts(),
    Setting::list(
        "match",
        "",
        "Which clients are meant: KEY=PATTERN for each of client_instance_id, client_id, client_software_name, \
         client_software_version, client_source_address, client_source_port; all when empty.",
    )
    .acts(),
    Setting::list("metrics", "", "Which metrics are meant: prefixes of their names, or * for all; none when empty.")
        .acts(),
];

/// A trait of clients that a subscription can select by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientTrait {
    InstanceId,
    Id,
    SoftwareName,
    SoftwareVersion,
    SourceAddress,
    SourcePort,
}

const TRAITS: [(&str, ClientTrait); 6] = [
    ("client_instance_id", ClientTrait::InstanceId),
    ("client_id", ClientTrait::Id),
    ("client_software_name", ClientTrait::SoftwareName),
    ("client_software_version", ClientTrait::SoftwareVersion),
    ("client_source_address", ClientTrait::SourceAddress),
    ("client_source_port", ClientTrait::SourcePort),
];

/// A subscription as resolved.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// Prefixes of names; `*` means all.
    pub metrics: Vec<String>,
    pub interval_ms: i32,
    patterns: Vec<(ClientTrait, Regex)>,
}

impl Subscription {
    /// # Errors
    /// For an unknown name, and a value that is not allowed.
    pub fn resolve(overrides: &BTreeMap<String, String>) -> Result<Subscription, ConfigError> {
        for (name, value) in overrides {
            find(name).ok_or_else(|| ConfigError::UnknownClientMetricsConfig(name.clone()))?.check(value)?;
        }
        let value = |name| overrides.get(name).map_or("", |value| value.trim());
        let interval_ms = value("interval.ms").parse().unwrap_or(INTERVAL_MS_DEFAULT);
        if !(INTERVAL_MS_MIN..=INTERVAL_MS_MAX).contains(&interval_ms) {
            let (min, max) = (INTERVAL_MS_MIN, INTERVAL_MS_MAX);
            return Err(ConfigError::Interval { value: interval_ms, min, max });
        }
        Ok(Subscription {
            metrics: list(value("metrics")).map(str::to_owned).collect(),
            interval_ms,
            patterns: list(value("match")).map(pattern).collect::<Result<_, _>>()?,
        })
    }

    /// Whether the subscription selects a client, whose traits `of` returns.
    pub fn matches<'t>(&self, of: impl Fn(ClientTrait) -> &'t str) -> bool {
        self.patterns.iter().all(|(asked, pattern)| pattern.is_match(of(*asked)))
    }
}

/// Reads `KEY=PATTERN`. The pattern must match the whole value, as in Kafka.
fn pattern(written: &str) -> Result<(ClientTrait, Regex), ConfigError> {
    let refuse = |reason: &str| ConfigError::Invalid {
        key: "match".to_owned(),
        value: written.to_owned(),
        expected: reason.to_owned(),
    };
    let (key, pattern) = written.split_once('=').ok_or_else(|| refuse("KEY=PATTERN"))?;
    let known = TRAITS.iter().find(|(name, _)| *name == key.trim());
    let (_, asked) = known.ok_or_else(|| refuse("KEY=PATTERN with a known key"))?;
    let compiled = regex::RegexBuilder::new(&format!("^(?:{})$", pattern.trim()))
        .size_limit(PATTERN_BYTES_MAX)
        .build()
        .map_err(|_| refuse("a regular expression"))?;
    Ok((*asked, compiled))
}

/// Every config of a subscription, by name.
pub fn settings() -> impl Iterator<Item = &'static Setting> {
    ROWS.iter()
}

/// The config of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Setting> {
    ROWS.iter().find(|setting| setting.name == name)
}

/// Every config with its value, and where that comes from.
#[must_use]
pub fn describe(overrides: &BTreeMap<String, String>) -> Vec<Described> {
    let rows = ROWS.iter().map(|setting| {
        let own = overrides.get(setting.name).map(|value| setting.shown(value));
        let (value, origin) = match own {
            Some(value) => (value, Origin::ClientMetrics),
            None => (setting.default.unwrap_or_default().to_owned(), Origin::Default),
        };
        let told = Synonym { name: setting.name.into(), value: Some(value.clone()), origin };
        // As in Kafka, a default has no synonyms.
        let synonyms = if origin == Origin::Default { Vec::new() } else { vec![told] };
        Described { name: setting.name.into(), setting, value: Some(value), origin, synonyms }
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(pairs: &[(&str, &str)]) -> Result<Subscription, ConfigError> {
        let told = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Subscription::resolve(&told.collect())
    }

    #[test]
    fn patterns_tell_clients_apart() {
        let told = [("match", "client_software_name=apache-kafka-.*, client_id=a|b"), ("metrics", "*")];
        let subscription = resolve(&told).expect("valid");
        let client = |name: &'static str, id: &'static str| {
            subscription.matches(|asked| match asked {
                ClientTrait::SoftwareName => name,
                ClientTrait::Id => id,
                _ => "",
            })
        };
        assert!(client("apache-kafka-java", "b"));
        assert!(!client("apache-kafka-java", "bb"), "a pattern is for the whole");
        assert!(!client("librdkafka", "a"));
        assert_eq!((subscription.metrics, subscription.interval_ms), (vec!["*".to_owned()], 300_000));
    }

    #[test]
    fn nonsense_is_refused() {
        for (name, value) in [
            ("interval.ms", "99"),
            ("interval.ms", "3600001"),
            ("match", "client_id"),
            ("match", "shoe_size=4"),
            ("match", "client_id=("),
            ("match", "client_id=a{1000}{1000}{1000}"),
            ("push.interval.ms", "5"),
        ] {
            assert!(resolve(&[(name, value)]).is_err(), "{name} = {value}");
        }
    }
}
