//! Topics that lose records on purpose, one by retention and one by compaction: whatever step of that a crash comes at,
//! what is left is in order, and what had to stay is there.
//!
//! One writer numbers its records from 0, so that each record's number is its offset.

use std::collections::BTreeMap;
use std::fmt;

use ringmain::base::rng::Rng;
use ringmain::base::{Offset, PartitionIndex, TimestampMs};
use ringmain::client::{Admin, Cluster, Connection, ConnectionOptions, Consumer, ConsumerOptions, Position};
use ringmain::record::{BatchBuilder, Codec};

use super::writers::{End, receive, send};
use super::{Moment, PATIENCE, new_topic};

const EXPIRING: &str = "expiring";
const COMPACTED: &str = "compacted";
const KEYS: i64 = 30;
/// Random, so that no codec makes it small, and many: segments are full soon.
const VALUE_BYTES: usize = 15_000;
const RECORDS: i64 = 4;

#[derive(Clone, Debug, Default)]
pub struct Churn {
    /// Ends of what is acknowledged in both topics, in order, and the moments.
    acked: Vec<(i64, u64)>,
    /// Where the topics ended when they were last looked at: a crash may have left them apart.
    expiring_end: i64,
    compacted_end: i64,
    expired: i64,
    compacted: i64,
}

impl Churn {
    pub fn create_topics(admin: &mut Admin) {
        let expires = [("retention.bytes", "1000000")];
        let compacts = [("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0.01")];
        admin.create_topic(&new_topic(EXPIRING, 1, &expires)).unwrap();
        admin.create_topic(&new_topic(COMPACTED, 1, &compacts)).unwrap();
    }

    /// As it was known at a moment.
    pub fn until(&self, moment: u64) -> Churn {
        let acked = self.acked.iter().copied().take_while(|(_, at)| *at <= moment).collect();
        Churn { acked, ..Churn::default() }
    }

    pub fn run(mut self, mut connection: Connection, moment: &Moment) -> (Churn, End) {
        let mut ends = [(EXPIRING, self.expiring_end), (COMPACTED, self.compacted_end)];
        loop {
            let behind = ends.iter().map(|(_, end)| *end).min().unwrap();
            for (topic, end) in ends.iter_mut().filter(|(_, end)| *end == behind) {
                if !send(&mut connection, topic, &[(0, batch(*end, RECORDS))]) {
                    return (self, End::Lost);
                }
                match receive(&mut connection) {
                    Ok(offsets) => assert_eq!(offsets, [(0, *end)], "{topic}"),
                    Err(ended) => return (self, ended),
                }
                *end += RECORDS;
            }
            let at = moment();
            self.acked.push((ends.iter().map(|(_, end)| *end).min().unwrap(), at));
        }
    }

    pub fn check(&mut self, address: &str) {
        let acked = self.acked.last().map_or(0, |(end, _)| *end);
        let expiring = log(address, EXPIRING);
        let offsets: Vec<i64> = expiring.numbers.values().flatten().copied().collect();
        let dense = (expiring.start..expiring.end).eq(sorted(offsets));
        assert!(dense && expiring.start <= acked && acked <= expiring.end, "{acked} of {expiring:?}");
        let compacted = log(address, COMPACTED);
        (self.expiring_end, self.compacted_end) = (expiring.end, compacted.end);
        let left: usize = compacted.numbers.values().map(Vec::len).sum();
        (self.expired, self.compacted) = (expiring.start, compacted.end - i64::try_from(left).unwrap());
        for key in 0..KEYS.min(acked) {
            let latest = (acked - 1) - (acked - 1 - key) % KEYS;
            let found = compacted.numbers.get(&key).and_then(|numbers| numbers.last());
            assert!(
                found.is_some_and(|found| *found >= latest),
                "key {key}: {latest} is lost, {found:?} found"
            );
        }
    }
}

impl fmt::Display for Churn {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{} records expired, {} compacted away", self.expired, self.compacted)
    }
}

/// What a topic holds: of each key the numbers, in order.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) numbers: BTreeMap<i64, Vec<i64>>,
}

/// Reads a topic whole.
pub(super) fn log(address: &str, topic: &str) -> Log {
    let cluster = Cluster::connect(address, ConnectionOptions::default()).unwrap();
    let mut consumer = Consumer::new(cluster, ConsumerOptions::default());
    let mut ends = [Position::Earliest, Position::Latest].map(|position| {
        let Offset(offset) = consumer.find(topic, PartitionIndex(0), position).unwrap();
        offset
    });
    consumer.assign(topic, None, Position::Earliest).unwrap();
    let mut log = Log { start: ends[0], end: ends[1], numbers: BTreeMap::new() };
    // The start may move while this reads: what counts is where it began.
    while ends[0] < log.end && !consumer.is_at_end() {
        for batch in consumer.poll(PATIENCE).unwrap() {
            let mut each = |record: &ringmain::client::ConsumedRecord<'_>| {
                let number = number_of(record.value.unwrap());
                assert_eq!(number, record.offset.0, "{topic}");
                assert!(number >= ends[0], "{topic}: {number} again");
                ends[0] = number + 1;
                log.numbers.entry(number % KEYS).or_default().push(number);
                true
            };
            batch.records(&mut each).unwrap();
        }
    }
    log.start = log.numbers.values().filter_map(|numbers| numbers.first()).copied().min().unwrap_or(log.end);
    log
}

pub(super) fn sorted(mut numbers: Vec<i64>) -> Vec<i64> {
    numbers.sort_unstable();
    numbers
}

pub(super) fn batch(first: i64, records: i64) -> Vec<u8> {
    let codec = Codec::ALL[usize::try_from(first).unwrap() % Codec::ALL.len()];
    let mut batch = BatchBuilder::new(TimestampMs(1)).codec(codec);
    for number in first..first + records {
        batch.append(Some(&(number % KEYS).to_be_bytes()), Some(&value_of(number)));
    }
    batch.finish().unwrap()
}

fn number_of(value: &[u8]) -> i64 {
    let number = i64::from_be_bytes(*value.first_chunk().unwrap());
    assert!(value == value_of(number), "not the bytes that were written: {number}");
    number
}

fn value_of(number: i64) -> Vec<u8> {
    let mut rng = Rng::seeded(number.cast_unsigned());
    let mut value = number.to_be_bytes().to_vec();
    while value.len() < VALUE_BYTES {
        value.extend_from_slice(&rng.next_u64().to_be_bytes());
    }
    value
}
