//! Batches as clients make and read them. The value of a record begins with its number, which no other record has.

use bytes::Bytes;
use ringmain::base::rng::Rng;
use ringmain::base::{LeaderEpoch, ProducerEpoch, ProducerId, TimestampMs};
use ringmain::record::{BatchBuilder, BatchHeader, records};

use crate::oracle::RecordNumber;

const NUMBER_BYTES: usize = 8;
/// Keys of records: so many of each partition.
pub const KEYS: u64 = 7;

/// A batch of these records.
pub fn batch(
    wall: TimestampMs,
    producer: Option<(ProducerId, ProducerEpoch, i32)>,
    numbers: &[RecordNumber],
    rng: &mut Rng,
) -> Bytes {
    let mut builder = BatchBuilder::new(wall);
    if let Some((id, epoch, sequence)) = producer {
        builder = builder.producer(id, epoch, sequence);
    }
    for number in numbers {
        let size = match rng.below(100) {
            0 => 4_000 + rng.below(9_000),
            1..5 => rng.below(2_000),
            _ => 20 + rng.below(280),
        };
        let mut value = vec![b'x'; NUMBER_BYTES + usize::try_from(size).unwrap()];
        value[..NUMBER_BYTES].copy_from_slice(&number.0.to_be_bytes());
        builder.append(Some(&[key_of(*number)]), Some(&value));
    }
    builder.finish().unwrap().into()
}

pub fn key_of(number: RecordNumber) -> u8 {
    u8::try_from(number.0 % KEYS).unwrap()
}

/// A record as it was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Found {
    pub offset: i64,
    pub number: RecordNumber,
}

/// All records in batches back to back, the offset behind the last batch, and that batch's epoch: it may have no records, and be
/// the first of its epoch.
pub fn read_batches(mut bytes: &[u8]) -> (Vec<Found>, i64, Option<LeaderEpoch>) {
    let (mut found, mut end, mut epoch) = (Vec::new(), -1, None);
    while !bytes.is_empty() {
        let header = BatchHeader::parse(bytes).unwrap();
        if header.records_count > 0 {
            records(bytes, |header, record| {
                let number = record.value.unwrap().first_chunk().unwrap();
                let number = RecordNumber(u64::from_be_bytes(*number));
                found.push(Found { offset: record.offset(header).0, number });
                true
            })
            .unwrap();
        }
        end = header.last_offset().0 + 1;
        epoch = Some(header.leader_epoch);
        bytes = &bytes[header.total_bytes()..];
    }
    (found, end, epoch)
}
