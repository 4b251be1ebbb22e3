//! Indexes of finished segments: loaded when a reader needs one, kept while they are used, and made anew where they mislead.
//!
//! Those kept take `index_bytes` at most, but for one that is larger alone: an index of 1 GiB takes up to 1.5 MiB, and a
//! reader of old records comes by all of them. The one used longest ago goes first.
//!
//! Index files have no checksums, being Kafka's. Whoever goes by an entry looks whether the batches it names are there
//! ([`crate::log::Landmarks`]); if not, the index is made anew from the segment, and all its readers wait for that.

use std::collections::BTreeMap;

use crate::base::io::SegmentId;

#[derive(Debug)]
pub(super) struct Indexes {
    bytes_max: usize,
    bytes: usize,
    loaded: BTreeMap<SegmentId, Loaded>,
    /// Indexes by when they were last used.
    uses: BTreeMap<u64, SegmentId>,
    next_use: u64,
    /// Indexes that are made anew, with the readers that wait.
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

    /// Somebody goes by a segment's index.
    pub(super) fn used(&mut self, segment: SegmentId) {
        if let Some(loaded) = self.loaded.get_mut(&segment) {
            self.uses.remove(&loaded.last_use);
            self.next_use += 1;
            loaded.last_use = self.next_use;
            self.uses.insert(self.next_use, segment);
        }
    }

    /// A segment's index is loaded, maybe once more.
    pub(super) fn insert(&mut self, segment: SegmentId, slot: u32, bytes: usize) {
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

    /// Takes a reader in among those that wait for an index to be made anew. True if it is the first of them.
    pub(super) fn is_first_to_wait(&mut self, reader: u64, segment: SegmentId) -> bool {
        let waiting = self.mending.entry(segment).or_default();
        waiting.push(reader);
        waiting.len() == 1
    }

    /// The readers that have waited for a segment's index to be made anew.
    pub(super) fn take_waiting(&mut self, segment: SegmentId) -> Vec<u64> {
        self.mending.remove(&segment).unwrap_or_default()
    }

    /// An index that there is no room for, and its partition's slot.
    pub(super) fn take_oldest(&mut self) -> Option<(u32, SegmentId)> {
        if self.bytes <= self.bytes_max || self.loaded.len() <= 1 {
            return None;
        }
        let segment = *self.uses.first_key_value()?.1;
        Some((self.remove(segment)?, segment))
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
