//! How an API is answered: decode → ask the shards → build the answer, as values.
//!
//! An API function never waits. It returns a [`Step`]; the server performs it and, when every asked shard has
//! answered, calls the continuation for the next step. All of it is synchronous and free of I/O.

use std::fmt;
use std::sync::Arc;

use crate::base::{Now, ShardId};
use crate::config::Config;
use crate::controller::{MetadataImage, View};
use crate::protocol::Frame;
use crate::shard::{ShardReply, ShardRequest};

use super::cluster::hints::Hints;
use super::cluster::view::NodeMeant;
use super::data::fetch::FetchSessions;
use super::data::produce::Reading;
use super::telemetry::Telemetry;

/// What an API may look at while it decides.
pub struct Context<'a> {
    pub now: Now,
    /// The shard this connection lives on.
    pub shard: ShardId,
    pub image: &'a Arc<MetadataImage>,
    pub config: &'a Config,
    pub disk: DiskSpace,
    /// Memory there is for answers that sockets have not taken: what a fetch is worth bringing.
    pub answer_bytes_max: u32,
    /// There is none, for as long as others do not take theirs.
    pub answers_are_full: bool,
    /// The shard's.
    pub sessions: &'a mut FetchSessions,
    /// The shard's.
    pub telemetry: &'a mut Telemetry,
    pub connection: &'a mut ConnectionState,
}

/// Of the file system that holds the data directory, as of a few seconds ago; -1 when it is not known.
#[derive(Clone, Copy, Debug)]
pub struct DiskSpace {
    pub total_bytes: i64,
    /// What this process may still use.
    pub usable_bytes: i64,
}

/// What a connection has said of itself, and how the server presents itself to it.
#[derive(Clone, Debug)]
pub struct ConnectionState {
    /// From the first ApiVersions that said it; empty until then.
    pub software_name: String,
    pub software_version: String,
    /// Where the peer is, as Kafka writes it: a slash and the address.
    pub client_host: String,
    pub client_port: u16,
    /// By the first ApiVersions, unless the connection's port says it.
    pub node: NodeMeant,
    pub view: View,
    pub hints: Hints,
    /// Host and port to advertise to this peer: the configured name, or the address it reached us at.
    pub advertised_host: String,
    pub advertised_port: u16,
}

pub enum Step {
    /// Send this answer (in request order).
    Reply(Frame),
    /// Send nothing (acks=0).
    Silent,
    /// Close the connection; the reason is for one log line.
    Close { reason: String },
    /// Ask shards; when all have answered, the continuation says what next.
    Ask(Ask),
    /// Read the request's batches on, slice by slice, before anything else of this connection begins.
    Read(Box<Reading>),
}

pub struct Ask {
    /// At most one request per shard, in ascending shard order.
    pub calls: Vec<(ShardId, ShardRequest)>,
    pub wait: Wait,
    /// Gets one reply per call, in the order of `calls`.
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
