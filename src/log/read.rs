//! Reading: where the batches for an offset or a timestamp are, in memory or on disk, and how much of what a disk read
//! brought may be served.

use crate::base::io::SegmentId;
use crate::base::{ChunkSlice, Offset, TimestampMs, joined};

use super::index::{Landmarks, Lead, SparseIndex};
use super::partition::PartitionLog;
use super::tail::{Allocate, Tail, TailBatch};

/// A cold read fetches so many bytes beyond what was asked for: one index interval to walk over, and a header.
const WALK_BYTES: usize = 20 * 1024;
/// A search by timestamp goes through a segment in pieces of so many bytes.
const SEARCH_BYTES: usize = 256 * 1024;

/// How a read from `offset` must proceed.
#[derive(Debug)]
pub enum ReadPlan {
    /// The log holds nothing below the limit yet.
    Empty,
    /// Whole batches, from memory.
    Memory(Vec<ChunkSlice>),
    /// The batch is on disk: read there, then [`scan_for_offset`](super::scan_for_offset).
    Disk(DiskRead),
    /// The sealed segment's index is needed first.
    Index(SegmentId),
    OutOfRange,
    /// The offset is among the [damaged](PartitionLog::damaged) ones.
    Damaged,
}

/// Where to read, in the file of one segment. `position` is that of a batch; the runtime reads whole blocks around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskRead {
    pub segment: SegmentId,
    pub position: u64,
    pub bytes: usize,
    /// The file's readable bytes end here.
    pub end: u64,
    /// All offsets in the segment lie below.
    pub offsets_end: Offset,
    /// What the index says is there.
    pub landmarks: Landmarks,
}

impl DiskRead {
    /// A read of this segment that has not been planned yet.
    #[must_use]
    pub fn nothing_of(segment: SegmentId) -> DiskRead {
        let (offsets_end, landmarks) = (Offset(0), Landmarks::default());
        DiskRead { segment, position: 0, bytes: 0, end: 0, offsets_end, landmarks }
    }

    /// This read with nothing to compare with: whatever is there is believed.
    #[must_use]
    pub fn trusting(self) -> DiskRead {
        DiskRead { landmarks: Landmarks::default(), ..self }
    }
}

/// What a lookup by timestamp looks for in a segment.
#[derive(Clone, Copy, Debug)]
pub enum Sought {
    /// The first record at or after this time.
    AtOrAfter(TimestampMs),
    /// The batch with the largest timestamp, this one; it ends with this offset.
    Largest(TimestampMs, Offset),
}

/// What a reader may get.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimits {
    /// Batches that begin at or beyond this are not visible yet.
    pub visible_end: Offset,
    pub bytes_max: usize,
    /// The first batch is returned even when larger than `bytes_max`.
    pub first_whole: bool,
    /// A follower gets all that the segments have: records below the log's start, since it begins there, and batches without
    /// records, since they say where an epoch began and what a producer has sent.
    pub for_follower: bool,
}

impl PartitionLog {
    /// Plans a read of the batches from `offset` on.
    #[must_use]
    pub fn read(&self, offset: Offset, limits: &ReadLimits) -> ReadPlan {
        let start = if limits.for_follower { self.kept_from() } else { self.log_start };
        if offset < start || offset > self.log_end {
            return ReadPlan::OutOfRange;
        }
        if offset >= limits.visible_end {
            return ReadPlan::Empty;
        }
        if self.damaged.contains(offset) {
            return ReadPlan::Damaged;
        }
        let at = self.segment_of(offset);
        if let Some(batches) = at.tail.batches_from(offset) {
            return memory(at.tail, batches, limits);
        }
        let Some(index) = at.index else { return ReadPlan::Index(at.id) };
        let Lead { position, landmarks } = index.lead_to(at.id.base, offset);
        let bytes = limits.bytes_max.saturating_add(WALK_BYTES);
        let (end, offsets_end) = (at.file_end, self.end_of(at.id.base));
        ReadPlan::Disk(DiskRead { segment: at.id, position, bytes, end, offsets_end, landmarks })
    }

    /// The segments that may hold a record at or after `timestamp`, oldest first.
    #[must_use]
    pub fn time_candidates(&self, timestamp: TimestampMs) -> Vec<SegmentId> {
        let may_hold = |at: &Location<'_>| at.max_timestamp.is_some_and(|(max, _)| max >= timestamp);
        self.locations().filter(may_hold).map(|at| at.id).collect()
    }

    /// Plans the search in a segment; `None` if it is not part of the log any more.
    #[must_use]
    pub fn seek(&self, segment: SegmentId, sought: Sought) -> Option<ReadPlan> {
        let at = self.locations().find(|at| at.id == segment)?;
        let Some(index) = at.index else { return Some(ReadPlan::Index(segment)) };
        let Lead { position, landmarks } = match sought {
            Sought::AtOrAfter(timestamp) => index.lead_to_time(segment.base, timestamp),
            Sought::Largest(timestamp, offset) => index.lead_to_largest(segment.base, timestamp, offset),
        };
        let offsets_end = self.end_of(segment.base);
        let bytes = SEARCH_BYTES;
        Some(ReadPlan::Disk(DiskRead { segment, position, bytes, end: at.size, offsets_end, landmarks }))
    }

    /// The largest timestamp of the log, and the last offset of the batch that has it.
    #[must_use]
    pub fn max_timestamp(&self) -> Option<(TimestampMs, Offset)> {
        self.locations()
            .filter_map(|at| at.max_timestamp)
            .max_by_key(|(timestamp, offset)| (*timestamp, -offset.0))
    }

    /// The bytes `position..position + bytes` (or to the end) of a segment, copied from memory; `None` if memory does
    /// not hold them. For the rare readers that look inside batches.
    #[must_use]
    pub fn copy_from_memory(&self, segment: SegmentId, position: u64, bytes: usize) -> Option<Vec<u8>> {
        let at = self.locations().find(|at| at.id == segment)?;
        let from = at.tail.start()?;
        if position < from {
            return None;
        }
        let to = at.size.min(position.saturating_add(bytes as u64));
        Some(joined(&at.tail.slices(position.min(to), to)))
    }

    /// How far the segment's file can be read, should memory not hold it.
    #[must_use]
    pub fn file_end(&self, segment: SegmentId) -> Option<u64> {
        self.locations().find(|at| at.id == segment).map(|at| at.file_end)
    }

    /// Keeps the index of a sealed segment, from its files' bytes; what it takes, or `None` if there is no such segment.
    pub fn index_loaded(&mut self, segment: SegmentId, index: &[u8], times: &[u8]) -> Option<usize> {
        let sealed = self.sealed.iter_mut().find(|sealed| sealed.id == segment)?;
        Some(sealed.index.insert(SparseIndex::decode(index, times, sealed.size)).memory_bytes())
    }

    /// Drops the index of a sealed segment from memory; a reader that needs it loads it anew.
    pub fn drop_index(&mut self, segment: SegmentId) {
        if let Some(sealed) = self.sealed.iter_mut().find(|sealed| sealed.id == segment) {
            sealed.index = None;
        }
    }

    /// Frees the oldest chunk of memory that the segment files make dispensable; returns its bytes, 0 if there is none.
    pub fn evict(&mut self, allocate: Allocate<'_>) -> usize {
        let sealed = self.sealed.iter_mut().map(|segment| (u64::MAX, &mut segment.tail));
        let open = self.draining.iter_mut().map(|segment| (segment.readable_end(), &mut segment.tail));
        for (readable_end, tail) in sealed.chain(open) {
            if tail.start().is_some() {
                return tail.evict_front(readable_end);
            }
        }
        let readable_end = self.active.readable_end();
        match self.active.tail.evict_front(readable_end) {
            0 => self.active.tail.shrink(allocate) + self.active.tail.evict_front(readable_end),
            freed => freed,
        }
    }

    /// Whether there is memory that [`PartitionLog::evict`] may free now or later.
    #[must_use]
    pub fn is_evictable(&self) -> bool {
        let sealed = self.sealed.iter().map(|segment| &segment.tail);
        let open = self.draining.iter().map(|segment| &segment.tail);
        self.active.tail.is_evictable() || sealed.chain(open).any(|tail| tail.start().is_some())
    }

    /// The batches from the one that holds `offset` on, as far as memory has them from there.
    pub(super) fn batches_in_memory(
        &self,
        offset: Offset,
    ) -> Option<(&Tail, impl Iterator<Item = &TailBatch>)> {
        let tail = self.segment_of(offset).tail;
        Some((tail, tail.batches_from(offset)?))
    }

    /// Where the segment begins that holds an offset of the log.
    pub(super) fn segment_base_of(&self, offset: Offset) -> Offset {
        self.segment_of(offset).id.base
    }

    fn segment_of(&self, offset: Offset) -> Location<'_> {
        if offset >= self.active.id.base {
            return Location::open(&self.active);
        }
        if let Some(open) = self.draining.iter().rev().find(|open| open.id.base <= offset) {
            return Location::open(open);
        }
        let after = self.sealed.partition_point(|sealed| sealed.id.base <= offset);
        let sealed = after.checked_sub(1).and_then(|at| self.sealed.get(at));
        Location::sealed(sealed.expect("the log start lies in a segment"))
    }

    /// Where the segment after this one begins, or the log ends.
    #[must_use]
    pub fn end_of(&self, base: Offset) -> Offset {
        let after = self.sealed.partition_point(|sealed| sealed.id.base <= base);
        let sealed = self.sealed.get(after).map(|next| next.id.base);
        let rolled = self.draining.iter().map(|next| next.id.base).find(|next| *next > base);
        let active = (self.active.id.base > base).then_some(self.active.id.base);
        sealed.or(rolled).or(active).unwrap_or(self.log_end)
    }

    fn locations(&self) -> impl Iterator<Item = Location<'_>> {
        let sealed = self.sealed.iter().map(Location::sealed);
        sealed.chain(self.draining.iter().map(Location::open)).chain([Location::open(&self.active)])
    }
}

/// A segment as readers see it, whatever its state.
struct Location<'a> {
    id: SegmentId,
    tail: &'a Tail,
    index: Option<&'a SparseIndex>,
    size: u64,
    file_end: u64,
    max_timestamp: Option<(TimestampMs, Offset)>,
}

impl<'a> Location<'a> {
    fn open(segment: &'a super::segment::OpenSegment) -> Location<'a> {
        Location {
            id: segment.id,
            tail: &segment.tail,
            index: Some(&segment.index),
            size: segment.size,
            file_end: segment.readable_end().min(segment.size),
            max_timestamp: segment.index.max_timestamp(segment.id.base),
        }
    }

    fn sealed(segment: &'a super::segment::SealedSegment) -> Location<'a> {
        Location {
            id: segment.id,
            tail: &segment.tail,
            index: segment.index.as_ref(),
            size: segment.size,
            file_end: segment.size,
            max_timestamp: segment.max_timestamp,
        }
    }
}

fn memory<'a>(tail: &Tail, batches: impl Iterator<Item = &'a TailBatch>, limits: &ReadLimits) -> ReadPlan {
    let mut span: Option<(u64, u64)> = None;
    for batch in batches {
        let from = span.map_or(batch.position, |(from, _)| from);
        let fits =
            batch.end_position() - from <= limits.bytes_max as u64 || span.is_none() && limits.first_whole;
        if batch.base >= limits.visible_end || !fits {
            break;
        }
        span = Some((from, batch.end_position()));
    }
    span.map_or(ReadPlan::Empty, |(from, to)| ReadPlan::Memory(tail.slices(from, to)))
}
