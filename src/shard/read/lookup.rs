//! ListOffsets: an offset for a timestamp, or one of the special ones. Lookups by timestamp look inside one batch, from
//! memory or after a disk read.

use std::collections::VecDeque;

use crate::base::hash::IdMap;
use crate::base::io::SegmentId;
use crate::base::{ChunkSlice, LeaderEpoch, Offset, Rule, TimestampMs, block_floor, holds};
use crate::log::{DiskRead, PartitionLog, ReadPlan, Scan, Sought, scan_for};
use crate::record;

use super::super::offsets::{ListOffsetsPartition, ListedOffset, OffsetLookup};
use super::super::request::{PartitionError, RequestId, ShardReply};
use super::super::store::{Partition, Store};
use super::super::turn::Turn;
use super::source::{Got, Source};

/// Lookups that wait for the disk.
#[derive(Debug, Default)]
pub(super) struct Lookups {
    waiting: IdMap<u64, Waiting>,
    readers: IdMap<u64, Search>,
    next_waiting: u64,
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
    /// Where the search is in the first candidate, if it has begun there.
    at: Option<DiskRead>,
    /// The segment whose index has been made anew for this search.
    mended: Option<SegmentId>,
}

impl Search {
    fn leave_segment(&mut self) {
        self.candidates.pop_front();
        self.at = None;
    }
}

/// What a look through bytes leads to.
enum Found {
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

    pub(super) fn list_offsets(
        &mut self,
        id: RequestId,
        partitions: &[ListOffsetsPartition],
        source: &mut Source,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        self.next_waiting += 1;
        let waiting = self.next_waiting;
        let mut results = Vec::with_capacity(partitions.len());
        let mut searches = Vec::new();
        for (index, part) in partitions.iter().enumerate() {
            match list_offset(part, store) {
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
        self.waiting.insert(waiting, Waiting { id, results, remaining });
        for search in searches {
            self.advance(search, source, store, turn);
        }
        self.answer(waiting, turn);
    }

    /// A search has got something.
    pub(super) fn got(
        &mut self,
        reader: u64,
        got: Got,
        source: &mut Source,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        let Some(search) = self.readers.remove(&reader) else { return };
        match got {
            Got::Index => self.advance(search, source, store, turn),
            Got::Bytes(Some(bytes)) => self.look_through(search, &bytes, source, store, turn),
            // A search has no records to be content with: that there is no more memory is never said to one.
            Got::Bytes(None) | Got::NoMore => {
                self.search_done(&search, Err(PartitionError::StorageFailed), turn);
            }
        }
    }

    fn look_through(
        &mut self,
        mut search: Search,
        bytes: &ChunkSlice,
        source: &mut Source,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        let Some(at) = search.at else {
            return self.search_done(&search, Err(PartitionError::StorageFailed), turn);
        };
        let skip = usize::try_from(at.position - block_floor(at.position)).expect("less than a block");
        let visible = usize::try_from(at.end - block_floor(at.position)).unwrap_or(usize::MAX);
        let window = bytes.get(skip..bytes.len().min(visible)).unwrap_or(&[]);
        match search_in(&mut search, window, store) {
            Found::Done(outcome) => self.search_done(&search, outcome, turn),
            Found::GoOn => self.advance(search, source, store, turn),
            Found::Misled => self.misled(search, source, store, turn),
        }
    }

    /// Goes on with a search as far as memory allows; then reads, or ends it.
    fn advance(&mut self, mut search: Search, source: &mut Source, store: &mut Store, turn: &mut Turn<'_>) {
        loop {
            let Some(segment) = search.candidates.front().copied() else {
                return self.search_done(&search, Ok(NOT_FOUND), turn);
            };
            let Some(partition) = store.partitions.get(search.slot) else {
                return self.search_done(&search, Err(PartitionError::NotHere), turn);
            };
            let at = match search
                .at
                .map(ReadPlan::Disk)
                .or_else(|| partition.log().seek(segment, search.sought))
            {
                Some(ReadPlan::Disk(at)) => at,
                Some(ReadPlan::Index(_)) => {
                    let (reader, slot) = (source.next_reader(), search.slot);
                    self.readers.insert(reader, search);
                    return source.load_index(reader, slot, segment, store, turn);
                }
                // Retention has taken it meanwhile.
                _ => {
                    search.leave_segment();
                    continue;
                }
            };
            let at = if search.mended == Some(segment) { at.trusting() } else { at };
            search.at = Some(at);
            source.index_used(segment);
            let Some(bytes) = partition.log().copy_from_memory(segment, at.position, at.bytes) else {
                let end = partition.log().file_end(segment).unwrap_or(at.end);
                let reader = source.next_reader();
                self.readers.insert(reader, search);
                // All of it: a search that finds a piece too short would ask for the same again.
                let needed =
                    at.bytes.min(usize::try_from(end.saturating_sub(at.position)).unwrap_or(usize::MAX));
                return source.bring(reader, DiskRead { end, ..at }, needed, store, turn);
            };
            match search_in(&mut search, &bytes, store) {
                Found::Done(outcome) => return self.search_done(&search, outcome, turn),
                Found::GoOn => {}
                Found::Misled => return self.misled(search, source, store, turn),
            }
        }
    }

    /// What a search has found is not what the index says.
    fn misled(&mut self, mut search: Search, source: &mut Source, store: &mut Store, turn: &mut Turn<'_>) {
        let Some(segment) = search.candidates.front().copied() else { return };
        let is_first = search.mended.replace(segment) != Some(segment);
        search.at = None;
        let reader = source.next_reader();
        if is_first && source.mend_index(reader, search.slot, segment, store, turn) {
            self.readers.insert(reader, search);
        } else {
            self.advance(search, source, store, turn);
        }
    }

    fn search_done(
        &mut self,
        search: &Search,
        outcome: Result<ListedOffset, PartitionError>,
        turn: &mut Turn<'_>,
    ) {
        let Some(waiting) = self.waiting.get_mut(&search.waiting) else { return };
        if let Some(result) = waiting.results.get_mut(search.index) {
            *result = outcome;
        }
        waiting.remaining -= 1;
        self.answer(search.waiting, turn);
    }

    fn answer(&mut self, waiting: u64, turn: &mut Turn<'_>) {
        if self.waiting.get(&waiting).is_some_and(|it| it.remaining == 0)
            && let Some(done) = self.waiting.remove(&waiting)
        {
            turn.reply(done.id, ShardReply::ListOffsets(done.results));
        }
    }
}

fn list_offset(part: &ListOffsetsPartition, store: &Store) -> Result<Listing, PartitionError> {
    let slot = store.partitions.find(part.partition).ok_or(PartitionError::NotHere)?;
    let partition = store.serving(part.partition)?;
    if !partition.leads() {
        return Err(PartitionError::NotLeader);
    }
    partition.check_epoch(part.current_leader_epoch)?;
    let log = partition.log();
    let marks = partition.watermarks();
    let end = if part.read_committed { marks.last_stable } else { marks.high };
    let known = |offset: Offset| {
        let leader_epoch = log.epochs().at(offset).unwrap_or(log.epoch());
        Ok(Listing::Known(ListedOffset { offset, timestamp: TimestampMs::NONE, leader_epoch }))
    };
    match part.lookup {
        // Below the epoch's start the answer could be less than what another leader has said before (rule R5).
        OffsetLookup::Latest if holds(Rule::R5) && !partition.is_settled() => Err(PartitionError::NotSettled),
        OffsetLookup::Latest => known(end),
        OffsetLookup::Earliest | OffsetLookup::EarliestLocal => known(marks.log_start),
        OffsetLookup::LatestTiered | OffsetLookup::EarliestPendingUpload => Ok(Listing::Known(NOT_FOUND)),
        OffsetLookup::MaxTimestamp => Ok(largest(log, slot, end)),
        OffsetLookup::AtOrAfter(timestamp) => {
            let candidates = log.time_candidates(timestamp).into();
            Ok(Listing::Search(slot, Sought::AtOrAfter(timestamp), end, candidates))
        }
    }
}

/// Looks through bytes of the first candidate.
fn search_in(search: &mut Search, bytes: &[u8], store: &Store) -> Found {
    let (Some(partition), Some(at)) = (store.partitions.get(search.slot), &mut search.at) else {
        return Found::Done(Err(PartitionError::NotHere));
    };
    let start = partition.log().log_start();
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
                return Found::GoOn;
            }
            Found::Done(listed(partition, found, search.visible_end))
        }
        Scan::More { skip, bytes } if at.position + skip as u64 + bytes as u64 <= at.end => {
            at.position += skip as u64;
            at.bytes = at.bytes.max(bytes);
            Found::GoOn
        }
        Scan::More { .. } | Scan::End if at.landmarks.are_passed() => {
            search.leave_segment();
            Found::GoOn
        }
        Scan::More { .. } | Scan::End | Scan::Misled => Found::Misled,
        Scan::Corrupt { offset } => Found::Done(Err(PartitionError::Corrupt { offset })),
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
            let leader_epoch = partition.log().epochs().at(offset).unwrap_or(partition.log().epoch());
            Ok(ListedOffset { offset, timestamp, leader_epoch })
        }
        Ok(_) => Ok(NOT_FOUND),
        Err(error) => Err(PartitionError::Batch(error)),
    }
}
