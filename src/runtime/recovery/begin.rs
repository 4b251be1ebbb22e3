//! The beginning of a shard's commit log in this life.

use std::fs;

use crate::base::{ShardId, TopicPartition};
use crate::commit::{Checkpoint, CommitStart, FILES_MIN, GROUP_BYTES_MAX};
use crate::log::RecoveredLog;
use crate::runtime::layout::{commit_file, commit_folder};

use super::error::{RecoveryError, at};
use super::{Recovery, files, partition};

/// A shard's commit folder for this life: enough pre-written files, and a checkpoint from which a crash that comes
/// at once would recover.
pub(super) fn commit_log(
    recovery: &Recovery<'_>,
    shard: ShardId,
    next_sequence: u64,
    partitions: &[(TopicPartition, RecoveredLog)],
) -> Result<CommitStart, RecoveryError> {
    let folder = commit_folder(recovery.data_dir, shard);
    fs::create_dir_all(&folder).map_err(at(&folder))?;
    let written = partitions.iter().filter(|(_, log)| !log.is_untouched());
    let checkpoint = Checkpoint {
        identity: recovery.directory,
        replay_from: next_sequence,
        clean: false,
        partitions: written.map(|(id, log)| partition::snapshot(*id, log).encode()).collect(),
    };
    files::replace(&folder.join("checkpoint"), &checkpoint.encode())?;
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
