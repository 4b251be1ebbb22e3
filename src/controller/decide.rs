//! The controller's state machine.
//!
//! The controller keeps two folds of one log: `durable`, what the log's durable part says and everybody serves, and
//! `decided`, which runs ahead of it by the records handed out for appending. Decisions are made against `decided`, so that
//! requests can follow each other without waiting for the disk. As long as this controller leads, nothing decided is ever taken
//! back: a failed append ends the process. A controller that is deposed forgets what was not durable (`lead`).
//!
//! Owns the two folds, the records on their way from one to the other, and the producer ids. Does not know what makes a
//! request a sound one (`topics`, `configs`), who keeps new partitions (`place`), how records fold (`state`), nor where they are
//! kept.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::base::rng::Rng;
use crate::base::{BrokerEpoch, Rule, ServerId, holds};

use super::batch::Batch;
use super::change::Change;
use super::configs;
use super::due::Due;
use super::image::{MetadataImage, UNCLEAN};
use super::own::ControllerConfig;
use super::own_block::ProducerIds;
use super::record::{MetadataRecord, MetadataRecordError};
use super::request::{ControllerError, ControllerReply, ControllerRequest, ResourceConfigs};
use super::servers::{Patience, Servers};
use super::snapshot::{SnapshotReader, SnapshotWriter};
use super::standing::Standing;
use super::state::Fold;

/// What is to happen for one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// To be appended to the metadata log as one batch, in this order; empty when the request changes nothing.
    pub records: Vec<Vec<u8>>,
    /// To be released once the records are durable and every shard serves the state they make.
    pub reply: ControllerReply,
}

#[derive(Clone, Debug)]
pub struct Controller {
    pub(super) config: ControllerConfig,
    pub(super) durable: Fold,
    pub(super) decided: Fold,
    /// Records by which `decided` is ahead of `durable`.
    pub(super) pending: VecDeque<MetadataRecord>,
    pub(super) producers: ProducerIds,
    pub(super) standing: Standing,
    pub(super) servers: Servers,
    pub(super) due: Due,
    /// Partitions that earlier controllers have left unsettled are still to be looked for.
    pub(super) has_to_look: bool,
    /// The newest ask of each server's life for an in-sync set.
    pub(super) isr_asks: BTreeMap<ServerId, (BrokerEpoch, u64)>,
}

impl Controller {
    /// A controller of an empty log; [`Controller::replay`] brings it up to date. Until [`Controller::depose`] or
    /// [`Controller::elected`] says otherwise, its server is the whole cluster, and it decides.
    #[must_use]
    pub fn new(config: ControllerConfig) -> Controller {
        let fold = Fold::new(&config);
        let limits = &config.settings.cluster;
        let patience = Patience { session_ms: limits.session_ms, closed_ms: limits.closed_ms };
        Controller {
            servers: Servers::new(config.server, patience),
            config,
            durable: fold.clone(),
            decided: fold,
            pending: VecDeque::new(),
            producers: ProducerIds::default(),
            standing: Standing::Alone,
            due: Due::default(),
            isr_asks: BTreeMap::new(),
            has_to_look: false,
        }
    }

    /// Folds the durable record at `offset`: each of the log at start-up, then each decided one as it is durable, and what other
    /// controllers have decided. Says what the record has changed.
    ///
    /// # Errors
    /// When the record cannot be read or does not fit the state: the log is not one of this controller's.
    pub fn replay(&mut self, record_value: &[u8], offset: i64) -> Result<Change, MetadataRecordError> {
        let record = MetadataRecord::decode(record_value)?;
        let change = self.durable.apply(&record, offset)?;
        match self.pending.pop_front() {
            Some(decided) if record == decided => {}
            Some(decided) => {
                assert!(!holds(Rule::Q5), "records become durable in the order of their decisions");
                self.pending.push_front(decided);
            }
            None if self.standing.decides() => {
                self.decided.apply(&record, offset)?;
                self.producers.forget(self.decided.state.producer_ids_end);
            }
            None => {}
        }
        if let MetadataRecord::Leader { epoch, server } = record {
            self.leads_from(epoch, server);
        }
        Ok(change)
    }

    /// The durable state; its version is the end offset of what was replayed.
    #[must_use]
    pub fn image(&self) -> Arc<MetadataImage> {
        Arc::new(self.durable.image())
    }

    /// The end offset of what was replayed.
    #[must_use]
    pub fn version(&self) -> i64 {
        self.durable.state.cluster.version
    }

    /// Writes the durable state out: read instead of the log's records below the image's version, it makes the same state.
    #[must_use]
    pub fn snapshot(&self) -> SnapshotWriter {
        SnapshotWriter::new(self.durable.state.to_be_written())
    }

    /// Takes a snapshot for the log up to `version`, and follows from there.
    ///
    /// # Errors
    /// When the snapshot is not whole; the controller is then as it was.
    pub fn install(&mut self, snapshot: SnapshotReader, version: i64) -> Result<(), MetadataRecordError> {
        let fold = snapshot.finish(version)?;
        assert!(self.pending.is_empty(), "whoever decides needs no snapshot of another server");
        (self.durable, self.decided) = (fold.clone(), fold);
        self.producers.forget(self.decided.state.producer_ids_end);
        Ok(())
    }

    /// A reader of snapshots for this controller's server.
    #[must_use]
    pub fn snapshot_reader(&self) -> SnapshotReader {
        SnapshotReader::new(&self.config)
    }

    /// Decides a request against everything decided so far. `rng` gives topic ids. A controller that does not decide refuses.
    pub fn decide(&mut self, request: &ControllerRequest, rng: &mut Rng) -> Decision {
        if !self.standing.decides() {
            return Decision { records: Vec::new(), reply: request.refused(&ControllerError::NotController) };
        }
        let mut batch = Batch::default();
        let reply = self.reply(request, rng, &mut batch);
        Decision { records: batch.records, reply }
    }

    fn reply(&mut self, request: &ControllerRequest, rng: &mut Rng, batch: &mut Batch) -> ControllerReply {
        match request {
            ControllerRequest::CreateTopics { topics, validate_only: true } => {
                ControllerReply::CreateTopics(self.judge_topics(topics))
            }
            ControllerRequest::CreateTopics { topics, validate_only: false } => {
                ControllerReply::CreateTopics(self.create_topics(topics, rng, batch))
            }
            ControllerRequest::DeleteTopics { topics } => {
                ControllerReply::DeleteTopics(self.delete_topics(topics, batch))
            }
            ControllerRequest::CreatePartitions { topics, validate_only } => {
                ControllerReply::CreatePartitions(self.create_partitions(topics, *validate_only, batch))
            }
            ControllerRequest::AlterConfigs { resources, validate_only } => {
                ControllerReply::AlterConfigs(self.alter_configs(resources, *validate_only, batch))
            }
            ControllerRequest::InitProducerId { current } => {
                ControllerReply::InitProducerId(self.init_producer_id(*current, batch))
            }
            ControllerRequest::ProducerIds { server, broker_epoch } => {
                ControllerReply::ProducerIds(self.give_producer_ids(*server, *broker_epoch, batch))
            }
            ControllerRequest::ElectLeaders { election, partitions } => {
                ControllerReply::ElectLeaders(Ok(self.elect_leaders(*election, partitions.as_deref(), batch)))
            }
            ControllerRequest::Reassign { partitions, factor } => {
                ControllerReply::Reassign(self.reassign(partitions, *factor, batch))
            }
            ControllerRequest::RemoveServer { server } => {
                ControllerReply::RemoveServer(self.remove_server(*server, batch))
            }
        }
    }

    fn alter_configs(
        &mut self,
        resources: &[ResourceConfigs],
        validate_only: bool,
        batch: &mut Batch,
    ) -> Vec<Result<(), ControllerError>> {
        resources
            .iter()
            .map(|wanted| {
                let records = configs::judge(&self.decided.image(), &self.config.settings, wanted)?;
                if validate_only { Ok(()) } else { self.commit(&records, batch) }
            })
            .collect()
    }

    /// Decides records that belong together, or none of them when the batch has no room.
    pub(super) fn commit(
        &mut self,
        records: &[MetadataRecord],
        batch: &mut Batch,
    ) -> Result<(), ControllerError> {
        batch.add(records)?;
        for record in records {
            self.count_on(record);
        }
        Ok(())
    }

    /// What is decided from now on is decided against this record, too.
    pub(super) fn count_on(&mut self, record: &MetadataRecord) {
        // Nobody else writes to the log: the record will be where the log of what is decided ends.
        let offset = self.decided.state.cluster.version;
        self.decided.apply(record, offset).expect("what was validated folds");
        self.pending.push_back(record.clone());
        // Partitions that nobody may lead so far are looked at once more.
        self.has_to_look |= match record {
            MetadataRecord::Config { name, .. } | MetadataRecord::ResourceConfig { name, .. } => {
                name == UNCLEAN
            }
            _ => false,
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};

    use crate::base::{ProducerEpoch, ProducerId, TopicId};

    use super::super::batch::DECISION_BYTES_MAX;
    use super::super::producers::PRODUCER_ID_BLOCK;
    use super::super::request::{NewPartitions, TopicName};
    use super::super::testing::{
        assigned, config, controller, create, creations, deletions, growths, sync, topic,
    };
    use super::*;

    #[test]
    fn a_created_topic_is_seen_once_durable() {
        let (mut controller, mut rng) = controller();
        let decision = controller
            .decide(&create(vec![topic("a", -1), assigned("b", &[(1, &[1001]), (0, &[1000])])]), &mut rng);
        assert!(controller.image().topics.is_empty());
        sync(&mut controller, &decision);
        let (image, created) = (controller.image(), creations(decision.reply));
        assert_eq!(image.version, 4);
        for (name, partitions, ordinal, created) in [("a", 3, 0, &created[0]), ("b", 2, 1, &created[1])] {
            let created = created.as_ref().expect("sound");
            let topic = image.topic(name).expect("created");
            assert_eq!((topic.partitions.len(), topic.ordinal, topic.id), (partitions, ordinal, created.id));
            assert_eq!(image.topic_by_id(topic.id).map(|topic| &*topic.name), Some(name));
            assert_eq!(
                (created.partitions, created.replication_factor),
                (i32::try_from(partitions).expect("small"), 1)
            );
        }
    }

    #[test]
    fn decisions_see_what_is_not_durable_yet() {
        let (mut controller, mut rng) = controller();
        let first = controller.decide(&create(vec![topic("a", 2)]), &mut rng);
        let second = controller.decide(&create(vec![topic("a", 2)]), &mut rng);
        assert_eq!(creations(second.reply), [Err(ControllerError::TopicExists("a".into()))]);
        let grown = ControllerRequest::CreatePartitions {
            topics: vec![NewPartitions { name: "a".into(), count: 5, assignments: None }],
            validate_only: false,
        };
        let grown = controller.decide(&grown, &mut rng);
        assert_eq!(growths(grown.reply.clone()), [Ok(())]);
        let deleted = controller
            .decide(&ControllerRequest::DeleteTopics { topics: vec![TopicName::Name("a".into())] }, &mut rng);
        let again = controller.decide(&create(vec![topic("a", 1)]), &mut rng);
        for decision in [&first, &grown, &deleted, &again] {
            sync(&mut controller, decision);
        }
        let (old, new) = (creations(first.reply).remove(0), creations(again.reply).remove(0));
        let (old, new) = (old.expect("created"), new.expect("created again"));
        assert_ne!(old.id, new.id);
        let image = controller.image();
        assert_eq!(
            image.topic("a").map(|topic| (topic.id, topic.partitions.len(), topic.ordinal)),
            Some((new.id, 1, 1))
        );
        assert!(image.topic_by_id(old.id).is_none());
    }

    #[test]
    fn deletion_can_be_switched_off() {
        let mut off = config();
        off.topics.delete_enabled = false;
        let mut controller = Controller::new(off);
        let request = ControllerRequest::DeleteTopics { topics: vec![TopicName::Name("a".into())] };
        let decision = controller.decide(&request, &mut Rng::seeded(1));
        assert_eq!(deletions(decision.reply), [Err(ControllerError::DeletionDisabled)]);
    }

    #[test]
    fn a_request_too_large_for_one_batch_is_cut_off_topic_by_topic() {
        let mut roomy = config();
        roomy.topics.partitions_max = 100_000;
        let (mut controller, mut rng) = (Controller::new(roomy), Rng::seeded(1));
        let topics = (0..9000).map(|index| topic(&format!("topic-{index}"), 1)).collect();
        let decision = controller.decide(&create(topics), &mut rng);
        assert!(decision.records.iter().map(Vec::len).sum::<usize>() <= DECISION_BYTES_MAX);
        let accepted = creations(decision.reply.clone()).iter().filter(|result| result.is_ok()).count();
        assert!((2000..9000).contains(&accepted) && decision.records.len() == accepted * 2);
        sync(&mut controller, &decision);
        assert_eq!(controller.image().topics.len(), accepted);
    }

    fn init(controller: &mut Controller, current: Option<(i64, i16)>) -> (Decision, Option<(i64, i16)>) {
        let current = current.map(|(id, epoch)| (ProducerId(id), ProducerEpoch(epoch)));
        let decision = controller.decide(&ControllerRequest::InitProducerId { current }, &mut Rng::seeded(1));
        let given = match decision.reply {
            ControllerReply::InitProducerId(Ok((id, epoch))) => Some((id.0, epoch.0)),
            _ => None,
        };
        (decision, given)
    }

    #[test]
    fn producer_ids_come_in_blocks_and_never_twice() {
        let (mut controller, _) = controller();
        let (first, given) = init(&mut controller, None);
        assert_eq!((first.records.len(), given), (1, Some((0, 0))));
        // Not durable yet: the second reply has to wait too.
        let (second, given) = init(&mut controller, None);
        assert_eq!((second.records.len(), given), (1, Some((1, 0))));
        sync(&mut controller, &first);
        sync(&mut controller, &second);
        for id in 2..PRODUCER_ID_BLOCK {
            let (decision, given) = init(&mut controller, None);
            assert_eq!((decision.records.len(), given), (0, Some((id, 0))));
        }
        let (third, given) = init(&mut controller, None);
        assert_eq!((third.records.len(), given), (1, Some((PRODUCER_ID_BLOCK, 0))));
        // The process dies before the third is durable, then starts again.
        let mut restarted = Controller::new(config());
        for (offset, record) in first.records.iter().chain(&second.records).enumerate() {
            restarted.replay(record, i64::try_from(offset).expect("small")).expect("our own record");
        }
        assert_eq!(init(&mut restarted, None).1, Some((PRODUCER_ID_BLOCK, 0)));
    }

    #[test]
    fn epochs_advance_until_they_are_used_up() {
        let (mut controller, _) = controller();
        let (decision, _) = init(&mut controller, None);
        sync(&mut controller, &decision);
        for (current, want) in [
            ((0, 0), Some((0, 1))),
            ((0, i16::MAX - 2), Some((0, i16::MAX - 1))),
            ((0, i16::MAX - 1), Some((1, 0))),
            ((0, i16::MAX), Some((2, 0))),
            ((77, 3), Some((3, 0))),
            ((0, -1), None),
            ((-5, 1), None),
        ] {
            assert_eq!(init(&mut controller, Some(current)).1, want, "{current:?}");
        }
    }

    #[test]
    fn foreign_records_are_errors() {
        let (mut controller, _) = controller();
        assert!(matches!(controller.replay(b"", 0), Err(MetadataRecordError::Malformed(_))));
        let orphan = MetadataRecord::RemoveTopic { topic: TopicId([1; 16]) }.encode();
        assert!(matches!(controller.replay(&orphan, 0), Err(MetadataRecordError::UnknownTopic(_))));
        assert_eq!(controller.image().version, 0);
    }

    fn any_request() -> impl Strategy<Value = ControllerRequest> {
        let name =
            || prop::sample::select(vec!["a", "b", "a.b", "a_b", "c", "bad name"]).prop_map(str::to_owned);
        let creation =
            (prop::collection::vec((name(), -1i32..8), 0..3), any::<bool>()).prop_map(|(topics, only)| {
                let topics = topics.iter().map(|(name, partitions)| topic(name, *partitions)).collect();
                ControllerRequest::CreateTopics { topics, validate_only: only }
            });
        let deletion = prop::collection::vec(name(), 0..3).prop_map(|names| {
            ControllerRequest::DeleteTopics { topics: names.into_iter().map(TopicName::Name).collect() }
        });
        let growth =
            (prop::collection::vec((name(), 0i32..12), 0..3), any::<bool>()).prop_map(|(topics, only)| {
                let growth = |(name, count)| NewPartitions { name, count, assignments: None };
                let topics = topics.into_iter().map(growth).collect();
                ControllerRequest::CreatePartitions { topics, validate_only: only }
            });
        let producer =
            prop::option::of((0i64..2000, 0i16..3)).prop_map(|current| ControllerRequest::InitProducerId {
                current: current.map(|(id, epoch)| (ProducerId(id), ProducerEpoch(epoch))),
            });
        prop_oneof![3 => creation, 2 => deletion, 2 => growth, 1 => producer]
    }

    proptest! {
        /// Whatever is asked, and however late it becomes durable, folding the log gives the live state.
        #[test]
        fn the_log_is_the_state(requests in prop::collection::vec((any_request(), any::<bool>()), 1..40), seed: u64) {
            let (mut live, mut rng) = (Controller::new(config()), Rng::seeded(seed));
            let (mut log, mut waiting) = (Vec::new(), VecDeque::new());
            let last = requests.len() - 1;
            for (index, (request, sync_now)) in requests.iter().enumerate() {
                waiting.extend(live.decide(request, &mut rng).records);
                while (*sync_now || index == last) && !waiting.is_empty() {
                    let record = waiting.pop_front().expect("not empty");
                    live.replay(&record, i64::try_from(log.len()).expect("small")).expect("our own record");
                    log.push(record);
                }
            }
            let mut folded = Controller::new(config());
            for (offset, record) in log.iter().enumerate() {
                folded.replay(record, i64::try_from(offset).expect("small")).expect("our own record");
            }
            prop_assert_eq!(format!("{:?}", &live.durable), format!("{:?}", &folded.durable));
            prop_assert_eq!(format!("{:?}", &live.decided), format!("{:?}", &live.durable));
            prop_assert!(live.producers.next <= folded.producers.next);
        }
    }
}
