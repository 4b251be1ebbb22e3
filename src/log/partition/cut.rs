//! The steps of a cut: see [`crate::log::cut`].

use crate::base::io::{CutFiles, CutSegment, IoOp, SegmentId};
use crate::base::{LeaderEpoch, Offset, Rule, holds, mark};
use crate::log::cut::{Cut, CutAsked};
use crate::log::damage::DamagedRanges;
use crate::log::index::SparseIndex;
use crate::log::op::{CutEntry, LogEffects, LogOp, Purpose};
use crate::log::past::Filling;
use crate::log::producers::{Prefix, ProducerStates};
use crate::log::segment::{OpenSegment, SealSync};
use crate::log::tail::Tail;

use super::PartitionLog;
use super::coverage::{Coverage, Release};
use super::cutting::{Cutting, Step};

impl PartitionLog {
    /// Begins to cut the log. Appends are refused until the cut is done. Nobody may read or write above it any more, and
    /// nothing but [`PartitionLog::go_on_cutting`] goes on with it.
    pub fn begin_cut(&mut self, cut: Cut, out: &mut LogEffects) -> CutAsked {
        if self.cutting.is_some() {
            mark("a cut is asked for while one is under way");
            return CutAsked::Busy;
        }
        if self.seal_sync == SealSync::Later {
            return CutAsked::Stopping;
        }
        if !cut.keeps_nothing() && cut.below >= self.log_end {
            mark("a cut at the end of the log");
            self.epochs.truncate(self.log_end);
            return CutAsked::Needless;
        }
        mark("a cut begins");
        self.cutting = Some(Cutting { cut: self.whole_or_part(cut), step: Step::Quiet });
        if self.active.size > 0 {
            self.roll(out);
        }
        self.go_on_cutting(out);
        CutAsked::Begun
    }

    /// A cut below the log's start keeps nothing of the log.
    fn whole_or_part(&self, cut: Cut) -> Cut {
        if cut.keeps_nothing() || cut.below >= self.log_start {
            return cut;
        }
        mark("a cut below the log's start");
        let before = Offset(cut.below.0.saturating_sub(1));
        Cut::to_begin_at(cut.below, self.epochs.at(before).unwrap_or(LeaderEpoch(-1)))
    }

    /// Whether a cut is under way: the log takes no appends.
    #[must_use]
    pub fn is_cutting(&self) -> bool {
        self.cutting.is_some()
    }

    /// Goes on with a cut if what it waits for has come. Call after a completion, and after a file has left the partition.
    pub fn go_on_cutting(&mut self, out: &mut LogEffects) {
        let Some(Cutting { cut, step: Step::Quiet }) = self.cutting else { return };
        if cut.keeps_nothing()
            && holds(Rule::D16)
            && let Some(spare) = self.take_spare()
        {
            mark("a cut drops a spare");
            let op = IoOp::DeleteSpare { segment: spare.segment };
            out.ops.push(LogOp { purpose: Purpose::Delete, op });
        }
        if !self.cut_is_quiet() {
            return;
        }
        // What the commit log has of this partition is in synced segments.
        self.coverage = Coverage::default();
        if holds(Rule::Intent) {
            self.cutting = Some(Cutting { cut, step: Step::Begin });
            out.cuts.push(CutEntry::Begin(cut));
        } else {
            self.cut_files(cut, out);
        }
    }

    /// Whether everything of the log is in finished segments and nothing on its way; for a cut that keeps nothing, no old file
    /// is left either.
    #[must_use]
    pub fn cut_is_quiet(&self) -> bool {
        let is_whole = self.cutting.is_some_and(|cutting| cutting.cut.keeps_nothing());
        let awaits_files = is_whole && holds(Rule::D16) && (self.spare.is_some() || self.past_files > 0);
        if awaits_files {
            mark("a cut waits for old files");
        }
        self.draining.is_empty()
            && self.active.size == 0
            && self.active.is_quiet()
            && self.unflushed.is_empty()
            && self.coverage.release == Release::None
            && !awaits_files
    }

    /// The entry of a cut that was handed out last is durable; the next group has this sequence.
    pub fn cut_entry_durable(&mut self, next_sequence: u64, out: &mut LogEffects) {
        let Cutting { cut, step } = self.cutting.expect("a cut that wrote an entry is under way");
        match step {
            Step::Begin => self.cut_files(cut, out),
            Step::End => {
                mark("a cut is done");
                self.fence = next_sequence;
                self.coverage = Coverage::default();
                self.cutting = None;
            }
            Step::Quiet | Step::Files => panic!("no entry of a cut was on its way"),
        }
    }

    fn cut_files(&mut self, cut: Cut, out: &mut LogEffects) {
        self.cutting = Some(Cutting { cut, step: Step::Files });
        let bases = self.sealed.iter().map(|sealed| sealed.id.base);
        let bases = bases.chain(self.active.has_file().then_some(self.active.id.base));
        let files = if cut.keeps_nothing() && holds(Rule::D16) {
            CutFiles::RemoveAll
        } else {
            CutFiles::Remove {
                bases: bases.filter(|base| *base >= cut.below).collect(),
                cut: self.segment_across(cut.below).map(|at| (self.sealed[at].id.base, self.sealed[at].size)),
            }
        };
        let op = IoOp::TruncateLog { partition: self.id, below: cut.below, files };
        out.ops.push(LogOp { purpose: Purpose::Truncate, op });
    }

    /// The finished segment, by its number, that has offsets on both sides of a cut.
    fn segment_across(&self, below: Offset) -> Option<usize> {
        let after = self.sealed.partition_point(|sealed| sealed.id.base < below);
        let at = after.checked_sub(1)?;
        (self.end_of_sealed(at) > below).then_some(at)
    }

    /// The files are cut, durably: the log is the shorter one. Offsets go back, but for the log's start if something of the
    /// log stays.
    pub fn truncated(&mut self, found: &CutSegment, out: &mut LogEffects) {
        let Cutting { cut, step } = self.cutting.expect("files are cut because of a cut");
        assert_eq!(step, Step::Files, "files are cut once");
        let end = if cut.keeps_nothing() { cut.begin_at } else { self.cut_segments(cut.below, found) };
        if end < cut.begin_at {
            mark("a cut comes to less than was asked for");
        }
        let done = Cut { begin_at: end, ..cut };
        if cut.keeps_nothing() {
            mark("a cut keeps nothing");
            self.sealed.clear();
            self.log_start = end;
            self.damaged = DamagedRanges::default();
            self.producers_lost = None;
        }
        self.damaged.remove(&(end..Offset(i64::MAX)));
        self.epochs.cut(&done);
        if self.producers.cut(&done) == Prefix::Lost {
            mark("a cut wants producers to be found anew");
            self.producers_lost = Some(end);
        }
        (self.log_end, self.flushed) = (end, end);
        self.high_watermark = self.high_watermark.min(end).max(self.log_start);
        self.producers.settle(self.finished_end());
        self.active = OpenSegment::fresh(SegmentId { partition: self.id, base: end });
        self.filling = Filling::default();
        self.check_offsets();
        self.cutting = Some(Cutting { cut: done, step: Step::End });
        out.cuts.push(CutEntry::End(done));
    }

    /// Cuts the finished segments as their files were; returns where the log ends.
    fn cut_segments(&mut self, below: Offset, found: &CutSegment) -> Offset {
        let across = self.segment_across(below);
        let keeps = self.sealed.partition_point(|sealed| sealed.id.base < below);
        self.sealed.truncate(keeps);
        let Some(at) = across else { return below };
        let sealed = self.sealed.get_mut(at).expect("it begins below the cut");
        let base = sealed.id.base;
        assert!(found.length <= sealed.size, "a cut makes no file longer");
        sealed.size = found.length;
        // What memory holds goes beyond the cut, and so does what is known of timestamps.
        sealed.tail = Tail::default();
        sealed.index = None;
        let index = SparseIndex::decode(&found.index, &found.time_index, found.length);
        sealed.max_timestamp = index.max_timestamp(base);
        if found.length == 0 {
            self.sealed.truncate(at);
        }
        let end = found.last.map_or(base, |(end, _)| end);
        assert!(end <= below, "no record stays at or above a cut");
        end.max(self.log_start)
    }

    /// A log that is closed is not cut, if nothing was written down of the cut: the next start begins with the longer one.
    pub(super) fn give_up_cut(&mut self) {
        if self.cutting.is_some_and(|cutting| cutting.step == Step::Quiet) {
            mark("a cut is given up at a stop");
            self.cutting = None;
        }
    }

    /// A cut needs the commit file with its first entry until it is done, whatever is released.
    pub(super) fn cut_needs_commit_file(&self) -> bool {
        self.cutting.is_some_and(|cutting| cutting.step != Step::Quiet)
    }

    /// Where the log ended after a cut that lost the states of producers: they are to be found again by going over the
    /// log's batches up to there (`Sequenced::of` and `ProducerStates::note`), for [`PartitionLog::producers_found`]. Until
    /// then a batch that comes twice may not be recognized.
    #[must_use]
    pub fn producers_lost(&self) -> Option<Offset> {
        self.producers_lost
    }

    /// The states of producers as of [`PartitionLog::producers_lost`].
    pub fn producers_found(&mut self, states: ProducerStates) {
        if let Some(end) = self.producers_lost.take() {
            self.producers.rebuilt(states, end);
        }
    }

    /// From which commit group on entries of this log count.
    #[must_use]
    pub fn fence(&self) -> u64 {
        self.fence
    }
}
