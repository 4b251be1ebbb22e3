//! Broker settings of remote storage for old segments. This version has no remote storage.

use crate::config::setting::{Kind, Setting};

const NEVER: &str = "9223372036854775807";

pub(super) const ROWS: &[Setting] = &[
    Setting::boolean(
        "remote.log.storage.system.enable",
        "false",
        "Whether old segments can move to remote storage.",
    ),
    Setting::unset(
        "remote.log.storage.manager.class.name",
        Kind::String,
        "Class that keeps segments; Java only.",
    ),
    Setting::unset(
        "remote.log.storage.manager.class.path",
        Kind::String,
        "Where that class is found; Java only.",
    ),
    Setting::string(
        "remote.log.storage.manager.impl.prefix",
        "rsm.config.",
        "How that class's own settings begin.",
    ),
    Setting::string(
        "remote.log.metadata.manager.class.name",
        "org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager",
        "Class that keeps what is known of remote segments; Java only.",
    ),
    Setting::unset(
        "remote.log.metadata.manager.class.path",
        Kind::String,
        "Where that class is found; Java only.",
    ),
    Setting::string(
        "remote.log.metadata.manager.impl.prefix",
        "rlmm.config.",
        "How that class's own settings begin.",
    ),
    Setting::unset(
        "remote.log.metadata.manager.listener.name",
        Kind::String,
        "Listener that class connects to.",
    ),
    Setting::int(
        "remote.log.metadata.custom.metadata.max.bytes",
        "128",
        0,
        "Most bytes the storage may note of a segment.",
    ),
    Setting::int("remote.log.reader.threads", "10", 1, "Threads that read remote storage.").dynamic(),
    Setting::int("remote.log.reader.max.pending.tasks", "100", 1, "Reads of remote storage that may wait."),
    Setting::int("remote.log.manager.thread.pool.size", "2", 1, "Threads that look after remote segments."),
    Setting::int(
        "remote.log.manager.copier.thread.pool.size",
        "10",
        1,
        "Threads that copy to remote storage.",
    )
    .dynamic(),
    Setting::int(
        "remote.log.manager.expiration.thread.pool.size",
        "10",
        1,
        "Threads that delete expired remote segments.",
    )
    .dynamic(),
    Setting::int(
        "remote.log.manager.follower.thread.pool.size",
        "2",
        1,
        "Threads that follow remote segments.",
    )
    .dynamic(),
    Setting::long(
        "remote.log.manager.task.interval.ms",
        "30000",
        1,
        "How often segments are moved to remote storage.",
    ),
    Setting::long(
        "remote.log.index.file.cache.total.size.bytes",
        "1073741824",
        1,
        "Disk space for remote segments' indexes.",
    )
    .dynamic(),
    Setting::long(
        "remote.log.manager.copy.max.bytes.per.second",
        NEVER,
        1,
        "Bytes a second copied to remote storage.",
    )
    .dynamic(),
    Setting::int(
        "remote.log.manager.copy.quota.window.num",
        "11",
        1,
        "Windows kept for that quota of copying.",
    ),
    Setting::int("remote.log.manager.copy.quota.window.size.seconds", "1", 1, "Length of such a window."),
    Setting::long(
        "remote.log.manager.fetch.max.bytes.per.second",
        NEVER,
        1,
        "Bytes a second read from remote storage.",
    )
    .dynamic(),
    Setting::int(
        "remote.log.manager.fetch.quota.window.num",
        "11",
        1,
        "Windows kept for that quota of reading.",
    ),
    Setting::int("remote.log.manager.fetch.quota.window.size.seconds", "1", 1, "Length of such a window."),
    Setting::int("remote.fetch.max.wait.ms", "500", 1, "Longest wait of a fetch for remote storage.")
        .dynamic(),
    Setting::long(
        "remote.list.offsets.request.timeout.ms",
        "30000",
        1,
        "Longest wait of a lookup of offsets for remote storage.",
    )
    .dynamic(),
];
