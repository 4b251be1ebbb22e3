//! What was read from segments lately, for whoever reads it next: many groups that follow each other through a log cost
//! one read of the disk. A read under way is shared, too, and a reader that goes on where one stopped finds the next
//! piece on its way.
//!
//! Pieces begin where a reader needed a batch to begin, so that whoever follows the same log finds them again. Checksums
//! are verified at each use. What is kept and what is being read is bounded by `read_cache_bytes`: the piece used longest ago
//! goes first. A read that finds no room, or enough of others on the disk, waits for the ones before it.
//!
//! A piece lives on while answers that no socket has taken hold a part of it, however small. With `read_bytes_max` alive,
//! wherever they are, nothing further is read. So that those who wait hold nothing others wait for, fetches that have
//! something are then answered with that.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use crate::base::hash::IdMap;
use crate::base::io::{IoOp, SegmentId};
use crate::base::{BLOCK_BYTES, ChunkSlice, MonoNanos, TopicPartition, block_ceil, block_floor};
use crate::log::DiskRead;

/// Read ahead of a reader that goes through a segment.
const AHEAD_BYTES: u64 = 1024 * 1024;
/// Asked of the disk at once: enough to keep it busy, and little enough that a commit that comes behind is not held up for
/// long. At 1 GB/s this takes 4 ms.
const READING_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Segments whose readers' progress is remembered.
const TRAILS_MAX: usize = 1024;
/// How often reads that wait for memory are looked at where nothing else happens.
const LOOK_MS: u64 = 2;

#[derive(Debug)]
pub(super) struct ReadCache {
    bytes_max: usize,
    bytes: usize,
    /// What has been read, kept here or held by answers.
    alive: Rc<Cell<usize>>,
    alive_max: usize,
    /// The first in line waits for answers to be taken.
    is_short: bool,
    /// By segment and position, a whole block's.
    pieces: BTreeMap<(SegmentId, u64), Piece>,
    /// Pieces by when they were last used.
    uses: BTreeMap<u64, (SegmentId, u64)>,
    next_use: u64,
    under_way: IdMap<u64, UnderWay>,
    /// Reads under way by segment, position and number.
    places: BTreeSet<(SegmentId, u64, u64)>,
    /// Bytes of the reads that have been asked of the disk.
    reading_bytes: usize,
    /// Reads that wait for room, in order.
    queued: VecDeque<u64>,
    next: u64,
    /// Where the last reader of a segment will go on.
    trails: BTreeMap<SegmentId, u64>,
}

#[derive(Debug)]
struct Piece {
    bytes: ChunkSlice,
    /// In the file; bytes beyond are not valid.
    end: u64,
    last_use: u64,
}

#[derive(Debug)]
struct UnderWay {
    segment: SegmentId,
    position: u64,
    end: u64,
    /// Whole blocks.
    length: usize,
    /// Readers, and where each begins.
    waiting: Vec<(u64, u64)>,
    /// The segment was replaced or is gone.
    stale: bool,
}

/// What the cache has for a reader.
pub(super) enum Found {
    /// The bytes, from the block of the place asked for on.
    Here(ChunkSlice),
    /// A read under way brings them.
    Coming,
    /// The bytes must be read, up to `wanted`.
    Missing { wanted: u64 },
}

impl ReadCache {
    pub(super) fn new(bytes_max: usize, alive_max: usize) -> ReadCache {
        ReadCache {
            bytes_max,
            bytes: 0,
            alive: Rc::default(),
            alive_max,
            is_short: false,
            pieces: BTreeMap::new(),
            uses: BTreeMap::new(),
            next_use: 0,
            under_way: IdMap::default(),
            places: BTreeSet::new(),
            reading_bytes: 0,
            queued: VecDeque::new(),
            next: 0,
            trails: BTreeMap::new(),
        }
    }

    pub(super) fn alive_bytes(&self) -> usize {
        self.alive.get()
    }

    /// Reads wait for answers to be taken.
    pub(super) fn is_short(&self) -> bool {
        self.is_short
    }

    pub(super) fn next_deadline(&self, now: MonoNanos) -> MonoNanos {
        if self.is_short { now.plus_ms(LOOK_MS) } else { MonoNanos::NEVER }
    }

    /// Whether the segment's file is being read.
    pub(super) fn reads(&self, segment: SegmentId) -> bool {
        self.places.range((segment, 0, 0)..=(segment, u64::MAX, u64::MAX)).next().is_some()
    }

    /// The read under way that brings the block of `position`, the one that begins nearest before it.
    fn coming(&self, segment: SegmentId, position: u64) -> Option<u64> {
        let to = (segment, block_floor(position), u64::MAX);
        let (.., window) = self.places.range((segment, 0, 0)..=to).next_back()?;
        let coming = self.under_way.get(window).expect("places are of reads under way");
        (!coming.stale && position < coming.end).then_some(*window)
    }

    /// Bytes from the block of `position` on, at least `needed` of them behind `position`.
    fn find(&mut self, segment: SegmentId, position: u64, needed: u64) -> Option<ChunkSlice> {
        let block = block_floor(position);
        let (key, piece) = self.pieces.range_mut((segment, 0)..=(segment, block)).next_back()?;
        if piece.end < position + needed {
            return None;
        }
        let from = usize::try_from(block - key.1).ok()?;
        let to = usize::try_from(piece.end - key.1).ok()?;
        self.uses.remove(&piece.last_use);
        self.next_use += 1;
        piece.last_use = self.next_use;
        self.uses.insert(self.next_use, *key);
        Some(piece.bytes.slice(from..to))
    }

    fn insert(&mut self, segment: SegmentId, position: u64, end: u64, bytes: ChunkSlice) {
        if bytes.len() > self.bytes_max || end <= position {
            return;
        }
        self.remove((segment, position));
        self.next_use += 1;
        self.bytes += bytes.len();
        self.uses.insert(self.next_use, (segment, position));
        self.pieces.insert((segment, position), Piece { bytes, end, last_use: self.next_use });
        self.make_room();
    }

    fn make_room(&mut self) {
        while self.bytes + self.reading_bytes > self.bytes_max
            && let Some((_, key)) = self.uses.first_key_value()
        {
            self.remove(*key);
        }
    }

    /// Whether `length` more bytes may be read beside those that are alive. Pieces that are only kept for the next reader go
    /// to make that possible. If nothing is alive, any length may be read.
    fn has_memory(&mut self, length: usize) -> bool {
        while self.memory_bytes() + length > self.alive_max
            && let Some((_, key)) = self.uses.first_key_value()
        {
            self.remove(*key);
        }
        self.memory_bytes() == 0 || self.memory_bytes() + length <= self.alive_max
    }

    /// Memory of what has been read and what is being read.
    fn memory_bytes(&self) -> usize {
        self.alive.get() + self.reading_bytes
    }

    /// The next read that may begin now: one at a time at least, whatever its size.
    pub(super) fn begin_next(&mut self) -> Option<(u64, IoOp)> {
        self.is_short = false;
        let window = *self.queued.front()?;
        let UnderWay { segment, position, length, .. } =
            *self.under_way.get(&window).expect("what is queued is under way");
        let reading_bytes_max = self.bytes_max.min(READING_BYTES_MAX);
        if self.reading_bytes > 0 && self.reading_bytes + length > reading_bytes_max {
            return None;
        }
        self.is_short = !self.has_memory(length);
        if self.is_short {
            return None;
        }
        let op = IoOp::ReadSegment { segment, position, length };
        self.reading_bytes += length;
        self.queued.pop_front();
        self.make_room();
        Some((window, op))
    }

    /// Looks for `needed` bytes behind `at.position`; where a read under way brings them, the reader waits for that.
    pub(super) fn find_or_join(&mut self, reader: u64, at: DiskRead, needed: u64) -> Found {
        if let Some(bytes) = self.find(at.segment, at.position, needed) {
            return Found::Here(bytes);
        }
        let shared = self.coming(at.segment, at.position);
        if let Some(shared) = shared.and_then(|window| self.under_way.get_mut(&window))
            && shared.end >= at.position + needed
        {
            shared.waiting.push((reader, at.position));
            return Found::Coming;
        }
        let wanted = (at.position + (at.bytes as u64).max(needed)).min(at.end).max(at.position + 1);
        Found::Missing { wanted }
    }

    /// A reader has got what lies between `from` and `next`: how far to read ahead of it, if it goes through the segment.
    pub(super) fn ahead_of(&mut self, at: DiskRead, from: u64, next: u64) -> Option<u64> {
        let followed = self.trails.insert(at.segment, next) == Some(from);
        if self.trails.len() > TRAILS_MAX {
            self.trails.pop_first();
        }
        let is_crowded = !self.queued.is_empty();
        let is_small = self.bytes_max < 4 * usize::try_from(AHEAD_BYTES).unwrap_or(0);
        if !followed || is_crowded || next >= at.end || is_small {
            return None;
        }
        // Only when what is there does not hold the next batch's header: otherwise its reader asks for the right place.
        let is_coming = self.coming(at.segment, next).is_some();
        if is_coming || self.find(at.segment, next, AHEAD_BYTES.min(at.end - next) / 2).is_some() {
            return None;
        }
        Some((next + AHEAD_BYTES).min(at.end))
    }

    /// Puts a read of the whole blocks from the one of `at.position` to `wanted` in line; tells how long it is.
    pub(super) fn queue(&mut self, at: DiskRead, wanted: u64, reader: Option<u64>) -> usize {
        let position = block_floor(at.position);
        let length = usize::try_from(block_ceil(wanted) - position).expect("a cold read is bounded");
        let length = length.max(BLOCK_BYTES);
        let end = (position + length as u64).min(at.end);
        self.next += 1;
        let window = self.next;
        let waiting = reader.map(|reader| (reader, at.position)).into_iter().collect();
        let under_way = UnderWay { segment: at.segment, position, end, length, waiting, stale: false };
        self.under_way.insert(window, under_way);
        self.places.insert((at.segment, position, window));
        self.queued.push_back(window);
        length
    }

    /// Takes the readers for which `has_enough` holds out of the reads in line, and gives up reads that nobody waits for.
    /// Tells which readers these are.
    pub(super) fn leave_line(&mut self, has_enough: impl Fn(u64) -> bool) -> Vec<u64> {
        let mut content = Vec::new();
        let ReadCache { queued, under_way, places, .. } = self;
        queued.retain(|window| {
            let wanted = under_way.get_mut(window).expect("what is queued is under way");
            let (go, stay): (Vec<_>, Vec<_>) =
                wanted.waiting.drain(..).partition(|(reader, _)| has_enough(*reader));
            wanted.waiting = stay;
            content.extend(go.into_iter().map(|(reader, _)| reader));
            let is_wanted = !wanted.waiting.is_empty();
            if !is_wanted {
                places.remove(&(wanted.segment, wanted.position, *window));
                under_way.remove(window);
            }
            is_wanted
        });
        content
    }

    /// A window has been read, or cannot be: what each of its readers gets.
    pub(super) fn arrived(
        &mut self,
        window: u64,
        bytes: Option<ChunkSlice>,
    ) -> Vec<(u64, Option<ChunkSlice>)> {
        let Some(done) = self.under_way.remove(&window) else { return Vec::new() };
        self.places.remove(&(done.segment, done.position, window));
        assert!(done.length <= self.reading_bytes, "what arrives was counted when its read began");
        self.reading_bytes -= done.length;
        let Some(bytes) = bytes.map(|it| it.counted(&self.alive)) else {
            return done.waiting.into_iter().map(|(reader, _)| (reader, None)).collect();
        };
        let end = done.end.min(done.position + bytes.len() as u64);
        if !done.stale {
            self.insert(done.segment, done.position, end, bytes.clone());
        }
        let part = |position| {
            let from = usize::try_from(block_floor(position) - done.position).unwrap_or(usize::MAX);
            bytes.slice(from.min(bytes.len())..bytes.len())
        };
        done.waiting.into_iter().map(|(reader, position)| (reader, Some(part(position)))).collect()
    }

    fn remove(&mut self, key: (SegmentId, u64)) {
        if let Some(piece) = self.pieces.remove(&key) {
            self.uses.remove(&piece.last_use);
            self.bytes -= piece.bytes.len();
        }
    }

    /// The segment's file is another now, or gone, or not to be trusted.
    pub(super) fn forget(&mut self, segment: SegmentId) {
        self.forget_range((segment, 0)..=(segment, u64::MAX), |it| it.segment == segment);
        self.trails.remove(&segment);
    }

    pub(super) fn forget_partition(&mut self, partition: TopicPartition) {
        let from = SegmentId { partition, base: crate::base::Offset(0) };
        let to = SegmentId { partition, base: crate::base::Offset(i64::MAX) };
        self.forget_range((from, 0)..=(to, u64::MAX), |it| it.segment.partition == partition);
        self.trails.retain(|segment, _| segment.partition != partition);
    }

    fn forget_range(
        &mut self,
        range: std::ops::RangeInclusive<(SegmentId, u64)>,
        is_meant: impl Fn(&UnderWay) -> bool,
    ) {
        let keys: Vec<(SegmentId, u64)> = self.pieces.range(range).map(|(key, _)| *key).collect();
        keys.into_iter().for_each(|key| self.remove(key));
        self.under_way.values_mut().filter(|it| is_meant(it)).for_each(|it| it.stale = true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Offset;

    const MEBIBYTE: usize = 1024 * 1024;

    fn queue(cache: &mut ReadCache, window: u64, length: usize) {
        let segment = SegmentId { partition: TopicPartition::METADATA, base: Offset(0) };
        let position = window * length as u64;
        let end = position + length as u64;
        let wanted = UnderWay { segment, position, end, length, waiting: Vec::new(), stale: false };
        cache.under_way.insert(window, wanted);
        cache.queued.push_back(window);
    }

    fn arrive(cache: &mut ReadCache, window: u64) -> ChunkSlice {
        let read = cache.under_way.remove(&window).expect("it is under way");
        cache.reading_bytes -= read.length;
        let bytes = crate::base::Chunk::heap(read.length).all().counted(&cache.alive);
        cache.insert(read.segment, read.position, read.end, bytes.clone());
        bytes
    }

    #[test]
    fn what_answers_hold_of_a_piece_keeps_its_memory_from_other_reads() {
        let mut cache = ReadCache::new(2 * MEBIBYTE, 3 * MEBIBYTE);
        (0..4).for_each(|window| queue(&mut cache, window, MEBIBYTE));
        let mut answers = Vec::new();
        for _ in 0..3 {
            let (window, _) = cache.begin_next().expect("there is memory");
            // A little of it is enough.
            answers.push(arrive(&mut cache, window).slice(0..10));
        }
        assert_eq!((cache.begin_next().is_none(), cache.alive_bytes()), (true, 3 * MEBIBYTE));
        assert!(cache.is_short() && cache.bytes == 0, "the cache is no reason to wait");
        answers.pop();
        assert!(cache.begin_next().is_some() && !cache.is_short());
        cache.reading_bytes = 0;
        answers.clear();
        queue(&mut cache, 9, 9 * MEBIBYTE);
        assert!(cache.begin_next().is_some(), "a larger one goes alone");
    }

    #[test]
    fn little_is_asked_of_the_disk_at_once_and_something_always() {
        let mut cache = ReadCache::new(1024 * MEBIBYTE, 2048 * MEBIBYTE);
        (0..16).for_each(|window| queue(&mut cache, window, MEBIBYTE));
        assert_eq!(std::iter::from_fn(|| cache.begin_next()).count() * MEBIBYTE, READING_BYTES_MAX);
        cache.reading_bytes -= MEBIBYTE;
        assert!(cache.begin_next().is_some(), "the next follows");
        assert!(cache.begin_next().is_none());
        cache.reading_bytes = 0;
        cache.queued.clear();
        queue(&mut cache, 16, 2 * READING_BYTES_MAX);
        assert!(cache.begin_next().is_some(), "a larger one goes alone");
        queue(&mut cache, 17, MEBIBYTE);
        assert!(cache.begin_next().is_none());
    }
}
