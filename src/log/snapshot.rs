//! What a checkpoint holds of one partition: enough to begin recovery here instead of at the log's first byte.
//!
//! ```text
//! topic id (16)  partition i32  log start i64  log end i64  segment base i64  position u64  offset i64
//! epochs u32  (epoch i32  start i64)*
//! producers u32  (id i64  epoch i16  timestamp i64  batches u8  (first i32  last i32  base i64  last offset i64)*)*
//! mark: index entry, time entry, as in the files; or nothing
//! ```
//! All integers little-endian. `position` is that of a batch in the active segment, `offset` its base offset: every byte
//! below is synced. The mark, if there is one, is the index's last entry before it: an index is written to its file more rarely
//! than a checkpoint is made, and a start that lacks its end would have to walk over all batches there. Checkpoints of version
//! 1 have none. Epochs and producers are as of `log end`; what turns out not to have survived is cut off again.

use crate::base::{
    LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId, TimestampMs, TopicId, TopicPartition,
};

use super::epochs::EpochCache;
use super::index::{INDEX_MARK_BYTES, IndexMark};
use super::producers::{BATCHES_MAX, ProducedBatch, ProducerState, ProducerStates};

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
}

impl PartitionSnapshot {
    /// Whether a commit entry that ends here, in this segment, is left out by replay: its bytes lie before the place the
    /// checkpoint begins with, so they are synced as they are. Segments before may have been compacted or deleted since:
    /// nothing may be written into them.
    #[must_use]
    pub fn covers(&self, segment_base: Offset, end_position: u64) -> bool {
        (segment_base, end_position) <= (self.segment_base, self.position)
    }

    /// Whether this one is of a later time: a partition that changed shards may be in two checkpoints.
    #[must_use]
    pub fn is_further_than(&self, other: &PartitionSnapshot) -> bool {
        (self.segment_base, self.position) > (other.segment_base, other.position)
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
        out.extend_from_slice(&count(self.producers.len()));
        for (id, state) in self.producers.iter() {
            encode_producer(&mut out, id, state);
        }
        out.extend(self.mark.iter().flat_map(IndexMark::encode));
        out
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
        let mut producers = ProducerStates::default();
        for _ in 0..u32::from_le_bytes(take(&mut rest)?) {
            let (id, state) = decode_producer(&mut rest)?;
            producers.restore(id, state);
        }
        let epochs = EpochCache::from_starts(starts);
        let mark = match rest {
            [] => None,
            _ => Some(IndexMark::decode(&take::<INDEX_MARK_BYTES>(&mut rest)?)?),
        };
        rest.is_empty().then_some(PartitionSnapshot {
            id,
            log_start,
            log_end,
            segment_base,
            position,
            offset,
            mark,
            epochs,
            producers,
        })
    }
}

fn encode_producer(out: &mut Vec<u8>, id: ProducerId, state: &ProducerState) {
    out.extend_from_slice(&id.0.to_le_bytes());
    out.extend_from_slice(&state.epoch.0.to_le_bytes());
    out.extend_from_slice(&state.timestamp.0.to_le_bytes());
    out.push(u8::try_from(state.batches.len()).expect("at most five"));
    for batch in &state.batches {
        out.extend_from_slice(&batch.first_sequence.to_le_bytes());
        out.extend_from_slice(&batch.last_sequence.to_le_bytes());
        out.extend_from_slice(&batch.base_offset.0.to_le_bytes());
        out.extend_from_slice(&batch.last_offset.0.to_le_bytes());
    }
}

fn decode_producer(rest: &mut &[u8]) -> Option<(ProducerId, ProducerState)> {
    let id = ProducerId(i64_of(rest)?);
    let epoch = ProducerEpoch(i16::from_le_bytes(take(rest)?));
    let timestamp = TimestampMs(i64_of(rest)?);
    let [batches] = take::<1>(rest)?;
    let mut state = ProducerState { epoch, timestamp, batches: Vec::with_capacity(BATCHES_MAX) };
    for _ in 0..batches {
        state.batches.push(ProducedBatch {
            first_sequence: i32_of(rest)?,
            last_sequence: i32_of(rest)?,
            base_offset: Offset(i64_of(rest)?),
            last_offset: Offset(i64_of(rest)?),
        });
    }
    Some((id, state))
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
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_covers_what_lies_before_its_place() {
        let at = |segment_base, position| PartitionSnapshot {
            id: TopicPartition::METADATA,
            log_start: Offset(0),
            log_end: Offset(90),
            segment_base: Offset(segment_base),
            position,
            offset: Offset(70),
            mark: None,
            epochs: EpochCache::default(),
            producers: ProducerStates::default(),
        };
        for (segment, end, is_covered) in
            [(60, 4000, true), (60, 4001, false), (50, 9000, true), (70, 1, false)]
        {
            assert_eq!(at(60, 4000).covers(Offset(segment), end), is_covered, "{segment} to {end}");
        }
        assert!(at(60, 4001).is_further_than(&at(60, 4000)) && at(61, 0).is_further_than(&at(60, 4000)));
        assert!(!at(60, 4000).is_further_than(&at(60, 4000)));
    }

    #[test]
    fn a_snapshot_survives_and_no_prefix_is_taken_for_one() {
        let mut producers = ProducerStates::default();
        let batch = ProducedBatch {
            first_sequence: 0,
            last_sequence: 4,
            base_offset: Offset(5),
            last_offset: Offset(9),
        };
        let state =
            ProducerState { epoch: ProducerEpoch(2), batches: vec![batch], timestamp: TimestampMs(77) };
        producers.restore(ProducerId(42), state);
        let snapshot = PartitionSnapshot {
            id: TopicPartition { topic: TopicId([8; 16]), partition: PartitionIndex(3) },
            log_start: Offset(1),
            log_end: Offset(10),
            segment_base: Offset(0),
            position: 4000,
            offset: Offset(5),
            mark: IndexMark::decode(&[7; INDEX_MARK_BYTES]),
            epochs: EpochCache::from_starts(vec![(LeaderEpoch(0), Offset(0))]),
            producers,
        };
        let bytes = snapshot.encode();
        assert_eq!(PartitionSnapshot::decode(&bytes).as_ref(), Some(&snapshot));
        let unmarked = bytes.len() - INDEX_MARK_BYTES;
        let without = PartitionSnapshot { mark: None, ..snapshot };
        assert_eq!(PartitionSnapshot::decode(&bytes[..unmarked]), Some(without), "as version 1 had it");
        for cut in (0..bytes.len()).filter(|cut| *cut != unmarked) {
            assert_eq!(PartitionSnapshot::decode(&bytes[..cut]), None, "cut at {cut}");
        }
    }
}
