//! What of an open segment is on stable storage in its own file, and the syncs and marks that follow from it.

use crate::base::io::IoOp;
use crate::log::marks;
use crate::log::op::{LogOp, Purpose};

use super::OpenSegment;
use super::states::{FileState, Marked, Names, SyncState};

impl OpenSegment {
    /// Writes what the index says of what is stable by now, for a start after a crash to begin with: when that is
    /// `step_bytes` more of the log than the last time. Whatever is left undone is not tried again: lookups begin further
    /// ahead there.
    pub fn write_marks(&mut self, step_bytes: u64, out: &mut Vec<LogOp>) {
        let (stable, _) = self.stable.scan_from;
        if stable < self.marked.to.saturating_add(step_bytes) || self.beside > 0 {
            return;
        }
        let entries = self.index.entries_before(stable);
        assert!(entries >= self.marked.entries, "marks ascend");
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

    /// The sync under way has succeeded: what it covers is stable.
    pub fn synced(&mut self) {
        assert_eq!(self.sync, SyncState::Syncing, "a sync was under way");
        self.sync = SyncState::Idle;
        self.names = Names::Durable;
        self.stable.advance(self.stable.syncing_to);
        self.stable_moved();
    }

    /// More of the segment is stable: a scan may begin further on.
    pub(super) fn stable_moved(&mut self) {
        let written_to = self.issued_to.max(self.recovered_end);
        assert!(self.stable.end <= written_to, "what is stable was written");
        if let Some(batch) = self.tail.last_batch_at(self.stable.end)
            && batch.position > self.stable.scan_from.0
        {
            self.stable.scan_from = (batch.position, batch.base);
        }
    }

    /// Issues the sync that is wanted once only those writes are outstanding that are held back behind it.
    pub(super) fn sync_if_ready(&mut self, out: &mut Vec<LogOp>) {
        if self.sync == SyncState::Wanted && self.file == FileState::Ready {
            let (plain, held) = (self.outstanding.plain(), self.held.len());
            assert!(held <= plain, "what is held behind a sync are plain writes");
            if plain > held {
                return;
            }
            self.sync = SyncState::Syncing;
            self.stable.syncing_to = self.readable_end();
            out.push(LogOp {
                purpose: Purpose::Sync { base: self.id.base },
                op: IoOp::SyncSegment { segment: self.id, names: self.names != Names::Durable },
            });
            out.append(&mut self.held);
        }
    }
}
