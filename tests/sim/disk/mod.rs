//! A disk that may be cut off from power at any moment.
//!
//! Every file has what stable storage holds and, over it, what was written and not yet synced. When the power goes, each
//! block of each such write is there, is not there, or is torn between two sectors, independent of all others; a file's
//! name, length and index may be as they were or as they should have become. What is written to a file that a rename which is
//! not durable has moved would be found under its old name: nobody may do that.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use ringmain::base::io::{Cleaned, IoDone, IoOp, Sealing, SegmentId, WriteData};
use ringmain::base::rng::Rng;
use ringmain::base::{BLOCK_BYTES, Chunk, ChunkWriter, ShardId, TopicPartition};
use ringmain::log::{CleanRules, IndexedBatch, SparseIndex, clean_batch, note_keys};
use ringmain::record::{BatchHeader, batch_crc};
use ringmain::runtime::recovery::{commit_file, commit_folder, partition_folder, segment_file};

const SECTOR_BYTES: usize = 512;
/// Of what is allocated beyond a file's end so much is there: the zeros take real memory, and a file system may refuse too.
const ALLOCATED_MAX: usize = 256 << 10;

/// What the end of a life leaves of writes that were not synced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Crash {
    /// The process is gone, the kernel lives: everything that was written is there.
    Kill,
    /// Any part of what was not synced.
    Power,
}

#[derive(Clone, Debug, Default)]
struct File {
    /// On stable storage.
    durable: Vec<u8>,
    /// As readers see it.
    visible: Vec<u8>,
    /// Written and not on stable storage, in order: position and bytes.
    unsynced: Vec<(usize, Vec<u8>)>,
    /// The file that a rename has put in this one's place, if the rename is not durable yet: the old contents.
    replaced: Option<Vec<u8>>,
    /// Its name is not on stable storage.
    unnamed: bool,
    /// Names it had before, which it may have again: the renames are not on stable storage.
    former: Vec<PathBuf>,
}

/// Files by their path below the data directory.
#[derive(Debug, Default)]
pub struct Disk {
    files: BTreeMap<PathBuf, File>,
    /// Unlinked or renamed since their folder was last synced: they may come back.
    ghosts: BTreeMap<PathBuf, Vec<u8>>,
    /// Nothing may be written to these any more.
    deleted: BTreeSet<TopicPartition>,
}

/// How an operation is to go wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    None,
    /// As if the disk were full.
    Full,
    /// EIO; parts of what was to be written may be there.
    Error,
}

fn log_file(segment: SegmentId) -> PathBuf {
    segment_file(&partition_folder(Path::new(""), segment.partition), segment.base, "log")
}

fn commit_path(shard: ShardId, file: u32) -> PathBuf {
    commit_file(&commit_folder(Path::new(""), shard), file)
}

fn bytes_of(data: &WriteData) -> Vec<u8> {
    match data {
        WriteData::Whole(chunk) => chunk.all().to_vec(),
        WriteData::Copy(pieces) => pieces.iter().map(|piece| &**piece).collect::<Vec<&[u8]>>().concat(),
    }
}

/// The partition whose files an operation makes or changes.
fn written_to(op: &IoOp) -> Option<TopicPartition> {
    match op {
        IoOp::CreateSegment { segment, .. }
        | IoOp::Allocate { segment, .. }
        | IoOp::WriteSegment { segment, .. }
        | IoOp::SyncSegment { segment, .. }
        | IoOp::SealSegment { segment, .. }
        | IoOp::WriteMarks { segment, .. }
        | IoOp::SpareSegment { segment }
        | IoOp::CleanSegment { segment, .. }
        | IoOp::SyncCleaned { segment, .. } => Some(segment.partition),
        _ => None,
    }
}

fn put(target: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if target.len() < at + bytes.len() {
        target.resize(at + bytes.len(), 0);
    }
    target[at..at + bytes.len()].copy_from_slice(bytes);
}

impl File {
    fn written(bytes: Vec<u8>) -> File {
        File { durable: bytes.clone(), visible: bytes, ..File::default() }
    }

    fn sync(&mut self) {
        self.durable.clone_from(&self.visible);
        self.unsynced.clear();
    }

    /// What is there after the power was cut.
    fn after_power_cut(&self, rng: &mut Rng) -> Vec<u8> {
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

/// Applies any part of a write.
fn lose_parts(target: &mut Vec<u8>, at: usize, bytes: &[u8], rng: &mut Rng) {
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

impl Disk {
    /// Whatever a directory holds, all of it durable.
    pub fn load(directory: &Path) -> Disk {
        let mut disk = Disk::default();
        let mut folders = vec![directory.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let name = path.strip_prefix(directory).unwrap().to_owned();
                    disk.files.insert(name, File::written(fs::read(&path).unwrap()));
                }
            }
        }
        disk
    }

    /// A file that a start has taken for damaged.
    pub fn damaged(&self) -> Option<&Path> {
        let mut paths = self.files.keys().map(PathBuf::as_path);
        paths.find(|path| path.extension().is_some_and(|it| it == "damaged"))
    }

    /// Writes what a crash leaves into an empty directory. `under_way` are operations that had not ended.
    pub fn crash(&self, crash: Crash, under_way: &[(ShardId, IoOp)], rng: &mut Rng, directory: &Path) {
        let mut left: BTreeMap<PathBuf, Vec<u8>> = BTreeMap::new();
        for (path, file) in &self.files {
            let former = usize::try_from(rng.below(file.former.len() as u64 + 1)).unwrap();
            let path = if crash == Crash::Kill { path } else { file.former.get(former).unwrap_or(path) };
            let bytes = match crash {
                Crash::Kill => file.visible.clone(),
                Crash::Power if file.unnamed && rng.below(2) == 0 => continue,
                Crash::Power => file.after_power_cut(rng),
            };
            left.insert(path.clone(), bytes);
        }
        if crash == Crash::Power {
            for (path, bytes) in &self.ghosts {
                if rng.below(2) == 0 {
                    left.entry(path.clone()).or_insert_with(|| bytes.clone());
                }
            }
        }
        for (shard, op) in under_way {
            half_done(&mut left, *shard, op, rng);
        }
        for (path, bytes) in left {
            let path = directory.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }

    /// Performs an operation to its end.
    pub fn perform(&mut self, shard: ShardId, op: IoOp, fault: Fault, rng: &mut Rng) -> IoDone {
        match fault {
            Fault::None => {}
            Fault::Full => return IoDone::DiskFull,
            Fault::Error => {
                self.write_in_part(shard, &op, rng);
                return IoDone::Failed("the simulated disk fails".to_owned());
            }
        }
        if let Some(partition) = written_to(&op) {
            assert!(!self.deleted.contains(&partition), "written to after its deletion: {op:?}");
        }
        match op {
            IoOp::CreateSegment { segment, allocate_bytes, names, spare, .. } => {
                if let Some(spare) = spare {
                    self.rename(&log_file(spare).with_extension("spare"), &log_file(segment));
                }
                let fresh = || File { unnamed: true, ..File::default() };
                let file = self.files.entry(log_file(segment)).or_insert_with(fresh);
                allocate(file, allocate_bytes);
                if names {
                    self.sync_names(segment);
                }
            }
            IoOp::Allocate { segment, allocate_bytes } => {
                allocate(self.files.entry(log_file(segment)).or_default(), allocate_bytes);
            }
            IoOp::WriteSegment { segment, position, data, durable } => {
                let file = self.files.get(&log_file(segment));
                let is_named = file.is_some_and(|file| !file.unnamed);
                assert!(is_named || !durable, "a direct run into a file whose name may be lost");
                let was_moved = file.is_some_and(|file| !file.former.is_empty());
                assert!(!was_moved, "what is written would be found under an old name");
                self.write(log_file(segment), position, bytes_of(&data), durable);
            }
            IoOp::WriteCommit { file, position, data } => {
                self.write(commit_path(shard, file), position, data.all().to_vec(), true);
            }
            IoOp::SyncSegment { segment, names } => {
                self.files.get_mut(&log_file(segment)).unwrap().sync();
                if names {
                    self.sync_names(segment);
                }
            }
            IoOp::SyncAll => {
                self.ghosts.clear();
                for file in self.files.values_mut() {
                    file.sync();
                    file.replaced = None;
                    file.unnamed = false;
                    file.former.clear();
                }
            }
            IoOp::SealSegment { segment, length, index, time_index, sync } => {
                let file = self.files.get_mut(&log_file(segment)).unwrap();
                file.visible.resize(usize::try_from(length).unwrap(), 0);
                if sync != Sealing::Later {
                    file.sync();
                }
                if sync == Sealing::DataAndNames {
                    self.sync_names(segment);
                }
                self.write_index(segment, index, time_index);
                self.unlink(&log_file(segment).with_extension("marks"));
            }
            IoOp::WriteMarks { segment, position, marks } => {
                let path = log_file(segment).with_extension("marks");
                if position == 0 {
                    self.unlink(&path);
                }
                self.write(path, position, marks, false);
            }
            IoOp::ReadSegment { segment, position, length } => return self.read(segment, position, length),
            IoOp::ReadIndex { segment } => {
                let [mut index, mut time_index] = ["index", "timeindex"].map(|extension| {
                    let path = log_file(segment).with_extension(extension);
                    self.files.get(&path).map(|file| file.visible.clone()).unwrap_or_default()
                });
                rot(&mut index, rng);
                rot(&mut time_index, rng);
                return IoDone::Index { index, time_index };
            }
            IoOp::IndexSegment { segment, length, .. } => {
                let (mut made, mut position) = (SparseIndex::default(), 0);
                for batch in self.batches(segment, length) {
                    made.note(segment.base, indexed(&batch, position), 4096);
                    position += batch.len();
                }
                let (index, time_index) = made.encode();
                self.write_index(segment, index.clone(), time_index.clone());
                return IoDone::Index { index, time_index };
            }
            IoOp::DeleteSegment { segment } => {
                for extension in ["log", "index", "timeindex", "marks", "cleaned"] {
                    self.unlink(&log_file(segment).with_extension(extension));
                }
            }
            IoOp::SpareSegment { segment } => {
                let path = log_file(segment);
                for extension in ["index", "timeindex", "marks"] {
                    self.unlink(&path.with_extension(extension));
                }
                self.rename(&path, &path.with_extension("spare"));
            }
            IoOp::DeleteSpare { segment } => self.unlink(&log_file(segment).with_extension("spare")),
            IoOp::DeletePartition { partition } => {
                self.deleted.insert(partition);
                let folder = partition_folder(Path::new(""), partition);
                let gone: Vec<PathBuf> =
                    self.files.keys().filter(|path| path.starts_with(&folder)).cloned().collect();
                gone.iter().for_each(|path| self.unlink(path));
            }
            IoOp::CreateCommitFile { file, bytes } => {
                let zeros = vec![0; usize::try_from(bytes).unwrap()];
                self.files.insert(commit_path(shard, file), File::written(zeros));
            }
            IoOp::WriteCheckpoint { bytes } => {
                let path = commit_folder(Path::new(""), shard).join("checkpoint");
                self.files.insert(path, File::written(bytes));
            }
            IoOp::MapKeys { segments, mut keys } => {
                for (segment, length) in segments {
                    for batch in self.batches(segment, length) {
                        if !note_keys(&mut keys, &batch).unwrap() {
                            return IoDone::Keys(keys);
                        }
                    }
                }
                return IoDone::Keys(keys);
            }
            IoOp::CleanSegment { segment, length, keys, now, delete_retention_ms } => {
                let rules = CleanRules { keys: &keys, now, delete_retention_ms };
                let batches = self.batches(segment, length);
                return IoDone::Cleaned(self.clean(segment, &batches, &rules));
            }
            IoOp::VerifySegment { segment, length, offsets, .. } => {
                // Neither retention nor compaction waits for it.
                let file = self.files.get(&log_file(segment));
                if file.is_none_or(|file| (file.visible.len() as u64) < length) {
                    return absent();
                }
                for batch in self.batches(segment, length) {
                    assert_eq!(BatchHeader::parse(&batch).unwrap().crc, batch_crc(&batch), "{segment:?}");
                }
                return IoDone::Verified { to: length, next: offsets.end, damage: Vec::new() };
            }
            IoOp::SyncCleaned { segment, index, time_index } => {
                self.files.get_mut(&log_file(segment)).unwrap().replaced = None;
                self.write_index(segment, index, time_index);
            }
        }
        IoDone::Done
    }

    /// What the runtime does for [`Effect::Swap`](ringmain::shard::Effect::Swap).
    pub fn swap(&mut self, segment: SegmentId) {
        let path = log_file(segment);
        for extension in ["index", "timeindex", "marks"] {
            self.unlink(&path.with_extension(extension));
        }
        let cleaned = self.files.remove(&path.with_extension("cleaned")).unwrap();
        let old = self.files.insert(path.clone(), cleaned).unwrap();
        self.files.get_mut(&path).unwrap().replaced = Some(old.durable);
    }

    fn sync_names(&mut self, segment: SegmentId) {
        let folder = partition_folder(Path::new(""), segment.partition);
        self.ghosts.retain(|path, _| path.parent() != Some(&*folder));
        for (path, file) in &mut self.files {
            if path.parent() == Some(&*folder) {
                file.unnamed = false;
                file.former.clear();
            }
        }
    }

    fn write(&mut self, path: PathBuf, position: u64, bytes: Vec<u8>, durable: bool) {
        let file = self.files.entry(path).or_default();
        let at = usize::try_from(position).unwrap();
        put(&mut file.visible, at, &bytes);
        if durable {
            put(&mut file.durable, at, &bytes);
        } else {
            file.unsynced.push((at, bytes));
        }
    }

    fn write_in_part(&mut self, shard: ShardId, op: &IoOp, rng: &mut Rng) {
        let (path, position, bytes) = match op {
            IoOp::WriteSegment { segment, position, data, .. } => {
                (log_file(*segment), *position, bytes_of(data))
            }
            IoOp::WriteCommit { file, position, data } => {
                (commit_path(shard, *file), *position, data.all().to_vec())
            }
            _ => return,
        };
        let file = self.files.entry(path).or_default();
        lose_parts(&mut file.visible, usize::try_from(position).unwrap(), &bytes, rng);
        file.unsynced.push((usize::try_from(position).unwrap(), bytes));
    }

    /// Neither synced nor in any order: an index may be anything after a power cut.
    fn write_index(&mut self, segment: SegmentId, index: Vec<u8>, time_index: Vec<u8>) {
        for (extension, bytes) in [("index", index), ("timeindex", time_index)] {
            let file = self.files.entry(log_file(segment).with_extension(extension)).or_default();
            file.visible.clone_from(&bytes);
            file.durable.truncate(bytes.len());
            file.unsynced = vec![(0, bytes)];
        }
    }

    fn unlink(&mut self, path: &Path) {
        if let Some(mut file) = self.files.remove(path) {
            // It comes back under one of its names.
            let path = file.former.pop().unwrap_or(path.to_owned());
            self.ghosts.insert(path, file.durable);
        }
    }

    /// Does nothing if there is no such file, as for who tries again.
    fn rename(&mut self, from: &Path, to: &Path) {
        if let Some(mut file) = self.files.remove(from) {
            file.former.push(from.to_owned());
            let before = self.files.insert(to.to_owned(), file);
            assert!(before.is_none(), "{} is in use", to.display());
        }
    }

    fn read(&self, segment: SegmentId, position: u64, length: usize) -> IoDone {
        let Some(file) = self.files.get(&log_file(segment)) else {
            return absent();
        };
        let at = usize::try_from(position).unwrap().min(file.visible.len());
        let bytes = &file.visible[at..(at + length).min(file.visible.len())];
        let mut chunk = ChunkWriter::new(Chunk::heap(bytes.len().max(1).next_multiple_of(BLOCK_BYTES)));
        chunk.append(bytes);
        IoDone::Read(chunk.freeze().slice(0..bytes.len()))
    }

    fn batches(&self, segment: SegmentId, length: u64) -> Vec<Vec<u8>> {
        let file = &self.files[&log_file(segment)];
        let mut rest = &file.visible[..usize::try_from(length).unwrap()];
        let mut batches = Vec::new();
        while !rest.is_empty() {
            let header = BatchHeader::parse(rest).unwrap_or_else(|error| {
                let at = length - rest.len() as u64;
                panic!("{segment:?} of {length} bytes is no log at {at}: {error}")
            });
            let (batch, after) = rest.split_at(header.total_bytes());
            batches.push(batch.to_vec());
            rest = after;
        }
        batches
    }

    fn clean(&mut self, segment: SegmentId, batches: &[Vec<u8>], rules: &CleanRules<'_>) -> Option<Cleaned> {
        let (mut stays, mut index, mut changed) = (Vec::new(), SparseIndex::default(), false);
        for (at, batch) in batches.iter().enumerate() {
            let kept = clean_batch(rules, batch, at + 1 == batches.len()).unwrap();
            changed |= kept.as_deref() != Some(batch);
            let Some(kept) = kept else { continue };
            index.note(segment.base, indexed(&kept, stays.len()), 4096);
            stays.extend_from_slice(&kept);
        }
        if !changed {
            return None;
        }
        let length = stays.len() as u64;
        self.files.insert(log_file(segment).with_extension("cleaned"), File::written(stays));
        let (index, time_index) = index.encode();
        Some(Cleaned { length, index, time_index })
    }
}

fn indexed(batch: &[u8], position: usize) -> IndexedBatch {
    IndexedBatch::of(&BatchHeader::parse(batch).unwrap(), position as u64)
}

/// Now and then a bit falls over: index files have no checksums.
fn rot(bytes: &mut [u8], rng: &mut Rng) {
    if !bytes.is_empty() && rng.below(4) == 0 {
        let at = usize::try_from(rng.below(bytes.len() as u64)).unwrap();
        bytes[at] ^= 1 << rng.below(8);
    }
}

fn absent() -> IoDone {
    IoDone::Failed("no such file".to_owned())
}

fn allocate(file: &mut File, bytes: u64) {
    let bytes = usize::try_from(bytes).unwrap().min(file.visible.len() + ALLOCATED_MAX);
    file.visible.resize(bytes.max(file.visible.len()), 0);
}

/// What an operation that had not ended may have done.
fn half_done(left: &mut BTreeMap<PathBuf, Vec<u8>>, shard: ShardId, op: &IoOp, rng: &mut Rng) {
    let coin = |rng: &mut Rng| rng.below(2) == 0;
    match op {
        IoOp::CreateSegment { segment, spare, .. } if coin(rng) => {
            let spare = spare.and_then(|spare| left.remove(&log_file(spare).with_extension("spare")));
            left.entry(log_file(*segment)).or_insert(spare.unwrap_or_default());
        }
        IoOp::SpareSegment { segment } if coin(rng) => {
            let path = log_file(*segment);
            left.remove(&path.with_extension("index"));
            if coin(rng)
                && let Some(bytes) = left.remove(&path)
            {
                left.insert(path.with_extension("spare"), bytes);
            }
        }
        IoOp::DeleteSpare { segment } if coin(rng) => {
            let path = log_file(*segment).with_extension("spare");
            if let Some(bytes) = left.remove(&path) {
                left.insert(path.with_extension("deleted"), bytes);
            }
        }
        IoOp::WriteSegment { segment, position, data, .. } => {
            if let Some(file) = left.get_mut(&log_file(*segment)) {
                lose_parts(file, usize::try_from(*position).unwrap(), &bytes_of(data), rng);
            }
        }
        IoOp::WriteCommit { file, position, data } => {
            if let Some(file) = left.get_mut(&commit_path(shard, *file)) {
                lose_parts(file, usize::try_from(*position).unwrap(), &data.all(), rng);
            }
        }
        IoOp::SealSegment { segment, length, .. } if coin(rng) => {
            if let Some(file) = left.get_mut(&log_file(*segment)) {
                file.truncate(usize::try_from(*length).unwrap());
            }
        }
        IoOp::DeleteSegment { segment } if coin(rng) => {
            if let Some(mut bytes) = left.remove(&log_file(*segment)) {
                bytes.truncate(usize::try_from(rng.below(bytes.len() as u64 + 1)).unwrap());
                left.insert(log_file(*segment).with_extension("deleted"), bytes);
            }
        }
        IoOp::DeletePartition { partition } => {
            let folder = partition_folder(Path::new(""), *partition);
            left.retain(|path, _| !path.starts_with(&folder) || coin(rng));
        }
        IoOp::CreateCommitFile { file, bytes } if coin(rng) => {
            let bytes = usize::try_from(rng.below(*bytes)).unwrap();
            left.insert(commit_path(shard, *file).with_extension("new"), vec![0; bytes]);
        }
        IoOp::WriteCheckpoint { bytes } => {
            let path = commit_folder(Path::new(""), shard).join("checkpoint");
            match rng.below(3) {
                0 => {}
                1 => drop(left.insert(path, bytes.clone())),
                _ => {
                    let part = &bytes[..usize::try_from(rng.below(bytes.len() as u64)).unwrap()];
                    left.insert(path.with_extension("new"), part.to_vec());
                }
            }
        }
        IoOp::CleanSegment { segment, .. } if coin(rng) => {
            left.insert(log_file(*segment).with_extension("cleaned"), vec![7; 5000]);
        }
        _ => {}
    }
}
