//! One file: what stable storage holds and, over it, what was written and is not synced.

use std::path::PathBuf;

use ringmain::base::BLOCK_BYTES;
use ringmain::base::rng::Rng;

const SECTOR_BYTES: usize = 512;
/// An allocation adds at most so many bytes to a file: the zeros take real memory, and a file system may refuse too.
const ALLOCATED_MAX: usize = 256 << 10;

#[derive(Clone, Debug, Default)]
pub struct File {
    /// On stable storage.
    pub durable: Vec<u8>,
    /// As readers see it.
    pub visible: Vec<u8>,
    /// Written and not on stable storage, in order: position and bytes.
    pub unsynced: Vec<(usize, Vec<u8>)>,
    /// The file that a rename has put in this one's place, if the rename is not durable yet: the old contents.
    pub replaced: Option<Vec<u8>>,
    /// Whether the file was created but its name is not on stable storage yet.
    pub unnamed: bool,
    /// Names it had before, which it may have again: the renames are not on stable storage.
    pub former: Vec<PathBuf>,
}

impl File {
    pub fn written(bytes: Vec<u8>) -> File {
        File { durable: bytes.clone(), visible: bytes, ..File::default() }
    }

    pub fn sync(&mut self) {
        self.durable.clone_from(&self.visible);
        self.unsynced.clear();
    }

    /// Makes the file's name durable, and the renames that led to it.
    pub fn sync_name(&mut self) {
        self.unnamed = false;
        self.former.clear();
    }

    pub fn allocate(&mut self, bytes: u64) {
        let bytes = usize::try_from(bytes).unwrap().min(self.visible.len() + ALLOCATED_MAX);
        self.visible.resize(bytes.max(self.visible.len()), 0);
    }

    /// What is there after the power was cut.
    pub fn after_power_cut(&self, rng: &mut Rng) -> Vec<u8> {
        let mut left = match &self.replaced {
            Some(old) if rng.below(2) == 0 => old.clone(),
            _ => self.durable.clone(),
        };
        for (at, bytes) in &self.unsynced {
            lose_parts(&mut left, *at, bytes, rng);
        }
        if self.visible.len() > left.len() && rng.below(2) == 0 {
            left.resize(self.visible.len(), 0);
        }
        left
    }
}

pub fn put(target: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if target.len() < at + bytes.len() {
        target.resize(at + bytes.len(), 0);
    }
    target[at..at + bytes.len()].copy_from_slice(bytes);
}

/// Applies any part of a write.
pub fn lose_parts(target: &mut Vec<u8>, at: usize, bytes: &[u8], rng: &mut Rng) {
    for (index, block) in bytes.chunks(BLOCK_BYTES).enumerate() {
        let start = at + index * BLOCK_BYTES;
        match rng.below(5) {
            0 | 1 => {}
            2 | 3 => put(target, start, block),
            _ => {
                for (sector, bytes) in block.chunks(SECTOR_BYTES).enumerate() {
                    if rng.below(2) == 0 {
                        put(target, start + sector * SECTOR_BYTES, bytes);
                    }
                }
            }
        }
    }
}
