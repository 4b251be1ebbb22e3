//! The few ways in which recovery touches files.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::Offset;
use crate::base::io::SegmentId;
use crate::runtime::durable::{replace_whole, sync_file_system, sync_names};
use crate::runtime::layout::{partition_folder, segment_file};

use super::error::{RecoveryError, at};

/// Numbers of the commit files in a folder, ascending.
pub(super) fn commit_files(folder: &Path) -> Result<Vec<u32>, RecoveryError> {
    numbers(folder, "commit", |stem| stem.parse().ok())
}

/// Base offsets of the segments in a partition's folder, ascending; none if there is no folder.
pub(super) fn segments(folder: &Path) -> Result<Vec<Offset>, RecoveryError> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    numbers(folder, "log", |stem| stem.parse().ok().map(Offset))
}

/// Extensions of files that are part of no log: not put in their place yet, being deleted, or kept to be used again.
const LEFTOVERS: [&str; 4] = ["cleaned", "new", "deleted", "spare"];

/// Removes what the last life needs no more.
pub(super) fn remove_leftovers(folder: &Path) -> Result<(), RecoveryError> {
    if !folder.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(folder).map_err(at(folder))? {
        let path = entry.map_err(at(folder))?.path();
        if path.extension().is_some_and(|it| LEFTOVERS.iter().any(|leftover| it == *leftover)) {
            fs::remove_file(&path).map_err(at(&path))?;
        }
    }
    Ok(())
}

fn numbers<T: Ord>(
    folder: &Path,
    extension: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, RecoveryError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(at(folder))? {
        let path = entry.map_err(at(folder))?.path();
        if path.extension().is_some_and(|it| it == extension) {
            found.extend(path.file_stem().and_then(|stem| parse(stem.to_str()?)));
        }
    }
    found.sort();
    Ok(found)
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, RecoveryError> {
    fs::read(path).map_err(at(path))
}

/// Replaces a file whole: temporary file, sync, rename, sync of the folder.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), RecoveryError> {
    replace_whole(path, &[bytes]).map_err(at(path))
}

/// Really writes `bytes` zeros, so that later writes change no file-system metadata.
pub(super) fn prewrite(path: &Path, bytes: u64) -> Result<(), RecoveryError> {
    let mut file = File::create(path).map_err(at(path))?;
    let zeros = vec![0; 1024 * 1024];
    let mut left = bytes;
    while left > 0 {
        let step = usize::try_from(left).unwrap_or(usize::MAX).min(zeros.len());
        file.write_all(&zeros[..step]).map_err(at(path))?;
        left -= step as u64;
    }
    file.sync_all().map_err(at(path))
}

pub(super) fn sync_folder(folder: &Path) -> Result<(), RecoveryError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(at(folder))
}

/// Segments being repaired: written into by replay, cut by the scan, made durable together at the end.
///
/// A few are synced one by one, with the folders their names are in. Many are not: a sync each of ten thousand files takes
/// longer than a start may. Then the whole file system is synced at once, and tells of every write that failed since
/// `root` was opened.
#[derive(Debug)]
pub(super) struct SegmentFiles {
    data: PathBuf,
    root: Arc<File>,
    /// So many are open at a time.
    open_max: usize,
    open: BTreeMap<SegmentId, File>,
    folders: Vec<PathBuf>,
    /// More segments were touched than are open: only syncing everything reaches them all.
    many: bool,
}

/// Open files at a time of all threads together, and how many are synced one by one.
const OPEN_MAX: usize = 256;

impl SegmentFiles {
    pub(super) fn new(data: &Path) -> Result<SegmentFiles, RecoveryError> {
        let root = Arc::new(File::open(data).map_err(at(data))?);
        Ok(SegmentFiles::with(data.to_owned(), root, OPEN_MAX))
    }

    fn with(data: PathBuf, root: Arc<File>, open_max: usize) -> SegmentFiles {
        SegmentFiles { data, root, open_max, open: BTreeMap::new(), folders: Vec::new(), many: false }
    }

    /// A part of these files, for one of `parts` threads that work at the same time; goes back with [`SegmentFiles::absorb`].
    pub(super) fn part(&self, parts: usize) -> SegmentFiles {
        SegmentFiles::with(self.data.clone(), Arc::clone(&self.root), (self.open_max / parts).max(1))
    }

    pub(super) fn absorb(&mut self, part: SegmentFiles) {
        self.many |= part.many;
        self.open.extend(part.open);
        self.folders.extend(part.folders);
    }

    /// Puts bytes where they belong.
    pub(super) fn write(&mut self, id: SegmentId, position: u64, bytes: &[u8]) -> Result<(), RecoveryError> {
        let path = segment_file(&partition_folder(&self.data, id.partition), id.base, "log");
        self.open(id)?.write_all_at(bytes, position).map_err(at(&path))
    }

    /// Cuts a segment to `length` bytes: what lies beyond never becomes part of the log again.
    pub(super) fn cut(&mut self, id: SegmentId, length: u64) -> Result<(), RecoveryError> {
        let path = segment_file(&partition_folder(&self.data, id.partition), id.base, "log");
        self.open(id)?.set_len(length).map_err(at(&path))
    }

    /// Makes everything durable.
    pub(super) fn sync(&mut self) -> Result<(), RecoveryError> {
        let (open, folders) = (std::mem::take(&mut self.open), std::mem::take(&mut self.folders));
        if std::mem::take(&mut self.many) {
            let any = open.values().next().unwrap_or(&*self.root);
            return sync_file_system(&self.root, any).map_err(at(&self.data));
        }
        for (id, file) in open {
            file.sync_all().map_err(at(&partition_folder(&self.data, id.partition)))?;
        }
        for folder in folders {
            sync_names(&self.data, &folder).map_err(at(&folder))?;
        }
        Ok(())
    }

    fn open(&mut self, id: SegmentId) -> Result<&File, RecoveryError> {
        if self.open.len() >= self.open_max && !self.open.contains_key(&id) {
            self.open.clear();
            self.folders.clear();
            self.many = true;
        }
        if !self.open.contains_key(&id) {
            let folder = partition_folder(&self.data, id.partition);
            fs::create_dir_all(&folder).map_err(at(&folder))?;
            let path = segment_file(&folder, id.base, "log");
            let mut options = OpenOptions::new();
            let file =
                options.read(true).write(true).create(true).truncate(false).open(&path).map_err(at(&path))?;
            self.open.insert(id, file);
            self.folders.push(folder);
        }
        Ok(self.open.get(&id).expect("opened just above"))
    }
}
