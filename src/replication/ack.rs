//! Words of what a follower says and what it moves.

use thiserror::Error;

use crate::base::{BrokerEpoch, LeaderEpoch, Offset, ServerId};

use super::assignment::Ends;

/// What an input has moved.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[must_use]
pub struct Moved {
    /// The high watermark has moved.
    pub high_watermark: bool,
    /// The high watermark has reached the epoch's start: what needs the whole log may begin.
    pub settled: bool,
}

impl Moved {
    /// Nothing has moved.
    pub const NOTHING: Moved = Moved { high_watermark: false, settled: false };
}

/// Who an ack is from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Sender {
    pub server: ServerId,
    /// The incarnation that dialled the lane.
    pub broker_epoch: BrokerEpoch,
    /// The leader epoch in which the stream was opened.
    pub leader_epoch: LeaderEpoch,
}

/// Why an ack does not count.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum AckError {
    #[error("server {0} is no replica of this partition")]
    NoReplica(ServerId),
    #[error("the ack is of leader epoch {said}, this one is {current}")]
    OtherLeaderEpoch { said: LeaderEpoch, current: LeaderEpoch },
    #[error("the ack is of broker epoch {said}, the image names {known}")]
    OtherBrokerEpoch { said: BrokerEpoch, known: BrokerEpoch },
    #[error("server {0} acknowledges on a stream that it has not opened in this epoch")]
    NotOpened(ServerId),
    #[error("the ack's offsets are out of order: {0:?}")]
    Disordered(Ends),
    #[error("the ack names log end {said}, the leader's own is {own}")]
    BeyondLogEnd { said: Offset, own: Offset },
}
