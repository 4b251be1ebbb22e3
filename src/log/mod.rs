//! One partition's log: segments, indexes, leader epochs, producer state, what is durable; pure.
//!
//! Lives on the shard that owns the partition. Decides what is written where ([`LogEffects`]) and folds completions
//! back; knows no file, no clock, and of the commit log only that bytes handed to it come back durable.
//!
//! A segment file is Kafka's own: record batches back to back, byte-identical to the wire but for base offset and leader
//! epoch. Appended bytes lie in aligned chunks in memory, which are the tail cache and the write buffers at once. Two
//! ways to stable storage:
//! - small appends go to the shard's commit log; their chunk is written to the segment when it is full, and synced
//!   before the commit file that covers it is reused;
//! - a large batch is written straight to the segment, whole blocks only, durable when written; what remains of its last
//!   block goes to the commit log.
//!
//! Invariants: log start ≤ flushed ≤ log end; only whole blocks are written to a segment, each once (the last one of a
//! segment padded with zeros and cut off again when it is sealed); a byte is readable from the file below
//! `readable_end`, from memory above; the file holds durable bytes below its stable end, the commit log the rest. What stands
//! in a file beyond what was written to it are zeros, or batches of an older segment of the same log, all of them with
//! offsets below the segment's base (`spare`).
//!
//! What a start makes of files and checkpoints is decided here as well: [`Verdict`] names every combination of evidence, and how
//! the disk got there.

mod admit;
mod compact;
mod cut;
mod damage;
mod epochs;
mod filler;
mod index;
mod limits;
pub mod marks;
mod op;
mod partition;
mod past;
mod producers;
mod read;
mod recovery;
mod resync;
mod retention;
mod runs;
mod scan;
mod segment;
mod snapshot;
mod spare;
mod tail;

pub use admit::{AppendRules, record_rules};
pub use compact::{CleanRules, Dirt, ToCompact, clean_batch, note_keys};
pub use cut::{Cut, CutAsked};
pub use damage::DamagedRanges;
pub use epochs::{Agreement, EpochCache};
pub use filler::rest_of_empty;
pub use index::{IndexMark, IndexedBatch, Landmarks, Lead, SparseIndex};
pub use limits::LogLimits;
pub use op::{CutEntry, LogEffects, LogOp, Purpose, ToCommitLog};
pub use partition::{Accepted, AppendError, Gap, PartitionLog, ReplicateError, ReplicateRules, RunHeader};
pub use past::PastSegment;
pub use producers::{Admission, Prefix, ProducedBatch, ProducerState, ProducerStates, Sequenced};
pub use read::{DiskRead, ReadLimits, ReadPlan, Sought};
pub use recovery::{
    Beginning, CheckpointedPart, CutsNoted, Folder, IndexEvidence, Interruption, KnownWatermark, LogEnd,
    Place, Reach, RecoveredLog, RecoveredSegment, SegmentEnd, Stands, TopicFolder, Verdict,
};
pub use resync::{find_batch, may_begin, may_follow};
pub use runs::{Run, RunPlan, run_in};
pub use scan::{Scan, end_of_empty, scan_for, scan_for_offset};
pub use snapshot::PartitionSnapshot;
pub use spare::suits;
pub use tail::Allocate;
