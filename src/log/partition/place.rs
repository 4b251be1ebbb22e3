//! Placing a run in the log: what a producer's batch and what a leader sends have in common.
//!
//! A run is copied into the tail, handed out to the commit log or its segment, and each of its batches is entered: offsets,
//! index, epochs, producers.

use crate::base::{LeaderEpoch, Now, Offset, TimestampMs, TopicId, TopicPartition};
use crate::config::topic::TopicSettings;
use crate::log::index::IndexedBatch;
use crate::log::limits::LogLimits;
use crate::log::op::{LogEffects, ToCommitLog};
use crate::log::past::Filling;
use crate::log::producers::Sequenced;
use crate::log::retention::roll_age_ms;
use crate::log::tail::{Allocate, BadCrc, ChunkGrid, Placed, Run, TailBatch};
use crate::record::BatchHeader;

use super::PartitionLog;

/// An append accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    pub base_offset: Offset,
    /// The append is durable when the flushed offset reaches this.
    pub end: Offset,
    pub log_append_time: TimestampMs,
}

/// A batch as it is stored, which its header need not say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entered {
    pub(super) base_offset: Offset,
    pub(super) epoch: LeaderEpoch,
    pub(super) max_timestamp: TimestampMs,
}

/// A run on its way out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outgoing {
    /// The offset after it.
    pub(super) end: Offset,
    pub(super) bytes: usize,
    /// The commit log hears of it, if only of the offset below which all is durable.
    pub(super) tells: bool,
}

/// What comes next into the log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Incoming {
    pub(super) bytes: usize,
    pub(super) last_offset: Offset,
}

impl PartitionLog {
    /// Copies a run into the tail. If a checksum does not match, nothing has changed.
    pub(super) fn place(
        &mut self,
        run: &Run<'_>,
        bytes: usize,
        limits: &LogLimits,
        allocate: Allocate<'_>,
    ) -> Result<Placed, BadCrc> {
        let end = self.active.size;
        if bytes >= limits.direct_run_bytes {
            self.active.tail.append_direct(end, run, allocate)
        } else {
            let grid = self.grid(limits);
            self.active.tail.append(end, run, grid, allocate)
        }
    }

    /// Accounts for a batch whose bytes are in the tail.
    pub(super) fn enter(
        &mut self,
        header: &BatchHeader,
        entered: Entered,
        sequenced: Option<&Sequenced>,
        settings: &TopicSettings,
    ) {
        let Entered { base_offset, epoch, max_timestamp } = entered;
        let last = base_offset.plus(i64::from(header.last_offset_delta));
        let position = self.active.size;
        let bytes = u32::try_from(header.total_bytes()).expect("a frame is bounded");
        self.active.tail.enter(TailBatch { base: base_offset, last, position, bytes, epoch });
        let noted = IndexedBatch { last_offset: last, max_timestamp, position };
        self.active.index.note(self.active.id.base, noted, settings.index_interval_bytes);
        self.active.size += u64::from(bytes);
        self.epochs.note(epoch, base_offset);
        if let Some(sequenced) = sequenced {
            self.producers.note(sequenced, base_offset, max_timestamp);
        }
        assert!(last >= base_offset, "a batch takes an offset at least");
        assert_eq!(base_offset, self.log_end, "offsets are dense");
        self.log_end = last.plus(1);
        self.check_offsets();
    }

    pub(super) fn grid(&self, limits: &LogLimits) -> ChunkGrid {
        ChunkGrid { bytes_max: limits.chunk_bytes_max, phase: phase(self.id) }
    }

    /// Hands out what must be written of a run that was placed.
    pub(super) fn hand_out(
        &mut self,
        placed: Placed,
        outgoing: Outgoing,
        limits: &LogLimits,
        out: &mut LogEffects,
    ) {
        let number = self.unflushed.next_number();
        let is_covered = outgoing.tells || placed.commit_bytes.iter().any(Option::is_some);
        let parts = u8::from(placed.direct.is_some()) + u8::from(is_covered);
        self.unflushed.begun(outgoing.end, outgoing.bytes, parts);
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
                high_watermark: self.finished_end(),
                data: placed.commit_bytes,
                append: Some(number),
            });
        }
    }

    /// Begins the next segment if what comes may not go into the active one.
    ///
    /// Checksums are known only when bytes are copied, which comes later. A batch that is refused then may have rolled the
    /// segment: that does no harm. The segment ends with the batches it has, and the next one waits for its first.
    pub(super) fn roll_if_due(
        &mut self,
        now: Now,
        incoming: Incoming,
        settings: &TopicSettings,
        out: &mut LogEffects,
    ) {
        if self.active.size == 0 {
            return;
        }
        let full = self.active.size + incoming.bytes as u64 > settings.segment_bytes;
        let too_far = incoming.last_offset.since(self.active.id.base) > i64::from(i32::MAX);
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
