//! What is known of one partition.

use std::collections::{BTreeMap, BTreeSet};

use ringmain::base::{LeaderEpoch, TopicPartition};

use crate::checks::{Invariant, require};
use crate::clients::Acks;

/// A record's number: no two records that were ever sent have the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RecordNumber(pub u64);

/// A record that was sent.
#[derive(Clone, Debug)]
pub struct Sent {
    pub partition: TopicPartition,
    pub acks: Acks,
    pub is_idempotent: bool,
    /// The log was known to end here or later when the record was sent first.
    pub known_end: i64,
    /// Where it is for good: it was acknowledged there by all, or served there.
    pub at: Option<i64>,
}

#[derive(Debug)]
pub struct Log {
    partition: TopicPartition,
    is_compacted: bool,
    /// The topic's deletion was acknowledged.
    pub is_gone: bool,
    /// What is at each offset for good.
    at: Vec<Option<RecordNumber>>,
    /// The largest high watermark that was ever told to anybody.
    exposed: i64,
    /// The high watermark that a leader had last, by leader epoch.
    led_to: BTreeMap<LeaderEpoch, i64>,
    /// The log starts here or later: records were deleted by request.
    start: i64,
    /// Where it was last seen to start.
    seen_start: i64,
}

impl Log {
    pub fn new(partition: TopicPartition, is_compacted: bool) -> Log {
        Log {
            partition,
            is_compacted,
            is_gone: false,
            at: Vec::new(),
            exposed: 0,
            led_to: BTreeMap::new(),
            start: 0,
            seen_start: 0,
        }
    }

    pub fn exposed(&self) -> i64 {
        self.exposed
    }

    /// The newest record that was acknowledged by all, or served, is just below.
    pub fn acknowledged_end(&self) -> i64 {
        self.at.len() as i64
    }

    pub fn seen_start(&self) -> i64 {
        self.seen_start
    }

    pub fn is_compacted(&self) -> bool {
        self.is_compacted
    }

    /// Records were acknowledged.
    pub fn acknowledged(&mut self, base: i64, numbers: &[RecordNumber], sent: &mut [Sent]) {
        for (offset, number) in (base..).zip(numbers) {
            let record = &sent[index(number.0)];
            // A leader that does not know of its successor yet may answer whoever waits for it alone.
            require(Invariant::LeaderComplete, offset >= record.known_end || !record.binds(), || {
                let Log { partition, exposed, .. } = self;
                let known = record.known_end;
                format!(
                    "{partition}: {number:?} was acknowledged at {offset}; the log was known to end at {known} when it \
                     was sent, and is at {exposed}"
                )
            });
            if record.binds() {
                self.found(offset, *number, sent);
            }
        }
    }

    /// A record is seen at an offset, where it must stay.
    pub fn found(&mut self, offset: i64, number: RecordNumber, sent: &mut [Sent]) {
        let partition = self.partition;
        let record = sent.get_mut(index(number.0));
        let record = record.filter(|record| record.partition == partition);
        require(Invariant::ConsistentRead, record.is_some(), || {
            format!("{partition} at {offset}: {number:?} was never sent there")
        });
        let record = record.expect("just required");
        let at = index(offset.cast_unsigned());
        if self.at.len() <= at {
            self.at.resize(at + 1, None);
        }
        let known = *self.at[at].get_or_insert(number);
        require(Invariant::ConsistentRead, known == number, || {
            format!("{partition} at {offset}: {number:?}, and before there was {known:?}")
        });
        if record.is_idempotent {
            let first = *record.at.get_or_insert(offset);
            require(Invariant::Sequences, first == offset, || {
                format!("{partition}: {number:?} of an idempotent producer is at {first} and at {offset}")
            });
        }
    }

    /// A server has told where the log starts and ends for consumers.
    pub fn expose(&mut self, start: i64, high_watermark: i64) {
        self.seen_start = self.seen_start.max(start);
        self.exposed = self.exposed.max(high_watermark);
    }

    pub fn deleted_before(&mut self, offset: i64) {
        self.start = self.start.max(offset);
        self.expose(offset, offset);
    }

    /// A leader's high watermark, as the leader has it.
    pub fn leads_to(&mut self, epoch: LeaderEpoch, high_watermark: i64) {
        let known = self.led_to.entry(epoch).or_insert(high_watermark);
        require(Invariant::Watermarks, high_watermark >= *known, || {
            format!("{} in epoch {epoch} went from {known} back to {high_watermark}", self.partition)
        });
        *known = high_watermark;
    }

    /// The whole log from its start to its end, as it was read.
    pub fn whole(&mut self, start: i64, end: i64, found: &[(i64, RecordNumber)], sent: &mut [Sent]) {
        let partition = self.partition;
        require(Invariant::LeaderComplete, start >= self.start, || {
            format!("{partition} started at {} and now at {start}: deleted records are back", self.start)
        });
        let least = self.exposed.max(self.acknowledged_end());
        require(Invariant::NothingLost, end >= least, || {
            format!("{partition} was known to reach {least}, and now ends at {end}")
        });
        (self.seen_start, self.exposed) = (start, end);
        for (offset, number) in found {
            self.found(*offset, *number, sent);
        }
        let offsets: Vec<i64> = found.iter().map(|(offset, _)| *offset).collect();
        require(Invariant::ConsistentRead, offsets.is_sorted_by(|a, b| a < b), || {
            format!("{partition}: offsets do not ascend")
        });
        if self.is_compacted {
            return self.compacted(start, found);
        }
        require(Invariant::NothingLost, offsets.iter().copied().eq(start..end), || {
            format!("{partition} from {start} to {end} has gaps: {}", missing(&offsets, start, end))
        });
    }

    /// The newest record of each key is there, or a newer one.
    fn compacted(&self, start: i64, found: &[(i64, RecordNumber)]) {
        let partition = self.partition;
        let key = crate::clients::key_of;
        let newest: BTreeMap<u8, i64> =
            found.iter().map(|(offset, number)| (key(*number), *offset)).collect();
        let from = index(start.cast_unsigned());
        for (offset, number) in (start..).zip(self.at.iter().skip(from)) {
            let Some(number) = number else { continue };
            let newest = newest.get(&key(*number));
            require(Invariant::LeaderComplete, newest.is_some_and(|newest| *newest >= offset), || {
                format!("{partition}: {number:?} at {offset} is gone, and of its key only {newest:?} is left")
            });
        }
    }
}

fn missing(offsets: &[i64], start: i64, end: i64) -> String {
    let there: BTreeSet<i64> = offsets.iter().copied().collect();
    let missing: Vec<i64> = (start..end).filter(|offset| !there.contains(offset)).take(10).collect();
    format!("{missing:?} are missing")
}

fn index(number: u64) -> usize {
    usize::try_from(number).unwrap()
}
