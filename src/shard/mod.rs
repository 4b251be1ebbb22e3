//! The shard: one core's share of the data, as a pure state machine.

mod effect;
mod request;

pub use effect::{Effect, IoDone, IoId, IoOp, IoRequest, SegmentId, WriteData};
pub use request::*;
