//! Broker settings of logs, and the defaults of topic configs.

use crate::config::setting::{Kind, Setting};

const NEVER: &str = "9223372036854775807";

pub(super) const ROWS: &[Setting] = &[
    Setting::boolean("auto.create.topics.enable", "true", "Whether asking for an unknown topic's metadata creates it.").acts(),
    Setting::boolean("delete.topic.enable", "true", "Whether topics can be deleted.").acts(),
    Setting::int("num.partitions", "1", 1, "Partitions of a topic that does not say how many.").acts(),
    Setting::int("default.replication.factor", "1", 1, "Replicas of a topic that does not say how many.")
        .within(1, i16::MAX as i64)
        .acts(),
    Setting::int("min.insync.replicas", "1", 1, "Default of the topics' min.insync.replicas.").dynamic(),
    Setting::boolean("unclean.leader.election.enable", "false", "Default of the topics' setting of this name.").dynamic(),
    Setting::int("message.max.bytes", "1048588", 0, "Largest record batch accepted, as sent (compressed).").dynamic().acts(),
    Setting::int(
        "max.decompressed.message.bytes",
        "2147483639",
        1,
        "Default of the topics' max.decompressed.message.bytes.",
    )
    .within(1, 2_147_483_639)
    .dynamic()
    .acts(),
    Setting::string("compression.type", "producer", "Default of the topics' compression.type.")
        .one_of(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"])
        .dynamic()
        .acts(),
    Setting::int("compression.gzip.level", "-1", -1, "Default of the topics' compression.gzip.level.")
        .one_of(&["-1", "1", "2", "3", "4", "5", "6", "7", "8", "9"])
        .dynamic()
        .acts(),
    Setting::int("compression.lz4.level", "9", 1, "Default of the topics' compression.lz4.level.").within(1, 17).dynamic(),
    Setting::int("compression.zstd.level", "3", -131_072, "Default of the topics' compression.zstd.level.")
        .within(-131_072, 22)
        .dynamic()
        .acts(),
    Setting::list("log.dir", "./ringmain-data", "Data directory, when log.dirs does not name it.").acts(),
    Setting::unset("log.dirs", Kind::List, "Data directory (one; Kafka allows a list).").acts(),
    Setting::int("log.segment.bytes", "1073741824", 1 << 20, "Default of the topics' segment.bytes.").dynamic().acts(),
    Setting::unset("log.roll.ms", Kind::Long, "Default of the topics' segment.ms; unset, log.roll.hours counts.")
        .within(1, i64::MAX)
        .dynamic()
        .acts(),
    Setting::int("log.roll.hours", "168", 1, "Default of the topics' segment.ms, in hours.").acts(),
    Setting::unset("log.roll.jitter.ms", Kind::Long, "Default of the topics' segment.jitter.ms.")
        .within(0, i64::MAX)
        .dynamic().acts(),
    Setting::int("log.roll.jitter.hours", "0", 0, "Default of the topics' segment.jitter.ms, in hours.").acts(),
    Setting::unset("log.retention.ms", Kind::Long, "Default of the topics' retention.ms; -1 keeps for ever.")
        .within(-1, i64::MAX)
        .dynamic()
        .acts(),
    Setting::unset("log.retention.minutes", Kind::Int, "Default of the topics' retention.ms, in minutes.")
        .within(-1, i32::MAX as i64)
        .acts(),
    Setting::int("log.retention.hours", "168", -1, "Default of the topics' retention.ms, in hours.").acts(),
    Setting::long("log.retention.bytes", "-1", -1, "Default of the topics' retention.bytes; -1 is no limit.").dynamic().acts(),
    Setting::long("log.retention.check.interval.ms", "300000", 1, "How often segments are checked for retention.").acts(),
    Setting::long("log.local.retention.ms", "-2", -2, "Default of the topics' local.retention.ms.").dynamic(),
    Setting::long("log.local.retention.bytes", "-2", -2, "Default of the topics' local.retention.bytes.").dynamic(),
    Setting::long("log.remote.copy.lag.bytes", "-1", -1, "Default of the topics' remote.copy.lag.bytes.").dynamic(),
    Setting::long("log.remote.copy.lag.ms", "0", -1, "Default of the topics' remote.copy.lag.ms.").dynamic(),
    Setting::list("log.cleanup.policy", "delete", "Default of the topics' cleanup.policy.")
        .each_of(&["compact", "delete"])
        .dynamic()
        .acts(),
    Setting::boolean("log.cleaner.enable", "true", "Whether topics with cleanup.policy=compact are compacted.").acts(),
    Setting::int("log.cleaner.threads", "1", 0, "Threads that compact; here every shard compacts its own.").dynamic(),
    Setting::double(
        "log.cleaner.io.max.bytes.per.second",
        "1.7976931348623157E308",
        (0.0, f64::MAX),
        "Bytes a second that compaction may read and write, over all shards; a GiB at most, and less while producers are busy.",
    )
    .dynamic()
    .acts(),
    Setting::long("log.cleaner.dedupe.buffer.size", "134217728", 0, "Memory for compaction's maps of keys, over all shards.").dynamic().acts(),
    Setting::int("log.cleaner.io.buffer.size", "524288", 0, "Memory for compaction's reads and writes.").dynamic(),
    Setting::double("log.cleaner.io.buffer.load.factor", "0.9", (0.0, 1.0), "How full compaction's map of keys may get.")
        .dynamic(),
    Setting::long("log.cleaner.backoff.ms", "15000", 0, "Pause of compaction when nothing needs it.").dynamic().acts(),
    Setting::double("log.cleaner.min.cleanable.ratio", "0.5", (0.0, 1.0), "Default of min.cleanable.dirty.ratio.").dynamic().acts(),
    Setting::long("log.cleaner.delete.retention.ms", "86400000", 0, "Default of the topics' delete.retention.ms.").dynamic().acts(),
    Setting::long("log.cleaner.min.compaction.lag.ms", "0", 0, "Default of the topics' min.compaction.lag.ms.").dynamic().acts(),
    Setting::long("log.cleaner.max.compaction.lag.ms", NEVER, 1, "Default of the topics' max.compaction.lag.ms.").dynamic().acts(),
    Setting::int("log.index.size.max.bytes", "10485760", 4, "Default of the topics' segment.index.bytes.").dynamic(),
    Setting::int("log.index.interval.bytes", "4096", 0, "Default of the topics' index.interval.bytes.").dynamic().acts(),
    Setting::long(
        "log.flush.interval.messages",
        "1",
        1,
        "Default of the topics' flush.messages. 1, the default here, syncs before each acknowledgement; Kafka's own default \
         leaves syncing to the kernel.",
    )
    .dynamic()
    .acts(),
    Setting::unset("log.flush.interval.ms", Kind::Long, "Default of the topics' flush.ms.")
        .within(0, i64::MAX)
        .dynamic()
        .acts(),
    Setting::long("log.flush.scheduler.interval.ms", NEVER, 0, "The topics' flush.ms when log.flush.interval.ms is unset.").acts(),
    Setting::int("log.flush.offset.checkpoint.interval.ms", "60000", 0, "How often the recovery point is noted."),
    Setting::int("log.flush.start.offset.checkpoint.interval.ms", "60000", 0, "How often the log start is noted."),
    Setting::long("log.segment.delete.delay.ms", "60000", 0, "Default of the topics' file.delete.delay.ms.").dynamic(),
    Setting::boolean("log.preallocate", "false", "Default of the topics' preallocate.").dynamic(),
    Setting::string("log.message.timestamp.type", "CreateTime", "Default of the topics' message.timestamp.type.")
        .one_of(&["CreateTime", "LogAppendTime"])
        .dynamic()
        .acts(),
    Setting::long("log.message.timestamp.before.max.ms", NEVER, 0, "Default of message.timestamp.before.max.ms.")
        .dynamic()
        .acts(),
    Setting::long("log.message.timestamp.after.max.ms", "3600000", 0, "Default of message.timestamp.after.max.ms.")
        .dynamic()
        .acts(),
    Setting::list("cordoned.log.dirs", "", "Directories that get no new partitions; here there is one directory.").dynamic(),
    Setting::long("log.initial.task.delay.ms", "30000", 0, "Delay after start before logs are cleaned and flushed by time."),
    Setting::long("log.dir.failure.timeout.ms", "30000", 1, "How long a failed directory may go unreported to the controller."),
    Setting::int("num.recovery.threads.per.data.dir", "2", 1, "Threads that recover logs at start; here every shard recovers.").dynamic(),
    Setting::int("producer.id.expiration.ms", "86400000", 1, "How long a silent idempotent producer is remembered.").dynamic().acts(),
    Setting::int("producer.id.expiration.check.interval.ms", "600000", 1, "How often silent producers are looked for."),
    Setting::unset("create.topic.policy.class.name", Kind::Class, "Class that judges new topics; Java only."),
    Setting::unset("alter.config.policy.class.name", Kind::Class, "Class that judges changed configs; Java only."),
];
