//! Indexes of finished segments: loaded when a reader needs one, kept while they are used, and made anew where they mislead.
//!
//! Those kept take `index_bytes` at most, but for one that is larger alone: an index of 1 GiB takes up to 1.5 MiB, and a
//! reader of old records comes by all of them. The one used longest ago goes first.
//!
//! Index files have no checksums, being Kafka's. Whoever goes by an entry looks whether the batches it names are there
//! ([`crate::log::Landmarks`]); if not, the index is made anew from the segment, and all its readers wait for that.

use std::collections::BTreeMap;

use crate::base::io::{IoOp, SegmentId};

use super::io::IoContext;
use super::{Effect, Shard};

#[derive(Debug)]
pub(super) struct Indexes {
    bytes_max: usize,
    bytes: usize,
    loaded: BTreeMap<SegmentId, Loaded>,
    /// Last use → index.
    uses: BTreeMap<u64, SegmentId>,
    next_use: u64,
    /// Made anew, and who waits for that.
    mending: BTreeMap<SegmentId, Vec<u64>>,
}

#[derive(Clone, Copy, Debug)]
struct Loaded {
    slot: u32,
    bytes: usize,
    last_use: u64,
}

impl Indexes {
    pub(super) fn new(bytes_max: usize) -> Indexes {
        Indexes {
            bytes_max,
            bytes: 0,
            loaded: BTreeMap::new(),
            uses: BTreeMap::new(),
            next_use: 0,
            mending: BTreeMap::new(),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Somebody goes by it.
    pub(super) fn used(&mut self, segment: SegmentId) {
        if let Some(loaded) = self.loaded.get_mut(&segment) {
            self.uses.remove(&loaded.last_use);
            self.next_use += 1;
            loaded.last_use = self.next_use;
            self.uses.insert(self.next_use, segment);
        }
    }

    /// It is loaded, maybe once more.
    fn insert(&mut self, segment: SegmentId, slot: u32, bytes: usize) {
        self.remove(segment);
        self.next_use += 1;
        self.bytes += bytes;
        self.loaded.insert(segment, Loaded { slot, bytes, last_use: self.next_use });
        self.uses.insert(self.next_use, segment);
    }

    fn remove(&mut self, segment: SegmentId) -> Option<u32> {
        let Loaded { slot, bytes, last_use } = self.loaded.remove(&segment)?;
        self.uses.remove(&last_use);
        self.bytes -= bytes;
        Some(slot)
    }

    /// One that there is no room for, and its partition's slot.
    fn take_oldest(&mut self) -> Option<(u32, SegmentId)> {
        if self.bytes <= self.bytes_max || self.loaded.len() <= 1 {
            return None;
        }
        let segment = *self.uses.first_key_value()?.1;
        Some((self.remove(segment)?, segment))
    }
}

impl Shard {
    /// Gets a segment's index for a reader.
    pub(super) fn load_index(
        &mut self,
        reader: u64,
        slot: u32,
        segment: SegmentId,
        effects: &mut Vec<Effect>,
    ) {
        self.issue(IoContext::Index { reader, slot, segment }, IoOp::ReadIndex { segment }, effects);
    }

    /// A segment's index files have been read.
    pub(super) fn index_read(
        &mut self,
        (slot, segment): (u32, SegmentId),
        (index, times): (&[u8], &[u8]),
        reader: u64,
        effects: &mut Vec<Effect>,
    ) {
        self.keep_index(slot, segment, index, times);
        self.go_on_with_index(reader, effects);
    }

    /// Has the index of a finished segment made anew for a reader. False if the segment is not a finished one: then its
    /// index has never left memory.
    pub(super) fn mend_index(
        &mut self,
        reader: u64,
        slot: u32,
        segment: SegmentId,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let Some(log) = self.partitions.get(slot).map(|it| &it.log) else { return false };
        let Some(finished) = log.finished(segment) else { return false };
        let waiting = self.indexes.mending.entry(segment).or_default();
        waiting.push(reader);
        if waiting.len() == 1 {
            self.counters.indexes_mended += 1;
            let SegmentId { partition, base } = segment;
            effects.push(Effect::Notice(format!(
                "the index of segment {base} of {partition} leads to no batch of it: it is made anew"
            )));
            let offsets = base..log.end_of(base);
            let op = IoOp::IndexSegment { segment, length: finished.size, offsets };
            self.issue(IoContext::Mend { slot, segment }, op, effects);
        }
        true
    }

    /// It is made, or cannot be.
    pub(super) fn index_mended(
        &mut self,
        (slot, segment): (u32, SegmentId),
        made: Option<(&[u8], &[u8])>,
        effects: &mut Vec<Effect>,
    ) {
        if let Some((index, times)) = made {
            self.keep_index(slot, segment, index, times);
        }
        for reader in self.indexes.mending.remove(&segment).unwrap_or_default() {
            match made {
                Some(_) => self.go_on_with_index(reader, effects),
                None => self.cold_read(reader, Err(()), effects),
            }
        }
    }

    /// A segment's index is in memory: others go if there is no room for all.
    pub(super) fn index_kept(&mut self, slot: u32, segment: SegmentId, bytes: usize) {
        self.indexes.insert(segment, slot, bytes);
        while let Some((slot, segment)) = self.indexes.take_oldest() {
            if let Some(partition) = self.partitions.get_mut(slot) {
                partition.log.drop_index(segment);
            }
        }
    }

    fn keep_index(&mut self, slot: u32, segment: SegmentId, index: &[u8], times: &[u8]) {
        let Some(partition) = self.partitions.get_mut(slot) else { return };
        if let Some(bytes) = partition.log.index_loaded(segment, index, times) {
            self.index_kept(slot, segment, bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Offset, TopicPartition};

    #[test]
    fn the_one_used_longest_ago_goes() {
        let segment = |base| SegmentId { partition: TopicPartition::METADATA, base: Offset(base) };
        let mut indexes = Indexes::new(100);
        for base in 0..4 {
            indexes.insert(segment(base), 7, 30);
            indexes.used(segment(0));
        }
        assert_eq!(indexes.take_oldest(), Some((7, segment(1))));
        assert_eq!((indexes.take_oldest(), indexes.bytes()), (None, 90));
        indexes.insert(segment(2), 7, 10);
        assert_eq!(indexes.bytes(), 70, "loaded once more");
        // One that is larger than all there is room for is kept alone.
        indexes.insert(segment(9), 7, 500);
        let gone: Vec<_> = std::iter::from_fn(|| indexes.take_oldest()).map(|(_, it)| it).collect();
        assert_eq!(gone, [segment(3), segment(0), segment(2)]);
        assert_eq!((indexes.bytes(), indexes.uses.len()), (500, 1));
    }
}
