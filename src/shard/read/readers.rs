//! Fetches some of whose partitions are read from disk: one reader for each, and an answer when all have what they need.

use crate::base::hash::IdMap;
use crate::base::io::SegmentId;
use crate::base::{ChunkSlice, Offset, Payload, block_floor};
use crate::log::{DiskRead, ReadLimits, ReadPlan, Scan, end_of_empty, scan_for_offset};

use super::super::request::{FetchResult, PartitionError};
use super::super::store::Store;
use super::super::turn::{Asker, Turn};
use super::attempt::{Attempt, Cold, ColdPart, capped, out_of_range};
use super::source::{Got, Source};

/// An answer that is complete.
pub(super) type Answer = (Asker, Vec<FetchResult>);

#[derive(Debug, Default)]
pub(super) struct Readers {
    fetches: IdMap<u64, ColdFetch>,
    readers: IdMap<u64, Reader>,
    next_fetch: u64,
}

#[derive(Debug)]
struct ColdFetch {
    asker: Asker,
    results: Vec<FetchResult>,
    /// Readers that have not got what they need.
    remaining: usize,
}

/// One partition's part of a cold fetch.
#[derive(Clone, Copy, Debug)]
struct Reader {
    fetch: u64,
    /// Which of the fetch's results.
    index: usize,
    slot: u32,
    offset: Offset,
    limits: ReadLimits,
    at: DiskRead,
    /// The segment whose index has been made anew for this reader: that is as good as it gets.
    mended: Option<SegmentId>,
}

/// What a reader has come to.
type Records = Result<Vec<Payload>, PartitionError>;

impl Readers {
    pub(super) fn len(&self) -> usize {
        self.fetches.len()
    }

    /// Whether the reader's fetch has something to answer with already.
    pub(super) fn has_records(&self, reader: u64) -> bool {
        let fetch = self.readers.get(&reader).and_then(|it| self.fetches.get(&it.fetch));
        let mut found =
            fetch.into_iter().flat_map(|it| &it.results).filter_map(|it| it.outcome.as_ref().ok());
        found.any(|fetched| !fetched.records.is_empty())
    }

    /// Whether somebody is reading from this segment's file.
    pub(super) fn reads(&self, segment: SegmentId) -> bool {
        self.readers.values().any(|reader| reader.at.segment == segment)
    }

    /// A fetch begins to read what its attempt has found to be on disk.
    pub(super) fn begin(
        &mut self,
        asker: Asker,
        attempt: Attempt,
        source: &mut Source,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        self.next_fetch += 1;
        let fetch = self.next_fetch;
        let remaining = attempt.cold.len();
        assert!(remaining > 0, "a fetch that reads nothing is answered at once");
        self.fetches.insert(fetch, ColdFetch { asker, results: attempt.results, remaining });
        for ColdPart { result: index, slot, offset, limits, cold } in attempt.cold {
            let reader = source.next_reader();
            let state = |at| Reader { fetch, index, slot, offset, limits, at, mended: None };
            match cold {
                Cold::Bytes(at) => self.read(reader, state(capped(at)), 1, source, store, turn),
                Cold::Index(segment) => {
                    self.readers.insert(reader, state(DiskRead::nothing_of(segment)));
                    source.load_index(reader, slot, segment, store, turn);
                }
            }
        }
    }

    /// A reader has got something; tells the answer of its fetch, if that was all it waited for.
    pub(super) fn got(
        &mut self,
        reader: u64,
        got: Got,
        source: &mut Source,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) -> Option<Answer> {
        let state = self.readers.get(&reader).copied()?;
        let records = match got {
            Got::NoMore => Some(Ok(Vec::new())),
            Got::Bytes(None) => Some(Err(PartitionError::StorageFailed)),
            Got::Bytes(Some(bytes)) => self.look_through(reader, state, &bytes, source, store, turn),
            Got::Index => self.seek(reader, state, source, store, turn),
        };
        self.done(reader, records?)
    }

    fn read(
        &mut self,
        reader: u64,
        state: Reader,
        needed: usize,
        source: &mut Source,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        self.readers.insert(reader, state);
        source.bring(reader, state.at, needed, store, turn);
    }

    /// Looks for the reader's offset in bytes of its segment. `None`: the reader goes on.
    fn look_through(
        &mut self,
        reader: u64,
        state: Reader,
        bytes: &ChunkSlice,
        source: &mut Source,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) -> Option<Records> {
        let at = state.at;
        let skip = usize::try_from(at.position - block_floor(at.position)).expect("less than a block");
        let visible = usize::try_from(at.end - block_floor(at.position)).unwrap_or(usize::MAX);
        let window = bytes.get(skip..bytes.len().min(visible)).unwrap_or(&[]);
        let within = at.segment.base..at.offsets_end;
        match scan_for_offset(window, state.offset, &state.limits, within, at.landmarks) {
            Scan::Found { from, to } if from == to => Some(Ok(Vec::new())),
            Scan::Found { from, to } => {
                let piece = Payload::Chunk(bytes.slice(skip + from..skip + to));
                source.read_ahead(at, (at.position + from as u64, at.position + to as u64), store, turn);
                let empty = end_of_empty(window.get(from..to).unwrap_or(&[]));
                match empty.filter(|_| !state.limits.for_follower) {
                    None => Some(Ok(vec![piece])),
                    Some(next) => self.read_beyond(reader, state, next, piece, source, store, turn),
                }
            }
            Scan::More { skip, bytes } => {
                self.read_further(reader, state, (skip, bytes), source, store, turn)
            }
            Scan::End => Some(Ok(Vec::new())),
            Scan::Misled => self.misled(reader, state, source, store, turn),
            Scan::Corrupt { offset } => {
                store.counters.corrupt_reads += 1;
                source.cache.forget(at.segment);
                Some(Err(PartitionError::Corrupt { offset }))
            }
        }
    }

    /// The index that a reader waited for is there.
    fn seek(
        &mut self,
        reader: u64,
        state: Reader,
        source: &mut Source,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) -> Option<Records> {
        let Some(partition) = store.partitions.get(state.slot) else {
            return Some(Err(PartitionError::NotHere));
        };
        match partition.log().read(state.offset, &state.limits) {
            ReadPlan::Disk(at) => {
                let at = if state.mended == Some(at.segment) { at.trusting() } else { at };
                self.read(reader, Reader { at: capped(at), ..state }, 1, source, store, turn);
                None
            }
            ReadPlan::Memory(pieces) => Some(Ok(pieces.into_iter().map(Payload::Chunk).collect())),
            ReadPlan::Empty | ReadPlan::Index(_) => Some(Ok(Vec::new())),
            ReadPlan::Damaged => Some(Err(PartitionError::Corrupt { offset: state.offset })),
            ReadPlan::OutOfRange => Some(Err(out_of_range(partition.log(), state.offset))),
        }
    }

    /// What a reader has found is not what the index says.
    fn misled(
        &mut self,
        reader: u64,
        state: Reader,
        source: &mut Source,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) -> Option<Records> {
        let segment = state.at.segment;
        let is_part = store.partitions.get(state.slot).and_then(|it| it.log().file_end(segment)).is_some();
        if !is_part {
            // Retention has taken it meanwhile.
            return self.seek(reader, state, source, store, turn);
        }
        if state.mended != Some(segment) && source.mend_index(reader, state.slot, segment, store, turn) {
            self.readers.insert(reader, Reader { mended: Some(segment), ..state });
        } else {
            // It is the segment that is damaged: the scan says how.
            self.read(reader, Reader { at: state.at.trusting(), ..state }, 1, source, store, turn);
        }
        None
    }

    /// All that was found has no records: some clients take an answer without any for one that was cut too short
    /// (librdkafka asks for twice as much each time, and fails in the end). So what follows is read as well, if something
    /// does.
    #[expect(clippy::too_many_arguments, reason = "a reader, and everything it reads through")]
    fn read_beyond(
        &mut self,
        reader: u64,
        state: Reader,
        next: Offset,
        empty: Payload,
        source: &mut Source,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) -> Option<Records> {
        let state = Reader { offset: next, ..state };
        match store.partitions.get(state.slot).map(|it| it.log().read(next, &state.limits)) {
            Some(ReadPlan::Disk(at)) => {
                self.read(reader, Reader { at: capped(at), ..state }, 1, source, store, turn);
                None
            }
            Some(ReadPlan::Memory(pieces)) => Some(Ok(pieces.into_iter().map(Payload::Chunk).collect())),
            Some(ReadPlan::Index(segment)) => {
                self.readers.insert(reader, Reader { at: DiskRead::nothing_of(segment), ..state });
                source.load_index(reader, state.slot, segment, store, turn);
                None
            }
            Some(ReadPlan::Empty | ReadPlan::OutOfRange | ReadPlan::Damaged) | None => Some(Ok(vec![empty])),
        }
    }

    /// The bytes end before the batch does: it lies `skip` bytes further on, and takes `bytes`.
    fn read_further(
        &mut self,
        reader: u64,
        state: Reader,
        (skip, bytes): (usize, usize),
        source: &mut Source,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) -> Option<Records> {
        let position = state.at.position + skip as u64;
        if position + bytes as u64 > state.at.end {
            if !state.at.landmarks.are_passed() {
                return self.misled(reader, state, source, store, turn);
            }
            // A header that promises more than the segment holds was not written by an append.
            store.counters.corrupt_reads += 1;
            return Some(Err(PartitionError::Corrupt { offset: state.offset }));
        }
        let at = DiskRead { position, bytes: bytes.max(state.at.bytes), ..state.at };
        // The first batch has been seen, unless it is its header that was cut off.
        let at = if skip > 0 { at.trusting() } else { at };
        self.read(reader, Reader { at, ..state }, bytes, source, store, turn);
        None
    }

    /// A reader is done: its fetch has an answer, if it was the last one.
    fn done(&mut self, reader: u64, records: Records) -> Option<Answer> {
        let state = self.readers.remove(&reader)?;
        let fetch = self.fetches.get_mut(&state.fetch).expect("a reader reads for a fetch");
        let result = fetch.results.get_mut(state.index).expect("a reader reads for one of the results");
        match records {
            Ok(records) => {
                if let Ok(fetched) = &mut result.outcome {
                    fetched.records = records;
                }
            }
            Err(error) => result.outcome = Err(error),
        }
        fetch.remaining -= 1;
        if fetch.remaining > 0 {
            return None;
        }
        self.fetches.remove(&state.fetch).map(|done| (done.asker, done.results))
    }
}
