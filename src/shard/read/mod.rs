//! Reading: fetches, long polls, lookups by time, and the cache and indexes they read through.
//!
//! Owns who waits for data and who waits for the disk. Looks at the store's partitions and never changes what they hold.
//! Answers connections itself; a coordinator that reads its own log gets its part as [`News::Part`].
//!
//! What the upkeep room may do with it: ask whether a segment is being read, and have a segment forgotten.
//!
//! | file | what |
//! |---|---|
//! | attempt | a look at what a fetch asks for |
//! | polls | fetches that wait for data |
//! | readers | fetches that wait for the disk |
//! | lookup, facts | offsets for timestamps; what memory answers at once |
//! | source | where readers get bytes and indexes |
//! | cache, indexes | what was read, kept for whoever reads it next |

mod attempt;
mod cache;
mod facts;
mod indexes;
mod lookup;
mod polls;
mod readers;
mod source;

use crate::base::io::SegmentId;
use crate::base::{ChunkSlice, MonoNanos, TopicPartition};

use super::config::ShardConfig;
use super::event::IndexFiles;
use super::metrics::ShardGauges;
use super::offsets::{EpochEndPartition, ListOffsetsPartition};
use super::request::{FetchRequest, FetchResult, RequestId, ShardReply};
use super::store::Store;
use super::turn::{Asker, News, Turn};
use attempt::Attempt;
use cache::ReadCache;
use indexes::Indexes;
use lookup::Lookups;
use polls::Polls;
use readers::Readers;
use source::Source;

/// Everybody who reads.
#[derive(Debug)]
pub struct Read {
    polls: Polls,
    readers: Readers,
    lookups: Lookups,
    source: Source,
}

impl Read {
    pub fn new(config: &ShardConfig) -> Read {
        let cache = ReadCache::new(config.read_cache_bytes, config.read_bytes_max);
        Read {
            polls: Polls::default(),
            readers: Readers::default(),
            lookups: Lookups::default(),
            source: Source::new(cache, Indexes::new(config.index_bytes)),
        }
    }

    /// Answers a fetch at once, after a read, or when there is enough or its time has come.
    pub fn fetch(&mut self, asker: Asker, request: FetchRequest, store: &mut Store, turn: &mut Turn<'_>) {
        let attempt = Attempt::at_all(&request, store);
        if !attempt.cold.is_empty() || attempt.is_enough(request.bytes_min) || request.wait_ms_max == 0 {
            self.answer_attempt(asker, attempt, store, turn);
        } else {
            let deadline = turn.now.mono.plus_ms(u64::from(request.wait_ms_max));
            self.polls.park(asker, request, deadline, &attempt, store);
        }
        self.settle(store, turn);
    }

    /// The asker has enough from elsewhere: its long poll is answered with what there is.
    pub fn fetch_now(&mut self, id: RequestId, store: &mut Store, turn: &mut Turn<'_>) {
        if let Some(poll) = self.polls.of_request(id) {
            self.end_poll(poll, store, turn);
        }
        self.settle(store, turn);
    }

    pub fn list_offsets(
        &mut self,
        id: RequestId,
        partitions: &[ListOffsetsPartition],
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        self.lookups.list_offsets(id, partitions, &mut self.source, store, turn);
        self.settle(store, turn);
    }

    pub fn offset_for_leader_epoch(
        &self,
        id: RequestId,
        partitions: &[EpochEndPartition],
        store: &Store,
        turn: &mut Turn<'_>,
    ) {
        turn.reply(id, ShardReply::OffsetForLeaderEpoch(facts::epoch_ends(partitions, store)));
    }

    pub fn describe_partitions(
        &self,
        id: RequestId,
        partitions: &[TopicPartition],
        store: &Store,
        turn: &mut Turn<'_>,
    ) {
        turn.reply(id, ShardReply::DescribePartitions(facts::facts(partitions, store)));
    }

    /// Answers long polls whose time has come, and begins reads that have waited for memory.
    pub fn turn(&mut self, store: &mut Store, turn: &mut Turn<'_>) {
        while let Some(poll) = self.polls.due(turn.now.mono) {
            self.end_poll(poll, store, turn);
        }
        if self.polls.has_woken() {
            self.answer_woken(store, turn);
        }
        if self.source.cache.is_short() {
            self.source.begin_reads(store, turn);
        }
        self.settle(store, turn);
    }

    /// What can be read of a partition has changed: [`Read::answer_woken`] looks at the long polls that wait on it.
    pub fn wake(&mut self, slot: u32) {
        self.polls.wake(slot);
    }

    /// Whether partitions that long polls wait on have changed since these were last looked at.
    pub fn has_woken(&self) -> bool {
        self.polls.has_woken()
    }

    /// Answers the long polls that the partitions woken since the last time satisfy.
    pub fn answer_woken(&mut self, store: &mut Store, turn: &mut Turn<'_>) {
        for slot in self.polls.take_woken() {
            for poll in self.polls.changed(slot) {
                let Some(parked) = self.polls.get(poll) else { continue };
                let attempt = parked.attempt(store);
                if (attempt.is_enough(parked.request.bytes_min) || !attempt.cold.is_empty())
                    && let Some(parked) = self.polls.take(poll)
                {
                    self.answer_attempt(parked.asker, attempt, store, turn);
                }
            }
        }
        self.settle(store, turn);
    }

    /// A partition is gone: whoever waits on it is told.
    pub fn dropped(&mut self, slot: u32, store: &mut Store, turn: &mut Turn<'_>) {
        for poll in self.polls.changed(slot) {
            self.end_poll(poll, store, turn);
        }
        self.settle(store, turn);
    }

    pub fn window_read(
        &mut self,
        window: u64,
        bytes: Option<ChunkSlice>,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        self.source.window_read(window, bytes, store, turn);
        self.settle(store, turn);
    }

    pub fn index_read(
        &mut self,
        reader: u64,
        of: (u32, SegmentId),
        index: Option<&IndexFiles>,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        self.source.index_read(reader, of, index, store);
        self.settle(store, turn);
    }

    pub fn index_mended(
        &mut self,
        of: (u32, SegmentId),
        index: Option<&IndexFiles>,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        self.source.index_mended(of, index, store);
        self.settle(store, turn);
    }

    /// A segment's index is in memory from now on: others go if there is no room for all.
    pub fn index_kept(&mut self, slot: u32, segment: SegmentId, bytes: usize, store: &mut Store) {
        self.source.index_kept(slot, segment, bytes, store);
    }

    /// Whether somebody reads from a segment's file, or is about to.
    pub fn reads(&self, segment: SegmentId) -> bool {
        self.readers.reads(segment) || self.lookups.reads(segment) || self.source.cache.reads(segment)
    }

    /// A segment's file is another now, or gone.
    pub fn forget(&mut self, segment: SegmentId) {
        self.source.cache.forget(segment);
    }

    /// All files of a partition go.
    pub fn forget_partition(&mut self, partition: TopicPartition) {
        self.source.cache.forget_partition(partition);
    }

    /// Answers that no socket takes hold so much of what was read that nothing further is.
    pub fn waits_for_memory(&self) -> bool {
        self.source.cache.is_short()
    }

    pub fn next_deadline(&self, now: MonoNanos) -> MonoNanos {
        self.polls.next_deadline().min(self.source.cache.next_deadline(now))
    }

    /// Fills in this room's levels.
    pub fn gauges(&self, gauges: &mut ShardGauges) {
        gauges.fetches_waiting = self.polls.len() + self.readers.len();
        gauges.read_cache_bytes = self.source.cache.alive_bytes();
        gauges.index_bytes = self.source.index_bytes();
    }

    fn end_poll(&mut self, poll: u64, store: &mut Store, turn: &mut Turn<'_>) {
        if let Some(parked) = self.polls.take(poll) {
            let attempt = parked.attempt(store);
            self.answer_attempt(parked.asker, attempt, store, turn);
        }
    }

    /// Answers with what an attempt has found, after a read of what is on disk.
    fn answer_attempt(&mut self, asker: Asker, attempt: Attempt, store: &mut Store, turn: &mut Turn<'_>) {
        if attempt.cold.is_empty() {
            store.counters.fetches_from_memory += 1;
            answer(asker, attempt.results, turn);
        } else {
            self.readers.begin(asker, attempt, &mut self.source, store, turn);
        }
    }

    /// Gives readers what they have got until none of them has anything more to take.
    fn settle(&mut self, store: &mut Store, turn: &mut Turn<'_>) {
        if self.source.is_unsettled() {
            self.settle_all(store, turn);
        }
    }

    fn settle_all(&mut self, store: &mut Store, turn: &mut Turn<'_>) {
        loop {
            while let Some((reader, got)) = self.source.next_got() {
                if self.lookups.owns(reader) {
                    self.lookups.got(reader, got, &mut self.source, store, turn);
                } else if let Some((asker, results)) =
                    self.readers.got(reader, got, &mut self.source, store, turn)
                {
                    answer(asker, results, turn);
                }
            }
            if !self.source.cache.is_short() {
                return;
            }
            let readers = &self.readers;
            if !self.source.give_up_waiting(|reader| readers.has_records(reader)) {
                return;
            }
        }
    }
}

fn answer(asker: Asker, results: Vec<FetchResult>, turn: &mut Turn<'_>) {
    match asker {
        Asker::Connection(id) => turn.reply(id, ShardReply::Fetch(results)),
        Asker::Seat(seat) => turn.tell(News::Part { seat, results }),
        Asker::Stream(stream) => turn.tell(News::Run { stream, results }),
    }
}
