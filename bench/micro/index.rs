//! Where in a segment to begin looking for an offset or a time.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use ringmain::base::{Offset, TimestampMs};
use ringmain::log::{IndexedBatch, SparseIndex};

use crate::batches::offset;
use crate::verify;

const INTERVAL_BYTES: u64 = 4096;
/// Entries: of 4 MiB, and of a segment of 1 GiB.
const SIZES: [(&str, usize, u32); 2] =
    [("1 Ki entries", 1 << 10, 0xf5da_7c05), ("256 Ki entries", 256 << 10, 0x0507_20f4)];
const LOOKUPS: usize = 256;

pub fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("index lookup");
    for (name, entries, expected) in SIZES {
        let index = index(entries);
        // Far apart and in no order, as consumers come.
        let wanted: Vec<Offset> = (0..LOOKUPS).map(|at| offset(at * 7919 % entries * 4)).collect();
        let positions = |index: &SparseIndex| -> Vec<u64> {
            wanted.iter().map(|wanted| index.lead_to(Offset(0), *wanted).position).collect()
        };
        let found: Vec<u8> = positions(&index).iter().flat_map(|position| position.to_be_bytes()).collect();
        verify("index", &found, expected);
        group.throughput(Throughput::Elements(LOOKUPS as u64));
        group.bench_function(format!("{name}, by offset"), |bencher| {
            bencher.iter(|| black_box(positions(black_box(&index))));
        });
        group.bench_function(format!("{name}, by time"), |bencher| {
            let times = wanted.iter().map(|wanted| TimestampMs(wanted.0)).collect::<Vec<_>>();
            bencher.iter(|| {
                let at = |time: &TimestampMs| black_box(&index).lead_to_time(Offset(0), *time).position;
                black_box(times.iter().map(at).sum::<u64>())
            });
        });
    }
    group.finish();
}

fn index(entries: usize) -> SparseIndex {
    let mut index = SparseIndex::default();
    for entry in 0..entries {
        let last_offset = offset(entry * 4 + 3);
        let position = (entry as u64 + 1) * INTERVAL_BYTES;
        let batch = IndexedBatch { last_offset, max_timestamp: TimestampMs(last_offset.0), position };
        index.note(Offset(0), batch, INTERVAL_BYTES);
    }
    index
}
