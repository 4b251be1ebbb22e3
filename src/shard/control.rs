//! The controller's seat on shard 0: decisions become records of the metadata log, records that are durable become
//! cluster state, and an answer is given when every shard serves that state.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::base::rng::Rng;
use crate::base::{Now, Offset, ShardId, TopicPartition};
use crate::controller::{Controller, ControllerError, ControllerReply, ControllerRequest};
use crate::record::BatchBuilder;

use super::produce::Incoming;
use super::request::{RequestId, ShardReply};
use super::{Effect, Shard};

#[derive(Debug)]
pub(super) struct ControllerSeat {
    controller: Controller,
    rng: Rng,
    /// Appended, not durable yet.
    appended: VecDeque<Change>,
    /// Durable, published, not yet served by every shard.
    published: VecDeque<Publication>,
}

#[derive(Debug)]
struct Change {
    id: RequestId,
    reply: ControllerReply,
    records: Vec<Vec<u8>>,
    base: Offset,
    end: Offset,
}

#[derive(Debug)]
struct Publication {
    version: i64,
    /// Shards that have not applied it yet.
    missing: u16,
    replies: Vec<(RequestId, ControllerReply)>,
}

impl ControllerSeat {
    pub(super) fn new(controller: Controller, seed: u64) -> ControllerSeat {
        ControllerSeat {
            controller,
            rng: Rng::seeded(seed),
            appended: VecDeque::new(),
            published: VecDeque::new(),
        }
    }
}

impl Shard {
    pub(super) fn control(
        &mut self,
        now: Now,
        id: RequestId,
        request: &ControllerRequest,
        effects: &mut Vec<Effect>,
    ) {
        let Some(seat) = &mut self.controller else {
            return reply(id, refusal(request, &not_controller()), effects);
        };
        // Deleting is how a full disk gets room again; the record of it goes into commit files, which have theirs.
        let deletes = matches!(request, ControllerRequest::DeleteTopics { .. });
        if self.failed.is_some() || self.disk_full && !deletes {
            return reply(id, refusal(request, &ControllerError::StorageFailed), effects);
        }
        let decision = seat.controller.decide(request, &mut seat.rng);
        if decision.records.is_empty() {
            return reply(id, decision.reply, effects);
        }
        match self.append_metadata(now, &decision.records, effects) {
            Some((base, end)) => {
                let change = Change { id, reply: decision.reply, records: decision.records, base, end };
                self.controller.as_mut().expect("checked above").appended.push_back(change);
            }
            // The controller has counted on these records: nothing after this can be right.
            None => self.fail("the metadata log refused its own records".to_owned(), effects),
        }
    }

    /// The metadata log is durable up to `flushed`: fold what that covers and publish.
    pub(super) fn metadata_flushed(&mut self, slot: u32, flushed: Offset, effects: &mut Vec<Effect>) {
        let is_metadata = self.partitions.get(slot).is_some_and(|it| it.log.id == TopicPartition::METADATA);
        let Some(seat) = self.controller.as_mut().filter(|_| is_metadata) else { return };
        let mut replies = Vec::new();
        while let Some(change) = seat.appended.front()
            && change.end <= flushed
        {
            let Some(change) = seat.appended.pop_front() else { break };
            for (record, offset) in change.records.iter().zip(change.base.0..) {
                seat.controller
                    .replay(record, offset)
                    .expect("the controller reads what it has just written");
            }
            replies.push((change.id, change.reply));
        }
        if replies.is_empty() {
            return;
        }
        let image = seat.controller.image();
        seat.published.push_back(Publication {
            version: image.version,
            missing: self.config.shards,
            replies,
        });
        effects.push(Effect::Publish(image));
    }

    /// A shard serves the cluster state of this version. Shard 0 only.
    pub fn image_applied(&mut self, _now: Now, _shard: ShardId, version: i64, effects: &mut Vec<Effect>) {
        let Some(seat) = &mut self.controller else { return };
        let Some(publication) = seat.published.iter_mut().find(|it| it.version == version) else { return };
        publication.missing -= 1;
        while let Some(front) = seat.published.front()
            && front.missing == 0
        {
            let Some(done) = seat.published.pop_front() else { break };
            for (id, answer) in done.replies {
                reply(id, answer, effects);
            }
        }
    }

    fn append_metadata(
        &mut self,
        now: Now,
        records: &[Vec<u8>],
        effects: &mut Vec<Effect>,
    ) -> Option<(Offset, Offset)> {
        let slot = self.partitions.find_or_add(TopicPartition::METADATA);
        let mut batch = BatchBuilder::new(now.wall);
        for record in records {
            batch.append(None, Some(record));
        }
        let bytes = Bytes::from(batch.finish().ok()?);
        let accepted = self.append_to(now, slot, Incoming::own(&bytes), effects).ok()?;
        Some((accepted.base_offset, accepted.end))
    }
}

fn reply(id: RequestId, reply: ControllerReply, effects: &mut Vec<Effect>) {
    effects.push(Effect::Reply { to: id, reply: ShardReply::Controller(reply) });
}

fn not_controller() -> ControllerError {
    ControllerError::InvalidRequest("this shard is not the controller".to_owned())
}

/// The same error for everything asked.
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
