//! Broker settings that Kafka does not have.

use crate::config::setting::{Kind, Setting};

pub(super) const ROWS: &[Setting] = &[
    Setting::string("ringmain.admin", "127.0.0.1:9644", "Address that serves /healthz, /readyz and /metrics.").acts(),
    Setting::string(
        "ringmain.advertise.view",
        "auto",
        "How Metadata shows this server: a node per shard to connections that name their node and one node to all others \
         (auto), a node per shard at a port of its own (shard-ports), one node (server), or a node per shard at one port \
         (shards).",
    )
    .one_of(&["auto", "shard-ports", "server", "shards"])
    .acts(),
    Setting::unset(
        "ringmain.advertise.host",
        Kind::String,
        "Host name told to clients, or HOST:PORT; unset, each is told the address it connected to.",
    )
    .acts(),
    Setting::int(
        "ringmain.advertise.nodes.max",
        "128",
        1,
        "Clusters that would show more nodes than this show one per server: some clients keep a thread per node.",
    )
    .acts(),
    Setting::string(
        "ringmain.shards",
        "all",
        "A number of shards, or the CPUs to run one on each (0,2,4-7; a CPU named twice runs two), or all.",
    )
    .acts(),
    Setting::long(
        "ringmain.memory.bytes",
        "0",
        0,
        "Memory for data in flight and in cache, over all shards; 0 takes a quarter of the machine's, at most 4 GiB.",
    )
    .acts(),
    Setting::long("ringmain.commit.file.bytes", "33554432", 4 << 20, "Size of a commit log file.")
        .within(4 << 20, 1 << 30)
        .acts(),
    Setting::int(
        "ringmain.commit.files.max",
        "32",
        3,
        "Commit log files per shard; how many come into being depends on how many partitions are written to.",
    )
    .within(3, 1024)
    .acts(),
    Setting::int(
        "ringmain.direct.run.bytes",
        "65536",
        4096,
        "A partition with this much waiting is written straight to its segment instead of through the commit log.",
    )
    .within(4096, 1 << 30)
    .acts(),
    Setting::int("ringmain.chunk.bytes", "262144", 4096, "Memory block of a partition's tail; rounded up to 4096.")
        .within(4096, 4 << 20)
        .acts(),
    Setting::boolean(
        "ringmain.segment.recycle",
        "true",
        "Whether a partition that fills its segments within minutes writes the next one into the file of one that retention \
         has taken, which costs the disk less; it keeps one such file, as large as a segment.",
    )
    .acts(),
    Setting::long(
        "ringmain.disk.reserve.bytes",
        "-1",
        -1,
        "Free space below which producing is refused, so that all else goes on; -1 takes a twentieth of the disk, at most 1 GiB.",
    )
    .acts(),
    Setting::long(
        "ringmain.scrub.period.ms",
        "1209600000",
        -1,
        "How often every finished segment is read and verified; -1 is never.",
    )
    .acts(),
    Setting::long("ringmain.scrub.bytes.per.second", "16777216", 1, "Read at most for that, over all shards.").acts(),
    Setting::string(
        "ringmain.validate.records",
        "all",
        "Default of the topics' ringmain.validate.records.",
    )
    .one_of(&["all", "uncompressed", "none"])
    .dynamic()
    .acts(),
    Setting::int(
        "ringmain.inflated.batch.max.bytes",
        "67108864",
        1 << 20,
        "Most bytes the records of one batch may take, decompressed; a batch of more is refused, because whoever reads it \
         inflates it whole. Readers, compaction and tools inflate up to the largest value.",
    )
    .within(1 << 20, 1 << 28)
    .acts(),
    Setting::int("ringmain.groups.max", "100000", 1, "Most groups the server coordinates, over all shards.").acts(),
    Setting::int("ringmain.partitions.max", "100000", 1, "Most partitions of all topics together.").acts(),
    Setting::int("ringmain.topic.partitions.max", "10000", 1, "Most partitions of one topic.").acts(),
    Setting::long(
        "ringmain.fence.closed.ms",
        "1000",
        1,
        "How long a server whose connection to the controller was closed may be silent before it is taken for gone.",
    ),
    Setting::string("ringmain.quorum.voters", "auto", "How many servers vote at most; auto is 3.")
        .one_of(&["auto", "1", "3", "5"]),
    Setting::string(
        "ringmain.drain",
        "none",
        "What is taken off a server: leaderships for maintenance, or replicas before it is removed.",
    )
    .one_of(&["none", "leaderships", "replicas"])
    .dynamic(),
];
