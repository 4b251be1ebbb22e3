//! The controller's seat on shard 0: decisions become records of the metadata log, records that are durable become
//! cluster state, and an answer is given when every shard serves that state.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::base::rng::Rng;
use crate::base::{Offset, TopicPartition};
use crate::controller::{Controller, ControllerError, ControllerReply, ControllerRequest, Published};
use crate::record::BatchBuilder;

use super::super::effect::Effect;
use super::super::request::{PartitionError, RequestId, ShardReply};
use super::super::store::Store;
use super::super::turn::Turn;
use super::held::{Phase, Seat};

#[derive(Debug)]
pub(super) struct ControllerSeat {
    controller: Controller,
    rng: Rng,
    /// Shards of this server, all of which must serve a state before what led to it is answered.
    shards: u16,
    seat: Seat<Change>,
    /// States that are durable and published, and not yet served by every shard.
    published: VecDeque<Publication>,
}

#[derive(Debug)]
struct Change {
    id: RequestId,
    reply: ControllerReply,
    records: Vec<Vec<u8>>,
    /// The offset of the first record.
    base: Offset,
}

#[derive(Debug)]
struct Publication {
    version: i64,
    /// Shards that have not applied it yet.
    missing: u16,
    replies: Vec<(RequestId, ControllerReply)>,
}

impl ControllerSeat {
    /// Recovery has folded the whole log: the controller decides at once.
    pub(super) fn new(controller: Controller, shards: u16, seed: u64, store: &mut Store) -> ControllerSeat {
        let slot = store.partitions.find_or_add(TopicPartition::METADATA);
        store.lead_alone(slot);
        ControllerSeat {
            controller,
            rng: Rng::seeded(seed),
            shards,
            seat: Seat::new(slot, Phase::Active),
            published: VecDeque::new(),
        }
    }

    pub(super) fn slot(&self) -> u32 {
        self.seat.slot()
    }

    pub(super) fn ask(
        &mut self,
        id: RequestId,
        request: &ControllerRequest,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        // Deleting is how a full disk gets room again; the record of it goes into commit files, which have theirs.
        let deletes = matches!(request, ControllerRequest::DeleteTopics { .. });
        if store.is_failed() || store.is_disk_full() && !deletes {
            return reply(id, refusal(request, &ControllerError::StorageFailed), turn);
        }
        let decision = self.controller.decide(request, &mut self.rng);
        if decision.records.is_empty() {
            return reply(id, decision.reply, turn);
        }
        match self.append(&decision.records, store, turn) {
            Ok(base) => {
                let change = Change { id, reply: decision.reply, records: decision.records, base };
                self.seat.hold([change], store);
            }
            // The controller has counted on these records: nothing after this can be right.
            Err(_) => store.fail("the metadata log refused its own records".to_owned(), turn),
        }
    }

    /// The metadata log has moved: folds what is settled of it, and publishes the state that makes.
    pub(super) fn progressed(&mut self, store: &Store, turn: &mut Turn<'_>) {
        let from_version = self.controller.version();
        let (mut replies, mut changes) = (Vec::new(), Vec::new());
        for change in self.seat.release(store) {
            for (record, offset) in change.records.iter().zip(change.base.0..) {
                let changed = self.controller.replay(record, offset);
                changes.push(changed.expect("the controller reads what it has just written"));
            }
            replies.push((change.id, change.reply));
        }
        if replies.is_empty() {
            return;
        }
        let image = self.controller.image();
        let version = image.version;
        let is_next = self.published.back().is_none_or(|last| last.version < version);
        assert!(is_next, "each state that is published is newer than the one before");
        self.published.push_back(Publication { version, missing: self.shards, replies });
        turn.effect(Effect::Publish(Arc::new(Published { image, from_version, changes })));
    }

    /// A shard serves the cluster state of this version.
    pub(super) fn applied(&mut self, version: i64, turn: &mut Turn<'_>) {
        let Some(publication) = self.published.iter_mut().find(|it| it.version == version) else { return };
        assert!(publication.missing > 0, "a shard reports a state once");
        publication.missing -= 1;
        while self.published.front().is_some_and(|front| front.missing == 0)
            && let Some(done) = self.published.pop_front()
        {
            for (id, answer) in done.replies {
                reply(id, answer, turn);
            }
        }
    }

    fn append(
        &self,
        records: &[Vec<u8>],
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) -> Result<Offset, PartitionError> {
        let mut batch = BatchBuilder::new(turn.now.wall);
        for record in records {
            batch.append(None, Some(record));
        }
        let bytes = Bytes::from(batch.finish().map_err(PartitionError::Batch)?);
        Ok(self.seat.append(&bytes, store, turn)?.base_offset)
    }
}

fn reply(id: RequestId, reply: ControllerReply, turn: &mut Turn<'_>) {
    turn.reply(id, ShardReply::Controller(reply));
}

/// The answer of a shard on which no controller sits.
pub(super) fn not_controller(request: &ControllerRequest) -> ControllerReply {
    let error = ControllerError::InvalidRequest("this shard is not the controller".to_owned());
    refusal(request, &error)
}

/// One error, for everything that was asked.
fn refusal(request: &ControllerRequest, error: &ControllerError) -> ControllerReply {
    match request {
        ControllerRequest::CreateTopics { topics, .. } => {
            ControllerReply::CreateTopics(topics.iter().map(|_| Err(error.clone())).collect())
        }
        ControllerRequest::DeleteTopics { topics } => {
            ControllerReply::DeleteTopics(topics.iter().map(|_| Err(error.clone())).collect())
        }
        ControllerRequest::CreatePartitions { topics, .. } => {
            ControllerReply::CreatePartitions(topics.iter().map(|_| Err(error.clone())).collect())
        }
        ControllerRequest::AlterConfigs { resources, .. } => {
            ControllerReply::AlterConfigs(resources.iter().map(|_| Err(error.clone())).collect())
        }
        ControllerRequest::InitProducerId { .. } => ControllerReply::InitProducerId(Err(error.clone())),
    }
}
