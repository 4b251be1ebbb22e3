//! Who this server is to the others, and what the image says of them.

use crate::base::{BrokerEpoch, IncarnationId, ServerId, ShardId, Voter};
use crate::controller::{MetadataImage, ServerImage};
use crate::peer::{Hello, LaneKind, PROTOCOL_MAX, PROTOCOL_MIN, Refusal, Welcome};

use super::super::config::ClusterConfig;
use super::target::Target;

/// Payload bytes that may be on a lane and not flushed.
pub(super) const WINDOW_BYTES: u32 = 4 * 1024 * 1024;

/// Why a Hello is refused.
pub(super) type HelloRefused = (Refusal, String);

/// What lanes need to know when one of them begins.
pub(super) struct Me<'a> {
    pub(super) config: &'a ClusterConfig,
    pub(super) image: &'a MetadataImage,
    pub(super) shard: ShardId,
    pub(super) shards: u16,
    /// The quorum as this shard knows it.
    pub(super) quorum: QuorumSeen,
}

/// The newest epoch of the quorum, and its leader.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct QuorumSeen {
    pub epoch: i32,
    pub leader: Option<Voter>,
}

impl Me<'_> {
    fn registered(&self, server: ServerId) -> Option<&ServerImage> {
        self.image.servers.get(&server).map(|server| &**server)
    }

    /// This incarnation's epoch, once the image has its registration.
    pub(super) fn broker_epoch(&self) -> BrokerEpoch {
        let mine = self.registered(self.config.server);
        let mine = mine.filter(|server| server.incarnation == self.config.incarnation);
        mine.map_or(BrokerEpoch(-1), |server| server.broker_epoch)
    }

    /// Where a server is found: as it registered, as the voters' record has it, or as the settings say.
    pub(super) fn address_of(&self, server: ServerId) -> Option<(String, u16)> {
        let registered = self.registered(server).map(|it| it.cluster.clone());
        let voter = self.image.quorum.voters.iter().find(|it| it.server == server);
        let voter = voter.filter(|it| !it.host.is_empty()).map(|it| (it.host.clone(), it.port));
        let seed = self.config.seeds.iter().find(|it| it.server == server);
        registered.or(voter).or(seed.map(|it| (it.host.clone(), it.port)))
    }

    /// Whether an incarnation may be the one that is registered: a newer one than the image knows may.
    pub(super) fn is_current(&self, server: ServerId, incarnation: IncarnationId) -> bool {
        _ = (server, incarnation);
        true
    }

    pub(super) fn hello(&self, target: Target) -> Hello {
        let config = self.config;
        Hello {
            protocol_min: PROTOCOL_MIN,
            protocol_max: PROTOCOL_MAX,
            cluster: config.cluster.clone(),
            server: config.server,
            directory: config.directory,
            incarnation: config.incarnation,
            voter: config.voter,
            broker_epoch: self.broker_epoch(),
            shard: self.shard,
            shards: self.shards,
            to_server: target.server,
            to_shard: target.shard,
            kind: target.kind,
            window: WINDOW_BYTES,
            quorum_epoch: self.quorum.epoch,
            quorum_leader: self.quorum.leader,
            proof: bytes::Bytes::new(),
        }
    }

    pub(super) fn welcome(&self) -> Welcome {
        let config = self.config;
        Welcome {
            protocol: PROTOCOL_MAX,
            server: config.server,
            directory: config.directory,
            incarnation: config.incarnation,
            voter: config.voter,
            broker_epoch: self.broker_epoch(),
            shards: self.shards,
            quorum_epoch: self.quorum.epoch,
            quorum_leader: self.quorum.leader,
        }
    }

    /// Whether whoever says this Hello may have a lane here.
    ///
    /// # Errors
    /// The refusal, in words.
    pub(super) fn judge(&self, hello: &Hello) -> Result<(), HelloRefused> {
        let config = self.config;
        if hello.cluster != config.cluster {
            let why = format!("this is cluster {}, not {}", config.cluster, hello.cluster);
            return Err((Refusal::OtherCluster, why));
        }
        if hello.to_server != config.server {
            let why = format!("this is server {}, not {}", config.server, hello.to_server);
            return Err((Refusal::OtherServer, why));
        }
        if hello.protocol_min > PROTOCOL_MAX || hello.protocol_max < PROTOCOL_MIN {
            let why = format!("protocols {PROTOCOL_MIN} to {PROTOCOL_MAX} are spoken here");
            return Err((Refusal::Protocol, why));
        }
        let known = self.registered(hello.server);
        let is_old = known.is_some_and(|known| {
            known.incarnation != hello.incarnation
                && hello.broker_epoch.0 >= 0
                && hello.broker_epoch < known.broker_epoch
        });
        if is_old {
            let why = format!("a newer incarnation of server {} is registered", hello.server);
            return Err((Refusal::NewerIncarnation, why));
        }
        if hello.to_shard != self.shard || hello.kind == LaneKind::Control && self.shard != ShardId(0) {
            let why = format!("this is shard {}, not {}", self.shard, hello.to_shard);
            return Err((Refusal::OtherServer, why));
        }
        Ok(())
    }
}
