//! Frames between servers: typed messages and their bytes (schema/peer.fbs).
//!
//! A lane is one connection between a shard of one server and a shard of another. The room owns what is said on lanes, as
//! values and as bytes; it knows no connection, no lane's state and no partition: whether a message fits what was said
//! before is for whoever holds the lane.
//!
//! ```text
//! frame  = size u32         of all that follows
//!          header size u32
//!          crc u32          CRC-32 of both sizes and the header
//!          header           FlatBuffers, schema/peer.fbs
//!          payload          raw; whole record batches, pieces of a snapshot, Kafka frames
//! ```
//!
//! Numbers are little-endian. The payload is not in the checksum: record batches have their own, and are verified in the pass that
//! copies them. Limits are in [`limits`]; whatever a peer says yields a frame or a [`FrameError`], never a panic, and a frame that
//! is larger than allowed is refused when its first bytes are there.

mod check;
mod codec;
mod control;
mod error;
mod frame;
mod generated;
mod handshake;
mod lanes;
pub mod limits;
mod message;
mod quorum;
#[cfg(test)]
mod tests;

pub use control::*;
pub use error::FrameError;
pub use frame::{Step, decode, encode};
pub use handshake::*;
pub use lanes::*;
pub use limits::FrameLimits;
pub use message::{Frame, Message};
pub use quorum::*;
