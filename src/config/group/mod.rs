//! Group configs by Kafka's names (KIP-848, KIP-932, KIP-1071). A config that a group does not have is taken from the
//! broker's settings.

mod table;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::setting::{ConfigError, Described, Kind, Origin, Synonym, list};
use super::{Config, GroupTimeLimits};
use table::{ASSIGNOR, DEAD_LETTERS, ROWS, Row};
pub use table::{find, settings};

/// The times that a consumer group's own configs set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GroupTimes {
    pub session_timeout_ms: Option<u64>,
    pub heartbeat_interval_ms: Option<i32>,
}

/// Checks all configs of a group together.
///
/// # Errors
/// For an unknown name, a value that is not allowed, and times beyond the broker's limits.
pub fn validate(overrides: &BTreeMap<String, String>, config: &Config) -> Result<(), ConfigError> {
    for (name, value) in overrides {
        let setting = find(name).ok_or_else(|| ConfigError::UnknownGroupConfig(name.clone()))?;
        setting.check(value)?;
    }
    for row in &ROWS {
        if let Some(value) = number(overrides, row.setting.name) {
            check_bounds(row, value.into(), config)?;
        }
    }
    check_names(overrides, config)?;
    for kind in ["consumer", "share", "streams"] {
        let (session, heartbeat) =
            (format!("{kind}.session.timeout.ms"), format!("{kind}.heartbeat.interval.ms"));
        if in_force(overrides, &session, config) <= in_force(overrides, &heartbeat, config) {
            return Err(ConfigError::Contradiction(format!("{session} must be greater than {heartbeat}")));
        }
    }
    Ok(())
}

/// Checks a value against the broker's limits. The errors have Kafka's words, because tools show them.
fn check_bounds(row: &Row, value: i64, config: &Config) -> Result<(), ConfigError> {
    let bound = |name: Option<&'static str>| name.map(|name| config.whole_number(name));
    let name = row.setting.name;
    let contradiction = match (bound(row.min), bound(row.max)) {
        (Some(min), Some(max)) if !(min..=max).contains(&value) => {
            format!("{name} must be in the range {min} to {max} inclusive.")
        }
        (Some(min), _) if value < min => format!("{name} must be greater than or equal to {min}"),
        (_, Some(max)) if value > max => format!("{name} must be less than or equal to {max}"),
        _ => return Ok(()),
    };
    Err(ConfigError::Contradiction(contradiction))
}

/// Checks configs whose values are names.
fn check_names(overrides: &BTreeMap<String, String>, config: &Config) -> Result<(), ConfigError> {
    let told = |name: &str| overrides.get(name).map(|value| value.trim());
    let assignors: Vec<&str> = list(config.settings.required("group.streams.assignors")).collect();
    let contradiction = match (told(DEAD_LETTERS), told(ASSIGNOR)) {
        (Some(topic), _) if topic.starts_with("__") => {
            format!("{DEAD_LETTERS}: DLQ topic name must not start with '__'")
        }
        (_, Some(asked)) if !assignors.contains(&asked) => format!(
            "{ASSIGNOR} '{asked}' is not a registered task assignor. Registered assignors are: [{}].",
            assignors.join(", ")
        ),
        _ => return Ok(()),
    };
    Err(ConfigError::Contradiction(contradiction))
}

/// The number in force for a group with these configs.
fn in_force(overrides: &BTreeMap<String, String>, name: &str, config: &Config) -> i64 {
    let inherited = || {
        let row = ROWS.iter().find(|row| row.setting.name == name);
        config.whole_number(row.and_then(|row| row.inherits).expect("a config that inherits"))
    };
    number(overrides, name).map_or_else(inherited, i64::from)
}

/// The times that a group's configs set. Where the broker's limits have become tighter since, the limits win.
#[must_use]
pub fn times(overrides: &BTreeMap<String, String>, limits: &GroupTimeLimits) -> GroupTimes {
    let within = |value: i32, range: &RangeInclusive<i32>| value.clamp(*range.start(), *range.end());
    let session = number(overrides, "consumer.session.timeout.ms");
    let heartbeat = number(overrides, "consumer.heartbeat.interval.ms");
    GroupTimes {
        session_timeout_ms: session
            .map(|value| u64::try_from(within(value, &limits.session_timeouts_ms)).unwrap_or(0)),
        heartbeat_interval_ms: heartbeat.map(|value| within(value, &limits.heartbeat_intervals_ms)),
    }
}

/// Every group config with its value, and where that comes from.
#[must_use]
pub fn describe(overrides: &BTreeMap<String, String>, config: &Config) -> Vec<Described> {
    let rows = ROWS.iter().map(|Row { setting, inherits, .. }| {
        let own = overrides.get(setting.name).map(|value| Synonym {
            name: setting.name.into(),
            value: Some(setting.shown(value)),
            origin: Origin::Group,
        });
        let inherited = inherits.map(|name| config.describe_one(name));
        let default = || Synonym {
            name: setting.name.into(),
            value: setting.default.map(str::to_owned),
            origin: Origin::Default,
        };
        let inherited = inherited.map_or_else(|| vec![default()], |one| one.synonyms);
        let synonyms: Vec<Synonym> = own.into_iter().chain(inherited).collect();
        let first = synonyms.first().expect("a default at least");
        let value = first.value.as_ref().map(|value| setting.shown(value));
        Described { name: setting.name.into(), setting, value, origin: first.origin, synonyms }
    });
    rows.filter(|one| one.setting.is_shown(one.origin)).collect()
}

/// The value of a config that the group has, if it is a number.
fn number(overrides: &BTreeMap<String, String>, name: &str) -> Option<i32> {
    find(name).filter(|setting| setting.kind == Kind::Int)?;
    overrides.get(name)?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn times_stay_within_the_brokers_limits() {
        let config = Config::default();
        let refused =
            |pairs: &[(&str, &str)]| validate(&told(pairs), &config).expect_err("refused").to_string();
        assert!(refused(&[("consumer.session.timeout.ms", "44999")]).contains("45000"));
        assert!(refused(&[("consumer.heartbeat.interval.ms", "15001")]).contains("15000"));
        assert!(refused(&[("consumer.heartbeat.interval.ms", "soon")]).contains("soon"));
        assert!(refused(&[("no.such", "1")]).contains("Unknown group config"));
        assert!(refused(&[("share.record.lock.duration.ms", "60001")]).contains("15000 to 60000 inclusive"));
        assert_eq!(
            refused(&[("share.delivery.count.limit", "11")]),
            "share.delivery.count.limit must be in the range 2 to 10 inclusive."
        );
        assert_eq!(
            refused(&[("streams.num.standby.replicas", "3")]),
            "streams.num.standby.replicas must be less than or equal to 2"
        );
        assert!(refused(&[("streams.num.warmup.replicas", "21")]).contains("less than or equal to 20"));
        assert!(
            refused(&[("streams.task.offset.interval.ms", "5")]).contains("greater than or equal to 15000")
        );
        assert!(refused(&[(ASSIGNOR, "nosuch")]).contains("Registered assignors are: [sticky]."));
        assert!(refused(&[(DEAD_LETTERS, "__x")]).contains("must not start with '__'"));
        assert!(refused(&[("share.auto.offset.reset", "by_duration:-PT1H")]).contains("by_duration"));
        let fine =
            told(&[("consumer.session.timeout.ms", "50000"), ("consumer.heartbeat.interval.ms", "6000")]);
        assert_eq!(validate(&fine, &config), Ok(()));
        let limits = GroupTimeLimits { session_timeouts_ms: 45_000..=46_000, ..config.groups.consumer.told };
        let expected = GroupTimes { session_timeout_ms: Some(46_000), heartbeat_interval_ms: Some(6000) };
        assert_eq!(times(&fine, &limits), expected);
        assert_eq!(times(&BTreeMap::new(), &limits), GroupTimes::default());
    }

    #[test]
    fn descriptions_begin_with_what_the_group_was_told() {
        let described = describe(&told(&[("consumer.session.timeout.ms", "50000")]), &Config::default());
        let session = described.iter().find(|one| one.setting.name == "consumer.session.timeout.ms");
        let session = session.expect("listed");
        assert_eq!((session.value.as_deref(), session.origin.code()), (Some("50000"), 8));
        assert_eq!(session.synonyms[1].name, "group.consumer.session.timeout.ms");
        assert!(described.iter().all(|one| one.setting.check(one.value.as_deref().unwrap_or("")).is_ok()));
        assert!(described.iter().all(|one| one.name != "streams.num.warmup.replicas"), "internal");
    }

    #[test]
    fn internal_configs_are_shown_where_a_group_was_told_them() {
        let told = told(&[("streams.num.warmup.replicas", " 5 ")]);
        let described = describe(&told, &Config::default());
        let warmup = described.iter().find(|one| one.name == "streams.num.warmup.replicas").expect("shown");
        let synonyms: Vec<_> = warmup.synonyms.iter().map(|it| (&*it.name, it.value.as_deref())).collect();
        assert_eq!(warmup.value.as_deref(), Some("5"));
        let inherited = ("group.streams.num.warmup.replicas", Some("2"));
        assert_eq!(synonyms, [("streams.num.warmup.replicas", Some("5")), inherited]);
    }
}
