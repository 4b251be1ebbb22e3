//! One partition: gathers the evidence of its folder, and carries out what [`Verdict`] says of it.
//!
//! The segments are scanned from the checkpoint on, and the log ends where the evidence ends; of segments before the
//! checkpoint only the end is looked at. Knows no rule: each question and each verdict, with its story, is in
//! [`crate::log`]'s `recovery`.
//!
//! What is quarantined is refused to readers (CORRUPT_MESSAGE), who may go on behind it; `.log.damaged` and `.log.orphan` are
//! left to whoever wants to look.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::base::io::SegmentId;
use crate::base::{Offset, TopicPartition, block_floor};
use crate::log::{
    Beginning, CheckpointedPart, Folder, KnownWatermark, LogEnd, PartitionSnapshot, Place, Reach,
    RecoveredLog, RecoveredSegment, SegmentEnd, Sequenced, SparseIndex, Verdict, marks,
};
use crate::runtime::layout::{MARKS, segment_file};

use super::beside::{keep_damaged, length_of, remove_marks, write_index, write_marks};
use super::cuts;
use super::error::{RecoveryError, at};
use super::evidence::Known;
use super::files::{self, SegmentFiles};
use super::known_part::{self, KnownPart, Part, Times, note, read_index};
use super::scan::{Checksums, Follows, READ_BYTES, Rules, Scan, first_timestamp};
use super::tell::tell;

/// A segment still being appended to keeps its index in memory. Below this, the next start follows its batches sooner than
/// this one writes a file, which tells with ten thousand partitions.
const INDEX_WORTH_BYTES: u64 = 2 * READ_BYTES as u64;

/// Recovers a partition from its folder.
pub(super) fn recover(
    folder: &Path,
    known: &Known,
    files: &mut SegmentFiles,
) -> Result<RecoveredLog, RecoveryError> {
    let cuts::Uncut { snapshot, claim, high_watermark, has_lost, producers_lost } =
        cuts::carry_out(folder, known)?;
    let committed = snapshot.as_ref().map_or(Offset(0), |known| known.high_watermark);
    let mut log = read(folder, known.id, snapshot, claim, files)?;
    log.has_lost |= has_lost;
    log.producers_lost = producers_lost;
    let (log_start, log_end) = (log.log_start, log.log_end);
    let watermark = KnownWatermark { known: committed.max(high_watermark), log_start, log_end }.verdict();
    tell(known.id, log_end, &watermark);
    log.high_watermark = watermark.high_watermark().expect("a verdict on the high watermark names it");
    Ok(log)
}

/// Reads a log that nothing is to be cut off any more. `claim` is the end of what the commit log says was durable.
fn read(
    folder: &Path,
    id: TopicPartition,
    snapshot: Option<PartitionSnapshot>,
    claim: Offset,
    files: &mut SegmentFiles,
) -> Result<RecoveredLog, RecoveryError> {
    files::remove_leftovers(folder)?;
    let bases = files::segments(folder)?;
    let evidence = Folder { bases: &bases, snapshot: snapshot.as_ref(), claim };
    let (verdict, durable) = (evidence.verdict(), evidence.durable());
    tell(id, Offset(0), &verdict);
    let mut beginning = Beginning::after(&verdict, snapshot);
    let has_lost = verdict.is_loss();
    let Some(first) = bases.first().copied() else {
        return Ok(RecoveredLog { has_lost, ..beginning.without_segments() });
    };
    let log = RecoveredLog {
        log_start: beginning.log_start.max(first),
        log_end: first,
        epochs: std::mem::take(&mut beginning.epochs),
        producers: std::mem::take(&mut beginning.producers),
        has_lost,
        ..RecoveredLog::default()
    };
    let mut recovery =
        PartitionRecovery { folder, id, durable, log, finished: 0, ends: first, written: first, files };
    let following = bases.iter().copied().skip(1).map(Some).chain([None]);
    for (base, next) in bases.iter().copied().zip(following) {
        recovery.segment(base, next, &beginning)?;
    }
    recovery.settle()?;
    recovery.index_what_rolled()?;
    recovery.load_active()?;
    Ok(recovery.log)
}

/// What is being recovered.
struct PartitionRecovery<'a> {
    folder: &'a Path,
    id: TopicPartition,
    /// Records below were on stable storage.
    durable: Offset,
    log: RecoveredLog,
    /// So many of its segments, the first ones, were finished before the checkpoint.
    finished: usize,
    /// Where the log ends so far.
    ends: Offset,
    /// Where the last batch found ends.
    written: Offset,
    files: &'a mut SegmentFiles,
}

impl PartitionRecovery<'_> {
    fn path(&self, base: Offset) -> PathBuf {
        segment_file(self.folder, base, "log")
    }

    fn segment_id(&self, base: Offset) -> SegmentId {
        SegmentId { partition: self.id, base }
    }

    /// Does what a verdict says. What it says of where to look next is the caller's.
    fn carry_out(&mut self, verdict: &Verdict) -> Result<(), RecoveryError> {
        tell(self.id, self.ends, verdict);
        self.log.has_lost |= verdict.is_loss();
        match verdict {
            Verdict::Extra { segment } | Verdict::Unfounded { segment } => self.set_aside(*segment)?,
            Verdict::NotBegun { segment } => {
                let path = self.path(*segment);
                fs::remove_file(&path).map_err(at(&path))?;
            }
            Verdict::Missing { offsets } | Verdict::Damaged { offsets, .. } => {
                self.log.damaged.add(offsets.clone());
            }
            Verdict::DamagedEnd { segment } => keep_damaged(self.folder, *segment)?,
            Verdict::LastEmpty { segment } => self.remove_last(*segment)?,
            Verdict::BeginsAnew { at } => self.begin_anew(*at)?,
            Verdict::NothingLeft => self.log.log_start = self.ends,
            // The segment is read on, anew from its start, or not at all: the caller's.
            Verdict::Next | Verdict::MissingBelowStart { .. } | Verdict::PartStands | Verdict::PartFell => {}
            Verdict::IndexLeads | Verdict::IndexGone | Verdict::IndexAstray => {}
            Verdict::Displaced | Verdict::DamagedBelowStart => {}
            // What stands behind the last batch is cut off in any case.
            Verdict::Whole | Verdict::UsedAgain | Verdict::Torn | Verdict::CutShort => {}
            Verdict::Settled => {}
            // Said before the folder is looked at, or after it.
            Verdict::NotCut | Verdict::WasCut { .. } | Verdict::ToBeCut { .. } | Verdict::CutsUnknown => {}
            Verdict::WatermarkStands { .. }
            | Verdict::WatermarkBeyond { .. }
            | Verdict::WatermarkBehind { .. } => {}
            // Said of the folder, before any of its files is opened.
            Verdict::TopicListed | Verdict::TopicOrphaned | Verdict::Untouched => {}
            Verdict::AllPast { .. } | Verdict::AllMissing { .. } | Verdict::NoCheckpoint { .. } => {}
            Verdict::CheckpointAstray { .. } | Verdict::Checkpointed { .. } => {}
            Verdict::BeginningMissing { .. } => {}
        }
        self.ends = self.ends.max(verdict.resumes_at().unwrap_or(self.ends));
        Ok(())
    }

    /// The next segment file of the folder; `next` is the base of the one after it. The scan begins at `beginning`.
    fn segment(
        &mut self,
        base: Offset,
        next: Option<Offset>,
        beginning: &Beginning,
    ) -> Result<(), RecoveryError> {
        let verdict = self.place(base)?;
        self.carry_out(&verdict)?;
        if !verdict.is_of_the_log() {
            return Ok(());
        }
        let begun_at = beginning.segment_base;
        if base < begun_at {
            self.finished(base, next.map_or(begun_at, |next| next.min(begun_at)))
        } else if base == begun_at && beginning.position > 0 {
            self.begun(base, beginning, next)
        } else {
            self.scanned(base, 0, SparseIndex::default(), next)
        }
    }

    fn place(&self, base: Offset) -> Result<Verdict, RecoveryError> {
        let (log_end, log_start, durable) = (self.ends, self.log.log_start, self.durable);
        let mut place = Place { segment: base, log_end, log_start, durable, holds_batches: false };
        if place.is_ahead() {
            place.holds_batches = first_timestamp(&self.path(base), base)?.is_some();
        }
        Ok(place.verdict())
    }

    /// A segment from before the checkpoint: whole and synced, if nothing has befallen it since.
    fn finished(&mut self, base: Offset, next: Offset) -> Result<(), RecoveryError> {
        let path = self.path(base);
        let position = length_of(&path)?;
        let index = read_index(self.folder, base, position);
        let known = self.known_part(base, Reach { position, ends: next }, index, Times::Unknown)?;
        if known.index_changed {
            write_index(self.folder, base, &known.index)?;
        }
        self.found(known.reach.ends);
        let (size, index) = (known.reach.position, known.index);
        self.log.segments.push(RecoveredSegment { base, size, index, begun: None });
        self.finished = self.log.segments.len();
        Ok(())
    }

    /// The segment in which scanning begins: everything below `position`, where the batch with `offset` begins, is synced.
    fn begun(
        &mut self,
        base: Offset,
        beginning: &Beginning,
        next: Option<Offset>,
    ) -> Result<(), RecoveryError> {
        let Beginning { position, offset, mark, .. } = *beginning;
        let to = length_of(&self.path(base))?.min(position);
        let mut index = read_index(self.folder, base, to);
        let segment = self.segment_id(base);
        let marks = fs::read(segment_file(self.folder, base, MARKS)).unwrap_or_default();
        let marks = marks::decode(segment, &marks).flatten().chain(mark);
        marks.filter(|mark| mark.position() < to).for_each(|mark| _ = index.resume_at(mark));
        let known = self.known_part(base, Reach { position: to, ends: offset }, index, Times::Checked)?;
        let part = CheckpointedPart { found: known.reach, expected: Reach { position, ends: offset } };
        if part.verdict() != Verdict::PartStands {
            remove_marks(self.folder, base)?;
            return self.scanned(base, 0, SparseIndex::default(), next);
        }
        if next.is_none() && known.index_changed && known.walked >= INDEX_WORTH_BYTES {
            write_marks(self.folder, segment, &known.index)?;
        }
        self.found(offset);
        self.scanned(base, position, known.index, next)
    }

    fn known_part(
        &mut self,
        base: Offset,
        expected: Reach,
        index: SparseIndex,
        times: Times,
    ) -> Result<KnownPart, RecoveryError> {
        let path = self.path(base);
        let part = Part { path: &path, base, expected, log_start: self.log.log_start };
        let known = known_part::look(&part, index, times)?;
        known.passed_over.iter().try_for_each(|verdict| self.carry_out(verdict))?;
        Ok(known)
    }

    /// Follows the batches of one segment from `position` on, where the log ends so far.
    fn scanned(
        &mut self,
        base: Offset,
        position: u64,
        mut index: SparseIndex,
        next: Option<Offset>,
    ) -> Result<(), RecoveryError> {
        let path = self.path(base);
        let length = length_of(&path)?;
        // Behind a checkpoint is what replay has just written.
        let open = if position > 0 { Scan::open_for_little } else { Scan::open };
        let mut scan = open(&path, position, length)?;
        let rules = self.rules(base, next);
        let RecoveredLog { epochs, producers, .. } = &mut self.log;
        let walked = scan.walk(self.ends, &rules, &mut |header, position, _| {
            note(&mut index, base, header, position);
            epochs.note(header.leader_epoch, header.base_offset);
            if let Some(sequenced) = Sequenced::of(header) {
                producers.note(&sequenced, header.base_offset, header.max_timestamp);
            }
        })?;
        walked.passed_over.iter().try_for_each(|verdict| self.carry_out(verdict))?;
        let Reach { position: size, ends } = walked.reach;
        let durable_end = rules.interruption(ends).durable_end();
        let mut end = SegmentEnd { segment: base, ends, durable_end, stands: walked.stands };
        if end.lacks_records() {
            end.stands = scan.all_that_stands()?;
        }
        self.carry_out(&end.verdict())?;
        if size < length {
            self.files.cut(self.segment_id(base), size)?;
        }
        self.found(ends);
        let begun = first_timestamp(&path, base)?;
        self.log.segments.push(RecoveredSegment { base, size, index, begun });
        Ok(())
    }

    fn rules(&self, segment: Offset, next: Option<Offset>) -> Rules {
        Rules {
            // Compaction leaves gaps, but never in the last segment.
            follows: if next.is_some() { Follows::Gaps } else { Follows::Each },
            checksums: Checksums::OfAll,
            segment,
            durable: self.durable,
            limit: next.filter(|next| *next <= self.durable).unwrap_or(Offset(i64::MAX)),
            log_start: self.log.log_start,
        }
    }

    fn found(&mut self, ends: Offset) {
        self.written = if ends > self.ends { ends } else { self.written };
        self.ends = self.ends.max(ends);
    }

    /// A segment that is not part of the log is kept under another name.
    fn set_aside(&self, base: Offset) -> Result<(), RecoveryError> {
        let (path, aside) = (self.path(base), segment_file(self.folder, base, "log.orphan"));
        fs::rename(&path, &aside).map_err(at(&path))
    }

    /// Settles where the log ends, and cuts what goes beyond off the derived state.
    fn settle(&mut self) -> Result<(), RecoveryError> {
        let mut was_trimmed = false;
        loop {
            let verdict = self.log_end(was_trimmed).verdict();
            self.carry_out(&verdict)?;
            was_trimmed |= matches!(verdict, Verdict::LastEmpty { .. });
            if matches!(verdict, Verdict::Settled | Verdict::NothingLeft) {
                break;
            }
        }
        let log = &mut self.log;
        log.log_end = self.ends;
        log.epochs.truncate(log.log_end);
        log.producers.truncate(log.log_end);
        log.log_start = log.log_start.min(log.log_end);
        log.damaged.remove(&(Offset(0)..log.log_start));
        Ok(())
    }

    fn log_end(&self, was_trimmed: bool) -> LogEnd {
        let segments = &self.log.segments;
        LogEnd {
            log_start: self.log.log_start,
            log_end: self.ends,
            written: self.written,
            durable: self.durable,
            last: segments.last().map(|last| (last.base, last.size)),
            was_trimmed,
            holds_batches: segments.iter().any(|segment| segment.size > 0),
        }
    }

    fn remove_last(&mut self, base: Offset) -> Result<(), RecoveryError> {
        self.log.segments.pop();
        let path = self.path(base);
        self.files.cut(self.segment_id(base), 0)?;
        fs::remove_file(&path).map_err(at(&path))?;
        remove_marks(self.folder, base)
    }

    fn begin_anew(&mut self, base: Offset) -> Result<(), RecoveryError> {
        self.files.cut(self.segment_id(base), 0)?;
        self.log.segments.push(RecoveredSegment { base, ..RecoveredSegment::default() });
        Ok(())
    }

    /// Writes the indexes of segments that were being appended to and are finished now: readers want them from the disk.
    fn index_what_rolled(&self) -> Result<(), RecoveryError> {
        let last = self.log.segments.len().saturating_sub(1);
        for rolled in self.log.segments.get(self.finished..last).unwrap_or_default() {
            write_index(self.folder, rolled.base, &rolled.index)?;
            remove_marks(self.folder, rolled.base)?;
        }
        Ok(())
    }

    /// Loads the last block of the active segment.
    fn load_active(&mut self) -> Result<(), RecoveryError> {
        let Some(active) = self.log.segments.last_mut() else { return Ok(()) };
        let path = segment_file(self.folder, active.base, "log");
        let whole = block_floor(active.size);
        let mut carry = vec![0; usize::try_from(active.size - whole).expect("less than a block")];
        let file = File::open(&path).map_err(at(&path))?;
        file.read_exact_at(&mut carry, whole).map_err(at(&path))?;
        self.log.carry = carry;
        if active.begun.is_none() {
            active.begun = first_timestamp(&path, active.base)?;
        }
        Ok(())
    }
}
