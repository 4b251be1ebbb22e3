//! What the log may look like, kept apart from the server: each partition as read, and what was promised of it.

use std::collections::HashMap;

use ringmain::base::rng::Rng;
use ringmain::client::Connection;
use ringmain::record::{BatchHeader, batch_crc, records};

use super::PARTITIONS;
use super::reader::{Fetched, Served, fetch};
use super::writers::Acked;

/// Which batch this is: a writer's numbers ascend.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Stamp {
    pub writer: u64,
    pub number: u64,
}

impl Stamp {
    pub const IDEMPOTENT: u64 = u64::MAX;
    /// Who writes once a crash has been looked at.
    pub const AFTERWARDS: u64 = u64::MAX - 1;
}

/// Bytes that say whose they are, and could be no others.
pub fn record_value(
    seed: u64,
    partition: i32,
    stamp: Stamp,
    index: u32,
    count: u32,
    bytes: usize,
) -> Vec<u8> {
    let mut value = Vec::with_capacity(bytes + 40);
    value.extend_from_slice(&stamp.writer.to_be_bytes());
    value.extend_from_slice(&stamp.number.to_be_bytes());
    value.extend_from_slice(&partition.to_be_bytes());
    value.extend_from_slice(&index.to_be_bytes());
    value.extend_from_slice(&count.to_be_bytes());
    let mut rng =
        Rng::seeded(seed ^ stamp.writer.rotate_left(40) ^ stamp.number.rotate_left(20) ^ u64::from(index));
    while value.len() < bytes {
        value.extend_from_slice(&rng.next_u64().to_be_bytes());
    }
    value
}

#[derive(Default)]
struct Partition {
    /// Base offset and checksum of every batch read, in order.
    log: Vec<(i64, u32)>,
    end: i64,
    offsets: HashMap<Stamp, i64>,
    last_numbers: HashMap<u64, u64>,
}

pub struct Model {
    seed: u64,
    partitions: Vec<Partition>,
    acked: Vec<Acked>,
    served: Vec<Served>,
    acked_count: usize,
    served_count: usize,
}

impl Model {
    pub fn new(seed: u64) -> Model {
        let partitions = (0..PARTITIONS).map(|_| Partition::default()).collect();
        Model { seed, partitions, acked: Vec::new(), served: Vec::new(), acked_count: 0, served_count: 0 }
    }

    /// Acknowledged: to be looked for at the next reading.
    pub fn written(&mut self, acked: Vec<Acked>) {
        self.acked_count += acked.len();
        self.acked.extend(acked);
    }

    /// Served: to be looked for at the next reading.
    pub fn served(&mut self, served: Vec<Served>) {
        self.served_count += served.len();
        self.served.extend(served);
    }

    pub fn offset_of(&self, partition: i32, stamp: Stamp) -> Option<i64> {
        self.partitions[usize::try_from(partition).unwrap()].offsets.get(&stamp).copied()
    }

    pub fn summary(&self) -> String {
        let (batches, records) =
            self.partitions.iter().fold((0, 0), |sum, it| (sum.0 + it.log.len(), sum.1 + it.end));
        format!(
            "{batches} batches with {records} records kept, {} acknowledged, {} served before a crash",
            self.acked_count, self.served_count
        )
    }

    /// Reads what has been added to every partition and checks it, and all that was promised since. The ends.
    pub fn read_on(&mut self, connection: &mut Connection) -> Vec<i64> {
        let seed = self.seed;
        let from = self.partitions.iter().map(|it| it.end).collect();
        read_to_end(connection, from, |partition, header, batch| {
            self.partitions[usize::try_from(partition).unwrap()].read(seed, partition, header, batch);
        });
        for acked in std::mem::take(&mut self.acked) {
            let kept = self.offset_of(acked.partition, acked.stamp);
            assert_eq!(kept, Some(acked.offset), "acknowledged, but not there: {acked:?}, seed {seed}");
        }
        for served in std::mem::take(&mut self.served) {
            let log = &self.partitions[usize::try_from(served.partition).unwrap()].log;
            let there = log.binary_search_by_key(&served.offset, |(offset, _)| *offset).map(|at| log[at].1);
            assert_eq!(there, Ok(served.crc), "served, but not there: {served:?}, seed {seed}");
        }
        self.partitions.iter().map(|it| it.end).collect()
    }

    /// Everything once more: not a byte has changed since it was first read.
    pub fn read_again_from_the_start(&self, connection: &mut Connection) {
        let mut again: Vec<Vec<(i64, u32)>> = self.partitions.iter().map(|_| Vec::new()).collect();
        read_to_end(connection, vec![0; self.partitions.len()], |partition, header, batch| {
            assert_eq!(batch_crc(batch), header.crc);
            again[usize::try_from(partition).unwrap()].push((header.base_offset.0, header.crc));
        });
        for (partition, (again, before)) in again.iter().zip(&self.partitions).enumerate() {
            assert!(*again == before.log, "partition {partition} has changed, seed {}", self.seed);
        }
    }
}

impl Partition {
    fn read(&mut self, seed: u64, partition: i32, header: &BatchHeader, batch: &[u8]) {
        let at = format!("partition {partition} at {}, seed {seed}", header.base_offset);
        assert_eq!(header.base_offset.0, self.end, "offsets are dense: {at}");
        assert_eq!(batch_crc(batch), header.crc, "{at}");
        let mut stamps = Vec::new();
        records(batch, |_, record| {
            stamps.push(stamp_of(seed, partition, record.value.unwrap(), header, &at));
            true
        })
        .unwrap();
        let stamp = stamps[0];
        assert!(stamps.iter().all(|it| *it == stamp), "{at}");
        assert_eq!(self.offsets.insert(stamp, self.end), None, "appended twice: {stamp:?} {at}");
        let last = self.last_numbers.insert(stamp.writer, stamp.number).unwrap_or(0);
        assert!(stamp.number > last, "out of order: {stamp:?} after {last} {at}");
        let gapless = stamp.writer != Stamp::IDEMPOTENT || stamp.number == last + 1;
        assert!(gapless, "an idempotent producer's batch is missing: {stamp:?} after {last} {at}");
        self.log.push((self.end, header.crc));
        self.end = header.last_offset().0 + 1;
    }
}

/// The stamp a record carries; its bytes are those that were written under it.
fn stamp_of(seed: u64, partition: i32, value: &[u8], header: &BatchHeader, at: &str) -> Stamp {
    let (writer, rest) = value.split_first_chunk().unwrap();
    let (number, rest) = rest.split_first_chunk().unwrap();
    let (_, rest) = rest.split_first_chunk::<4>().unwrap();
    let (index, _) = rest.split_first_chunk().unwrap();
    let stamp = Stamp { writer: u64::from_be_bytes(*writer), number: u64::from_be_bytes(*number) };
    let count = u32::try_from(header.records_count).unwrap();
    let written = record_value(seed, partition, stamp, u32::from_be_bytes(*index), count, value.len());
    assert!(written == value, "not the bytes that were written: {stamp:?} {at}");
    stamp
}

fn read_to_end(
    connection: &mut Connection,
    mut positions: Vec<i64>,
    mut each: impl FnMut(i32, &BatchHeader, &[u8]),
) {
    loop {
        let fetched: Vec<Fetched> = fetch(connection, &positions, 0).expect("a server nobody kills");
        assert_eq!(fetched.len(), positions.len());
        let mut complete = true;
        for (partition, high_watermark, batches) in fetched {
            let position = &mut positions[usize::try_from(partition).unwrap()];
            for (header, batch) in &batches {
                each(partition, header, batch);
                *position = header.last_offset().0 + 1;
            }
            assert!(*position <= high_watermark, "partition {partition} went back to {high_watermark}");
            complete &= *position == high_watermark;
        }
        if complete {
            return;
        }
    }
}
