//! Leaders ask for other in-sync replicas.
//!
//! A request names what it was decided on: the controller, the partition's leader epoch and partition epoch, and of each member
//! that is to join the broker epoch (R7). A request on another state is refused as stale, which settles nothing for the leader;
//! only a refusal on the right state does (D1). Asks are taken in the order in which they were made: a leader that was refused
//! takes the matter for settled, and no earlier copy, on its way on an older lane, may be granted after that.

use std::collections::BTreeMap;

use crate::base::{BrokerEpoch, MonoNanos, PartitionIndex, Rule, ServerId, TopicId, holds, mark};
use crate::controller::decide::Controller;
use crate::controller::image::{PartitionImage, PartitionState};
use crate::controller::replicas::{Cause, Members, settle};
use crate::controller::request::ControllerError;
use crate::controller::servers::{AlterIsr, ControllerOutput, IsrAsked, IsrOutcome};

use super::pass::changes;

impl Controller {
    /// Decides what a leader asks for; outcomes are in the order of the request. They may leave at once: the leader acts by the
    /// image alone.
    ///
    /// # Errors
    /// NOT_CONTROLLER, when another controller was meant, or this one does not know yet who is there.
    pub fn alter_isr(
        &mut self,
        asked: &AlterIsr,
        now: MonoNanos,
        out: &mut ControllerOutput,
    ) -> Result<Vec<IsrOutcome>, ControllerError> {
        let is_meant = self.epoch() == Some(asked.quorum_epoch);
        if !is_meant || !self.has_gathered(now) {
            return Err(ControllerError::NotController);
        }
        let members = self.members();
        let mut settled: BTreeMap<TopicId, BTreeMap<PartitionIndex, PartitionState>> = BTreeMap::new();
        let mut outcomes = Vec::with_capacity(asked.partitions.len());
        for one in &asked.partitions {
            let id = one.partition;
            let is_first = settled.get(&id.topic).is_none_or(|topic| !topic.contains_key(&id.partition));
            let is_newest = self.is_newest_ask(asked, one.number);
            let judged = match is_first {
                true => self.judge_isr(asked, one, is_newest, &members),
                false => Err(IsrOutcome::StaleEpoch),
            };
            outcomes.push(judged.as_ref().map_or_else(|refused| *refused, |_| IsrOutcome::Decided));
            if let Ok(next) = judged {
                settled.entry(id.topic).or_default().insert(id.partition, next);
            }
        }
        for (topic, settled) in settled {
            self.enact_all(changes(topic, settled.into_iter().collect()), &mut out.batches);
        }
        Ok(outcomes)
    }

    /// Takes note of an ask; false if a later one of that life of the server was taken before.
    fn is_newest_ask(&mut self, asked: &AlterIsr, number: u64) -> bool {
        let this = (asked.broker_epoch, number);
        let newest = self.isr_asks.entry(asked.server).or_insert((asked.broker_epoch, 0));
        let is_newest = this > *newest;
        *newest = this.max(*newest);
        is_newest
    }

    fn judge_isr(
        &self,
        asked: &AlterIsr,
        one: &IsrAsked,
        is_newest: bool,
        members: &Members,
    ) -> Result<PartitionState, IsrOutcome> {
        let cluster = &self.decided.state.cluster;
        let topic = cluster.topic_by_id(one.partition.topic).ok_or(IsrOutcome::UnknownPartition)?;
        let partition = topic.partition(one.partition.partition).ok_or(IsrOutcome::UnknownPartition)?;
        if partition.leader() != Some(asked.server) {
            return Err(IsrOutcome::NotLeader);
        }
        if holds(Rule::AskOrder) && !is_newest {
            mark("an ask for an in-sync set comes after a later one");
            return Err(IsrOutcome::StaleEpoch);
        }
        let isr: Vec<ServerId> = one.isr.iter().map(|(server, _)| *server).collect();
        let epoch_of = |server: ServerId| cluster.servers.get(&server).map(|it| it.broker_epoch);
        if holds(Rule::R7) {
            if partition.leader_epoch() != one.leader_epoch
                || epoch_of(asked.server) != Some(asked.broker_epoch)
            {
                return Err(IsrOutcome::StaleEpoch);
            }
            if partition.partition_epoch() != one.partition_epoch {
                let is_same = is_same_set(partition, &isr);
                return Err(if is_same { IsrOutcome::SameAlready } else { IsrOutcome::StaleEpoch });
            }
        }
        let may_join = |(server, epoch): &(ServerId, BrokerEpoch)| {
            let member = members.of(*server);
            let is_known = epoch_of(*server) == Some(*epoch) || !holds(Rule::R7);
            let is_new = !partition.isr().any(|member| member == *server);
            !is_new || is_known && !member.fenced && !member.stopping
        };
        if !is_list_of(partition, &isr) || !isr.contains(&asked.server) || !one.isr.iter().all(may_join) {
            mark("a leader asked for a member that may not join");
            return Err(IsrOutcome::Ineligible);
        }
        let case = self.case(topic, one.partition.partition);
        settle(partition, &Cause::IsrAsked(isr), members, &case).ok_or(IsrOutcome::SameAlready)
    }
}

fn is_same_set(partition: &PartitionImage, isr: &[ServerId]) -> bool {
    is_list_of(partition, isr)
        && partition.isr().count() == isr.len()
        && partition.isr().all(|it| isr.contains(&it))
}

/// Whether these are replicas, each named once.
fn is_list_of(partition: &PartitionImage, isr: &[ServerId]) -> bool {
    let is_replica = |server: &ServerId| partition.replicas().contains(server);
    let is_named_once = |(at, server): (usize, &ServerId)| !isr[..at].contains(server);
    isr.len() <= partition.replicas().len()
        && isr.iter().all(is_replica)
        && isr.iter().enumerate().all(is_named_once)
}
