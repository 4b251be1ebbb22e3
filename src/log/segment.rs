//! One segment file that is still being written to: the active one, and rolled ones until they are sealed.
//!
//! A sealed segment is another type ([`SealedSegment`]): its file is complete, synced, cut to its exact length and never
//! written again.

use crate::base::io::{IoOp, Sealing, SegmentId, WriteData};
use crate::base::{Offset, TimestampMs, block_ceil};

use super::index::SparseIndex;
use super::marks;
use super::spare::PastSegment;
use super::tail::{Tail, ToWrite};

/// Allocation ahead of the first direct run, and of each following step up to [`ALLOCATE_STEP_BYTES_MAX`].
const ALLOCATE_STEP_BYTES_MIN: u64 = 1024 * 1024;
const ALLOCATE_STEP_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// What a segment that grows in small pieces gets at first, so that thousands of small ones stay small, and what it gets
/// more once it grows. Each step is an extent, and few of them have room in the inode.
const ALLOCATE_LITTLE_BYTES_FIRST: u64 = 32 * 1024;
const ALLOCATE_LITTLE_BYTES_MIN: u64 = 256 * 1024;

/// The log's own name for an operation it waits for; comes back with its completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Create {
        base: Offset,
        names: bool,
    },
    Allocate {
        base: Offset,
        /// For writes that the commit log covers.
        is_covered: bool,
    },
    /// A write the commit log covers.
    Write {
        base: Offset,
        position: u64,
    },
    /// A direct run: done means part of append `number` is durable.
    Direct {
        base: Offset,
        position: u64,
        bytes: u64,
        number: u64,
    },
    Sync {
        base: Offset,
    },
    Seal {
        base: Offset,
    },
    /// Only spares work; the outcome does not matter.
    WriteMarks {
        base: Offset,
    },
    /// Files that are no longer part of the log.
    Delete,
}

impl Purpose {
    /// Whether the log cannot go on without it. What fails of the rest counts as done: it only spared work.
    #[must_use]
    pub fn must_succeed(self) -> bool {
        !matches!(self, Purpose::Allocate { .. } | Purpose::WriteMarks { .. } | Purpose::Delete)
    }
}

/// An operation to be performed.
#[derive(Debug)]
pub struct LogOp {
    pub purpose: Purpose,
    pub op: IoOp,
}

#[derive(Debug)]
pub struct OpenSegment {
    pub id: SegmentId,
    /// Logical length: what batches fill.
    pub size: u64,
    /// When the first batch came (its timestamp and the clock's): what rolling by time goes by.
    pub begun: Option<TimestampMs>,
    pub tail: Tail,
    pub index: SparseIndex,
    file: FileState,
    names: Names,
    allocated: u64,
    allocate_step: u64,
    /// Operations that wait for the file to exist, or for a sync to be issued.
    held: Vec<LogOp>,
    /// Positions of writes handed out and not completed.
    outstanding: Vec<u64>,
    /// Plain (not durable) writes among them: a sync covers only completed ones.
    plain_outstanding: usize,
    /// Allocations and writes of marks under way: ending after the seal, they would undo it.
    beside: usize,
    marked: Marked,
    issued_to: u64,
    /// Bytes recovery left in the file: readable whatever is being written over them (it begins with the same bytes).
    recovered_end: u64,
    sync: SyncState,
    stable: Stable,
}

/// What of the segment is on stable storage in its own file.
#[derive(Clone, Debug)]
struct Stable {
    /// Everything below.
    end: u64,
    /// What the sync under way will add.
    syncing_to: u64,
    /// Direct runs completed beyond `end`.
    runs: Vec<(u64, u64)>,
    /// The last batch known to lie at or below `end`: its position and base offset. Where a scan may begin.
    scan_from: (u64, Offset),
}

/// How much of the index is in the file of [`super::marks`].
#[derive(Clone, Copy, Debug)]
struct Marked {
    /// The index's entries, from the first on.
    entries: usize,
    /// Of the file.
    bytes: u64,
    /// Where the segment was stable to then.
    to: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FileState {
    Missing,
    Creating,
    Ready,
    Sealing,
}

/// Whether the names of the file and its directories are on stable storage. What the commit log covers does not need them
/// before it is released, but a direct run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Names {
    Unsynced,
    /// As [`Names::Unsynced`], and what is held needs them.
    Wanted,
    Durable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SyncState {
    Idle,
    Wanted,
    Syncing,
}

impl OpenSegment {
    /// A segment that begins with the next append; its file is created then.
    #[must_use]
    pub fn fresh(id: SegmentId) -> OpenSegment {
        OpenSegment::with(id, FileState::Missing, 0, Tail::default(), SparseIndex::default())
    }

    /// The active segment as recovery found it.
    #[must_use]
    pub fn resumed(id: SegmentId, size: u64, end: Offset, tail: Tail, index: SparseIndex) -> OpenSegment {
        let mut segment = OpenSegment::with(id, FileState::Ready, size, tail, index);
        segment.names = Names::Durable;
        segment.stable.scan_from = (size, end);
        segment
    }

    fn with(id: SegmentId, file: FileState, size: u64, tail: Tail, index: SparseIndex) -> OpenSegment {
        OpenSegment {
            id,
            size,
            begun: None,
            issued_to: crate::base::block_floor(size),
            tail,
            index,
            file,
            names: Names::Unsynced,
            allocated: block_ceil(size),
            allocate_step: ALLOCATE_STEP_BYTES_MIN,
            held: Vec::new(),
            outstanding: Vec::new(),
            plain_outstanding: 0,
            beside: 0,
            marked: Marked { entries: 0, bytes: 0, to: size },
            recovered_end: size,
            sync: SyncState::Idle,
            stable: Stable { end: size, syncing_to: 0, runs: Vec::new(), scan_from: (0, id.base) },
        }
    }

    /// The file holds every byte below, readable; durable or not.
    #[must_use]
    pub fn readable_end(&self) -> u64 {
        self.outstanding.iter().min().copied().unwrap_or(self.issued_to).max(self.recovered_end)
    }

    /// Where a recovery scan of this segment may begin: a batch's position and base offset, everything below it synced.
    #[must_use]
    pub fn scan_from(&self) -> (u64, Offset) {
        self.stable.scan_from
    }

    /// Hands out a write that the commit log covers, to a segment that goes on.
    pub fn write(&mut self, write: ToWrite, out: &mut Vec<LogOp>) {
        let end = write.position + write.bytes() as u64;
        let has = end.min(ALLOCATE_STEP_BYTES_MAX);
        if end + has / 4 > self.allocated {
            self.allocate(block_ceil(end + has.max(ALLOCATE_LITTLE_BYTES_MIN)), true, out);
        }
        self.write_last(write, out);
    }

    /// The same to one that does not.
    pub fn write_last(&mut self, write: ToWrite, out: &mut Vec<LogOp>) {
        let position = write.position;
        let op = self.write_op(write, false);
        self.plain_outstanding += 1;
        let held = self.sync == SyncState::Wanted;
        self.issue(LogOp { purpose: Purpose::Write { base: self.id.base, position }, op }, held, out);
    }

    /// Hands out a direct run.
    pub fn write_direct(&mut self, write: ToWrite, number: u64, out: &mut Vec<LogOp>) {
        let end = write.position + write.chunk.len() as u64;
        if end + self.allocate_step / 2 > self.allocated {
            self.allocate(end + self.allocate_step, false, out);
            self.allocate_step = (self.allocate_step * 4).min(ALLOCATE_STEP_BYTES_MAX);
        }
        let (position, bytes) = (write.position, write.chunk.len() as u64);
        let op = self.write_op(write, true);
        let purpose = Purpose::Direct { base: self.id.base, position, bytes, number };
        self.issue(LogOp { purpose, op }, false, out);
    }

    /// Makes the file exist, for what the commit log covers of a segment that goes on; from a spare if there is one.
    pub fn create(&mut self, spare: &mut Option<PastSegment>, out: &mut Vec<LogOp>) {
        if self.file == FileState::Missing {
            let bytes = block_ceil(2 * self.size).clamp(ALLOCATE_LITTLE_BYTES_FIRST, ALLOCATE_STEP_BYTES_MAX);
            self.issue_create(bytes, spare.take(), out);
        }
    }

    /// The same of one that does not.
    pub fn create_last(&mut self, out: &mut Vec<LogOp>) {
        if self.file == FileState::Missing {
            self.issue_create(0, None, out);
        }
    }

    /// Makes the file exist with a durable name, for a direct run; from a spare if there is one.
    pub fn create_for_direct(
        &mut self,
        allocate_bytes: u64,
        spare: &mut Option<PastSegment>,
        out: &mut Vec<LogOp>,
    ) {
        if self.names == Names::Unsynced {
            self.names = Names::Wanted;
        }
        let lacks_names = self.file == FileState::Ready && self.names == Names::Wanted;
        if self.file == FileState::Missing {
            self.issue_create(allocate_bytes, spare.take(), out);
        } else if lacks_names {
            self.issue_create(self.allocated.max(allocate_bytes), None, out);
        }
    }

    pub fn created(&mut self, names: bool, out: &mut Vec<LogOp>) {
        assert_eq!(self.file, FileState::Creating, "one creation at a time");
        self.file = FileState::Ready;
        if names {
            self.names = Names::Durable;
        } else if self.names == Names::Wanted {
            // A direct run has come in between.
            return self.issue_create(0, None, out);
        }
        out.append(&mut self.held);
        self.sync_if_ready(out);
    }

    /// A spare is written to only when its old name is gone for good: a crash would find new bytes under it.
    fn issue_create(&mut self, allocate_bytes: u64, spare: Option<PastSegment>, out: &mut Vec<LogOp>) {
        self.file = FileState::Creating;
        let names = self.names == Names::Wanted || spare.is_some();
        // Up to whole blocks: no write into them makes the file longer.
        let allocate_bytes = allocate_bytes.max(spare.map_or(0, |spare| block_ceil(spare.bytes)));
        self.allocated = self.allocated.max(allocate_bytes);
        let spare = spare.map(|spare| spare.segment);
        let op = IoOp::CreateSegment { segment: self.id, allocate_bytes, names, spare, leisurely: false };
        out.push(LogOp { purpose: Purpose::Create { base: self.id.base, names }, op });
    }

    /// A direct run waits for the file, which is being made.
    #[must_use]
    pub fn direct_run_lacks_file(&self) -> bool {
        self.file == FileState::Creating && self.names == Names::Wanted
    }

    /// A write that the commit log covers has completed.
    pub fn write_done(&mut self, position: u64, out: &mut Vec<LogOp>) {
        self.no_longer_outstanding(position);
        self.plain_outstanding -= 1;
        self.sync_if_ready(out);
    }

    /// A direct run has completed: it is on stable storage.
    pub fn direct_done(&mut self, position: u64, bytes: u64, out: &mut Vec<LogOp>) {
        self.no_longer_outstanding(position);
        self.stable.runs.push((position, position + bytes));
        self.stable_to(self.stable.end);
        self.sync_if_ready(out);
    }

    /// An allocation or a write of marks has ended, well or not.
    pub fn beside_done(&mut self) {
        self.beside -= 1;
    }

    /// Writes what the index says of what is stable by now, for a start after a crash to begin with: when that is
    /// `step_bytes` more of the log than the last time. Whatever is left undone is not tried again: lookups begin further
    /// ahead there.
    pub fn write_marks(&mut self, step_bytes: u64, out: &mut Vec<LogOp>) {
        let (stable, _) = self.stable.scan_from;
        if stable < self.marked.to.saturating_add(step_bytes) || self.beside > 0 {
            return;
        }
        let entries = self.index.entries_before(stable);
        let marks = marks::encode(self.id, self.index.marks(self.marked.entries..entries));
        let position = self.marked.bytes;
        self.marked = Marked { entries, bytes: position + marks.len() as u64, to: stable };
        if !marks.is_empty() {
            self.beside += 1;
            let op = IoOp::WriteMarks { segment: self.id, position, marks };
            out.push(LogOp { purpose: Purpose::WriteMarks { base: self.id.base }, op });
        }
    }

    /// Asks for a sync of everything handed out so far. Writes to come wait until it has been issued.
    pub fn want_sync(&mut self, out: &mut Vec<LogOp>) {
        if self.sync == SyncState::Idle && matches!(self.file, FileState::Ready | FileState::Creating) {
            self.sync = SyncState::Wanted;
            self.sync_if_ready(out);
        }
    }

    pub fn synced(&mut self) {
        assert_eq!(self.sync, SyncState::Syncing, "a sync was under way");
        self.sync = SyncState::Idle;
        self.names = Names::Durable;
        self.stable_to(self.stable.syncing_to);
    }

    /// Nothing is handed out, wanted or under way.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.outstanding.is_empty()
            && self.held.is_empty()
            && self.beside == 0
            && self.sync == SyncState::Idle
            && self.file != FileState::Creating
    }

    /// Issues the sealing, once nothing else is under way. Returns whether it did. With `sync_follows` it leaves the sync to
    /// the caller.
    pub fn seal(&mut self, sync_follows: bool, out: &mut Vec<LogOp>) -> bool {
        if !self.is_quiet() || self.file != FileState::Ready {
            return false;
        }
        self.file = FileState::Sealing;
        let (index, time_index) = self.index.encode();
        let sync = match self.names {
            _ if sync_follows => Sealing::Later,
            Names::Durable => Sealing::Data,
            Names::Unsynced | Names::Wanted => Sealing::DataAndNames,
        };
        let op = IoOp::SealSegment { segment: self.id, length: self.size, index, time_index, sync };
        out.push(LogOp { purpose: Purpose::Seal { base: self.id.base }, op });
        true
    }

    fn no_longer_outstanding(&mut self, position: u64) {
        let at = self.outstanding.iter().position(|candidate| *candidate == position);
        self.outstanding.swap_remove(at.expect("the write was handed out"));
    }

    /// Everything below `end` is stable; direct runs that adjoin add theirs.
    fn stable_to(&mut self, end: u64) {
        self.stable.end = self.stable.end.max(end);
        while let Some(at) = self.stable.runs.iter().position(|(from, _)| *from <= self.stable.end) {
            let (_, to) = self.stable.runs.swap_remove(at);
            self.stable.end = self.stable.end.max(to);
        }
        if let Some(batch) = self.tail.last_batch_at(self.stable.end)
            && batch.position > self.stable.scan_from.0
        {
            self.stable.scan_from = (batch.position, batch.base);
        }
    }

    fn write_op(&mut self, write: ToWrite, durable: bool) -> IoOp {
        let data = match write.part {
            None => WriteData::Whole(write.chunk),
            Some((from, to)) => WriteData::Copy(vec![write.chunk.slice(from..to)]),
        };
        self.outstanding.push(write.position);
        let end = write.position + data.len() as u64;
        assert!(write.position >= self.issued_to || durable, "segment bytes are written once");
        self.issued_to = self.issued_to.max(end);
        IoOp::WriteSegment { segment: self.id, position: write.position, data, durable }
    }

    fn issue(&mut self, op: LogOp, held: bool, out: &mut Vec<LogOp>) {
        if held || self.file == FileState::Creating {
            self.held.push(op);
        } else {
            assert_eq!(self.file, FileState::Ready, "writes go to a file that exists");
            out.push(op);
        }
    }

    fn sync_if_ready(&mut self, out: &mut Vec<LogOp>) {
        let plain_held = self.held.len();
        if self.sync == SyncState::Wanted
            && self.file == FileState::Ready
            && self.plain_outstanding == plain_held
        {
            self.sync = SyncState::Syncing;
            self.stable.syncing_to = self.readable_end();
            out.push(LogOp {
                purpose: Purpose::Sync { base: self.id.base },
                op: IoOp::SyncSegment { segment: self.id, names: self.names != Names::Durable },
            });
            out.append(&mut self.held);
        }
    }

    /// Allocates up to `bytes` before what there is runs out: a write that makes a file longer holds a kernel thread until it
    /// is done, and changes metadata each time.
    fn allocate(&mut self, bytes: u64, is_covered: bool, out: &mut Vec<LogOp>) {
        if self.file != FileState::Ready {
            return;
        }
        self.allocated = bytes;
        self.beside += 1;
        let op = IoOp::Allocate { segment: self.id, allocate_bytes: bytes };
        out.push(LogOp { purpose: Purpose::Allocate { base: self.id.base, is_covered }, op });
    }
}

/// A finished segment.
#[derive(Debug)]
pub struct SealedSegment {
    pub id: SegmentId,
    pub size: u64,
    /// The largest timestamp, and the last offset of the batch that has it.
    pub max_timestamp: Option<(TimestampMs, Offset)>,
    /// What memory still holds of it.
    pub tail: Tail,
    /// Loaded when a reader needs it.
    pub index: Option<SparseIndex>,
}

impl SealedSegment {
    #[must_use]
    pub fn of(segment: OpenSegment) -> SealedSegment {
        SealedSegment {
            max_timestamp: segment.index.max_timestamp(segment.id.base),
            id: segment.id,
            size: segment.size,
            tail: segment.tail,
            index: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Chunk, TopicPartition};

    #[test]
    fn what_grows_in_small_pieces_gets_few_and_ever_larger_ones_ahead() {
        const PIECE: u64 = 64 * 1024;
        let mut segment =
            OpenSegment::fresh(SegmentId { partition: TopicPartition::METADATA, base: Offset(0) });
        let mut out = Vec::new();
        segment.create(&mut None, &mut out);
        segment.created(false, &mut out);
        let chunk = Chunk::heap(usize::try_from(PIECE).expect("small"));
        let mut allocated = vec![ALLOCATE_LITTLE_BYTES_FIRST];
        for position in (0..1024 * 1024 * 1024).step_by(64 * 1024) {
            out.clear();
            segment.write(ToWrite { position, chunk: chunk.clone(), part: None }, &mut out);
            for op in &out {
                if let IoOp::Allocate { allocate_bytes, .. } = op.op {
                    allocated.push(allocate_bytes);
                }
            }
            let last = *allocated.last().expect("it began with one");
            assert!(position + PIECE <= last && last <= 2 * position + 3 * ALLOCATE_LITTLE_BYTES_MIN);
            segment.write_done(position, &mut Vec::new());
        }
        assert!(allocated.is_sorted_by(|one, next| one < next), "{allocated:?}");
        assert!(allocated.len() < 40, "{allocated:?}");
    }
}
