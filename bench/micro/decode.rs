//! A produce request from the bytes of its frame.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use ringmain::protocol::messages::{ProduceRequest, produce_request as produce};
use ringmain::protocol::{Message, Records, Writer, decode_body};

use crate::batches::{SIZES, batch};
use crate::verify;

const VERSION: i16 = 11;
const EXPECTED: [u32; 3] = [0xe5cd_da72, 0xaa6c_1b1e, 0xd260_6f0f];

pub fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode produce");
    for ((name, records, record_bytes), expected) in SIZES.into_iter().zip(EXPECTED) {
        let batch = batch(records, record_bytes);
        let body = request(&batch);
        let decoded: ProduceRequest<'_> = decode_body(&body, VERSION).expect("as encoded");
        let found: Vec<u8> = decoded
            .topic_data
            .iter()
            .flat_map(|topic| &topic.partition_data)
            .flat_map(|it| it.records.to_vec())
            .collect();
        verify("decode", &found, expected);
        group.throughput(Throughput::Elements(1));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let decoded: ProduceRequest<'_> = decode_body(black_box(&body), VERSION).expect("as encoded");
                black_box(decoded.topic_data.len())
            });
        });
    }
    group.finish();
}

/// The request's body: one partition.
fn request(batch: &[u8]) -> Vec<u8> {
    let data = produce::PartitionProduceData { index: 3, records: Records::Borrowed(batch) };
    let topic = produce::TopicProduceData {
        name: "flights".into(),
        partition_data: vec![data],
        ..Default::default()
    };
    let request =
        ProduceRequest { acks: -1, timeout_ms: 30_000, topic_data: vec![topic], ..Default::default() };
    let mut writer = Writer::new();
    request.encode(&mut writer, VERSION).expect("has this version");
    writer.into_pieces().iter().flat_map(|piece| piece.to_vec()).collect()
}
