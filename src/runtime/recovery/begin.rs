//! The beginning of a shard's commit log in this life.

use std::fs;
use std::path::Path;

use crate::base::{ShardId, TopicPartition, mark};
use crate::commit::{Checkpoint, CommitStart, FILES_MIN, GROUP_BYTES_MAX};
use crate::log::{PartitionSnapshot, RecoveredLog};
use crate::runtime::layout::{commit_file, commit_folder};

use super::error::{RecoveryError, at};
use super::files;
use super::given::Recovery;

/// The shards' commit folders for this life, as they are to begin with these partitions each.
pub(super) fn commit_logs(
    recovery: &Recovery<'_>,
    next_sequence: u64,
    shards: &[Vec<(TopicPartition, RecoveredLog)>],
    places: Places,
) -> Result<Vec<CommitStart>, RecoveryError> {
    if places == Places::Moved {
        mark("partitions have moved to other shards");
        // Each folder's checkpoint forgets what has moved elsewhere: somewhere all of them must stand before the first does.
        let folder = commit_folder(recovery.data_dir, ShardId(0));
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        write_checkpoint(recovery, &folder, next_sequence, shards.iter().flatten())?;
    }
    // The first one's last, for the same reason.
    let numbered: Vec<_> = (0..).map(ShardId).zip(shards).collect();
    let mut begun = Vec::with_capacity(shards.len());
    for (shard, partitions) in numbered.into_iter().rev() {
        begun.push(commit_log(recovery, shard, next_sequence, partitions)?);
    }
    begun.reverse();
    Ok(begun)
}

/// Whether each partition is with the shard whose checkpoint tells of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Places {
    Kept,
    Moved,
}

fn write_checkpoint<'a>(
    recovery: &Recovery<'_>,
    folder: &Path,
    next_sequence: u64,
    partitions: impl Iterator<Item = &'a (TopicPartition, RecoveredLog)>,
) -> Result<(), RecoveryError> {
    let written = partitions.filter(|(_, log)| !log.is_untouched());
    let checkpoint = Checkpoint {
        identity: recovery.directory,
        replay_from: next_sequence,
        clean: false,
        partitions: written.map(|(id, log)| snapshot(*id, log).encode()).collect(),
    };
    files::replace(&folder.join("checkpoint"), &checkpoint.encode())
}

/// A shard's commit folder for this life: enough pre-written files, and a checkpoint from which a crash that comes
/// at once would recover.
fn commit_log(
    recovery: &Recovery<'_>,
    shard: ShardId,
    next_sequence: u64,
    partitions: &[(TopicPartition, RecoveredLog)],
) -> Result<CommitStart, RecoveryError> {
    let folder = commit_folder(recovery.data_dir, shard);
    fs::create_dir_all(&folder).map_err(at(&folder))?;
    write_checkpoint(recovery, &folder, next_sequence, partitions.iter())?;
    let file_bytes = recovery.commit.file_bytes;
    let mut kept = Vec::new();
    for file in files::commit_files(&folder)? {
        let path = commit_file(&folder, file);
        if fs::metadata(&path).map_err(at(&path))?.len() == file_bytes {
            kept.push(file);
        } else {
            fs::remove_file(&path).map_err(at(&path))?;
        }
    }
    let mut next = kept.iter().max().map_or(0, |last| last + 1);
    while kept.len() < FILES_MIN {
        files::prewrite(&commit_file(&folder, next), file_bytes)?;
        kept.push(next);
        next += 1;
    }
    files::sync_folder(&folder)?;
    Ok(CommitStart {
        identity: recovery.directory,
        next_sequence,
        files: kept,
        file_bytes,
        files_max: recovery.commit.files_max.max(FILES_MIN),
        group_bytes_max: GROUP_BYTES_MAX,
    })
}

/// The checkpoint of a partition as recovery leaves it.
fn snapshot(id: TopicPartition, log: &RecoveredLog) -> PartitionSnapshot {
    let active = log.segments.last();
    PartitionSnapshot {
        id,
        log_start: log.log_start,
        log_end: log.log_end,
        segment_base: active.map_or(log.log_end, |segment| segment.base),
        position: active.map_or(0, |segment| segment.size),
        offset: log.log_end,
        mark: active.and_then(|segment| segment.index.mark_before(segment.size)),
        epochs: log.epochs.clone(),
        producers: log.producers.clone(),
        high_watermark: log.high_watermark.min(log.log_end),
        fence: log.fence,
    }
}
