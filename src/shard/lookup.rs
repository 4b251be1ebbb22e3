//! ListOffsets, OffsetForLeaderEpoch, and what administrators ask. Lookups by timestamp look inside one batch, from memory or after a disk read.

use std::collections::VecDeque;

use crate::base::hash::IdMap;
use crate::base::io::SegmentId;
use crate::base::{ChunkSlice, LeaderEpoch, Offset, TimestampMs, TopicPartition, block_floor};
use crate::log::{DiskRead, PartitionLog, ReadPlan, Scan, Sought, scan_for};
use crate::record;

use super::partitions::Partition;
use super::request::{
    EpochEnd, EpochEndPartition, ListOffsetsPartition, ListedOffset, OffsetLookup, PartitionError,
    PartitionFacts, ProducerFacts, RequestId, ShardReply,
};
use super::{Effect, Shard};

/// Lookups that wait for the disk.
#[derive(Debug, Default)]
pub(super) struct Lookups {
    waiting: IdMap<u64, Waiting>,
    readers: IdMap<u64, Search>,
}

#[derive(Debug)]
struct Waiting {
    id: RequestId,
    results: Vec<Result<ListedOffset, PartitionError>>,
    remaining: usize,
}

/// A search through segments, oldest first.
#[derive(Debug)]
struct Search {
    waiting: u64,
    index: usize,
    slot: u32,
    sought: Sought,
    visible_end: Offset,
    candidates: VecDeque<SegmentId>,
    /// Where it is in the first of them, if it has begun there.
    at: Option<DiskRead>,
    /// The segment whose index has been made anew for it.
    mended: Option<SegmentId>,
}

impl Search {
    fn leave_segment(&mut self) {
        self.candidates.pop_front();
        self.at = None;
    }
}

/// What a look through bytes leads to.
enum Step {
    Done(Result<ListedOffset, PartitionError>),
    GoOn,
    Misled,
}

const NOT_FOUND: ListedOffset =
    ListedOffset { offset: Offset(-1), timestamp: TimestampMs::NONE, leader_epoch: LeaderEpoch(-1) };

impl Lookups {
    /// Whether a search looks into this segment's file, or will.
    pub(super) fn reads(&self, segment: SegmentId) -> bool {
        self.readers.values().any(|search| search.candidates.contains(&segment))
    }

    pub(super) fn owns(&self, reader: u64) -> bool {
        self.readers.contains_key(&reader)
    }
}

impl Shard {
    pub(super) fn list_offsets(
        &mut self,
        id: RequestId,
        partitions: &[ListOffsetsPartition],
        effects: &mut Vec<Effect>,
    ) {
        let waiting = self.next_reader();
        let mut results = Vec::with_capacity(partitions.len());
        let mut searches = Vec::new();
        for (index, part) in partitions.iter().enumerate() {
            match self.list_offset(part) {
                Ok(Listing::Known(listed)) => results.push(Ok(listed)),
                Ok(Listing::Search(slot, sought, visible_end, candidates)) => {
                    results.push(Ok(NOT_FOUND));
                    let (at, mended) = (None, None);
                    let search = Search { waiting, index, slot, sought, visible_end, candidates, at, mended };
                    searches.push(search);
                }
                Err(error) => results.push(Err(error)),
            }
        }
        let remaining = searches.len();
        self.lookups.waiting.insert(waiting, Waiting { id, results, remaining });
        for search in searches {
            self.advance_search(search, effects);
        }
        self.answer_lookup(waiting, effects);
    }

    pub(super) fn offset_for_leader_epoch(
        &mut self,
        id: RequestId,
        partitions: &[EpochEndPartition],
        effects: &mut Vec<Effect>,
    ) {
        let results = partitions.iter().map(|part| {
            let partition = self.serving(part.partition)?;
            partition.check_epoch(part.current_leader_epoch)?;
            // An epoch the partition never had is no error, but has no end either.
            let (epoch, end) = partition.log.epoch_end(part.epoch).unwrap_or((LeaderEpoch(-1), Offset(-1)));
            Ok(EpochEnd { epoch, end })
        });
        let reply = ShardReply::OffsetForLeaderEpoch(results.collect());
        effects.push(Effect::Reply { to: id, reply });
    }

    pub(super) fn describe_partitions(
        &mut self,
        id: RequestId,
        partitions: &[TopicPartition],
        effects: &mut Vec<Effect>,
    ) {
        let facts = partitions.iter().map(|partition| {
            let log = &self.serving(*partition)?.log;
            let producers = log.producers().iter().map(|(id, state)| ProducerFacts {
                id,
                epoch: state.epoch,
                last_sequence: state.batches.last().map_or(-1, |batch| batch.last_sequence),
                last_timestamp: state.timestamp,
            });
            Ok(PartitionFacts { size_bytes: log.size_bytes(), producers: producers.collect() })
        });
        let reply = ShardReply::DescribePartitions(facts.collect());
        effects.push(Effect::Reply { to: id, reply });
    }

    /// Bytes for a lookup.
    pub(super) fn lookup_read(
        &mut self,
        reader: u64,
        bytes: Result<ChunkSlice, ()>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(mut search) = self.lookups.readers.remove(&reader) else { return };
        let (Ok(bytes), Some(at)) = (bytes, search.at) else {
            return self.search_done(&search, Err(PartitionError::StorageFailed), effects);
        };
        let skip = usize::try_from(at.position - block_floor(at.position)).expect("less than a block");
        let visible = usize::try_from(at.end - block_floor(at.position)).unwrap_or(usize::MAX);
        let window = bytes.get(skip..bytes.len().min(visible)).unwrap_or(&[]);
        match self.search_in(&mut search, window) {
            Step::Done(outcome) => self.search_done(&search, outcome, effects),
            Step::GoOn => self.advance_search(search, effects),
            Step::Misled => self.search_misled(search, effects),
        }
    }

    /// The index that a lookup waited for is there.
    pub(super) fn lookup_on(&mut self, reader: u64, effects: &mut Vec<Effect>) {
        if let Some(search) = self.lookups.readers.remove(&reader) {
            self.advance_search(search, effects);
        }
    }

    fn list_offset(&self, part: &ListOffsetsPartition) -> Result<Listing, PartitionError> {
        let slot = self.partitions.find(part.partition).ok_or(PartitionError::NotHere)?;
        let partition = self.serving(part.partition)?;
        partition.check_epoch(part.current_leader_epoch)?;
        let log = &partition.log;
        let end = partition.high_watermark();
        let known = |offset: Offset| {
            let leader_epoch = log.epochs().at(offset).unwrap_or(log.epoch());
            Ok(Listing::Known(ListedOffset { offset, timestamp: TimestampMs::NONE, leader_epoch }))
        };
        match part.lookup {
            OffsetLookup::Latest => known(end),
            OffsetLookup::Earliest | OffsetLookup::EarliestLocal => known(log.log_start()),
            OffsetLookup::LatestTiered | OffsetLookup::EarliestPendingUpload => Ok(Listing::Known(NOT_FOUND)),
            OffsetLookup::MaxTimestamp => Ok(largest(log, slot, end)),
            OffsetLookup::AtOrAfter(timestamp) => {
                let candidates = log.time_candidates(timestamp).into();
                Ok(Listing::Search(slot, Sought::AtOrAfter(timestamp), end, candidates))
            }
        }
    }

    fn serving(&self, id: crate::base::TopicPartition) -> Result<&Partition, PartitionError> {
        self.partitions.find(id).and_then(|slot| self.partitions.get(slot)).ok_or(PartitionError::NotHere)
    }

    /// Goes on with a search as far as memory allows; then reads, or ends it.
    fn advance_search(&mut self, mut search: Search, effects: &mut Vec<Effect>) {
        loop {
            let Some(segment) = search.candidates.front().copied() else {
                return self.search_done(&search, Ok(NOT_FOUND), effects);
            };
            let Some(partition) = self.partitions.get(search.slot) else {
                return self.search_done(&search, Err(PartitionError::NotHere), effects);
            };
            let at =
                match search.at.map(ReadPlan::Disk).or_else(|| partition.log.seek(segment, search.sought)) {
                    Some(ReadPlan::Disk(at)) => at,
                    Some(ReadPlan::Index(_)) => {
                        let (reader, slot) = (self.next_reader(), search.slot);
                        self.lookups.readers.insert(reader, search);
                        return self.load_index(reader, slot, segment, effects);
                    }
                    // Retention has taken it meanwhile.
                    _ => {
                        search.leave_segment();
                        continue;
                    }
                };
            let at = if search.mended == Some(segment) { at.trusting() } else { at };
            search.at = Some(at);
            self.indexes.used(segment);
            let Some(bytes) = partition.log.copy_from_memory(segment, at.position, at.bytes) else {
                let end = partition.log.file_end(segment).unwrap_or(at.end);
                let reader = self.next_reader();
                self.lookups.readers.insert(reader, search);
                // All of it: a search that finds a piece too short would ask for the same again.
                let needed =
                    at.bytes.min(usize::try_from(end.saturating_sub(at.position)).unwrap_or(usize::MAX));
                return self.bring(reader, DiskRead { end, ..at }, needed, effects);
            };
            match self.search_in(&mut search, &bytes) {
                Step::Done(outcome) => return self.search_done(&search, outcome, effects),
                Step::GoOn => {}
                Step::Misled => return self.search_misled(search, effects),
            }
        }
    }

    /// What a search has found is not what the index says.
    fn search_misled(&mut self, mut search: Search, effects: &mut Vec<Effect>) {
        let Some(segment) = search.candidates.front().copied() else { return };
        let is_first = search.mended.replace(segment) != Some(segment);
        search.at = None;
        let reader = self.next_reader();
        if is_first && self.mend_index(reader, search.slot, segment, effects) {
            self.lookups.readers.insert(reader, search);
        } else {
            self.advance_search(search, effects);
        }
    }

    /// Looks through bytes of the first candidate.
    fn search_in(&self, search: &mut Search, bytes: &[u8]) -> Step {
        let (Some(partition), Some(at)) = (self.partitions.get(search.slot), &mut search.at) else {
            return Step::Done(Err(PartitionError::NotHere));
        };
        let start = partition.log.log_start();
        match scan_for(bytes, search.sought, start, &mut at.landmarks) {
            Scan::Found { from, to } => {
                let batch = bytes.get(from..to).unwrap_or(&[]);
                let found = match search.sought {
                    Sought::AtOrAfter(timestamp) => record::first_at_or_after(batch, timestamp, start),
                    Sought::Largest(..) => record::with_max_timestamp(batch),
                };
                if let (Ok(None), Sought::AtOrAfter(_)) = (&found, search.sought) {
                    // The record that its header speaks of was compacted away, or lies below the log's start.
                    at.position += to as u64;
                    if at.position >= at.end {
                        search.leave_segment();
                    }
                    return Step::GoOn;
                }
                Step::Done(listed(partition, found, search.visible_end))
            }
            Scan::More { skip, bytes } if at.position + skip as u64 + bytes as u64 <= at.end => {
                at.position += skip as u64;
                at.bytes = at.bytes.max(bytes);
                Step::GoOn
            }
            Scan::More { .. } | Scan::End if at.landmarks.are_passed() => {
                search.leave_segment();
                Step::GoOn
            }
            Scan::More { .. } | Scan::End | Scan::Misled => Step::Misled,
            Scan::Corrupt { offset } => Step::Done(Err(PartitionError::Corrupt { offset })),
        }
    }

    fn search_done(
        &mut self,
        search: &Search,
        outcome: Result<ListedOffset, PartitionError>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(waiting) = self.lookups.waiting.get_mut(&search.waiting) else { return };
        if let Some(result) = waiting.results.get_mut(search.index) {
            *result = outcome;
        }
        waiting.remaining -= 1;
        self.answer_lookup(search.waiting, effects);
    }

    fn answer_lookup(&mut self, waiting: u64, effects: &mut Vec<Effect>) {
        if self.lookups.waiting.get(&waiting).is_some_and(|it| it.remaining == 0)
            && let Some(done) = self.lookups.waiting.remove(&waiting)
        {
            effects.push(Effect::Reply { to: done.id, reply: ShardReply::ListOffsets(done.results) });
        }
    }
}

enum Listing {
    Known(ListedOffset),
    Search(u32, Sought, Offset, VecDeque<SegmentId>),
}

/// The search for the record with the largest timestamp.
fn largest(log: &PartitionLog, slot: u32, visible_end: Offset) -> Listing {
    let Some((timestamp, offset)) = log.max_timestamp() else { return Listing::Known(NOT_FOUND) };
    let mut candidates = log.time_candidates(timestamp).into_iter();
    let candidates = candidates.rfind(|at| at.base <= offset).into_iter().collect();
    Listing::Search(slot, Sought::Largest(timestamp, offset), visible_end, candidates)
}

/// What a lookup inside a batch found, if consumers may see it yet.
fn listed(
    partition: &Partition,
    found: Result<Option<(Offset, TimestampMs)>, record::BatchError>,
    visible_end: Offset,
) -> Result<ListedOffset, PartitionError> {
    match found {
        Ok(Some((offset, timestamp))) if offset < visible_end => {
            let leader_epoch = partition.log.epochs().at(offset).unwrap_or(partition.log.epoch());
            Ok(ListedOffset { offset, timestamp, leader_epoch })
        }
        Ok(_) => Ok(NOT_FOUND),
        Err(error) => Err(PartitionError::Batch(error)),
    }
}
