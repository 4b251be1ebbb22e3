//! The file of an open segment: its making, its name, and the space allocated ahead of what is written.

use crate::base::block_ceil;
use crate::base::io::IoOp;
use crate::log::op::{LogOp, Purpose};
use crate::log::past::PastSegment;

use super::OpenSegment;
use super::states::{ALLOCATE_LITTLE_BYTES_FIRST, ALLOCATE_STEP_BYTES_MAX, AllocateFor, FileState, Names};

impl OpenSegment {
    /// Makes the file exist, for what the commit log covers of a segment that goes on; from a spare if there is one.
    pub fn create(&mut self, spare: &mut Option<PastSegment>, out: &mut Vec<LogOp>) {
        if self.file == FileState::Missing {
            let bytes = block_ceil(2 * self.size).clamp(ALLOCATE_LITTLE_BYTES_FIRST, ALLOCATE_STEP_BYTES_MAX);
            self.issue_create(bytes, spare.take(), out);
        }
    }

    /// Makes the file of a segment exist that has rolled: nothing is allocated ahead.
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

    /// The file is there. What is made durable of its name never becomes less.
    pub fn created(&mut self, names: Names, out: &mut Vec<LogOp>) {
        assert_eq!(self.file, FileState::Creating, "one creation at a time");
        self.file = FileState::Ready;
        if names == Names::Durable {
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
        assert!(
            matches!(self.file, FileState::Missing | FileState::Ready),
            "a file is made once at a time, and not after its sealing"
        );
        self.file = FileState::Creating;
        let names = self.names == Names::Wanted || spare.is_some();
        // Up to whole blocks: no write into them makes the file longer.
        let allocate_bytes = allocate_bytes.max(spare.map_or(0, |spare| block_ceil(spare.bytes)));
        self.allocated = self.allocated.max(allocate_bytes);
        let spare = spare.map(|spare| spare.segment);
        let op = IoOp::CreateSegment { segment: self.id, allocate_bytes, names, spare, leisurely: false };
        out.push(LogOp { purpose: Purpose::Create { base: self.id.base, names }, op });
    }

    /// The file is there, or is being made.
    #[must_use]
    pub fn has_file(&self) -> bool {
        self.file != FileState::Missing
    }

    /// A direct run waits for the file, which is being made.
    #[must_use]
    pub fn direct_run_lacks_file(&self) -> bool {
        self.file == FileState::Creating && self.names == Names::Wanted
    }

    /// Allocates up to `bytes` before what there is runs out: a write that makes a file longer holds a kernel thread until it
    /// is done, and changes metadata each time.
    pub(super) fn allocate(&mut self, bytes: u64, what_for: AllocateFor, out: &mut Vec<LogOp>) {
        if self.file != FileState::Ready {
            return;
        }
        assert!(bytes > self.allocated, "space is allocated ahead, never given back");
        self.allocated = bytes;
        self.beside += 1;
        let op = IoOp::Allocate { segment: self.id, allocate_bytes: bytes };
        let is_covered = what_for == AllocateFor::Covered;
        out.push(LogOp { purpose: Purpose::Allocate { base: self.id.base, is_covered }, op });
    }
}
