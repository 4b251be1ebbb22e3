//! Why a server did not start or did not end well.

use std::io;
use std::net::SocketAddr;

use crate::admin::AdminError;
use crate::base::ShardId;
use crate::runtime::recovery::RecoveryError;

#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error(
        "cannot listen on {address}: {source} (is another server running? choose another address with --listen)"
    )]
    Listen { address: SocketAddr, source: io::Error },
    #[error("cannot recover the data directory: {0}")]
    Recovery(#[from] RecoveryError),
    #[error(transparent)]
    Admin(#[from] AdminError),
    #[error("cannot start shard {shard}: {reason}")]
    Shard { shard: ShardId, reason: String },
    #[error("cannot draw a random number: {0}")]
    Entropy(#[source] io::Error),
    #[error("cannot receive signals: {0}")]
    Signals(#[source] io::Error),
    #[error("cannot look after the shards' threads: {0}")]
    Nudger(#[source] io::Error),
}
