//! Producer ids: blocks of them are reserved by records, and handed out one by one or as blocks to servers.

use crate::base::{BrokerEpoch, ProducerEpoch, ProducerId, ServerId};

use super::batch::Batch;
use super::decide::Controller;
use super::record::{MetadataRecord, ProducerIdsRecord};
use super::request::{ControllerError, ProducerBlock};

/// Producer ids reserved by one record: a restart skips at most this many.
pub(super) const PRODUCER_ID_BLOCK: i64 = 1000;

impl Controller {
    /// Ids a client holds already keep their number and get the next epoch, as long as there is one; an id this cluster
    /// never handed out belongs to another cluster's life and is replaced.
    pub(super) fn init_producer_id(
        &mut self,
        current: Option<(ProducerId, ProducerEpoch)>,
        batch: &mut Batch,
    ) -> Result<(ProducerId, ProducerEpoch), ControllerError> {
        if let Some((id, epoch)) = current {
            if id.0 < 0 || epoch.0 < 0 {
                return Err(ControllerError::InvalidProducerEpoch { received: epoch });
            }
            if self.was_given(id) && epoch.0 < i16::MAX - 1 {
                return Ok((id, ProducerEpoch(epoch.0 + 1)));
            }
        }
        if self.producers.next == self.producers.end {
            let first = self.decided.state.producer_ids_end;
            self.producers.next = first;
            self.producers.end = ProducerId(first.0 + PRODUCER_ID_BLOCK);
        }
        let id = self.producers.next;
        if id >= self.durable.state.producer_ids_end {
            // Also when an earlier request's block covers the id but is not durable yet: restating the block makes this
            // reply wait for it, for records become durable in order.
            let block = ProducerIdsRecord { end: self.producers.end, server: None };
            self.commit(&[MetadataRecord::ProducerIds(block)], batch)?;
        }
        self.producers.next = ProducerId(id.0 + 1);
        assert!(
            self.producers.next <= self.decided.state.producer_ids_end,
            "ids come out of reserved blocks"
        );
        Ok((id, ProducerEpoch(0)))
    }

    /// A block for a server, which loses the rest of it when it stops.
    pub(super) fn give_producer_ids(
        &mut self,
        server: ServerId,
        broker_epoch: BrokerEpoch,
        batch: &mut Batch,
    ) -> Result<ProducerBlock, ControllerError> {
        let registered =
            self.decided.state.cluster.servers.get(&server).ok_or(ControllerError::UnknownServer)?;
        if registered.broker_epoch != broker_epoch {
            return Err(ControllerError::StaleBrokerEpoch);
        }
        let first = self.decided.state.producer_ids_end;
        let end = ProducerId(first.0 + PRODUCER_ID_BLOCK);
        let block = ProducerIdsRecord { end, server: Some((server, broker_epoch)) };
        self.commit(&[MetadataRecord::ProducerIds(block)], batch)?;
        Ok(ProducerBlock { first, end })
    }

    /// Whether an id may be some client's: of the own block, what was not handed out yet is nobody's.
    fn was_given(&self, id: ProducerId) -> bool {
        let is_left = id >= self.producers.next && id < self.producers.end;
        id < self.decided.state.producer_ids_end && !is_left
    }
}
