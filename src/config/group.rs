//! What a group can be told (KIP-848, KIP-932, KIP-1071), by Kafka's names. What a group was not told it takes from the
//! broker's settings.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::setting::{ConfigError, Described, Kind, Origin, Setting, Synonym};
use super::{Config, GroupTimeLimits};

/// A group's config and the broker setting it inherits from.
type Row = (Setting, Option<&'static str>);

static ROWS: [Row; 10] = [
    (
        Setting::int(
            "consumer.heartbeat.interval.ms",
            "5000",
            1,
            "How often members of the consumer group report.",
        )
        .acts(),
        Some("group.consumer.heartbeat.interval.ms"),
    ),
    (
        Setting::int(
            "consumer.session.timeout.ms",
            "45000",
            1,
            "Silence after which a member of the consumer group is taken for dead.",
        )
        .acts(),
        Some("group.consumer.session.timeout.ms"),
    ),
    (
        Setting::string(
            "share.auto.offset.reset",
            "latest",
            "Where a share group begins without a position.",
        ),
        None,
    ),
    (
        Setting::int(
            "share.heartbeat.interval.ms",
            "5000",
            1,
            "How often members of the share group report.",
        ),
        Some("group.share.heartbeat.interval.ms"),
    ),
    (
        Setting::string(
            "share.isolation.level",
            "read_uncommitted",
            "What share consumers see of transactions.",
        )
        .one_of(&["read_committed", "read_uncommitted"]),
        None,
    ),
    (
        Setting::int(
            "share.record.lock.duration.ms",
            "30000",
            1000,
            "How long a delivered record stays its consumer's.",
        ),
        Some("group.share.record.lock.duration.ms"),
    ),
    (
        Setting::int(
            "share.session.timeout.ms",
            "45000",
            1,
            "Silence after which a member of the share group is taken for dead.",
        ),
        Some("group.share.session.timeout.ms"),
    ),
    (
        Setting::int(
            "streams.heartbeat.interval.ms",
            "5000",
            1,
            "How often members of the streams group report.",
        ),
        Some("group.streams.heartbeat.interval.ms"),
    ),
    (
        Setting::int("streams.num.standby.replicas", "0", 0, "Standby copies of the streams group's tasks."),
        Some("group.streams.num.standby.replicas"),
    ),
    (
        Setting::int(
            "streams.session.timeout.ms",
            "45000",
            1,
            "Silence after which a member of the streams group is taken for dead.",
        ),
        Some("group.streams.session.timeout.ms"),
    ),
];

/// A consumer group's times, where it was told any.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GroupTimes {
    pub session_timeout_ms: Option<u64>,
    pub heartbeat_interval_ms: Option<i32>,
}

/// The group config of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Setting> {
    ROWS.iter().map(|(setting, _)| setting).find(|setting| setting.name == name)
}

/// Checks all that a group is told, together.
///
/// # Errors
/// For an unknown name, a value that is not allowed, and times beyond the broker's limits.
pub fn validate(overrides: &BTreeMap<String, String>, config: &Config) -> Result<(), ConfigError> {
    for (name, value) in overrides {
        let setting = find(name).ok_or_else(|| ConfigError::UnknownGroupConfig(name.clone()))?;
        setting.check(value)?;
    }
    let limits = &config.groups.consumer;
    let session = number(overrides, "consumer.session.timeout.ms");
    let heartbeat = number(overrides, "consumer.heartbeat.interval.ms");
    let beyond =
        |value: Option<i32>, range: &RangeInclusive<i32>| value.is_some_and(|value| !range.contains(&value));
    let session_ms = session.unwrap_or_else(|| i32::try_from(limits.session_timeout_ms).unwrap_or(i32::MAX));
    let contradiction = if beyond(session, &limits.told.session_timeouts_ms) {
        let (min, max) = limits.told.session_timeouts_ms.clone().into_inner();
        format!(
            "consumer.session.timeout.ms must be from group.consumer.min.session.timeout.ms ({min}) to \
             group.consumer.max.session.timeout.ms ({max})"
        )
    } else if beyond(heartbeat, &limits.told.heartbeat_intervals_ms) {
        let (min, max) = limits.told.heartbeat_intervals_ms.clone().into_inner();
        format!(
            "consumer.heartbeat.interval.ms must be from group.consumer.min.heartbeat.interval.ms ({min}) to \
             group.consumer.max.heartbeat.interval.ms ({max})"
        )
    } else if heartbeat.unwrap_or(limits.heartbeat_interval_ms) >= session_ms {
        "consumer.session.timeout.ms must be greater than consumer.heartbeat.interval.ms".to_owned()
    } else {
        return Ok(());
    };
    Err(ConfigError::Contradiction(contradiction))
}

/// What a group's members go by. A broker whose limits have become tighter since the group was told holds to its limits.
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

/// Every group config with its value and where that comes from.
#[must_use]
pub fn describe(overrides: &BTreeMap<String, String>, config: &Config) -> Vec<Described> {
    let broker = config.describe();
    let rows = ROWS.iter().map(|(setting, inherits)| {
        let own = overrides.get(setting.name).map(|value| Synonym {
            name: setting.name,
            value: Some(value.clone()),
            origin: Origin::Group,
        });
        let inherited = inherits.and_then(|name| broker.iter().find(|one| one.setting.name == name));
        let default = || Synonym {
            name: setting.name,
            value: setting.default.map(str::to_owned),
            origin: Origin::Default,
        };
        let inherited = inherited.map_or_else(|| vec![default()], |one| one.synonyms.clone());
        let synonyms: Vec<Synonym> = own.into_iter().chain(inherited).collect();
        let first = synonyms.first().expect("a default at least");
        Described { setting, value: first.value.clone(), origin: first.origin, synonyms }
    });
    rows.collect()
}

/// The value of a config of kind [`Kind::Int`] that was told and checked.
fn number(overrides: &BTreeMap<String, String>, name: &str) -> Option<i32> {
    debug_assert!(find(name).is_some_and(|setting| setting.kind == Kind::Int));
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
    }
}
