//! Where things are in the data directory, and how a segment's index files are written.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::base::{BLOCK_BYTES, LeaderEpoch, LogEnd, Offset, ShardId, TopicId, TopicPartition};

/// The index of a segment that is still being appended to: see [`crate::log::marks`].
pub const MARKS: &str = "marks";
/// What lies beside a segment, and goes with it.
pub const BESIDE: [&str; 3] = ["index", "timeindex", MARKS];

#[must_use]
pub fn commit_folder(data: &Path, shard: ShardId) -> PathBuf {
    data.join("commit").join(shard.to_string())
}

#[must_use]
pub fn commit_file(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number:08}.commit"))
}

#[must_use]
pub fn topic_folder(data: &Path, topic: TopicId) -> PathBuf {
    data.join("topics").join(topic.to_string())
}

#[must_use]
pub fn partition_folder(data: &Path, id: TopicPartition) -> PathBuf {
    topic_folder(data, id.topic).join(id.partition.to_string())
}

#[must_use]
pub fn segment_file(folder: &Path, base: Offset, extension: &str) -> PathBuf {
    folder.join(format!("{:020}.{extension}", base.0))
}

/// The directory's vote in the quorum of the metadata log.
#[must_use]
pub fn quorum_file(data: &Path) -> PathBuf {
    data.join("meta/quorum")
}

/// Extension of snapshots of the metadata log.
pub const SNAPSHOT: &str = "snapshot";

/// A snapshot of the metadata log: it stands for all records before `end`.
#[must_use]
pub fn snapshot_file(folder: &Path, end: LogEnd) -> PathBuf {
    folder.join(format!("{:020}-{:010}.{SNAPSHOT}", end.end.0, end.last_epoch.0))
}

/// The end that a snapshot's file is named for; `None` for any other file.
#[must_use]
pub fn snapshot_end(path: &Path) -> Option<LogEnd> {
    let name = path.file_name()?.to_str()?.strip_suffix(SNAPSHOT)?.strip_suffix('.')?;
    let (end, last_epoch) = name.split_once('-')?;
    let end = LogEnd { last_epoch: LeaderEpoch(last_epoch.parse().ok()?), end: Offset(end.parse().ok()?) };
    (end.end.0 >= 0 && end.last_epoch.0 >= 0).then_some(end)
}

/// Writes a finished segment's index files: each whole, or not at all. A time index that was cut off would tell retention a
/// wrong age.
pub fn write_index(folder: &Path, base: Offset, index: &[u8], time_index: &[u8]) -> io::Result<()> {
    for (extension, bytes) in [("index", index), ("timeindex", time_index)] {
        // One block is there as a whole or not (the length follows the data); a name that a crash takes back costs a scan.
        let path = segment_file(folder, base, extension);
        let temporary = path.with_extension(format!("{extension}.new"));
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        if bytes.len() > BLOCK_BYTES {
            file.sync_data()?;
        }
        fs::rename(&temporary, &path)?;
    }
    Ok(())
}
