//! Sparse offset and time index of one segment: where to begin looking. Never needed for correctness: a lookup without
//! an entry begins at the segment's first byte, a lost index file is rebuilt from the log, and an entry that has rotted is
//! found out by who goes by it ([`Landmarks`]).
//!
//! The files of a finished segment are Kafka's: `.index` = (relative offset i32, position i32)*, `.timeindex` = (timestamp
//! i64, relative offset i32)*, big-endian, ascending. An offset entry names the last offset of the batch at its position; a
//! time entry names the largest timestamp so far and the last offset of the batch that has it.

use std::cmp::Ordering;
use std::ops::Range;

use crate::base::{Offset, TimestampMs};
use crate::record::BatchHeader;

/// Bytes of log between two entries at least. Kafka's default is 4 KiB; a header walk over 16 KiB costs less than a
/// quarter of the index memory saved, and a cold read fetches more than that anyway.
pub const INDEX_INTERVAL_BYTES_MIN: u64 = 16 * 1024;
const OFFSET_ENTRY_BYTES: usize = 8;
const TIME_ENTRY_BYTES: usize = 12;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SparseIndex {
    offsets: Vec<OffsetEntry>,
    times: Vec<TimeEntry>,
    /// Position of the batch last entered.
    indexed_to: u64,
    /// The largest timestamp of any batch so far, entered or not.
    max: Option<TimeEntry>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct OffsetEntry {
    relative: u32,
    position: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TimeEntry {
    timestamp: i64,
    relative: u32,
}

/// An entry of an index with the largest timestamp up to it: enough to go on from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexMark {
    entry: OffsetEntry,
    max: TimeEntry,
}

/// Bytes of an encoded mark: an entry of either file.
pub const INDEX_MARK_BYTES: usize = OFFSET_ENTRY_BYTES + TIME_ENTRY_BYTES;

impl IndexMark {
    #[must_use]
    pub fn position(&self) -> u64 {
        u64::from(self.entry.position)
    }

    /// The batch's position, and its last offset.
    #[must_use]
    pub fn batch(&self, base: Offset) -> (u64, Offset) {
        (self.position(), base.plus(i64::from(self.entry.relative)))
    }

    /// The largest timestamp up to it, and the last offset of the batch that has it.
    #[must_use]
    pub fn max_timestamp(&self, base: Offset) -> (TimestampMs, Offset) {
        (TimestampMs(self.max.timestamp), base.plus(i64::from(self.max.relative)))
    }

    #[must_use]
    pub fn encode(&self) -> [u8; INDEX_MARK_BYTES] {
        let mut bytes = [0; INDEX_MARK_BYTES];
        bytes[..OFFSET_ENTRY_BYTES].copy_from_slice(&encode_offset(self.entry));
        bytes[OFFSET_ENTRY_BYTES..].copy_from_slice(&encode_time(self.max));
        bytes
    }

    /// Reads a mark back. `None` if there are fewer bytes than [`INDEX_MARK_BYTES`].
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<IndexMark> {
        let (entry, max) = bytes.split_at_checked(OFFSET_ENTRY_BYTES)?;
        Some(IndexMark { entry: offset_entry(entry)?, max: time_entry(max)? })
    }
}

/// The place where an index says to begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lead {
    pub position: u64,
    pub landmarks: Landmarks,
}

/// What an index says of the batches from a position on. Its files are Kafka's and have no checksums: an entry that has
/// rotted could lead beyond what is sought, and records would be missing without a word. So the reader passes the batches
/// it meets by this.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Landmarks {
    /// The last offset of the batch at the position.
    first: Option<Offset>,
    /// The last offset and the timestamp of the batch with the largest timestamp up to it.
    latest: Option<(Offset, TimestampMs)>,
}

impl Landmarks {
    /// Tells whether this batch may come next, and takes note of it.
    pub fn pass(&mut self, last_offset: Offset, max_timestamp: TimestampMs) -> bool {
        let is_first = self.first.take().is_none_or(|first| first == last_offset);
        let Some((offset, largest)) = self.latest else { return is_first };
        if last_offset >= offset {
            self.latest = None;
        }
        is_first
            && match last_offset.cmp(&offset) {
                Ordering::Less => max_timestamp <= largest,
                Ordering::Equal => max_timestamp == largest,
                Ordering::Greater => false,
            }
    }

    /// Tells whether every batch that was named has come.
    #[must_use]
    pub fn are_passed(&self) -> bool {
        self.first.is_none() && self.latest.is_none()
    }
}

/// What the index wants to know of a batch.
#[derive(Clone, Copy, Debug)]
pub struct IndexedBatch {
    pub last_offset: Offset,
    pub max_timestamp: TimestampMs,
    pub position: u64,
}

impl IndexedBatch {
    #[must_use]
    pub fn of(header: &BatchHeader, position: u64) -> IndexedBatch {
        let (last_offset, max_timestamp) = (header.last_offset(), header.max_timestamp);
        IndexedBatch { last_offset, max_timestamp, position }
    }
}

impl SparseIndex {
    /// Takes note of the batch at `position`; enters it if `interval_bytes` have passed since the last entry. Batches
    /// come in order.
    pub fn note(&mut self, base: Offset, batch: IndexedBatch, interval_bytes: u64) {
        let relative = relative(base, batch.last_offset);
        if self.max.is_none_or(|max| batch.max_timestamp.0 > max.timestamp) {
            self.max = Some(TimeEntry { timestamp: batch.max_timestamp.0, relative });
        }
        let interval = interval_bytes.max(INDEX_INTERVAL_BYTES_MIN);
        if batch.position < self.indexed_to + interval {
            return;
        }
        let Ok(position) = u32::try_from(batch.position) else { return };
        self.indexed_to = batch.position;
        self.offsets.push(OffsetEntry { relative, position });
        self.enter_max();
    }

    /// Where to begin looking for `offset`: at a batch that begins at or before it.
    #[must_use]
    pub fn lead_to(&self, base: Offset, offset: Offset) -> Lead {
        let relative = relative(base, offset);
        // The entry names the batch's last offset: the batch at it may begin before `offset` only if its last offset
        // does not lie beyond.
        let after = self.offsets.partition_point(|entry| entry.relative <= relative);
        let Some(entry) = after.checked_sub(1).and_then(|at| self.offsets.get(at)) else {
            return Lead::default();
        };
        let first = Some(base.plus(i64::from(entry.relative)));
        Lead { position: u64::from(entry.position), landmarks: Landmarks { first, latest: None } }
    }

    /// Where to begin looking for the first record at or after `timestamp`.
    #[must_use]
    pub fn lead_to_time(&self, base: Offset, timestamp: TimestampMs) -> Lead {
        let after = self.times.partition_point(|entry| entry.timestamp < timestamp.0);
        match after.checked_sub(1).and_then(|at| self.times.get(at)) {
            Some(entry) => {
                let offset = base.plus(i64::from(entry.relative));
                self.lead_to_largest(base, TimestampMs(entry.timestamp), offset)
            }
            None => Lead::default(),
        }
    }

    /// Where to begin looking for the batch with this last offset, which has the largest timestamp up to it.
    #[must_use]
    pub fn lead_to_largest(&self, base: Offset, timestamp: TimestampMs, offset: Offset) -> Lead {
        let lead = self.lead_to(base, offset);
        Lead { landmarks: Landmarks { latest: Some((offset, timestamp)), ..lead.landmarks }, ..lead }
    }

    /// The largest timestamp and the last offset of the batch that has it.
    #[must_use]
    pub fn max_timestamp(&self, base: Offset) -> Option<(TimestampMs, Offset)> {
        self.max.map(|max| (TimestampMs(max.timestamp), base.plus(i64::from(max.relative))))
    }

    /// The files' bytes. A last time entry carries the segment's maximum, as Kafka writes it when a segment rolls.
    #[must_use]
    pub fn encode(&self) -> (Vec<u8>, Vec<u8>) {
        let mut index = Vec::with_capacity(self.offsets.len() * OFFSET_ENTRY_BYTES);
        for entry in &self.offsets {
            index.extend_from_slice(&encode_offset(*entry));
        }
        let mut times = Vec::with_capacity((self.times.len() + 1) * TIME_ENTRY_BYTES);
        let unentered = self.max.filter(|max| self.times.last() != Some(max));
        for entry in self.times.iter().chain(&unentered) {
            times.extend_from_slice(&encode_time(*entry));
        }
        (index, times)
    }

    /// Reads the files back, up to the first entry that is out of order or at or beyond `position_end`: what follows
    /// was written for a log that did not survive, or by nobody.
    #[must_use]
    pub fn decode(index: &[u8], times: &[u8], position_end: u64) -> SparseIndex {
        let mut decoded = SparseIndex::default();
        for bytes in index.chunks_exact(OFFSET_ENTRY_BYTES) {
            let Some(entry) = offset_entry(bytes) else { break };
            let ascends = decoded
                .offsets
                .last()
                .is_none_or(|last| last.relative < entry.relative && last.position < entry.position);
            if !ascends || u64::from(entry.position) >= position_end {
                break;
            }
            decoded.offsets.push(entry);
        }
        for bytes in times.chunks_exact(TIME_ENTRY_BYTES) {
            let Some(entry) = time_entry(bytes) else { break };
            let ascends = decoded
                .times
                .last()
                .is_none_or(|last| last.timestamp < entry.timestamp && last.relative <= entry.relative);
            if !ascends {
                break;
            }
            decoded.times.push(entry);
        }
        decoded.indexed_to = decoded.offsets.last().map_or(0, |entry| u64::from(entry.position));
        decoded.max = decoded.times.last().copied();
        decoded
    }

    /// Forgets what lies at or beyond `offset`: recovery found the log ending earlier, or scans that part again.
    pub fn truncate(&mut self, base: Offset, offset: Offset) {
        let end = relative(base, offset);
        self.offsets.retain(|entry| entry.relative < end);
        self.times.retain(|entry| entry.relative < end);
        self.indexed_to = self.offsets.last().map_or(0, |entry| u64::from(entry.position));
        self.max = self.times.last().copied();
    }

    /// The last entry: the last offset of a batch, and the batch's position.
    #[must_use]
    pub fn last_entry(&self, base: Offset) -> Option<(Offset, u64)> {
        self.offsets.last().map(|entry| (base.plus(i64::from(entry.relative)), u64::from(entry.position)))
    }

    /// The last entry of a batch before `position`.
    #[must_use]
    pub fn mark_before(&self, position: u64) -> Option<IndexMark> {
        self.mark_of(*self.offsets.get(self.entries_before(position).checked_sub(1)?)?)
    }

    /// How many entries there are of batches before `position`.
    #[must_use]
    pub fn entries_before(&self, position: u64) -> usize {
        self.offsets.partition_point(|entry| u64::from(entry.position) < position)
    }

    /// Entries by their numbers; without those for which files that were cut off gave no timestamp.
    pub fn marks(&self, numbers: Range<usize>) -> impl Iterator<Item = IndexMark> {
        self.offsets.get(numbers).unwrap_or_default().iter().filter_map(|entry| self.mark_of(*entry))
    }

    fn mark_of(&self, entry: OffsetEntry) -> Option<IndexMark> {
        let later = self.times.partition_point(|time| time.relative <= entry.relative);
        Some(IndexMark { entry, max: *self.times.get(later.checked_sub(1)?)? })
    }

    /// Goes on from a mark beyond the last entry: of what lies between there are no entries, so that lookups begin further
    /// ahead. Returns whether it did.
    pub fn resume_at(&mut self, mark: IndexMark) -> bool {
        let follows =
            |last: &OffsetEntry| last.relative < mark.entry.relative && last.position < mark.entry.position;
        let is_new = self.offsets.last().is_none_or(follows);
        if !is_new && self.offsets.last() != Some(&mark.entry) {
            return false;
        }
        if is_new {
            self.offsets.push(mark.entry);
            self.indexed_to = mark.position();
        }
        // Also of the entry that was the last: the file with the times may be behind.
        if self.max.is_none_or(|max| max.timestamp < mark.max.timestamp) {
            self.max = Some(mark.max);
        }
        self.enter_max();
        is_new
    }

    /// The memory the index takes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.offsets.capacity() * size_of::<OffsetEntry>() + self.times.capacity() * size_of::<TimeEntry>()
    }

    /// The number of entries by offset.
    #[must_use]
    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty() && self.times.is_empty()
    }

    fn enter_max(&mut self) {
        if let Some(max) = self.max
            && self.times.last().is_none_or(|last| last.timestamp < max.timestamp)
        {
            self.times.push(max);
        }
    }
}

fn relative(base: Offset, offset: Offset) -> u32 {
    u32::try_from(offset.since(base).max(0)).unwrap_or(u32::MAX)
}

fn encode_offset(entry: OffsetEntry) -> [u8; OFFSET_ENTRY_BYTES] {
    let mut bytes = [0; OFFSET_ENTRY_BYTES];
    bytes[..4].copy_from_slice(&entry.relative.to_be_bytes());
    bytes[4..].copy_from_slice(&entry.position.to_be_bytes());
    bytes
}

fn encode_time(entry: TimeEntry) -> [u8; TIME_ENTRY_BYTES] {
    let mut bytes = [0; TIME_ENTRY_BYTES];
    bytes[..8].copy_from_slice(&entry.timestamp.to_be_bytes());
    bytes[8..].copy_from_slice(&entry.relative.to_be_bytes());
    bytes
}

fn offset_entry(bytes: &[u8]) -> Option<OffsetEntry> {
    let (relative, position) = bytes.split_first_chunk::<4>()?;
    Some(OffsetEntry {
        relative: u32::from_be_bytes(*relative),
        position: u32::from_be_bytes(position.try_into().ok()?),
    })
}

fn time_entry(bytes: &[u8]) -> Option<TimeEntry> {
    let (timestamp, relative) = bytes.split_first_chunk::<8>()?;
    Some(TimeEntry {
        timestamp: i64::from_be_bytes(*timestamp),
        relative: u32::from_be_bytes(relative.try_into().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Offset = Offset(1000);

    fn index() -> SparseIndex {
        let mut index = SparseIndex::default();
        for at in 0..10i64 {
            let (last_offset, max_timestamp) = batch(at);
            let (last_offset, max_timestamp) = (Offset(last_offset), TimestampMs(max_timestamp));
            let position = at.unsigned_abs() * 10_000;
            index.note(BASE, IndexedBatch { last_offset, max_timestamp, position }, 4096);
        }
        index
    }

    /// The last offset and the largest timestamp of the batch number `at`; each batch has 10,000 bytes.
    fn batch(at: i64) -> (i64, i64) {
        (BASE.0 + at * 10 + 9, if at == 5 { 900 } else { 100 + at })
    }

    #[test]
    fn lookups_begin_at_or_before_what_they_seek() {
        let index = index();
        for (offset, position) in
            [(1000, 0), (1019, 0), (1029, 20_000), (1048, 20_000), (1049, 40_000), (9999, 80_000)]
        {
            assert_eq!(index.lead_to(BASE, Offset(offset)).position, position, "offset {offset}");
        }
        assert_eq!(index.lead_to_time(BASE, TimestampMs(0)).position, 0);
        assert!(index.lead_to_time(BASE, TimestampMs(900)).position <= 50_000);
        assert_eq!(index.max_timestamp(BASE), Some((TimestampMs(900), Offset(1059))));
    }

    #[test]
    fn landmarks_are_the_batches_an_entry_names() {
        let index = index();
        // From a position on; what ends with this offset has this timestamp.
        let batches = |from: u64| (from / 10_000..10).map(|at| batch(i64::try_from(at).expect("few")));
        let pass = |lead: Lead, change: &dyn Fn((i64, i64)) -> (i64, i64)| {
            let mut landmarks = lead.landmarks;
            let is_passed = batches(lead.position)
                .map(change)
                .all(|(last_offset, timestamp)| landmarks.pass(Offset(last_offset), TimestampMs(timestamp)));
            is_passed && landmarks.are_passed()
        };
        let same = |batch| batch;
        for offset in 1000..1100 {
            assert!(pass(index.lead_to(BASE, Offset(offset)), &same), "offset {offset}");
        }
        for time in (90..120).chain(895..905) {
            assert!(pass(index.lead_to_time(BASE, TimestampMs(time)), &same), "time {time}");
        }
        let lead = index.lead_to(BASE, Offset(1049));
        assert_eq!(lead.position, 40_000);
        assert!(!pass(lead, &|(last_offset, time)| (last_offset + 1, time)), "another batch");
        // Entries name the fourth batch, and after it the one with the largest timestamp, which has none of its own.
        let lead = index.lead_to_time(BASE, TimestampMs(2000));
        assert_eq!(lead.position, 40_000);
        for wrong in [800, 899, 901] {
            assert!(!pass(lead, &|(at, time)| (at, if time == 900 { wrong } else { time })), "{wrong}");
        }
        assert!(!pass(lead, &|(at, time)| (at, if at == 1049 { 901 } else { time })), "larger before");
        assert!(!pass(lead, &|(at, time)| (if at == 1059 { 1060 } else { at }, time)), "not there");
    }

    #[test]
    fn files_survive_and_their_tails_are_cut() {
        let index = index();
        let (offsets, times) = index.encode();
        let again = SparseIndex::decode(&offsets, &times, u64::MAX);
        assert_eq!(again.max_timestamp(BASE), index.max_timestamp(BASE));
        assert_eq!(again.lead_to(BASE, Offset(1049)).position, 40_000);
        let cut = SparseIndex::decode(&offsets, &times, 40_000);
        assert_eq!(cut.lead_to(BASE, Offset(9999)).position, 20_000);
        let torn = SparseIndex::decode(&offsets[..offsets.len() - 3], &[0xFF; 5], u64::MAX);
        assert_eq!(torn.lead_to(BASE, Offset(9999)).position, 60_000);
        let mark = index.mark_before(80_000).expect("there are entries before");
        assert_eq!((mark.position(), mark.max.timestamp, mark.max.relative), (60_000, 900, 59));
        assert_eq!(IndexMark::decode(&mark.encode()), Some(mark));
        assert_eq!(index.mark_before(0), None);
        let mut gone_on = SparseIndex::decode(&offsets[..8], &times[..12], u64::MAX);
        assert!(gone_on.resume_at(mark) && !gone_on.resume_at(mark));
        assert_eq!(gone_on.last_entry(BASE), index.mark_before(70_000).map(|_| (Offset(1069), 60_000)));
        assert_eq!(gone_on.max_timestamp(BASE), index.max_timestamp(BASE));
        assert_eq!(gone_on.lead_to(BASE, Offset(1049)).position, 20_000, "further ahead");
        let mut truncated = index.clone();
        truncated.truncate(BASE, Offset(1040));
        assert_eq!(truncated.lead_to(BASE, Offset(9999)).position, 20_000);
    }
}
