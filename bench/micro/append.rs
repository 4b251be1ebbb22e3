//! A batch appended to a partition's log: checked, copied with its checksum, stamped, entered.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput};
use ringmain::base::Chunk;
use ringmain::config::topic::TopicSettings;
use ringmain::log::{LogEffects, PartitionLog};

use crate::batches::{PARTITION, SIZES, batch, log, rules};
use crate::verify;

/// Batches appended to one log before it is thrown away.
const APPENDS: usize = 64;
const EXPECTED: [u32; 3] = [0xbd51_d979, 0x3903_cac7, 0xd0c4_c8e7];

pub fn bench(criterion: &mut Criterion) {
    let settings = TopicSettings::default();
    let rules = rules(&settings);
    let mut group = criterion.benchmark_group("append");
    for ((name, records, record_bytes), expected) in SIZES.into_iter().zip(EXPECTED) {
        let batch = batch(records, record_bytes);
        let filled = log(&batch, APPENDS);
        let found = [filled.log_end().0.cast_unsigned(), filled.size_bytes()].map(u64::to_be_bytes).concat();
        verify("append", &found, expected);
        group.throughput(Throughput::Bytes((batch.len() * APPENDS) as u64));
        group.bench_function(name, |bencher| {
            let append = |mut log: PartitionLog| {
                for _ in 0..APPENDS {
                    let mut out = LogEffects::default();
                    log.append(black_box(&batch), &rules, &mut Chunk::heap, &mut out).expect("valid");
                    black_box(&out);
                }
                log
            };
            bencher.iter_batched(|| PartitionLog::empty(PARTITION), append, BatchSize::PerIteration);
        });
    }
    group.finish();
}
