//! Operations under way: which room issued one, and what its end means to that room.
//!
//! An [`Operation`] is the shard's own note beside an [`IoOp`](crate::base::io::IoOp) that the world performs. When the
//! operation ends, [`Operation::ended`] makes an [`Event`] of the note and the outcome: the one place that decides what a
//! failure or a full disk means for each kind. The spine hands the event to the room it concerns.

use crate::base::ChunkSlice;
use crate::base::Offset;
use crate::base::io::{Cleaned, CutSegment, Damage, IoDone, SegmentId};
use crate::base::keys::KeyOffsets;
use crate::log::{PastSegment, Purpose};

/// Why an operation was issued.
#[derive(Clone, Copy, Debug)]
pub enum Operation {
    /// A partition's log asked for it.
    Log { slot: u32, purpose: Purpose },
    /// The commit log's next group is written.
    CommitGroup,
    /// Everything is synced at once, for many segments.
    SyncAll,
    /// A new file of the commit log is made.
    CommitFile { file: u32 },
    /// A checkpoint is written. Commit files up to `serial` are free afterwards; `None` frees none.
    Checkpoint { serial: Option<u64> },
    /// A segment's index is read for one reader.
    Index { reader: u64, slot: u32, segment: SegmentId },
    /// A segment's index is made anew, for any number of readers.
    Mend { slot: u32, segment: SegmentId },
    /// This server's vote is written down.
    Ballot,
    /// A snapshot of the metadata is written.
    Snapshot,
    /// Old snapshots are removed.
    OldSnapshots,
    /// A part of a segment is verified.
    Scrub { slot: u32 },
    /// A part of a segment is read, for any number of readers.
    Window { window: u64 },
    /// The files of a dropped partition are removed.
    DeletePartition { slot: u32 },
    /// An old segment's file gets its spare name.
    Spare { slot: u32, past: PastSegment },
    /// A compacted segment is made durable in its place.
    Compact { slot: u32 },
    /// A compaction round reads or writes segments. A stop does not wait for it.
    Clean { slot: u32 },
}

/// A segment's index files, as they were read or made.
#[derive(Debug)]
pub struct IndexFiles {
    pub index: Vec<u8>,
    pub times: Vec<u8>,
}

/// What scrubbing found in one piece of a segment.
#[derive(Debug)]
pub enum Scrubbed {
    /// Verified up to `to`, where a batch begins with `next` or above.
    To { to: u64, next: Offset, damage: Vec<Damage> },
    /// The disk would not give the piece.
    Unreadable(String),
    /// The piece was not read, and says nothing about the segment.
    NotRead,
}

/// What a step of a compaction round has brought.
#[derive(Debug)]
pub enum Compacted {
    Keys(KeyOffsets),
    /// What stays of a segment; `None` if all of it stays.
    Cleaned(Option<Cleaned>),
    /// The compacted segment is durable in its place.
    Durable,
    /// The round cannot go on, and the log stays as it is.
    Failed(String),
    /// There is no space for what stays of a segment beside the segment itself.
    DiskFull,
}

/// What the shard can do about an operation that a full disk has refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Retry {
    /// The shard has kept the operation, and nothing that it wrote counts: it can be tried again.
    Possible,
    Impossible,
}

/// An operation has ended: what that means to the room that waits for it.
#[derive(Debug)]
pub enum Event {
    /// What a log wanted is done, or was only meant to spare work and failed.
    LogDone {
        slot: u32,
        purpose: Purpose,
    },
    /// A full disk refused what a log needs: it is to be tried again.
    LogRefused {
        slot: u32,
    },
    /// The files of a log are cut.
    LogCut {
        slot: u32,
        found: CutSegment,
    },
    CommitGroupWritten,
    BallotWritten,
    /// An error says why it is not there: the metadata log goes on without it.
    SnapshotWritten(Result<(), String>),
    /// Or not: the next time removes them, too.
    OldSnapshotsRemoved,
    AllSynced,
    /// `false`: the commit log goes on with the files it has.
    CommitFile {
        file: u32,
        is_made: bool,
    },
    CheckpointWritten {
        serial: Option<u64>,
    },
    /// A full disk refused the checkpoint: what it would have made durable waits for the next one.
    CheckpointRefused {
        serial: Option<u64>,
    },
    /// `None`: the index cannot be read.
    IndexRead {
        reader: u64,
        slot: u32,
        segment: SegmentId,
        index: Option<IndexFiles>,
    },
    /// `None`: the index cannot be made.
    IndexMended {
        slot: u32,
        segment: SegmentId,
        index: Option<IndexFiles>,
    },
    /// `None`: the part cannot be read.
    WindowRead {
        window: u64,
        bytes: Option<ChunkSlice>,
    },
    Scrubbed(Scrubbed),
    /// The partition's files are gone, or the next start removes them.
    PartitionDeleted {
        slot: u32,
    },
    /// `false`: the file keeps its name and goes like any other old segment.
    Spared {
        slot: u32,
        past: PastSegment,
        is_made: bool,
    },
    Compacted {
        slot: u32,
        outcome: Compacted,
    },
    /// Storage has failed: nothing may be acknowledged after this.
    Failed(String),
}

impl Operation {
    /// The partition that must not be deleted under the operation.
    pub fn holds(self) -> Option<u32> {
        match self {
            Operation::Log { slot, .. }
            | Operation::Spare { slot, .. }
            | Operation::Mend { slot, .. }
            | Operation::Compact { slot }
            | Operation::Clean { slot }
            | Operation::Scrub { slot } => Some(slot),
            _ => None,
        }
    }

    /// Whether files of finished segments are read or written that the log knows nothing of: no cut may come between.
    pub fn is_beside_the_log(self) -> bool {
        matches!(
            self,
            Operation::Spare { .. }
                | Operation::Mend { .. }
                | Operation::Compact { .. }
                | Operation::Clean { .. }
                | Operation::Scrub { .. }
        )
    }

    /// Whether a stop may leave it unfinished: the next start finds nothing but files to remove.
    pub fn is_background(self) -> bool {
        matches!(
            self,
            Operation::Clean { .. }
                | Operation::Scrub { .. }
                | Operation::Snapshot
                | Operation::OldSnapshots
                | Operation::Mend { .. }
                | Operation::DeletePartition { .. }
                | Operation::Log { purpose: Purpose::Delete, .. }
        )
    }

    /// What the end of an operation means.
    pub fn ended(self, done: IoDone, retry: Retry) -> Event {
        match self {
            Operation::Log { slot, purpose } => log_ended(slot, purpose, done, retry),
            Operation::CommitGroup => must_succeed(done, Event::CommitGroupWritten),
            Operation::SyncAll => must_succeed(done, Event::AllSynced),
            Operation::CommitFile { file } => Event::CommitFile { file, is_made: succeeded(&done) },
            Operation::Checkpoint { serial } if matches!(done, IoDone::DiskFull) => {
                Event::CheckpointRefused { serial }
            }
            Operation::Checkpoint { serial } => must_succeed(done, Event::CheckpointWritten { serial }),
            // A read that fails costs its reader; nothing acknowledged depends on it.
            Operation::Index { reader, slot, segment } => {
                Event::IndexRead { reader, slot, segment, index: index_files(done) }
            }
            Operation::Mend { slot, segment } => {
                Event::IndexMended { slot, segment, index: index_files(done) }
            }
            Operation::Window { window } => {
                let bytes = if let IoDone::Read(bytes) = done { Some(bytes) } else { None };
                Event::WindowRead { window, bytes }
            }
            Operation::Ballot => must_succeed(done, Event::BallotWritten),
            // Whole and durable, or not there at all; until then the log has everything.
            Operation::Snapshot => Event::SnapshotWritten(match done {
                IoDone::Failed(reason) => Err(reason),
                IoDone::DiskFull => Err("the disk is full".to_owned()),
                _ => Ok(()),
            }),
            Operation::OldSnapshots => Event::OldSnapshotsRemoved,
            Operation::Scrub { .. } => Event::Scrubbed(match done {
                IoDone::Verified { to, next, damage } => Scrubbed::To { to, next, damage },
                IoDone::Failed(reason) => Scrubbed::Unreadable(reason),
                _ => Scrubbed::NotRead,
            }),
            Operation::DeletePartition { slot } => Event::PartitionDeleted { slot },
            // Nothing was synced, so nothing is uncertain: the file is under either name, and goes.
            Operation::Spare { slot, past } => Event::Spared { slot, past, is_made: succeeded(&done) },
            Operation::Compact { slot } | Operation::Clean { slot } => {
                let outcome = match done {
                    IoDone::Keys(keys) => Compacted::Keys(keys),
                    IoDone::Cleaned(cleaned) => Compacted::Cleaned(cleaned),
                    IoDone::Failed(reason) => Compacted::Failed(reason),
                    IoDone::DiskFull => Compacted::DiskFull,
                    _ => Compacted::Durable,
                };
                Event::Compacted { slot, outcome }
            }
        }
    }
}

fn log_ended(slot: u32, purpose: Purpose, done: IoDone, retry: Retry) -> Event {
    match done {
        IoDone::Truncated(found) => Event::LogCut { slot, found },
        IoDone::DiskFull if retry == Retry::Possible => Event::LogRefused { slot },
        done if purpose.must_succeed() => must_succeed(done, Event::LogDone { slot, purpose }),
        _ => Event::LogDone { slot, purpose },
    }
}

fn must_succeed(done: IoDone, event: Event) -> Event {
    match done {
        IoDone::Failed(reason) => Event::Failed(reason),
        IoDone::DiskFull => {
            Event::Failed("space that was given is gone: the disk lost blocks it had promised".to_owned())
        }
        _ => event,
    }
}

fn succeeded(done: &IoDone) -> bool {
    !matches!(done, IoDone::Failed(_) | IoDone::DiskFull)
}

fn index_files(done: IoDone) -> Option<IndexFiles> {
    match done {
        IoDone::Index { index, time_index } => Some(IndexFiles { index, times: time_index }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(operation: Operation, done: IoDone, retry: Retry) -> String {
        let event = format!("{:?}", operation.ended(done, retry));
        event.split([' ', '(', '{']).next().unwrap_or_default().to_owned()
    }

    #[test]
    fn what_a_failure_means_depends_on_who_waits() {
        let base = Offset(0);
        let log = |purpose| Operation::Log { slot: 3, purpose };
        let write = log(Purpose::Write { base, position: 0 });
        let marks = log(Purpose::WriteMarks { base });
        let failed = || IoDone::Failed("EIO".to_owned());
        let table: [(Operation, IoDone, Retry, &str); 19] = [
            (write, IoDone::Done, Retry::Possible, "LogDone"),
            (write, failed(), Retry::Possible, "Failed"),
            (write, IoDone::DiskFull, Retry::Possible, "LogRefused"),
            (log(Purpose::Sync { base }), IoDone::DiskFull, Retry::Impossible, "Failed"),
            (marks, failed(), Retry::Impossible, "LogDone"),
            (marks, IoDone::DiskFull, Retry::Impossible, "LogDone"),
            (Operation::CommitGroup, failed(), Retry::Impossible, "Failed"),
            (Operation::CommitGroup, IoDone::DiskFull, Retry::Impossible, "Failed"),
            (Operation::SyncAll, failed(), Retry::Impossible, "Failed"),
            (Operation::CommitFile { file: 1 }, failed(), Retry::Impossible, "CommitFile"),
            (
                Operation::Checkpoint { serial: None },
                IoDone::DiskFull,
                Retry::Impossible,
                "CheckpointRefused",
            ),
            (Operation::Checkpoint { serial: None }, failed(), Retry::Impossible, "Failed"),
            (Operation::Snapshot, failed(), Retry::Impossible, "SnapshotWritten"),
            (Operation::OldSnapshots, failed(), Retry::Impossible, "OldSnapshotsRemoved"),
            (Operation::Scrub { slot: 1 }, failed(), Retry::Impossible, "Scrubbed"),
            (Operation::Window { window: 1 }, failed(), Retry::Impossible, "WindowRead"),
            (Operation::DeletePartition { slot: 1 }, failed(), Retry::Impossible, "PartitionDeleted"),
            (Operation::Clean { slot: 1 }, failed(), Retry::Impossible, "Compacted"),
            (Operation::Clean { slot: 1 }, IoDone::DiskFull, Retry::Impossible, "Compacted"),
        ];
        for (operation, done, retry, event) in table {
            assert_eq!(ended(operation, done, retry), event, "{operation:?}");
        }
    }
}
