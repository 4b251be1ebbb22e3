//! What a checkpoint holds of one partition: enough to begin recovery here instead of at the log's first byte.
//!
//! ```text
//! topic id (16)  partition i32  log start i64  log end i64  segment base i64  position u64  offset i64
//! epochs u32  (epoch i32  start i64)*
//! producers u32  (id i64  epoch i16  timestamp i64  batches u8  (first i32  last i32  base i64  last offset i64)*)*
//! then nothing, or a mark (20), or
//! marks u8  (mark (20))*  high watermark i64  fence u64  producers known from i64
//! above u32  (id i64  epoch i16  timestamp i64  first i32  last i32  base i64)*
//! mark = index entry, time entry, as in the files
//! ```
//! All integers little-endian. `position` is that of a batch in the active segment, `offset` its base offset: every byte
//! below is synced. The mark, if there is one, is the index's last entry before it: an index is written to its file more rarely
//! than a checkpoint is made, and a start that lacks its end would have to walk over all batches there. Entries of the
//! partition in commit groups with a smaller sequence than `fence` are not written into segments.
//!
//! Checkpoints of version 1 end before the mark, those of version 2 with it; the length tells. Epochs and producers are as of
//! `log end`; what turns out not to have survived is cut off again. For that, producers are told in two parts: as of the
//! high watermark, and the batches above it.

use crate::base::{
    LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId, TimestampMs, TopicId, TopicPartition,
};

use super::cut::Cut;
use super::epochs::EpochCache;
use super::index::{INDEX_MARK_BYTES, IndexMark};
use super::producers::{BATCHES_MAX, Prefix, ProducedBatch, ProducerState, ProducerStates, Sequenced};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionSnapshot {
    pub id: TopicPartition,
    pub log_start: Offset,
    pub log_end: Offset,
    /// The active segment then.
    pub segment_base: Offset,
    /// Where scanning begins in it.
    pub position: u64,
    /// The base offset of the batch there.
    pub offset: Offset,
    /// The last entry of the segment's index before `position`.
    pub mark: Option<IndexMark>,
    pub epochs: EpochCache,
    pub producers: ProducerStates,
    /// 0 if the checkpoint does not tell.
    pub high_watermark: Offset,
    /// Entries of the commit log count from the group with this sequence on.
    pub fence: u64,
}

impl PartitionSnapshot {
    /// The checkpoint of a log to which nothing was ever written.
    #[must_use]
    pub fn of_nothing(id: TopicPartition) -> PartitionSnapshot {
        PartitionSnapshot {
            id,
            log_start: Offset(0),
            log_end: Offset(0),
            segment_base: Offset(0),
            position: 0,
            offset: Offset(0),
            mark: None,
            epochs: EpochCache::default(),
            producers: ProducerStates::default(),
            high_watermark: Offset(0),
            fence: 0,
        }
    }

    /// Takes a cut into account that was made later, or is to be made: what was said of records at or above it does not hold
    /// any more, and a scan begins behind it. All segments were finished before it. Tells whether the states of producers are
    /// still those of the log.
    pub fn cut(&mut self, cut: &Cut) -> Prefix {
        let end = cut.begin_at;
        self.epochs.cut(cut);
        let prefix = self.producers.cut(cut);
        if cut.keeps_nothing() {
            (self.log_start, self.log_end, self.high_watermark) = (end, end, end);
        }
        self.log_end = self.log_end.min(end);
        self.high_watermark = self.high_watermark.min(end);
        if cut.keeps_nothing() || self.offset > end || self.segment_base >= end {
            (self.segment_base, self.position, self.offset, self.mark) = (end, 0, end, None);
        }
        prefix
    }

    /// Whether a commit entry that ends here, in this segment, is left out by replay: its bytes lie before the place the
    /// checkpoint begins with, so they are synced as they are. Segments before may have been compacted or deleted since:
    /// nothing may be written into them.
    #[must_use]
    pub fn covers(&self, segment_base: Offset, end_position: u64) -> bool {
        (segment_base, end_position) <= (self.segment_base, self.position)
    }

    /// Whether this one is of a later time: a partition that changed shards may be in two checkpoints. After a cut the later
    /// one may lie less far on.
    #[must_use]
    pub fn is_further_than(&self, other: &PartitionSnapshot) -> bool {
        (self.fence, self.segment_base, self.position) > (other.fence, other.segment_base, other.position)
    }

    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        out.extend_from_slice(&self.id.topic.0);
        out.extend_from_slice(&self.id.partition.0.to_le_bytes());
        for offset in [self.log_start, self.log_end, self.segment_base] {
            out.extend_from_slice(&offset.0.to_le_bytes());
        }
        out.extend_from_slice(&self.position.to_le_bytes());
        out.extend_from_slice(&self.offset.0.to_le_bytes());
        out.extend_from_slice(&count(self.epochs.starts().len()));
        for (epoch, start) in self.epochs.starts() {
            out.extend_from_slice(&epoch.0.to_le_bytes());
            out.extend_from_slice(&start.0.to_le_bytes());
        }
        self.encode_producers(&mut out);
        out
    }

    /// Producers in both parts, and between them the rest.
    fn encode_producers(&self, out: &mut Vec<u8>) {
        let (mut settled, mut above) = (Vec::new(), Vec::new());
        for (id, state) in self.producers.iter() {
            let (state, later) = state.parted(self.high_watermark);
            settled.extend(state.map(|state| (id, state)));
            above.extend(later.map(|batch| (id, *batch)));
        }
        above.sort_by_key(|(_, batch)| batch.base_offset);
        out.extend_from_slice(&count(settled.len()));
        for (id, state) in &settled {
            encode_producer(out, *id, state);
        }
        out.push(u8::from(self.mark.is_some()));
        out.extend(self.mark.iter().flat_map(IndexMark::encode));
        out.extend_from_slice(&self.high_watermark.0.to_le_bytes());
        out.extend_from_slice(&self.fence.to_le_bytes());
        out.extend_from_slice(&self.producers.known_from().0.to_le_bytes());
        out.extend_from_slice(&count(above.len()));
        for (id, ProducedBatch { first_sequence, last_sequence, base_offset, epoch, timestamp }) in above {
            out.extend_from_slice(&id.0.to_le_bytes());
            out.extend_from_slice(&epoch.0.to_le_bytes());
            out.extend_from_slice(&timestamp.0.to_le_bytes());
            out.extend_from_slice(&first_sequence.to_le_bytes());
            out.extend_from_slice(&last_sequence.to_le_bytes());
            out.extend_from_slice(&base_offset.0.to_le_bytes());
        }
    }

    /// Reads a snapshot back. `None` if the bytes are none: recovery then scans the whole log.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<PartitionSnapshot> {
        let mut rest = bytes;
        let id = TopicPartition {
            topic: TopicId(take(&mut rest)?),
            partition: PartitionIndex(i32_of(&mut rest)?),
        };
        let log_start = Offset(i64_of(&mut rest)?);
        let log_end = Offset(i64_of(&mut rest)?);
        let segment_base = Offset(i64_of(&mut rest)?);
        let position = u64::from_le_bytes(take(&mut rest)?);
        let offset = Offset(i64_of(&mut rest)?);
        let mut starts = Vec::new();
        for _ in 0..u32::from_le_bytes(take(&mut rest)?) {
            starts.push((LeaderEpoch(i32_of(&mut rest)?), Offset(i64_of(&mut rest)?)));
        }
        let mut snapshot = PartitionSnapshot {
            id,
            log_start,
            log_end,
            segment_base,
            position,
            offset,
            mark: None,
            epochs: EpochCache::from_starts(starts),
            producers: ProducerStates::default(),
            high_watermark: Offset(0),
            fence: 0,
        };
        for _ in 0..u32::from_le_bytes(take(&mut rest)?) {
            let (id, state) = decode_producer(&mut rest)?;
            snapshot.producers.restore(id, state);
        }
        match rest.len() {
            0 => snapshot.producers.know_from(log_end),
            INDEX_MARK_BYTES => {
                snapshot.mark = Some(decode_mark(&mut rest)?);
                snapshot.producers.know_from(log_end);
            }
            _ => snapshot.decode_rest(&mut rest)?,
        }
        rest.is_empty().then_some(snapshot)
    }

    fn decode_rest(&mut self, rest: &mut &[u8]) -> Option<()> {
        self.mark = match take::<1>(rest)? {
            [0] => None,
            [1] => Some(decode_mark(rest)?),
            _ => return None,
        };
        self.high_watermark = Offset(i64_of(rest)?);
        self.fence = u64::from_le_bytes(take(rest)?);
        self.producers.settle(self.high_watermark);
        self.producers.know_from(Offset(i64_of(rest)?));
        for _ in 0..u32::from_le_bytes(take(rest)?) {
            let producer = ProducerId(i64_of(rest)?);
            let epoch = ProducerEpoch(i16::from_le_bytes(take(rest)?));
            let timestamp = TimestampMs(i64_of(rest)?);
            let (first_sequence, last_sequence) = (i32_of(rest)?, i32_of(rest)?);
            let base_offset = Offset(i64_of(rest)?);
            let batch = ProducedBatch { first_sequence, last_sequence, base_offset, epoch, timestamp };
            let sequenced = Sequenced::again(producer, &batch);
            self.producers.note(&sequenced, base_offset, timestamp);
        }
        Some(())
    }
}

fn encode_producer(out: &mut Vec<u8>, id: ProducerId, state: &ProducerState) {
    let batches: Vec<&ProducedBatch> = state.recent().collect();
    out.extend_from_slice(&id.0.to_le_bytes());
    out.extend_from_slice(&state.epoch.0.to_le_bytes());
    out.extend_from_slice(&state.timestamp.0.to_le_bytes());
    out.push(u8::try_from(batches.len()).expect("at most five"));
    for batch in batches.iter().rev() {
        out.extend_from_slice(&batch.first_sequence.to_le_bytes());
        out.extend_from_slice(&batch.last_sequence.to_le_bytes());
        out.extend_from_slice(&batch.base_offset.0.to_le_bytes());
        out.extend_from_slice(&batch.last_offset().0.to_le_bytes());
    }
}

fn decode_producer(rest: &mut &[u8]) -> Option<(ProducerId, ProducerState)> {
    let id = ProducerId(i64_of(rest)?);
    let epoch = ProducerEpoch(i16::from_le_bytes(take(rest)?));
    let timestamp = TimestampMs(i64_of(rest)?);
    let [count] = take::<1>(rest)?;
    let mut batches = Vec::with_capacity(BATCHES_MAX);
    for _ in 0..count {
        let (first_sequence, last_sequence) = (i32_of(rest)?, i32_of(rest)?);
        let base_offset = Offset(i64_of(rest)?);
        let batch = ProducedBatch { first_sequence, last_sequence, base_offset, epoch, timestamp };
        // An older version counted what compaction had left of a batch.
        if batch.last_offset() == Offset(i64_of(rest)?) {
            batches.push(batch);
        }
    }
    Some((id, ProducerState::of(epoch, timestamp, batches)))
}

fn decode_mark(rest: &mut &[u8]) -> Option<IndexMark> {
    IndexMark::decode(&take::<INDEX_MARK_BYTES>(rest)?)
}

fn count(value: usize) -> [u8; 4] {
    u32::try_from(value).expect("epochs and producers are bounded").to_le_bytes()
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*head)
}

fn i32_of(rest: &mut &[u8]) -> Option<i32> {
    take(rest).map(i32::from_le_bytes)
}

fn i64_of(rest: &mut &[u8]) -> Option<i64> {
    take(rest).map(i64::from_le_bytes)
}

#[cfg(test)]
mod tests;
