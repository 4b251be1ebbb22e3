//! Appending as a follower: a run of whole batches, as the leader has stored them.
//!
//! Nothing is admitted and nothing stamped. The headers are compared with what the leader says of the run and with the log,
//! before anything changes; the checksums are verified while the bytes are copied. What is wrong with a run is said, and the log
//! stays as it is: that the active segment may have rolled does no harm.
//!
//! Offsets that the leader says are missing: those that compaction has emptied get fillers ([`crate::log::filler`]). Those that are
//! damaged at the leader are damaged here as well, and a segment begins behind them, which a start takes for what it is.

use std::borrow::Cow;

use bytes::Bytes;

use crate::base::io::SegmentId;
use crate::base::{LeaderEpoch, Now, Offset, TimestampMs, mark};
use crate::config::topic::TopicSettings;
use crate::log::filler::filler;
use crate::log::limits::LogLimits;
use crate::log::op::LogEffects;
use crate::log::producers::Sequenced;
use crate::log::segment::OpenSegment;
use crate::log::tail::{Allocate, BadCrc, Run, batches};
use crate::record::{BatchError, BatchHeader};

use super::PartitionLog;
use super::place::{Accepted, Entered, Incoming, Outgoing};

/// What the leader says of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunHeader {
    /// The first batch's first offset.
    pub base: Offset,
    /// The offset after the last batch.
    pub end: Offset,
    /// The epoch of every batch.
    pub epoch: LeaderEpoch,
    pub gap: Gap,
}

/// Whether offsets may be missing before a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gap {
    None,
    /// Before any batch: compaction took them.
    Compacted,
    /// Before the first batch: they are damaged at the leader. Before others as compaction took them.
    Damaged,
}

/// Under which rules a run is appended.
#[derive(Clone, Copy, Debug)]
pub struct ReplicateRules<'a> {
    pub now: Now,
    pub settings: &'a TopicSettings,
    pub limits: &'a LogLimits,
}

/// Why a run is not appended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplicateError {
    #[error("the log is being cut, and takes no appends before that is done")]
    Cutting,
    #[error("a run has a batch at least")]
    Empty,
    #[error("byte {at} of the run: {problem}")]
    Batch { at: usize, problem: BatchError },
    #[error("byte {at} of the run: the last batch is cut short")]
    CutShort { at: usize },
    #[error("a batch with offset {found} where {expected} was expected")]
    Offset { expected: Offset, found: Offset },
    #[error("the run begins at {found}, and its header says {said}")]
    Base { said: Offset, found: Offset },
    #[error("the run ends at {found}, and its header says {said}")]
    End { said: Offset, found: Offset },
    #[error("batch {batch} is of epoch {found}, and its header says {said}")]
    Epoch { batch: Offset, said: LeaderEpoch, found: LeaderEpoch },
    #[error("a run of epoch {epoch} after records of epoch {last}")]
    EpochGoesBack { last: LeaderEpoch, epoch: LeaderEpoch },
    #[error("the run ends {offsets} offsets behind the log's end, more than a segment holds")]
    TooFar { offsets: i64 },
    #[error("what is before a damaged part is not durable yet")]
    NotDurable,
}

/// What a look at the headers has found.
#[derive(Clone, Copy, Debug, Default)]
struct Looked {
    /// Offsets are missing between batches, or before the first one and were emptied by compaction.
    has_gaps: bool,
    /// Offsets are missing before the first batch, and are damaged.
    is_behind_damage: bool,
}

impl PartitionLog {
    /// Appends a run from the leader, or says why not: then the log is as it was.
    pub fn replicate(
        &mut self,
        run: &Bytes,
        header: RunHeader,
        rules: &ReplicateRules<'_>,
        allocate: Allocate<'_>,
        out: &mut LogEffects,
    ) -> Result<Accepted, ReplicateError> {
        if self.is_cutting() {
            return Err(ReplicateError::Cutting);
        }
        let looked = self.look(run, &header)?;
        let filled: Cow<'_, [u8]> = if looked.has_gaps {
            mark("a follower fills what compaction took");
            Cow::Owned(self.filled(run, &header, looked))
        } else {
            Cow::Borrowed(run)
        };
        let is_parted = filled.len() as u64 > rules.settings.segment_bytes;
        if is_parted || looked.is_behind_damage {
            // Once part of it is in the log, all of it must be right.
            Run::verify(&filled).map_err(bad_crc)?;
        }
        if looked.is_behind_damage {
            self.begin_behind_damage(header.base, out)?;
        }
        let base_offset = self.log_end;
        for part in parts(&filled, rules.settings.segment_bytes) {
            let tells = looked.is_behind_damage && self.log_end == header.base;
            self.replicate_part(part, (header.end, tells), rules, allocate, out)?;
        }
        self.epoch = self.epoch.max(header.epoch);
        assert_eq!(self.log_end, header.end, "the whole run is in the log");
        Ok(Accepted { base_offset, end: self.log_end, log_append_time: TimestampMs::NONE })
    }

    /// Compares the headers with what the leader says and with the log.
    fn look(&self, run: &[u8], said: &RunHeader) -> Result<Looked, ReplicateError> {
        if said.epoch < self.last_epoch() || said.epoch.0 < 0 {
            return Err(ReplicateError::EpochGoesBack { last: self.last_epoch(), epoch: said.epoch });
        }
        let (mut looked, mut at, mut expected) = (Looked::default(), 0, self.log_end);
        while let Some(rest) = run.get(at..).filter(|rest| !rest.is_empty()) {
            let header = BatchHeader::parse(rest).map_err(|problem| ReplicateError::Batch { at, problem })?;
            let BatchHeader { base_offset: base, leader_epoch, .. } = header;
            if header.total_bytes() > rest.len() {
                return Err(ReplicateError::CutShort { at });
            }
            if at == 0 && base != said.base {
                return Err(ReplicateError::Base { said: said.base, found: base });
            }
            if base < expected || base > expected && said.gap == Gap::None {
                return Err(ReplicateError::Offset { expected, found: base });
            }
            if leader_epoch != said.epoch {
                let (said, found) = (said.epoch, leader_epoch);
                return Err(ReplicateError::Epoch { batch: base, said, found });
            }
            let is_behind_damage = at == 0 && base > expected && said.gap == Gap::Damaged;
            looked.is_behind_damage |= is_behind_damage;
            looked.has_gaps |= base > expected && !is_behind_damage;
            let end = base.0.checked_add(i64::from(header.last_offset_delta) + 1);
            expected = Offset(end.ok_or(ReplicateError::End { said: said.end, found: base })?);
            at += header.total_bytes();
        }
        self.look_at_end(at, expected, said, looked)?;
        Ok(looked)
    }

    fn look_at_end(
        &self,
        bytes: usize,
        end: Offset,
        said: &RunHeader,
        looked: Looked,
    ) -> Result<(), ReplicateError> {
        if bytes == 0 {
            return Err(ReplicateError::Empty);
        }
        if end != said.end {
            return Err(ReplicateError::End { said: said.end, found: end });
        }
        // Two batches of a log are never further apart than the offsets that one segment may hold.
        let from = if looked.is_behind_damage { said.base } else { self.log_end };
        let offsets = end.0.saturating_sub(from.0);
        if offsets > i64::from(i32::MAX) {
            return Err(ReplicateError::TooFar { offsets });
        }
        Ok(())
    }

    /// The run with fillers in its gaps. Offsets that are missing before it were of the epoch before: the first batch of every
    /// epoch stays.
    fn filled(&self, run: &[u8], said: &RunHeader, looked: Looked) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(run.len() + run.len() / 4);
        let mut expected = if looked.is_behind_damage { said.base } else { self.log_end };
        let mut epoch = self.epochs.latest().unwrap_or(said.epoch);
        for (_, header, batch) in batches(run) {
            if header.base_offset > expected {
                let more = header.base_offset.since(expected) - 1;
                let more = i32::try_from(more).expect("a run goes no further than a segment");
                bytes.extend_from_slice(&filler(expected, more, epoch));
            }
            bytes.extend_from_slice(batch);
            expected = header.last_offset().plus(1);
            epoch = said.epoch;
        }
        bytes
    }

    /// The log goes on at `base`; what is missing up to there is damaged. A start must not take what comes for records that follow
    /// others which were lost: all before must be durable, and the commit log must hear that it was.
    fn begin_behind_damage(&mut self, base: Offset, out: &mut LogEffects) -> Result<(), ReplicateError> {
        if !self.unflushed.is_empty() {
            mark("a follower waits before a damaged part");
            return Err(ReplicateError::NotDurable);
        }
        mark("a follower goes on behind a damaged part");
        if self.active.size > 0 {
            self.roll(out);
        }
        assert_eq!(self.flushed, self.log_end, "without appends on their way all is durable");
        self.damaged.add(self.log_end..base);
        (self.log_end, self.flushed) = (base, base);
        self.active = OpenSegment::fresh(SegmentId { partition: self.id, base });
        self.check_offsets();
        Ok(())
    }

    /// Appends a part of a run that goes into one segment; the run has offsets below `end`. See [`Outgoing`] for the rest.
    fn replicate_part(
        &mut self,
        part: &[u8],
        (end, tells): (Offset, bool),
        rules: &ReplicateRules<'_>,
        allocate: Allocate<'_>,
        out: &mut LogEffects,
    ) -> Result<(), ReplicateError> {
        let ReplicateRules { now, settings, limits } = *rules;
        let incoming = Incoming { bytes: part.len(), last_offset: end.plus(-1) };
        self.roll_if_due(now, incoming, settings, out);
        let placed = self.place(&Run::Stored(part), part.len(), limits, allocate).map_err(bad_crc)?;
        for (_, header, _) in batches(part) {
            let BatchHeader { base_offset, leader_epoch: epoch, max_timestamp, .. } = header;
            let entered = Entered { base_offset, epoch, max_timestamp };
            self.enter(&header, entered, Sequenced::of(&header).as_ref(), settings);
        }
        self.active.begun.get_or_insert(now.wall);
        self.hand_out(placed, Outgoing { end: self.log_end, bytes: part.len(), tells }, limits, out);
        Ok(())
    }
}

/// The parts of a run that go into one segment each: all of it, if it is no longer than one.
fn parts(run: &[u8], segment_bytes: u64) -> impl Iterator<Item = &[u8]> {
    let mut rest = run;
    std::iter::from_fn(move || {
        let mut fits = rest.len();
        if fits as u64 > segment_bytes {
            let ends = batches(rest).map(|(at, _, batch)| at + batch.len());
            let first = ends.clone().next()?;
            fits = ends.take_while(|end| *end as u64 <= segment_bytes).last().unwrap_or(first);
        }
        let (part, after) = rest.split_at_checked(fits)?;
        rest = after;
        (!part.is_empty()).then_some(part)
    })
}

fn bad_crc(BadCrc { at, claimed, computed }: BadCrc) -> ReplicateError {
    ReplicateError::Batch { at, problem: BatchError::Crc { claimed, computed } }
}
