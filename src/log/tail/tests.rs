use super::grid::{CHUNK_BYTES_FIRST, index};
use super::run::CRC_FROM;
use super::*;
use crate::base::BLOCK_BYTES;
use crate::base::checksum::Crc32c;
use crate::base::{Chunk, block_floor};
use crate::record::BATCH_HEADER_BYTES;

#[test]
fn partitions_written_to_evenly_fill_their_chunks_in_turn() {
    let bytes_max = 16 * BLOCK_BYTES;
    let mut at_once = [0; 16];
    for partition in 0..64_u32 {
        let grid = ChunkGrid { bytes_max, phase: partition.wrapping_mul(0x9E37_79B9) };
        let mut tail = Tail::default();
        let mut end = 0;
        // Beyond the chunks that double.
        while end < 100 * BLOCK_BYTES as u64 {
            let bytes = tail.next_chunk_bytes(end, 1, grid);
            assert!(bytes <= bytes_max && bytes.is_multiple_of(BLOCK_BYTES), "{bytes}");
            end += bytes as u64;
        }
        assert_eq!(tail.next_chunk_bytes(end, 1, grid), bytes_max);
        at_once[index(end) / BLOCK_BYTES % 16] += 1;
    }
    assert!(at_once.iter().all(|count| (3..=5).contains(count)), "{at_once:?}");
}

#[test]
fn what_is_written_early_is_written_once_and_stays_readable() {
    let grid = ChunkGrid { bytes_max: 16 * BLOCK_BYTES, phase: 0 };
    for step in [700, 5_000, 20_000, 90_000] {
        let mut tail = Tail::default();
        let (mut all, mut file) = (Vec::new(), Vec::new());
        let mut take = |writes: Vec<ToWrite>| {
            for write in writes {
                let (from, to) = write.part.unwrap_or((0, write.chunk.len()));
                assert_eq!((write.position, write.position % 4096), (file.len() as u64, 0), "each byte once");
                file.extend_from_slice(&write.chunk.slice(from..to));
            }
            file.len()
        };
        for round in 0..60_u8 {
            let payload = vec![round; step];
            let mut crc = Crc32c::new();
            let header = [round; BATCH_HEADER_BYTES];
            crc.update(&header[CRC_FROM..]);
            crc.update(&payload);
            let batch = Stamped { header, original: header, payload: &payload, crc: crc.finish() };
            let batch = Run::Stamped(batch);
            let placed = tail.append(all.len() as u64, &batch, grid, &mut Chunk::heap).expect("sound");
            all.extend_from_slice(&header);
            all.extend_from_slice(&payload);
            take(placed.writes);
            let written = take(tail.early_write(grid, &mut Chunk::heap).into_iter().collect());
            assert_eq!(written as u64, block_floor(all.len() as u64));
            assert!(tail.early_write(grid, &mut Chunk::heap).is_none());
            let remainder = tail.remainder().map_or(0, |(_, rest)| rest.len());
            assert_eq!(written + remainder, all.len());
            let read: Vec<u8> =
                tail.slices(0, all.len() as u64).iter().flat_map(|piece| piece.to_vec()).collect();
            assert_eq!(read, all);
        }
        // Idle from here on, it keeps a block beside what can be evicted.
        tail.shrink(&mut Chunk::heap);
        assert!(tail.writer.as_ref().is_none_or(|it| it.memory.capacity() == CHUNK_BYTES_FIRST));
        assert_eq!(tail.slices(0, all.len() as u64).iter().map(|it| it.len()).sum::<usize>(), all.len());
        take(tail.seal().into_iter().collect());
        assert!(file.starts_with(&all) && file.len() < all.len() + BLOCK_BYTES);
    }
}

#[test]
fn a_batch_larger_than_the_largest_chunk_gets_one_of_its_own_size() {
    let grid = ChunkGrid { bytes_max: BLOCK_BYTES, phase: u32::MAX };
    assert_eq!(Tail::default().next_chunk_bytes(0, 3 * BLOCK_BYTES + 1, grid), 4 * BLOCK_BYTES);
}
