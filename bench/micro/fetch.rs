//! A fetch's answer from the log's memory: found, gathered without a copy, framed.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use ringmain::base::Offset;
use ringmain::log::{PartitionLog, ReadLimits, ReadPlan};
use ringmain::protocol::messages::{FetchResponse, fetch_response as fetch};
use ringmain::protocol::{ApiKey, Frame, Records, encode_response};

use crate::batches::{SIZES, batch, log};
use crate::verify;

const VERSION: i16 = 12;
const BYTES_MAX: usize = 1 << 20;
/// What the log holds: more than an answer, but not for the smallest batches more of them than this.
const LOG_BYTES: usize = 2 << 20;
const BATCHES_MAX: usize = 128;
const EXPECTED: [u32; 3] = [0x9b74_07f5, 0x4648_f62f, 0x9f79_f8fb];

pub fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("assemble fetch");
    for ((name, records, record_bytes), expected) in SIZES.into_iter().zip(EXPECTED) {
        let batch = batch(records, record_bytes);
        let log = log(&batch, (LOG_BYTES / batch.len()).min(BATCHES_MAX));
        let frame = assemble(&log, Offset(0));
        verify("fetch", &frame.to_vec(), expected);
        group.throughput(Throughput::Bytes(frame.total_len() as u64));
        group
            .bench_function(name, |bencher| bencher.iter(|| black_box(assemble(black_box(&log), Offset(0)))));
    }
    group.finish();
}

fn assemble(log: &PartitionLog, from: Offset) -> Frame {
    let limits = ReadLimits {
        visible_end: log.log_end(),
        bytes_max: BYTES_MAX,
        first_whole: true,
        for_follower: false,
    };
    let ReadPlan::Memory(slices) = log.read(from, &limits) else { panic!("everything is in memory") };
    let partition = fetch::PartitionData {
        high_watermark: log.log_end().0,
        records: Records::Gather(slices.into_iter().map(Into::into).collect()),
        ..Default::default()
    };
    let topic = fetch::FetchableTopicResponse {
        topic: "flights".into(),
        partitions: vec![partition],
        ..Default::default()
    };
    let answer = FetchResponse { responses: vec![topic], ..Default::default() };
    encode_response(1, ApiKey::Fetch, VERSION, &answer).expect("has this version")
}
