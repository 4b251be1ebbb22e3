//! Appending: a batch is admitted, stamped, placed in the tail, and handed out to the commit log or its segment.

use bytes::Bytes;

use crate::base::{Now, Offset, TimestampMs, TopicId, TopicPartition};
use crate::config::topic::TopicSettings;
use crate::log::admit::{AppendRules, damage_first, produce_limits, sequenced, times};
use crate::log::index::IndexedBatch;
use crate::log::limits::LogLimits;
use crate::log::op::{LogEffects, ToCommitLog};
use crate::log::past::Filling;
use crate::log::producers::{Admission, Sequenced};
use crate::log::retention::roll_age_ms;
use crate::log::tail::{Allocate, ChunkGrid, Placed, Stamped, TailBatch};
use crate::record::{
    self, BATCH_HEADER_BYTES, BatchError, BatchHeader, BatchTimes, stamp_header, stamp_times,
};

use super::PartitionLog;

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
        assert!(last >= base_offset, "a batch takes an offset at least");
        self.log_end = last.plus(1);
        self.check_offsets();
        Accepted { base_offset, end: self.log_end, log_append_time: TimestampMs::NONE }
    }

    pub(super) fn grid(&self, limits: &LogLimits) -> ChunkGrid {
        ChunkGrid { bytes_max: limits.chunk_bytes_max, phase: phase(self.id) }
    }

    fn hand_out(
        &mut self,
        placed: Placed,
        (end, bytes): (Offset, usize),
        limits: &LogLimits,
        out: &mut LogEffects,
    ) {
        let number = self.unflushed.next_number();
        let is_covered = placed.commit_bytes.iter().any(Option::is_some);
        let parts = u8::from(placed.direct.is_some()) + u8::from(is_covered);
        self.unflushed.begun(end, bytes, parts);
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
        if is_covered {
            out.to_commit_log.push(ToCommitLog {
                segment: self.active.id,
                position: placed.commit_bytes_at,
                flushed: self.flushed,
                data: placed.commit_bytes,
                append: Some(number),
            });
        }
    }

    /// Begins the next segment if this batch may not go into the active one.
    ///
    /// The batch's checksum is known only when its bytes are copied, which comes later. A batch that is refused then may have
    /// rolled the segment: that does no harm. The segment ends with the batches it has, and the next one waits for its first.
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
}

/// The phase of a partition's chunks: far from those of its topic's neighbours (the golden ratio's multiples), and of those of other topics.
fn phase(id: TopicPartition) -> u32 {
    let TopicId([a, b, c, d, ..]) = id.topic;
    id.partition.0.cast_unsigned().wrapping_mul(0x9E37_79B9).wrapping_add(u32::from_be_bytes([a, b, c, d]))
}
