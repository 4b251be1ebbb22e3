//! Performs disk operations: segment files, commit files, checkpoints.
//!
//! Direct I/O throughout for data; names, indexes and checkpoints go through ordinary calls on glommio's blocking thread.
//! Lives on every shard; open handles are bounded by the caller's `handles_max`.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use glommio::GlommioError;
use glommio::io::{DmaBuffer, DmaFile, OpenOptions};

use crate::base::io::{IoDone, IoOp, Sealing, SegmentId, WriteData};
use crate::base::{BLOCK_BYTES, Chunk, ChunkSlice, Offset, ShardId, TopicPartition};

use super::background::answer;
use super::cleaner::{Answer, Cleaner, Job, cleaner, indexer};
use super::durable::{sync_file_system, sync_names, sync_once};
use super::memory::{ChunkBuffer, ChunkMemory, from_read};
use super::recovery::{
    BESIDE, MARKS, commit_file, commit_folder, partition_folder, segment_file, write_index,
};
use super::remover::{Gone, Remover, absent_is_fine, remover};

/// A commit file is pre-written in pieces of this size, each awaited, so that the foreground's writes get in between.
const PREWRITE_PIECE_BYTES: usize = 1024 * 1024;

/// Extension of an old segment's file that is kept to be used again.
const SPARE: &str = "spare";

/// Between two files that nobody waits for. One that takes longer waits for the disk, and leaves the processor by itself.
const PAUSE_MAX: Duration = Duration::from_millis(2);

/// Kept free for a checkpoint at least.
const RESERVE_BYTES_MIN: u64 = 256 * 1024;

#[derive(Debug)]
pub struct Files {
    data: PathBuf,
    shard: ShardId,
    memory: ChunkMemory,
    segments: RefCell<BTreeMap<SegmentId, Rc<Handles>>>,
    /// Last use → segment.
    used: RefCell<BTreeMap<u64, SegmentId>>,
    /// Descriptors of segments.
    open: Cell<usize>,
    handles_max: usize,
    commit: RefCell<HashMap<u32, Rc<DmaFile>>>,
    uses: Cell<u64>,
    cleaner: RefCell<Cleaner>,
    indexer: RefCell<Cleaner>,
    remover: RefCell<Remover>,
}

/// The files of one segment, opened when first needed.
#[derive(Debug, Default)]
struct Handles {
    plain: RefCell<Option<Rc<DmaFile>>>,
    durable: RefCell<Option<Rc<DmaFile>>>,
    last_use: Cell<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Plain,
    /// `O_DSYNC`: a completed write is on stable storage.
    Durable,
}

/// glommio decides once per thread and device whether polled I/O works, by one read of the first file it opens; on an
/// empty file it decides wrongly and later reads fail. So the first file is this one, and each shard has its own: writing
/// it makes it empty for a moment.
pub async fn probe(data: &Path, shard: ShardId) -> io::Result<()> {
    let path = probe_file(data, shard);
    fs::write(&path, vec![0; 4096]).and_then(|()| fs::File::open(&path)?.sync_all())?;
    let file = DmaFile::open(&path).await.map_err(plain_error)?;
    file.close().await.map_err(plain_error)
}

fn probe_file(data: &Path, shard: ShardId) -> PathBuf {
    data.join(format!("meta/probe-{shard}"))
}

/// Segment files that each shard may keep open: half of the descriptors are for them, half for connections.
#[must_use]
pub fn handles_max(shards: u16) -> usize {
    const HANDLES_MIN: u64 = 128;
    const HANDLES_MAX: u64 = 64 * 1024;
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a limit that outlives the call; a failure leaves it as it is.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    let each = limit.rlim_cur / 2 / u64::from(shards);
    usize::try_from(each.clamp(HANDLES_MIN, HANDLES_MAX)).unwrap_or(usize::MAX)
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
            segments: RefCell::default(),
            used: RefCell::default(),
            open: Cell::new(0),
            handles_max,
            commit: RefCell::default(),
            uses: Cell::new(0),
            cleaner: RefCell::new(cleaner(cleaner_bytes_per_second)),
            indexer: RefCell::new(indexer()),
            remover: RefCell::new(remover()),
        }
    }

    /// What the cleaner may read and write from now on.
    pub fn set_cleaner_rate(&self, bytes_per_second: u64) {
        self.cleaner.borrow().context.store(bytes_per_second, Ordering::Relaxed);
    }

    /// Performs one operation. Never dropped before it ends: its task is detached.
    pub async fn perform(&self, op: IoOp) -> IoDone {
        // A read that fails costs only its reader, so this line is all an operator hears of it.
        let read = match &op {
            IoOp::ReadSegment { segment, position, length } => Some((*segment, *position, *length)),
            _ => None,
        };
        let outcome = self.try_perform(op).await;
        if let (Err(error), Some((segment, position, length))) = (&outcome, read) {
            tracing::error!(shard = %self.shard, ?segment, position, length, %error, "a segment cannot be read");
        }
        match outcome {
            Ok(done) => done,
            Err(error) if error.raw_os_error() == Some(libc::ENOSPC) => IoDone::DiskFull,
            Err(error) if error.raw_os_error() == Some(libc::EDQUOT) => IoDone::DiskFull,
            Err(error) => IoDone::Failed(error.to_string()),
        }
    }

    async fn try_perform(&self, op: IoOp) -> io::Result<IoDone> {
        match op {
            IoOp::CreateSegment { segment, allocate_bytes, names, spare, leisurely } => {
                self.create(segment, names, spare, leisurely).await?;
                if allocate_bytes > 0 {
                    self.allocate(segment, allocate_bytes).await
                } else {
                    Ok(IoDone::Done)
                }
            }
            IoOp::Allocate { segment, allocate_bytes } => self.allocate(segment, allocate_bytes).await,
            IoOp::WriteSegment { segment, position, data, durable } => {
                let file = self.segment(segment, if durable { Mode::Durable } else { Mode::Plain }).await?;
                self.write(&file, data, position).await
            }
            IoOp::SyncSegment { segment, names } => {
                self.sync(segment).await?;
                let (data, folder) = (self.data.clone(), partition_folder(&self.data, segment.partition));
                let sync_names = move || sync_names(&data, &folder).map(|()| IoDone::Done);
                if names { blocking(sync_names).await } else { Ok(IoDone::Done) }
            }
            IoOp::SyncAll => {
                let (data, probe) = (self.data.clone(), probe_file(&self.data, self.shard));
                let sync = move || {
                    let mut options = fs::OpenOptions::new();
                    let probe = options.write(true).create(true).truncate(false).open(probe)?;
                    sync_file_system(&fs::File::open(data)?, &probe).map(|()| IoDone::Done)
                };
                blocking(sync).await
            }
            IoOp::SealSegment { segment, length, index, time_index, sync } => {
                self.seal(segment, length, (index, time_index), sync).await
            }
            IoOp::WriteMarks { segment, position, marks } => {
                let folder = partition_folder(&self.data, segment.partition);
                blocking(move || write_marks(&folder, segment, position, &marks)).await
            }
            IoOp::ReadSegment { segment, position, length } => self.read(segment, position, length).await,
            IoOp::ReadIndex { segment } => {
                let folder = partition_folder(&self.data, segment.partition);
                let read = move || {
                    let index = fs::read(segment_file(&folder, segment.base, "index")).unwrap_or_default();
                    let time_index =
                        fs::read(segment_file(&folder, segment.base, "timeindex")).unwrap_or_default();
                    Ok(IoDone::Index { index, time_index })
                };
                blocking(read).await
            }
            IoOp::IndexSegment { segment, length, offsets } => {
                let (base, path) = (segment.base, self.log_file(segment));
                self.clean(Job::Index { base, path, length, offsets }).await
            }
            IoOp::DeleteSegment { segment } => {
                self.forget_segment(segment);
                self.remove(Gone::Segment(self.log_file(segment))).await
            }
            IoOp::SpareSegment { segment } => {
                self.forget_segment(segment);
                let path = self.log_file(segment);
                blocking(move || make_spare(&path)).await
            }
            IoOp::DeleteSpare { segment } => {
                let path = self.log_file(segment).with_extension(SPARE);
                self.remove(Gone::Segment(path)).await
            }
            IoOp::MapKeys { segments, keys } => {
                let file = |(segment, length): (SegmentId, u64)| (self.log_file(segment), length);
                self.clean(Job::Map { files: segments.into_iter().map(file).collect(), keys }).await
            }
            IoOp::CleanSegment { segment, length, keys, now, delete_retention_ms } => {
                let (base, path) = (segment.base, self.log_file(segment));
                self.clean(Job::Clean { base, path, length, keys, now, delete_retention_ms }).await
            }
            IoOp::VerifySegment { segment, position, length, bytes, offsets } => {
                let path = self.log_file(segment);
                self.clean(Job::Verify { path, position, length, bytes, offsets }).await
            }
            IoOp::SyncCleaned { segment, index, time_index } => {
                let folder = partition_folder(&self.data, segment.partition);
                let finish = move || {
                    fs::File::open(&folder)?.sync_all()?;
                    write_index(&folder, segment.base, &index, &time_index).map(|()| IoDone::Done)
                };
                blocking(finish).await
            }
            IoOp::DeletePartition { partition } => {
                self.forget_partition(partition);
                self.remove(Gone::Partition(partition_folder(&self.data, partition))).await
            }
            IoOp::WriteCommit { file, position, data } => {
                let file = self.commit_file(file).await?;
                self.write(&file, WriteData::Whole(data), position).await
            }
            IoOp::CreateCommitFile { file, bytes } => self.create_commit_file(file, bytes).await,
            IoOp::WriteCheckpoint { bytes } => {
                let path = commit_folder(&self.data, self.shard).join("checkpoint");
                blocking(move || replace_with_reserve(&path, &bytes)).await
            }
        }
    }

    fn log_file(&self, segment: SegmentId) -> PathBuf {
        segment_file(&partition_folder(&self.data, segment.partition), segment.base, "log")
    }

    async fn clean(&self, job: Job) -> io::Result<IoDone> {
        let to = if matches!(job, Job::Index { .. }) { &self.indexer } else { &self.cleaner };
        let answered = to.borrow_mut().begin(job)?;
        Ok(match answer(answered).await? {
            Answer::Keys(keys) => IoDone::Keys(keys),
            Answer::Verified { to, next, damage } => IoDone::Verified { to, next, damage },
            Answer::Cleaned(cleaned) => IoDone::Cleaned(cleaned),
            Answer::Index { index, time_index } => IoDone::Index { index, time_index },
        })
    }

    async fn remove(&self, gone: Gone) -> io::Result<IoDone> {
        let answered = self.remover.borrow_mut().begin(gone)?;
        answer(answered).await.map(|()| IoDone::Done)
    }

    /// Puts what stays of a segment in its place, at once: whoever reads next reads the new file. Either file is there
    /// after a crash; an index that fits neither is gone before.
    pub fn swap(&self, segment: SegmentId) -> io::Result<()> {
        let path = self.log_file(segment);
        for extension in BESIDE {
            absent_is_fine(fs::remove_file(path.with_extension(extension)))?;
        }
        fs::rename(path.with_extension("cleaned"), &path)?;
        self.forget_segment(segment);
        Ok(())
    }

    async fn create(
        &self,
        segment: SegmentId,
        names: bool,
        spare: Option<SegmentId>,
        leisurely: bool,
    ) -> io::Result<IoDone> {
        let data = self.data.clone();
        let make = move || {
            let begun = Instant::now();
            let folder = partition_folder(&data, segment.partition);
            let path = segment_file(&folder, segment.base, "log");
            fs::create_dir_all(&folder)?;
            if let Some(spare) = spare {
                // When this is tried again after the disk was full, it has its name already.
                absent_is_fine(fs::rename(segment_file(&folder, spare.base, SPARE), &path))?;
            }
            let mut options = fs::OpenOptions::new();
            options.write(true).create(true).truncate(false).open(path)?;
            if names {
                sync_names(&data, &folder)?;
            }
            if leisurely {
                thread::sleep(begun.elapsed().min(PAUSE_MAX));
            }
            Ok(IoDone::Done)
        };
        blocking(make).await
    }

    async fn sync(&self, segment: SegmentId) -> io::Result<()> {
        let file = self.segment(segment, Mode::Plain).await?;
        file.fdatasync().await.map_err(plain_error)
    }

    async fn allocate(&self, segment: SegmentId, allocate_bytes: u64) -> io::Result<IoDone> {
        let file = self.segment(segment, Mode::Plain).await?;
        // File systems without fallocate do without: writes then allocate as they go.
        match file.pre_allocate(allocate_bytes, false).await.map_err(plain_error) {
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(IoDone::Done),
            other => other.map(|()| IoDone::Done),
        }
    }

    async fn write(&self, file: &DmaFile, data: WriteData, position: u64) -> io::Result<IoDone> {
        let chunk = match data {
            WriteData::Whole(chunk) => chunk,
            WriteData::Copy(pieces) => self.gathered(&pieces),
        };
        let written = file.write_rc_at(buffer_of(&chunk)?, position).await.map_err(plain_error)?;
        if written == chunk.len() {
            Ok(IoDone::Done)
        } else {
            self.write_rest(file, &chunk, position, written).await
        }
    }

    /// The kernel took only a part: the rest, from the last whole block on.
    async fn write_rest(
        &self,
        file: &DmaFile,
        chunk: &Chunk,
        position: u64,
        mut written: usize,
    ) -> io::Result<IoDone> {
        while written < chunk.len() {
            let from = written - written % BLOCK_BYTES;
            let rest = self.gathered(&[chunk.slice(from..chunk.len())]);
            let more =
                file.write_rc_at(buffer_of(&rest)?, position + from as u64).await.map_err(plain_error)?;
            if from + more <= written {
                return Err(io::Error::other("a write makes no progress"));
            }
            written = from + more;
        }
        Ok(IoDone::Done)
    }

    fn gathered(&self, pieces: &[ChunkSlice]) -> Chunk {
        let len = pieces.iter().map(|piece| piece.len()).sum();
        let mut memory = crate::base::ChunkWriter::new(self.memory.allocate(len));
        for piece in pieces {
            memory.append(piece);
        }
        memory.freeze()
    }

    async fn read(&self, segment: SegmentId, position: u64, length: usize) -> io::Result<IoDone> {
        let file = self.segment(segment, Mode::Plain).await?;
        let result = file.read_at_aligned(position, length).await.map_err(plain_error)?;
        Ok(IoDone::Read(from_read(result)))
    }

    async fn seal(
        &self,
        segment: SegmentId,
        length: u64,
        (index, time_index): (Vec<u8>, Vec<u8>),
        sync: Sealing,
    ) -> io::Result<IoDone> {
        self.forget_segment(segment);
        let data = self.data.clone();
        let seal = move || {
            let folder = partition_folder(&data, segment.partition);
            let path = segment_file(&folder, segment.base, "log");
            let file = fs::OpenOptions::new().write(true).open(path)?;
            file.set_len(length)?;
            if sync != Sealing::Later {
                sync_once(&file)?;
            }
            if sync == Sealing::DataAndNames {
                sync_names(&data, &folder)?;
            }
            write_index(&folder, segment.base, &index, &time_index)?;
            absent_is_fine(fs::remove_file(segment_file(&folder, segment.base, MARKS)))?;
            Ok(IoDone::Done)
        };
        blocking(seal).await
    }

    async fn create_commit_file(&self, number: u32, bytes: u64) -> io::Result<IoDone> {
        let folder = commit_folder(&self.data, self.shard);
        let path = commit_file(&folder, number);
        let temporary = path.with_extension("new");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        let file = options.dma_open(&temporary).await.map_err(plain_error)?;
        let zeros = self.memory.allocate(PREWRITE_PIECE_BYTES);
        // Chunk memory comes as it is.
        let zeros = {
            let mut writer = crate::base::ChunkWriter::new(zeros);
            writer.spare().fill(0);
            writer.freeze()
        };
        let mut position = 0;
        while position < bytes {
            self.write(&file, WriteData::Whole(zeros.clone()), position).await?;
            position += PREWRITE_PIECE_BYTES as u64;
        }
        file.truncate(bytes).await.map_err(plain_error)?;
        file.close().await.map_err(plain_error)?;
        let finish = move || {
            fs::File::open(&temporary)?.sync_all()?;
            fs::rename(&temporary, &path)?;
            fs::File::open(&folder)?.sync_all()?;
            Ok(IoDone::Done)
        };
        blocking(finish).await
    }

    async fn commit_file(&self, number: u32) -> io::Result<Rc<DmaFile>> {
        if let Some(file) = self.commit.borrow().get(&number) {
            return Ok(Rc::clone(file));
        }
        let path = commit_file(&commit_folder(&self.data, self.shard), number);
        let file = Rc::new(open(&path, Mode::Durable).await?);
        self.commit.borrow_mut().insert(number, Rc::clone(&file));
        Ok(file)
    }

    async fn segment(&self, segment: SegmentId, mode: Mode) -> io::Result<Rc<DmaFile>> {
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

    fn forget_segment(&self, segment: SegmentId) {
        if let Some(handles) = self.segments.borrow_mut().remove(&segment) {
            self.used.borrow_mut().remove(&handles.last_use.get());
            self.open.set(self.open.get() - handles.count());
        }
    }

    fn forget_partition(&self, partition: TopicPartition) {
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

async fn blocking(work: impl FnOnce() -> io::Result<IoDone> + Send + 'static) -> io::Result<IoDone> {
    // What comes back must be Send; chunks are not, and nothing done here has one.
    let done = glommio::executor().spawn_blocking(move || work().map(Sendable::from)).await?;
    Ok(done.into())
}

/// The outcomes of blocking work.
enum Sendable {
    Done,
    Index(Vec<u8>, Vec<u8>),
}

impl From<IoDone> for Sendable {
    fn from(done: IoDone) -> Sendable {
        match done {
            IoDone::Index { index, time_index } => Sendable::Index(index, time_index),
            _ => Sendable::Done,
        }
    }
}

impl From<Sendable> for IoDone {
    fn from(done: Sendable) -> IoDone {
        match done {
            Sendable::Done => IoDone::Done,
            Sendable::Index(index, time_index) => IoDone::Index { index, time_index },
        }
    }
}

/// The memory of a chunk that is written as it stands.
fn buffer_of(chunk: &Chunk) -> io::Result<Rc<DmaBuffer>> {
    let buffer = chunk.owner::<ChunkBuffer>().and_then(|owner| owner.buffer(chunk.len()));
    buffer.ok_or_else(|| {
        io::Error::other("a chunk to be written is not of this shard's memory, or not all of it")
    })
}

fn write_marks(folder: &Path, segment: SegmentId, position: u64, marks: &[u8]) -> io::Result<IoDone> {
    let begins = position == 0;
    let path = segment_file(folder, segment.base, MARKS);
    let file = fs::OpenOptions::new().write(true).create(begins).truncate(begins).open(path)?;
    file.write_all_at(marks, position)?;
    Ok(IoDone::Done)
}

/// The indexes go first: should the rename fail, a segment without them is whole.
fn make_spare(path: &Path) -> io::Result<IoDone> {
    for extension in BESIDE {
        absent_is_fine(fs::remove_file(path.with_extension(extension)))?;
    }
    fs::rename(path, path.with_extension(SPARE)).map(|()| IoDone::Done)
}

/// Replaces a file even when the disk is full: space for it is kept in another file, which is given up then. What the
/// new checkpoint allows to be deleted gives more space than it took.
fn replace_with_reserve(path: &Path, bytes: &[u8]) -> io::Result<IoDone> {
    let reserve = path.with_extension("reserve");
    let replaced = match replace(path, bytes) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT)) => {
            // Without a reserve the disk is just full.
            fs::remove_file(&reserve).map_err(|_| error)?;
            replace(path, bytes)
        }
        other => other,
    };
    let wanted = (2 * bytes.len() as u64).max(RESERVE_BYTES_MIN);
    if replaced.is_ok() && fs::metadata(&reserve).map_or(0, |it| it.len()) < wanted {
        // If there is no space for it now, the next checkpoint tries again.
        let _ = keep_space(&reserve, wanted);
    }
    replaced
}

fn keep_space(reserve: &Path, bytes: u64) -> io::Result<()> {
    let file = fs::OpenOptions::new().create(true).write(true).truncate(false).open(reserve)?;
    let length = libc::off_t::try_from(bytes).map_err(io::Error::other)?;
    // SAFETY: the descriptor is open for as long as `file` lives.
    match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, length) } {
        0 => file.sync_all(),
        error => {
            fs::remove_file(reserve)?;
            Err(io::Error::from_raw_os_error(error))
        }
    }
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<IoDone> {
    let temporary = path.with_extension("new");
    let mut file = fs::File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    if let Some(folder) = path.parent() {
        fs::File::open(folder)?.sync_all()?;
    }
    Ok(IoDone::Done)
}

/// The error number, wherever glommio has put it.
fn plain_error<T>(error: GlommioError<T>) -> io::Error {
    match error {
        GlommioError::IoError(error) => error,
        GlommioError::EnhancedIoError { source, .. } => source,
        other => io::Error::other(other.to_string()),
    }
}
