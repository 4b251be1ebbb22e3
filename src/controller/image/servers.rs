//! Questions about servers, and about who leads what.

use std::sync::Arc;

use crate::base::{BrokerEpoch, Home, LeaderEpoch, PartitionIndex, ServerId, TopicId};

use super::cluster::{ClusterImage, ServerImage};

/// Who leads a partition, since which epoch, and the number that gives the partition its shard there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Led {
    pub server: ServerId,
    pub epoch: LeaderEpoch,
    pub home: Home,
}

/// Why nobody leads a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoLeader {
    #[error("there is no such partition")]
    UnknownPartition,
    #[error("no replica may lead the partition now")]
    Nobody,
}

impl ClusterImage {
    /// Who leads a partition.
    ///
    /// # Errors
    /// When nobody does.
    pub fn leader_of(&self, topic: TopicId, index: PartitionIndex) -> Result<Led, NoLeader> {
        let partition = self.topic_by_id(topic).and_then(|topic| topic.partition(index));
        let partition = partition.ok_or(NoLeader::UnknownPartition)?;
        let server = partition.leader().ok_or(NoLeader::Nobody)?;
        Ok(Led { server, epoch: partition.leader_epoch(), home: partition.home() })
    }

    #[must_use]
    pub fn server(&self, server: ServerId) -> Option<&Arc<ServerImage>> {
        self.servers.get(&server)
    }

    /// The life of a server that is registered.
    #[must_use]
    pub fn broker_epoch(&self, server: ServerId) -> Option<BrokerEpoch> {
        Some(self.servers.get(&server)?.broker_epoch)
    }

    /// Whether a server leads nothing and is in no ISR. A server that never registered is, unless no server ever did: then the
    /// cluster is the one server that asks.
    #[must_use]
    pub fn is_fenced(&self, server: ServerId) -> bool {
        self.servers.get(&server).map_or(!self.servers.is_empty(), |it| it.fenced)
    }

    /// Whether a server may join an ISR in this life of it.
    #[must_use]
    pub fn may_join(&self, server: ServerId, broker_epoch: BrokerEpoch) -> bool {
        let is_it = |it: &&Arc<ServerImage>| it.broker_epoch == broker_epoch;
        self.servers.get(&server).filter(is_it).is_some_and(|it| !it.fenced && !it.stopping)
    }

    /// Where other servers find a server: host and port.
    #[must_use]
    pub fn cluster_address(&self, server: ServerId) -> Option<(&str, u16)> {
        self.servers.get(&server).map(|it| (it.cluster.0.as_str(), it.cluster.1))
    }

    /// Where clients find a server: host and port.
    #[must_use]
    pub fn client_address(&self, server: ServerId) -> Option<(&str, u16)> {
        self.servers.get(&server).map(|it| (it.client.0.as_str(), it.client.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_known_by_their_registered_life() {
        let mut image = ClusterImage::default();
        let one = ServerId(1);
        assert!(!image.is_fenced(one), "the whole cluster");
        let server = ServerImage { broker_epoch: BrokerEpoch(7), ..ServerImage::example("one") };
        image.servers.insert(one, Arc::new(server.clone()));
        assert_eq!((image.broker_epoch(one), image.broker_epoch(ServerId(2))), (Some(BrokerEpoch(7)), None));
        assert!(image.is_fenced(ServerId(2)) && !image.is_fenced(one));
        assert!(image.may_join(one, BrokerEpoch(7)) && !image.may_join(one, BrokerEpoch(6)));
        assert_eq!(image.cluster_address(one), Some(("one", 9192)));
        assert_eq!(image.client_address(one), Some(("one", 9092)));
        image.servers.insert(one, Arc::new(ServerImage { stopping: true, ..server }));
        assert!(!image.may_join(one, BrokerEpoch(7)));
        let unknown = image.leader_of(TopicId([1; 16]), PartitionIndex(0));
        assert_eq!(unknown, Err(NoLeader::UnknownPartition));
    }
}
