//! Everything that is said on a lane, as one type.

use bytes::Bytes;

use super::control::{
    AlterIsr, AlterIsrAnswer, Forward, Forwarded, Heartbeat, HeartbeatAnswer, Register, Registered,
};
use super::handshake::{Hello, Refused, Welcome};
use super::lanes::{Ack, ClosedStream, OpenStream, OpenedStream, Part, SnapshotPart};
use super::quorum::{Lead, Resign, VoteAnswer, VoteAsk};

/// What one frame says besides its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// The first frame of a lane, from whoever dialled.
    Hello(Hello),
    /// The lane is accepted.
    Welcome(Welcome),
    /// The lane is refused, and closed.
    Refused(Refused),
    /// Follower to leader: begin these streams.
    Open(Vec<OpenStream>),
    /// Leader to follower: what became of them.
    Opened(Vec<OpenedStream>),
    /// Leader to follower: runs of batches; the payload holds them in this order. Without parts, a sign of life. Each one is
    /// answered by an [`Ack`].
    Append(Vec<Part>),
    /// Follower to leader.
    Ack(Ack),
    /// Either end: these streams are over.
    Close(Vec<ClosedStream>),
    VoteAsk(VoteAsk),
    VoteAnswer(VoteAnswer),
    Lead(Lead),
    Resign(Resign),
    Register(Register),
    Registered(Registered),
    Heartbeat(Heartbeat),
    HeartbeatAnswer(HeartbeatAnswer),
    AlterIsr(AlterIsr),
    AlterIsrAnswer(AlterIsrAnswer),
    /// Leader to follower, on the stream of the metadata log; the payload is the piece.
    SnapshotPart(SnapshotPart),
    /// A request for the controller; the payload is the client's frame.
    Forward(Forward),
    /// What the controller says to it; the payload is the answer's frame.
    Forwarded(Forwarded),
}

impl Message {
    /// The name, for log lines and counters.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Message::Hello(_) => "Hello",
            Message::Welcome(_) => "Welcome",
            Message::Refused(_) => "Refused",
            Message::Open(_) => "Open",
            Message::Opened(_) => "Opened",
            Message::Append(_) => "Append",
            Message::Ack(_) => "Ack",
            Message::Close(_) => "Close",
            Message::VoteAsk(_) => "VoteAsk",
            Message::VoteAnswer(_) => "VoteAnswer",
            Message::Lead(_) => "Lead",
            Message::Resign(_) => "Resign",
            Message::Register(_) => "Register",
            Message::Registered(_) => "Registered",
            Message::Heartbeat(_) => "Heartbeat",
            Message::HeartbeatAnswer(_) => "HeartbeatAnswer",
            Message::AlterIsr(_) => "AlterIsr",
            Message::AlterIsrAnswer(_) => "AlterIsrAnswer",
            Message::SnapshotPart(_) => "SnapshotPart",
            Message::Forward(_) => "Forward",
            Message::Forwarded(_) => "Forwarded",
        }
    }

    /// Whether the message belongs to the time before a lane is accepted.
    #[must_use]
    pub fn is_handshake(&self) -> bool {
        matches!(self, Message::Hello(_) | Message::Welcome(_) | Message::Refused(_))
    }
}

/// One frame as it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub message: Message,
    /// A slice of the bytes that were received, never a copy.
    pub payload: Bytes,
}
