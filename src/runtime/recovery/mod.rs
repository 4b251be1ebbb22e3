//! The start of a server: what the last life of this data directory left behind becomes the state of every shard.
//!
//! Works on ordinary files and threads, before any executor exists; each decision is a pure function of
//! `commit::replay` or of `log`'s `recovery`. Order: the ballot; replay of the commit logs into segments (metadata first: it
//! says where partitions have their home), scan of each partition from its checkpoint, sync of everything touched, new
//! checkpoints for the shards of this life, removal of what they replace. A crash at any point repeats the same on the same
//! evidence.
//!
//! Afterwards all data is in segments: which shard a partition had before does not matter, so a changed number of shards
//! costs nothing.
//!
//! Where others vote on the metadata, the log of it here may be behind, or hold what was never committed. So recovery asks it
//! where a partition has its home, and never whether it may be there: every partition on the disk is recovered, and those
//! that the log does not give to this server are shard 0's to keep, until the quorum was heard.

mod ballot;
mod begin;
mod beside;
mod commit_folder;
mod cuts;
mod error;
mod evidence;
mod files;
mod given;
mod known_part;
mod metadata;
mod parallel;
mod partition;
mod replay;
mod scan;
mod snapshots;
mod strays;
mod tell;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;

use crate::base::{Rule, ShardId, TopicPartition, VoterId, holds};
use crate::controller::MetadataImage;
use crate::log::RecoveredLog;
use crate::shard::{DamagedPartitions, DirectoryRecovery, KnownVoters, LastStop, ShardRecovery};

use super::layout::partition_folder;

use begin::Places;
use commit_folder::CommitFolder;
pub use error::RecoveryError;
use error::at;
use evidence::{Evidence, Known};
use files::SegmentFiles;
pub use given::{Origin, Recovery, Voters};
use metadata::Metadata;

/// The state of every shard.
#[derive(Debug)]
pub struct Recovered {
    /// The committed state.
    pub image: Arc<MetadataImage>,
    pub shards: Vec<ShardRecovery>,
}

impl Recovered {
    /// The vote of the directory, if it has one.
    #[must_use]
    pub fn voter(&self) -> Option<VoterId> {
        self.shards.first()?.directory.as_ref()?.ballot.map(|ballot| ballot.voter)
    }
}

/// A partition's log and the shard that keeps it.
type Placed = (ShardId, TopicPartition, RecoveredLog);

/// All partitions but the metadata log's.
struct Data {
    placed: Vec<Placed>,
    /// Partitions that the metadata does not give to this server.
    unknown: Vec<TopicPartition>,
    places: Places,
}

impl Recovery<'_> {
    /// Recovers everything. Blocking; bounded by the commit logs' size and what was written since the last checkpoints.
    pub fn run(&self) -> Result<Recovered, RecoveryError> {
        let folders = commit_folder::all(self.data_dir, self.directory)?;
        let ballot = ballot::read_or_found(self, &folders)?;
        let mut files = SegmentFiles::new(self.data_dir)?;
        let mut evidence = Evidence::of(&folders)?;
        evidence.write(&folders, &mut files, |id| id == TopicPartition::METADATA)?;
        let known = evidence.known_of(TopicPartition::METADATA);
        let metadata = metadata::recover(self, &known, &folders, &mut files, ballot)?;
        let data = self.recover_data(&metadata, &folders, evidence, &mut files)?;
        files.sync()?;
        self.hand_over(metadata, &folders, data)
    }

    fn recover_data(
        &self,
        metadata: &Metadata,
        folders: &[CommitFolder],
        mut evidence: Evidence,
        files: &mut SegmentFiles,
    ) -> Result<Data, RecoveryError> {
        let image = &metadata.tentative;
        let is_judged_late = metadata.voters == Voters::Others && holds(Rule::StraysLate);
        // What the uncommitted part of the log takes away may come back with another one.
        let committed = metadata.committed.image();
        let homes: BTreeMap<TopicPartition, ShardId> =
            given_here(&committed).chain(given_here(image)).collect();
        let mut homes: Vec<(TopicPartition, ShardId)> = homes.into_iter().collect();
        let mut unknown = Vec::new();
        if is_judged_late {
            let is_alone =
                |id| [image, &committed].iter().all(|it| replicas_of(it, id).is_none_or(|count| count == 1));
            let is_known = |id| replicas_of(image, id).is_some();
            evidence.distrust_what_may_be_cut_off(folders, |id| !is_known(id) || !is_alone(id));
            evidence.write(folders, files, |id| id != TopicPartition::METADATA)?;
            let given: BTreeSet<TopicPartition> = homes.iter().map(|(id, _)| *id).collect();
            unknown.extend(strays::on_disk(self.data_dir)?.difference(&given));
            homes.extend(unknown.iter().map(|id| (*id, ShardId(0))));
        } else {
            let is_listed = |id: TopicPartition| image.topic_by_id(id.topic).is_some();
            evidence.write(folders, files, |id| id != TopicPartition::METADATA && is_listed(id))?;
            strays::set_aside(self.data_dir, image)?;
        }
        let known: Vec<Known> = homes.iter().map(|(id, _)| evidence.known_of(*id)).collect();
        let recover = |known: &[Known], files: &mut SegmentFiles| {
            known.iter().map(|known| self.recover_partition(known, files)).collect()
        };
        let logs = parallel::on_runs_with(&known, files, recover)?;
        let has_moved = |((_, home), known): (&(TopicPartition, ShardId), &Known)| {
            known.shard.is_some_and(|shard| shard != home.0)
        };
        let places = if homes.iter().zip(&known).any(has_moved) { Places::Moved } else { Places::Kept };
        let placed = homes.into_iter().zip(logs).map(|((id, home), log)| (home, id, log)).collect();
        Ok(Data { placed, unknown, places })
    }

    fn recover_partition(
        &self,
        known: &Known,
        files: &mut SegmentFiles,
    ) -> Result<RecoveredLog, RecoveryError> {
        partition::recover(&partition_folder(self.data_dir, known.id), known, files)
    }

    /// Gives each shard its partitions and a commit log to begin with.
    fn hand_over(
        &self,
        metadata: Metadata,
        folders: &[CommitFolder],
        data: Data,
    ) -> Result<Recovered, RecoveryError> {
        let unplaced = Arc::new(data.unknown.iter().copied().collect());
        let mut directory = Some(directory(&metadata, folders, &data));
        let image = metadata.committed.image();
        let mut shards = vec![Vec::new(); usize::from(image.here.shards)];
        shards[0].push((TopicPartition::METADATA, metadata.log));
        for (home, id, log) in data.placed {
            shards[usize::from(home.0)].push((id, log));
        }
        let next_sequence = folders.iter().map(|folder| folder.next_sequence).max().unwrap_or(1);
        // Whatever an older folder still has of a partition is from before this life.
        shards.iter_mut().flatten().for_each(|(_, log)| log.fence = next_sequence);
        let commit_logs = begin::commit_logs(self, next_sequence, &shards, data.places)?;
        let mut controller = Some(metadata.committed);
        let mut recovered = Vec::with_capacity(shards.len());
        for (commit, partitions) in commit_logs.into_iter().zip(shards) {
            let (controller, directory) = (controller.take(), directory.take());
            recovered.push(ShardRecovery {
                commit,
                partitions,
                image: Arc::clone(&image),
                controller,
                directory,
                unplaced: Arc::clone(&unplaced),
            });
        }
        for folder in folders.iter().filter(|folder| folder.shard >= image.here.shards) {
            fs::remove_dir_all(&folder.path).map_err(at(&folder.path))?;
        }
        Ok(Recovered { image, shards: recovered })
    }
}

/// How many replicas a partition has; `None` if the metadata does not know it.
fn replicas_of(image: &MetadataImage, id: TopicPartition) -> Option<usize> {
    let index = usize::try_from(id.partition.0).ok()?;
    image.topic_by_id(id.topic)?.partitions.get(index).map(|partition| partition.replicas().len())
}

/// The partitions that an image gives to this server, with their shards.
fn given_here(image: &MetadataImage) -> impl Iterator<Item = (TopicPartition, ShardId)> + '_ {
    let partitions = image.topics.values().flat_map(|topic| topic.partitions_by_id());
    partitions.filter_map(|(id, state)| Some((id, image.replica_here(state)?)))
}

/// What the directory as a whole has come to.
fn directory(metadata: &Metadata, folders: &[CommitFolder], data: &Data) -> DirectoryRecovery {
    let is_clean = folders.iter().all(|folder| folder.is_clean);
    DirectoryRecovery {
        ballot: metadata.ballot,
        voters: KnownVoters {
            committed: metadata.committed.image().quorum.voters.clone(),
            later: metadata.later_voters.clone(),
            founded: metadata.voters == Voters::ThisServer,
        },
        snapshot: metadata.snapshot,
        metadata_end: metadata.end(),
        newest_sequence: folders.iter().map(|folder| folder.newest_sequence).max().unwrap_or(0),
        last_stop: if is_clean { LastStop::Orderly } else { LastStop::Crash },
        damaged: damaged(metadata, folders, data),
        unknown: data.unknown.clone(),
    }
}

/// The partitions that lack records which were durable here. Those that the metadata does not give to this server are not
/// asked about.
fn damaged(metadata: &Metadata, folders: &[CommitFolder], data: &Data) -> DamagedPartitions {
    if metadata.was_dropped || folders.iter().any(CommitFolder::damages_all) {
        return DamagedPartitions::All;
    }
    let unknown: BTreeSet<&TopicPartition> = data.unknown.iter().collect();
    let damaged = data.placed.iter().filter(|(_, id, log)| log.has_lost && !unknown.contains(id));
    DamagedPartitions::these(damaged.map(|(_, id, _)| *id).collect())
}
