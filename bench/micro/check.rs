//! Everything that is checked of a batch before it is appended.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use ringmain::record::{
    BatchHeader, ProduceLimits, RecordRules, TimestampRange, batch_crc, validate_header, validate_records,
};

use crate::batches::{NOW, SIZES, batch};
use crate::verify;

const EXPECTED: [u32; 3] = [0xa5fa_96f2, 0xf0bf_a167, 0xe9cf_7291];

const LIMITS: ProduceLimits = ProduceLimits { batch_bytes_max: 2 << 20, zstd_allowed: true };

const RULES: RecordRules = RecordRules {
    now: NOW.wall,
    timestamps: Some(TimestampRange { before_ms_max: u64::MAX, after_ms_max: 3_600_000 }),
    keys_required: false,
    record_bytes_max: usize::MAX,
};

pub fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("check batch");
    for ((name, records, record_bytes), expected) in SIZES.into_iter().zip(EXPECTED) {
        let batch = batch(records, record_bytes);
        let (header, crc) = check(&batch);
        verify("check", &[header.records_count.to_be_bytes(), crc.to_be_bytes()].concat(), expected);
        group.throughput(Throughput::Bytes(batch.len() as u64));
        group.bench_function(name, |bencher| bencher.iter(|| black_box(check(black_box(&batch)))));
    }
    group.finish();
}

fn check(batch: &[u8]) -> (BatchHeader, u32) {
    let header = validate_header(batch, &LIMITS).expect("valid");
    validate_records(batch, &header, RULES).expect("valid");
    let crc = batch_crc(batch);
    assert_eq!(crc, header.crc, "the checksum is true");
    (header, crc)
}
