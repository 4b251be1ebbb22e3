//! Sizes that a log goes by.

/// What all logs of a shard go by.
#[derive(Clone, Copy, Debug)]
pub struct LogLimits {
    /// A batch of at least this many bytes goes straight to its segment.
    pub direct_run_bytes: usize,
    /// Largest regular chunk.
    pub chunk_bytes_max: usize,
    /// Allocated when a segment's file is created for a direct run.
    pub create_allocate_bytes: u64,
    /// Marks of a segment that is still being appended to are written each time it has grown by this much: after a crash,
    /// lookups begin at most so far ahead of what they seek, or what is released at once.
    pub marks_step_bytes: u64,
}
