//! A disk that may be cut off from power at any moment.
//!
//! Every file has what stable storage holds and, over it, what was written and not yet synced. When the power goes, each
//! block of each such write is there, is not there, or is torn between two sectors, independent of all others; a file's
//! name, length and index may be as they were or as they should have become. What is written to a file that a rename which is
//! not durable has moved would be found under its old name: nobody may do that.

mod crash;
mod cut;
mod file;
mod segments;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use ringmain::base::io::{CutFiles, IoDone, IoOp, SegmentId, WriteData};
use ringmain::base::rng::Rng;
use ringmain::base::{LogEnd, Offset, ShardId, TopicPartition};
use ringmain::log::CleanRules;
use ringmain::runtime::layout::{
    commit_file, commit_folder, partition_folder, quorum_file, segment_file, snapshot_end, snapshot_file,
};

pub use crash::Crash;
use file::{File, lose_parts, put};

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

fn beside(segment: SegmentId, extension: &str) -> PathBuf {
    log_file(segment).with_extension(extension)
}

fn commit_path(shard: ShardId, file: u32) -> PathBuf {
    commit_file(&commit_folder(Path::new(""), shard), file)
}

fn snapshot_path(end: LogEnd) -> PathBuf {
    snapshot_file(&partition_folder(Path::new(""), TopicPartition::METADATA), end)
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
        IoOp::TruncateLog { partition, .. } => Some(*partition),
        _ => None,
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

    /// Performs an operation to its end, or as far as the fault lets it.
    pub fn perform(&mut self, shard: ShardId, op: IoOp, fault: Fault, rng: &mut Rng) -> IoDone {
        match fault {
            Fault::None => self.perform_whole(shard, op),
            Fault::Full => IoDone::DiskFull,
            Fault::Error => {
                self.write_in_part(shard, &op, rng);
                IoDone::Failed("the simulated disk fails".to_owned())
            }
        }
    }

    fn perform_whole(&mut self, shard: ShardId, op: IoOp) -> IoDone {
        if let IoOp::TruncateLog { partition, files: CutFiles::RemoveAll, .. } = op {
            // A replica that was moved away has come back, and begins anew.
            self.deleted.remove(&partition);
        }
        if let Some(partition) = written_to(&op) {
            assert!(!self.deleted.contains(&partition), "written to after its deletion: {op:?}");
        }
        match op {
            IoOp::CreateSegment { segment, allocate_bytes, names, spare, .. } => {
                self.create_segment(segment, allocate_bytes, spare);
                if names {
                    self.sync_names(segment.partition);
                }
            }
            IoOp::Allocate { segment, allocate_bytes } => {
                self.files.entry(log_file(segment)).or_default().allocate(allocate_bytes);
            }
            IoOp::WriteSegment { segment, position, data, durable } => {
                self.check_write(segment, durable);
                self.write(log_file(segment), position, bytes_of(&data), durable);
            }
            IoOp::WriteCommit { file, position, data } => {
                self.write(commit_path(shard, file), position, data.all().to_vec(), true);
            }
            IoOp::SyncSegment { segment, names } => {
                self.segment_file(segment).sync();
                if names {
                    self.sync_names(segment.partition);
                }
            }
            IoOp::SyncAll => self.sync_all(),
            IoOp::SealSegment { segment, length, index, time_index, sync } => {
                self.seal(segment, length, sync);
                self.write_index(segment, index, time_index);
            }
            IoOp::WriteMarks { segment, position, marks } => self.write_marks(segment, position, marks),
            IoOp::ReadSegment { segment, position, length } => return self.read(segment, position, length),
            IoOp::ReadIndex { segment } => return self.read_index(segment),
            IoOp::IndexSegment { segment, length, .. } => return self.make_index(segment, length),
            IoOp::DeleteSegment { segment } => {
                self.unlink_each(segment, &["log", "index", "timeindex", "marks", "cleaned"]);
            }
            IoOp::SpareSegment { segment } => {
                self.unlink_each(segment, &["index", "timeindex", "marks"]);
                self.rename(&log_file(segment), &beside(segment, "spare"));
            }
            IoOp::DeleteSpare { segment } => self.unlink(&beside(segment, "spare")),
            IoOp::TruncateLog { partition, below, files } => return self.cut(partition, below, &files),
            IoOp::DeletePartition { partition } => self.delete_partition(partition),
            IoOp::CreateCommitFile { file, bytes } => {
                let zeros = vec![0; usize::try_from(bytes).unwrap()];
                self.files.insert(commit_path(shard, file), File::written(zeros));
            }
            IoOp::WriteCheckpoint { bytes } => {
                let path = commit_folder(Path::new(""), shard).join("checkpoint");
                self.files.insert(path, File::written(bytes));
            }
            IoOp::WriteQuorum { bytes } => {
                self.files.insert(quorum_file(Path::new("")), File::written(bytes));
            }
            IoOp::WriteSnapshot { end, pieces } => {
                self.files.insert(snapshot_path(end), File::written(pieces.concat()));
            }
            IoOp::RemoveSnapshots { below } => self.remove_snapshots(below),
            IoOp::MapKeys { segments, keys } => return self.map_keys(&segments, keys),
            IoOp::CleanSegment { segment, length, keys, now, delete_retention_ms, staying } => {
                let rules = CleanRules { keys: &keys, now, delete_retention_ms, staying: &staying };
                let batches = self.batches(segment, length);
                return IoDone::Cleaned(self.clean(segment, &batches, &rules));
            }
            IoOp::VerifySegment { segment, length, offsets, .. } => {
                return self.verify(segment, length, offsets.end);
            }
            IoOp::SyncCleaned { segment, index, time_index } => {
                self.segment_file(segment).replaced = None;
                self.write_index(segment, index, time_index);
            }
        }
        IoDone::Done
    }

    /// What the runtime does for [`Effect::Swap`](ringmain::shard::Effect::Swap).
    pub fn swap(&mut self, segment: SegmentId) {
        self.unlink_each(segment, &["index", "timeindex", "marks"]);
        let cleaned = self.files.remove(&beside(segment, "cleaned")).unwrap();
        let old = self.files.insert(log_file(segment), cleaned).unwrap();
        self.segment_file(segment).replaced = Some(old.durable);
    }

    fn segment_file(&mut self, segment: SegmentId) -> &mut File {
        self.files.get_mut(&log_file(segment)).expect("the segment has a file")
    }

    fn create_segment(&mut self, segment: SegmentId, allocate_bytes: u64, spare: Option<SegmentId>) {
        if let Some(spare) = spare {
            self.rename(&beside(spare, "spare"), &log_file(segment));
        }
        let fresh = || File { unnamed: true, ..File::default() };
        self.files.entry(log_file(segment)).or_insert_with(fresh).allocate(allocate_bytes);
    }

    fn check_write(&self, segment: SegmentId, durable: bool) {
        let file = self.files.get(&log_file(segment));
        let is_named = file.is_some_and(|file| !file.unnamed);
        assert!(is_named || !durable, "a direct run into a file whose name may be lost");
        let was_moved = file.is_some_and(|file| !file.former.is_empty());
        assert!(!was_moved, "what is written would be found under an old name");
    }

    fn sync_all(&mut self) {
        self.ghosts.clear();
        for file in self.files.values_mut() {
            file.sync();
            file.sync_name();
            file.replaced = None;
        }
    }

    fn sync_names(&mut self, partition: TopicPartition) {
        let folder = partition_folder(Path::new(""), partition);
        let is_there = |path: &PathBuf| path.parent() == Some(&*folder);
        self.ghosts.retain(|path, _| !is_there(path));
        self.files.iter_mut().filter(|(path, _)| is_there(path)).for_each(|(_, file)| file.sync_name());
    }

    fn delete_partition(&mut self, partition: TopicPartition) {
        self.deleted.insert(partition);
        let folder = partition_folder(Path::new(""), partition);
        let gone: Vec<PathBuf> =
            self.files.keys().filter(|path| path.starts_with(&folder)).cloned().collect();
        gone.iter().for_each(|path| self.unlink(path));
    }

    fn remove_snapshots(&mut self, below: Offset) {
        let is_older = |path: &&PathBuf| snapshot_end(path).is_some_and(|end| end.end < below);
        let older: Vec<PathBuf> = self.files.keys().filter(is_older).cloned().collect();
        older.iter().for_each(|path| self.unlink(path));
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

    fn unlink_each(&mut self, segment: SegmentId, extensions: &[&str]) {
        extensions.iter().for_each(|extension| self.unlink(&beside(segment, extension)));
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
}
