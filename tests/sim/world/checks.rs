//! What clients find must be what they were told.

use std::ops::Range;

use ringmain::base::{Offset, ShardId, TopicPartition};
use ringmain::record::BatchHeader;
use ringmain::shard::{OffsetLookup, PartitionError, ShardReply, ShardRequest};

use super::{PATIENCE, World};
use crate::client::{fetch, joined, last_offset, lookup, read_batches};

/// Where a log starts and ends, and its records: offsets and numbers.
type Whole = (i64, i64, Vec<(i64, u64)>);

impl World {
    /// Reads every log from its start to its end.
    pub(super) fn check_everything(&mut self) {
        let partitions: Vec<TopicPartition> = self.model.partitions().collect();
        for partition in partitions {
            let Some(owner) = self.owner(partition) else {
                // Its topic's deletion was asked for and not yet answered.
                self.model.gone(partition);
                continue;
            };
            // Retention may take what is being read.
            let (start, end, found) = loop {
                if let Some(read) = self.read_whole(owner, partition) {
                    break read;
                }
            };
            let checked = self.model.get(partition).unwrap();
            let context = format!("{partition:?} from {start} to {end}");
            let whole = std::panic::AssertUnwindSafe(|| checked.whole(start, end, &found));
            if let Err(cause) = std::panic::catch_unwind(whole) {
                eprintln!("{context}: {:#?}", self.last_events);
                std::panic::resume_unwind(cause);
            }
            self.look_up_a_time(owner, partition, start..end);
        }
        for shard in self.machine.shards() {
            // One at least is kept, however large.
            assert!(shard.gauges().index_bytes <= self.index_bytes.max(8 << 10), "indexes are let go");
        }
    }

    /// Everything has ended and every turn was taken: nobody waits, and nothing is left to do.
    pub(super) fn check_quiet(&self) {
        for shard in self.machine.shards() {
            let gauges = shard.gauges();
            let waiting = (gauges.commit_pending_bytes, gauges.writeback_waiting, gauges.fetches_waiting);
            let events = &self.last_events;
            assert_eq!(waiting, (0, 0, 0), "bytes for the log, writes to segments, fetches\n{events:#?}");
            assert!(!shard.is_busy(), "an operation that has ended is still counted\n{events:#?}");
            assert!(!shard.reads_wait_for_memory(), "all answers were taken\n{events:#?}");
        }
    }

    /// Looks for the first record as young as one of these.
    fn look_up_a_time(&mut self, owner: ShardId, partition: TopicPartition, offsets: Range<i64>) {
        if offsets.is_empty() {
            return;
        }
        let span = u64::try_from(offsets.end - offsets.start).unwrap();
        let offset = offsets.start + i64::try_from(self.rng.below(span)).unwrap();
        let header = |bytes: &[u8]| BatchHeader::parse(bytes).unwrap();
        let Some(young) = self.read(owner, partition, offset).map(|bytes| header(&bytes)) else { return };
        let found = self.ends(owner, partition, OffsetLookup::AtOrAfter(young.max_timestamp));
        if self.ends(owner, partition, OffsetLookup::Earliest) > offsets.start {
            // Retention has taken some meanwhile.
            return;
        }
        // Of a batch below whose end the log starts, compaction may have left nothing above that.
        let is_whole = !self.model.get(partition).unwrap().is_compacted;
        let within = offsets.start..if is_whole { young.last_offset().0 + 1 } else { offsets.end };
        assert!(within.contains(&found), "{partition:?}: {found}, {young:?}\n{:#?}", self.last_events);
        let before =
            (is_whole && found > offsets.start).then(|| self.read(owner, partition, found - 1)).flatten();
        let before = before.map(|bytes| header(&bytes));
        assert!(
            before.is_none_or(|before| before.max_timestamp < young.max_timestamp),
            "{partition:?}: {before:?} is as young as {found}\n{:#?}",
            self.last_events
        );
    }

    fn ends(&mut self, owner: ShardId, partition: TopicPartition, which: OffsetLookup) -> i64 {
        let request = ShardRequest::ListOffsets(vec![lookup(partition, which)]);
        match self.answer(owner, request) {
            ShardReply::ListOffsets(results) => results[0].clone().unwrap().offset.0,
            other => panic!("{other:?}"),
        }
    }

    /// Start, end, and the records between; `None` when the start has moved meanwhile.
    fn read_whole(&mut self, owner: ShardId, partition: TopicPartition) -> Option<Whole> {
        let start = self.ends(owner, partition, OffsetLookup::Earliest);
        let end = self.ends(owner, partition, OffsetLookup::Latest);
        let mut found: Vec<(i64, u64)> = Vec::new();
        let mut next = start;
        while next < end {
            let bytes = self.read(owner, partition, next)?;
            found.extend(read_batches(&bytes).iter().filter(|(offset, _)| *offset >= next));
            let last = last_offset(&bytes);
            assert!(last >= next, "nothing is read at {next} of {partition:?}, which ends at {end}");
            next = last + 1;
        }
        Some((start, end, found))
    }

    fn read(&mut self, owner: ShardId, partition: TopicPartition, offset: i64) -> Option<Vec<u8>> {
        match self.answer(owner, fetch(partition, offset)) {
            ShardReply::Fetch(results) => match &results[0].outcome {
                Ok(fetched) => Some(joined(&fetched.records)),
                Err(PartitionError::OffsetOutOfRange { log_start, .. }) if *log_start > Offset(offset) => {
                    None
                }
                Err(error) => panic!("{partition:?} at {offset}: {error}"),
            },
            other => panic!("{other:?}"),
        }
    }

    fn answer(&mut self, owner: ShardId, request: ShardRequest) -> ShardReply {
        self.told = None;
        self.ask(owner, None, request);
        let mut steps = 0;
        loop {
            if let Some(reply) = self.told.take() {
                return reply;
            }
            self.go_on();
            steps += 1;
            assert!(steps < PATIENCE, "never answered\n{:#?}", self.last_events);
        }
    }
}
