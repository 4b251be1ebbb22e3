//! What the end of a life leaves: any part of what was not synced, any half of what was under way.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ringmain::base::ShardId;
use ringmain::base::io::IoOp;
use ringmain::base::rng::Rng;
use ringmain::runtime::layout::{commit_folder, partition_folder, quorum_file, snapshot_end};

use super::cut::half_cut;
use super::file::lose_parts;
use super::{Disk, bytes_of, commit_path, log_file, snapshot_path};

/// What the end of a life leaves of writes that were not synced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Crash {
    /// The process is gone, the kernel lives: everything that was written is there.
    Kill,
    /// Any part of what was not synced.
    Power,
}

impl Disk {
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
}

/// A file that was being replaced whole.
fn replace_half(left: &mut BTreeMap<PathBuf, Vec<u8>>, path: PathBuf, bytes: &[u8], rng: &mut Rng) {
    match rng.below(3) {
        0 => {}
        1 => drop(left.insert(path, bytes.to_vec())),
        _ => {
            let part = &bytes[..usize::try_from(rng.below(bytes.len().max(1) as u64)).unwrap()];
            left.insert(path.with_extension("new"), part.to_vec());
        }
    }
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
        IoOp::TruncateLog { partition, below, files } => half_cut(left, *partition, *below, files, rng),
        IoOp::DeletePartition { partition } => {
            let folder = partition_folder(Path::new(""), *partition);
            left.retain(|path, _| !path.starts_with(&folder) || coin(rng));
        }
        IoOp::CreateCommitFile { file, bytes } if coin(rng) => {
            let bytes = usize::try_from(rng.below(*bytes)).unwrap();
            left.insert(commit_path(shard, *file).with_extension("new"), vec![0; bytes]);
        }
        IoOp::WriteCheckpoint { bytes } => {
            replace_half(left, commit_folder(Path::new(""), shard).join("checkpoint"), bytes, rng);
        }
        IoOp::WriteQuorum { bytes } => replace_half(left, quorum_file(Path::new("")), bytes, rng),
        IoOp::WriteSnapshot { end, pieces } => {
            replace_half(left, snapshot_path(*end), &pieces.concat(), rng);
        }
        IoOp::RemoveSnapshots { below } => {
            let is_older = |path: &Path| snapshot_end(path).is_some_and(|end| end.end < *below);
            left.retain(|path, _| !is_older(path) || coin(rng));
        }
        IoOp::CleanSegment { segment, .. } if coin(rng) => {
            left.insert(log_file(*segment).with_extension("cleaned"), vec![7; 5000]);
        }
        _ => {}
    }
}
