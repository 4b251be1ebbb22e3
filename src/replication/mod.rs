//! A partition's replicas: what its leader and its followers decide, and what is sent when on the lanes between them.
//!
//! | file | what it owns |
//! |---|---|
//! | `assignment` | who the replicas are, as an image says it |
//! | `leader`, `progress`, `watermark`, `in_sync` | the leader's half: [`Leading`] |
//! | `open` | the leader's answer to a follower that opens a stream: [`answer`] |
//! | `follower`, `phase` | the follower's half: [`Following`] |
//! | `lane`, `turns`, `intake`, `redial` | the two ends of a lane: fairness, credit, silence |
//!
//! All of it is decisions on offsets, epochs and ids: this room knows no log, no bytes of a frame and no socket, and is given
//! the time. The shard joins it with the log and with the frames. One `Leading` or `Following` belongs to one replica, and one
//! end of a lane to one shard; they know nothing of each other.
//!
//! Rules R1 to R6, R11 and the mends D1 (R2b), D4, D11 are kept here, each where its switch is. What a peer says is never
//! believed beyond the own log, and refused with a reason. Limits: 16 replicas a partition, 131,072 streams a lane, and the
//! bytes that the window grants.

mod ack;
mod assignment;
mod follower;
mod in_sync;
mod intake;
mod lane;
mod leader;
mod open;
mod phase;
mod progress;
mod redial;
mod turns;
mod watermark;

#[cfg(test)]
mod tests;

pub use ack::{AckError, Moved, Sender};
pub use assignment::{Assignment, Counts, Ends, EpochEnd, Member, REPLICAS_MAX, Servers};
pub use follower::{AfterCut, Following, Leader, Part, Refusal, Replica, Take};
pub use in_sync::{IsrAnswer, IsrAsk, Verdict};
pub use intake::{InLane, IntakeError, WINDOW_BYTES};
pub use lane::{FRAME_BYTES_MAX, LaneError, OutLane, PARTS_MAX, PIECE_BYTES_MAX};
pub use leader::Leading;
pub use open::{Ask, Evidence, Opened, Outcome, answer};
pub use phase::{Cut, Gap, Kind, Phase, Room};
pub use redial::Redial;
pub use turns::{Frame, Left, Lies, Offer, Run, Turn};
