//! What the commit folders say of each partition: its checkpoint, the entries that count, cuts, and what was known to be
//! durable or committed.
//!
//! A partition's checkpoint and its fence are of one folder. Sequences grow over all lives of a directory, so a fence keeps
//! out whatever an older folder still has of the partition.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::{Offset, TopicPartition};
use crate::commit::{CutHeader, Fence, Plan, Replay, Says};
use crate::log::{Cut, CutsNoted, PartitionSnapshot};

use super::commit_folder::CommitFolder;
use super::error::RecoveryError;
use super::files::SegmentFiles;
use super::parallel;
use super::replay::Entries;

/// What is known of a partition besides its files.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) id: TopicPartition,
    pub(super) snapshot: Option<PartitionSnapshot>,
    /// The shard of the folder whose checkpoint that is.
    pub(super) shard: Option<u16>,
    /// Records below were on stable storage, says the commit log.
    pub(super) claim: Offset,
    /// Records below were committed, says the commit log.
    pub(super) high_watermark: Offset,
    cuts_are_known: bool,
    cuts_made: Vec<Cut>,
    unfinished_cut: Option<Cut>,
}

impl Known {
    /// A partition that only its checkpoint tells of.
    pub(super) fn of(id: TopicPartition, snapshot: Option<PartitionSnapshot>) -> Known {
        Known {
            id,
            snapshot,
            shard: None,
            claim: Offset(0),
            high_watermark: Offset(0),
            cuts_are_known: true,
            cuts_made: Vec::new(),
            unfinished_cut: None,
        }
    }

    pub(super) fn cuts(&self) -> CutsNoted<'_> {
        CutsNoted { are_known: self.cuts_are_known, made: &self.cuts_made, unfinished: self.unfinished_cut }
    }
}

/// What all folders say.
#[derive(Debug)]
pub(super) struct Evidence {
    /// With the shard of the folder.
    snapshots: BTreeMap<TopicPartition, (u16, PartitionSnapshot)>,
    /// One for each folder, in their order.
    of_folders: Vec<Noted>,
}

/// What one folder's log says.
#[derive(Debug, Default)]
struct Noted {
    entries: Entries,
    plan: Plan,
    /// Partitions of which it says nothing that could be believed.
    distrusted: BTreeSet<TopicPartition>,
}

impl Evidence {
    pub(super) fn of(folders: &[CommitFolder]) -> Result<Evidence, RecoveryError> {
        let snapshots = newest_snapshots(folders);
        let noted = |folder: &CommitFolder| {
            let mut noted = Noted::default();
            let Noted { entries, plan, .. } = &mut noted;
            entries.note(&folder.path, &folder.replay, |sequence, entry| {
                let known = snapshots.get(&entry.says.partition()).map(|(_, known)| known);
                let number =
                    plan.note(sequence, &entry.says, Fence::At(known.map_or(0, |known| known.fence)));
                let Says::Append(header) = &entry.says else { return None };
                let end = header.position + entry.bytes.len() as u64;
                let is_covered = known.is_some_and(|known| known.covers(header.segment_base, end));
                // A checkpoint from before a cut knows nothing of the segments behind it.
                let was_cut = || plan.of(header.partition).is_some_and(|replay| !replay.cuts.is_empty());
                (!is_covered || was_cut()).then_some(number)
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
            let counts = |id, number| wanted(id) && noted.of(id).is_some_and(|replay| replay.writes(number));
            noted.entries.write(&folder.path, files, counts)?;
        }
        Ok(())
    }

    /// Logs `with_replicas` are cut, and an entry may be from before a cut. A folder that does not know what was cut says
    /// nothing of those: what they lack then is damage, which other servers can mend; bytes that came back could not be told
    /// from the right ones.
    pub(super) fn distrust_what_may_be_cut_off(
        &mut self,
        folders: &[CommitFolder],
        with_replicas: impl Fn(TopicPartition) -> bool,
    ) {
        let unfenced =
            folders.iter().zip(&mut self.of_folders).filter(|(folder, _)| !folder.knows_its_fences());
        for (folder, noted) in unfenced {
            noted.distrusted.extend(noted.plan.iter().map(|(id, _)| id).filter(|id| with_replicas(*id)));
            tracing::error!(
                shard = folder.shard,
                partitions = noted.distrusted.len(),
                "the commit log is not replayed for partitions with replicas, because its checkpoint is gone; they lack what it held"
            );
        }
    }

    /// What is known of a partition; asked once.
    pub(super) fn known_of(&mut self, id: TopicPartition) -> Known {
        let (shard, snapshot) = self.snapshots.remove(&id).unzip();
        let cuts_are_known = self.of_folders.iter().all(|noted| !noted.distrusted.contains(&id));
        let mut known = Known { shard, cuts_are_known, ..Known::of(id, snapshot) };
        for replay in self.of_folders.iter().filter_map(|noted| noted.of(id)) {
            known.claim = known.claim.max(replay.claim);
            known.high_watermark = known.high_watermark.max(replay.high_watermark);
            known.cuts_made.extend(replay.cuts.iter().map(cut_of));
            known.unfinished_cut = replay.unfinished.as_ref().map(cut_of).or(known.unfinished_cut);
        }
        known
    }
}

impl Noted {
    fn of(&self, id: TopicPartition) -> Option<&Replay> {
        self.plan.of(id).filter(|_| !self.distrusted.contains(&id))
    }
}

fn cut_of(header: &CutHeader) -> Cut {
    let CutHeader { below, begin_at, epoch, .. } = *header;
    Cut { below, begin_at, epoch }
}

/// What the checkpoints say of each partition. Where two of them do, the later one counts.
fn newest_snapshots(folders: &[CommitFolder]) -> BTreeMap<TopicPartition, (u16, PartitionSnapshot)> {
    let mut newest: BTreeMap<TopicPartition, (u16, PartitionSnapshot)> = BTreeMap::new();
    for folder in folders {
        for snapshot in &folder.snapshots {
            let further = newest.get(&snapshot.id).is_none_or(|(_, known)| snapshot.is_further_than(known));
            if further {
                newest.insert(snapshot.id, (folder.shard, snapshot.clone()));
            }
        }
    }
    newest
}
