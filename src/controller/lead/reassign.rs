//! Other assignments of partitions that are there (KIP-455), and copies of internal topics in a cluster that has grown.
//!
//! A new assignment is added to the old one first; [`settle`] puts it in its place once all its replicas are in sync. Whatever
//! takes replicas away is refused where none would be left that has everything (D13).

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::base::{PartitionIndex, Rule, ServerId, TopicId, holds, mark};
use crate::controller::assignment::check_assigned;
use crate::controller::batch::{Batch, Batches};
use crate::controller::decide::Controller;
use crate::controller::image::{PartitionImage, PartitionState, REPLICAS_MAX, TopicImage};
use crate::controller::place::Places;
use crate::controller::replicas::{Cause, Members, settle};
use crate::controller::request::{ControllerError, FactorChange, Reassignment};

use super::pass::changes;

impl Controller {
    /// Begins, replaces or cancels reassignments; results are in the order of the request.
    pub(in crate::controller) fn reassign(
        &mut self,
        asked: &[Reassignment],
        factor: FactorChange,
        batch: &mut Batch,
    ) -> Vec<Result<(), ControllerError>> {
        let members = self.members();
        asked.iter().map(|one| self.reassign_one(one, factor, &members, batch)).collect()
    }

    fn reassign_one(
        &mut self,
        asked: &Reassignment,
        factor: FactorChange,
        members: &Members,
        batch: &mut Batch,
    ) -> Result<(), ControllerError> {
        let cluster = &self.decided.state.cluster;
        let topic = cluster.topic(&asked.topic).ok_or(ControllerError::UnknownPartition)?;
        let partition = topic.partition(asked.partition).ok_or(ControllerError::UnknownPartition)?;
        let target = match &asked.replicas {
            Some(nodes) => check_assigned(nodes, |server| cluster.servers.contains_key(&server))?,
            None if is_under_way(partition) => originals(partition),
            None => return Err(ControllerError::NoReassignmentInProgress),
        };
        let factor_before = originals(partition).len();
        if asked.replicas.is_some() && factor == FactorChange::Refused && target.len() != factor_before {
            return Err(ControllerError::InvalidReplicationFactor(format!(
                "The replication factor is changed from {factor_before} to {}",
                target.len()
            )));
        }
        let (topic, name) = (Arc::clone(topic), asked.partition);
        match self.assigned(&topic, name, &target, members)? {
            Some(next) => self.commit(&changes(topic.id, vec![(name, next)]), batch),
            None => Ok(()),
        }
    }

    /// The partition on its way to these replicas.
    fn assigned(
        &self,
        topic: &TopicImage,
        index: PartitionIndex,
        target: &[ServerId],
        members: &Members,
    ) -> Result<Option<PartitionState>, ControllerError> {
        let now = topic.partition(index).ok_or(ControllerError::UnknownPartition)?;
        let refused = |why: &str| Err(ControllerError::InvalidReplicaAssignment(why.to_owned()));
        let cause = towards(now, target);
        if let Cause::Assignment { replicas, .. } = &cause
            && replicas.len() > REPLICAS_MAX
        {
            return refused("A partition has too many replicas while it is moved.");
        }
        let next = settle(now, &cause, members, &self.case(topic, index));
        let had = now.isr().next().is_some() || now.elr().next().is_some();
        let keeps = next.as_ref().is_none_or(|next| !next.isr.is_empty() || !next.elr.is_empty());
        if had && !keeps && holds(Rule::D13) {
            mark("an assignment without anybody that has everything was refused");
            return refused("No replica would be left that is in sync or eligible to lead.");
        }
        Ok(next)
    }

    /// Internal topics get the replicas that a cluster of this size gives to a new topic, one partition of a topic at a time.
    pub(super) fn copy_internal_topics(&mut self, out: &mut Batches) {
        let places = Places::new(&self.decided.state.cluster, self.config.server);
        let factor = places.factor();
        let members = self.members();
        let topics = self.decided.state.cluster.topics.values().filter(|topic| topic.internal);
        let wanted: Vec<(TopicId, PartitionIndex, PartitionState)> = topics
            .filter_map(|topic| {
                let (index, target) = next_copy(topic, &places, factor)?;
                let next = self.assigned(topic, index, &target, &members).ok()??;
                Some((topic.id, index, next))
            })
            .collect();
        for (topic, index, next) in wanted {
            mark("an internal topic gets another replica");
            self.enact_all(changes(topic, vec![(index, next)]), out);
        }
    }
}

/// The first partition that has too few replicas, and those it is to have; nothing while another one is on its way.
fn next_copy(topic: &TopicImage, places: &Places, factor: usize) -> Option<(PartitionIndex, Vec<ServerId>)> {
    if topic.partitions.iter().any(is_under_way) {
        return None;
    }
    let lacking = |it: &&PartitionImage| it.replicas().len() < factor && it.leader().is_some();
    let (nth, partition) = (0..).zip(&topic.partitions).find(|(_, it)| lacking(it))?;
    let target = places.extended(partition.replicas(), nth, factor);
    let index = PartitionIndex(i32::try_from(nth).ok()?);
    (target.len() > partition.replicas().len()).then_some((index, target))
}

fn is_under_way(partition: &PartitionImage) -> bool {
    partition.adding().next().is_some() || partition.removing().next().is_some()
}

/// The replicas before a reassignment began.
fn originals(partition: &PartitionImage) -> Vec<ServerId> {
    let adding: BTreeSet<ServerId> = partition.adding().collect();
    partition.replicas().iter().copied().filter(|server| !adding.contains(server)).collect()
}

/// Targets first, then who is to leave. Whom another reassignment was adding, and this one does not name, leaves at once.
fn towards(now: &PartitionImage, target: &[ServerId]) -> Cause {
    let originals = originals(now);
    let adding = target.iter().copied().filter(|server| !originals.contains(server)).collect();
    let removing: Vec<ServerId> = originals.into_iter().filter(|server| !target.contains(server)).collect();
    let replicas = target.iter().chain(&removing).copied().collect();
    Cause::Assignment { replicas, adding, removing }
}
