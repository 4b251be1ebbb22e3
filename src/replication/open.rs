//! The leader's answer to a follower that opens a stream.

use crate::base::{LeaderEpoch, LogEnd, Offset, Rule, holds, mark};

use super::assignment::EpochEnd;

/// A follower's question: may I stream from here.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Ask {
    /// The leader epoch that its image names.
    pub epoch: LeaderEpoch,
    /// Where its log ends, and the epoch of the last record, or of what stands before an empty log.
    pub log: LogEnd,
    pub flushed: Offset,
    pub log_start: Offset,
}

/// What the asked server knows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Evidence {
    /// The partition's leader epoch in the image here; -1 if the image has no such partition.
    pub epoch: LeaderEpoch,
    /// Whether this server leads it in that epoch.
    pub is_leader: bool,
    /// Whether the asker is one of its replicas.
    pub is_replica: bool,
    /// Whether the image has the asker's incarnation.
    pub knows_broker_epoch: bool,
    pub log_start: Offset,
    /// The epoch of what was before the log's start: of the last record deleted, or of the snapshot; -1 if nothing ever was.
    pub epoch_before_log_start: LeaderEpoch,
    /// From here on the log can be sent: its start may lie within a batch, or above what its segment still has.
    pub kept_from: Offset,
    /// The epoch of what was before that; -1 if that is not known.
    pub epoch_before_kept: LeaderEpoch,
    /// The largest epoch in the log that is not above the asker's last one, with its end; none if all are above.
    pub end_of_epoch: Option<EpochEnd>,
    /// Whether a snapshot stands for what is before the log's start, as in the metadata log.
    pub has_snapshot: bool,
}

/// The answer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Outcome {
    /// There is a newer leader epoch.
    Fenced { current: LeaderEpoch },
    /// The image here is behind: ask again.
    NotYet,
    /// This server does not lead the partition, or the asker is none of its replicas.
    Refused,
    /// Nothing of the asker's log is of use: it shall begin an empty one.
    Begin {
        at: Offset,
        /// The epoch of the last record before; -1 if there never was one.
        epoch_before: LeaderEpoch,
    },
    /// The logs part: the asker's may agree up to this end of this epoch, and not beyond.
    Diverging { epoch: LeaderEpoch, end: Offset },
    /// The asker's log is the beginning of this one: streaming goes on from its end.
    From { next: Offset },
    /// As [`Outcome::Begin`], and a snapshot that stands for all before will be sent.
    Snapshot { offset: Offset, epoch: LeaderEpoch },
}

/// What the leader answers, with what it knows beside.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Opened {
    pub outcome: Outcome,
    pub high_watermark: Offset,
    pub log_start: Offset,
}

/// The leader's answer. The rows of the table are in this order:
///
/// | evidence | outcome |
/// |---|---|
/// | the epoch asked is older | fenced |
/// | the epoch asked is newer, or the asker's incarnation is not in the image yet | not yet |
/// | not the leader, or the asker is no replica | refused |
/// | an empty log that ends where this one can be sent from | from there |
/// | no epoch here is as old as the asker's last; its log ends below what can be sent, or is empty and ends within a batch | begin there |
/// | the asker's last epoch is unknown here, or ends earlier than its log | diverging |
/// | else | from the asker's end |
#[must_use]
pub fn answer(ask: &Ask, ours: &Evidence) -> Outcome {
    if ask.epoch < ours.epoch {
        mark("stream asked for in an old epoch");
        return Outcome::Fenced { current: ours.epoch };
    }
    if ask.epoch > ours.epoch || !ours.knows_broker_epoch {
        mark("stream asked for ahead of the image");
        return Outcome::NotYet;
    }
    if !ours.is_leader || !ours.is_replica {
        mark("stream refused");
        return Outcome::Refused;
    }
    let is_empty = ask.log.end == ask.log_start;
    if is_empty && ask.log.end == ours.kept_from {
        return Outcome::From { next: ask.log.end };
    }
    // What is empty and begins with the records here may begin within a batch.
    let is_apart = ask.log.end < ours.kept_from || is_empty && ask.log.end <= ours.log_start;
    let Some(agreed) = agreed(ask, ours).filter(|_| !is_apart) else {
        mark("follower must begin at the leader's log start");
        let (at, epoch_before) = (ours.kept_from, ours.epoch_before_kept);
        return if ours.has_snapshot {
            Outcome::Snapshot { offset: at, epoch: epoch_before }
        } else {
            Outcome::Begin { at, epoch_before }
        };
    };
    if agreed.epoch < ask.log.last_epoch || agreed.end < ask.log.end {
        mark("follower's log diverges");
        return Outcome::Diverging { epoch: agreed.epoch, end: agreed.end };
    }
    Outcome::From { next: ask.log.end }
}

/// The largest epoch here that is not above the asker's last one. What was before the log's start is the oldest (D4): a log
/// that has begun anew at that place has no other.
fn agreed(ask: &Ask, ours: &Evidence) -> Option<EpochEnd> {
    let before = EpochEnd { epoch: ours.epoch_before_log_start, end: ours.log_start };
    let oldest = (before.epoch <= ask.log.last_epoch && holds(Rule::D4)).then_some(before);
    ours.end_of_epoch.or(oldest)
}
