//! One partition: its segments are scanned from the checkpoint on, and the log ends where the evidence ends.
//!
//! Of segments before the checkpoint only the end is looked at. *Durable* is what the checkpoint or the commit log names as
//! being on stable storage.
//!
//! | evidence | name | decision | how the disk got there |
//! |---|---|---|---|
//! | batches follow each other to the end of the file, or to zeros | whole | the log ends there | orderly, or preallocated space |
//! | they follow each other to bytes of an older segment of the log: no batch there has an offset the log may have | whole | the log ends there | the file was that segment's before ([`crate::log`]'s `spare`) |
//! | an invalid batch, and nothing durable from there on | torn | cut there | the crash hit a direct run or the last commit group |
//! | an invalid batch below what is durable, whole ones behind it | damaged | the offsets between are quarantined, the log goes on behind them | bit rot, a lost or misdirected write |
//! | an invalid batch below what is durable, none behind it | damaged end | quarantined up to what is durable, where a new segment begins; the file is kept as `.log.damaged` and cut | the same |
//! | a segment ends before the next one begins, which is durable | missing | the offsets between are quarantined | a file is gone or was cut short |
//! | a segment ends before the next one begins, which is not durable | torn | the later ones are removed, or set aside if batches are in them | the crash came before the first one's bytes |
//! | a segment begins below the end of the one before it | extra | it is set aside | a file was put back |
//! | the first segment begins above the log's start | beginning missing | the log begins there, reported | files were removed |
//! | an index is gone, cut off, or does not lead to where its segment's last batches are, or to the one with the largest timestamp | index | rebuilt from the segment | a crash, bit rot |
//! | no file, and the checkpoint's log begins where its last segment was to begin | past | an empty log that begins there | retention or DeleteRecords took everything |
//! | no file, though the checkpoint or the commit log knows of records | all missing | an empty log that begins at the old end, reported | files were removed |
//!
//! A segment's file may hold what an older segment of the same log left in it. All of that has offsets below the segment's
//! base, so it is never the batch that is expected next, and looking behind damage passes it over: it neither makes the log
//! longer nor is damage. Only the batch that ends what was durable may have such bytes behind it.
//!
//! No offset that was acknowledged is ever given to another record. What is quarantined is refused to readers
//! (CORRUPT_MESSAGE), who may go on behind it; `.log.damaged` and `.log.orphan` are left to whoever wants to look.

use std::fs::{self, File};
use std::io::{BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::base::io::SegmentId;
use crate::base::{Offset, TimestampMs, TopicPartition, block_floor};
use crate::log::{
    EpochCache, IndexMark, IndexedBatch, Lead, PartitionSnapshot, ProducerStates, RecoveredLog,
    RecoveredSegment, Sequenced, SparseIndex, marks,
};
use crate::record::{BATCH_HEADER_BYTES, BatchHeader, batch_crc};
use crate::runtime::cleaner::advise;
use crate::runtime::remover::absent_is_fine;
use crate::runtime::resync;

use super::files::{self, MARKS, SegmentFiles, segment_file};
use super::{RecoveryError, at};

const READ_BYTES: usize = 64 * 1024;
/// The same where little is expected to be read.
const READ_LITTLE_BYTES: usize = 16 * 1024;

/// More records than one segment holds: bytes that claim an offset further beyond what is durable are none of the log's.
const BEYOND_DURABLE_MAX: i64 = 1 << 32;

/// A segment still being appended to keeps its index in memory. Below this, the next start follows its batches sooner than
/// this one writes a file, which tells with ten thousand partitions.
const INDEX_WORTH_BYTES: u64 = 2 * READ_BYTES as u64;

/// Recovers a partition from its folder. `claim` is the end of what the commit log says was durable.
pub(super) fn recover(
    folder: &Path,
    id: TopicPartition,
    snapshot: Option<PartitionSnapshot>,
    claim: Offset,
    files: &mut SegmentFiles,
) -> Result<RecoveredLog, RecoveryError> {
    files::remove_leftovers(folder)?;
    let bases = files::segments(folder)?;
    let Some(first) = bases.first().copied() else { return Ok(without_files(id, snapshot, claim)) };
    let durable = snapshot.as_ref().map_or(claim, |known| claim.max(known.offset));
    let mut start = Beginning::of(&bases, snapshot);
    if first > start.log_start {
        tracing::error!(partition = %id, log_start = %start.log_start, %first, "the log's first segments are missing; it begins later now");
    }
    let log = RecoveredLog {
        log_start: start.log_start.max(first),
        log_end: first,
        epochs: std::mem::take(&mut start.epochs),
        producers: std::mem::take(&mut start.producers),
        ..RecoveredLog::default()
    };
    let mut recovery =
        PartitionRecovery { folder, id, durable, log, finished: 0, ends: first, written: first, files };
    let scanned_from = bases.partition_point(|base| *base < start.segment_base);
    for (at_index, base) in bases.iter().copied().enumerate() {
        let next = bases.get(at_index + 1).copied();
        if !recovery.adjoins(base, &bases[at_index..])? {
            if base > recovery.ends {
                break;
            }
            continue;
        }
        if at_index < scanned_from {
            recovery.finished(base, next.map_or(start.segment_base, |next| next.min(start.segment_base)))?;
        } else if base == start.segment_base && start.position > 0 {
            recovery.begun(base, &start, next)?;
        } else {
            recovery.scanned(base, 0, SparseIndex::default(), next)?;
        }
    }
    recovery.finish()
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

    /// Whether a segment is the log's next one. What does not belong is set aside, with what follows it.
    fn adjoins(&mut self, base: Offset, rest: &[Offset]) -> Result<bool, RecoveryError> {
        if base < self.ends {
            self.set_aside(base)?;
            tracing::error!(
                partition = %self.id, log_end = %self.ends, segment = %base,
                "a segment does not follow the log and is set aside"
            );
            return Ok(false);
        }
        if base > self.ends.max(self.durable) {
            rest.iter().try_for_each(|base| self.not_begun(*base))?;
            return Ok(false);
        }
        self.missing_to(base);
        Ok(true)
    }

    /// Records up to `to` were durable, and are in no segment. Those below the log's start are none of the log's: what
    /// retention has let go may be there in part.
    fn missing_to(&mut self, to: Offset) {
        let from = self.ends.max(self.log.log_start);
        if from < to {
            tracing::error!(
                partition = %self.id, %from, %to,
                "records are missing: a segment is gone or cut short; these offsets are refused to readers"
            );
            self.log.damaged.add(from..to);
        }
        self.ends = self.ends.max(to);
    }

    /// A segment from before the checkpoint: whole and synced, if nothing has befallen it since.
    fn finished(&mut self, base: Offset, next: Offset) -> Result<(), RecoveryError> {
        let path = self.path(base);
        let length = fs::metadata(&path).map_err(at(&path))?.len();
        let index = read_index(self.folder, base, length);
        let known = self.known_part(base, length, next, index, Times::Unknown)?;
        if known.index_changed {
            write_index(self.folder, base, &known.index)?;
        }
        self.found(known.ends);
        self.log.segments.push(RecoveredSegment { base, size: known.size, index: known.index, begun: None });
        self.finished = self.log.segments.len();
        Ok(())
    }

    /// The segment in which scanning begins: everything below `position`, where the batch with `offset` begins, is synced.
    fn begun(&mut self, base: Offset, start: &Beginning, next: Option<Offset>) -> Result<(), RecoveryError> {
        let path = self.path(base);
        let Beginning { position, offset, mark, .. } = *start;
        let length = fs::metadata(&path).map_err(at(&path))?.len();
        let to = length.min(position);
        let mut index = read_index(self.folder, base, to);
        let segment = SegmentId { partition: self.id, base };
        let marks = fs::read(segment_file(self.folder, base, MARKS)).unwrap_or_default();
        let marks = marks::decode(segment, &marks).flatten().chain(mark);
        marks.filter(|mark| mark.position() < to).for_each(|mark| _ = index.resume_at(mark));
        let known = self.known_part(base, to, offset, index, Times::Checked)?;
        if known.ends == offset && known.size == position {
            if next.is_none() && known.index_changed && known.walked >= INDEX_WORTH_BYTES {
                write_marks(self.folder, segment, &known.index)?;
            }
            self.found(offset);
            return self.scanned(base, position, known.index, next);
        }
        // Not as the checkpoint found it: only looking at all of it tells what is left.
        remove_marks(self.folder, base)?;
        self.scanned(base, 0, SparseIndex::default(), next)
    }

    /// Looks from the last entry of `decoded` on whether batches follow each other to the end of the part, where `ends` is
    /// expected; if not, from the beginning on, and builds the index anew.
    fn known_part(
        &mut self,
        base: Offset,
        to: u64,
        ends: Offset,
        decoded: SparseIndex,
        times: Times,
    ) -> Result<KnownPart, RecoveryError> {
        let path = self.path(base);
        let lacks_times = decoded.max_timestamp(base).is_none();
        if let Some(known) =
            (!lacks_times).then(|| follow_index(&path, base, decoded, (to, ends), times)).transpose()?
            && let Some(known) = known
        {
            return Ok(known);
        }
        let mut index = SparseIndex::default();
        let mut scan = Scan::open(&path, 0, to)?;
        let rules = Rules { follows: Follows::Gaps, verify: false, durable: ends, limit: ends };
        let (found, holes) = scan.walk(base, &rules, &mut |header, position, _| {
            note(&mut index, base, header, position);
        })?;
        self.holes(base, holes);
        Ok(KnownPart { index, index_changed: true, walked: to, size: scan.end, ends: found })
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
        let length = fs::metadata(&path).map_err(at(&path))?.len();
        // Behind a checkpoint is what replay has just written.
        let open = if position > 0 { Scan::open_for_little } else { Scan::open };
        let mut scan = open(&path, position, length)?;
        // Compaction leaves gaps, but never in the last segment.
        let follows = if next.is_some() { Follows::Gaps } else { Follows::Each };
        let limit = next.filter(|next| *next <= self.durable).unwrap_or(Offset(i64::MAX));
        let rules = Rules { follows, verify: true, durable: self.durable, limit };
        let RecoveredLog { epochs, producers, .. } = &mut self.log;
        let (found, holes) = scan.walk(self.ends, &rules, &mut |header, position, _| {
            note(&mut index, base, header, position);
            epochs.note(header.leader_epoch, header.base_offset);
            if let Some(sequenced) = sequenced(header) {
                producers.note(&sequenced, header.base_offset, header.max_timestamp);
            }
        })?;
        self.holes(base, holes);
        if scan.end < length {
            if found < self.durable.min(limit) && !scan.is_zeros_from_end()? {
                keep_damaged(self.folder, base)?;
            }
            self.files.cut(SegmentId { partition: self.id, base }, scan.end)?;
        }
        self.found(found);
        let begun = first_timestamp(&path, base)?;
        self.log.segments.push(RecoveredSegment { base, size: scan.end, index, begun });
        Ok(())
    }

    fn found(&mut self, ends: Offset) {
        self.written = if ends > self.ends { ends } else { self.written };
        self.ends = self.ends.max(ends);
    }

    fn holes(&mut self, base: Offset, holes: Vec<Range<Offset>>) {
        let log_start = self.log.log_start;
        for hole in holes.into_iter().filter(|hole| hole.end > log_start) {
            tracing::error!(
                partition = %self.id, segment = %base, from = %hole.start, to = %hole.end,
                "records that were durable are damaged; these offsets are refused to readers"
            );
            self.log.damaged.add(hole);
        }
    }

    /// A segment that was created, and the crash came before the records it was to follow were durable.
    fn not_begun(&self, base: Offset) -> Result<(), RecoveryError> {
        let path = self.path(base);
        if first_timestamp(&path, base)?.is_none() {
            return fs::remove_file(&path).map_err(at(&path));
        }
        self.set_aside(base)?;
        tracing::warn!(
            partition = %self.id, log_end = %self.ends, segment = %base,
            "what a segment follows was not durable when the server ended, nor is what it holds; it is set aside"
        );
        Ok(())
    }

    /// A segment that is not part of the log is kept under another name.
    fn set_aside(&self, base: Offset) -> Result<(), RecoveryError> {
        let (path, aside) = (self.path(base), segment_file(self.folder, base, "log.orphan"));
        fs::rename(&path, &aside).map_err(at(&path))
    }

    /// Settles where the log ends, cuts what goes beyond off the derived state, and loads the last block of the active
    /// segment.
    fn finish(mut self) -> Result<RecoveredLog, RecoveryError> {
        self.missing_to(self.durable);
        let PartitionRecovery { folder, id, mut log, finished, ends, written, files, .. } = self;
        log.log_end = ends;
        log.epochs.truncate(log.log_end);
        log.producers.truncate(log.log_end);
        log.log_start = log.log_start.min(log.log_end);
        // No offset is given out twice, and an active segment has no gaps: the log goes on in a new one.
        let goes_on = written < ends && log.segments.iter().any(|segment| segment.size > 0);
        if let Some(last) = log.segments.pop_if(|last| last.size == 0 && !(goes_on && last.base == ends)) {
            // Nothing of it survived: it is created again by the next append.
            let path = segment_file(folder, last.base, "log");
            files.cut(SegmentId { partition: id, base: last.base }, 0)?;
            fs::remove_file(&path).map_err(at(&path))?;
            remove_marks(folder, last.base)?;
        }
        if log.segments.is_empty() {
            log.log_start = log.log_end;
        }
        log.damaged.remove(&(Offset(0)..log.log_start));
        if goes_on && log.segments.last().is_some_and(|last| last.base != ends) {
            files.cut(SegmentId { partition: id, base: log.log_end }, 0)?;
            let begun = None;
            log.segments.push(RecoveredSegment {
                base: log.log_end,
                size: 0,
                index: SparseIndex::default(),
                begun,
            });
        }
        // Of those that were being appended to all but the last are finished now: readers want their indexes from the disk.
        for rolled in log.segments.get(finished..log.segments.len().saturating_sub(1)).unwrap_or_default() {
            write_index(folder, rolled.base, &rolled.index)?;
            remove_marks(folder, rolled.base)?;
        }
        if let Some(active) = log.segments.last_mut() {
            let path = segment_file(folder, active.base, "log");
            let mut carry =
                vec![0; usize::try_from(active.size - block_floor(active.size)).expect("less than a block")];
            let file = File::open(&path).map_err(at(&path))?;
            file.read_exact_at(&mut carry, block_floor(active.size)).map_err(at(&path))?;
            log.carry = carry;
            if active.begun.is_none() {
                active.begun = first_timestamp(&path, active.base)?;
            }
        }
        Ok(log)
    }
}

/// The part of a segment that was there before.
struct KnownPart {
    index: SparseIndex,
    /// It says more than the files do.
    index_changed: bool,
    /// Bytes between the last entry known before and the part's end.
    walked: u64,
    size: u64,
    ends: Offset,
}

/// What is known of the largest timestamp that an index names: retention goes by it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Times {
    /// It comes from a file without checksums.
    Unknown,
    /// A checksum stood beside it, or the segment is not finished: larger ones will follow.
    Checked,
}

/// `None` if the index does not lead to where it says.
fn follow_index(
    path: &Path,
    base: Offset,
    mut index: SparseIndex,
    (to, ends): (u64, Offset),
    times: Times,
) -> Result<Option<KnownPart>, RecoveryError> {
    let Lead { position, mut landmarks } = index.lead_to(base, Offset(i64::MAX));
    if let Some((timestamp, offset)) = index.max_timestamp(base).filter(|_| times == Times::Unknown) {
        let lead = index.lead_to_largest(base, timestamp, offset);
        if lead.position == position {
            landmarks = lead.landmarks;
        } else if !leads(path, lead, to)? {
            return Ok(None);
        }
    }
    let entries = index.len();
    let is_little = to.saturating_sub(position) <= READ_BYTES as u64;
    let open = if is_little { Scan::open_for_little } else { Scan::open };
    let mut scan = open(path, position, to)?;
    let mut leads = true;
    let from = if position == 0 { base } else { Offset(0) };
    let rules = Rules { follows: Follows::Gaps, verify: false, durable: Offset(0), limit: ends };
    let (found, _) = scan.walk(from, &rules, &mut |header, at_position, _| {
        leads &= landmarks.pass(header.last_offset(), header.max_timestamp);
        note(&mut index, base, header, at_position);
    })?;
    let index_changed = index.len() > entries;
    let whole = leads && landmarks.are_passed() && scan.end == to && found == ends;
    let walked = to - position;
    Ok(whole.then_some(KnownPart { index, index_changed, walked, size: scan.end, ends: found }))
}

/// Whether the batches are there that an index names.
fn leads(path: &Path, Lead { position, mut landmarks }: Lead, to: u64) -> Result<bool, RecoveryError> {
    let mut scan = Scan::open_for_little(path, position, to)?;
    while !landmarks.are_passed() {
        let Some((header, _)) = scan.next(|_| true)? else { return Ok(false) };
        if !landmarks.pass(header.last_offset(), header.max_timestamp) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn read_index(folder: &Path, base: Offset, to: u64) -> SparseIndex {
    let offsets = fs::read(segment_file(folder, base, "index")).unwrap_or_default();
    let times = fs::read(segment_file(folder, base, "timeindex")).unwrap_or_default();
    SparseIndex::decode(&offsets, &times, to)
}

/// They are about a segment that is no more.
fn remove_marks(folder: &Path, base: Offset) -> Result<(), RecoveryError> {
    let path = segment_file(folder, base, MARKS);
    absent_is_fine(fs::remove_file(&path)).map_err(at(&path))
}

fn keep_damaged(folder: &Path, base: Offset) -> Result<(), RecoveryError> {
    let kept = segment_file(folder, base, "log.damaged");
    fs::copy(segment_file(folder, base, "log"), &kept).map_err(at(&kept))?;
    Ok(())
}

fn sequenced(header: &BatchHeader) -> Option<Sequenced> {
    (header.producer_id.0 >= 0 && !header.is_control()).then_some(Sequenced {
        producer: header.producer_id,
        epoch: header.producer_epoch,
        first_sequence: header.base_sequence,
        records: header.records_count,
    })
}

/// The checkpoint of a partition as recovery leaves it.
pub(super) fn snapshot(id: TopicPartition, log: &RecoveredLog) -> PartitionSnapshot {
    let active = log.segments.last();
    PartitionSnapshot {
        id,
        log_start: log.log_start,
        log_end: log.log_end,
        segment_base: active.map_or(log.log_end, |segment| segment.base),
        position: active.map_or(0, |segment| segment.size),
        offset: log.log_end,
        mark: active.and_then(|segment| segment.index.mark_before(segment.size)),
        epochs: log.epochs.clone(),
        producers: log.producers.clone(),
    }
}

/// Where scanning begins, and what is known there.
struct Beginning {
    log_start: Offset,
    segment_base: Offset,
    position: u64,
    offset: Offset,
    mark: Option<IndexMark>,
    epochs: EpochCache,
    producers: ProducerStates,
}

impl Beginning {
    fn of(bases: &[Offset], snapshot: Option<PartitionSnapshot>) -> Beginning {
        let first = bases.first().copied().unwrap_or(Offset(0));
        match snapshot {
            // The checkpoint's segment is there, or nothing was written to it yet.
            Some(known) if bases.contains(&known.segment_base) || known.position == 0 => Beginning {
                log_start: known.log_start,
                segment_base: known.segment_base,
                position: known.position,
                offset: known.offset,
                mark: known.mark,
                epochs: known.epochs,
                producers: known.producers,
            },
            _ => Beginning {
                log_start: first,
                segment_base: first,
                position: 0,
                offset: first,
                mark: None,
                epochs: EpochCache::default(),
                producers: ProducerStates::default(),
            },
        }
    }
}

fn without_files(id: TopicPartition, snapshot: Option<PartitionSnapshot>, claim: Offset) -> RecoveredLog {
    let known = snapshot.filter(|known| known.log_end.0 > 0);
    let log_end = known.as_ref().map_or(claim, |known| known.log_end.max(claim));
    if log_end == Offset(0) {
        return RecoveredLog::default();
    }
    if let Some(known) = known.filter(|known| {
        known.position == 0 && known.log_start >= known.segment_base && claim <= known.segment_base
    }) {
        let end = known.segment_base;
        let (mut epochs, mut producers) = (known.epochs, known.producers);
        epochs.truncate(end);
        producers.truncate(end);
        return RecoveredLog { log_start: end, log_end: end, epochs, producers, ..RecoveredLog::default() };
    }
    tracing::error!(partition = %id, %log_end, "the segments of a partition are missing; it goes on empty");
    RecoveredLog { log_start: log_end, log_end, ..RecoveredLog::default() }
}

fn note(index: &mut SparseIndex, base: Offset, header: &BatchHeader, position: u64) {
    index.note(base, IndexedBatch::of(header, position), 0);
}

fn write_index(folder: &Path, base: Offset, index: &SparseIndex) -> Result<(), RecoveryError> {
    let (offsets, times) = index.encode();
    files::write_index(folder, base, &offsets, &times).map_err(at(folder))
}

/// Whatever a crash leaves of these is true: they need no sync.
fn write_marks(folder: &Path, segment: SegmentId, index: &SparseIndex) -> Result<(), RecoveryError> {
    let path = segment_file(folder, segment.base, MARKS);
    fs::write(&path, marks::encode(segment, index.marks(0..index.len()))).map_err(at(&path))
}

/// Of the first batch of a segment, if there is one: what an older segment left in the file lies below `base`.
fn first_timestamp(path: &Path, base: Offset) -> Result<Option<TimestampMs>, RecoveryError> {
    let mut scan = Scan::open_for_little(path, 0, u64::MAX)?;
    let header = scan.header()?.filter(|header| header.base_offset >= base);
    Ok(header.map(|header| header.base_timestamp))
}

/// Which batch may follow.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Follows {
    /// The one with the next offset.
    Each,
    /// Any with a higher one: compaction took some out.
    Gaps,
}

struct Rules {
    follows: Follows,
    /// Checksums as well; if not, only of what claims to go beyond the limit.
    verify: bool,
    /// Damage below is passed over, if something whole stands behind it; above, it is the end.
    durable: Offset,
    /// Where the next segment begins: only what adjoins goes beyond.
    limit: Offset,
}

impl Rules {
    fn allow(&self, header: &BatchHeader, expected: Offset) -> bool {
        let follows = match self.follows {
            Follows::Each => header.base_offset == expected,
            Follows::Gaps => header.base_offset >= expected && header.last_offset() < self.limit,
        };
        (follows || header.base_offset == expected) && header.last_offset_delta >= 0
    }
}

/// Walks over the batches of a file.
struct Scan<'a> {
    path: &'a Path,
    reader: BufReader<File>,
    /// Where the last whole batch ends.
    end: u64,
    length: u64,
}

impl<'a> Scan<'a> {
    fn open(path: &'a Path, position: u64, length: u64) -> Result<Scan<'a>, RecoveryError> {
        let file = File::open(path).map_err(at(path))?;
        let mut scan =
            Scan { path, reader: BufReader::with_capacity(READ_BYTES, file), end: position, length };
        scan.seek(position)?;
        Ok(scan)
    }

    /// The same where a few batches are expected: nothing is read ahead, which tells with ten thousand partitions.
    fn open_for_little(path: &'a Path, position: u64, length: u64) -> Result<Scan<'a>, RecoveryError> {
        let mut scan = Scan::open(path, position, length)?;
        let file = scan.reader.into_inner();
        advise(&file, 0..0, libc::POSIX_FADV_RANDOM);
        scan.reader = BufReader::with_capacity(READ_LITTLE_BYTES, file);
        Ok(scan)
    }

    fn seek(&mut self, position: u64) -> Result<(), RecoveryError> {
        self.end = position;
        self.reader.seek(SeekFrom::Start(position)).map(|_| ()).map_err(at(self.path))
    }

    /// Follows batches from `expected` on: where they end, and what was passed over.
    fn walk(
        &mut self,
        mut expected: Offset,
        rules: &Rules,
        each: &mut dyn FnMut(&BatchHeader, u64, &[u8]),
    ) -> Result<(Offset, Vec<Range<Offset>>), RecoveryError> {
        let mut holes = Vec::new();
        loop {
            let position = self.end;
            if let Some((header, batch)) = self.next(|header| rules.allow(header, expected))? {
                let trusted = !rules.verify && header.last_offset() < rules.limit;
                if trusted || batch_crc(&batch) == header.crc {
                    each(&header, position, &batch);
                    expected = header.last_offset().plus(1);
                    continue;
                }
                self.end = position;
            }
            // What was durable of this segment ends here.
            let durable = rules.durable.min(rules.limit);
            if expected >= durable {
                return Ok((expected, holes));
            }
            let within = expected..rules.limit.min(Offset(durable.0.saturating_add(BEYOND_DURABLE_MAX)));
            let part = position..self.length;
            let found = resync::next_batch(self.reader.get_ref(), part, &within, Some(durable));
            let found = found.map_err(at(self.path))?;
            let Some((position, base)) = found.filter(|(_, base)| *base <= rules.durable) else {
                return Ok((expected, holes));
            };
            if base > expected {
                holes.push(expected..base);
            }
            expected = base;
            self.seek(position)?;
        }
    }

    /// The next batch, whole, if there is one and its header is `wanted`.
    fn next(
        &mut self,
        wanted: impl Fn(&BatchHeader) -> bool,
    ) -> Result<Option<(BatchHeader, Vec<u8>)>, RecoveryError> {
        let mut batch = vec![0; BATCH_HEADER_BYTES];
        let Some(header) = self.read_header(&mut batch)? else { return Ok(None) };
        let total = header.total_bytes();
        if !wanted(&header) || self.end + total as u64 > self.length {
            return Ok(None);
        }
        batch.resize(total, 0);
        self.reader.read_exact(&mut batch[BATCH_HEADER_BYTES..]).map_err(at(self.path))?;
        self.end += total as u64;
        Ok(Some((header, batch)))
    }

    /// Whether nothing but zeros stands behind the last batch.
    fn is_zeros_from_end(&mut self) -> Result<bool, RecoveryError> {
        self.seek(self.end)?;
        let mut piece = vec![0; READ_BYTES];
        loop {
            let read = self.reader.read(&mut piece).map_err(at(self.path))?;
            match piece.get(..read) {
                None | Some([]) => return Ok(true),
                Some(bytes) if bytes.iter().any(|byte| *byte != 0) => return Ok(false),
                Some(_) => {}
            }
        }
    }

    fn header(&mut self) -> Result<Option<BatchHeader>, RecoveryError> {
        self.read_header(&mut [0; BATCH_HEADER_BYTES])
    }

    /// `None` at the end, at zeros, and at anything that is no batch.
    fn read_header(&mut self, into: &mut [u8]) -> Result<Option<BatchHeader>, RecoveryError> {
        match self.reader.read_exact(into) {
            Ok(()) => Ok(BatchHeader::parse(into).ok()),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(at(self.path)(error)),
        }
    }
}
