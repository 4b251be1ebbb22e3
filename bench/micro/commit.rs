//! A commit group gathered from what waits: copied into one aligned buffer, with its checksum.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput};
use ringmain::base::{Chunk, ChunkWriter, Offset};
use ringmain::commit::{
    CommitLog, CommitStart, CommitWrite, EntryHeader, GROUP_BYTES_MAX, Logged, Pending, Receipt, Says,
};

use crate::batches::{PARTITION, batch};
use crate::verify;

/// Entries that wait, records in each, bytes of a record, and what comes of it.
const SIZES: [(&str, usize, (usize, usize), u32); 4] = [
    ("1 x 100 B", 1, (1, 100), 0x0a5a_750e),
    ("50 x 100 B", 50, (1, 100), 0x9399_f434),
    ("32 x 16 KiB", 32, (15, 1024), 0xb1a7_a26b),
    ("200 x 100 B", 200, (1, 100), 0x92c8_23c7),
];

pub fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("gather commit group");
    for (name, entries, (records, record_bytes), expected) in SIZES {
        let batch = batch(records, record_bytes);
        let (_, write) = gather(waiting(&batch, entries));
        verify("commit", &write.data.all(), expected);
        group.throughput(Throughput::Bytes((batch.len() * entries) as u64));
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || waiting(&batch, entries),
                |log| black_box(gather(log)),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

/// A commit log in which so many appends wait.
fn waiting(batch: &Bytes, entries: usize) -> CommitLog {
    let start = CommitStart {
        identity: [7; 16],
        next_sequence: 1,
        files: vec![0, 1, 2, 3],
        file_bytes: 64 << 20,
        files_max: 8,
        group_bytes_max: GROUP_BYTES_MAX,
    };
    let mut log = CommitLog::new(start);
    for number in 0..entries as u64 {
        let mut writer = ChunkWriter::new(Chunk::heap(batch.len().next_multiple_of(4096)));
        writer.append(batch);
        let position = number * batch.len() as u64;
        let header = EntryHeader {
            partition: PARTITION,
            segment_base: Offset(0),
            position,
            flushed: Offset(0),
            high_watermark: Offset(0),
        };
        let data = [Some(writer.slice(0..batch.len())), None];
        let receipt = Receipt { slot: 0, logged: Logged::Append(number) };
        log.push(Pending { says: Says::Append(header), data, receipt });
    }
    log
}

fn gather(mut log: CommitLog) -> (CommitLog, CommitWrite) {
    let write = log.gather(&mut Chunk::heap).expect("entries wait and a file is free");
    (log, write)
}
