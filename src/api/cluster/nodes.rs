//! The nodes of this cluster as one connection sees them.

use crate::base::ShardId;
use crate::controller::View;

use super::view;
use crate::api::Context;

/// Ports stay readable as Kafka's int32 even where `port + shard` leaves the range of ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::api) struct Node {
    pub id: i32,
    pub port: i32,
}

/// This server as one node, or a node per shard.
pub(in crate::api) fn nodes(context: &Context<'_>) -> Vec<Node> {
    let count = if context.connection.view == View::Server { 1 } else { context.image.shards };
    (0..count).map(|shard| node(context, ShardId(shard))).collect()
}

/// The node that the connection's view gives a shard.
pub(in crate::api) fn node(context: &Context<'_>, shard: ShardId) -> Node {
    let view = context.connection.view;
    let base = i32::from(context.connection.advertised_port);
    Node {
        id: view.node(context.image.server, shard).0,
        port: if view == View::ShardPorts { base + i32::from(shard.0) } else { base },
    }
}

/// All shards of a server are in one rack: replicas on two of them would share its fate.
pub(in crate::api) fn rack(context: &Context<'_>) -> String {
    let configured = context.config.rack.clone();
    configured.unwrap_or_else(|| format!("server-{}", context.image.server))
}

/// The node that administrative requests should go to.
pub(in crate::api) fn controller_node(context: &Context<'_>) -> i32 {
    node(context, ShardId(0)).id
}

/// Whether this connection answers for what `shard` owns, in the APIs that tools ask of every node ([`view`]).
pub(in crate::api) fn answers_for(context: &Context<'_>, shard: ShardId) -> bool {
    view::answers_for(context.connection.node, shard)
}
