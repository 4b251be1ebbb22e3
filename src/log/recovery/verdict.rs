//! The verdicts, each with its story.

use std::ops::Range;

use crate::base::Offset;

/// What a piece of evidence means. Each arm says what is found, what is done, and how the disk got there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    // A topic's folder.
    /// The metadata log lists the topic. Its partitions are recovered.
    ///
    /// Story: the usual one.
    TopicListed,
    /// The metadata log lists no such topic. The folder is moved out of the way, not deleted.
    ///
    /// Story: the topic was deleted and the crash came before its files were; or somebody put a folder there.
    TopicOrphaned,

    // Cuts.
    /// The commit log says nothing of a cut. Its entries are written into segments, and the log is read as it is.
    ///
    /// Story: the usual one.
    NotCut,
    /// The log was cut, and takes appends again. Of the commit log only entries from behind the cut are written, and what a
    /// checkpoint says of records at or above `end` does not hold any more.
    ///
    /// Story: a replica had records that its leader did not have, and the checkpoint is from before the cut.
    WasCut { end: Offset },
    /// The log is to be cut, and nobody knows how far that has come. No entry of the commit log is written: all are in
    /// segments. The files are cut, which may be cut already; then the log is read.
    ///
    /// Story: as [`Verdict::WasCut`], and the crash came before the end of the cut was written down.
    ToBeCut { below: Offset, begin_at: Offset },
    /// Entries of the commit log may be from before a cut, and the checkpoint that would tell is gone. None of them is written
    /// and none is believed: what the log lacks then its leader has.
    ///
    /// Story: the checkpoint was damaged or removed.
    CutsUnknown,

    // A partition's folder as a whole.
    /// There is no segment, and neither checkpoint nor commit log knows of a record. The log is empty and begins at 0.
    ///
    /// Story: nothing was ever written to the partition.
    Untouched,
    /// There is no segment, and the checkpoint's log begins where its last segment was to begin. The log is empty and
    /// begins there.
    ///
    /// Story: retention or DeleteRecords took everything.
    AllPast { at: Offset },
    /// There is no segment, though checkpoint or commit log know of records. The log is empty and begins at the old end,
    /// which is reported.
    ///
    /// Story: somebody removed the files.
    AllMissing { log_end: Offset },
    /// There are segments and no checkpoint. Every segment is scanned from its first byte on.
    ///
    /// Story: the first life ended before its first checkpoint, or the checkpoint was damaged.
    NoCheckpoint { first: Offset },
    /// The segment in which the checkpoint begins is not there. Every segment is scanned from its first byte on.
    ///
    /// Story: somebody removed that file, or put an older copy of the folder back.
    CheckpointAstray { first: Offset },
    /// The segment in which the checkpoint begins is there, or nothing was written to it yet. The scan begins at the
    /// checkpoint's place; of earlier segments only the end is looked at.
    ///
    /// Story: the usual one.
    Checkpointed { log_start: Offset },
    /// As [`Verdict::Checkpointed`], but the first segment begins above the log's start. The log begins at that segment, which
    /// is reported.
    ///
    /// Story: somebody removed the first files.
    BeginningMissing { log_start: Offset, first: Offset },

    // A segment's place in the log.
    /// The segment begins where the log ends so far.
    ///
    /// Story: the usual one.
    Next,
    /// The segment begins below the end of the one before it. It is set aside, which is reported.
    ///
    /// Story: somebody put a file back.
    Extra { segment: Offset },
    /// The records of these offsets were durable, and no segment holds them. The offsets are refused to readers, which is
    /// reported; the log goes on behind them.
    ///
    /// Story: a file is gone or was cut short.
    Missing { offsets: Range<Offset> },
    /// As [`Verdict::Missing`], but the records lie below the log's start: they are none of the log's. The log goes on at `to`.
    ///
    /// Story: retention had let a segment go, and the crash came while its file was being deleted.
    MissingBelowStart { to: Offset },
    /// The segment begins above all that was durable, and no batch of its own is in it. The file is removed.
    ///
    /// Story: the segment was created, and the crash came before the records it was to follow were durable.
    NotBegun { segment: Offset },
    /// The segment begins above all that was durable, and batches are in it. It is set aside, which is reported.
    ///
    /// Story: a direct run of the segment was on the disk before the records it follows; nothing of it was acknowledged.
    Unfounded { segment: Offset },

    // An index, and what it leads to.
    /// The index leads to the batches it names, and from there on batches follow each other to the expected end.
    ///
    /// Story: the usual one.
    IndexLeads,
    /// The index names no batch's timestamp. It is rebuilt from the segment.
    ///
    /// Story: its files are gone or were cut off: the crash came before they were written.
    IndexGone,
    /// The index names a batch that is not there, or batches do not go on to the expected end. It is rebuilt from the segment.
    ///
    /// Story: a crash that tore its file, bit rot in it; or the segment itself is damaged, which the rebuilding finds.
    IndexAstray,
    /// The segment holds what the checkpoint says below the checkpoint's position. The scan begins there.
    ///
    /// Story: the usual one.
    PartStands,
    /// The segment does not. It is scanned from its first byte on.
    ///
    /// Story: damage below the checkpoint's position, which was synced.
    PartFell,

    // The batches of a segment.
    /// The expected batch stands behind bytes that are no batch of the log. The log goes on with it.
    ///
    /// Story: a misdirected write put bytes in between; no record is lost by them.
    Displaced,
    /// A whole batch stands behind these offsets, which were durable. They are refused to readers, which is reported; the log
    /// goes on behind them.
    ///
    /// Story: bit rot, a lost or misdirected write.
    Damaged { segment: Offset, offsets: Range<Offset> },
    /// As [`Verdict::Damaged`], but the offsets lie below the log's start: they are none of the log's.
    ///
    /// Story: retention had let them go, and the crash came while the file was being deleted.
    DamagedBelowStart,
    /// Batches follow each other to the end of the file, or to zeros, which are cut off. The segment ends there.
    ///
    /// Story: an orderly stop; or space was allocated ahead.
    Whole,
    /// Batches follow each other to a batch with offsets below the segment's base. The rest is cut off; the segment ends there.
    ///
    /// Story: the file was an older segment's of the same log before.
    UsedAgain,
    /// Bytes that are no batch, and nothing from there on was durable. They are cut off; the segment ends there.
    ///
    /// Story: the crash hit a direct run or the last commit group. (Or an older segment's bytes stand there, from the middle of
    /// a batch on.)
    Torn,
    /// Records that were durable should follow; nothing but zeros does, or the file ends. The segment ends there, and what
    /// follows is [`Verdict::Missing`].
    ///
    /// Story: the file was cut short, or lost its last writes.
    CutShort,
    /// Records that were durable should follow; bytes that are no batch do, and no batch behind them. The file is kept as
    /// `.log.damaged` and cut; what follows is [`Verdict::Missing`].
    ///
    /// Story: bit rot, a lost or misdirected write.
    DamagedEnd { segment: Offset },

    // The end of the log.
    /// The last segment holds no batch, and the log does not go on in it. Its file is removed; the next append makes it again.
    ///
    /// Story: the segment was created, and the crash came before its first batch was durable.
    LastEmpty { segment: Offset },
    /// The last offsets are refused to readers: an active segment has no gaps, so a new one begins at the log's end.
    ///
    /// Story: see [`Verdict::DamagedEnd`] and [`Verdict::Missing`].
    BeginsAnew { at: Offset },
    /// No segment is left. The log is empty and begins where it ends.
    ///
    /// Story: no batch of the only segment was durable, or none is left of it.
    NothingLeft,
    /// The log ends here, and goes on in its last segment.
    ///
    /// Story: the usual one.
    Settled,

    // The high watermark.
    /// Records below the high watermark were committed; all of them are in the log.
    ///
    /// Story: the usual one.
    WatermarkStands { at: Offset },
    /// The log ends before the high watermark that was known: that is what was committed of it.
    ///
    /// Story: a topic that acknowledges from memory lost its last records; or damage took them, which is reported as such.
    WatermarkBeyond { at: Offset },
    /// The log begins beyond the high watermark that was known: all before the log's start was committed.
    ///
    /// Story: an older version wrote the checkpoint, which had none; or the log was cut to begin there.
    WatermarkBehind { at: Offset },
}

impl Verdict {
    /// Whether the log goes on with the segment this was said of.
    #[must_use]
    pub fn is_of_the_log(&self) -> bool {
        !matches!(self, Verdict::Extra { .. } | Verdict::NotBegun { .. } | Verdict::Unfounded { .. })
    }

    /// Whether records that were durable, and that nobody has let go, are damaged or gone.
    #[must_use]
    pub fn is_loss(&self) -> bool {
        matches!(
            self,
            Verdict::AllMissing { .. }
                | Verdict::BeginningMissing { .. }
                | Verdict::Missing { .. }
                | Verdict::Damaged { .. }
        )
    }

    /// The high watermark of the log, as far as this says something of it.
    #[must_use]
    pub fn high_watermark(&self) -> Option<Offset> {
        match self {
            Verdict::WatermarkStands { at }
            | Verdict::WatermarkBeyond { at }
            | Verdict::WatermarkBehind { at } => Some(*at),
            _ => None,
        }
    }

    /// Where the log ends after offsets that no segment holds.
    #[must_use]
    pub fn resumes_at(&self) -> Option<Offset> {
        match self {
            Verdict::Missing { offsets } => Some(offsets.end),
            Verdict::MissingBelowStart { to } => Some(*to),
            _ => None,
        }
    }
}
