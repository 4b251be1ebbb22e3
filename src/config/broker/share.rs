//! Broker settings of share groups and streams groups. This version has neither, but group configs are checked against
//! these settings.

use crate::config::setting::{Kind, Setting};

pub(super) const ROWS: &[Setting] = &[
    Setting::int("group.share.session.timeout.ms", "45000", 1, "Session timeout of a share group's members."),
    Setting::int(
        "group.share.min.session.timeout.ms",
        "45000",
        1,
        "Least session timeout a share group can be given.",
    ),
    Setting::int(
        "group.share.max.session.timeout.ms",
        "60000",
        1,
        "Greatest session timeout a share group can be given.",
    ),
    Setting::int("group.share.heartbeat.interval.ms", "5000", 1, "How often a share group's members report."),
    Setting::int(
        "group.share.min.heartbeat.interval.ms",
        "5000",
        1,
        "Least heartbeat interval a share group can be given.",
    ),
    Setting::int(
        "group.share.max.heartbeat.interval.ms",
        "15000",
        1,
        "Greatest heartbeat interval a share group can be given.",
    ),
    Setting::int(
        "group.share.assignment.interval.ms",
        "1000",
        0,
        "Least time between two assignments of a share group.",
    )
    .dynamic(),
    Setting::int(
        "group.share.min.assignment.interval.ms",
        "0",
        0,
        "Least assignment interval a share group can be given.",
    ),
    Setting::int(
        "group.share.max.assignment.interval.ms",
        "15000",
        0,
        "Greatest assignment interval a share group can be given.",
    ),
    Setting::int("group.share.max.size", "200", 1, "Most members of a share group.").within(1, 1000),
    Setting::list("group.share.assignors", "simple", "Ways to assign partitions in share groups."),
    Setting::int(
        "group.share.record.lock.duration.ms",
        "30000",
        1000,
        "How long a delivered record stays its consumer's.",
    )
    .within(1000, 3_600_000),
    Setting::int(
        "group.share.min.record.lock.duration.ms",
        "15000",
        1000,
        "Least record lock a share group can be given.",
    )
    .within(1000, 30_000),
    Setting::int(
        "group.share.max.record.lock.duration.ms",
        "60000",
        30_000,
        "Greatest record lock a share group can be given.",
    )
    .within(30_000, 3_600_000),
    Setting::int(
        "group.share.delivery.count.limit",
        "5",
        2,
        "How often a record is delivered before it is given up.",
    )
    .within(2, 10),
    Setting::int(
        "group.share.min.delivery.count.limit",
        "2",
        2,
        "Least delivery limit a share group can be given.",
    )
    .within(2, 5),
    Setting::int(
        "group.share.max.delivery.count.limit",
        "10",
        5,
        "Greatest delivery limit a share group can be given.",
    )
    .within(5, 25),
    Setting::int(
        "group.share.partition.max.record.locks",
        "2000",
        100,
        "Most records of a partition in delivery at a time.",
    )
    .within(100, 10_000),
    Setting::int(
        "group.share.min.partition.max.record.locks",
        "100",
        100,
        "Least such number a share group can be given.",
    )
    .within(100, 2_000),
    Setting::int(
        "group.share.max.partition.max.record.locks",
        "4000",
        2_000,
        "Greatest such number a share group can be given.",
    )
    .within(2_000, 10_000),
    Setting::int("group.share.max.share.sessions", "2000", 1, "Most share sessions of a server."),
    Setting::boolean(
        "errors.deadletterqueue.auto.create.topics.enable",
        "false",
        "Whether the topic for records that a share group gives up is created when it is missing.",
    )
    .dynamic(),
    Setting::string(
        "errors.deadletterqueue.topic.name.prefix",
        "dlq.",
        "How the names of topics for records that share groups give up must begin.",
    )
    .dynamic(),
    Setting::boolean(
        "group.share.assignor.offload.enable",
        "true",
        "Whether share groups are assigned by a thread of their own; here shards do it.",
    )
    .internal()
    .dynamic(),
    Setting::string(
        "group.share.dlq.manager.class.name",
        "org.apache.kafka.server.share.dlq.DefaultShareGroupDLQManager",
        "Class that keeps records that share groups give up; Java only.",
    )
    .internal(),
    Setting::int(
        "group.streams.session.timeout.ms",
        "45000",
        1,
        "Session timeout of a streams group's members.",
    ),
    Setting::int(
        "group.streams.min.session.timeout.ms",
        "45000",
        1,
        "Least session timeout a streams group can be given.",
    ),
    Setting::int(
        "group.streams.max.session.timeout.ms",
        "60000",
        1,
        "Greatest session timeout a streams group can be given.",
    ),
    Setting::int(
        "group.streams.heartbeat.interval.ms",
        "5000",
        1,
        "How often a streams group's members report.",
    ),
    Setting::int(
        "group.streams.min.heartbeat.interval.ms",
        "5000",
        1,
        "Least heartbeat interval a streams group can be given.",
    ),
    Setting::int(
        "group.streams.max.heartbeat.interval.ms",
        "15000",
        1,
        "Greatest heartbeat interval a streams group can be given.",
    ),
    Setting::int(
        "group.streams.assignment.interval.ms",
        "1000",
        0,
        "Least time between two assignments of a streams group.",
    )
    .dynamic(),
    Setting::int(
        "group.streams.min.assignment.interval.ms",
        "0",
        0,
        "Least assignment interval a streams group can be given.",
    ),
    Setting::int(
        "group.streams.max.assignment.interval.ms",
        "15000",
        0,
        "Greatest assignment interval a streams group can be given.",
    ),
    Setting::int("group.streams.max.size", "2147483647", 1, "Most members of a streams group."),
    Setting::int("group.streams.num.standby.replicas", "0", 0, "Standby copies of a streams group's tasks."),
    Setting::int(
        "group.streams.max.standby.replicas",
        "2",
        0,
        "Most standby copies a streams group can be given.",
    ),
    Setting::int(
        "group.streams.initial.rebalance.delay.ms",
        "3000",
        0,
        "How long a new streams group waits for more members.",
    ),
    Setting::list("group.streams.assignors", "sticky", "Ways to assign tasks in streams groups."),
    Setting::boolean(
        "group.streams.assignor.offload.enable",
        "true",
        "Whether streams groups are assigned by a thread of their own; here shards do it.",
    )
    .internal()
    .dynamic(),
    Setting::list(
        "group.streams.rack.aware.assignment.tags",
        "",
        "Tags of clients among which a streams group's standby copies are spread.",
    ),
    Setting::unset(
        "group.streams.topology.description.plugin.class",
        Kind::Class,
        "Class that keeps descriptions of streams groups' topologies; Java only.",
    ),
    Setting::long(
        "group.streams.acceptable.recovery.lag",
        "10000",
        0,
        "Records that a client may lag behind and still be given a streams group's active task.",
    )
    .internal(),
    Setting::int("group.streams.num.warmup.replicas", "2", 0, "Warm-up copies of a streams group's tasks.")
        .internal(),
    Setting::int(
        "group.streams.max.warmup.replicas",
        "20",
        0,
        "Most warm-up copies a streams group can be given.",
    )
    .internal(),
    Setting::int(
        "group.streams.task.offset.interval.ms",
        "60000",
        1,
        "How often a streams group's members report how far their tasks are.",
    )
    .internal(),
    Setting::int(
        "group.streams.min.task.offset.interval.ms",
        "15000",
        1,
        "Least such interval a streams group can be given.",
    )
    .internal(),
    Setting::int(
        "share.coordinator.state.topic.num.partitions",
        "50",
        1,
        "Partitions of the share groups' state topic.",
    ),
    Setting::short(
        "share.coordinator.state.topic.replication.factor",
        "3",
        1,
        "Replicas of the share groups' state topic.",
    ),
    Setting::short(
        "share.coordinator.state.topic.min.isr",
        "2",
        1,
        "Least in-sync replicas of the share groups' state topic.",
    ),
    Setting::int(
        "share.coordinator.state.topic.segment.bytes",
        "104857600",
        1,
        "Segment size of the share groups' state topic.",
    ),
    Setting::int(
        "share.coordinator.state.topic.compression.codec",
        "0",
        0,
        "Codec of the share groups' state topic, by number.",
    )
    .within(0, 4),
    Setting::int("share.coordinator.threads", "1", 1, "Threads of the share groups' coordinators."),
    Setting::int("share.coordinator.append.linger.ms", "-1", -1, "How long their records gather; -1 adapts."),
    Setting::int(
        "share.coordinator.write.timeout.ms",
        "5000",
        1,
        "Longest wait for their records to reach replicas.",
    ),
    Setting::int(
        "share.coordinator.load.buffer.size",
        "5242880",
        1,
        "Memory for reading their state at start.",
    ),
    Setting::int(
        "share.coordinator.cached.buffer.max.bytes",
        "1048588",
        524_288,
        "Largest buffer kept for their next batch.",
    )
    .dynamic(),
    Setting::int(
        "share.coordinator.snapshot.update.records.per.snapshot",
        "500",
        0,
        "Updates of a share partition between two snapshots.",
    )
    .within(0, 500),
];
