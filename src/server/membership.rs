//! Who this server is among the servers of its cluster, which may be itself alone.

use std::io;

use crate::base::{DirectoryId, IncarnationId, VoterId};
use crate::config::Config;
use crate::shard::{ClusterConfig, ClusterTimers};

use super::ServerError;
use super::identity::{self, DataDir};

/// As settings and directory say; this life of the process gets a number of its own.
pub(super) fn of(
    config: &Config,
    data: &DataDir,
    voter: Option<VoterId>,
) -> Result<ClusterConfig, ServerError> {
    let incarnation = IncarnationId(identity::random_uuid().map_err(unnumbered)?);
    let host = config.advertised_host.clone().unwrap_or_else(|| config.listen.ip().to_string());
    let port = config.advertised_port.unwrap_or(config.listen.port());
    Ok(ClusterConfig {
        cluster: data.identity.cluster_id.clone(),
        server: config.server_id,
        directory: DirectoryId(data.identity.directory),
        incarnation,
        voter: voter.unwrap_or(data.voter),
        rack: config.rack.clone(),
        client: (host.clone(), port),
        address: (host, port),
        seeds: Vec::new(),
        timers: ClusterTimers {
            lag_ms: config.cluster.replica_lag_ms,
            heartbeat_ms: config.cluster.heartbeat_ms,
            ..ClusterTimers::default()
        },
    })
}

fn unnumbered(source: io::Error) -> ServerError {
    ServerError::Entropy(source)
}
