//! The start of a server: what the last life of this data directory left behind becomes the state of every shard.
//!
//! Works on ordinary files and threads, before any executor exists; each decision is a pure function of
//! `commit::replay` or of `log`'s `recovery`. Order: replay of the commit logs into segments (metadata first: it says which
//! topics exist), scan of each partition from its checkpoint, sync of everything touched, new checkpoints for the shards
//! of this life, removal of what they replace. A crash at any point repeats the same on the same evidence.
//!
//! Afterwards all data is in segments: which shard a partition had before does not matter, so a changed number of shards
//! costs nothing.

mod error;
mod files;
mod known_part;
mod parallel;
mod partition;
mod replay;
mod scan;
mod tell;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::{Offset, PartitionIndex, ShardId, TopicId, TopicPartition};
use crate::commit::{self, Checkpoint, CheckpointError, CommitStart, EntryHeader, FILES_MIN, Found};
use crate::config::CommitLimits;
use crate::controller::{Controller, ControllerConfig, MetadataImage};
use crate::log::{PartitionSnapshot, RecoveredLog, TopicFolder, Verdict};
use crate::shard::ShardRecovery;

use super::layout::{commit_file, commit_folder, partition_folder, segment_file};

pub use error::RecoveryError;
use error::at;
use files::SegmentFiles;
use replay::Entries;

/// What recovery starts from.
#[derive(Clone, Debug)]
pub struct Recovery<'a> {
    pub data_dir: &'a Path,
    /// The data directory's own id: what commit groups are marked with.
    pub directory: [u8; 16],
    pub commit: CommitLimits,
    pub controller: ControllerConfig,
}

/// The state of every shard.
#[derive(Debug)]
pub struct Recovered {
    pub image: Arc<MetadataImage>,
    pub shards: Vec<ShardRecovery>,
}

/// One commit folder of the last life.
#[derive(Debug)]
struct CommitFolder {
    path: PathBuf,
    shard: u16,
    snapshots: Vec<PartitionSnapshot>,
    replay: Vec<Found>,
    next_sequence: u64,
}

/// What is known of a partition besides its files.
#[derive(Debug)]
struct Known {
    id: TopicPartition,
    snapshot: Option<PartitionSnapshot>,
    /// Records below were on stable storage, says the commit log.
    claim: Offset,
}

impl Recovery<'_> {
    /// Recovers everything. Blocking; bounded by the commit logs' size and what was written since the last checkpoints.
    pub fn run(&self) -> Result<Recovered, RecoveryError> {
        let folders = self.commit_folders()?;
        let mut snapshots = newest_snapshots(&folders);
        let mut files = SegmentFiles::new(self.data_dir)?;
        let (entries, claims) = noted(&folders, &snapshots)?;
        let is_metadata = |id| id == TopicPartition::METADATA;
        for (folder, entries) in folders.iter().zip(&entries) {
            entries.write(&folder.path, &mut files, is_metadata)?;
        }
        let mut known_of = |id| {
            let claim = claims.get(&id).copied().unwrap_or(Offset(0));
            Known { id, snapshot: snapshots.remove(&id), claim }
        };
        let metadata = self.recover_partition(&known_of(TopicPartition::METADATA), &mut files)?;
        if let Some(lost) = metadata.damaged.iter().next() {
            return Err(RecoveryError::MetadataLost { from: lost.start, to: lost.end.plus(-1) });
        }
        let controller = self.fold_metadata(&metadata)?;
        let image = controller.image();
        let is_listed = |id: TopicPartition| image.topic_by_id(id.topic).is_some();
        for (folder, entries) in folders.iter().zip(entries) {
            entries.write(&folder.path, &mut files, |id| !is_metadata(id) && is_listed(id))?;
        }
        self.set_orphans_aside(&image)?;
        let mut shards: Vec<Vec<(TopicPartition, RecoveredLog)>> =
            vec![Vec::new(); usize::from(image.here.shards)];
        shards[0].push((TopicPartition::METADATA, metadata));
        let homes = image
            .topics
            .values()
            .flat_map(|topic| topic.partitions_by_id())
            .filter_map(|(id, state)| Some((id, image.replica_here(state)?)));
        let (known, homes): (Vec<Known>, Vec<ShardId>) = homes.map(|(id, home)| (known_of(id), home)).unzip();
        let recover = |known: &[Known], files: &mut SegmentFiles| {
            known.iter().map(|known| self.recover_partition(known, files)).collect()
        };
        let logs = parallel::on_runs_with(&known, &mut files, recover)?;
        for ((log, known), home) in logs.into_iter().zip(known).zip(homes) {
            shards[usize::from(home.0)].push((known.id, log));
        }
        files.sync()?;
        let next_sequence = folders.iter().map(|folder| folder.next_sequence).max().unwrap_or(1);
        let mut recovered = Vec::with_capacity(shards.len());
        for (shard, partitions) in (0..).zip(shards) {
            let commit = self.begin_commit_log(ShardId(shard), next_sequence, &partitions)?;
            let controller = (shard == 0).then(|| controller.clone());
            recovered.push(ShardRecovery { commit, partitions, image: Arc::clone(&image), controller });
        }
        for folder in folders.iter().filter(|folder| folder.shard >= image.here.shards) {
            fs::remove_dir_all(&folder.path).map_err(at(&folder.path))?;
        }
        Ok(Recovered { image, shards: recovered })
    }

    /// Every commit folder there is: its checkpoint, and the groups to replay.
    fn commit_folders(&self) -> Result<Vec<CommitFolder>, RecoveryError> {
        let root = self.data_dir.join("commit");
        fs::create_dir_all(&root).map_err(at(&root))?;
        let mut found = Vec::new();
        for entry in fs::read_dir(&root).map_err(at(&root))? {
            let path = entry.map_err(at(&root))?.path();
            if let Some(shard) = path.file_name().and_then(|name| name.to_str()?.parse().ok()) {
                found.push((shard, path));
            }
        }
        found.sort_unstable();
        // Each thread holds one commit file at a time.
        parallel::on_runs(&found, |found| {
            found.iter().map(|(shard, path)| self.commit_folder(path.clone(), *shard)).collect()
        })
    }

    fn commit_folder(&self, path: PathBuf, shard: u16) -> Result<CommitFolder, RecoveryError> {
        let checkpoint = read_checkpoint(&path)?;
        let replay_from = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.replay_from);
        let clean = checkpoint.as_ref().is_some_and(|checkpoint| checkpoint.clean);
        let encoded = checkpoint.map_or_else(Vec::new, |checkpoint| checkpoint.partitions);
        let snapshots = encoded.iter().filter_map(|bytes| PartitionSnapshot::decode(bytes)).collect();
        let mut found = Vec::new();
        if !clean {
            for file in files::commit_files(&path)? {
                let bytes = files::read(&commit_file(&path, file))?;
                found.extend(commit::scan_file(file, &bytes, self.directory, replay_from));
            }
        }
        let first = found.iter().map(|group| group.header.sequence).min();
        // Without a checkpoint there is no telling where the log began: with what is there.
        let from = if replay_from == 0 { first.unwrap_or(1) } else { replay_from };
        let ordered = commit::order(found, from);
        match ordered.verdict {
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
        Ok(CommitFolder {
            path,
            shard,
            snapshots,
            replay: ordered.replay,
            next_sequence: ordered.next_sequence,
        })
    }

    fn recover_partition(
        &self,
        known: &Known,
        files: &mut SegmentFiles,
    ) -> Result<RecoveredLog, RecoveryError> {
        let Known { id, snapshot, claim } = known;
        partition::recover(&partition_folder(self.data_dir, *id), *id, snapshot.clone(), *claim, files)
    }

    /// Folds the metadata log into the controller's state.
    fn fold_metadata(&self, log: &RecoveredLog) -> Result<Controller, RecoveryError> {
        let mut controller = Controller::new(self.controller.clone());
        let folder = partition_folder(self.data_dir, TopicPartition::METADATA);
        for segment in &log.segments {
            let bytes = files::read(&segment_file(&folder, segment.base, "log"))?;
            let mut rest = bytes.get(..usize::try_from(segment.size).unwrap_or(0)).unwrap_or(&bytes);
            while !rest.is_empty() {
                let batch = crate::record::BatchHeader::parse(rest)?;
                let mut outcome = Ok(());
                crate::record::records(rest, |header, record| {
                    let value = record.value.unwrap_or(&[]);
                    outcome = controller.replay(value, record.offset(header).0).map(drop);
                    outcome.is_ok()
                })?;
                outcome?;
                rest = rest.get(batch.total_bytes()..).unwrap_or(&[]);
            }
        }
        Ok(controller)
    }

    /// Moves data of topics that the metadata does not list out of the way.
    fn set_orphans_aside(&self, image: &MetadataImage) -> Result<(), RecoveryError> {
        let root = self.data_dir.join("topics");
        fs::create_dir_all(&root).map_err(at(&root))?;
        for entry in fs::read_dir(&root).map_err(at(&root))? {
            let path = entry.map_err(at(&root))?.path();
            let Some(topic) = path.file_name().and_then(|name| TopicId::parse(name.to_str()?)) else {
                continue;
            };
            let is_listed = image.topic_by_id(topic).is_some();
            if (TopicFolder { topic, is_listed }).verdict() == Verdict::TopicListed {
                continue;
            }
            let orphans = self.data_dir.join("orphans");
            fs::create_dir_all(&orphans).map_err(at(&orphans))?;
            let aside = orphans.join(topic.to_string());
            if aside.exists() {
                fs::remove_dir_all(&aside).map_err(at(&aside))?;
            }
            fs::rename(&path, &aside).map_err(at(&path))?;
            tracing::warn!(%topic, moved_to = %aside.display(), "data of a topic that no longer exists");
        }
        Ok(())
    }

    /// A shard's commit folder for this life: enough pre-written files, and a checkpoint from which a crash that comes
    /// at once would recover.
    fn begin_commit_log(
        &self,
        shard: ShardId,
        next_sequence: u64,
        partitions: &[(TopicPartition, RecoveredLog)],
    ) -> Result<CommitStart, RecoveryError> {
        let folder = commit_folder(self.data_dir, shard);
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        let written = partitions.iter().filter(|(_, log)| !log.is_untouched());
        let checkpoint = Checkpoint {
            identity: self.directory,
            replay_from: next_sequence,
            clean: false,
            partitions: written.map(|(id, log)| partition::snapshot(*id, log).encode()).collect(),
        };
        files::replace(&folder.join("checkpoint"), &checkpoint.encode())?;
        let mut kept = Vec::new();
        for file in files::commit_files(&folder)? {
            let path = commit_file(&folder, file);
            if fs::metadata(&path).map_err(at(&path))?.len() == self.commit.file_bytes {
                kept.push(file);
            } else {
                fs::remove_file(&path).map_err(at(&path))?;
            }
        }
        let mut next = kept.iter().max().map_or(0, |last| last + 1);
        while kept.len() < FILES_MIN {
            files::prewrite(&commit_file(&folder, next), self.commit.file_bytes)?;
            kept.push(next);
            next += 1;
        }
        files::sync_folder(&folder)?;
        Ok(CommitStart {
            identity: self.directory,
            next_sequence,
            files: kept,
            file_bytes: self.commit.file_bytes,
            files_max: self.commit.files_max.max(FILES_MIN),
        })
    }
}

/// The commit logs' entries that no checkpoint covers, and per partition below which offset records were known to be durable.
fn noted(
    folders: &[CommitFolder],
    snapshots: &BTreeMap<TopicPartition, PartitionSnapshot>,
) -> Result<(Vec<Entries>, Claims), RecoveryError> {
    let of_folder = |folder: &CommitFolder| {
        let (mut entries, mut claims) = (Entries::default(), Claims::new());
        entries.note(&folder.path, &folder.replay, |entry| {
            let EntryHeader { partition, segment_base, position, flushed } = entry.header;
            claim(&mut claims, partition, flushed);
            let end = position + entry.bytes.len() as u64;
            !snapshots.get(&partition).is_some_and(|known| known.covers(segment_base, end))
        })?;
        Ok((entries, claims))
    };
    let noted = parallel::on_runs(folders, |folders| folders.iter().map(of_folder).collect())?;
    let mut claims = Claims::new();
    let mut of_folders = Vec::with_capacity(noted.len());
    for (entries, of_folder) in noted {
        of_folders.push(entries);
        of_folder.into_iter().for_each(|(id, flushed)| claim(&mut claims, id, flushed));
    }
    Ok((of_folders, claims))
}

/// The offset of each partition below which records were known to be durable.
type Claims = BTreeMap<TopicPartition, Offset>;

fn claim(claims: &mut Claims, id: TopicPartition, flushed: Offset) {
    let claim = claims.entry(id).or_insert(flushed);
    *claim = (*claim).max(flushed);
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

/// What the checkpoints say of each partition. Where two of them do, the one further on counts.
fn newest_snapshots(folders: &[CommitFolder]) -> BTreeMap<TopicPartition, PartitionSnapshot> {
    let mut newest: BTreeMap<TopicPartition, PartitionSnapshot> = BTreeMap::new();
    for snapshot in folders.iter().flat_map(|folder| &folder.snapshots) {
        let further = newest.get(&snapshot.id).is_none_or(|known| snapshot.is_further_than(known));
        if further {
            newest.insert(snapshot.id, snapshot.clone());
        }
    }
    newest
}

/// The metadata log has one partition.
const _: () = assert!(TopicPartition::METADATA.partition.0 == PartitionIndex(0).0);
