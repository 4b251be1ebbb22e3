//! What the commit folders say of each partition: its checkpoint, the entries that no checkpoint covers, and below which
//! offset its records were known to be durable.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::{Offset, TopicPartition};
use crate::commit::{EntryHeader, Says};
use crate::log::PartitionSnapshot;
use crate::shard::DamagedPartitions;

use super::commit_folder::CommitFolder;
use super::error::RecoveryError;
use super::files::SegmentFiles;
use super::metadata::Metadata;
use super::replay::Entries;
use super::{Placed, parallel};

/// What is known of a partition besides its files.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) id: TopicPartition,
    pub(super) snapshot: Option<PartitionSnapshot>,
    /// Records below were on stable storage, says the commit log.
    pub(super) claim: Offset,
}

/// What all folders say.
#[derive(Debug)]
pub(super) struct Evidence {
    snapshots: BTreeMap<TopicPartition, PartitionSnapshot>,
    /// One for each folder, in their order.
    of_folders: Vec<Noted>,
}

/// What one folder's log says.
#[derive(Debug, Default)]
struct Noted {
    entries: Entries,
    /// The offset of each partition below which records were known to be durable.
    claims: BTreeMap<TopicPartition, Offset>,
}

impl Evidence {
    pub(super) fn of(folders: &[CommitFolder]) -> Result<Evidence, RecoveryError> {
        let snapshots = newest_snapshots(folders);
        let noted = |folder: &CommitFolder| {
            let mut noted = Noted::default();
            let Noted { entries, claims } = &mut noted;
            entries.note(&folder.path, &folder.replay, |entry| {
                let Says::Append(EntryHeader { partition, segment_base, position, flushed, .. }) = entry.says
                else {
                    return false;
                };
                let claim = claims.entry(partition).or_insert(flushed);
                *claim = (*claim).max(flushed);
                let end = position + entry.bytes.len() as u64;
                !snapshots.get(&partition).is_some_and(|known| known.covers(segment_base, end))
            })?;
            Ok(noted)
        };
        let of_folders = parallel::on_runs(folders, |folders| folders.iter().map(noted).collect())?;
        Ok(Evidence { snapshots, of_folders })
    }

    /// Writes the entries of those partitions that are `wanted` into their segments.
    pub(super) fn write(
        &self,
        folders: &[CommitFolder],
        files: &mut SegmentFiles,
        wanted: impl Fn(TopicPartition) -> bool,
    ) -> Result<(), RecoveryError> {
        for (folder, noted) in folders.iter().zip(&self.of_folders) {
            noted.entries.write(&folder.path, files, &wanted)?;
        }
        Ok(())
    }

    /// Where logs are cut, an entry may be from before a cut. A folder that does not know what was cut says nothing: what it
    /// lacks then is damage, which other servers can mend; bytes that came back could not be told from the right ones.
    pub(super) fn drop_what_may_be_cut_off(&mut self, folders: &[CommitFolder]) {
        for (folder, noted) in folders.iter().zip(&mut self.of_folders) {
            if !folder.knows_its_fences() {
                *noted = Noted::default();
            }
        }
    }

    /// What is known of a partition; asked once.
    pub(super) fn known_of(&mut self, id: TopicPartition) -> Known {
        let claims = self.of_folders.iter().filter_map(|noted| noted.claims.get(&id).copied());
        Known { id, claim: claims.max().unwrap_or(Offset(0)), snapshot: self.snapshots.remove(&id) }
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

/// The partitions that lack records which were durable here. Those that the metadata does not give to this server are not
/// asked about.
pub(super) fn damaged(
    metadata: &Metadata,
    folders: &[CommitFolder],
    placed: &[Placed],
    unknown: &[TopicPartition],
) -> DamagedPartitions {
    if metadata.was_dropped || folders.iter().any(CommitFolder::damages_all) {
        return DamagedPartitions::All;
    }
    let unknown: BTreeSet<&TopicPartition> = unknown.iter().collect();
    let damaged = placed.iter().filter(|(_, id, log)| log.has_lost && !unknown.contains(id));
    DamagedPartitions::these(damaged.map(|(_, id, _)| *id).collect())
}
