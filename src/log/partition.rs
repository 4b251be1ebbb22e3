//! One partition's log: what is appended, what of it is durable, which segments hold it.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::base::io::SegmentId;
use crate::base::{ChunkSlice, LeaderEpoch, Now, Offset, ProducerId, TimestampMs, TopicId, TopicPartition};
use crate::config::topic::TopicSettings;
use crate::record::{
    self, BATCH_HEADER_BYTES, BatchError, BatchHeader, BatchTimes, stamp_header, stamp_times,
};

use super::admit::{AppendRules, damage_first, produce_limits, sequenced, times};
use super::damage::DamagedRanges;
use super::epochs::{Agreement, EpochCache, LogNow};
use super::index::IndexedBatch;
use super::producers::{Admission, ProducerStates, Sequenced};
use super::recovery::RecoveredLog;
use super::retention::roll_age_ms;
use super::segment::{LogOp, OpenSegment, Purpose, SealedSegment};
use super::spare::{Filling, PastSegment};
use super::tail::{Allocate, ChunkGrid, Placed, Stamped, Tail, TailBatch};

/// The same for every partition of a shard.
#[derive(Clone, Copy, Debug)]
pub struct LogLimits {
    /// A batch of at least this many bytes goes straight to its segment.
    pub direct_run_bytes: usize,
    /// Largest regular chunk.
    pub chunk_bytes_max: usize,
    /// Allocated when a segment's file is created for a direct run.
    pub create_allocate_bytes: u64,
    /// Of a segment that is still being appended to, after a crash lookups find their way to within this, or what is
    /// released at once.
    pub marks_step_bytes: u64,
}

#[derive(Debug)]
pub struct PartitionLog {
    pub id: TopicPartition,
    pub(super) log_start: Offset,
    pub(super) log_end: Offset,
    /// Records below are on stable storage.
    flushed: Offset,
    epoch: LeaderEpoch,
    pub(super) epochs: EpochCache,
    pub(super) producers: ProducerStates,
    pub(super) sealed: VecDeque<SealedSegment>,
    /// Rolled, still being written out.
    pub(super) draining: VecDeque<OpenSegment>,
    pub(super) active: OpenSegment,
    pub(super) damaged: DamagedRanges,
    /// For the next segment's file.
    pub(super) spare: Option<PastSegment>,
    pub(super) filling: Filling,
    /// Appends that are not durable yet, in order.
    unflushed: VecDeque<Unflushed>,
    /// In all of them.
    unflushed_bytes: usize,
    next_append: u64,
    /// Segment bytes that the commit log must hold until a sync: see [`PartitionLog::release`].
    coverage: Coverage,
    /// Segments are sealed without a sync each: the log ends, and one for all follows.
    sync_follows: bool,
}

#[derive(Clone, Copy, Debug)]
struct Unflushed {
    end: Offset,
    bytes: usize,
    /// Writes that must complete before the append is durable.
    parts: u8,
}

/// Which commit files the partition still needs. Ages are the commit log's; opaque but ordered.
#[derive(Clone, Copy, Debug, Default)]
struct Coverage {
    /// The oldest file with bytes that are in no synced segment.
    oldest: Option<u64>,
    /// The same for what was logged since the release under way began.
    since_release: Option<u64>,
    release: Release,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Release {
    #[default]
    None,
    /// What must still happen: the active segment's sync, and the re-logged tail being durable.
    Running { sync: bool, relog: bool },
}

/// What a state change wants done.
#[derive(Debug, Default)]
pub struct LogEffects {
    pub ops: Vec<LogOp>,
    /// Bytes for the commit log.
    pub log: Vec<ToLog>,
}

/// Bytes that the commit log must make durable.
#[derive(Debug)]
pub struct ToLog {
    pub segment: SegmentId,
    pub position: u64,
    pub flushed: Offset,
    pub data: [Option<ChunkSlice>; 2],
    /// The append they belong to; `None` for a tail that is logged again.
    pub append: Option<u64>,
}

/// An append accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    pub base_offset: Offset,
    /// The append is durable when the flushed offset reaches this.
    pub end: Offset,
    pub log_append_time: TimestampMs,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error("sequence {received} does not follow {expected}")]
    OutOfOrderSequence { expected: i32, received: i32 },
    #[error("producer epoch {received} is older than {current}")]
    InvalidProducerEpoch { current: i16, received: i16 },
}

impl PartitionLog {
    /// A log nothing was ever written to.
    #[must_use]
    pub fn empty(id: TopicPartition) -> PartitionLog {
        PartitionLog::recovered(id, RecoveredLog::default(), &mut |_| unreachable!("nothing to carry"))
    }

    /// The log as recovery found it: everything in segments, synced.
    #[must_use]
    pub fn recovered(id: TopicPartition, mut found: RecoveredLog, allocate: Allocate<'_>) -> PartitionLog {
        let active = match found.segments.pop() {
            None => OpenSegment::fresh(SegmentId { partition: id, base: found.log_end }),
            Some(last) => {
                let tail = Tail::resume(last.size, &found.carry, allocate);
                let id = SegmentId { partition: id, base: last.base };
                let mut active = OpenSegment::resumed(id, last.size, found.log_end, tail, last.index);
                active.begun = last.begun;
                active
            }
        };
        let sealed = found.segments.into_iter().map(|segment| SealedSegment {
            id: SegmentId { partition: id, base: segment.base },
            size: segment.size,
            max_timestamp: segment.index.max_timestamp(segment.base),
            tail: Tail::default(),
            index: None,
        });
        PartitionLog {
            id,
            log_start: found.log_start,
            log_end: found.log_end,
            flushed: found.log_end,
            epoch: found.epochs.latest().unwrap_or(LeaderEpoch(0)),
            epochs: found.epochs,
            producers: found.producers,
            sealed: sealed.collect(),
            draining: VecDeque::new(),
            active,
            damaged: found.damaged,
            spare: None,
            filling: Filling::default(),
            unflushed: VecDeque::new(),
            unflushed_bytes: 0,
            next_append: 0,
            coverage: Coverage::default(),
            sync_follows: false,
        }
    }

    #[must_use]
    pub fn log_start(&self) -> Offset {
        self.log_start
    }

    /// Records below `to` are not part of the log any more; the start never moves back, nor beyond what is durable.
    pub fn advance_start(&mut self, to: Offset) -> Offset {
        self.log_start = self.log_start.max(to.min(self.flushed));
        self.damaged.remove(&(Offset(0)..self.log_start));
        self.log_start
    }

    /// The next offset to be assigned.
    #[must_use]
    pub fn log_end(&self) -> Offset {
        self.log_end
    }

    /// Where the segment that is appended to begins.
    #[must_use]
    pub fn active_base(&self) -> Offset {
        self.active.id.base
    }

    #[must_use]
    pub fn flushed_offset(&self) -> Offset {
        self.flushed
    }

    /// A direct run waits for the active segment's file, which is being made.
    #[must_use]
    pub fn direct_run_lacks_file(&self) -> bool {
        self.active.direct_run_lacks_file()
    }

    /// Appended and not durable yet, whether it is on its way or waits for its file to be created.
    #[must_use]
    pub fn unflushed_bytes(&self) -> usize {
        self.unflushed_bytes
    }

    #[must_use]
    pub fn epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    /// Leads from now on with `epoch`; epochs never go back.
    pub fn lead(&mut self, epoch: LeaderEpoch) {
        self.epoch = self.epoch.max(epoch);
    }

    #[must_use]
    pub fn epochs(&self) -> &EpochCache {
        &self.epochs
    }

    /// Where an epoch ended, or the largest before it: see [`EpochCache::end_of`].
    #[must_use]
    pub fn epoch_end(&self, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        self.epochs.end_of(epoch, self.now())
    }

    /// See [`EpochCache::agreement`].
    #[must_use]
    pub fn agreement(&self, epoch: LeaderEpoch, next: Offset) -> Agreement {
        self.epochs.agreement(epoch, next, self.now())
    }

    fn now(&self) -> LogNow {
        LogNow { epoch: self.epoch, start: self.log_start, end: self.log_end }
    }

    #[must_use]
    pub fn producers(&self) -> &ProducerStates {
        &self.producers
    }

    /// Forgets producers: see [`ProducerStates::expire`].
    pub fn expire_producers(&mut self, oldest: (TimestampMs, ProducerId)) {
        self.producers.expire(oldest);
    }

    /// Bytes in all segments.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        let sealed: u64 = self.sealed.iter().map(|segment| segment.size).sum();
        sealed + self.draining.iter().map(|segment| segment.size).sum::<u64>() + self.active.size
    }

    /// Memory held by tails.
    #[must_use]
    pub fn resident_bytes(&self) -> usize {
        let sealed: usize = self.sealed.iter().map(|segment| segment.tail.resident_bytes()).sum();
        let draining: usize = self.draining.iter().map(|segment| segment.tail.resident_bytes()).sum();
        sealed + draining + self.active.tail.resident_bytes()
    }

    /// Checks `batch` (exactly one record batch, as it came) and appends it.
    pub fn append(
        &mut self,
        batch: &Bytes,
        rules: &AppendRules<'_>,
        allocate: Allocate<'_>,
        out: &mut LogEffects,
    ) -> Result<Accepted, AppendError> {
        let AppendRules { now, settings, limits, .. } = *rules;
        let header = record::validate_header(batch, &produce_limits(rules))
            .map_err(|problem| damage_first(batch, problem))?;
        let sequenced = sequenced(&header);
        if let Some(sequenced) = &sequenced
            && let Some(duplicate) = self.admit(sequenced)?
        {
            return Ok(duplicate);
        }
        let times = times(batch, &header, rules).map_err(|problem| damage_first(batch, problem))?;
        self.roll_if_due(now, batch.len(), &header, settings, out);
        let stamped = self.stamp(batch, &header, times)?;
        let direct = batch.len() >= limits.direct_run_bytes;
        let end = self.active.size;
        let placed = if direct {
            self.active.tail.append_direct(end, &stamped, allocate)
        } else {
            let grid = self.grid(limits);
            self.active.tail.append(end, &stamped, grid, allocate)
        };
        let placed =
            placed.ok_or(BatchError::Crc { claimed: header.crc, computed: record::batch_crc(batch) })?;
        let (log_append_time, max_timestamp) = match times {
            BatchTimes::Create(max) => (TimestampMs::NONE, max),
            BatchTimes::Append(now) => (now, now),
        };
        let accepted = self.enter(&header, max_timestamp, sequenced.as_ref(), settings);
        self.active.begun.get_or_insert(now.wall);
        self.hand_out(placed, (accepted.end, batch.len()), limits, out);
        Ok(Accepted { log_append_time, ..accepted })
    }

    /// Part of append `number` is durable. True if the flushed offset moved.
    pub fn durable(&mut self, number: u64) -> bool {
        let first = self.next_append - self.unflushed.len() as u64;
        let at = usize::try_from(number - first).expect("appends are few");
        let append = self.unflushed.get_mut(at).expect("only what is not durable becomes durable");
        append.parts -= 1;
        let before = self.flushed;
        while let Some(front) = self.unflushed.front()
            && front.parts == 0
        {
            self.flushed = front.end;
            self.unflushed_bytes -= front.bytes;
            self.unflushed.pop_front();
        }
        assert!(self.flushed <= self.log_end, "flushed ≤ log end");
        self.flushed > before
    }

    /// Bytes of this partition went into a group of the commit file `age`.
    pub fn logged(&mut self, age: u64) {
        match self.coverage.release {
            Release::None => _ = self.coverage.oldest.get_or_insert(age),
            Release::Running { .. } => _ = self.coverage.since_release.get_or_insert(age),
        }
    }

    /// The oldest commit file the partition still needs.
    #[must_use]
    pub fn needs_commit_file(&self) -> Option<u64> {
        self.coverage.oldest
    }

    /// Makes the commit files up to now unnecessary: whole blocks are written and synced, the rest of the last block is
    /// logged again. Ends by itself; then [`PartitionLog::needs_commit_file`] is newer.
    pub fn release(&mut self, limits: &LogLimits, allocate: Allocate<'_>, out: &mut LogEffects) {
        if self.coverage.release != Release::None || self.coverage.oldest.is_none() {
            return;
        }
        let sync = self.active.size > 0;
        if sync {
            self.active.create(&mut self.spare, &mut out.ops);
            if let Some(write) = self.active.tail.early_write(self.grid(limits), allocate) {
                self.active.write(write, &mut out.ops);
            }
            self.active.want_sync(&mut out.ops);
            self.active.write_marks(limits.marks_step_bytes, &mut out.ops);
        }
        let relog = self.relog_remainder(out);
        self.coverage.release = Release::Running { sync, relog };
        self.end_release();
    }

    /// The tail logged again by [`PartitionLog::release`] is durable.
    pub fn relogged(&mut self) {
        if let Release::Running { sync, .. } = self.coverage.release {
            self.coverage.release = Release::Running { sync, relog: false };
        }
        self.end_release();
    }

    /// An operation has succeeded. True if the flushed offset moved.
    pub fn done(&mut self, purpose: Purpose, out: &mut LogEffects) -> bool {
        let mut moved = false;
        match purpose {
            Purpose::Create { base, names } => {
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
                if base == self.active.id.base
                    && let Release::Running { relog, .. } = self.coverage.release
                {
                    self.coverage.release = Release::Running { sync: false, relog };
                }
            }
            Purpose::Seal { base } => self.sealed(base),
            Purpose::Allocate { base, .. } | Purpose::WriteMarks { base } => {
                self.with_open(base, out, |segment, _| segment.beside_done());
            }
            Purpose::Delete => {}
        }
        self.drain(out);
        self.end_release();
        moved
    }

    /// Rolls what is active, so that everything can be sealed: orderly stop. The caller syncs everything when all is sealed.
    pub fn finish(&mut self, out: &mut LogEffects) {
        self.sync_follows = true;
        if self.active.size > 0 {
            self.roll(out);
        }
        self.drain(out);
    }

    /// Every segment is sealed: a sync makes whatever was appended durable.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.draining.is_empty() && self.active.size == 0
    }

    /// The segment in which recovery would begin, were a checkpoint made now.
    #[must_use]
    pub fn recovery_base(&self) -> Offset {
        self.scan_start().0
    }

    /// Where recovery must begin scanning: segment, position and base offset of a batch with everything below synced.
    pub(super) fn scan_start(&self) -> (Offset, u64, Offset) {
        let segment = self.draining.front().unwrap_or(&self.active);
        let (position, offset) = segment.scan_from();
        (segment.id.base, position, offset)
    }

    fn admit(&self, batch: &Sequenced) -> Result<Option<Accepted>, AppendError> {
        match self.producers.admit(batch) {
            Admission::Append => Ok(None),
            Admission::Duplicate(known) => Ok(Some(Accepted {
                base_offset: known.base_offset,
                end: known.last_offset.plus(1),
                log_append_time: TimestampMs::NONE,
            })),
            Admission::OutOfOrder { expected } => {
                Err(AppendError::OutOfOrderSequence { expected, received: batch.first_sequence })
            }
            Admission::Fenced { current } => {
                Err(AppendError::InvalidProducerEpoch { current: current.0, received: batch.epoch.0 })
            }
        }
    }

    fn stamp<'a>(
        &self,
        batch: &'a Bytes,
        header: &BatchHeader,
        times: BatchTimes,
    ) -> Result<Stamped<'a>, AppendError> {
        let (original, payload) = batch
            .split_first_chunk::<BATCH_HEADER_BYTES>()
            .ok_or(BatchError::Short { bytes: batch.len() })?;
        let mut stamped = *original;
        stamp_header(&mut stamped, self.log_end, self.epoch);
        let is_right = match times {
            BatchTimes::Create(max) => header.max_timestamp == max && !header.is_log_append_time(),
            BatchTimes::Append(_) => false,
        };
        if !is_right {
            stamp_times(&mut stamped, payload.len(), times);
        }
        Ok(Stamped { header: stamped, original: *original, payload, crc: header.crc })
    }

    /// Accounts for a batch whose bytes are in the tail.
    fn enter(
        &mut self,
        header: &BatchHeader,
        max_timestamp: TimestampMs,
        sequenced: Option<&Sequenced>,
        settings: &TopicSettings,
    ) -> Accepted {
        let base_offset = self.log_end;
        let last = base_offset.plus(i64::from(header.last_offset_delta));
        let position = self.active.size;
        let bytes = u32::try_from(header.total_bytes()).expect("a frame is bounded");
        self.active.tail.enter(TailBatch { base: base_offset, last, position, bytes, epoch: self.epoch });
        let noted = IndexedBatch { last_offset: last, max_timestamp, position };
        self.active.index.note(self.active.id.base, noted, settings.index_interval_bytes);
        self.active.size += u64::from(bytes);
        self.epochs.note(self.epoch, base_offset);
        if let Some(sequenced) = sequenced {
            self.producers.note(sequenced, base_offset, max_timestamp);
        }
        self.log_end = last.plus(1);
        assert!(
            self.log_start <= self.flushed && self.flushed < self.log_end,
            "log start ≤ flushed < log end"
        );
        Accepted { base_offset, end: self.log_end, log_append_time: TimestampMs::NONE }
    }

    fn grid(&self, limits: &LogLimits) -> ChunkGrid {
        ChunkGrid { bytes_max: limits.chunk_bytes_max, phase: phase(self.id) }
    }

    fn hand_out(
        &mut self,
        placed: Placed,
        (end, bytes): (Offset, usize),
        limits: &LogLimits,
        out: &mut LogEffects,
    ) {
        let number = self.next_append;
        self.next_append += 1;
        let logged = placed.log.iter().any(Option::is_some);
        let parts = u8::from(placed.direct.is_some()) + u8::from(logged);
        self.unflushed.push_back(Unflushed { end, bytes, parts });
        self.unflushed_bytes += bytes;
        if placed.direct.is_some() {
            self.active.create_for_direct(limits.create_allocate_bytes, &mut self.spare, &mut out.ops);
        } else if !placed.writes.is_empty() {
            self.active.create(&mut self.spare, &mut out.ops);
        }
        for write in placed.writes {
            self.active.write(write, &mut out.ops);
        }
        if let Some(direct) = placed.direct {
            self.active.write_direct(direct, number, &mut out.ops);
        }
        if logged {
            out.log.push(ToLog {
                segment: self.active.id,
                position: placed.log_position,
                flushed: self.flushed,
                data: placed.log,
                append: Some(number),
            });
        }
    }

    fn roll_if_due(
        &mut self,
        now: Now,
        bytes: usize,
        header: &BatchHeader,
        settings: &TopicSettings,
        out: &mut LogEffects,
    ) {
        if self.active.size == 0 {
            return;
        }
        let last = self.log_end.plus(i64::from(header.last_offset_delta));
        let full = self.active.size + bytes as u64 > settings.segment_bytes;
        let too_far = last.since(self.active.id.base) > i64::from(i32::MAX);
        let age_ms = self.active.begun.map_or(0, |begun| now.wall.0.saturating_sub(begun.0));
        let old = u64::try_from(age_ms).is_ok_and(|age| age > roll_age_ms(self.active.id, settings));
        if full {
            self.filling.filled(now.mono);
        } else if too_far || old {
            self.filling = Filling::default();
        }
        if full || too_far || old {
            self.roll(out);
        }
    }

    pub(super) fn roll(&mut self, out: &mut LogEffects) {
        let fresh = OpenSegment::fresh(SegmentId { partition: self.id, base: self.log_end });
        let mut rolled = std::mem::replace(&mut self.active, fresh);
        rolled.create_last(&mut out.ops);
        if let Some(write) = rolled.tail.seal() {
            rolled.write_last(write, &mut out.ops);
        }
        if let Release::Running { relog, .. } = self.coverage.release {
            // The rolled segment's own sealing takes the place of the sync.
            self.coverage.release = Release::Running { sync: false, relog };
        }
        self.draining.push_back(rolled);
        self.drain(out);
    }

    /// Seals the oldest rolled segment as soon as its writes are done. One after the other: readers find their segment by
    /// the order of sealed ones before rolled ones.
    fn drain(&mut self, out: &mut LogEffects) {
        if let Some(oldest) = self.draining.front_mut() {
            oldest.seal(self.sync_follows, &mut out.ops);
        }
    }

    fn sealed(&mut self, base: Offset) {
        let at = self.draining.iter().position(|segment| segment.id.base == base);
        let at = at.expect("a rolled segment was being sealed");
        let segment = self.draining.remove(at).expect("found just above");
        let before = self.sealed.partition_point(|sealed| sealed.id.base < base);
        self.sealed.insert(before, SealedSegment::of(segment));
        let nothing_unsynced = self.draining.is_empty() && self.active.size == 0;
        if nothing_unsynced && self.coverage.release == Release::None {
            self.coverage.oldest = None;
        }
    }

    fn relog_remainder(&mut self, out: &mut LogEffects) -> bool {
        let Some((position, rest)) = self.active.tail.remainder() else { return false };
        out.log.push(ToLog {
            segment: self.active.id,
            position,
            flushed: self.flushed,
            data: [Some(rest), None],
            append: None,
        });
        true
    }

    fn end_release(&mut self) {
        let finished = self.coverage.release == Release::Running { sync: false, relog: false };
        if finished && self.draining.is_empty() {
            self.coverage =
                Coverage { oldest: self.coverage.since_release, since_release: None, release: Release::None };
        }
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

/// Far from those of its topic's neighbours (the golden ratio's multiples), and of those of other topics.
fn phase(id: TopicPartition) -> u32 {
    let TopicId([a, b, c, d, ..]) = id.topic;
    id.partition.0.cast_unsigned().wrapping_mul(0x9E37_79B9).wrapping_add(u32::from_be_bytes([a, b, c, d]))
}
