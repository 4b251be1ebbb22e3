//! What clients ask of a shard, and how they read what it answers.

use std::sync::Arc;

use ringmain::base::{LeaderEpoch, Offset, Payload, TopicPartition};
use ringmain::record::{BatchHeader, records};
use ringmain::shard::{
    FetchPartition, FetchRequest, FetchedBy, Known, ListOffsetsPartition, OffsetLookup, ShardRequest,
};

pub fn lookup(partition: TopicPartition, lookup: OffsetLookup) -> ListOffsetsPartition {
    ListOffsetsPartition { partition, current_leader_epoch: LeaderEpoch(-1), lookup, read_committed: false }
}

pub fn fetch(partition: TopicPartition, offset: i64) -> ShardRequest {
    let asked = FetchPartition {
        partition,
        offset: Offset(offset),
        current_leader_epoch: LeaderEpoch(-1),
        last_fetched_epoch: LeaderEpoch(-1),
        bytes_max: 200_000,
        known: Known::NOTHING,
    };
    ShardRequest::Fetch(FetchRequest {
        partitions: Arc::new(vec![asked]),
        first: 0,
        wait_ms_max: 0,
        bytes_min: 0,
        bytes_max: 200_000,
        read_committed: false,
        by: FetchedBy::Client,
    })
}

/// Offsets and numbers of all records in batches back to back.
pub fn read_batches(mut bytes: &[u8]) -> Vec<(i64, u64)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let header = BatchHeader::parse(bytes).unwrap();
        records(bytes, |header, record| {
            let value = record.value.unwrap();
            let number = value.split(|byte| *byte == b':').next().unwrap();
            found.push((record.offset(header).0, std::str::from_utf8(number).unwrap().parse().unwrap()));
            true
        })
        .unwrap();
        bytes = &bytes[header.total_bytes()..];
    }
    found
}

pub fn last_offset(mut bytes: &[u8]) -> i64 {
    let mut last = -1;
    while !bytes.is_empty() {
        let header = BatchHeader::parse(bytes).unwrap();
        last = header.last_offset().0;
        bytes = &bytes[header.total_bytes()..];
    }
    last
}

pub fn joined(pieces: &[Payload]) -> Vec<u8> {
    pieces.iter().map(|piece| &**piece).collect::<Vec<&[u8]>>().concat()
}
