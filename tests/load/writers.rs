//! Who writes until the server goes away: pipelined Produce requests and an idempotent producer.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::SystemTime;

use ringmain::base::rng::Rng;
use ringmain::base::{ProducerEpoch, ProducerId, TimestampMs};
use ringmain::client::{ClientError, Connection};
use ringmain::protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use ringmain::protocol::messages::{
    InitProducerIdRequest, InitProducerIdResponse, ProduceRequest, ProduceResponse,
};
use ringmain::protocol::{ErrorCode, Records};
use ringmain::record::BatchBuilder;

use super::model::{Model, Stamp, record_value};
use super::{IDEMPOTENT_PARTITION, Moment, TOPIC};

/// The newest version that names topics rather than gives their ids.
const PRODUCE_VERSION: i16 = 12;
pub const IN_FLIGHT: usize = 24;
/// Kafka remembers a producer's last five batches: those in flight and the one acknowledged before them.
const IDEMPOTENT_IN_FLIGHT: usize = 4;
/// A writer's large batches end here, so that a fast disk does not make the test long.
const LARGE_BYTES_MAX: usize = 6 << 20;

/// An acknowledged batch.
#[derive(Clone, Copy, Debug)]
pub struct Acked {
    pub partition: i32,
    pub offset: i64,
    pub stamp: Stamp,
    /// The moment when this was known; the acknowledgement is older.
    pub at: u64,
}

/// How a writer came to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    Lost,
    /// What a server answers that is stopping, or has no space.
    Refused,
}

/// One connection's plain writes: nobody knows what became of those the crash left unanswered.
pub struct Load {
    seed: u64,
    writer: u64,
    rng: Rng,
    large_bytes: usize,
}

impl Load {
    pub fn new(seed: u64, writer: u64) -> Load {
        let rng = Rng::seeded(seed ^ writer.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        Load { seed, writer, rng, large_bytes: 0 }
    }

    /// Writes until the connection is lost or the server, stopping, takes no more.
    pub fn run(mut self, mut connection: Connection, moment: &Moment) -> (Vec<Acked>, End) {
        let mut acked = Vec::new();
        let mut asked: VecDeque<Vec<(i32, Stamp)>> = VecDeque::new();
        let mut number = 0;
        loop {
            while asked.len() < IN_FLIGHT {
                number += 1;
                let stamp = Stamp { writer: self.writer, number };
                let batches: Vec<_> = self
                    .partitions()
                    .into_iter()
                    .map(|partition| (partition, self.batch(partition, stamp)))
                    .collect();
                asked.push_back(batches.iter().map(|(partition, _)| (*partition, stamp)).collect());
                if !send(&mut connection, TOPIC, &batches) {
                    break;
                }
            }
            let offsets = match receive(&mut connection) {
                Ok(offsets) => offsets,
                Err(end) => return (acked, end),
            };
            let at = moment();
            let expected = asked.pop_front().unwrap();
            assert_eq!(offsets.len(), expected.len());
            acked.extend(offsets.into_iter().zip(expected).map(|((partition, offset), (asked, stamp))| {
                assert_eq!(partition, asked);
                Acked { partition, offset, stamp, at }
            }));
        }
    }

    /// One or two partitions, not the idempotent producer's.
    fn partitions(&mut self) -> Vec<i32> {
        let others = u64::try_from(IDEMPOTENT_PARTITION).unwrap();
        let first = self.rng.below(others);
        let second = (first + 1 + self.rng.below(others - 1)) % others;
        let count = if self.rng.below(3) == 0 { 2 } else { 1 };
        [first, second].into_iter().take(count).map(|index| i32::try_from(index).unwrap()).collect()
    }

    fn batch(&mut self, partition: i32, stamp: Stamp) -> Vec<u8> {
        let large = self.large_bytes < LARGE_BYTES_MAX && self.rng.below(16) == 0;
        let (records, bytes) = match large {
            true => (8 + self.rng.below(24), 64 * 1024 + self.rng.below(200 * 1024)),
            false => (1 + self.rng.below(5), 40 + self.rng.below(3000)),
        };
        self.large_bytes += if large { usize::try_from(bytes).unwrap() } else { 0 };
        let records = u32::try_from(records).unwrap();
        let record_bytes = usize::try_from(bytes).unwrap() / usize::try_from(records).unwrap();
        fill(BatchBuilder::new(TimestampMs(1)), self.seed, partition, stamp, records, record_bytes)
    }
}

fn fill(
    mut batch: BatchBuilder,
    seed: u64,
    partition: i32,
    stamp: Stamp,
    records: u32,
    bytes: usize,
) -> Vec<u8> {
    for index in 0..records {
        batch.append(None, Some(&record_value(seed, partition, stamp, index, records, bytes)));
    }
    batch.finish().unwrap()
}

/// A producer that retries what the crash left unanswered, with the sequence numbers it had.
pub struct Idempotent {
    seed: u64,
    id: ProducerId,
    epoch: ProducerEpoch,
    number: u64,
    sequence: i32,
    rng: Rng,
    last_acked: Option<(Stamp, Vec<u8>, i64)>,
    unanswered: VecDeque<(Stamp, Vec<u8>)>,
}

impl Idempotent {
    pub fn begin(connection: &mut Connection, seed: u64) -> Idempotent {
        let request = InitProducerIdRequest { transactional_id: None, ..InitProducerIdRequest::default() };
        let answer = connection.call(&request).unwrap();
        let answer: InitProducerIdResponse = answer.decode().unwrap();
        assert_eq!(answer.error_code, 0);
        Idempotent {
            seed,
            id: ProducerId(answer.producer_id),
            epoch: ProducerEpoch(answer.producer_epoch),
            number: 0,
            sequence: 0,
            rng: Rng::seeded(seed ^ 0x1DE),
            last_acked: None,
            unanswered: VecDeque::new(),
        }
    }

    /// The last acknowledged batch again: the same offset. Then the unanswered ones: those that were kept at the offsets
    /// they have, the others for the first time.
    pub fn retry_after_crash(
        &mut self,
        connection: &mut Connection,
        model: &Model,
        moment: &Moment,
    ) -> Vec<Acked> {
        let partition = IDEMPOTENT_PARTITION;
        if let Some((stamp, batch, offset)) = &self.last_acked {
            assert_eq!(produce_alone(connection, partition, batch), *offset, "{stamp:?} appended twice");
        }
        let mut acked = Vec::new();
        while let Some((stamp, batch)) = self.unanswered.pop_front() {
            let offset = produce_alone(connection, partition, &batch);
            if let Some(kept) = model.offset_of(partition, stamp) {
                assert_eq!(offset, kept, "{stamp:?} appended twice");
            }
            acked.push(Acked { partition, offset, stamp, at: moment() });
            self.last_acked = Some((stamp, batch, offset));
        }
        acked
    }

    pub fn run(mut self, mut connection: Connection, moment: &Moment) -> (Idempotent, Vec<Acked>, End) {
        let mut acked = Vec::new();
        loop {
            while self.unanswered.len() < IDEMPOTENT_IN_FLIGHT {
                let (stamp, batch) = self.next();
                self.unanswered.push_back((stamp, batch.clone()));
                if !send(&mut connection, TOPIC, &[(IDEMPOTENT_PARTITION, batch)]) {
                    break;
                }
            }
            let offsets = match receive(&mut connection) {
                Ok(offsets) => offsets,
                Err(end) => return (self, acked, end),
            };
            let at = moment();
            let (stamp, batch) = self.unanswered.pop_front().unwrap();
            let [(partition, offset)] = offsets[..] else { panic!("one partition was asked: {offsets:?}") };
            acked.push(Acked { partition, offset, stamp, at });
            self.last_acked = Some((stamp, batch, offset));
        }
    }

    fn next(&mut self) -> (Stamp, Vec<u8>) {
        self.number += 1;
        let stamp = Stamp { writer: Stamp::IDEMPOTENT, number: self.number };
        let records = u32::try_from(1 + self.rng.below(4)).unwrap();
        // Of now: a producer that seems to be silent for long is forgotten.
        let builder = BatchBuilder::new(now()).producer(self.id, self.epoch, self.sequence);
        self.sequence += i32::try_from(records).unwrap();
        (stamp, fill(builder, self.seed, IDEMPOTENT_PARTITION, stamp, records, 200))
    }
}

fn now() -> TimestampMs {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    TimestampMs(i64::try_from(since.as_millis()).unwrap())
}

fn produce_alone(connection: &mut Connection, partition: i32, batch: &[u8]) -> i64 {
    try_produce(connection, partition, batch).unwrap()
}

fn try_produce(connection: &mut Connection, partition: i32, batch: &[u8]) -> Result<i64, End> {
    if !send(connection, TOPIC, &[(partition, batch.to_vec())]) {
        return Err(End::Lost);
    }
    receive(connection).map(|offsets| offsets[0].1)
}

/// One more small batch, like no other if the numbers ascend: its offset.
pub fn append_one(connection: &mut Connection, seed: u64, partition: i32, number: u64) -> Result<i64, End> {
    let stamp = Stamp { writer: Stamp::AFTERWARDS, number };
    let batch = fill(BatchBuilder::new(TimestampMs(1)), seed, partition, stamp, 2, 100);
    try_produce(connection, partition, &batch)
}

/// False when the connection is lost.
pub fn send(connection: &mut Connection, topic: &str, batches: &[(i32, Vec<u8>)]) -> bool {
    let partition = |(index, batch): &(i32, Vec<u8>)| PartitionProduceData {
        index: *index,
        records: Records::Gather(vec![bytes::Bytes::from(batch.clone()).into()]),
    };
    let topic = TopicProduceData {
        name: Cow::Borrowed(topic),
        partition_data: batches.iter().map(partition).collect(),
        ..TopicProduceData::default()
    };
    let request =
        ProduceRequest { acks: -1, timeout_ms: 30_000, topic_data: vec![topic], ..ProduceRequest::default() };
    unless_lost(connection.send_version(&request, PRODUCE_VERSION)).is_some()
}

/// The oldest request's partitions and base offsets.
pub fn receive(connection: &mut Connection) -> Result<Vec<(i32, i64)>, End> {
    if connection.in_flight() == 0 {
        return Err(End::Lost);
    }
    let answer = unless_lost(connection.receive()).ok_or(End::Lost)?;
    let answer: ProduceResponse<'_> = answer.decode().unwrap();
    let partitions = answer.responses.into_iter().flat_map(|topic| topic.partition_responses);
    partitions
        .map(|it| match ErrorCode::from_code(it.error_code) {
            Some(ErrorCode::None) => Ok((it.index, it.base_offset)),
            Some(ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError) => Err(End::Refused),
            code => panic!("partition {}: {code:?}, {:?}", it.index, it.error_message),
        })
        .collect()
}

/// A lost connection is what the test is about; anything else is a fault.
pub fn unless_lost<T>(outcome: Result<T, ClientError>) -> Option<T> {
    match outcome {
        Ok(it) => Some(it),
        Err(ClientError::Lost { .. }) => None,
        Err(error) => panic!("{error}"),
    }
}
