//! How records change servers and the quorum.

use std::sync::Arc;

use crate::base::{BrokerEpoch, DirectoryId, ServerId};

use super::State;
use crate::controller::change::Change;
use crate::controller::image::{QuorumImage, ServerImage};
use crate::controller::record::{MetadataRecordError, ServerStateRecord};

impl State {
    pub(super) fn set_leader(&mut self, epoch: i32, server: ServerId) -> Result<Change, MetadataRecordError> {
        if epoch < self.cluster.quorum.epoch {
            return Err(MetadataRecordError::EpochFell { what: "the metadata log".to_owned() });
        }
        Ok(self.set_quorum(|quorum| (quorum.epoch, quorum.leader) = (epoch, Some(server))))
    }

    pub(super) fn set_quorum(&mut self, set: impl FnOnce(&mut QuorumImage)) -> Change {
        set(&mut self.cluster_mut().quorum);
        Change::Servers
    }

    pub(super) fn set_server(
        &mut self,
        id: ServerId,
        server: &ServerImage,
        offset: i64,
    ) -> Result<Change, MetadataRecordError> {
        if server.shards == 0 {
            return Err(MetadataRecordError::NoShards(id));
        }
        if self.removed.contains(&id) {
            return Err(MetadataRecordError::UnknownServer(id));
        }
        let stated = Some(server.broker_epoch).filter(|epoch| *epoch != BrokerEpoch::OWN_OFFSET);
        let broker_epoch = stated.unwrap_or(BrokerEpoch(offset));
        let before = self.cluster.servers.get(&id).map(|server| server.broker_epoch);
        if before.is_some_and(|before| broker_epoch < before) {
            return Err(MetadataRecordError::EpochFell { what: format!("server {id}") });
        }
        self.raise_next_server(id);
        self.given.remove(&id);
        let server = ServerImage { broker_epoch, ..server.clone() };
        self.cluster_mut().servers.insert(id, Arc::new(server));
        Ok(Change::Servers)
    }

    pub(super) fn set_server_state(
        &mut self,
        state: &ServerStateRecord,
    ) -> Result<Change, MetadataRecordError> {
        let id = state.id;
        let is_it = |server: &&Arc<ServerImage>| server.broker_epoch == state.broker_epoch;
        let now =
            self.cluster.servers.get(&id).filter(is_it).ok_or(MetadataRecordError::UnknownServer(id))?;
        let mut next = (**now).clone();
        (next.fenced, next.stopping, next.sequence) = (state.fenced, state.stopping, state.sequence);
        if !next.fenced {
            next.unfenced_epoch = Some(next.broker_epoch);
        }
        self.cluster_mut().servers.insert(id, Arc::new(next));
        Ok(Change::Servers)
    }

    pub(super) fn give_id(
        &mut self,
        id: ServerId,
        directory: DirectoryId,
    ) -> Result<Change, MetadataRecordError> {
        if self.removed.contains(&id) {
            return Err(MetadataRecordError::UnknownServer(id));
        }
        self.raise_next_server(id);
        self.given.insert(id, directory);
        Ok(Change::Counters)
    }

    pub(super) fn remove_server(&mut self, id: ServerId) -> Change {
        self.given.remove(&id);
        self.removed.insert(id);
        self.cluster_mut().servers.remove(&id);
        Change::Servers
    }

    fn raise_next_server(&mut self, id: ServerId) {
        self.counters.next_server = self.counters.next_server.max(ServerId(id.0.saturating_add(1)));
    }
}
