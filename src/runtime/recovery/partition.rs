//! One partition: its segments are scanned from the checkpoint on, and the log ends where the evidence ends.
//!
//! | evidence | name | decision | how the disk got there |
//! |---|---|---|---|
//! | batches follow each other to the end of the file, or to zeros | whole | the log ends there | orderly, or preallocated space |
//! | an invalid batch, and no claim that records from there on were durable | torn | cut there | the crash hit a direct run or the last commit group |
//! | an invalid batch below an offset that was claimed durable | corrupt | keep a copy of the file, cut there, report | bit rot, a lost or misdirected write |
//! | the next segment does not begin where this one ends | gap | set the later segments aside, report | a file is missing or damaged |
//! | no file, and the checkpoint's log begins where its last segment was to begin | past | an empty log that begins there | retention or DeleteRecords took everything |
//! | no file, though the checkpoint or the commit log knows of records | missing | an empty log that begins at the old end, report | files were removed |

use std::fs::{self, File};
use std::io::{BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::base::io::SegmentId;
use crate::base::{Offset, TimestampMs, TopicPartition, block_floor};
use crate::log::{
    EpochCache, IndexedBatch, PartitionSnapshot, ProducerStates, RecoveredLog, RecoveredSegment, Sequenced,
    SparseIndex,
};
use crate::record::{BATCH_HEADER_BYTES, BatchHeader, batch_crc};

use super::files::{self, SegmentFiles, segment_file};
use super::{RecoveryError, at};

/// Recovers a partition from its folder.
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
    let start = Beginning::of(&bases, snapshot);
    let mut log = RecoveredLog {
        log_start: start.log_start.max(first),
        log_end: start.offset,
        epochs: start.epochs,
        producers: start.producers,
        segments: Vec::new(),
        carry: Vec::new(),
    };
    for base in bases.iter().filter(|base| **base < start.segment_base) {
        log.segments.push(sealed_segment(folder, *base)?);
    }
    let mut position = start.position;
    for (at_index, base) in bases.iter().enumerate().filter(|(_, base)| **base >= start.segment_base) {
        if *base != log.log_end && position == 0 {
            set_aside(folder, id, &bases[at_index..], log.log_end)?;
            break;
        }
        // Compaction leaves gaps, but never in the last segment.
        let gaps = at_index + 1 < bases.len();
        scan_segment(folder, *base, position, gaps, &mut log, &mut |end| {
            files.cut(SegmentId { partition: id, base: *base }, end)
        })?;
        position = 0;
    }
    if log.log_end < claim {
        report_corrupt(folder, id, &log, claim)?;
    }
    finish(folder, id, log, files)
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
                epochs: known.epochs,
                producers: known.producers,
            },
            _ => Beginning {
                log_start: first,
                segment_base: first,
                position: 0,
                offset: first,
                epochs: EpochCache::default(),
                producers: ProducerStates::default(),
            },
        }
    }
}

/// `claim` is the end of what the commit log says was durable.
fn without_files(id: TopicPartition, snapshot: Option<PartitionSnapshot>, claim: Offset) -> RecoveredLog {
    let Some(known) = snapshot.filter(|known| known.log_end.0 > 0) else { return RecoveredLog::default() };
    let end = known.segment_base;
    if known.position == 0 && known.log_start >= end && claim <= end {
        let (mut epochs, mut producers) = (known.epochs, known.producers);
        epochs.truncate(end);
        producers.truncate(end);
        return RecoveredLog { log_start: end, log_end: end, epochs, producers, ..RecoveredLog::default() };
    }
    let log_end = known.log_end.max(claim);
    tracing::error!(partition = %id, %log_end, "the segments of a partition are missing; it goes on empty");
    RecoveredLog { log_start: log_end, log_end, ..RecoveredLog::default() }
}

/// A segment that was finished before the checkpoint: only its time index is looked at, and rebuilt if it is missing.
fn sealed_segment(folder: &Path, base: Offset) -> Result<RecoveredSegment, RecoveryError> {
    let path = segment_file(folder, base, "log");
    let size = fs::metadata(&path).map_err(at(&path))?.len();
    let times = fs::read(segment_file(folder, base, "timeindex")).unwrap_or_default();
    let offsets = fs::read(segment_file(folder, base, "index")).unwrap_or_default();
    let mut index = SparseIndex::decode(&offsets, &times, size);
    if index.max_timestamp(base).is_none() {
        index = SparseIndex::default();
        let mut scan = Scan::open(&path, 0)?;
        while let Some((header, position, _)) = scan.next(|_| true)? {
            note(&mut index, base, &header, position);
        }
        write_index(folder, base, &index)?;
    }
    Ok(RecoveredSegment { base, size, index, begun: None })
}

/// Follows the batches of one segment from `position`, where the batch at the log's present end begins.
fn scan_segment(
    folder: &Path,
    base: Offset,
    position: u64,
    gaps: bool,
    log: &mut RecoveredLog,
    cut: &mut dyn FnMut(u64) -> Result<(), RecoveryError>,
) -> Result<(), RecoveryError> {
    let path = segment_file(folder, base, "log");
    let length = fs::metadata(&path).map_err(at(&path))?.len();
    let offsets = fs::read(segment_file(folder, base, "index")).unwrap_or_default();
    let times = fs::read(segment_file(folder, base, "timeindex")).unwrap_or_default();
    let mut index =
        if position == 0 { SparseIndex::default() } else { SparseIndex::decode(&offsets, &times, position) };
    index.truncate(base, log.log_end);
    let mut scan = Scan::open(&path, position)?;
    let mut expected = log.log_end;
    let follows = |header: &BatchHeader, expected: Offset| {
        header.base_offset == expected || gaps && header.base_offset > expected
    };
    while let Some((header, at_position, batch)) = scan.next(|header| follows(header, expected))? {
        if batch_crc(&batch) != header.crc {
            scan.end = at_position;
            break;
        }
        note(&mut index, base, &header, at_position);
        log.epochs.note(header.leader_epoch, header.base_offset);
        if header.producer_id.0 >= 0 && !header.is_control() {
            let sequenced = Sequenced {
                producer: header.producer_id,
                epoch: header.producer_epoch,
                first_sequence: header.base_sequence,
                records: header.records_count,
            };
            log.producers.note(&sequenced, header.base_offset, header.max_timestamp);
        }
        expected = header.last_offset().plus(1);
    }
    log.log_end = expected;
    if scan.end < length {
        cut(scan.end)?;
    }
    let begun = first_timestamp(&path)?;
    log.segments.push(RecoveredSegment { base, size: scan.end, index, begun });
    Ok(())
}

/// Cuts what goes beyond the log's end off the derived state, and loads the last block of the active segment.
fn finish(
    folder: &Path,
    id: TopicPartition,
    mut log: RecoveredLog,
    files: &mut SegmentFiles,
) -> Result<RecoveredLog, RecoveryError> {
    log.epochs.truncate(log.log_end);
    log.producers.truncate(log.log_end);
    log.log_start = log.log_start.min(log.log_end);
    if log.segments.last().is_some_and(|segment| segment.size == 0 && segment.base == log.log_end) {
        // Nothing of it survived: it is created again by the next append.
        log.segments.pop();
        let path = segment_file(folder, log.log_end, "log");
        files.cut(SegmentId { partition: id, base: log.log_end }, 0)?;
        fs::remove_file(&path).map_err(at(&path))?;
    }
    if let Some(active) = log.segments.last_mut() {
        let path = segment_file(folder, active.base, "log");
        let mut carry =
            vec![0; usize::try_from(active.size - block_floor(active.size)).expect("less than a block")];
        let file = File::open(&path).map_err(at(&path))?;
        file.read_exact_at(&mut carry, block_floor(active.size)).map_err(at(&path))?;
        log.carry = carry;
        if active.begun.is_none() {
            active.begun = first_timestamp(&path)?;
        }
    }
    Ok(log)
}

/// Segments beyond a gap are kept, under another name, for whoever wants to look.
fn set_aside(
    folder: &Path,
    id: TopicPartition,
    bases: &[Offset],
    log_end: Offset,
) -> Result<(), RecoveryError> {
    for base in bases {
        let path = segment_file(folder, *base, "log");
        let aside = segment_file(folder, *base, "log.orphan");
        fs::rename(&path, &aside).map_err(at(&path))?;
        tracing::error!(partition = %id, %log_end, segment = %base, "a segment does not follow the log and is set aside");
    }
    Ok(())
}

fn report_corrupt(
    folder: &Path,
    id: TopicPartition,
    log: &RecoveredLog,
    claim: Offset,
) -> Result<(), RecoveryError> {
    tracing::error!(
        partition = %id, log_end = %log.log_end, durable_to = %claim,
        "records that were durable are damaged; the log is cut before them and the damaged file kept as .log.damaged"
    );
    if let Some(last) = log.segments.last() {
        let path = segment_file(folder, last.base, "log");
        let kept = segment_file(folder, last.base, "log.damaged");
        fs::copy(&path, &kept).map_err(at(&kept))?;
    }
    Ok(())
}

fn note(index: &mut SparseIndex, base: Offset, header: &BatchHeader, position: u64) {
    let batch =
        IndexedBatch { last_offset: header.last_offset(), max_timestamp: header.max_timestamp, position };
    index.note(base, batch, 0);
}

fn write_index(folder: &Path, base: Offset, index: &SparseIndex) -> Result<(), RecoveryError> {
    let (offsets, times) = index.encode();
    for (extension, bytes) in [("index", offsets), ("timeindex", times)] {
        let path = segment_file(folder, base, extension);
        fs::write(&path, bytes).map_err(at(&path))?;
    }
    Ok(())
}

fn first_timestamp(path: &Path) -> Result<Option<TimestampMs>, RecoveryError> {
    let mut scan = Scan::open(path, 0)?;
    Ok(scan.header()?.map(|header| header.base_timestamp))
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
    fn open(path: &'a Path, position: u64) -> Result<Scan<'a>, RecoveryError> {
        let mut file = File::open(path).map_err(at(path))?;
        let length = file.metadata().map_err(at(path))?.len();
        file.seek(SeekFrom::Start(position)).map_err(at(path))?;
        Ok(Scan { path, reader: BufReader::with_capacity(1024 * 1024, file), end: position, length })
    }

    /// The next batch, whole, if there is one and its header is `wanted`.
    fn next(
        &mut self,
        wanted: impl Fn(&BatchHeader) -> bool,
    ) -> Result<Option<(BatchHeader, u64, Vec<u8>)>, RecoveryError> {
        let mut batch = vec![0; BATCH_HEADER_BYTES];
        let Some(header) = self.read_header(&mut batch)? else { return Ok(None) };
        let total = header.total_bytes();
        if !wanted(&header) || self.end + total as u64 > self.length {
            return Ok(None);
        }
        batch.resize(total, 0);
        self.reader.read_exact(&mut batch[BATCH_HEADER_BYTES..]).map_err(at(self.path))?;
        let position = self.end;
        self.end += total as u64;
        Ok(Some((header, position, batch)))
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
