//! Files that are kept open: those of segments, as many as the caller allows, and the commit files.
//!
//! Knows no operation, only which file is wanted and how. An operation under way keeps its file open, whatever is closed here.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use glommio::GlommioError;
use glommio::io::{DmaFile, OpenOptions};

use crate::base::io::SegmentId;
use crate::base::{Offset, ShardId, TopicPartition};
use crate::runtime::layout::{commit_file, commit_folder, partition_folder, segment_file};

#[derive(Debug)]
pub(super) struct OpenFiles {
    data: PathBuf,
    shard: ShardId,
    segments: RefCell<BTreeMap<SegmentId, Rc<Handles>>>,
    /// Last use → segment.
    used: RefCell<BTreeMap<u64, SegmentId>>,
    /// The number of descriptors open for segments.
    open: Cell<usize>,
    handles_max: usize,
    commit: RefCell<HashMap<u32, Rc<DmaFile>>>,
    uses: Cell<u64>,
}

/// The files of one segment, opened when first needed.
#[derive(Debug, Default)]
struct Handles {
    plain: RefCell<Option<Rc<DmaFile>>>,
    durable: RefCell<Option<Rc<DmaFile>>>,
    last_use: Cell<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Plain,
    /// `O_DSYNC`: a completed write is on stable storage.
    Durable,
}

impl OpenFiles {
    pub(super) fn new(data: &Path, shard: ShardId, handles_max: usize) -> OpenFiles {
        OpenFiles {
            data: data.to_owned(),
            shard,
            segments: RefCell::default(),
            used: RefCell::default(),
            open: Cell::new(0),
            handles_max,
            commit: RefCell::default(),
            uses: Cell::new(0),
        }
    }

    pub(super) async fn commit_file(&self, number: u32) -> io::Result<Rc<DmaFile>> {
        if let Some(file) = self.commit.borrow().get(&number) {
            return Ok(Rc::clone(file));
        }
        let path = commit_file(&commit_folder(&self.data, self.shard), number);
        let file = Rc::new(open(&path, Mode::Durable).await?);
        self.commit.borrow_mut().insert(number, Rc::clone(&file));
        Ok(file)
    }

    pub(super) async fn segment(&self, segment: SegmentId, mode: Mode) -> io::Result<Rc<DmaFile>> {
        let handles = self.handles(segment);
        let place = match mode {
            Mode::Plain => &handles.plain,
            Mode::Durable => &handles.durable,
        };
        let known = place.borrow().clone();
        if let Some(file) = known {
            return Ok(file);
        }
        let path = segment_file(&partition_folder(&self.data, segment.partition), segment.base, "log");
        let file = Rc::new(open(&path, mode).await?);
        // Another operation may have opened it meanwhile, or closed it: then nobody finds these handles again.
        let is_first = place.replace(Some(Rc::clone(&file))).is_none();
        let is_kept = self.segments.borrow().get(&segment).is_some_and(|kept| Rc::ptr_eq(kept, &handles));
        if is_first && is_kept {
            self.open.set(self.open.get() + 1);
        }
        self.close_unused();
        Ok(file)
    }

    fn handles(&self, segment: SegmentId) -> Rc<Handles> {
        let handles = Rc::clone(self.segments.borrow_mut().entry(segment).or_default());
        self.uses.set(self.uses.get() + 1);
        let before = handles.last_use.replace(self.uses.get());
        let mut used = self.used.borrow_mut();
        used.remove(&before);
        used.insert(self.uses.get(), segment);
        handles
    }

    /// Closes the file used longest ago when too many are open. Operations under way keep theirs open.
    fn close_unused(&self) {
        while self.open.get() > self.handles_max {
            let Some(oldest) = self.used.borrow().values().next().copied() else { break };
            self.forget_segment(oldest);
        }
    }

    pub(super) fn forget_segment(&self, segment: SegmentId) {
        if let Some(handles) = self.segments.borrow_mut().remove(&segment) {
            self.used.borrow_mut().remove(&handles.last_use.get());
            self.open.set(self.open.get() - handles.count());
        }
    }

    pub(super) fn forget_partition(&self, partition: TopicPartition) {
        let whole =
            SegmentId { partition, base: Offset(0) }..=SegmentId { partition, base: Offset(i64::MAX) };
        let all: Vec<SegmentId> = self.segments.borrow().range(whole).map(|(id, _)| *id).collect();
        all.into_iter().for_each(|segment| self.forget_segment(segment));
    }
}

impl Handles {
    fn count(&self) -> usize {
        usize::from(self.plain.borrow().is_some()) + usize::from(self.durable.borrow().is_some())
    }
}

async fn open(path: &Path, mode: Mode) -> io::Result<DmaFile> {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    if mode == Mode::Durable {
        options.custom_flags(libc::O_DSYNC);
    }
    options.dma_open(path).await.map_err(plain_error)
}

/// The error number, wherever glommio has put it.
pub(super) fn plain_error<T>(error: GlommioError<T>) -> io::Error {
    match error {
        GlommioError::IoError(error) => error,
        GlommioError::EnhancedIoError { source, .. } => source,
        other => io::Error::other(other.to_string()),
    }
}
