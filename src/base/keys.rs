//! The latest offset of each key in a stretch of log: what compaction goes by. Memory is bounded, whatever the keys' sizes.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};

use super::Offset;

/// What an entry takes, with the map's spare room.
pub const KEY_ENTRY_BYTES: usize = 56;

/// Keys are known by 128 bits of a keyed hash (SipHash, twice): that two of a log's keys share one is less likely than any
/// failure of the machine, and nobody outside can aim at it.
#[derive(Clone, Debug)]
pub struct KeyOffsets {
    seeds: [u64; 2],
    entries_max: usize,
    latest: HashMap<[u64; 2], i64>,
    from: Offset,
    to: Offset,
}

impl KeyOffsets {
    /// Of the log from `from` on, which is yet to be looked at.
    #[must_use]
    pub fn new(from: Offset, entries_max: usize, seeds: [u64; 2]) -> KeyOffsets {
        KeyOffsets { seeds, entries_max, latest: HashMap::new(), from, to: from }
    }

    /// Records below were not looked at.
    #[must_use]
    pub fn from(&self) -> Offset {
        self.from
    }

    /// Records from here on were not looked at.
    #[must_use]
    pub fn to(&self) -> Offset {
        self.to
    }

    /// Whether so many more keys have room. The first ones always have: each round gets somewhere.
    #[must_use]
    pub fn has_room_for(&self, keys: usize) -> bool {
        self.latest.is_empty() || self.latest.len() + keys <= self.entries_max
    }

    /// Offsets come in ascending order.
    pub fn note(&mut self, key: &[u8], offset: Offset) {
        self.latest.insert(self.digest(key), offset.0);
    }

    /// Everything below has been looked at.
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
