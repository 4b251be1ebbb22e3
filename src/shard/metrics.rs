//! What a shard shows of itself: counters, levels, and a row for each number.
//!
//! Rooms bump the counters, and each fills in its own levels when somebody asks; the spine puts them together. How a number is
//! named and explained to whoever runs a server is said here and nowhere else.

use crate::base::metrics::Metric;

/// Counters of storage.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LogCounters {
    pub batches_appended: u64,
    pub bytes_appended: u64,
    pub records_appended: u64,
    /// Batches that were refused, for any reason except that they were duplicates.
    pub batches_refused: u64,
    /// Batches that a producer sent again although they were appended already.
    pub batches_duplicate: u64,
    /// Batches whose records were inflated before they were appended, and the bytes they inflated to.
    pub batches_inflated: u64,
    pub inflated_bytes: u64,
    /// Batches stored in another codec than they came in.
    pub batches_recompressed: u64,
    pub commit_groups: u64,
    /// Bytes written to the commit log: whole blocks, padding included.
    pub commit_bytes: u64,
    /// Runs that went directly to their segment.
    pub direct_runs: u64,
    pub direct_bytes: u64,
    pub segment_writes: u64,
    pub segment_syncs: u64,
    /// Syncs of everything, which many segments shared.
    pub syncs_of_all: u64,
    pub checkpoints: u64,
    /// Segments deleted by retention and DeleteRecords.
    pub segments_deleted: u64,
    /// Segments begun in an old segment's file.
    pub segments_recycled: u64,
    /// Compaction rounds, and those that ended with a segment that cannot be read.
    pub compactions: u64,
    pub compactions_failed: u64,
    pub scrub_passes: u64,
    pub scrub_segments: u64,
    pub scrub_bytes: u64,
    pub scrub_damaged: u64,
    /// Bytes that compaction left out.
    pub compacted_bytes: u64,
    pub fetches_from_memory: u64,
    pub cold_reads: u64,
    /// Reads that found their bytes in the cache, or already being read for another reader.
    pub read_cache_hits: u64,
    pub cold_read_bytes: u64,
    /// Reads whose bytes did not match their checksum.
    pub corrupt_reads: u64,
    /// Indexes whose entries did not lead to the batches they named, and that were built again.
    pub indexes_mended: u64,
    /// Chunk bytes freed because their segments have them.
    pub evicted_bytes: u64,
}

pub static COUNTERS: [Metric<LogCounters>; 32] = [
    Metric::counter("ringmain_compactions_total", "Compaction rounds.", |it| it.compactions),
    Metric::counter(
        "ringmain_compactions_failed_total",
        "Compaction rounds that ended with a segment that cannot be read.",
        |it| it.compactions_failed,
    ),
    Metric::counter("ringmain_compacted_bytes_total", "Bytes that compaction left out.", |it| {
        it.compacted_bytes
    }),
    Metric::counter(
        "ringmain_scrub_passes_total",
        "Passes of scrubbing that have verified every finished segment.",
        |it| it.scrub_passes,
    ),
    Metric::counter("ringmain_scrub_segments_total", "Segments verified by scrubbing.", |it| {
        it.scrub_segments
    }),
    Metric::counter("ringmain_scrub_bytes_total", "Bytes verified by scrubbing.", |it| it.scrub_bytes),
    Metric::counter("ringmain_scrub_damaged_total", "Segments that scrubbing found damaged.", |it| {
        it.scrub_damaged
    }),
    Metric::counter(
        "ringmain_segments_deleted_total",
        "Segments deleted by retention and DeleteRecords.",
        |it| it.segments_deleted,
    ),
    Metric::counter(
        "ringmain_segments_recycled_total",
        "Segments begun in the file of an old one of their partition.",
        |it| it.segments_recycled,
    ),
    Metric::counter("ringmain_records_appended_total", "Records appended.", |it| it.records_appended),
    Metric::counter("ringmain_batches_appended_total", "Record batches appended.", |it| it.batches_appended),
    Metric::counter("ringmain_appended_bytes_total", "Bytes of record batches appended.", |it| {
        it.bytes_appended
    }),
    Metric::counter(
        "ringmain_batches_inflated_total",
        "Record batches whose compressed records were read before they were appended.",
        |it| it.batches_inflated,
    ),
    Metric::counter("ringmain_inflated_bytes_total", "What these batches' records inflated to.", |it| {
        it.inflated_bytes
    }),
    Metric::counter(
        "ringmain_batches_recompressed_total",
        "Record batches stored in another codec than they came in (compression.type).",
        |it| it.batches_recompressed,
    ),
    Metric::counter("ringmain_batches_refused_total", "Record batches not appended.", |it| {
        it.batches_refused
    }),
    Metric::counter(
        "ringmain_batches_duplicate_total",
        "Batches sent again that were there already.",
        |it| it.batches_duplicate,
    ),
    Metric::counter("ringmain_commit_groups_total", "Groups written to the commit log.", |it| {
        it.commit_groups
    }),
    Metric::counter(
        "ringmain_commit_bytes_total",
        "Bytes written to the commit log, padding included.",
        |it| it.commit_bytes,
    ),
    Metric::counter("ringmain_direct_runs_total", "Runs written straight to their segment.", |it| {
        it.direct_runs
    }),
    Metric::counter("ringmain_direct_bytes_total", "Bytes written straight to their segment.", |it| {
        it.direct_bytes
    }),
    Metric::counter("ringmain_segment_writes_total", "Writes to segment files.", |it| it.segment_writes),
    Metric::counter("ringmain_segment_syncs_total", "Syncs of segment files.", |it| it.segment_syncs),
    Metric::counter(
        "ringmain_syncs_of_all_total",
        "Syncs of the whole data directory, for many segments.",
        |it| it.syncs_of_all,
    ),
    Metric::counter("ringmain_checkpoints_total", "Checkpoints taken.", |it| it.checkpoints),
    Metric::counter("ringmain_fetches_from_memory_total", "Fetches answered from memory.", |it| {
        it.fetches_from_memory
    }),
    Metric::counter(
        "ringmain_read_cache_hits_total",
        "Readers of segments for whom the disk was not asked again.",
        |it| it.read_cache_hits,
    ),
    Metric::counter("ringmain_cold_reads_total", "Reads of segments from disk.", |it| it.cold_reads),
    Metric::counter("ringmain_cold_read_bytes_total", "Bytes read from segments on disk.", |it| {
        it.cold_read_bytes
    }),
    Metric::counter(
        "ringmain_corrupt_reads_total",
        "Reads whose bytes did not match their checksum.",
        |it| it.corrupt_reads,
    ),
    Metric::counter("ringmain_indexes_mended_total", "Indexes that led astray and were made anew.", |it| {
        it.indexes_mended
    }),
    Metric::counter("ringmain_evicted_bytes_total", "Bytes of tails let go from memory.", |it| {
        it.evicted_bytes
    }),
];

/// Levels, not counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShardGauges {
    pub partitions: usize,
    /// Idempotent producers remembered, at most.
    pub producers: usize,
    pub fetches_waiting: usize,
    pub commit_pending_bytes: usize,
    pub commit_files: usize,
    pub commit_files_free: usize,
    /// Segment writes that the commit log covers, and what they need, handed out and not done.
    pub writeback_waiting: usize,
    pub chunk_bytes: usize,
    /// Memory of what was read from segments, in the cache or in answers.
    pub read_cache_bytes: usize,
    /// Memory of the indexes of finished segments.
    pub index_bytes: usize,
    /// Segments that the scrubbing pass under way has yet to verify.
    pub scrub_left: usize,
    /// Offsets refused to readers because they are damaged or gone.
    pub quarantined: u64,
    /// Old segments' files kept to be used again.
    pub spares: usize,
    pub spare_bytes: u64,
    pub groups: usize,
    pub group_members: usize,
}

pub static GAUGES: [Metric<ShardGauges>; 16] = [
    Metric::gauge(
        "ringmain_spare_segments",
        "Files of old segments kept to be used again, one of a busy partition at most.",
        |it| it.spares as u64,
    ),
    Metric::gauge("ringmain_spare_segment_bytes", "What these take of the disk.", |it| it.spare_bytes),
    Metric::gauge(
        "ringmain_quarantined_offsets",
        "Offsets refused to readers because they are damaged or gone.",
        |it| it.quarantined,
    ),
    Metric::gauge(
        "ringmain_scrub_segments_left",
        "Segments that the scrubbing pass under way has yet to verify.",
        |it| it.scrub_left as u64,
    ),
    Metric::gauge("ringmain_partitions", "Partitions this shard owns.", |it| it.partitions as u64),
    Metric::gauge(
        "ringmain_producers",
        "Idempotent producers remembered, by all logs together, at most.",
        |it| it.producers as u64,
    ),
    Metric::gauge("ringmain_fetch_waiters", "Fetches waiting for data.", |it| it.fetches_waiting as u64),
    Metric::gauge("ringmain_groups", "Groups coordinated by this shard.", |it| it.groups as u64),
    Metric::gauge("ringmain_group_members", "Members of the groups this shard coordinates.", |it| {
        it.group_members as u64
    }),
    Metric::gauge("ringmain_commit_pending_bytes", "Appended and not yet handed to the commit log.", |it| {
        it.commit_pending_bytes as u64
    }),
    Metric::gauge("ringmain_commit_files", "Files of the commit log.", |it| it.commit_files as u64),
    Metric::gauge("ringmain_commit_files_free", "Files of the commit log that hold nothing needed.", |it| {
        it.commit_files_free as u64
    }),
    Metric::gauge(
        "ringmain_writeback_waiting",
        "Background writes to segments, with their files and blocks, not done yet.",
        |it| it.writeback_waiting as u64,
    ),
    Metric::memory("chunks", |it| it.chunk_bytes as u64),
    Metric::memory("read_cache", |it| it.read_cache_bytes as u64),
    Metric::memory("indexes", |it| it.index_bytes as u64),
];
