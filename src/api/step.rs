//! How an API is answered: decode → ask the shards → build the answer, as values.
//!
//! An API function never waits. It returns a [`Step`]; the server performs it and, when every asked shard has
//! answered, calls the continuation for the next step. All of it is synchronous and free of I/O.

use std::fmt;

use crate::base::ShardId;
use crate::protocol::Frame;
use crate::shard::{ShardReply, ShardRequest};

use super::context::Context;

/// What the server does next with a request.
pub enum Step {
    /// Send this answer (in request order).
    Reply(Frame),
    /// Send nothing (acks=0).
    Silent,
    /// Close the connection; the reason is for one log line.
    Close { reason: String },
    /// Ask shards; when all have answered, the continuation says what next.
    Ask(Ask),
    /// Go on reading the request's batches, slice by slice, before anything else of this connection begins.
    Read(Box<dyn Slices>),
}

/// Work that takes long and goes by slices, so that it holds up nobody else on the shard.
pub trait Slices: fmt::Debug {
    /// Goes on for some tenths of a millisecond. True when all is done.
    fn slice(&mut self) -> bool;

    /// What comes after that. Only when [`Slices::slice`] has said that all is done.
    fn finish(self: Box<Self>, context: &mut Context<'_>) -> Step;
}

/// Questions to shards, and how an answer is made of theirs.
pub struct Ask {
    /// The questions: at most one per shard, in ascending shard order.
    pub calls: Vec<(ShardId, ShardRequest)>,
    pub wait: Wait,
    /// The continuation gets one reply per call, in the order of `calls`.
    pub then: Continue,
}

/// The rest of an API: called once with all replies.
pub type Continue = Box<dyn FnOnce(&mut Context<'_>, Vec<ShardReply>) -> Step>;

/// When a set of calls is complete.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wait {
    /// When every shard has answered.
    All,
    /// As soon as one shard answers, the others are told [`ShardRequest::FetchNow`]; complete when all have answered.
    FirstThenNudge,
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Reply(_) => f.write_str("Reply"),
            Step::Silent => f.write_str("Silent"),
            Step::Close { reason } => write!(f, "Close({reason})"),
            Step::Ask(ask) => write!(f, "Ask({} shards)", ask.calls.len()),
            Step::Read(reading) => write!(f, "{reading:?}"),
        }
    }
}
