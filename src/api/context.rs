//! What an API may look at while it decides, and what is remembered of the connection it answers.

use std::sync::Arc;

use crate::base::{Now, ShardId};
use crate::config::Config;
use crate::controller::{MetadataImage, View};

use super::cluster::hints::Hints;
use super::cluster::view::NodeMeant;
use super::data::fetch::FetchSessions;
use super::served::Served;
use super::telemetry::Telemetry;

/// What an API may look at while it decides.
pub struct Context<'a> {
    pub now: Now,
    /// The shard this connection lives on.
    pub shard: ShardId,
    pub image: &'a Arc<MetadataImage>,
    pub config: &'a Config,
    pub disk: DiskSpace,
    /// Bytes that a fetch may bring: as much memory as there is for answers that sockets have not taken.
    pub answer_bytes_max: u32,
    /// Whether answers have filled that memory: a fetch brings nothing until sockets have taken some.
    pub answers_are_full: bool,
    /// The fetch sessions of this shard.
    pub sessions: &'a mut FetchSessions,
    /// The metrics that clients have pushed to this shard.
    pub telemetry: &'a mut Telemetry,
    pub connection: &'a mut ConnectionState,
    /// What is served, for the API that tells it.
    pub served: &'static [Served],
}

/// Space of the file system that holds the data directory, as of a moment ago; -1 when it is not known.
#[derive(Clone, Copy, Debug)]
pub struct DiskSpace {
    pub total_bytes: i64,
    /// What this process may still use.
    pub usable_bytes: i64,
}

/// What a connection has said of itself, and how the server presents itself to it.
#[derive(Clone, Debug)]
pub struct ConnectionState {
    /// The name in the first ApiVersions that had one; empty until then.
    pub software_name: String,
    pub software_version: String,
    /// Where the peer is, as Kafka writes it: a slash and the address.
    pub client_host: String,
    pub client_port: u16,
    /// The node that the first ApiVersions names, unless the connection's port says it.
    pub node: NodeMeant,
    pub view: View,
    pub hints: Hints,
    /// Host and port to advertise to this peer: the configured name, or the address it reached us at.
    pub advertised_host: String,
    pub advertised_port: u16,
}
