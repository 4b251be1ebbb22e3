//! The nodes of this cluster as one connection sees them.

use crate::base::ShardId;
use crate::controller::View;

use super::Context;

/// Ports stay readable as Kafka's int32 even where `port + shard` leaves the range of ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub id: i32,
    pub port: i32,
}

/// This server as one node, or a node per shard.
pub(super) fn nodes(context: &Context<'_>) -> Vec<Node> {
    let view = context.connection.view;
    let count = if view == View::Server { 1 } else { context.image.shards };
    let base = i32::from(context.connection.advertised_port);
    (0..count)
        .map(|shard| Node {
            id: view.node(context.image.server, ShardId(shard)).0,
            port: if view == View::ShardPorts { base + i32::from(shard) } else { base },
        })
        .collect()
}

/// All shards of a server are in one rack: replicas on two of them would share its fate.
pub(super) fn rack(context: &Context<'_>) -> String {
    let configured = context.config.rack.clone();
    configured.unwrap_or_else(|| format!("server-{}", context.image.server))
}

/// The node that administrative requests should go to.
pub(super) fn controller_node(context: &Context<'_>) -> i32 {
    context.connection.view.node(context.image.server, ShardId(0)).0
}
