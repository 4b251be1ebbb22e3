//! The metadata log: recovered before all others, since it says where they have their home.
//!
//! | what is found | this server decides alone | somebody else votes |
//! |---|---|---|
//! | a whole log | all of it is committed | committed is what lies below its high watermark; the rest only says where partitions have their home |
//! | a snapshot that lies beyond the log's end | the log is dropped and begins there | the same |
//! | durable records are gone, or the log's beginning without a snapshot | fatal | the log is dropped, and fetched anew by another voter |
//!
//! A log is dropped in an order that a crash may end anywhere: first the ballot is another voter's, durably, so that nobody
//! counts on the records any more; then it is written down that the log is to be fetched; then its folder is set aside.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::base::{LogEnd, Offset, TopicId, TopicPartition};
use crate::controller::{Controller, MetadataImage, Voter, voters_in};
use crate::log::RecoveredLog;
use crate::quorum::Ballot;
use crate::record::{BatchHeader, records};
use crate::runtime::layout::{partition_folder, segment_file, topic_folder};

use super::commit_folder::CommitFolder;
use super::error::RecoveryError;
use super::evidence::Known;
use super::files::{self, SegmentFiles};
use super::given::{Origin, Recovery, Voters};
use super::snapshots::{self, Snapshot};
use super::{ballot, partition, strays};

/// The shard that keeps the metadata log.
const METADATA_SHARD: u16 = 0;

/// The metadata log as recovered, and what it says.
#[derive(Debug)]
pub(super) struct Metadata {
    pub(super) log: RecoveredLog,
    /// The fold of what is committed.
    pub(super) committed: Controller,
    /// The fold of everything, committed or not: says where partitions have their home, which never changes.
    pub(super) tentative: Arc<MetadataImage>,
    pub(super) voters: Voters,
    /// Records of voters in the part of the log that may not be committed, with their offsets.
    pub(super) later_voters: Vec<(Offset, Vec<Voter>)>,
    /// The snapshot that the folds begin with.
    pub(super) snapshot: Option<LogEnd>,
    /// Records that were durable are gone: the log was dropped.
    pub(super) was_dropped: bool,
    pub(super) ballot: Option<Ballot>,
}

impl Metadata {
    pub(super) fn end(&self) -> LogEnd {
        let last = self.log.epochs.latest();
        last.map_or(LogEnd::EMPTY, |last_epoch| LogEnd { last_epoch, end: self.log.log_end })
    }
}

/// Recovers the log and folds it. What the commit logs hold of it is in its segments.
pub(super) fn recover(
    recovery: &Recovery<'_>,
    known: &Known,
    folders: &[CommitFolder],
    files: &mut SegmentFiles,
    ballot: Option<Ballot>,
) -> Result<Metadata, RecoveryError> {
    let folder = partition_folder(recovery.data_dir, TopicPartition::METADATA);
    let mut log = partition::recover(&folder, known, files)?;
    let snapshot = snapshots::newest_whole(&folder, &recovery.controller)?;
    let begins = snapshot.as_ref().map_or(Offset(0), |snapshot| snapshot.end.end);
    if let Some(snapshot) = &snapshot
        && snapshot.end.end > log.log_end
    {
        log = snapshots::begin_at(snapshot.end, &log, &folder, files)?;
    }
    if let Some(snapshot) = &snapshot {
        snapshots::seed(&mut log, snapshot.end);
    }
    let lost = lost(&log, begins, folders);
    let readable = lost.as_ref().map_or(log.log_end, |lost| lost.start.max(begins));
    let folds = Folds::of(recovery, &log, snapshot, readable)?;
    let voters = voters(recovery, &folds.tentative, ballot.as_ref());
    match (lost, voters) {
        (Some(_), Voters::Others) => dropped(recovery, files),
        (Some(lost), Voters::ThisServer) if !lost.is_empty() => {
            Err(RecoveryError::MetadataLost { from: lost.start, to: lost.end.plus(-1) })
        }
        (_, voters) => {
            let ballot = ballot::kept_or_made(recovery, ballot, voters, &folds.tentative)?;
            if !folds.tentative.quorum.voters.is_empty() {
                ballot::forget_to_be_fetched(recovery.data_dir)?;
            }
            let Folds { committed, tentative, all, snapshot, later_voters } = folds;
            let committed = committed.filter(|_| voters == Voters::Others).unwrap_or(all);
            let was_dropped = false;
            Ok(Metadata { log, committed, tentative, voters, later_voters, snapshot, was_dropped, ballot })
        }
    }
}

/// Offsets of records that were durable and are gone; empty if nobody knows which. A fold that begins with a snapshot needs
/// none from before it.
fn lost(log: &RecoveredLog, begins: Offset, folders: &[CommitFolder]) -> Option<Range<Offset>> {
    let damaged = log.damaged.iter().find(|range| range.end > begins).cloned();
    let beginning = (log.log_start > begins).then_some(begins..log.log_start);
    let of_metadata = |folder: &&CommitFolder| folder.shard == METADATA_SHARD;
    let is_unsound = folders.iter().find(of_metadata).is_some_and(CommitFolder::damages_all);
    let unknown = is_unsound.then_some(log.log_end..log.log_end);
    beginning.or(damaged).or(unknown)
}

/// What the log comes to.
struct Folds {
    /// What is committed, if others vote; `None` if that is all.
    committed: Option<Controller>,
    all: Controller,
    tentative: Arc<MetadataImage>,
    snapshot: Option<LogEnd>,
    later_voters: Vec<(Offset, Vec<Voter>)>,
}

impl Folds {
    /// Folds the log up to `readable`.
    fn of(
        recovery: &Recovery<'_>,
        log: &RecoveredLog,
        snapshot: Option<Snapshot>,
        readable: Offset,
    ) -> Result<Folds, RecoveryError> {
        let end = snapshot.as_ref().map(|snapshot| snapshot.end);
        let begins = end.map_or(Offset(0), |end| end.end);
        let fresh = || Controller::new(recovery.controller.clone());
        let mut all = snapshot.map_or_else(fresh, |snapshot| snapshot.fold);
        let committed_end = log.high_watermark.clamp(begins, readable.max(begins));
        fold(recovery.data_dir, log, begins..committed_end, &mut all, |_, _| {})?;
        let committed = (committed_end < readable).then(|| all.clone());
        let mut later_voters = Vec::new();
        fold(recovery.data_dir, log, committed_end..readable, &mut all, |offset, record| {
            later_voters.extend(voters_in(record).map(|voters| (offset, voters)));
        })?;
        Ok(Folds { committed, tentative: all.image(), all, snapshot: end, later_voters })
    }
}

/// Folds the log's records of these offsets.
fn fold(
    data: &Path,
    log: &RecoveredLog,
    offsets: Range<Offset>,
    controller: &mut Controller,
    mut seen: impl FnMut(Offset, &[u8]),
) -> Result<(), RecoveryError> {
    if offsets.is_empty() {
        return Ok(());
    }
    let folder = partition_folder(data, TopicPartition::METADATA);
    let ends = log.segments.iter().skip(1).map(|next| next.base).chain([log.log_end]);
    for (segment, _) in log.segments.iter().zip(ends).filter(|(_, ends)| *ends > offsets.start) {
        let bytes = files::read(&segment_file(&folder, segment.base, "log"))?;
        let mut rest = bytes.get(..usize::try_from(segment.size).unwrap_or(0)).unwrap_or(&bytes);
        while !rest.is_empty() {
            let batch = BatchHeader::parse(rest)?;
            let mut outcome = Ok(());
            records(rest, |header, record| {
                let offset = record.offset(header);
                if offsets.contains(&offset) {
                    let value = record.value.unwrap_or(&[]);
                    seen(offset, value);
                    outcome = controller.replay(value, offset.0).map(drop);
                }
                outcome.is_ok()
            })?;
            outcome?;
            if batch.last_offset().plus(1) >= offsets.end {
                // What follows need not be whole.
                return Ok(());
            }
            rest = rest.get(batch.total_bytes()..).unwrap_or(&[]);
        }
    }
    Ok(())
}

/// Who keeps the log, by what is in it. A log of nothing is that of a cluster of one, unless the directory has joined another
/// cluster, has dropped its log, or has voted for somebody else.
fn voters(recovery: &Recovery<'_>, image: &MetadataImage, ballot: Option<&Ballot>) -> Voters {
    let here = image.here.server;
    let voted_for = ballot.and_then(|ballot| ballot.voted_for);
    let is_alone = || {
        recovery.origin == Origin::Founded
            && !ballot::is_to_be_fetched(recovery.data_dir)
            && voted_for.is_none_or(|voter| voter.server == here)
    };
    match &image.quorum.voters[..] {
        [] if is_alone() => Voters::ThisServer,
        [only] if only.server == here => Voters::ThisServer,
        _ => Voters::Others,
    }
}

/// Drops the log: it is fetched anew, by another voter.
fn dropped(recovery: &Recovery<'_>, files: &mut SegmentFiles) -> Result<Metadata, RecoveryError> {
    let ballot = ballot::make_another_voter(recovery)?;
    ballot::note_to_be_fetched(recovery.data_dir)?;
    // What was written into its folder is synced by that folder's name.
    files.sync()?;
    let folder = topic_folder(recovery.data_dir, TopicId::METADATA);
    if folder.exists() {
        let aside = strays::set_topic_aside(recovery.data_dir, TopicId::METADATA, &folder)?;
        tracing::error!(
            moved_to = %aside.display(), voter = ?ballot.voter,
            "the metadata log lacks records that were durable; it is fetched from the other servers, and this one votes as another"
        );
    }
    files::sync_folder(&recovery.data_dir.join("topics"))?;
    let committed = Controller::new(recovery.controller.clone());
    Ok(Metadata {
        log: RecoveredLog::default(),
        tentative: committed.image(),
        committed,
        voters: Voters::Others,
        later_voters: Vec::new(),
        snapshot: None,
        was_dropped: true,
        ballot: Some(ballot),
    })
}
