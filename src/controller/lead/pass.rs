//! One decision over many partitions.

use std::collections::BTreeSet;

use crate::base::{PartitionIndex, ServerId, TopicId, TopicPartition};
use crate::controller::batch::Batches;
use crate::controller::decide::Controller;
use crate::controller::drain::Drain;
use crate::controller::image::{PartitionImage, PartitionState, Resource, TopicImage, UNCLEAN};
use crate::controller::record::{MetadataRecord, PartitionChangesRecord};
use crate::controller::replicas::{Case, Cause, Member, Members, Reach, settle};
use crate::controller::servers::Wants;
use crate::controller::standing::Standing;

/// Partitions that one record changes: far fewer tables than a reader takes in one record.
const RECORD_CHANGES_MAX: usize = 1000;

/// A partition and what becomes of it.
pub(super) type Settled = (PartitionIndex, PartitionState);

impl Controller {
    /// Decides a record: what is decided from now on counts on it.
    pub(super) fn enact(&mut self, record: MetadataRecord, out: &mut Batches) {
        out.add(&record);
        self.count_on(&record);
    }

    pub(super) fn enact_all(&mut self, records: Vec<MetadataRecord>, out: &mut Batches) {
        for record in records {
            self.enact(record, out);
        }
    }

    /// All servers as they are decided to be.
    pub(super) fn members(&self) -> Members {
        let mut members = Members::default();
        for (id, server) in &self.decided.state.cluster.servers {
            let said = self.servers.said(*id);
            let relieved = self.drain_of(*id) != Drain::Nothing || said.slow_sync;
            members.set(
                *id,
                Member {
                    fenced: server.fenced,
                    stopping: server.stopping || said.wants == Wants::Stop,
                    relieved,
                    reach: self.reach(*id),
                    anew: None,
                },
            );
        }
        // Before a server has ever registered, it is the whole cluster.
        if members.iter().next().is_none() {
            members.set(self.config.server, Member::LIVE);
        }
        members
    }

    fn reach(&self, server: ServerId) -> Reach {
        match self.standing {
            Standing::Alone => Reach::Open,
            _ => self.servers.reach(server),
        }
    }

    /// What an operator wants to be taken off a server.
    pub(super) fn drain_of(&self, server: ServerId) -> Drain {
        let configs = self.decided.state.cluster.configs(&Resource::Broker(server));
        Drain::of(configs.and_then(|configs| configs.get(Drain::CONFIG)).map(String::as_str))
    }

    /// Servers that are not fenced.
    pub(super) fn unfenced(&self) -> BTreeSet<ServerId> {
        let servers = self.decided.state.cluster.servers.iter();
        servers.filter(|(_, server)| !server.fenced).map(|(id, _)| *id).collect()
    }

    /// What settling has to know of a topic.
    pub(super) fn case(&self, topic: &TopicImage, partition: PartitionIndex) -> Case {
        let cluster = &self.decided.state.cluster;
        let said = topic.overrides.get(UNCLEAN);
        let said = said.or_else(|| cluster.configs(&Resource::AllBrokers)?.get(UNCLEAN));
        Case {
            partition: TopicPartition { topic: topic.id, partition },
            min_isr: cluster.min_isr_of(topic),
            from_memory: !self.decided.here.settings(topic.id).sync_before_ack(),
            unclean: said.is_some_and(|value| value.trim().eq_ignore_ascii_case("true")),
        }
    }

    /// Settles the partitions that `concerns` names, at most so many that change, and gives the records of it.
    pub(super) fn settle_where(
        &self,
        cause: &Cause,
        members: &Members,
        changes_max: usize,
        concerns: impl Fn(&PartitionImage) -> bool,
    ) -> Vec<MetadataRecord> {
        let mut records = Vec::new();
        let mut left = changes_max;
        for topic in self.decided.state.cluster.topics.values() {
            if left == 0 {
                break;
            }
            let concerned = (0..).map(PartitionIndex).zip(&topic.partitions);
            let concerned = concerned.filter(|(_, partition)| concerns(partition));
            let settled = concerned.filter_map(|(index, partition)| {
                Some((index, settle(partition, cause, members, &self.case(topic, index))?))
            });
            let settled: Vec<Settled> = settled.take(left).collect();
            left -= settled.len();
            records.extend(changes(topic.id, settled));
        }
        records
    }
}

/// Records of a topic's changes, which are in the order of their partitions.
pub(super) fn changes(topic: TopicId, mut settled: Vec<Settled>) -> Vec<MetadataRecord> {
    let mut records = Vec::new();
    while !settled.is_empty() {
        let rest = settled.split_off(settled.len().min(RECORD_CHANGES_MAX));
        let changes = std::mem::replace(&mut settled, rest);
        records.push(MetadataRecord::PartitionChanges(PartitionChangesRecord { topic, changes }));
    }
    records
}
