//! What one connection is shown of the server, and which part of it the connection answers for.
//!
//! Correct answers come before a saved hop between cores. A server with one port cannot know which of its nodes a connection
//! is meant for unless the client says so (ApiVersions v5, KIP-1242), so only a connection that has said it is shown a node
//! per core; every other one is shown one node, which stands for the whole server.
//!
//! | setting | the connection | is shown | answers for |
//! |---|---|---|---|
//! | `auto` | has named no node | one node | the server |
//! | `auto` | has named the server's node | a node per core | the server |
//! | `auto` | has named a core's node | a node per core | that core |
//! | `server` | any | one node | the server |
//! | `shard-ports` | has named no node | a node per core | the core whose port it came to |
//! | `shards` | has named no node | a node per core | the server |
//! | both | has named a node | a node per core | what it has named |
//!
//! What a connection *answers for* matters to the APIs that tools ask of every broker to add the answers up: ListGroups,
//! DescribeLogDirs, DescribeProducers ([`super::nodes::answers_for`]). Nothing is counted twice and nothing is missed in them,
//! because an id means the same in every view ([`NodeId`]): the server's node is all of it, a core's node is that core, and a
//! list of nodes has either the one or the others. A client with the server's node asks only there, and is told everything,
//! even if it is shown the cores on that very connection; a client with the cores' nodes asks each, and is told each one's
//! part, whatever the server shows by then. A core that is no more has nothing to tell. Only `shards` cannot keep that promise
//! to clients that do not name nodes: its nodes differ by nothing that the server could see, so that everything is told
//! once per node; whoever chooses it chooses that.
//!
//! A server with one core, or with more than `ringmain.advertise.nodes.max`, is one node to everybody.

use crate::base::{NodeId, ShardId};
use crate::config::{Advertise, Config};
use crate::controller::{MetadataImage, View};

/// The node that a connection leads to, as far as anybody knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum NodeMeant {
    /// Nobody has said.
    #[default]
    Unknown,
    /// The client can name nodes and has named none: it looks for the cluster, or administers it.
    Unnamed,
    /// The one that stands for the whole server.
    Server,
    /// The one of a core, which may be no more; named by the client, or the owner of the port.
    Shard(ShardId),
}

impl NodeMeant {
    /// A node of this server, as a client names it.
    #[must_use]
    pub fn named(node: NodeId) -> NodeMeant {
        node.shard().map_or(NodeMeant::Server, NodeMeant::Shard)
    }
}

/// How the server presents itself to a connection that leads to `meant`.
#[must_use]
pub fn view_of(config: &Config, shards: u16, meant: NodeMeant) -> View {
    if shards == 1 || u32::from(shards) > config.advertise_nodes_max {
        return View::Server;
    }
    match (config.advertise, meant) {
        (Advertise::Server, _) | (Advertise::Auto, NodeMeant::Unknown | NodeMeant::Unnamed) => View::Server,
        (Advertise::Shards, _) | (Advertise::Auto, NodeMeant::Server | NodeMeant::Shard(_)) => View::Shards,
        (Advertise::ShardPorts, _) => View::ShardPorts,
    }
}

/// The node that a connection leads to by the port it came to on `here`, one of so many shards.
#[must_use]
pub fn node_of_port(config: &Config, shards: u16, here: ShardId) -> NodeMeant {
    let by_port = NodeMeant::Shard(here);
    // Where all are one node, only the first port is told to anybody.
    if view_of(config, shards, by_port) == View::ShardPorts { by_port } else { NodeMeant::Unknown }
}

/// Whether a connection that leads to `meant` answers for what a shard owns.
#[must_use]
pub(super) fn answers_for(meant: NodeMeant, shard: ShardId) -> bool {
    match meant {
        NodeMeant::Shard(own) => own == shard,
        NodeMeant::Unknown | NodeMeant::Unnamed | NodeMeant::Server => true,
    }
}

/// Whether `node` is one of this server's, whatever cores it has.
#[must_use]
pub(super) fn is_here(image: &MetadataImage, node: NodeId) -> bool {
    node.server() == image.here.server
}

#[cfg(test)]
mod tests {
    use super::*;

    const CORE: NodeMeant = NodeMeant::Shard(ShardId(1));
    const MEANT: [NodeMeant; 4] = [NodeMeant::Unknown, NodeMeant::Unnamed, NodeMeant::Server, CORE];

    fn views(advertise: Advertise, shards: u16) -> [View; 4] {
        let mut config = Config::default();
        config.advertise = advertise;
        config.advertise_nodes_max = 8;
        MEANT.map(|meant| view_of(&config, shards, meant))
    }

    #[test]
    fn only_who_names_nodes_is_shown_shards() {
        use View::{Server, ShardPorts, Shards};
        assert_eq!(views(Advertise::Auto, 2), [Server, Server, Shards, Shards]);
        assert_eq!(views(Advertise::Server, 2), [Server; 4]);
        assert_eq!(views(Advertise::Shards, 8), [Shards; 4]);
        assert_eq!(views(Advertise::ShardPorts, 2), [ShardPorts; 4]);
    }

    #[test]
    fn one_core_and_very_many_are_one_node() {
        for advertise in [Advertise::Auto, Advertise::Server, Advertise::Shards, Advertise::ShardPorts] {
            assert_eq!(views(advertise, 1), [View::Server; 4], "{advertise:?}");
            assert_eq!(views(advertise, 9), [View::Server; 4], "{advertise:?}");
        }
    }

    /// Whichever nodes a client is shown, what all of them answer for is each shard, once.
    #[test]
    fn nothing_is_told_twice_or_not_at_all() {
        for shard in (0..3).map(ShardId) {
            let cores = (0..5).filter(|core| answers_for(NodeMeant::Shard(ShardId(*core)), shard));
            assert_eq!(cores.count(), 1);
            let whole = [NodeMeant::Unknown, NodeMeant::Unnamed, NodeMeant::Server];
            assert!(whole.iter().all(|meant| answers_for(*meant, shard)));
        }
    }

    #[test]
    fn ports_tell_nodes_apart_where_each_has_its_own() {
        let check = |advertise, shards, meant| {
            let mut config = Config::default();
            config.advertise = advertise;
            config.advertise_nodes_max = 8;
            assert_eq!(node_of_port(&config, shards, ShardId(1)), meant, "{advertise:?} {shards}");
        };
        check(Advertise::ShardPorts, 2, CORE);
        check(Advertise::ShardPorts, 9, NodeMeant::Unknown);
        check(Advertise::Shards, 2, NodeMeant::Unknown);
        check(Advertise::Auto, 2, NodeMeant::Unknown);
        check(Advertise::Server, 2, NodeMeant::Unknown);
    }

    #[test]
    fn ids_say_what_is_meant() {
        assert_eq!(NodeMeant::named(NodeId(7000)), NodeMeant::Server);
        assert_eq!(NodeMeant::named(NodeId(7002)), CORE);
    }
}
