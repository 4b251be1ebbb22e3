//! The commit folders of the last life: what their checkpoints say, and which groups are to be replayed.
//!
//! Which groups count is decided by [`commit::order`]. Limits: each thread holds one commit file at a time.

use std::fs;
use std::path::{Path, PathBuf};

use crate::base::{Rule, holds};
use crate::commit::{self, Checkpoint, CheckpointError, Found};
use crate::log::PartitionSnapshot;
use crate::runtime::layout::commit_file;

use super::error::{RecoveryError, at};
use super::{files, parallel};

/// One commit folder of the last life.
#[derive(Debug)]
pub(super) struct CommitFolder {
    pub(super) path: PathBuf,
    pub(super) shard: u16,
    pub(super) snapshots: Vec<PartitionSnapshot>,
    pub(super) replay: Vec<Found>,
    pub(super) next_sequence: u64,
    /// The newest group that is replayed or that the checkpoint stands for.
    pub(super) newest_sequence: u64,
    /// The checkpoint is that of an orderly stop.
    pub(super) is_clean: bool,
    harm: Harm,
}

/// What has befallen a commit folder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Harm {
    None,
    /// A group that was durable is damaged or gone: nobody knows whose records it held.
    GroupGone,
    /// There are groups and no checkpoint: nobody knows what of them was cut off again.
    CheckpointGone,
}

impl CommitFolder {
    /// Whether anything was ever written to the folder's log.
    pub(super) fn holds_something(&self) -> bool {
        !self.replay.is_empty() || !self.snapshots.is_empty()
    }

    /// Whether any of the folder's partitions may lack records that were durable. Which of them do is not known: with rule D9
    /// all of them count as damaged.
    pub(super) fn damages_all(&self) -> bool {
        self.harm != Harm::None && holds(Rule::D9)
    }

    /// Whether it is known which entries of a partition are from before a cut. If not, none of the folder may be replayed
    /// where logs are cut at all: see [`super::given::Voters`].
    pub(super) fn knows_its_fences(&self) -> bool {
        self.harm != Harm::CheckpointGone || !holds(Rule::D9)
    }
}

/// Every commit folder there is: its checkpoint, and the groups to replay.
pub(super) fn all(data: &Path, directory: [u8; 16]) -> Result<Vec<CommitFolder>, RecoveryError> {
    let root = data.join("commit");
    fs::create_dir_all(&root).map_err(at(&root))?;
    let mut found = Vec::new();
    for entry in fs::read_dir(&root).map_err(at(&root))? {
        let path = entry.map_err(at(&root))?.path();
        if let Some(shard) = path.file_name().and_then(|name| name.to_str()?.parse().ok()) {
            found.push((shard, path));
        }
    }
    found.sort_unstable();
    parallel::on_runs(&found, |found| {
        found.iter().map(|(shard, path)| read(path.clone(), *shard, directory)).collect()
    })
}

fn read(path: PathBuf, shard: u16, directory: [u8; 16]) -> Result<CommitFolder, RecoveryError> {
    let checkpoint = read_checkpoint(&path)?;
    let lacks_checkpoint = checkpoint.is_none();
    let replay_from = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.replay_from);
    let is_clean = checkpoint.as_ref().is_some_and(|checkpoint| checkpoint.clean);
    let encoded = checkpoint.map_or_else(Vec::new, |checkpoint| checkpoint.partitions);
    let snapshots: Vec<_> = encoded.iter().filter_map(|bytes| PartitionSnapshot::decode(bytes)).collect();
    let lacks_some = lacks_checkpoint || snapshots.len() < encoded.len();
    let mut found = Vec::new();
    if !is_clean {
        for file in files::commit_files(&path)? {
            let bytes = files::read(&commit_file(&path, file))?;
            found.extend(commit::scan_file(file, &bytes, directory, replay_from));
        }
    }
    let first = found.iter().map(|group| group.header.sequence).min();
    // Without a checkpoint there is no telling where the log began: with what is there.
    let from = if replay_from == 0 { first.unwrap_or(1) } else { replay_from };
    let ordered = commit::order(found, from);
    let newest = ordered.replay.last().map(|group| group.header.sequence);
    let harm = match ordered.verdict {
        _ if lacks_some && newest.is_some() => Harm::CheckpointGone,
        commit::Verdict::Corrupt { .. } => Harm::GroupGone,
        commit::Verdict::Whole | commit::Verdict::Torn { .. } => Harm::None,
    };
    tell(shard, ordered.verdict);
    Ok(CommitFolder {
        path,
        shard,
        snapshots,
        replay: ordered.replay,
        next_sequence: ordered.next_sequence,
        newest_sequence: newest.unwrap_or(from.saturating_sub(1)),
        is_clean,
        harm,
    })
}

fn tell(shard: u16, verdict: commit::Verdict) {
    match verdict {
        commit::Verdict::Whole => {}
        commit::Verdict::Torn { sequence } => {
            tracing::info!(
                shard,
                sequence,
                "the last write to the commit log was cut off; nothing acknowledged is in it"
            );
        }
        commit::Verdict::Corrupt { sequence } => {
            tracing::error!(
                shard,
                sequence,
                "a commit group that was durable is damaged or gone; what it held may be lost"
            );
        }
    }
}

/// The checkpoint of a commit folder. `None` if there is none, or if it is damaged: then everything is scanned.
fn read_checkpoint(folder: &Path) -> Result<Option<Checkpoint>, RecoveryError> {
    let path = folder.join("checkpoint");
    if !path.exists() {
        return Ok(None);
    }
    match Checkpoint::decode(&files::read(&path)?) {
        Ok(checkpoint) => Ok(Some(checkpoint)),
        Err(source @ CheckpointError::Version(_)) => Err(RecoveryError::Checkpoint { path, source }),
        Err(error) => {
            tracing::error!(path = %path.display(), %error, "the checkpoint is damaged; logs are scanned from their start");
            Ok(None)
        }
    }
}
