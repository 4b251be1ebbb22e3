//! A partition with files and a commit log, in memory.

mod cut;
mod replicate;

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use crate::base::io::{CutFiles, CutSegment, IoOp, SegmentId, WriteData};
use crate::base::{Chunk, LeaderEpoch, MonoNanos, Now, Offset, ProducerEpoch, ProducerId, TimestampMs};
use crate::base::{PartitionIndex, TopicId, TopicPartition};
use crate::config::topic::TopicSettings;
use crate::log::index::{IndexedBatch, SparseIndex};
use crate::log::op::{CutEntry, LogEffects, LogOp, ToCommitLog};
use crate::log::tail::batches;
use crate::log::{AppendRules, LogLimits};
use crate::record::{BATCH_HEADER_BYTES, BatchBuilder, BatchHeader, Inside, batch_crc};

use super::{Accepted, AppendError, Gap, PartitionLog, ReplicateError, ReplicateRules, RunHeader};

const ID: TopicPartition = TopicPartition { topic: TopicId([7; 16]), partition: PartitionIndex(3) };
const NOW: Now = Now { mono: MonoNanos(0), wall: TimestampMs(1000) };
const LIMITS: LogLimits = LogLimits {
    direct_run_bytes: 16 << 10,
    chunk_bytes_max: 8 << 10,
    create_allocate_bytes: 0,
    marks_step_bytes: 1 << 20,
};

/// A batch as a leader of this epoch has stored it, of one record a kilobyte.
fn stored(base: i64, records: i64, epoch: i32, bytes: usize) -> Vec<u8> {
    let builder = BatchBuilder::new(TimestampMs(500 + base % 1000));
    let producer = (ProducerId(base % 3), ProducerEpoch(0), i32::try_from(base % 1000).expect("small"));
    let mut builder =
        builder.producer(producer.0, producer.1, producer.2).placed(Offset(base), LeaderEpoch(epoch));
    for at in 0..records {
        builder.append(None, Some(&vec![u8::try_from((base % 1000 + at) % 251).expect("small"); bytes]));
    }
    builder.finish().expect("small")
}

/// What a leader says of whole batches.
fn header_of(run: &[u8], gap: Gap) -> RunHeader {
    let mut all = batches(run);
    let (_, first, _) = all.next().expect("a batch");
    let last = all.last().map_or(first, |(_, last, _)| last);
    RunHeader { base: first.base_offset, end: last.last_offset().plus(1), epoch: first.leader_epoch, gap }
}

/// A log, its files, and the commit log's entries.
#[derive(Debug)]
struct Rig {
    log: PartitionLog,
    settings: TopicSettings,
    files: BTreeMap<Offset, Vec<u8>>,
    ops: VecDeque<LogOp>,
    /// Not durable yet.
    waiting: VecDeque<Waiting>,
    /// Durable, in order.
    entries: Vec<Entry>,
    is_slow: bool,
}

#[derive(Debug)]
enum Waiting {
    Append(ToCommitLog),
    Cut(CutEntry),
}

#[derive(Clone, Debug)]
enum Entry {
    Append { segment: SegmentId, position: u64, flushed: Offset, bytes: Vec<u8> },
    Cut(CutEntry),
}

impl Rig {
    fn new(segment_bytes: u64) -> Rig {
        Rig {
            log: PartitionLog::empty(ID),
            settings: TopicSettings { segment_bytes, ..TopicSettings::default() },
            files: BTreeMap::new(),
            ops: VecDeque::new(),
            waiting: VecDeque::new(),
            entries: Vec::new(),
            is_slow: false,
        }
    }

    /// Lets a log do something, and whatever follows from it if the disk is not slow.
    fn with<R>(&mut self, change: impl FnOnce(&mut PartitionLog, &TopicSettings, &mut LogEffects) -> R) -> R {
        let mut out = LogEffects::default();
        let result = change(&mut self.log, &self.settings, &mut out);
        self.take(out);
        if !self.is_slow {
            self.settle();
        }
        result
    }

    fn take(&mut self, out: LogEffects) {
        self.ops.extend(out.ops);
        self.waiting.extend(out.to_commit_log.into_iter().map(Waiting::Append));
        self.waiting.extend(out.cuts.into_iter().map(Waiting::Cut));
    }

    fn append(&mut self, batch: Vec<u8>) -> Result<Accepted, AppendError> {
        self.with(|log, settings, out| {
            let (zstd_allowed, inside) = (true, &Inside::Unread);
            let rules = AppendRules { now: NOW, settings, limits: &LIMITS, zstd_allowed, inside };
            log.append(&Bytes::from(batch), &rules, &mut Chunk::heap, out)
        })
    }

    fn replicate(&mut self, run: &[u8], header: RunHeader) -> Result<Accepted, ReplicateError> {
        self.with(|log, settings, out| {
            let rules = ReplicateRules { now: NOW, settings, limits: &LIMITS };
            log.replicate(&Bytes::copy_from_slice(run), header, &rules, &mut Chunk::heap, out)
        })
    }

    fn take_run(&mut self, run: &[u8]) {
        self.replicate(run, header_of(run, Gap::None)).expect("a good run");
    }

    /// Ends all that is under way, and what follows from it.
    fn settle(&mut self) {
        while self.step() {}
    }

    /// Ends one operation or write to the commit log. False if nothing is under way.
    fn step(&mut self) -> bool {
        let mut out = LogEffects::default();
        if let Some(LogOp { purpose, op }) = self.ops.pop_front() {
            match self.perform(op) {
                Some(found) => self.log.truncated(&found, &mut out),
                None => _ = self.log.done(purpose, &mut out),
            }
        } else if let Some(waiting) = self.waiting.pop_front() {
            self.commit(waiting, &mut out);
        } else {
            return false;
        }
        self.take(out);
        true
    }

    fn commit(&mut self, waiting: Waiting, out: &mut LogEffects) {
        let serial = self.entries.len() as u64;
        self.log.entered_commit_file(serial);
        match waiting {
            Waiting::Append(ToCommitLog { segment, position, flushed, data, append, .. }) => {
                let bytes = data.iter().flatten().flat_map(|piece| piece.to_vec()).collect();
                self.entries.push(Entry::Append { segment, position, flushed, bytes });
                match append {
                    Some(number) => _ = self.log.durable(number),
                    None => self.log.remainder_durable(),
                }
            }
            Waiting::Cut(cut) => {
                self.entries.push(Entry::Cut(cut));
                self.log.cut_entry_durable(serial + 1, out);
            }
        }
        self.log.go_on_cutting(out);
    }

    fn perform(&mut self, op: IoOp) -> Option<CutSegment> {
        match op {
            IoOp::CreateSegment { segment, .. } => _ = self.files.entry(segment.base).or_default(),
            IoOp::WriteSegment { segment, position, data, .. } => {
                let pieces = match data {
                    WriteData::Whole(chunk) => vec![chunk.all()],
                    WriteData::Copy(pieces) => pieces,
                };
                let bytes: Vec<u8> = pieces.iter().flat_map(|piece| piece.to_vec()).collect();
                write(self.files.get_mut(&segment.base).expect("it was made"), position, &bytes);
            }
            IoOp::SealSegment { segment, length, .. } => {
                let length = usize::try_from(length).expect("small");
                self.files.get_mut(&segment.base).expect("it was made").truncate(length);
            }
            IoOp::TruncateLog { below, files, .. } => return Some(cut_files(&mut self.files, below, &files)),
            IoOp::Allocate { .. } | IoOp::SyncSegment { .. } | IoOp::DeleteSpare { .. } => {}
            IoOp::DeleteSegment { segment } => _ = self.files.remove(&segment.base),
            other => panic!("not performed here: {other:?}"),
        }
        None
    }

    /// Everything from the log's start on that a stop would leave in files.
    fn contents(mut self) -> Vec<u8> {
        self.is_slow = false;
        self.with(|log, _, out| log.finish(out));
        assert!(self.log.is_finished());
        let (start, files) = (self.log.log_start(), self.files);
        let all: Vec<u8> = files.into_values().flatten().collect();
        batches(&all)
            .filter(|(_, header, _)| header.last_offset() >= start)
            .flat_map(|it| it.2.to_vec())
            .collect()
    }
}

fn write(file: &mut Vec<u8>, position: u64, bytes: &[u8]) {
    let at = usize::try_from(position).expect("small");
    file.resize(file.len().max(at + bytes.len()), 0);
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

/// Cuts files as the runtime does.
fn cut_files(files: &mut BTreeMap<Offset, Vec<u8>>, below: Offset, what: &CutFiles) -> CutSegment {
    let CutFiles::Remove { bases, cut } = what else {
        files.clear();
        return CutSegment::default();
    };
    bases.iter().for_each(|base| _ = files.remove(base));
    let Some((base, _)) = cut else { return CutSegment::default() };
    let Some(file) = files.get_mut(base) else { return CutSegment::default() };
    let (mut found, mut index) = (CutSegment::default(), SparseIndex::default());
    let mut length = 0;
    for (at, header, batch) in batches(file).take_while(|(_, header, _)| header.last_offset() < below) {
        index.note(*base, IndexedBatch::of(&header, at as u64), 0);
        length = at + batch.len();
        found.last = Some((header.last_offset().plus(1), header.leader_epoch));
    }
    file.truncate(length);
    found.length = length as u64;
    (found.index, found.time_index) = index.encode();
    if length == 0 {
        files.remove(base);
    }
    found
}

#[test]
fn retention_compaction_and_scrubbing_stay_below_the_high_watermark() {
    let mut rig = Rig::new(3_300);
    (0..15).for_each(|base| rig.take_run(&stored(base, 1, i32::try_from(base / 5).expect("few"), 1000)));
    // Segments of three batches; the last one is not finished.
    let settings = TopicSettings { retention_ms: Some(1), compact: true, ..rig.settings.clone() };
    let wall = TimestampMs(1_000_000);
    for (high_watermark, segments) in [(0, 0), (2, 0), (3, 1), (8, 2), (12, 4)] {
        let log = &mut rig.log;
        log.advance_high_watermark(Offset(high_watermark));
        assert_eq!(log.finished_end(), Offset(high_watermark));
        assert_eq!(log.retained_from(wall, &settings), Offset(segments * 3), "{high_watermark}");
        let count = usize::try_from(segments).expect("few");
        assert_eq!(log.dirt(wall, Offset(0), Offset(99), &settings).segments.len(), count);
        assert_eq!(log.finished_after(None).count(), count);
    }
    let segment = |base| SegmentId { partition: ID, base: Offset(base) };
    let offsets = |from: i64| (from..from + 3).map(Offset).collect::<Vec<_>>();
    let starts = |log: &PartitionLog, base| log.staying_batches(segment(base));
    assert_eq!(
        [0, 3, 9].map(|base| starts(&rig.log, base)),
        [0, 3, 9].map(offsets),
        "each producer's last five"
    );
    rig.log.expire_producers((TimestampMs(i64::MAX), ProducerId(0)));
    let epochs = [vec![], vec![Offset(5)], vec![Offset(10)]];
    assert_eq!([0, 3, 9].map(|base| starts(&rig.log, base)), epochs, "the first of each epoch");
    assert_eq!(rig.log.advance_start(Offset(14)), Offset(12), "no further than the high watermark");
    rig.log.advance_high_watermark(Offset(99));
    assert_eq!((rig.log.high_watermark(), rig.log.advance_start(Offset(14))), (Offset(15), Offset(14)));
    rig.log.advance_high_watermark(Offset(3));
    assert_eq!(rig.log.high_watermark(), Offset(15), "it never goes back but by a cut");
}

/// The batches that a start finds in the files: from each to the next, as long as offsets and checksums allow.
fn found(files: &BTreeMap<Offset, Vec<u8>>) -> Vec<u8> {
    let mut all = Vec::new();
    let mut expected = files.keys().next().copied().unwrap_or(Offset(0));
    for (base, file) in files {
        if *base != expected {
            continue;
        }
        let mut rest = &file[..];
        while let Ok(header) = BatchHeader::parse(rest)
            && header.base_offset == expected
            && let Some(batch) = rest.get(..header.total_bytes().max(BATCH_HEADER_BYTES))
            && batch_crc(batch) == header.crc
        {
            all.extend_from_slice(batch);
            expected = header.last_offset().plus(1);
            rest = &rest[batch.len()..];
        }
    }
    all
}

#[test]
fn what_is_asked_of_files_is_performed() {
    let mut rig = Rig::new(10_000);
    for base in 0..20 {
        rig.take_run(&stored(base, 1, 0, 1000));
    }
    let whole: Vec<u8> = (0..20).flat_map(|base| stored(base, 1, 0, 1000)).collect();
    assert!(rig.files.len() > 1 && rig.ops.is_empty());
    assert_eq!(rig.log.flushed_offset(), Offset(20));
    assert_eq!(rig.contents(), whole);
}
