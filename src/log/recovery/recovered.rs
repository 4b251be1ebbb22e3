//! What recovery begins with and what it hands over: plain data that may cross threads.

use crate::base::{Offset, TimestampMs};
use crate::log::{DamagedRanges, EpochCache, IndexMark, PartitionSnapshot, ProducerStates, SparseIndex};

use super::verdict::Verdict;

/// What recovery knows of a partition.
#[derive(Clone, Debug, Default)]
pub struct RecoveredLog {
    pub log_start: Offset,
    pub log_end: Offset,
    /// Records below were committed, as far as is known here; never beyond the log's end.
    pub high_watermark: Offset,
    pub epochs: EpochCache,
    pub producers: ProducerStates,
    /// The segments, ascending; the last one is the active segment.
    pub segments: Vec<RecoveredSegment>,
    /// The active segment's bytes after its last whole block.
    pub carry: Vec<u8>,
    /// Records that were durable and are damaged or gone.
    pub damaged: DamagedRanges,
    /// Records that were durable are damaged or gone, named in `damaged` or not part of the log any more.
    pub has_lost: bool,
    /// Entries of the commit log count from the group with this sequence on.
    pub fence: u64,
    /// The states of producers are lost up to here: see [`PartitionLog::producers_lost`](crate::log::PartitionLog::producers_lost).
    pub producers_lost: Option<Offset>,
}

#[derive(Clone, Debug, Default)]
pub struct RecoveredSegment {
    pub base: Offset,
    pub size: u64,
    pub index: SparseIndex,
    /// The first batch's timestamp; only the active segment's is needed.
    pub begun: Option<TimestampMs>,
}

impl RecoveredLog {
    /// Tells whether nothing was ever written here.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.segments.is_empty() && self.log_end == Offset(0)
    }
}

/// Where the scan of a partition's segments begins, and what is known there.
#[derive(Clone, Debug, Default)]
pub struct Beginning {
    pub log_start: Offset,
    pub segment_base: Offset,
    /// A batch begins here in that segment; everything below is synced.
    pub position: u64,
    /// The batch's base offset.
    pub offset: Offset,
    pub mark: Option<IndexMark>,
    pub epochs: EpochCache,
    pub producers: ProducerStates,
}

impl Beginning {
    /// What a verdict on a [`Folder`](super::Folder) leaves of the checkpoint.
    #[must_use]
    pub fn after(verdict: &Verdict, snapshot: Option<PartitionSnapshot>) -> Beginning {
        match (verdict, snapshot) {
            (Verdict::Checkpointed { .. } | Verdict::BeginningMissing { .. }, Some(known)) => {
                Beginning::at(known)
            }
            (Verdict::AllPast { at }, Some(known)) => {
                let (mut epochs, mut producers) = (known.epochs, known.producers);
                epochs.truncate(*at);
                producers.truncate(*at);
                Beginning { epochs, producers, ..Beginning::with_nothing_known(*at) }
            }
            (
                Verdict::AllMissing { log_end: at }
                | Verdict::NoCheckpoint { first: at }
                | Verdict::CheckpointAstray { first: at },
                _,
            ) => Beginning::with_nothing_known(*at),
            _ => Beginning::default(),
        }
    }

    fn with_nothing_known(at: Offset) -> Beginning {
        Beginning { log_start: at, segment_base: at, offset: at, ..Beginning::default() }
    }

    fn at(known: PartitionSnapshot) -> Beginning {
        let PartitionSnapshot { log_start, segment_base, position, offset, mark, epochs, producers, .. } =
            known;
        Beginning { log_start, segment_base, position, offset, mark, epochs, producers }
    }

    /// The log of a partition without a segment.
    #[must_use]
    pub fn without_segments(self) -> RecoveredLog {
        RecoveredLog {
            log_start: self.log_start,
            log_end: self.log_start,
            epochs: self.epochs,
            producers: self.producers,
            ..RecoveredLog::default()
        }
    }
}
