//! What the operations of a shard share: memory, open files, and the threads for what takes long.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use crate::base::ShardId;
use crate::runtime::cleaner::{Cleaner, cleaner, indexer};
use crate::runtime::cut::{Cutter, cutter};
use crate::runtime::memory::ChunkMemory;
use crate::runtime::remover::{Remover, remover};
use crate::runtime::snapshots::{Snapshots, snapshots};

use super::open::OpenFiles;

#[derive(Debug)]
pub struct Files {
    pub(super) data: PathBuf,
    pub(super) shard: ShardId,
    pub(super) memory: ChunkMemory,
    pub(super) open: OpenFiles,
    pub(super) cleaner: RefCell<Cleaner>,
    pub(super) indexer: RefCell<Cleaner>,
    pub(super) remover: RefCell<Remover>,
    pub(super) cutter: RefCell<Cutter>,
    pub(super) snapshots: RefCell<Snapshots>,
}

impl Files {
    #[must_use]
    pub fn new(
        data: &Path,
        shard: ShardId,
        memory: ChunkMemory,
        handles_max: usize,
        cleaner_bytes_per_second: u64,
    ) -> Files {
        Files {
            data: data.to_owned(),
            shard,
            memory,
            open: OpenFiles::new(data, shard, handles_max),
            cleaner: RefCell::new(cleaner(cleaner_bytes_per_second)),
            indexer: RefCell::new(indexer()),
            remover: RefCell::new(remover()),
            cutter: RefCell::new(cutter()),
            snapshots: RefCell::new(snapshots()),
        }
    }

    /// Changes what the cleaner may read and write from now on.
    pub fn set_cleaner_rate(&self, bytes_per_second: u64) {
        self.cleaner.borrow().context.store(bytes_per_second, Ordering::Relaxed);
    }
}
