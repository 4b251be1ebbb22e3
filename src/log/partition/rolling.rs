//! Operations that have ended, and segments on their way from active to sealed.

use crate::base::Offset;
use crate::base::io::SegmentId;
use crate::log::op::{LogEffects, LogOp, Purpose};
use crate::log::segment::{Names, OpenSegment, SealSync, SealedSegment};

use super::PartitionLog;

impl PartitionLog {
    /// An operation has succeeded. True if the flushed offset moved.
    pub fn done(&mut self, purpose: Purpose, out: &mut LogEffects) -> bool {
        let mut moved = false;
        match purpose {
            Purpose::Create { base, names } => {
                let names = if names { Names::Durable } else { Names::Unsynced };
                self.with_open(base, out, |segment, ops| segment.created(names, ops));
            }
            Purpose::Write { base, position } => {
                self.with_open(base, out, |segment, ops| segment.write_done(position, ops));
            }
            Purpose::Direct { base, position, bytes, number } => {
                self.with_open(base, out, |segment, ops| segment.direct_done(position, bytes, ops));
                moved = self.durable(number);
            }
            Purpose::Sync { base } => {
                self.with_open(base, out, |segment, _| segment.synced());
                if base == self.active.id.base {
                    self.release_synced();
                }
            }
            Purpose::Seal { base } => self.sealed(base),
            Purpose::Allocate { base, .. } | Purpose::WriteMarks { base } => {
                self.with_open(base, out, |segment, _| segment.beside_done());
            }
            Purpose::Delete => {
                let left = self.past_files.checked_sub(1);
                self.past_files = left.expect("a file that is deleted has left the log");
            }
            Purpose::Truncate => panic!("what a cut has left is told, not only that it is done"),
        }
        self.drain(out);
        self.end_release();
        self.go_on_cutting(out);
        moved
    }

    /// Rolls what is active, so that everything can be sealed: orderly stop. The caller syncs everything when all is sealed.
    pub fn finish(&mut self, out: &mut LogEffects) {
        self.give_up_cut();
        self.seal_sync = SealSync::Later;
        if self.active.size > 0 {
            self.roll(out);
        }
        self.drain(out);
    }

    /// An orderly stop has begun: see [`PartitionLog::finish`].
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.seal_sync == SealSync::Later
    }

    /// Every segment is sealed: a sync makes whatever was appended durable.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.draining.is_empty() && self.active.size == 0 && !self.is_cutting()
    }

    pub(in crate::log) fn roll(&mut self, out: &mut LogEffects) {
        assert!(self.active.size > 0, "a segment rolls when it holds a batch");
        assert!(self.active.id.base < self.log_end, "segments ascend");
        let fresh = OpenSegment::fresh(SegmentId { partition: self.id, base: self.log_end });
        let mut rolled = std::mem::replace(&mut self.active, fresh);
        rolled.create_last(&mut out.ops);
        if let Some(write) = rolled.tail.seal() {
            rolled.write_last(write, &mut out.ops);
        }
        // The rolled segment's own sealing takes the place of the sync.
        self.release_synced();
        self.draining.push_back(rolled);
        self.drain(out);
    }

    /// Seals the oldest rolled segment as soon as its writes are done. One after the other: readers find their segment by
    /// the order of sealed ones before rolled ones.
    fn drain(&mut self, out: &mut LogEffects) {
        if let Some(oldest) = self.draining.front_mut() {
            oldest.seal(self.seal_sync, &mut out.ops);
        }
    }

    fn sealed(&mut self, base: Offset) {
        let at = self.draining.iter().position(|segment| segment.id.base == base);
        let at = at.expect("a rolled segment was being sealed");
        let segment = self.draining.remove(at).expect("found just above");
        assert!(self.sealed.back().is_none_or(|last| last.id.base < base), "segments are sealed in order");
        self.sealed.push_back(SealedSegment::of(segment));
        self.release_sealed();
    }

    fn with_open(
        &mut self,
        base: Offset,
        out: &mut LogEffects,
        change: impl FnOnce(&mut OpenSegment, &mut Vec<LogOp>),
    ) {
        let draining = self.draining.iter_mut().find(|segment| segment.id.base == base);
        let segment = draining.unwrap_or(&mut self.active);
        assert_eq!(segment.id.base, base, "completions are for segments being written");
        change(segment, &mut out.ops);
    }
}
