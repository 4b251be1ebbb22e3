use super::states::{ALLOCATE_LITTLE_BYTES_FIRST, ALLOCATE_LITTLE_BYTES_MIN};
use super::*;
use crate::base::io::{IoOp, SegmentId};
use crate::base::{Chunk, Offset, TopicPartition};
use crate::log::tail::ToWrite;

#[test]
fn what_grows_in_small_pieces_gets_few_and_ever_larger_ones_ahead() {
    const PIECE: u64 = 64 * 1024;
    let mut segment = OpenSegment::fresh(SegmentId { partition: TopicPartition::METADATA, base: Offset(0) });
    let mut out = Vec::new();
    segment.create(&mut None, &mut out);
    segment.created(Names::Unsynced, &mut out);
    let chunk = Chunk::heap(usize::try_from(PIECE).expect("small"));
    let mut allocated = vec![ALLOCATE_LITTLE_BYTES_FIRST];
    for position in (0..1024 * 1024 * 1024).step_by(64 * 1024) {
        out.clear();
        segment.write(ToWrite { position, chunk: chunk.clone(), part: None }, &mut out);
        for op in &out {
            if let IoOp::Allocate { allocate_bytes, .. } = op.op {
                allocated.push(allocate_bytes);
            }
        }
        let last = *allocated.last().expect("it began with one");
        assert!(position + PIECE <= last && last <= 2 * position + 3 * ALLOCATE_LITTLE_BYTES_MIN);
        segment.write_done(position, &mut Vec::new());
    }
    assert!(allocated.is_sorted_by(|one, next| one < next), "{allocated:?}");
    assert!(allocated.len() < 40, "{allocated:?}");
}
