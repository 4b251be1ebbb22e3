//! Levels of what a shard holds. Each room fills in its own; the spine puts them together.

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
