//! The table of group configs.

use crate::config::setting::{Kind, Setting};

pub(super) const ASSIGNOR: &str = "streams.assignor.name";
pub(super) const DEAD_LETTERS: &str = "errors.deadletterqueue.topic.name";

/// A group's config.
pub(super) struct Row {
    pub setting: Setting,
    /// The broker setting it inherits from.
    pub inherits: Option<&'static str>,
    /// Broker settings that bound what a group may be told.
    pub min: Option<&'static str>,
    pub max: Option<&'static str>,
}

/// A config without limits besides those of its setting.
const fn row(setting: Setting, inherits: Option<&'static str>) -> Row {
    Row { setting, inherits, min: None, max: None }
}

/// Every group config of Kafka 4.4, by name.
pub(super) static ROWS: [Row; 27] = [
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

/// Every group config, by name.
pub fn settings() -> impl Iterator<Item = &'static Setting> {
    ROWS.iter().map(|row| &row.setting)
}

/// The group config of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Setting> {
    ROWS.iter().map(|row| &row.setting).find(|setting| setting.name == name)
}
