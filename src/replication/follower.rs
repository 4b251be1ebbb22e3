//! The follower's half of a partition: whether its log agrees with the leader's, what is cut, what is taken.
//!
//! A stream has a number on its lane. Whatever comes for another number than the last one asked with is old, and changes
//! nothing here. Every new leader epoch opens the stream anew, also with the same leader: an epoch missed in between is a cut
//! missed.

mod agree;
mod stream;

use thiserror::Error;

use crate::base::{LeaderEpoch, LogEnd, MonoNanos, Offset, Rule, ServerId, StreamNumber, holds, mark};

use super::assignment::{Counts, Ends};
use super::open::Ask;
use super::phase::{Gap, Kind, Phase, Room};

/// A leader whose image is behind is asked again so soon.
const NOT_YET_MS: u64 = 50;
/// Who was refused waits for its image, and asks again after so long in case the other's image was behind.
const REFUSED_MS: u64 = 1_000;

/// Whom to follow, as an image says.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Leader {
    pub epoch: LeaderEpoch,
    pub server: ServerId,
    /// The last epoch whose leader was elected without having everything; -1 if there was none.
    pub unclean_epoch: LeaderEpoch,
}

/// A run that the leader sent, without its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Part {
    /// Where the follower's log ends before it.
    pub base: Offset,
    /// Where the follower's log ends after it.
    pub end: Offset,
    pub bytes: u32,
    pub gap: Gap,
    pub high_watermark: Offset,
    pub log_start: Offset,
}

/// What to do with a part.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Take {
    /// The run goes into the log.
    Run,
    /// There is no run, and the log goes on at this offset, and what is between is as the part's gap says.
    Gap(Offset),
    /// There is no run.
    Nothing,
}

/// Why a part or an answer is not taken. All but [`Refusal::OldStream`] close the stream; it is asked for anew in time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum Refusal {
    #[error("the stream was closed or replaced before")]
    OldStream,
    #[error("the leader answers on a stream that is open already")]
    NotAsked,
    #[error("the leader sends on a stream that it has not opened")]
    NotStreaming,
    #[error("the run begins at {base}, offset {next} comes next")]
    WrongBase { base: Offset, next: Offset },
    #[error("the run's offsets are out of order: {base} to {end} with {bytes} bytes")]
    Disordered { base: Offset, end: Offset, bytes: u32 },
    #[error("the leader wants to go on at {said}, the log ends at {own}")]
    WrongEnd { said: Offset, own: Offset },
    #[error("the leader says that the logs part at {end} of epoch {epoch}, which removes nothing here")]
    NothingToCut { epoch: LeaderEpoch, end: Offset },
    #[error("the leader names {0}, which is no offset")]
    NoOffset(Offset),
}

/// What follows a cut.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AfterCut {
    /// The stream is to be opened.
    Open,
    /// This server was elected meanwhile, and leads in this epoch from now on.
    Lead(LeaderEpoch),
}

/// A partition followed. The role of one replica, until it leads or leaves.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Following {
    leader: Leader,
    kind: Kind,
    counts: Counts,
    phase: Phase,
    /// The stream that was asked for or is open.
    stream: Option<StreamNumber>,
    /// The last epoch of the log, as it was asked with.
    asked_epoch: LeaderEpoch,
    /// The last epoch in which the log agreed with the leader's, or this server led.
    agreed: LeaderEpoch,
    own: Ends,
    high_watermark: Offset,
    /// What the leader said last, on this stream.
    leader_high_watermark: Offset,
    leader_log_start: Offset,
    /// What was acknowledged last, on this stream.
    acked: Option<Ends>,
    room: Room,
    /// The epoch in which this server is to lead once the cut under way is done.
    elected: Option<LeaderEpoch>,
}

/// A replica as it begins to follow.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Replica {
    pub own: Ends,
    pub high_watermark: Offset,
    /// The last epoch in which this server led the partition or agreed with its leader; after a start the last in the log.
    pub agreed: LeaderEpoch,
    pub kind: Kind,
    pub counts: Counts,
    pub room: Room,
}

impl Following {
    /// Begins to follow. What comes next is its phase, here and after each input.
    ///
    /// # Panics
    ///
    /// If the high watermark lies above the log's end.
    #[must_use]
    pub fn new(leader: Leader, replica: Replica) -> Following {
        let Replica { own, high_watermark, agreed, kind, counts, room } = replica;
        assert!(own.is_ordered(), "a log's own offsets are in order: {own:?}");
        assert!(
            high_watermark <= own.log_end,
            "high watermark {high_watermark} above the log's end: {own:?}"
        );
        let mut following = Following {
            leader,
            kind,
            counts,
            phase: Phase::Opening,
            stream: None,
            asked_epoch: LeaderEpoch(-1),
            agreed,
            own,
            high_watermark: high_watermark.max(own.log_start),
            leader_high_watermark: Offset(0),
            leader_log_start: Offset(0),
            acked: None,
            room,
            elected: None,
        };
        following.open_anew();
        following
    }

    /// Takes a newer image. A new leader epoch opens the stream anew, once a cut that is under way is done.
    ///
    /// # Panics
    ///
    /// If the leader epoch goes back.
    pub fn renewed(&mut self, leader: Leader) {
        assert!(
            leader.epoch >= self.leader.epoch,
            "an image goes back from leader epoch {} to {}",
            self.leader.epoch,
            leader.epoch
        );
        let is_new = leader.epoch > self.leader.epoch || self.elected.is_some();
        let is_same_server = leader.server == self.leader.server;
        self.leader = leader;
        self.elected = None;
        if !is_new {
            return;
        }
        if !holds(Rule::OpenAnew) && is_same_server && matches!(self.phase, Phase::Streaming { .. }) {
            self.acked = None;
            return;
        }
        if self.is_cutting() {
            mark("new leader while the log is being cut");
            self.forget_stream();
            return;
        }
        self.open_anew();
    }

    /// This server was elected. A cut that is under way is finished first: only if this says true does it lead at once.
    #[must_use]
    pub fn elected(&mut self, epoch: LeaderEpoch) -> bool {
        if !self.is_cutting() {
            return true;
        }
        mark("elected while the log is being cut");
        self.leader.epoch = self.leader.epoch.max(epoch);
        self.elected = Some(epoch);
        self.forget_stream();
        false
    }

    /// Takes how much the disk has left. Returns a stream that is to be closed.
    pub fn has_room(&mut self, room: Room) -> Option<StreamNumber> {
        self.room = room;
        match self.phase {
            Phase::Opening | Phase::Streaming { .. } | Phase::Waiting { .. } if !room.takes(self.kind) => {
                mark("follower stops for lack of disk");
                self.phase = Phase::Paused;
                self.forget_stream()
            }
            Phase::Paused if room.takes(self.kind) => {
                self.phase = Phase::Opening;
                None
            }
            _ => None,
        }
    }

    /// Whether a stream is to be asked for now.
    pub fn wants_stream(&mut self, now: MonoNanos) -> bool {
        if matches!(self.phase, Phase::Waiting { until } if now >= until) {
            self.phase = Phase::Opening;
        }
        self.phase == Phase::Opening && self.stream.is_none()
    }

    /// The question for the leader. The log is as told by [`Following::local`]; its last epoch is asked for here alone.
    pub fn open(&mut self, stream: StreamNumber, last_epoch: LeaderEpoch) -> Ask {
        assert!(
            self.phase == Phase::Opening,
            "a stream is asked for when one is wanted, not in {:?}",
            self.phase
        );
        self.stream = Some(stream);
        self.asked_epoch = last_epoch;
        Ask {
            epoch: self.leader.epoch,
            log: LogEnd { last_epoch, end: self.own.log_end },
            flushed: self.own.flushed,
            log_start: self.own.log_start,
        }
    }

    /// The lane is gone, and its streams with it.
    pub fn lane_lost(&mut self) {
        self.forget_stream();
        if matches!(self.phase, Phase::Streaming { .. } | Phase::Installing(_)) {
            self.phase = Phase::Opening;
        }
    }

    /// The stream is closed by this side, for `Refusal`s and whatever the log refuses; asked for again a little later.
    pub fn close(&mut self, now: MonoNanos) -> Option<StreamNumber> {
        if !self.is_cutting() && self.phase != Phase::Paused && self.phase != Phase::Diverged {
            self.phase = Phase::Waiting { until: now.plus_ms(REFUSED_MS) };
        }
        self.forget_stream()
    }

    /// Takes where the own log begins and ends now. True if the high watermark has moved.
    ///
    /// # Panics
    ///
    /// If the log has grown without being told by a part, or lost something without a cut.
    pub fn local(&mut self, own: Ends) -> bool {
        assert!(
            own.is_ordered() && own.log_end >= self.own.log_end && own.flushed >= self.own.flushed,
            "the offsets of a followed log go from {:?} to {own:?}",
            self.own
        );
        if let Phase::Streaming { next } = self.phase {
            assert!(own.log_end <= next, "the log ends at {}, the leader has sent up to {next}", own.log_end);
        }
        self.own = own;
        self.raise_high_watermark()
    }
}
