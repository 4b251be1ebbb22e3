//! Broker settings of consumer groups, committed offsets, transactions and delegation tokens.

use crate::config::setting::{Kind, Setting};

pub(super) const ROWS: &[Setting] = &[
    Setting::int(
        "group.min.session.timeout.ms",
        "6000",
        0,
        "Shortest session timeout a classic group member may ask for.",
    ).acts(),
    Setting::int(
        "group.max.session.timeout.ms",
        "1800000",
        0,
        "Longest session timeout a classic group member may ask for.",
    ).acts(),
    Setting::int(
        "group.initial.rebalance.delay.ms",
        "0",
        0,
        "How long an empty group waits for more members before its first rebalance; 3000 in production spares rebalances.",
    ).acts(),
    Setting::int("group.max.size", "2147483647", 1, "Most members of a classic group.").acts(),
    Setting::list(
        "group.coordinator.rebalance.protocols",
        "classic,consumer,streams",
        "Group protocols that are served.",
    )
    .each_of(&["classic", "consumer", "share", "streams"]),
    Setting::int(
        "group.coordinator.threads",
        "4",
        1,
        "Threads of group coordinators; here shards coordinate.",
    ),
    Setting::int(
        "group.coordinator.background.threads",
        "2",
        1,
        "Threads for long work of group coordinators; here shards coordinate.",
    ),
    Setting::int(
        "group.coordinator.cached.buffer.max.bytes",
        "1048588",
        524_288,
        "Largest buffer a coordinator keeps for its next batch.",
    )
    .dynamic(),
    Setting::int(
        "group.coordinator.append.linger.ms",
        "-1",
        -1,
        "How long a coordinator's records gather; -1 adapts.",
    ),
    Setting::int(
        "group.consumer.session.timeout.ms",
        "45000",
        1,
        "Session timeout of a consumer group's members.",
    ).acts(),
    Setting::int(
        "group.consumer.min.session.timeout.ms",
        "45000",
        1,
        "Least session timeout a consumer group can be given.",
    ).acts(),
    Setting::int(
        "group.consumer.max.session.timeout.ms",
        "60000",
        1,
        "Greatest session timeout a consumer group can be given.",
    ).acts(),
    Setting::int(
        "group.consumer.heartbeat.interval.ms",
        "5000",
        1,
        "How often a consumer group's members report.",
    ).acts(),
    Setting::int(
        "group.consumer.min.heartbeat.interval.ms",
        "5000",
        1,
        "Least heartbeat interval a consumer group can be given.",
    ).acts(),
    Setting::int(
        "group.consumer.max.heartbeat.interval.ms",
        "15000",
        1,
        "Greatest heartbeat interval a consumer group can be given.",
    ).acts(),
    Setting::int("group.consumer.max.size", "2147483647", 1, "Most members of a consumer group.").acts(),
    Setting::list(
        "group.consumer.assignors",
        "uniform,range",
        "Ways to assign partitions that members can ask for.",
    ).acts(),
    Setting::string(
        "group.consumer.migration.policy",
        "bidirectional",
        "Whether groups may change between classic and consumer.",
    )
    .one_of(&["bidirectional", "upgrade", "downgrade", "disabled"]).acts(),
    Setting::int(
        "group.consumer.assignment.interval.ms",
        "1000",
        0,
        "Least time between two assignments of a consumer group; here each is made when it is needed.",
    )
    .dynamic(),
    Setting::int(
        "group.consumer.min.assignment.interval.ms",
        "0",
        0,
        "Least assignment interval a consumer group can be given.",
    ),
    Setting::int(
        "group.consumer.max.assignment.interval.ms",
        "15000",
        0,
        "Greatest assignment interval a consumer group can be given.",
    ),
    Setting::boolean(
        "group.consumer.assignor.offload.enable",
        "true",
        "Whether consumer groups are assigned by a thread of their own; here shards do it.",
    )
    .internal()
    .dynamic(),
    Setting::int(
        "group.consumer.regex.refresh.interval.ms",
        "600000",
        10_000,
        "How often subscriptions by pattern are matched anew.",
    ),
    Setting::int("offsets.topic.num.partitions", "50", 1, "Partitions of the committed offsets' topic.").acts(),
    Setting::short("offsets.topic.replication.factor", "3", 1, "Replicas of the committed offsets' topic."),
    Setting::int(
        "offsets.topic.segment.bytes",
        "104857600",
        1,
        "Segment size of the committed offsets' topic.",
    ).acts(),
    Setting::int(
        "offsets.topic.compression.codec",
        "0",
        0,
        "Codec of the committed offsets' topic, by number.",
    )
    .within(0, 4),
    Setting::int("offsets.retention.minutes", "10080", 1, "How long an empty group's offsets are kept.").acts(),
    Setting::long(
        "offsets.retention.check.interval.ms",
        "600000",
        1,
        "How often expired offsets are looked for.",
    ).acts(),
    Setting::int("offsets.load.buffer.size", "5242880", 1, "Memory for reading committed offsets at start."),
    Setting::int("offsets.commit.timeout.ms", "5000", 1, "Longest wait for a commit to reach its replicas."),
    Setting::int("offset.metadata.max.bytes", "4096", 0, "Most bytes of text a commit may carry.").acts(),
    Setting::int(
        "transaction.max.timeout.ms",
        "900000",
        1,
        "Longest transaction timeout a producer may ask for.",
    ),
    Setting::int(
        "transactional.id.expiration.ms",
        "604800000",
        1,
        "How long a silent transactional id is remembered.",
    ),
    Setting::int(
        "transaction.abort.timed.out.transaction.cleanup.interval.ms",
        "10000",
        1,
        "How often overdue transactions are looked for.",
    ),
    Setting::int(
        "transaction.remove.expired.transaction.cleanup.interval.ms",
        "3600000",
        1,
        "How often silent transactional ids are looked for.",
    ),
    Setting::int("transaction.state.log.num.partitions", "50", 1, "Partitions of the transactions' topic."),
    Setting::short(
        "transaction.state.log.replication.factor",
        "3",
        1,
        "Replicas of the transactions' topic.",
    ),
    Setting::int(
        "transaction.state.log.min.isr",
        "2",
        1,
        "Least in-sync replicas of the transactions' topic.",
    ),
    Setting::int(
        "transaction.state.log.segment.bytes",
        "104857600",
        1,
        "Segment size of the transactions' topic.",
    ),
    Setting::int(
        "transaction.state.log.load.buffer.size",
        "5242880",
        1,
        "Memory for reading transactions at start.",
    ),
    Setting::boolean(
        "transaction.partition.verification.enable",
        "true",
        "Whether a partition asks the coordinator before it joins a transaction.",
    )
    .dynamic(),
    Setting::boolean(
        "transaction.two.phase.commit.enable",
        "false",
        "Whether producers may leave a transaction's end to an outer coordinator.",
    ),
    Setting::int(
        "add.partitions.to.txn.retry.backoff.ms",
        "20",
        1,
        "Pause before a partition is added to a transaction again.",
    ),
    Setting::int(
        "add.partitions.to.txn.retry.backoff.max.ms",
        "100",
        0,
        "Longest time a partition is tried to be added to a transaction.",
    ),
    Setting::unset("delegation.token.secret.key", Kind::Password, "Key that signs delegation tokens."),
    Setting::long("delegation.token.max.lifetime.ms", "604800000", 1, "Longest life of a delegation token."),
    Setting::long(
        "delegation.token.expiry.time.ms",
        "86400000",
        1,
        "Time after which a delegation token must be renewed.",
    ),
    Setting::long(
        "delegation.token.expiry.check.interval.ms",
        "3600000",
        1,
        "How often expired delegation tokens are looked for.",
    ),
];
