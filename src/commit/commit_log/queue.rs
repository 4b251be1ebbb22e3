//! Entries that wait for a commit group, and which of them the next group takes.
//!
//! Tails that are logged again go first: an old file can only be freed when they have moved out of it. So do the entries of a
//! cut, which keeps an old file in use until it is done.

use std::collections::VecDeque;

use crate::base::{BLOCK_BYTES, ChunkSlice};
use crate::commit::entry::{ENTRY_HEADER_BYTES, Says};
use crate::commit::group::GROUP_HEADER_BYTES;

/// Which entry of which partition it is. The commit log only gives it back when the entry is durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Receipt {
    /// The shard's slot of the partition.
    pub slot: u32,
    pub logged: Logged,
}

/// What of a partition an entry is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Logged {
    /// An append, by the partition's own number for it.
    Append(u64),
    /// A tail that is logged again.
    Tail,
    /// A step of a cut.
    Cut,
    /// The files of a partition are to be removed.
    Drop,
}

/// An entry waiting for its group.
#[derive(Debug)]
pub struct Pending {
    pub says: Says,
    pub data: [Option<ChunkSlice>; 2],
    pub receipt: Receipt,
}

impl Pending {
    pub(super) fn payload_bytes(&self) -> usize {
        self.data.iter().flatten().map(|piece| piece.len()).sum()
    }

    fn group_bytes(&self) -> usize {
        ENTRY_HEADER_BYTES + self.payload_bytes()
    }
}

/// What waits for a group, oldest first.
#[derive(Debug)]
pub(super) struct Queue {
    entries: VecDeque<Pending>,
    /// Tails logged again so that an old file can be freed, and the entries of cuts. Only they may use the reserve.
    relogged: VecDeque<Pending>,
    bytes: usize,
    /// The largest group.
    group_bytes_max: usize,
}

/// Which entries a group may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Takes {
    Everything,
    /// The reserve has been begun: what it holds must be enough for all tails, or nothing would ever be freed again.
    OnlyTails,
}

/// What the next group takes from the front of both queues.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Selection {
    pub relogged: usize,
    pub entries: usize,
    /// Bytes of the group without padding.
    pub bytes: usize,
}

impl Selection {
    pub fn is_empty(self) -> bool {
        self.relogged + self.entries == 0
    }
}

impl Queue {
    pub fn new(group_bytes_max: usize) -> Queue {
        Queue { entries: VecDeque::new(), relogged: VecDeque::new(), bytes: 0, group_bytes_max }
    }

    pub fn push(&mut self, entry: Pending) {
        assert!(
            entry.group_bytes() <= self.group_bytes_max - GROUP_HEADER_BYTES,
            "larger runs go to their segment"
        );
        self.bytes += entry.group_bytes();
        self.entries.push_back(entry);
    }

    pub fn relog(&mut self, entry: Pending) {
        assert!(
            entry.payload_bytes() < BLOCK_BYTES,
            "only the part of a block that no segment write can take"
        );
        self.bytes += entry.group_bytes();
        self.relogged.push_back(entry);
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.relogged.is_empty()
    }

    /// How many re-logged tails and how many entries the next group takes. Entries follow only when all tails fit.
    pub fn select(&self, takes: Takes) -> Selection {
        let mut bytes = GROUP_HEADER_BYTES;
        let mut take = |queue: &VecDeque<Pending>| {
            let mut count = 0;
            for entry in queue {
                if bytes > GROUP_HEADER_BYTES && bytes + entry.group_bytes() > self.group_bytes_max {
                    break;
                }
                bytes += entry.group_bytes();
                count += 1;
            }
            count
        };
        let relogged = take(&self.relogged);
        let takes_entries = relogged == self.relogged.len() && takes == Takes::Everything;
        let entries = if takes_entries { take(&self.entries) } else { 0 };
        Selection { relogged, entries, bytes }
    }

    /// Takes a selection out, tails first.
    pub fn take(&mut self, selection: Selection) -> impl Iterator<Item = Pending> + '_ {
        let bytes = &mut self.bytes;
        let taken = self.relogged.drain(..selection.relogged).chain(self.entries.drain(..selection.entries));
        taken.inspect(|entry| *bytes -= entry.group_bytes())
    }

    /// Takes everything out, tails first.
    pub fn take_all(&mut self) -> impl Iterator<Item = Pending> + '_ {
        self.bytes = 0;
        self.relogged.drain(..).chain(self.entries.drain(..))
    }
}
