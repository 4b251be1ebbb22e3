//! A segment's files from their making to their sealing, and the changes of their names: ordinary calls on the blocking thread.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::base::io::{IoDone, Sealing, SegmentId};
use crate::runtime::durable::{sync_file_system, sync_names, sync_once};
use crate::runtime::layout::{BESIDE, MARKS, partition_folder, segment_file, write_index};
use crate::runtime::remover::absent_is_fine;

use super::Files;
use super::blocking::blocking;
use super::open::{Mode, plain_error};
use super::start::probe_file;

/// Extension of an old segment's file that is kept to be used again.
pub(super) const SPARE: &str = "spare";

/// The longest pause between two files that nobody waits for. One that takes longer waits for the disk, and leaves the
/// processor by itself.
const PAUSE_MAX: Duration = Duration::from_millis(2);

/// A segment's file that is to be there: see [`IoOp::CreateSegment`](crate::base::io::IoOp::CreateSegment).
pub(super) struct Creation {
    pub(super) segment: SegmentId,
    pub(super) names: bool,
    pub(super) spare: Option<SegmentId>,
    pub(super) leisurely: bool,
}

/// A segment that is to be finished: see [`IoOp::SealSegment`](crate::base::io::IoOp::SealSegment).
pub(super) struct Seal {
    pub(super) segment: SegmentId,
    pub(super) length: u64,
    pub(super) index: Vec<u8>,
    pub(super) time_index: Vec<u8>,
    pub(super) sync: Sealing,
}

impl Files {
    pub(super) async fn create(&self, creation: Creation, allocate_bytes: u64) -> io::Result<IoDone> {
        let (data, segment) = (self.data.clone(), creation.segment);
        blocking(move || creation.make(&data)).await?;
        if allocate_bytes > 0 { self.allocate(segment, allocate_bytes).await } else { Ok(IoDone::Done) }
    }

    pub(super) async fn allocate(&self, segment: SegmentId, allocate_bytes: u64) -> io::Result<IoDone> {
        let file = self.open.segment(segment, Mode::Plain).await?;
        // File systems without fallocate do without: writes then allocate as they go.
        match file.pre_allocate(allocate_bytes, false).await.map_err(plain_error) {
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(IoDone::Done),
            other => other.map(|()| IoDone::Done),
        }
    }

    pub(super) async fn sync(&self, segment: SegmentId) -> io::Result<IoDone> {
        let file = self.open.segment(segment, Mode::Plain).await?;
        file.fdatasync().await.map(|()| IoDone::Done).map_err(plain_error)
    }

    pub(super) async fn sync_with_names(&self, segment: SegmentId) -> io::Result<IoDone> {
        self.sync(segment).await?;
        let (data, folder) = (self.data.clone(), self.folder(segment));
        blocking(move || sync_names(&data, &folder).map(|()| IoDone::Done)).await
    }

    pub(super) async fn sync_all(&self) -> io::Result<IoDone> {
        let (data, probe) = (self.data.clone(), probe_file(&self.data, self.shard));
        let sync = move || {
            let mut options = fs::OpenOptions::new();
            let probe = options.write(true).create(true).truncate(false).open(probe)?;
            sync_file_system(&fs::File::open(data)?, &probe).map(|()| IoDone::Done)
        };
        blocking(sync).await
    }

    pub(super) async fn seal(&self, seal: Seal) -> io::Result<IoDone> {
        self.open.forget_segment(seal.segment);
        let data = self.data.clone();
        blocking(move || seal.finish(&data)).await
    }

    pub(super) async fn write_marks(
        &self,
        segment: SegmentId,
        position: u64,
        marks: Vec<u8>,
    ) -> io::Result<IoDone> {
        let path = segment_file(&self.folder(segment), segment.base, MARKS);
        blocking(move || write_marks(&path, position, &marks)).await
    }

    pub(super) async fn read_index(&self, segment: SegmentId) -> io::Result<IoDone> {
        let folder = self.folder(segment);
        let read = move || {
            let file =
                |extension| fs::read(segment_file(&folder, segment.base, extension)).unwrap_or_default();
            Ok(IoDone::Index { index: file("index"), time_index: file("timeindex") })
        };
        blocking(read).await
    }

    pub(super) async fn make_spare(&self, segment: SegmentId) -> io::Result<IoDone> {
        self.open.forget_segment(segment);
        let path = self.log_file(segment);
        blocking(move || make_spare(&path)).await
    }

    /// Makes the new file of a segment durable that [`Files::swap`] has put in its place, and writes its index.
    pub(super) async fn sync_cleaned(
        &self,
        segment: SegmentId,
        index: Vec<u8>,
        time_index: Vec<u8>,
    ) -> io::Result<IoDone> {
        let folder = self.folder(segment);
        let finish = move || {
            fs::File::open(&folder)?.sync_all()?;
            write_index(&folder, segment.base, &index, &time_index).map(|()| IoDone::Done)
        };
        blocking(finish).await
    }

    /// Puts what stays of a segment in its place, at once: whoever reads next reads the new file. Either file is there
    /// after a crash; an index that fits neither is gone before.
    pub fn swap(&self, segment: SegmentId) -> io::Result<()> {
        let path = self.log_file(segment);
        remove_beside(&path)?;
        fs::rename(path.with_extension("cleaned"), &path)?;
        self.open.forget_segment(segment);
        Ok(())
    }

    pub(super) fn log_file(&self, segment: SegmentId) -> PathBuf {
        segment_file(&self.folder(segment), segment.base, "log")
    }

    fn folder(&self, segment: SegmentId) -> PathBuf {
        partition_folder(&self.data, segment.partition)
    }
}

impl Creation {
    fn make(self, data: &Path) -> io::Result<IoDone> {
        let begun = Instant::now();
        let folder = partition_folder(data, self.segment.partition);
        let path = segment_file(&folder, self.segment.base, "log");
        fs::create_dir_all(&folder)?;
        if let Some(spare) = self.spare {
            // When this is tried again after the disk was full, it has its name already.
            absent_is_fine(fs::rename(segment_file(&folder, spare.base, SPARE), &path))?;
        }
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(false).open(path)?;
        if self.names {
            sync_names(data, &folder)?;
        }
        if self.leisurely {
            thread::sleep(begun.elapsed().min(PAUSE_MAX));
        }
        Ok(IoDone::Done)
    }
}

impl Seal {
    fn finish(self, data: &Path) -> io::Result<IoDone> {
        let folder = partition_folder(data, self.segment.partition);
        let path = segment_file(&folder, self.segment.base, "log");
        let file = fs::OpenOptions::new().write(true).open(path)?;
        file.set_len(self.length)?;
        if self.sync != Sealing::Later {
            sync_once(&file)?;
        }
        if self.sync == Sealing::DataAndNames {
            sync_names(data, &folder)?;
        }
        write_index(&folder, self.segment.base, &self.index, &self.time_index)?;
        absent_is_fine(fs::remove_file(segment_file(&folder, self.segment.base, MARKS)))?;
        Ok(IoDone::Done)
    }
}

fn write_marks(path: &Path, position: u64, marks: &[u8]) -> io::Result<IoDone> {
    let begins = position == 0;
    let file = fs::OpenOptions::new().write(true).create(begins).truncate(begins).open(path)?;
    file.write_all_at(marks, position)?;
    Ok(IoDone::Done)
}

/// Gives a segment's file its spare name. The indexes go first: should the rename fail, a segment without them is whole.
fn make_spare(path: &Path) -> io::Result<IoDone> {
    remove_beside(path)?;
    fs::rename(path, path.with_extension(SPARE)).map(|()| IoDone::Done)
}

fn remove_beside(path: &Path) -> io::Result<()> {
    BESIDE.iter().try_for_each(|extension| absent_is_fine(fs::remove_file(path.with_extension(extension))))
}
