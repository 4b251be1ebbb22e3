//! The nodes of this cluster as one connection sees them.

use crate::base::{Home, NodeId, ServerId, ShardId};
use crate::controller::{PartitionImage, View};

use super::view;
use crate::api::Context;

/// As Kafka writes that nobody leads a partition.
const NOBODY: i32 = -1;

/// Ports stay readable as Kafka's int32 even where `port + shard` leaves the range of ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::api) struct Node {
    pub id: i32,
    pub port: i32,
}

/// The nodes that a client is shown: this server as one node, or a node per shard.
pub(in crate::api) fn nodes(context: &Context<'_>) -> Vec<Node> {
    let count = if context.connection.view == View::Server { 1 } else { context.image.here.shards };
    (0..count).map(|shard| node(context, ShardId(shard))).collect()
}

/// The node that the connection's view gives a shard.
pub(in crate::api) fn node(context: &Context<'_>, shard: ShardId) -> Node {
    let view = context.connection.view;
    let base = i32::from(context.connection.advertised_port);
    Node {
        id: view.node(context.image.here.server, shard).0,
        port: if view == View::ShardPorts { base + i32::from(shard.0) } else { base },
    }
}

/// The node that the connection's view gives a server's part of a partition; the server's own node as long as it is not known
/// how many shards that server has.
fn node_of(context: &Context<'_>, server: ServerId, home: Home) -> i32 {
    let shard = context.image.shard_on(server, home);
    let node = shard.map(|shard| context.connection.view.node(server, shard));
    node.unwrap_or(NodeId::of_server(server)).0
}

/// A partition's leader as the connection's view names it; -1 is nobody.
pub(in crate::api) fn leader_node(context: &Context<'_>, partition: &PartitionImage) -> i32 {
    partition.leader().map_or(NOBODY, |leader| node_of(context, leader, partition.home()))
}

/// Servers that keep a partition, as the connection's view names them.
pub(in crate::api) fn replica_nodes(
    context: &Context<'_>,
    partition: &PartitionImage,
    servers: impl Iterator<Item = ServerId>,
) -> Vec<i32> {
    servers.map(|server| node_of(context, server, partition.home())).collect()
}

/// All shards of a server are in one rack: replicas on two of them would share its fate.
pub(in crate::api) fn rack(context: &Context<'_>) -> String {
    let configured = context.config.rack.clone();
    configured.unwrap_or_else(|| format!("server-{}", context.image.here.server))
}

/// The node that administrative requests should go to.
pub(in crate::api) fn controller_node(context: &Context<'_>) -> i32 {
    metadata_node(context, context.image.controller())
}

/// The node that keeps a server's metadata log: on every server, that log lives on shard 0.
pub(in crate::api) fn metadata_node(context: &Context<'_>, server: ServerId) -> i32 {
    context.connection.view.node(server, ShardId(0)).0
}

/// Whether this connection answers for what `shard` owns, in the APIs that tools ask of every node ([`view`]).
pub(in crate::api) fn answers_for(context: &Context<'_>, shard: ShardId) -> bool {
    view::answers_for(context.connection.node, shard)
}
