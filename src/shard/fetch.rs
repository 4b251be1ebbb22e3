//! Fetch: whole batches by reference, from memory at once or from disk after a read; long polls are waiters on offsets.

use std::collections::BTreeSet;

use crate::base::hash::IdMap;
use crate::base::io::SegmentId;
use crate::base::{ChunkSlice, MonoNanos, Now, Offset, Payload, block_floor};
use crate::log::{Agreement, DiskRead, ReadLimits, ReadPlan, Scan, end_of_empty, scan_for_offset};

use super::request::{
    EpochEnd, FetchPartition, FetchRequest, FetchResult, Fetched, Known, PartitionError, RequestId,
};
use super::{Effect, Shard};

/// One cold read brings at most this much for one partition; a fetch that wants more gets less, and asks again.
const COLD_READ_BYTES_MAX: usize = 1024 * 1024;

/// Fetches that wait for data, and fetches that wait for the disk.
#[derive(Debug, Default)]
pub(super) struct FetchWaits {
    parked: IdMap<u64, Parked>,
    by_request: std::collections::BTreeMap<RequestId, u64>,
    deadlines: BTreeSet<(MonoNanos, u64)>,
    reading: IdMap<u64, Reading>,
    readers: IdMap<u64, Reader>,
    woken: Vec<u32>,
    next: u64,
}

/// A long poll.
#[derive(Debug)]
struct Parked {
    id: RequestId,
    request: FetchRequest,
    deadline: MonoNanos,
    /// Where the request's partitions are.
    slots: Vec<Option<u32>>,
    /// The asker knew all about every partition when it began to wait: only those that have woken it since are of interest.
    quiet: bool,
    woken: Vec<usize>,
}

/// A fetch some of whose partitions are being read from disk.
#[derive(Debug)]
struct Reading {
    id: RequestId,
    results: Vec<FetchResult>,
    remaining: usize,
}

/// One partition's part of it.
#[derive(Clone, Copy, Debug)]
struct Reader {
    fetch: u64,
    /// Which of the results.
    index: usize,
    slot: u32,
    offset: Offset,
    limits: ReadLimits,
    at: DiskRead,
    /// The segment whose index has been made anew for it: that is as good as it gets.
    mended: Option<SegmentId>,
}

/// What a look at a fetch gives.
struct Attempt {
    results: Vec<FetchResult>,
    bytes: usize,
    /// An error, a divergence: answer without waiting.
    urgent: bool,
    cold: Vec<ColdPart>,
}

/// A partition whose records are on disk.
struct ColdPart {
    /// Which of the attempt's results.
    result: usize,
    slot: u32,
    offset: Offset,
    limits: ReadLimits,
    cold: Cold,
}

enum Cold {
    Read(DiskRead),
    Index(SegmentId),
}

impl FetchWaits {
    pub(super) fn len(&self) -> usize {
        self.parked.len() + self.reading.len()
    }

    /// Whether the reader's fetch has something to answer with already.
    pub(super) fn has_records(&self, reader: u64) -> bool {
        let reading = self.readers.get(&reader).and_then(|it| self.reading.get(&it.fetch));
        let mut found =
            reading.into_iter().flat_map(|it| &it.results).filter_map(|it| it.outcome.as_ref().ok());
        found.any(|fetched| !fetched.records.is_empty())
    }

    /// Whether somebody is reading from this segment's file.
    pub(super) fn reads(&self, segment: SegmentId) -> bool {
        self.readers.values().any(|reader| reader.at.segment == segment)
    }

    pub(super) fn next_deadline(&self) -> MonoNanos {
        self.deadlines.first().map_or(MonoNanos::NEVER, |(deadline, _)| *deadline)
    }

    /// A partition that a long poll waits on has changed.
    pub(super) fn wake_one(&mut self, fetch: u64, slot: u32) {
        if let Some(parked) = self.parked.get_mut(&fetch)
            && parked.quiet
            && let Some(index) = parked.slots.iter().position(|it| *it == Some(slot))
            && !parked.woken.contains(&index)
        {
            parked.woken.push(index);
        }
    }

    /// A partition's visible end has moved.
    pub(super) fn wake(&mut self, slot: u32) {
        self.woken.push(slot);
    }
}

impl Shard {
    pub(super) fn fetch(
        &mut self,
        now: Now,
        id: RequestId,
        request: FetchRequest,
        effects: &mut Vec<Effect>,
    ) {
        let attempt = self.attempt(&request);
        let enough =
            attempt.urgent || attempt.bytes >= request.bytes_min as usize || request.wait_ms_max == 0;
        if !attempt.cold.is_empty() {
            self.read_cold(id, attempt, effects);
        } else if enough {
            self.counters.fetches_from_memory += 1;
            self.fetched(id, attempt.results, effects);
        } else {
            self.park(now, id, request, attempt.results.is_empty());
        }
    }

    /// The asker has enough from elsewhere: answer with what there is.
    pub(super) fn fetch_now(&mut self, id: RequestId, effects: &mut Vec<Effect>) {
        if let Some(fetch) = self.fetch.by_request.get(&id).copied() {
            self.answer_fetch(fetch, effects);
        }
    }

    /// Answers long polls whose time has come.
    pub(super) fn expire_fetches(&mut self, now: Now, effects: &mut Vec<Effect>) {
        while let Some((deadline, fetch)) = self.fetch.deadlines.first().copied()
            && deadline <= now.mono
        {
            self.answer_fetch(fetch, effects);
        }
        self.answer_woken(effects);
    }

    /// Answers the long polls that the partitions woken since the last time satisfy.
    pub(super) fn answer_woken(&mut self, effects: &mut Vec<Effect>) {
        for slot in std::mem::take(&mut self.fetch.woken) {
            let waiting =
                self.partitions.get(slot).map(|partition| partition.fetches.clone()).unwrap_or_default();
            for fetch in waiting {
                self.fetch.wake_one(fetch, slot);
                let Some(parked) = self.fetch.parked.get(&fetch) else { continue };
                let bytes_min = parked.request.bytes_min as usize;
                let attempt = self.attempt_again(parked);
                if attempt.urgent || !attempt.cold.is_empty() || attempt.bytes >= bytes_min {
                    self.end_wait(fetch, |_, _| attempt, effects);
                }
            }
        }
    }

    /// Takes a long poll out of waiting and answers it with what there is.
    pub(super) fn answer_fetch(&mut self, fetch: u64, effects: &mut Vec<Effect>) {
        self.end_wait(fetch, Shard::attempt_again, effects);
    }

    fn end_wait(
        &mut self,
        fetch: u64,
        attempt: impl FnOnce(&Shard, &Parked) -> Attempt,
        effects: &mut Vec<Effect>,
    ) {
        let Some(parked) = self.fetch.parked.remove(&fetch) else { return };
        self.fetch.by_request.remove(&parked.id);
        self.fetch.deadlines.remove(&(parked.deadline, fetch));
        for slot in parked.slots.iter().flatten() {
            if let Some(partition) = self.partitions.get_mut(*slot) {
                partition.fetches.retain(|waiting| *waiting != fetch);
            }
        }
        let attempt = attempt(self, &parked);
        if attempt.cold.is_empty() {
            self.counters.fetches_from_memory += 1;
            self.fetched(parked.id, attempt.results, effects);
        } else {
            self.read_cold(parked.id, attempt, effects);
        }
    }

    /// The blocks a reader asked for, or none if the disk would not give them.
    pub(super) fn cold_read(
        &mut self,
        reader: u64,
        bytes: Result<ChunkSlice, ()>,
        effects: &mut Vec<Effect>,
    ) {
        if self.lookups.owns(reader) {
            return self.lookup_read(reader, bytes, effects);
        }
        let Some(state) = self.fetch.readers.get(&reader).copied() else { return };
        let Ok(bytes) = bytes else {
            return self.cold_done(reader, Err(PartitionError::StorageFailed), effects);
        };
        let skip =
            usize::try_from(state.at.position - block_floor(state.at.position)).expect("less than a block");
        let visible = usize::try_from(state.at.end - block_floor(state.at.position)).unwrap_or(usize::MAX);
        let to = bytes.len().min(visible);
        let window = bytes.get(skip..to).unwrap_or(&[]);
        let within = state.at.segment.base..state.at.offsets_end;
        match scan_for_offset(window, state.offset, &state.limits, within, state.at.landmarks) {
            Scan::Found { from, to } if from == to => self.cold_done(reader, Ok(Vec::new()), effects),
            Scan::Found { from, to } => {
                let piece = Payload::Chunk(bytes.slice(skip + from..skip + to));
                let (begin, next) = (state.at.position + from as u64, state.at.position + to as u64);
                self.read_ahead(state.at, begin, next, effects);
                match end_of_empty(window.get(from..to).unwrap_or(&[])) {
                    None => self.cold_done(reader, Ok(vec![piece]), effects),
                    Some(next) => self.read_beyond(reader, state, next, piece, effects),
                }
            }
            Scan::More { skip: further, bytes } => self.read_further(reader, state, further, bytes, effects),
            Scan::End => self.cold_done(reader, Ok(Vec::new()), effects),
            Scan::Misled => self.misled(reader, state, effects),
            Scan::Corrupt { offset } => {
                self.counters.corrupt_reads += 1;
                self.cache.forget(state.at.segment);
                self.cold_done(reader, Err(PartitionError::Corrupt { offset }), effects);
            }
        }
    }

    /// The index that a reader waited for is there.
    pub(super) fn go_on_with_index(&mut self, reader: u64, effects: &mut Vec<Effect>) {
        if self.lookups.owns(reader) {
            return self.lookup_on(reader, effects);
        }
        let Some(state) = self.fetch.readers.get(&reader).copied() else { return };
        let Some(partition) = self.partitions.get(state.slot) else {
            return self.cold_done(reader, Err(PartitionError::NotHere), effects);
        };
        match partition.log.read(state.offset, &state.limits) {
            ReadPlan::Disk(at) => {
                let at = if state.mended == Some(at.segment) { at.trusting() } else { at };
                self.issue_read(reader, Reader { at: cap(at), ..state }, 1, effects);
            }
            ReadPlan::Memory(pieces) => {
                let pieces = pieces.into_iter().map(Payload::Chunk).collect();
                self.cold_done(reader, Ok(pieces), effects);
            }
            ReadPlan::Empty | ReadPlan::Index(_) => self.cold_done(reader, Ok(Vec::new()), effects),
            ReadPlan::Damaged => {
                self.cold_done(reader, Err(PartitionError::Corrupt { offset: state.offset }), effects);
            }
            ReadPlan::OutOfRange => {
                let error = out_of_range(&partition.log, state.offset);
                self.cold_done(reader, Err(error), effects);
            }
        }
    }

    /// What a reader has found is not what the index says.
    fn misled(&mut self, reader: u64, state: Reader, effects: &mut Vec<Effect>) {
        let segment = state.at.segment;
        let is_part = self.partitions.get(state.slot).and_then(|it| it.log.file_end(segment)).is_some();
        if !is_part {
            // Retention has taken it meanwhile.
            self.go_on_with_index(reader, effects);
        } else if state.mended != Some(segment) && self.mend_index(reader, state.slot, segment, effects) {
            self.fetch.readers.insert(reader, Reader { mended: Some(segment), ..state });
        } else {
            // It is the segment that is damaged: the scan says how.
            self.issue_read(reader, Reader { at: state.at.trusting(), ..state }, 1, effects);
        }
    }

    pub(super) fn next_reader(&mut self) -> u64 {
        self.fetch.next += 1;
        self.fetch.next
    }

    fn attempt(&self, request: &FetchRequest) -> Attempt {
        let all = 0..request.partitions.len();
        self.attempt_at(request, (request.first..all.end).chain(0..request.first.min(all.end)))
    }

    /// Looks again at what may have changed while the fetch waited.
    fn attempt_again(&self, parked: &Parked) -> Attempt {
        if parked.quiet {
            self.attempt_at(&parked.request, parked.woken.iter().copied())
        } else {
            self.attempt(&parked.request)
        }
    }

    /// Looks at some of a request's partitions.
    fn attempt_at(&self, request: &FetchRequest, indexes: impl Iterator<Item = usize>) -> Attempt {
        let mut attempt = Attempt { results: Vec::new(), bytes: 0, urgent: false, cold: Vec::new() };
        let mut left = request.bytes_max as usize;
        for (index, part) in indexes.filter_map(|index| Some((index, request.partitions.get(index)?))) {
            let limits = |visible_end| ReadLimits {
                visible_end,
                bytes_max: left.min(part.bytes_max as usize),
                first_whole: attempt.bytes == 0 && attempt.cold.is_empty(),
            };
            let outcome = match self.look(part, &limits) {
                Ok(Look::Nothing) => continue,
                Ok(Look::Ready(fetched)) => {
                    let bytes = fetched.records_bytes();
                    attempt.bytes += bytes;
                    left = left.saturating_sub(bytes);
                    attempt.urgent |= fetched.diverging.is_some();
                    Ok(fetched)
                }
                Ok(Look::Cold(fetched, slot, limits, cold)) => {
                    let result = attempt.results.len();
                    attempt.cold.push(ColdPart { result, slot, offset: part.offset, limits, cold });
                    left = left.saturating_sub(part.bytes_max as usize);
                    Ok(fetched)
                }
                Err(error) => {
                    attempt.urgent = true;
                    Err(error)
                }
            };
            let index = u32::try_from(index).expect("a request has fewer partitions");
            attempt.results.push(FetchResult { index, outcome });
        }
        attempt
    }

    fn look(
        &self,
        part: &FetchPartition,
        limits: &dyn Fn(Offset) -> ReadLimits,
    ) -> Result<Look, PartitionError> {
        let slot = self.partitions.find(part.partition).ok_or(PartitionError::NotHere)?;
        let partition = self.partitions.get(slot).ok_or(PartitionError::NotHere)?;
        partition.check_epoch(part.current_leader_epoch)?;
        let high_watermark = partition.high_watermark();
        let mut fetched = Fetched {
            high_watermark,
            last_stable_offset: high_watermark,
            log_start: partition.log.log_start(),
            diverging: None,
            records: Vec::new(),
        };
        if part.last_fetched_epoch.0 >= 0 {
            match partition.log.agreement(part.last_fetched_epoch, part.offset) {
                Agreement::Agreed => {}
                Agreement::Diverged { epoch, end } => {
                    fetched.diverging = Some(EpochEnd { epoch, end });
                    return Ok(Look::Ready(fetched));
                }
                Agreement::OutOfRange => return Err(out_of_range(&partition.log, part.offset)),
            }
        }
        let limits = limits(high_watermark);
        match partition.log.read(part.offset, &limits) {
            ReadPlan::Empty => {
                let now = Known { high_watermark, log_start: fetched.log_start };
                if part.known == now {
                    return Ok(Look::Nothing);
                }
            }
            ReadPlan::Memory(pieces) => fetched.records = pieces.into_iter().map(Payload::Chunk).collect(),
            ReadPlan::Disk(read) => return Ok(Look::Cold(fetched, slot, limits, Cold::Read(read))),
            ReadPlan::Index(segment) => return Ok(Look::Cold(fetched, slot, limits, Cold::Index(segment))),
            ReadPlan::OutOfRange => return Err(out_of_range(&partition.log, part.offset)),
            ReadPlan::Damaged => return Err(PartitionError::Corrupt { offset: part.offset }),
        }
        Ok(Look::Ready(fetched))
    }

    fn park(&mut self, now: Now, id: RequestId, request: FetchRequest, quiet: bool) {
        let fetch = self.next_reader();
        let deadline = now.mono.plus_ms(u64::from(request.wait_ms_max));
        let slots: Vec<_> =
            request.partitions.iter().map(|part| self.partitions.find(part.partition)).collect();
        for slot in slots.iter().flatten() {
            if let Some(partition) = self.partitions.get_mut(*slot) {
                partition.fetches.push(fetch);
            }
        }
        self.fetch.by_request.insert(id, fetch);
        self.fetch.deadlines.insert((deadline, fetch));
        let parked = Parked { id, request, deadline, slots, quiet, woken: Vec::new() };
        self.fetch.parked.insert(fetch, parked);
    }

    fn read_cold(&mut self, id: RequestId, attempt: Attempt, effects: &mut Vec<Effect>) {
        let fetch = self.next_reader();
        let remaining = attempt.cold.len();
        self.fetch.reading.insert(fetch, Reading { id, results: attempt.results, remaining });
        for ColdPart { result: index, slot, offset, limits, cold } in attempt.cold {
            let reader = self.next_reader();
            match cold {
                Cold::Read(at) => {
                    let state = Reader { fetch, index, slot, offset, limits, at: cap(at), mended: None };
                    self.issue_read(reader, state, 1, effects);
                }
                Cold::Index(segment) => {
                    let at = DiskRead::nothing_of(segment);
                    let state = Reader { fetch, index, slot, offset, limits, at, mended: None };
                    self.fetch.readers.insert(reader, state);
                    self.load_index(reader, slot, segment, effects);
                }
            }
        }
    }

    fn issue_read(&mut self, reader: u64, state: Reader, needed: usize, effects: &mut Vec<Effect>) {
        self.fetch.readers.insert(reader, state);
        self.indexes.used(state.at.segment);
        self.bring(reader, state.at, needed, effects);
    }

    /// All that was found has no records: some clients take an answer without any for one that was cut too short
    /// (librdkafka asks for twice as much each time, and fails in the end). So what follows is read as well, if something
    /// does.
    fn read_beyond(
        &mut self,
        reader: u64,
        state: Reader,
        next: Offset,
        empty: Payload,
        effects: &mut Vec<Effect>,
    ) {
        let state = Reader { offset: next, ..state };
        let plan = self.partitions.get(state.slot).map(|partition| partition.log.read(next, &state.limits));
        match plan {
            Some(ReadPlan::Disk(at)) => self.issue_read(reader, Reader { at: cap(at), ..state }, 1, effects),
            Some(ReadPlan::Memory(pieces)) => {
                let pieces = pieces.into_iter().map(Payload::Chunk).collect();
                self.cold_done(reader, Ok(pieces), effects);
            }
            Some(ReadPlan::Index(segment)) => {
                self.fetch.readers.insert(reader, Reader { at: DiskRead::nothing_of(segment), ..state });
                self.load_index(reader, state.slot, segment, effects);
            }
            Some(ReadPlan::Empty | ReadPlan::OutOfRange | ReadPlan::Damaged) | None => {
                self.cold_done(reader, Ok(vec![empty]), effects);
            }
        }
    }

    fn read_further(
        &mut self,
        reader: u64,
        state: Reader,
        skip: usize,
        bytes: usize,
        effects: &mut Vec<Effect>,
    ) {
        let position = state.at.position + skip as u64;
        if position + bytes as u64 > state.at.end && !state.at.landmarks.are_passed() {
            return self.misled(reader, state, effects);
        }
        if position + bytes as u64 > state.at.end {
            // A header that promises more than the segment holds was not written by an append.
            self.counters.corrupt_reads += 1;
            return self.cold_done(reader, Err(PartitionError::Corrupt { offset: state.offset }), effects);
        }
        let at = DiskRead { position, bytes: bytes.max(state.at.bytes), ..state.at };
        // The first batch has been seen, unless it is its header that was cut off.
        let at = if skip > 0 { at.trusting() } else { at };
        self.issue_read(reader, Reader { at, ..state }, bytes, effects);
    }

    pub(super) fn cold_done(
        &mut self,
        reader: u64,
        records: Result<Vec<Payload>, PartitionError>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(state) = self.fetch.readers.remove(&reader) else { return };
        let Some(reading) = self.fetch.reading.get_mut(&state.fetch) else { return };
        if let Some(result) = reading.results.get_mut(state.index) {
            match records {
                Ok(records) => {
                    if let Ok(fetched) = &mut result.outcome {
                        fetched.records = records;
                    }
                }
                Err(error) => result.outcome = Err(error),
            }
        }
        reading.remaining -= 1;
        if reading.remaining == 0
            && let Some(done) = self.fetch.reading.remove(&state.fetch)
        {
            self.fetched(done.id, done.results, effects);
        }
    }
}

enum Look {
    /// The asker knows all about it.
    Nothing,
    Ready(Fetched),
    Cold(Fetched, u32, ReadLimits, Cold),
}

fn cap(at: DiskRead) -> DiskRead {
    DiskRead { bytes: at.bytes.min(COLD_READ_BYTES_MAX), ..at }
}

fn out_of_range(log: &crate::log::PartitionLog, requested: Offset) -> PartitionError {
    PartitionError::OffsetOutOfRange { requested, log_start: log.log_start(), log_end: log.log_end() }
}
