//! The index of a segment that is still being appended to, in a file beside it (`.marks`): written a piece at a time and
//! synced by nobody, for a start after a crash to find its way with. The finished segment gets Kafka's index files instead.
//!
//! ```text
//! (index entry, time entry with the largest timestamp up to it; both as in the index files (20); CRC-32 u32 LE)*
//! ```
//! Each mark says where a batch lies that is on stable storage, which nothing changes any more, and its checksum covers whose
//! mark it is (topic id, partition i32, base offset i64, both little-endian). So any of them may be missing, torn or those of
//! another file after a crash: what is left is true, and where there is none lookups begin further ahead.

use crate::base::io::SegmentId;

use super::index::{INDEX_MARK_BYTES, IndexMark};

/// Bytes of a mark and its checksum.
pub const MARK_BYTES: usize = INDEX_MARK_BYTES + 4;

/// The file's bytes.
#[must_use]
pub fn encode(segment: SegmentId, marks: impl Iterator<Item = IndexMark>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for mark in marks.map(|mark| mark.encode()) {
        bytes.extend_from_slice(&mark);
        bytes.extend_from_slice(&checksum(segment, &mark).to_le_bytes());
    }
    bytes
}

/// What such bytes hold, in order: the mark, or `None` where none is whole.
pub fn decode(segment: SegmentId, bytes: &[u8]) -> impl Iterator<Item = Option<IndexMark>> {
    bytes.chunks(MARK_BYTES).map(move |bytes| {
        let (mark, crc) = bytes.split_last_chunk()?;
        (checksum(segment, mark) == u32::from_le_bytes(*crc)).then(|| IndexMark::decode(mark))?
    })
}

fn checksum(segment: SegmentId, mark: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&segment.partition.topic.0);
    hasher.update(&segment.partition.partition.0.to_le_bytes());
    hasher.update(&segment.base.0.to_le_bytes());
    hasher.update(mark);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::io::IoOp;
    use crate::base::{Chunk, MonoNanos, Now, Offset, TimestampMs, TopicPartition};
    use crate::config::topic::TopicSettings;
    use crate::log::{AppendRules, IndexedBatch, LogEffects, LogLimits, LogOp, PartitionLog, SparseIndex};
    use crate::record::{BatchBuilder, Inside};

    const SEGMENT: SegmentId = SegmentId { partition: TopicPartition::METADATA, base: Offset(700) };

    const LIMITS: LogLimits = LogLimits {
        direct_run_bytes: 1 << 20,
        chunk_bytes_max: 64 << 10,
        create_allocate_bytes: 0,
        marks_step_bytes: 128 << 10,
    };

    fn append(log: &mut PartitionLog, bytes: usize) -> LogEffects {
        let mut batch = BatchBuilder::new(TimestampMs(1));
        batch.append(None, Some(&vec![7; bytes]));
        let batch = batch.finish().expect("small").into();
        let now = Now { mono: MonoNanos(0), wall: TimestampMs(1) };
        let (settings, mut out) = (TopicSettings::default(), LogEffects::default());
        let rules = AppendRules {
            now,
            settings: &settings,
            limits: &LIMITS,
            zstd_allowed: true,
            inside: &Inside::Unread,
        };
        log.append(&batch, &rules, &mut Chunk::heap, &mut out).expect("a good batch");
        out
    }

    #[test]
    fn only_what_is_stable_is_marked_each_once_and_now_and_then() {
        let id = TopicPartition::METADATA;
        let segment = SegmentId { partition: id, base: Offset(0) };
        let mut log = PartitionLog::empty(id);
        let (mut file, mut writes) = (Vec::new(), 0);
        for serial in 0..100 {
            let mut out = append(&mut log, 25_000);
            log.entered_commit_file(serial);
            log.release(&LIMITS, &mut Chunk::heap, &mut out);
            log.remainder_durable();
            let (_, stable, _) = log.scan_start();
            while let Some(LogOp { purpose, op }) = out.ops.pop() {
                if let IoOp::WriteMarks { position, marks, .. } = op {
                    assert_eq!(position, file.len() as u64, "behind the last");
                    file.extend(marks);
                    writes += 1;
                    let last = decode(segment, &file).last().flatten().expect("it is whole");
                    assert!(last.position() < stable, "what a crash may take away is marked");
                }
                log.done(purpose, &mut out);
            }
            assert_eq!(log.needs_commit_file(), None, "released");
        }
        let marked = decode(segment, &file).flatten().count();
        assert_eq!(writes, 16, "every sixth round is a step further");
        // But for the step that has not passed, every entry there is: one for each batch of more than 16 KiB.
        assert!((92..=99).contains(&marked), "{marked}");
    }

    #[test]
    fn what_is_left_of_a_file_is_true() {
        let mut index = SparseIndex::default();
        for batch in 1..=40_u32 {
            let last_offset = SEGMENT.base.plus(i64::from(batch));
            let max_timestamp = TimestampMs(i64::from(1_000 + batch % 7));
            let position = u64::from(batch) * 20_000;
            index.note(SEGMENT.base, IndexedBatch { last_offset, max_timestamp, position }, 0);
        }
        let marks: Vec<IndexMark> = index.marks(0..index.len()).collect();
        assert_eq!(marks.len(), 40);
        assert_eq!(index.entries_before(20_000 * 10), 9);
        let whole = encode(SEGMENT, marks.iter().copied());
        let read = |bytes: &[u8]| decode(SEGMENT, bytes).flatten().collect::<Vec<_>>();
        assert_eq!(read(&whole), marks);
        for cut in 0..whole.len() {
            assert_eq!(read(&whole[..cut]), marks[..cut / MARK_BYTES]);
        }
        // A block that was not written, and a bit that fell over.
        let mut holed = whole.clone();
        holed[100..300].fill(0);
        let left = [&marks[..100 / MARK_BYTES], &marks[300_usize.div_ceil(MARK_BYTES)..]].concat();
        assert_eq!(read(&holed), left);
        for at in 0..MARK_BYTES {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x10;
            assert_eq!(read(&flipped), marks[1..], "byte {at}");
        }
        let other = SegmentId { base: Offset(0), ..SEGMENT };
        assert_eq!(decode(other, &whole).flatten().count(), 0, "another segment's");
        // An index goes on from what is left as far as that leads.
        let mut again = SparseIndex::default();
        decode(SEGMENT, &holed).flatten().for_each(|mark| _ = again.resume_at(mark));
        assert_eq!(again.len(), left.len());
        assert_eq!(again.max_timestamp(SEGMENT.base), index.max_timestamp(SEGMENT.base));
        assert_eq!(again.lead_to(SEGMENT.base, Offset(705)).position, 80_000, "the last before the hole");
    }
}
