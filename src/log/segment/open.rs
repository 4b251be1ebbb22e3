//! The state of an open segment, and the writes that go to it.

use crate::base::io::{IoOp, Sealing, SegmentId, WriteData};
use crate::base::{Offset, TimestampMs, block_ceil, block_floor};

use crate::log::index::SparseIndex;
use crate::log::op::{LogOp, Purpose};
use crate::log::tail::{Tail, ToWrite};

use super::outstanding::{Kind, Outstanding};
use super::states::{
    ALLOCATE_LITTLE_BYTES_MIN, ALLOCATE_STEP_BYTES_MAX, ALLOCATE_STEP_BYTES_MIN, AllocateFor, FileState,
    Marked, Names, Stable, SyncState,
};

/// Who makes a sealed segment durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SealSync {
    /// The sealing itself.
    #[default]
    Own,
    /// One sync of everything, which follows: the log ends.
    Later,
}

/// When an operation goes out, once the file is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    AtOnce,
    BehindSync,
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
    pub(super) file: FileState,
    pub(super) names: Names,
    pub(super) allocated: u64,
    allocate_step: u64,
    /// Operations that wait for the file to exist, or for a sync to be issued.
    pub(super) held: Vec<LogOp>,
    pub(super) outstanding: Outstanding,
    /// Allocations and writes of marks under way: if they ended after the seal, they would undo it.
    pub(super) beside: usize,
    pub(super) marked: Marked,
    /// Every byte below was handed out for writing.
    pub(super) issued_to: u64,
    /// Bytes recovery left in the file: readable whatever is being written over them (it begins with the same bytes).
    pub(super) recovered_end: u64,
    pub(super) sync: SyncState,
    pub(super) stable: Stable,
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
        segment.stable = Stable::to(size, (size, end));
        segment
    }

    fn with(id: SegmentId, file: FileState, size: u64, tail: Tail, index: SparseIndex) -> OpenSegment {
        OpenSegment {
            id,
            size,
            begun: None,
            issued_to: block_floor(size),
            tail,
            index,
            file,
            names: Names::Unsynced,
            allocated: block_ceil(size),
            allocate_step: ALLOCATE_STEP_BYTES_MIN,
            held: Vec::new(),
            outstanding: Outstanding::default(),
            beside: 0,
            marked: Marked { entries: 0, bytes: 0, to: size },
            recovered_end: size,
            sync: SyncState::Idle,
            stable: Stable::to(size, (0, id.base)),
        }
    }

    /// The file holds every byte below this position, readable; durable or not.
    #[must_use]
    pub fn readable_end(&self) -> u64 {
        self.outstanding.lowest().unwrap_or(self.issued_to).max(self.recovered_end)
    }

    /// Where a recovery scan of this segment may begin: a batch's position and base offset, everything below it synced.
    #[must_use]
    pub fn scan_from(&self) -> (u64, Offset) {
        self.stable.scan_from()
    }

    /// Hands out a write that the commit log covers, to a segment that goes on.
    pub fn write(&mut self, write: ToWrite, out: &mut Vec<LogOp>) {
        let end = write.position + write.bytes() as u64;
        let has = end.min(ALLOCATE_STEP_BYTES_MAX);
        if end + has / 4 > self.allocated {
            self.allocate(block_ceil(end + has.max(ALLOCATE_LITTLE_BYTES_MIN)), AllocateFor::Covered, out);
        }
        self.write_last(write, out);
    }

    /// Hands out a write that the commit log covers, to a segment that has rolled.
    pub fn write_last(&mut self, write: ToWrite, out: &mut Vec<LogOp>) {
        let position = write.position;
        let op = self.write_op(write, Kind::Plain);
        let order = if self.sync == SyncState::Wanted { Order::BehindSync } else { Order::AtOnce };
        self.issue(LogOp { purpose: Purpose::Write { base: self.id.base, position }, op }, order, out);
    }

    /// Hands out a direct run.
    pub fn write_direct(&mut self, write: ToWrite, number: u64, out: &mut Vec<LogOp>) {
        let end = write.position + write.chunk.len() as u64;
        if end + self.allocate_step / 2 > self.allocated {
            self.allocate(end + self.allocate_step, AllocateFor::DirectRuns, out);
            self.allocate_step = (self.allocate_step * 4).min(ALLOCATE_STEP_BYTES_MAX);
        }
        let (position, bytes) = (write.position, write.chunk.len() as u64);
        let op = self.write_op(write, Kind::Direct);
        let purpose = Purpose::Direct { base: self.id.base, position, bytes, number };
        self.issue(LogOp { purpose, op }, Order::AtOnce, out);
    }

    /// A write that the commit log covers has completed.
    pub fn write_done(&mut self, position: u64, out: &mut Vec<LogOp>) {
        self.outstanding.ended(position, Kind::Plain);
        self.sync_if_ready(out);
    }

    /// A direct run has completed: it is on stable storage.
    pub fn direct_done(&mut self, position: u64, bytes: u64, out: &mut Vec<LogOp>) {
        self.outstanding.ended(position, Kind::Direct);
        self.stable.run_done(position, position + bytes);
        self.stable_moved();
        self.sync_if_ready(out);
    }

    /// An allocation or a write of marks has ended, well or not.
    pub fn beside_done(&mut self) {
        assert!(self.beside > 0, "what has ended was under way");
        self.beside -= 1;
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

    /// Issues the sealing, once nothing else is under way. Returns whether it did.
    pub fn seal(&mut self, by: SealSync, out: &mut Vec<LogOp>) -> bool {
        if !self.is_quiet() || self.file != FileState::Ready {
            return false;
        }
        assert!(self.size <= self.issued_to, "a segment is sealed when all its bytes are in the file");
        self.file = FileState::Sealing;
        let (index, time_index) = self.index.encode();
        let sync = match (by, self.names) {
            (SealSync::Later, _) => Sealing::Later,
            (SealSync::Own, Names::Durable) => Sealing::Data,
            (SealSync::Own, Names::Unsynced | Names::Wanted) => Sealing::DataAndNames,
        };
        let op = IoOp::SealSegment { segment: self.id, length: self.size, index, time_index, sync };
        out.push(LogOp { purpose: Purpose::Seal { base: self.id.base }, op });
        true
    }

    fn write_op(&mut self, write: ToWrite, kind: Kind) -> IoOp {
        let data = match write.part {
            None => WriteData::Whole(write.chunk),
            Some((from, to)) => WriteData::Copy(vec![write.chunk.slice(from..to)]),
        };
        let durable = kind == Kind::Direct;
        assert!(write.position >= self.issued_to || durable, "segment bytes are written once");
        assert_eq!(write.position, block_floor(write.position), "only whole blocks are written");
        self.outstanding.begun(write.position, kind);
        let end = write.position + data.len() as u64;
        self.issued_to = self.issued_to.max(end);
        IoOp::WriteSegment { segment: self.id, position: write.position, data, durable }
    }

    fn issue(&mut self, op: LogOp, order: Order, out: &mut Vec<LogOp>) {
        if order == Order::BehindSync || self.file == FileState::Creating {
            self.held.push(op);
        } else {
            assert_eq!(self.file, FileState::Ready, "writes go to a file that exists");
            out.push(op);
        }
    }
}
