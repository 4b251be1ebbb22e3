//! What must be true of a log whatever happened: an account kept beside the server, by nothing it shares code with.

use std::collections::{BTreeMap, BTreeSet};

use ringmain::base::TopicPartition;

/// Everything known of all partitions.
#[derive(Debug, Default)]
pub struct Model {
    partitions: BTreeMap<TopicPartition, Known>,
}

/// What a client knows of one partition.
#[derive(Debug, Default)]
pub struct Known {
    pub is_compacted: bool,
    /// Records by number: their keys. Also those never acknowledged.
    sent: BTreeMap<u64, u64>,
    /// Offset → record, of what was acknowledged or served: it must stay so.
    at: BTreeMap<i64, u64>,
    /// The log starts here or later: records were deleted by request. Retention's start may be forgotten by a crash.
    start: i64,
    /// Where it was last seen to start.
    seen_start: i64,
    /// The log ends here or later.
    end: i64,
}

impl Model {
    pub fn born(&mut self, partition: TopicPartition, is_compacted: bool) {
        self.partitions.insert(partition, Known { is_compacted, ..Known::default() });
    }

    pub fn gone(&mut self, partition: TopicPartition) {
        self.partitions.remove(&partition);
    }

    pub fn partitions(&self) -> impl Iterator<Item = TopicPartition> + '_ {
        self.partitions.keys().copied()
    }

    /// `None` once the partition was deleted.
    pub fn get(&mut self, partition: TopicPartition) -> Option<&mut Known> {
        self.partitions.get_mut(&partition)
    }
}

impl Known {
    pub fn send(&mut self, record: u64, key: u64) {
        self.sent.insert(record, key);
    }

    pub fn acknowledged(&mut self, base: i64, records: &[u64]) {
        for (offset, record) in (base..).zip(records) {
            self.found(offset, *record);
        }
        self.end = self.end.max(base + i64::try_from(records.len()).unwrap());
    }

    /// A record is seen at an offset.
    pub fn found(&mut self, offset: i64, record: u64) {
        assert!(self.sent.contains_key(&record), "record {record} at {offset} was never sent");
        let known = *self.at.entry(offset).or_insert(record);
        assert_eq!(known, record, "another record than before at offset {offset}");
    }

    /// Bounds that an answer has named. Answers may overtake each other, so they may be older than what is known.
    pub fn bounds(&mut self, start: i64, end: i64) {
        self.seen_start = self.seen_start.max(start);
        self.end = self.end.max(end);
    }

    pub fn deleted_before(&mut self, offset: i64) {
        self.start = self.start.max(offset);
        self.bounds(offset, offset);
    }

    pub fn end(&self) -> i64 {
        self.end
    }

    pub fn seen_start(&self) -> i64 {
        self.seen_start
    }

    /// The whole log from its start to its end, as it was read.
    pub fn whole(&mut self, start: i64, end: i64, records: &[(i64, u64)]) {
        assert!(start >= self.start, "the log started at {} and now at {start}", self.start);
        assert!(end >= self.end, "the log ended at {} and now at {end}", self.end);
        (self.seen_start, self.end) = (start, end);
        for (offset, record) in records {
            self.found(*offset, *record);
        }
        let numbers: BTreeSet<u64> = records.iter().map(|(_, record)| *record).collect();
        assert_eq!(numbers.len(), records.len(), "a record is there twice");
        let offsets: Vec<i64> = records.iter().map(|(offset, _)| *offset).collect();
        if !self.is_compacted {
            assert_eq!(offsets, (start..end).collect::<Vec<i64>>(), "a log without gaps");
            return;
        }
        assert!(offsets.is_sorted_by(|a, b| a < b), "offsets ascend");
        let newest: BTreeMap<u64, i64> =
            records.iter().map(|(offset, record)| (self.sent[record], *offset)).collect();
        for (offset, record) in self.at.range(start..) {
            let newest = newest.get(&self.sent[record]);
            assert!(
                newest.is_some_and(|newest| newest >= offset),
                "record {record} at {offset} is gone, and of its key only {newest:?} is left"
            );
        }
    }
}
