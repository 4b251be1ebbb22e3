//! Disk operations as values. The pure modules decide on an operation, and the runtime performs it.

use std::ops::Range;
use std::sync::Arc;

use super::keys::KeyOffsets;
use super::{Chunk, ChunkSlice, LeaderEpoch, LogEnd, Offset, TimestampMs, TopicPartition};

/// One segment of one partition: `topics/<topic id>/<partition>/<base offset as 20 digits>.*` under the data directory.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SegmentId {
    pub partition: TopicPartition,
    pub base: Offset,
}

/// A disk operation. Operations on one segment are issued so that no two of them conflict, and the runtime may run all
/// outstanding ones at once. Positions and lengths are whole blocks unless said otherwise.
#[derive(Clone, Debug)]
pub enum IoOp {
    /// Create the partition's directory (and its topic's) and the `.log` file if missing. The file is that of `spare`,
    /// renamed, or an empty one if there is no spare. Allocate `allocate_bytes` in all. With `names`, which a spare needs,
    /// make the names durable (directory sync). Keep the file open. An operation that is done `leisurely` is followed by a
    /// pause as long as it took, so that others get the processor.
    CreateSegment {
        segment: SegmentId,
        allocate_bytes: u64,
        names: bool,
        spare: Option<SegmentId>,
        leisurely: bool,
    },
    /// Extend the allocation to `allocate_bytes` in all. Failure other than a full disk may be ignored by the runtime.
    Allocate { segment: SegmentId, allocate_bytes: u64 },
    /// Write at `position`. With `durable`, done means it is on stable storage (O_DSYNC).
    WriteSegment { segment: SegmentId, position: u64, data: WriteData, durable: bool },
    /// Make every completed write of the segment durable; with `names`, those of its file and directories as well.
    SyncSegment { segment: SegmentId, names: bool },
    /// Make every completed write in the data directory durable, with all names, whatever it belongs to. Costs little more
    /// than one [`IoOp::SyncSegment`].
    SyncAll,
    /// Cut the file to exactly `length` bytes (not a whole block in general) and, unless [`IoOp::SyncAll`] follows, sync it
    /// as [`IoOp::SyncSegment`] does; write `index` and `time_index` beside it (`.index`, `.timeindex`), durably or not: they
    /// can be rebuilt. Remove its `.marks`.
    SealSegment { segment: SegmentId, length: u64, index: Vec<u8>, time_index: Vec<u8>, sync: Sealing },
    /// Write at `position` of the `.marks` file of a segment that is still being appended to; at 0 the file begins anew. The
    /// write is not synced, because nothing depends on it.
    WriteMarks { segment: SegmentId, position: u64, marks: Vec<u8> },
    /// Read up to `length` bytes at `position`; a short result means the end of the file. Answer: [`IoDone::Read`].
    ReadSegment { segment: SegmentId, position: u64, length: usize },
    /// Read the whole `.index` and `.timeindex` of a sealed segment; missing files read as empty. Answer:
    /// [`IoDone::Index`].
    ReadIndex { segment: SegmentId },
    /// Build the index of a finished segment of `length` bytes again from its batches, which lie within `offsets`, and write
    /// the index files. Damaged parts are skipped. Done in the background. Answer: [`IoDone::Index`].
    IndexSegment { segment: SegmentId, length: u64, offsets: Range<Offset> },
    /// Close and remove the segment's files. Done in the background, in pieces, so that others can use the disk in between.
    DeleteSegment { segment: SegmentId },
    /// Make a spare of the segment: close it, rename its file to `.spare`, so that no start takes it for a segment, and
    /// remove its index files. The new name is not durable before the directory is synced; until then the file must stay as
    /// it is.
    SpareSegment { segment: SegmentId },
    /// Remove a spare's file. Done in the background, in pieces.
    DeleteSpare { segment: SegmentId },
    /// Compaction: read the segments in order (each with its length) and enter the keys of their records into the map, until
    /// it is full. Done in the background. Answer: [`IoDone::Keys`].
    MapKeys { segments: Vec<(SegmentId, u64)>, keys: KeyOffsets },
    /// Compaction: write the records that stay of a segment of `length` bytes to a file beside it (`.cleaned`), synced. The
    /// batches at `staying` stay, empty if need be. Done in the background. Answer: [`IoDone::Cleaned`].
    CleanSegment {
        segment: SegmentId,
        length: u64,
        keys: Arc<KeyOffsets>,
        now: TimestampMs,
        delete_retention_ms: u64,
        staying: Vec<Offset>,
    },
    /// Scrubbing: read a finished segment of `length` bytes from the batch at `position` on, `bytes` of it or a little more,
    /// and verify each batch; all lie within `offsets`. Done in the background. Answer: [`IoDone::Verified`].
    VerifySegment { segment: SegmentId, position: u64, length: u64, bytes: u64, offsets: Range<Offset> },
    /// Compaction: make durable that a segment was replaced by its `.cleaned` file, then write its new index.
    SyncCleaned { segment: SegmentId, index: Vec<u8>, time_index: Vec<u8> },
    /// Cut a log: no batch stays that has an offset of `below` or above. Close the files that are concerned, cut, remove
    /// (the last segment first) and make all of it durable, the directory too; then write the new index of the segment that
    /// was cut. To do so again changes nothing. All segments are finished, and nobody reads or writes those concerned. Done in
    /// the background. Answer: [`IoDone::Truncated`].
    TruncateLog { partition: TopicPartition, below: Offset, files: CutFiles },
    /// Close everything of the partition and remove its directory (and the topic's when empty).
    DeletePartition { partition: TopicPartition },
    /// Write the commit log's next group: one O_DIRECT + O_DSYNC write of the whole chunk at `position` of commit file
    /// `file` (`commit/<shard>/<file as 8 digits>.commit`). At most one is outstanding per shard.
    WriteCommit { file: u32, position: u64, data: Chunk },
    /// Create commit file `file`: `bytes` of zeros really written, synced, name made durable. Low priority: done in
    /// pieces that leave the disk to others.
    CreateCommitFile { file: u32, bytes: u64 },
    /// Replace `commit/<shard>/checkpoint` atomically: temporary file, sync, rename, directory sync.
    WriteCheckpoint { bytes: Vec<u8> },
    /// Replace `meta/quorum` in the same way: the directory's vote in the quorum of the metadata log.
    WriteQuorum { bytes: Vec<u8> },
    /// Write a snapshot that stands for the records of the metadata log before `end`, beside the log's segments, in the same
    /// way: it is there whole and durable, or not at all. Done in the background.
    WriteSnapshot { end: LogEnd, pieces: Vec<Vec<u8>> },
    /// Remove the snapshots of the metadata log that stand for less than `below`. Done in the background.
    RemoveSnapshots { below: Offset },
}

/// What sealing a segment makes durable by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sealing {
    /// Sealing makes nothing durable: an [`IoOp::SyncAll`] follows.
    Later,
    Data,
    DataAndNames,
}

#[derive(Clone, Debug)]
pub enum WriteData {
    /// A whole chunk, written from where it lies.
    Whole(Chunk),
    /// Pieces to be copied into a block-aligned buffer; their lengths add up to whole blocks.
    Copy(Vec<ChunkSlice>),
}

impl WriteData {
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            WriteData::Whole(chunk) => chunk.len(),
            WriteData::Copy(pieces) => pieces.iter().map(|piece| piece.len()).sum(),
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a cut does to the files of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CutFiles {
    /// Every segment goes, with whatever else is in the directory: spares, and old segments that wait for their deletion.
    RemoveAll,
    /// The segments with these base offsets go, with their index files and marks.
    Remove {
        bases: Vec<Offset>,
        /// The segment before them, and its length: cut behind the last of its whole batches that lie below the cut. If
        /// none does, its files go as well. Damaged parts are passed over.
        cut: Option<(Offset, u64)>,
    },
}

/// What a cut has left of the segment that was cut. Nothing, if there was none to be cut.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CutSegment {
    /// Length of the file; 0 if it is gone.
    pub length: u64,
    /// The last batch that stays: the offset behind it, and its epoch.
    pub last: Option<(Offset, LeaderEpoch)>,
    pub index: Vec<u8>,
    pub time_index: Vec<u8>,
}

/// The file of the records that stay of a segment after compaction.
#[derive(Clone, Debug)]
pub struct Cleaned {
    pub length: u64,
    pub index: Vec<u8>,
    pub time_index: Vec<u8>,
}

/// How an operation ended.
#[derive(Debug)]
pub enum IoDone {
    /// A write, sync, creation or deletion is done.
    Done,
    Read(ChunkSlice),
    Index {
        index: Vec<u8>,
        time_index: Vec<u8>,
    },
    Keys(KeyOffsets),
    /// The segment was verified up to here, where a batch begins with `next` or above, and this is wrong before it.
    Verified {
        to: u64,
        next: Offset,
        damage: Vec<Damage>,
    },
    /// The records that stay of a segment were written; `None` if all of them stay.
    Cleaned(Option<Cleaned>),
    /// The log is cut, durably.
    Truncated(CutSegment),
    /// The disk is full. Whatever was written does not count.
    DiskFull,
    /// Any other failure, as a sentence for the log. After a failed write or sync nothing is acknowledged any more.
    Failed(String),
}

/// A damaged part of a segment: its bytes are not those that were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Where the damaged part begins in the file.
    pub position: u64,
    /// Offsets of the records that were, or may have been, there.
    pub offsets: Range<Offset>,
    pub what: String,
}
