//! Where cold readers get bytes and indexes from: the cache, reads under way, and the disk.
//!
//! A reader asks, and later takes what it has got out of a queue: what is there already goes the same way as what the disk
//! brings, so that no reader is ever called from inside another one's question.

use std::collections::VecDeque;

use crate::base::ChunkSlice;
use crate::base::io::{IoOp, SegmentId};
use crate::log::DiskRead;

use super::super::event::{IndexFiles, Operation};
use super::super::store::Store;
use super::super::turn::Turn;
use super::cache::{Found, ReadCache};
use super::indexes::Indexes;

/// What a reader has got.
#[derive(Debug)]
pub(super) enum Got {
    /// Bytes from the block of the place asked for on; `None` if the disk would not give them.
    Bytes(Option<ChunkSlice>),
    /// The index that the reader waited for is in memory.
    Index,
    /// There is no memory for more: the reader's fetch is answered with what it has.
    NoMore,
}

#[derive(Debug)]
pub(super) struct Source {
    pub(super) cache: ReadCache,
    indexes: Indexes,
    /// For readers to take, in order.
    got: VecDeque<(u64, Got)>,
    next_reader: u64,
}

impl Source {
    pub(super) fn new(cache: ReadCache, indexes: Indexes) -> Source {
        Source { cache, indexes, got: VecDeque::new(), next_reader: 0 }
    }

    /// A number for one more reader.
    pub(super) fn next_reader(&mut self) -> u64 {
        self.next_reader += 1;
        self.next_reader
    }

    /// Whether readers have something to take, or reads wait for memory.
    pub(super) fn is_unsettled(&self) -> bool {
        !self.got.is_empty() || self.cache.is_short()
    }

    /// The next reader that has got something.
    pub(super) fn next_got(&mut self) -> Option<(u64, Got)> {
        self.got.pop_front()
    }

    pub(super) fn index_bytes(&self) -> usize {
        self.indexes.bytes()
    }

    /// Brings a reader what lies at a place of a segment: `needed` bytes behind `at.position` at least, `at.bytes` if they
    /// must be read.
    pub(super) fn bring(
        &mut self,
        reader: u64,
        at: DiskRead,
        needed: usize,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        self.indexes.used(at.segment);
        match self.cache.find_or_join(reader, at, needed.max(1) as u64) {
            Found::Here(bytes) => {
                store.counters.read_cache_hits += 1;
                self.got.push_back((reader, Got::Bytes(Some(bytes))));
            }
            Found::Coming => store.counters.read_cache_hits += 1,
            Found::Missing { wanted } => self.read(at, wanted, Some(reader), store, turn),
        }
    }

    /// A reader has got what lies between two places of a segment: what follows may be wanted soon.
    pub(super) fn read_ahead(
        &mut self,
        at: DiskRead,
        (from, next): (u64, u64),
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        if let Some(wanted) = self.cache.ahead_of(at, from, next) {
            self.read(DiskRead { position: next, ..at }, wanted, None, store, turn);
        }
    }

    fn read(
        &mut self,
        at: DiskRead,
        wanted: u64,
        reader: Option<u64>,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        let length = self.cache.queue(at, wanted, reader);
        store.counters.cold_reads += 1;
        store.counters.cold_read_bytes += length as u64;
        self.begin_reads(store, turn);
    }

    /// Begins the reads that there is room for.
    pub(super) fn begin_reads(&mut self, store: &mut Store, turn: &mut Turn<'_>) {
        while let Some((window, op)) = self.cache.begin_next() {
            store.issue(Operation::Window { window }, op, turn);
        }
    }

    /// While reads wait for memory that answers hold: readers whose fetch has something get no more, and reads that nobody
    /// waits for are given up. Tells whether there are such readers.
    pub(super) fn give_up_waiting(&mut self, has_records: impl Fn(u64) -> bool) -> bool {
        let content = self.cache.leave_line(has_records);
        self.got.extend(content.into_iter().map(|reader| (reader, Got::NoMore)));
        !self.got.is_empty()
    }

    /// A window has been read, or cannot be.
    pub(super) fn window_read(
        &mut self,
        window: u64,
        bytes: Option<ChunkSlice>,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        let readers = self.cache.arrived(window, bytes);
        self.begin_reads(store, turn);
        self.got.extend(readers.into_iter().map(|(reader, bytes)| (reader, Got::Bytes(bytes))));
    }

    /// Reads a segment's index for a reader.
    pub(super) fn load_index(
        &mut self,
        reader: u64,
        slot: u32,
        segment: SegmentId,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        store.issue(Operation::Index { reader, slot, segment }, IoOp::ReadIndex { segment }, turn);
    }

    /// A segment's index files have been read for a reader, or cannot be.
    pub(super) fn index_read(
        &mut self,
        reader: u64,
        (slot, segment): (u32, SegmentId),
        index: Option<&IndexFiles>,
        store: &mut Store,
    ) {
        self.keep_index(slot, segment, index, store);
        let got = if index.is_some() { Got::Index } else { Got::Bytes(None) };
        self.got.push_back((reader, got));
    }

    /// Has the index of a finished segment made anew for a reader. False if the segment is not a finished one: then its
    /// index has never left memory.
    pub(super) fn mend_index(
        &mut self,
        reader: u64,
        slot: u32,
        segment: SegmentId,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) -> bool {
        let Some(log) = store.partitions.get(slot).map(|it| it.log()) else { return false };
        let Some(finished) = log.finished(segment) else { return false };
        let SegmentId { partition, base } = segment;
        let offsets = base..log.end_of(base);
        if self.indexes.is_first_to_wait(reader, segment) {
            store.counters.indexes_mended += 1;
            turn.notice(format!(
                "the index of segment {base} of {partition} leads to no batch of it: it is made anew"
            ));
            let op = IoOp::IndexSegment { segment, length: finished.size, offsets };
            store.issue(Operation::Mend { slot, segment }, op, turn);
        }
        true
    }

    /// A segment's index has been made anew, or cannot be.
    pub(super) fn index_mended(
        &mut self,
        (slot, segment): (u32, SegmentId),
        index: Option<&IndexFiles>,
        store: &mut Store,
    ) {
        self.keep_index(slot, segment, index, store);
        for reader in self.indexes.take_waiting(segment) {
            let got = if index.is_some() { Got::Index } else { Got::Bytes(None) };
            self.got.push_back((reader, got));
        }
    }

    /// A segment's index is in memory: others go if there is no room for all.
    pub(super) fn index_kept(&mut self, slot: u32, segment: SegmentId, bytes: usize, store: &mut Store) {
        self.indexes.insert(segment, slot, bytes);
        while let Some((slot, segment)) = self.indexes.take_oldest() {
            if let Some(partition) = store.partitions.get_mut(slot) {
                partition.change(|log, _| log.drop_index(segment));
            }
        }
    }

    /// Somebody goes by a segment's index.
    pub(super) fn index_used(&mut self, segment: SegmentId) {
        self.indexes.used(segment);
    }

    fn keep_index(&mut self, slot: u32, segment: SegmentId, files: Option<&IndexFiles>, store: &mut Store) {
        let (Some(files), Some(partition)) = (files, store.partitions.get_mut(slot)) else { return };
        let kept = partition.change(|log, _| log.index_loaded(segment, &files.index, &files.times));
        if let Some(bytes) = kept {
            self.index_kept(slot, segment, bytes, store);
        }
    }
}
