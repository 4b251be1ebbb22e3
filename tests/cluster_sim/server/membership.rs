//! A server's part in a cluster: how its directory came into it, and who it says it is.

use std::sync::Arc;

use ringmain::base::{DirectoryId, IncarnationId, ServerId, VoterId};
use ringmain::runtime::recovery::Origin;
use ringmain::shard::{ClusterConfig, ClusterTimers, Seed};

use crate::net::At;

/// The port of every server's cluster listener.
const PORT: u16 = 9192;

/// How the directory of a server stands to the cluster.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Membership {
    /// The cluster begins with the server.
    Founder,
    /// The server asks for its id when it begins next.
    Stranger,
    /// The server has its id.
    Member,
}

impl Membership {
    pub fn origin(self) -> Origin {
        match self {
            Membership::Founder => Origin::Founded,
            Membership::Stranger | Membership::Member => Origin::Joined,
        }
    }
}

/// The host of a server.
pub fn host(at: At) -> String {
    format!("s{at}")
}

/// The server of a host.
pub fn at_of(host: &str) -> At {
    host.strip_prefix('s').and_then(|number| number.parse().ok()).expect("a host of this cluster")
}

/// What one life of a server says of itself.
pub fn cluster(
    (at, servers): (At, usize),
    cluster: &str,
    directory: [u8; 16],
    incarnation: [u8; 16],
    voter: VoterId,
) -> Arc<ClusterConfig> {
    let server = |at: At| ServerId(i32::try_from(at).unwrap() + 1);
    let seed = |at| Seed { server: server(at), host: host(at), port: PORT };
    Arc::new(ClusterConfig {
        cluster: cluster.to_owned(),
        server: server(at),
        directory: DirectoryId(directory),
        incarnation: IncarnationId(incarnation),
        voter,
        rack: None,
        client: (format!("c{at}"), 9092),
        address: (host(at), PORT),
        seeds: (0..servers).filter(|other| *other != at).map(seed).collect(),
        timers: ClusterTimers::default(),
    })
}
