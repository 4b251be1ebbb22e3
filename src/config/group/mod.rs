//! What a group can be told (KIP-848, KIP-932, KIP-1071), by Kafka's names. What a group was not told it takes from the
//! broker's settings.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::setting::{ConfigError, Described, Kind, Origin, Setting, Synonym, list};
use super::{Config, GroupTimeLimits};

const ASSIGNOR: &str = "streams.assignor.name";
const DEAD_LETTERS: &str = "errors.deadletterqueue.topic.name";

/// A group's config.
struct Row {
    setting: Setting,
    /// The broker setting it inherits from.
    inherits: Option<&'static str>,
    /// Broker settings that bound what a group may be told.
    min: Option<&'static str>,
    max: Option<&'static str>,
}

/// A config that may be whatever its setting allows.
const fn row(setting: Setting, inherits: Option<&'static str>) -> Row {
    Row { setting, inherits, min: None, max: None }
}

/// Every group config of Kafka 4.4, by name.
static ROWS: [Row; 27] = [
    Row {
        setting: Setting::int(
            "consumer.assignment.interval.ms",
            "1000",
            0,
            "Least time between two assignments of the consumer group.",
        ),
        inherits: Some("group.consumer.assignment.interval.ms"),
        min: Some("group.consumer.min.assignment.interval.ms"),
        max: Some("group.consumer.max.assignment.interval.ms"),
    },
    row(
        Setting::boolean(
            "consumer.assignor.offload.enable",
            "true",
            "Whether the consumer group is assigned by a thread of its own.",
        )
        .internal(),
        Some("group.consumer.assignor.offload.enable"),
    ),
    Row {
        setting: Setting::int(
            "consumer.heartbeat.interval.ms",
            "5000",
            1,
            "How often members of the consumer group report.",
        )
        .acts(),
        inherits: Some("group.consumer.heartbeat.interval.ms"),
        min: Some("group.consumer.min.heartbeat.interval.ms"),
        max: Some("group.consumer.max.heartbeat.interval.ms"),
    },
    Row {
        setting: Setting::int(
            "consumer.session.timeout.ms",
            "45000",
            1,
            "Silence after which a member of the consumer group is taken for dead.",
        )
        .acts(),
        inherits: Some("group.consumer.session.timeout.ms"),
        min: Some("group.consumer.min.session.timeout.ms"),
        max: Some("group.consumer.max.session.timeout.ms"),
    },
    row(
        Setting::boolean(
            "errors.deadletterqueue.copy.record.enable",
            "false",
            "Whether a record that the share group gives up is copied whole, not only named.",
        ),
        None,
    ),
    row(
        Setting::string(
            DEAD_LETTERS,
            "",
            "Topic for records that the share group gives up; none when empty.",
        ),
        None,
    ),
    Row {
        setting: Setting::int(
            "share.assignment.interval.ms",
            "1000",
            0,
            "Least time between two assignments of the share group.",
        ),
        inherits: Some("group.share.assignment.interval.ms"),
        min: Some("group.share.min.assignment.interval.ms"),
        max: Some("group.share.max.assignment.interval.ms"),
    },
    row(
        Setting::boolean(
            "share.assignor.offload.enable",
            "true",
            "Whether the share group is assigned by a thread of its own.",
        )
        .internal(),
        Some("group.share.assignor.offload.enable"),
    ),
    Row {
        setting: Setting::string(
            "share.auto.offset.reset",
            "latest",
            "Where a share group begins without a position.",
        )
        .offset_reset(),
        inherits: None,
        min: None,
        max: None,
    },
    Row {
        setting: Setting::int(
            "share.delivery.count.limit",
            "5",
            2,
            "How often a record is delivered before it is given up.",
        ),
        inherits: Some("group.share.delivery.count.limit"),
        min: Some("group.share.min.delivery.count.limit"),
        max: Some("group.share.max.delivery.count.limit"),
    },
    Row {
        setting: Setting::int(
            "share.heartbeat.interval.ms",
            "5000",
            1,
            "How often members of the share group report.",
        ),
        inherits: Some("group.share.heartbeat.interval.ms"),
        min: Some("group.share.min.heartbeat.interval.ms"),
        max: Some("group.share.max.heartbeat.interval.ms"),
    },
    Row {
        setting: Setting::string(
            "share.isolation.level",
            "read_uncommitted",
            "What share consumers see of transactions.",
        )
        .one_of(&["read_committed", "read_uncommitted"]),
        inherits: None,
        min: None,
        max: None,
    },
    Row {
        setting: Setting::int(
            "share.partition.max.record.locks",
            "2000",
            100,
            "Most records of a partition in delivery at a time.",
        ),
        inherits: Some("group.share.partition.max.record.locks"),
        min: Some("group.share.min.partition.max.record.locks"),
        max: Some("group.share.max.partition.max.record.locks"),
    },
    Row {
        setting: Setting::int(
            "share.record.lock.duration.ms",
            "30000",
            1000,
            "How long a delivered record stays its consumer's.",
        ),
        inherits: Some("group.share.record.lock.duration.ms"),
        min: Some("group.share.min.record.lock.duration.ms"),
        max: Some("group.share.max.record.lock.duration.ms"),
    },
    Row {
        setting: Setting::boolean(
            "share.renew.acknowledge.enable",
            "true",
            "Whether consumers may hold a record for longer.",
        ),
        inherits: None,
        min: None,
        max: None,
    },
    Row {
        setting: Setting::int(
            "share.session.timeout.ms",
            "45000",
            1,
            "Silence after which a member of the share group is taken for dead.",
        ),
        inherits: Some("group.share.session.timeout.ms"),
        min: Some("group.share.min.session.timeout.ms"),
        max: Some("group.share.max.session.timeout.ms"),
    },
    row(
        Setting::long(
            "streams.acceptable.recovery.lag",
            "10000",
            0,
            "Records that a client may lag behind and still be given the streams group's active task.",
        )
        .internal(),
        Some("group.streams.acceptable.recovery.lag"),
    ),
    Row {
        setting: Setting::int(
            "streams.assignment.interval.ms",
            "1000",
            0,
            "Least time between two assignments of the streams group.",
        ),
        inherits: Some("group.streams.assignment.interval.ms"),
        min: Some("group.streams.min.assignment.interval.ms"),
        max: Some("group.streams.max.assignment.interval.ms"),
    },
    row(
        Setting::unset(
            ASSIGNOR,
            Kind::String,
            "Way to assign the streams group's tasks; unset, the first of the server's.",
        ),
        Some("group.streams.assignors"),
    ),
    row(
        Setting::boolean(
            "streams.assignor.offload.enable",
            "true",
            "Whether the streams group is assigned by a thread of its own.",
        )
        .internal(),
        Some("group.streams.assignor.offload.enable"),
    ),
    Row {
        setting: Setting::int(
            "streams.heartbeat.interval.ms",
            "5000",
            1,
            "How often members of the streams group report.",
        ),
        inherits: Some("group.streams.heartbeat.interval.ms"),
        min: Some("group.streams.min.heartbeat.interval.ms"),
        max: Some("group.streams.max.heartbeat.interval.ms"),
    },
    Row {
        setting: Setting::int(
            "streams.initial.rebalance.delay.ms",
            "3000",
            0,
            "How long the new streams group waits for more members.",
        ),
        inherits: Some("group.streams.initial.rebalance.delay.ms"),
        min: None,
        max: None,
    },
    Row {
        setting: Setting::int(
            "streams.num.standby.replicas",
            "0",
            0,
            "Standby copies of the streams group's tasks.",
        ),
        inherits: Some("group.streams.num.standby.replicas"),
        min: None,
        max: Some("group.streams.max.standby.replicas"),
    },
    Row {
        setting: Setting::int(
            "streams.num.warmup.replicas",
            "2",
            0,
            "Warm-up copies of the streams group's tasks.",
        )
        .internal(),
        inherits: Some("group.streams.num.warmup.replicas"),
        min: None,
        max: Some("group.streams.max.warmup.replicas"),
    },
    row(
        Setting::list(
            "streams.rack.aware.assignment.tags",
            "",
            "Tags of clients among which the streams group's standby copies are spread.",
        ),
        Some("group.streams.rack.aware.assignment.tags"),
    ),
    Row {
        setting: Setting::int(
            "streams.session.timeout.ms",
            "45000",
            1,
            "Silence after which a member of the streams group is taken for dead.",
        ),
        inherits: Some("group.streams.session.timeout.ms"),
        min: Some("group.streams.min.session.timeout.ms"),
        max: Some("group.streams.max.session.timeout.ms"),
    },
    Row {
        setting: Setting::int(
            "streams.task.offset.interval.ms",
            "60000",
            1,
            "How often the streams group's members report how far their tasks are.",
        )
        .internal(),
        inherits: Some("group.streams.task.offset.interval.ms"),
        min: Some("group.streams.min.task.offset.interval.ms"),
        max: None,
    },
];

/// A consumer group's times, where it was told any.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GroupTimes {
    pub session_timeout_ms: Option<u64>,
    pub heartbeat_interval_ms: Option<i32>,
}

/// Every group config, by name.
pub fn settings() -> impl Iterator<Item = &'static Setting> {
    ROWS.iter().map(|row| &row.setting)
}

/// The group config of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Setting> {
    ROWS.iter().map(|row| &row.setting).find(|setting| setting.name == name)
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

/// In Kafka's words: tools show them.
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

/// Names that a group may be told, and of which not every one will do.
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

/// The number a group goes by that was told this.
fn in_force(overrides: &BTreeMap<String, String>, name: &str, config: &Config) -> i64 {
    let inherited = || {
        let row = ROWS.iter().find(|row| row.setting.name == name);
        config.whole_number(row.and_then(|row| row.inherits).expect("a config that inherits"))
    };
    number(overrides, name).map_or_else(inherited, i64::from)
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

/// The value of a config that was told and checked, if it is a number.
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
