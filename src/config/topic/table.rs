//! The table of topic configs.

use crate::config::setting::{ConfigError, Setting};

const NEVER: &str = "9223372036854775807";

/// A topic config and the broker settings it inherits from, strongest first.
pub(super) struct Row {
    pub setting: Setting,
    pub inherits: &'static [Inherit],
}

/// A broker setting, and the number of the topic config's units in one unit of the setting.
pub(super) type Inherit = (&'static str, i64);

const fn row(inherits: &'static [Inherit], setting: Setting) -> Row {
    Row { setting: setting.dynamic(), inherits }
}

/// Largest array that Java can allocate, which is Kafka's limit.
const DECOMPRESSED_RECORD_BYTES_MAX: i64 = 2_147_483_639;
const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// Every topic config of Kafka 4.4 and ours, by name.
pub(super) static ROWS: [Row; 38] = [
    row(
        &[("log.cleanup.policy", 1)],
        Setting::list(
            "cleanup.policy",
            "delete",
            "What happens to old segments: delete drops them by age and size, compact keeps the last record of each key; \
             both may be named.",
        )
        .each_of(&["compact", "delete"])
        .acts(),
    ),
    row(
        &[("compression.gzip.level", 1)],
        Setting::int("compression.gzip.level", "-1", -1, "Level for gzip where the server compresses; -1 is gzip's own.")
            .one_of(&["-1", "1", "2", "3", "4", "5", "6", "7", "8", "9"])
            .acts(),
    ),
    row(
        &[("compression.lz4.level", 1)],
        Setting::int("compression.lz4.level", "9", 1, "Level for lz4 where the server compresses.").within(1, 17),
    ),
    row(
        &[("compression.type", 1)],
        Setting::string(
            "compression.type",
            "producer",
            "Codec of stored batches; producer keeps batches as they came. Others are compressed anew when they come, \
             which costs the server's processor time.",
        )
        .one_of(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"])
        .acts(),
    ),
    row(
        &[("compression.zstd.level", 1)],
        Setting::int("compression.zstd.level", "3", -131_072, "Level for zstd where the server compresses.")
            .within(-131_072, 22)
            .acts(),
    ),
    row(
        &[("log.cleaner.delete.retention.ms", 1)],
        Setting::long("delete.retention.ms", "86400000", 0, "How long compaction keeps the marker of a deleted key.").acts(),
    ),
    row(
        &[],
        Setting::boolean(
            "errors.deadletterqueue.group.enable",
            "false",
            "Whether share groups may write the records they give up to this topic.",
        ),
    ),
    row(
        &[("log.segment.delete.delay.ms", 1)],
        Setting::long("file.delete.delay.ms", "60000", 0, "How long a dropped segment's files stay on disk."),
    ),
    row(
        &[("log.flush.interval.messages", 1)],
        Setting::long(
            "flush.messages",
            "1",
            1,
            "Records a partition may acknowledge before they are synced. 1, the default here, syncs before each \
             acknowledgement.",
        )
        .acts(),
    ),
    row(
        &[("log.flush.interval.ms", 1), ("log.flush.scheduler.interval.ms", 1)],
        Setting::long("flush.ms", NEVER, 0, "Longest time an acknowledged record may wait for its sync.").acts(),
    ),
    row(
        &[],
        Setting::list(
            "follower.replication.throttled.replicas",
            "",
            "Replicas whose catching up is throttled on the follower, as partition:broker pairs, or *.",
        )
        .throttled_replicas(),
    ),
    row(
        &[("log.index.interval.bytes", 1)],
        Setting::int("index.interval.bytes", "4096", 0, "Bytes of log between two entries of its offset index.").acts(),
    ),
    row(
        &[],
        Setting::list(
            "leader.replication.throttled.replicas",
            "",
            "Replicas whose catching up is throttled on the leader, as partition:broker pairs, or *.",
        )
        .throttled_replicas(),
    ),
    row(
        &[("log.local.retention.bytes", 1)],
        Setting::long(
            "local.retention.bytes",
            "-2",
            -2,
            "Bytes kept on local disk of a topic with remote storage; -2 means as retention.bytes.",
        ),
    ),
    row(
        &[("log.local.retention.ms", 1)],
        Setting::long(
            "local.retention.ms",
            "-2",
            -2,
            "Time records stay on local disk of a topic with remote storage; -2 means as retention.ms.",
        ),
    ),
    row(
        &[("log.cleaner.max.compaction.lag.ms", 1)],
        Setting::long("max.compaction.lag.ms", NEVER, 1, "Longest time a record escapes compaction.").acts(),
    ),
    row(
        &[("max.decompressed.message.bytes", 1)],
        Setting::int(
            "max.decompressed.message.bytes",
            "2147483639",
            1,
            "Largest single record of a compressed batch that is accepted, decompressed.",
        )
        .within(1, DECOMPRESSED_RECORD_BYTES_MAX)
        .acts(),
    ),
    row(
        &[("message.max.bytes", 1)],
        Setting::int("max.message.bytes", "1048588", 0, "Largest record batch accepted, as sent and as stored.").acts(),
    ),
    row(
        &[("log.message.timestamp.after.max.ms", 1)],
        Setting::long(
            "message.timestamp.after.max.ms",
            "3600000",
            0,
            "How far ahead of the server's clock a record's timestamp may be.",
        )
        .acts(),
    ),
    row(
        &[("log.message.timestamp.before.max.ms", 1)],
        Setting::long(
            "message.timestamp.before.max.ms",
            NEVER,
            0,
            "How far behind the server's clock a record's timestamp may be.",
        )
        .acts(),
    ),
    row(
        &[("log.message.timestamp.type", 1)],
        Setting::string(
            "message.timestamp.type",
            "CreateTime",
            "Whose time a record carries: the producer's (CreateTime) or the server's (LogAppendTime).",
        )
        .one_of(&["CreateTime", "LogAppendTime"])
        .acts(),
    ),
    row(
        &[("log.cleaner.min.cleanable.ratio", 1)],
        Setting::double(
            "min.cleanable.dirty.ratio",
            "0.5",
            (0.0, 1.0),
            "Share of uncompacted log from which compaction is worth its work.",
        )
        .acts(),
    ),
    row(
        &[("log.cleaner.min.compaction.lag.ms", 1)],
        Setting::long("min.compaction.lag.ms", "0", 0, "Shortest time a record is kept from compaction.").acts(),
    ),
    row(
        &[("min.insync.replicas", 1)],
        Setting::int(
            "min.insync.replicas",
            "1",
            1,
            "Replicas that must be in sync for a produce with acks=all to be taken.",
        ),
    ),
    row(
        &[("log.preallocate", 1)],
        Setting::boolean("preallocate", "false", "Whether segment files take their full space when created."),
    ),
    row(
        &[("log.remote.copy.lag.bytes", 1)],
        Setting::long(
            "remote.copy.lag.bytes",
            "-1",
            -1,
            "Bytes of newer log from which a segment is copied to remote storage; -1 goes by local.retention.bytes.",
        ),
    ),
    row(
        &[("log.remote.copy.lag.ms", 1)],
        Setting::long(
            "remote.copy.lag.ms",
            "0",
            -1,
            "Age from which a segment is copied to remote storage; -1 goes by local.retention.ms.",
        ),
    ),
    row(
        &[],
        Setting::boolean(
            "remote.log.copy.disable",
            "false",
            "Stops copying segments to remote storage; what is there stays readable.",
        ),
    ),
    row(
        &[],
        Setting::boolean(
            "remote.log.delete.on.disable",
            "false",
            "Deletes what is in remote storage once remote storage is turned off for the topic.",
        ),
    ),
    row(&[], Setting::boolean("remote.storage.enable", "false", "Whether old segments move to remote storage.")),
    row(
        &[("log.retention.bytes", 1)],
        Setting::long("retention.bytes", "-1", -1, "Size from which a partition's oldest segments go; -1 is no limit.").acts(),
    ),
    row(
        &[("log.retention.ms", 1), ("log.retention.minutes", MINUTE_MS), ("log.retention.hours", HOUR_MS)],
        Setting::long("retention.ms", "604800000", -1, "Age from which segments go; -1 is no limit.").acts(),
    ),
    row(
        &[("ringmain.validate.records", 1)],
        Setting::string(
            "ringmain.validate.records",
            "all",
            "What is read of a batch before it is taken: its records too (all), those of uncompressed batches only \
             (uncompressed), or the header and the checksum (none).",
        )
        .one_of(&["all", "uncompressed", "none"])
        .acts(),
    ),
    row(
        &[("log.segment.bytes", 1)],
        Setting::int("segment.bytes", "1073741824", 1 << 20, "Size at which a segment is closed and the next begun.")
            .acts(),
    ),
    row(
        &[("log.index.size.max.bytes", 1)],
        Setting::int("segment.index.bytes", "10485760", 4, "Largest size of a segment's offset index."),
    ),
    row(
        &[("log.roll.jitter.ms", 1), ("log.roll.jitter.hours", HOUR_MS)],
        Setting::long("segment.jitter.ms", "0", 0, "Random time taken off segment.ms, so that partitions do not roll at once.").acts(),
    ),
    row(
        &[("log.roll.ms", 1), ("log.roll.hours", HOUR_MS)],
        Setting::long("segment.ms", "604800000", 1, "Age at which a segment is closed even when not full.").acts(),
    ),
    row(
        &[("unclean.leader.election.enable", 1)],
        Setting::boolean(
            "unclean.leader.election.enable",
            "false",
            "Whether a replica that may lack acknowledged records can become leader when no other is left.",
        ),
    ),
];

/// Every topic config, by name.
pub fn settings() -> impl Iterator<Item = &'static Setting> {
    ROWS.iter().map(|row| &row.setting)
}

/// The topic config of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Setting> {
    find_row(name).map(|row| &row.setting)
}

pub(super) fn find_row(name: &str) -> Option<&'static Row> {
    ROWS.binary_search_by(|row| row.setting.name.cmp(name)).ok().map(|index| &ROWS[index])
}

/// Checks one config as a client wrote it.
///
/// # Errors
/// For an unknown name or a value out of range.
pub fn validate(name: &str, value: &str) -> Result<(), ConfigError> {
    find(name).ok_or_else(|| ConfigError::UnknownTopicConfig(name.to_owned()))?.check(value)
}
