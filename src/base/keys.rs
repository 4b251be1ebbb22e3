//! The latest offset of each key in a part of a log. Compaction keeps a record if its key has no later offset. Memory is
//! bounded, whatever the keys' sizes.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};

use super::Offset;

/// Bytes of memory that an entry takes, with its share of the map's free places.
pub const KEY_ENTRY_BYTES: usize = 56;

/// A map from keys to offsets. A key is known by 128 bits of a keyed hash (SipHash, twice). That two keys of a log have the
/// same hash is less likely than any failure of the machine, and a client cannot cause it on purpose.
#[derive(Clone, Debug)]
pub struct KeyOffsets {
    seeds: [u64; 2],
    entries_max: usize,
    latest: HashMap<[u64; 2], i64>,
    from: Offset,
    to: Offset,
}

impl KeyOffsets {
    /// An empty map, for a part of the log that begins at `from`.
    #[must_use]
    pub fn new(from: Offset, entries_max: usize, seeds: [u64; 2]) -> KeyOffsets {
        KeyOffsets { seeds, entries_max, latest: HashMap::new(), from, to: from }
    }

    /// Where the part begins: records below were not read.
    #[must_use]
    pub fn from(&self) -> Offset {
        self.from
    }

    /// Where the part ends: records from here on were not read.
    #[must_use]
    pub fn to(&self) -> Offset {
        self.to
    }

    /// Whether so many more keys have room. The first keys always have room, so that each round of compaction makes progress.
    #[must_use]
    pub fn has_room_for(&self, keys: usize) -> bool {
        self.latest.is_empty() || self.latest.len() + keys <= self.entries_max
    }

    /// Enters a key with its offset. Offsets come in ascending order.
    pub fn note(&mut self, key: &[u8], offset: Offset) {
        self.latest.insert(self.digest(key), offset.0);
    }

    /// Ends the part at `to`: everything below has been read.
    pub fn looked_to(&mut self, to: Offset) {
        self.to = self.to.max(to);
    }

    /// Whether a later record has the same key.
    #[must_use]
    pub fn is_superseded(&self, key: &[u8], offset: Offset) -> bool {
        self.latest.get(&self.digest(key)).is_some_and(|latest| *latest > offset.0)
    }

    fn digest(&self, key: &[u8]) -> [u64; 2] {
        self.seeds.map(|seed| {
            let mut hasher = DefaultHasher::new();
            hasher.write_u64(seed);
            hasher.write(key);
            hasher.finish()
        })
    }
}
