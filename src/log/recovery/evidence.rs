//! The evidence, question by question: what is asked of the disk, and what follows from the answers.

use std::ops::Range;

use crate::base::{Offset, TopicId};
use crate::log::PartitionSnapshot;
use crate::record::BatchHeader;

use super::verdict::Verdict;

/// More records than one segment holds: bytes that claim an offset further beyond what is durable are none of the log's.
const BEYOND_DURABLE_MAX: i64 = 1 << 32;

/// A folder of the data directory that carries a topic's id.
#[derive(Clone, Copy, Debug)]
pub struct TopicFolder {
    pub topic: TopicId,
    /// The metadata log lists the topic.
    pub is_listed: bool,
}

impl TopicFolder {
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if self.topic == TopicId::METADATA || self.is_listed {
            Verdict::TopicListed
        } else {
            Verdict::TopicOrphaned
        }
    }
}

/// A partition's folder before any file is opened.
#[derive(Clone, Copy, Debug)]
pub struct Folder<'a> {
    /// Base offsets of the segment files, ascending.
    pub bases: &'a [Offset],
    /// What the checkpoint says of the partition.
    pub snapshot: Option<&'a PartitionSnapshot>,
    /// The end of what the commit log says was durable.
    pub claim: Offset,
}

impl Folder<'_> {
    /// Records below were on stable storage.
    #[must_use]
    pub fn durable(&self) -> Offset {
        self.snapshot.map_or(self.claim, |known| self.claim.max(known.offset))
    }

    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let Some(first) = self.bases.first().copied() else { return self.without_segments() };
        match self.snapshot {
            None => Verdict::NoCheckpoint { first },
            Some(known) if !self.holds(known) => Verdict::CheckpointAstray { first },
            Some(known) if first > known.log_start => {
                Verdict::BeginningMissing { log_start: known.log_start, first }
            }
            Some(known) => Verdict::Checkpointed { log_start: known.log_start },
        }
    }

    /// Whether the checkpoint's segment is there, or nothing was written to it yet.
    fn holds(&self, known: &PartitionSnapshot) -> bool {
        known.position == 0 || self.bases.contains(&known.segment_base)
    }

    fn without_segments(&self) -> Verdict {
        let known = self.snapshot.filter(|known| known.log_end.0 > 0);
        let log_end = known.map_or(self.claim, |known| known.log_end.max(self.claim));
        match known {
            _ if log_end == Offset(0) => Verdict::Untouched,
            Some(known) if self.is_all_past(known) => Verdict::AllPast { at: known.segment_base },
            _ => Verdict::AllMissing { log_end },
        }
    }

    fn is_all_past(&self, known: &PartitionSnapshot) -> bool {
        known.position == 0 && known.log_start >= known.segment_base && self.claim <= known.segment_base
    }
}

/// A segment file whose turn has come.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub segment: Offset,
    /// Where the log ends so far.
    pub log_end: Offset,
    pub log_start: Offset,
    /// Records below were on stable storage.
    pub durable: Offset,
    /// A batch of its own is in the file. Looked at only where [`Place::is_ahead`].
    pub holds_batches: bool,
}

impl Place {
    /// Whether the segment follows records that were not durable.
    #[must_use]
    pub fn is_ahead(&self) -> bool {
        self.segment > self.log_end.max(self.durable)
    }

    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let segment = self.segment;
        if segment < self.log_end {
            Verdict::Extra { segment }
        } else if !self.is_ahead() {
            missing(self.log_end..segment, self.log_start).unwrap_or(Verdict::Next)
        } else if self.holds_batches {
            Verdict::Unfounded { segment }
        } else {
            Verdict::NotBegun { segment }
        }
    }
}

/// The verdict on offsets that no segment holds; `None` if there are none.
fn missing(offsets: Range<Offset>, log_start: Offset) -> Option<Verdict> {
    let (from, to) = (offsets.start.max(log_start), offsets.end);
    if offsets.is_empty() {
        None
    } else if from < to {
        Some(Verdict::Missing { offsets: from..to })
    } else {
        Some(Verdict::MissingBelowStart { to })
    }
}

/// How far batches follow each other in a part of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Where the last one ends in the file.
    pub position: u64,
    /// The offset after its last record.
    pub ends: Offset,
}

/// What became of following the index of a part that was whole before.
#[derive(Clone, Copy, Debug)]
pub enum IndexEvidence {
    /// The index names no timestamp of any batch.
    Bare,
    /// Some batch is not there that the index names.
    Misled,
    /// The batches are there that it names.
    Followed { found: Reach, expected: Reach },
}

impl IndexEvidence {
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self {
            IndexEvidence::Bare => Verdict::IndexGone,
            IndexEvidence::Followed { found, expected } if found == expected => Verdict::IndexLeads,
            IndexEvidence::Followed { .. } | IndexEvidence::Misled => Verdict::IndexAstray,
        }
    }
}

/// The part of a segment that lies below the checkpoint's position.
#[derive(Clone, Copy, Debug)]
pub struct CheckpointedPart {
    pub found: Reach,
    /// What the checkpoint says.
    pub expected: Reach,
}

impl CheckpointedPart {
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if self.found == self.expected { Verdict::PartStands } else { Verdict::PartFell }
    }
}

/// A place in a segment where the next batch does not stand.
#[derive(Clone, Copy, Debug)]
pub struct Interruption {
    pub segment: Offset,
    /// The offset the next batch should have.
    pub expected: Offset,
    /// Records below were on stable storage.
    pub durable: Offset,
    /// Where the next segment begins, if its beginning was durable.
    pub limit: Offset,
    pub log_start: Offset,
}

impl Interruption {
    /// Where what was durable of this segment ends.
    #[must_use]
    pub fn durable_end(&self) -> Offset {
        self.durable.min(self.limit)
    }

    /// The offsets among which a batch behind is to be looked for; `None` if nothing durable is lacking.
    #[must_use]
    pub fn sought(&self) -> Option<Range<Offset>> {
        let durable = self.durable_end();
        let beyond = Offset(durable.0.saturating_add(BEYOND_DURABLE_MAX));
        (self.expected < durable).then(|| self.expected..self.limit.min(beyond))
    }

    /// What a batch that stands behind means, by its base offset; `None` if the log does not go on with it: then the segment
    /// ends here.
    #[must_use]
    pub fn verdict(&self, behind: Offset) -> Option<Verdict> {
        if behind > self.durable {
            None
        } else if behind <= self.expected {
            Some(Verdict::Displaced)
        } else if behind <= self.log_start {
            Some(Verdict::DamagedBelowStart)
        } else {
            Some(Verdict::Damaged { segment: self.segment, offsets: self.expected..behind })
        }
    }
}

/// What stands in a file behind the last batch of its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    /// The file ends.
    Nothing,
    Zeros,
    /// The header of a batch with offsets below the segment's base.
    OlderBatch,
    /// Anything else.
    Bytes,
}

impl Stands {
    /// What bytes are that follow the last batch: as many of them as a header has, or as there are.
    #[must_use]
    pub fn of(bytes: &[u8], segment: Offset) -> Stands {
        let is_older = |bytes| BatchHeader::parse(bytes).is_ok_and(|header| header.last_offset() < segment);
        match bytes {
            [] => Stands::Nothing,
            _ if bytes.iter().all(|byte| *byte == 0) => Stands::Zeros,
            _ if is_older(bytes) => Stands::OlderBatch,
            _ => Stands::Bytes,
        }
    }
}

/// The place in a segment behind which no further batch of it was found.
#[derive(Clone, Copy, Debug)]
pub struct SegmentEnd {
    pub segment: Offset,
    /// The offset after the last record.
    pub ends: Offset,
    /// What was durable of the segment ended here: see [`Interruption::durable_end`].
    pub durable_end: Offset,
    /// What stands behind: all of it where [`SegmentEnd::lacks_records`], else its first bytes.
    pub stands: Stands,
}

impl SegmentEnd {
    /// Whether records that were durable should follow: then all that stands behind is looked at.
    #[must_use]
    pub fn lacks_records(&self) -> bool {
        self.ends < self.durable_end
    }

    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match (self.lacks_records(), self.stands) {
            (true, Stands::Nothing | Stands::Zeros) => Verdict::CutShort,
            (true, Stands::OlderBatch | Stands::Bytes) => Verdict::DamagedEnd { segment: self.segment },
            (false, Stands::Nothing | Stands::Zeros) => Verdict::Whole,
            (false, Stands::OlderBatch) => Verdict::UsedAgain,
            (false, Stands::Bytes) => Verdict::Torn,
        }
    }
}

/// The log after its last segment was seen. Asked again after each verdict was carried out, until it is [`Verdict::Settled`]
/// or [`Verdict::NothingLeft`].
#[derive(Clone, Copy, Debug)]
pub struct LogEnd {
    pub log_start: Offset,
    /// Where the log ends, offsets that are refused to readers included.
    pub log_end: Offset,
    /// Where the last batch ends.
    pub written: Offset,
    /// Records below were on stable storage.
    pub durable: Offset,
    /// The last segment's base offset, and its bytes.
    pub last: Option<(Offset, u64)>,
    /// A last segment was found empty before, and its file was removed.
    pub was_trimmed: bool,
    /// Some segment holds a batch.
    pub holds_batches: bool,
}

impl LogEnd {
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if let Some(missing) = missing(self.log_end..self.durable, self.log_start) {
            return missing;
        }
        let begins_anew = self.written < self.log_end && self.holds_batches;
        match self.last {
            None => Verdict::NothingLeft,
            Some((base, 0)) if begins_anew && base == self.log_end => Verdict::Settled,
            Some((segment, 0)) if !self.was_trimmed => Verdict::LastEmpty { segment },
            Some(_) if begins_anew => Verdict::BeginsAnew { at: self.log_end },
            Some(_) => Verdict::Settled,
        }
    }
}
