//! Broker settings of a server in its cluster: identity, controllers, replication, quotas, metrics.

use crate::config::setting::{Kind, Setting};

const NEVER: &str = "9223372036854775807";

pub(super) const ROWS: &[Setting] = &[
    Setting::int(
        "node.id",
        "1",
        0,
        "Server id; clients see it as the node server id × 1000, or its shards as the nodes that follow.",
    )
    .within(0, 2_147_482)
    .acts(),
    Setting::int("broker.id", "-1", -1, "Older name of node.id; -1 when unused.")
        .within(-1, 2_147_482)
        .acts(),
    Setting::unset(
        "broker.rack",
        Kind::String,
        "Where the server stands, for placing replicas and reading nearby.",
    )
    .acts(),
    Setting::list("process.roles", "broker,controller", "What the server does; here always both.")
        .each_of(&["broker", "controller"]),
    Setting::list("controller.quorum.voters", "", "Controllers as id@host:port."),
    Setting::list("controller.quorum.bootstrap.servers", "", "Addresses where controllers can be found."),
    Setting::boolean(
        "controller.quorum.auto.join.enable",
        "false",
        "Whether a controller joins the voters by itself.",
    ),
    Setting::int(
        "controller.quorum.election.timeout.ms",
        "1000",
        0,
        "Longest time without a leader before an election.",
    ),
    Setting::int(
        "controller.quorum.election.backoff.max.ms",
        "1000",
        0,
        "Longest pause after a lost election.",
    ),
    Setting::int(
        "controller.quorum.fetch.timeout.ms",
        "2000",
        0,
        "Longest silence of the leader before an election.",
    ),
    Setting::int(
        "controller.quorum.append.linger.ms",
        "25",
        0,
        "How long metadata records gather before they are written.",
    ),
    Setting::int(
        "controller.quorum.request.timeout.ms",
        "2000",
        0,
        "Longest wait for another controller's answer.",
    ),
    Setting::int(
        "controller.quorum.retry.backoff.ms",
        "20",
        0,
        "Pause before a failed request to a controller is tried again.",
    ),
    Setting::int(
        "controller.quorum.fetch.max.bytes",
        "1048576",
        1,
        "Most bytes of metadata log a controller takes at a time.",
    ),
    Setting::int(
        "controller.quorum.fetch.snapshot.max.bytes",
        "1048576",
        1,
        "Most bytes of a metadata snapshot a controller takes at a time.",
    ),
    Setting::list("controller.listener.names", "CONTROLLER", "Listeners for controllers."),
    Setting::long(
        "controller.performance.sample.period.ms",
        "60000",
        100,
        "How often slow controller events are summed up.",
    ),
    Setting::long(
        "controller.performance.always.log.threshold.ms",
        "2000",
        0,
        "Controller events slower than this are logged.",
    ),
    Setting::int("controller.socket.timeout.ms", "30000", 1, "Longest wait of a controller for a server."),
    Setting::int(
        "initial.broker.registration.timeout.ms",
        "60000",
        1,
        "Longest time a start waits for registration.",
    ),
    Setting::int(
        "broker.heartbeat.interval.ms",
        "2000",
        1,
        "How often a server tells the controller it lives.",
    ),
    Setting::int(
        "broker.session.timeout.ms",
        "9000",
        1,
        "Silence after which the controller takes a server for dead.",
    ),
    Setting::long("server.max.startup.time.ms", NEVER, 0, "Longest time a start may take."),
    Setting::unset(
        "metadata.log.dir",
        Kind::String,
        "Directory of the metadata log; here always in the data directory.",
    ),
    Setting::int("metadata.log.segment.bytes", "1073741824", 8 << 20, "Segment size of the metadata log."),
    Setting::long(
        "metadata.log.segment.ms",
        "604800000",
        0,
        "Age at which the metadata log begins a segment.",
    ),
    Setting::long(
        "metadata.log.max.record.bytes.between.snapshots",
        "20971520",
        1,
        "Bytes of metadata log between two snapshots.",
    ),
    Setting::long(
        "metadata.log.max.snapshot.interval.ms",
        "3600000",
        0,
        "Longest time between two snapshots of the metadata.",
    ),
    Setting::long("metadata.max.retention.bytes", "104857600", -1, "Size from which old metadata log goes."),
    Setting::long("metadata.max.retention.ms", "604800000", -1, "Age from which old metadata log goes."),
    Setting::int("metadata.max.idle.interval.ms", "500", 0, "How often an idle controller writes a no-op."),
    Setting::boolean(
        "auto.leader.rebalance.enable",
        "true",
        "Whether leaderships return to the preferred replicas.",
    ),
    Setting::long(
        "leader.imbalance.check.interval.seconds",
        "300",
        1,
        "How often the balance of leaderships is checked.",
    ),
    Setting::boolean(
        "controlled.shutdown.enable",
        "true",
        "Whether a stopping server hands its leaderships over first.",
    ),
    Setting::int(
        "num.replica.fetchers",
        "1",
        1,
        "Fetchers per source server; here each shard pushes to its followers.",
    )
    .dynamic(),
    Setting::int(
        "replica.fetch.max.bytes",
        "1048576",
        0,
        "Most bytes a follower takes of one partition at a time.",
    ),
    Setting::int("replica.fetch.response.max.bytes", "10485760", 0, "Most bytes a follower takes at a time."),
    Setting::int("replica.fetch.min.bytes", "1", 0, "Fewest bytes a follower waits for."),
    Setting::int("replica.fetch.wait.max.ms", "500", 0, "Longest wait of a follower for new data."),
    Setting::int("replica.fetch.backoff.ms", "1000", 0, "Pause of a follower after an error."),
    Setting::long(
        "replica.high.watermark.checkpoint.interval.ms",
        "5000",
        0,
        "How often high watermarks are noted on disk.",
    ),
    Setting::long(
        "replica.lag.time.max.ms",
        "3000",
        1,
        "Time after which a follower that lags leaves the in-sync replicas.",
    ),
    Setting::int("replica.socket.timeout.ms", "30000", 1, "Longest wait of a follower for its leader."),
    Setting::int(
        "replica.socket.receive.buffer.bytes",
        "65536",
        -1,
        "Kernel receive buffer of a follower's connection.",
    ),
    Setting::boolean(
        "follower.fetch.last.tiered.offset.enable",
        "false",
        "Whether a new follower begins where remote storage ends.",
    )
    .dynamic(),
    Setting::unset(
        "replica.selector.class",
        Kind::String,
        "Class that picks the replica a consumer reads; Java only.",
    ),
    Setting::int("replication.quota.window.num", "11", 1, "Windows kept for replication quotas."),
    Setting::int(
        "replication.quota.window.size.seconds",
        "1",
        1,
        "Length of a window for replication quotas.",
    ),
    Setting::int(
        "alter.log.dirs.replication.quota.window.num",
        "11",
        1,
        "Windows kept for quotas of moves between directories.",
    ),
    Setting::int(
        "alter.log.dirs.replication.quota.window.size.seconds",
        "1",
        1,
        "Length of a window for quotas of moves between directories.",
    ),
    Setting::unset(
        "num.replica.alter.log.dirs.threads",
        Kind::Int,
        "Threads that move replicas between directories.",
    ),
    Setting::long(
        "leader.replication.throttled.rate",
        NEVER,
        0,
        "Bytes a second of throttled replication, leader's side.",
    )
    .dynamic(),
    Setting::long(
        "follower.replication.throttled.rate",
        NEVER,
        0,
        "Bytes a second of throttled replication, follower's side.",
    )
    .dynamic(),
    Setting::long(
        "replica.alter.log.dirs.io.max.bytes.per.second",
        NEVER,
        0,
        "Bytes a second of moves between directories.",
    )
    .dynamic(),
    Setting::int("quota.window.num", "11", 1, "Windows kept for client quotas."),
    Setting::int("quota.window.size.seconds", "1", 1, "Length of a window for client quotas."),
    Setting::int("controller.quota.window.num", "11", 1, "Windows kept for quotas of changes to topics."),
    Setting::int(
        "controller.quota.window.size.seconds",
        "1",
        1,
        "Length of a window for quotas of changes to topics.",
    ),
    Setting::unset(
        "client.quota.callback.class",
        Kind::Class,
        "Class that decides client quotas; Java only.",
    ),
    Setting::list(
        "metric.reporters",
        "org.apache.kafka.common.metrics.JmxReporter",
        "Classes that report metrics; Java only. Here: /metrics.",
    )
    .dynamic(),
    Setting::int("metrics.num.samples", "2", 1, "Samples kept for a metric."),
    Setting::string("metrics.recording.level", "INFO", "Which metrics are recorded.")
        .one_of(&["INFO", "DEBUG", "TRACE"]),
    Setting::long("metrics.sample.window.ms", "30000", 1, "Length of a metric's sample."),
    Setting::list("kafka.metrics.reporters", "", "Classes that report Yammer metrics; Java only."),
    Setting::int("kafka.metrics.polling.interval.secs", "10", 1, "How often Yammer reporters report."),
    Setting::int(
        "telemetry.max.bytes",
        "1048576",
        1,
        "Largest set of metrics a client may push, and what it may inflate to.",
    )
    .acts(),
];
