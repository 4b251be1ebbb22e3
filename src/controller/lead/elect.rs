//! Elections that somebody asks for, and the return of leaderships to preferred replicas.

use std::sync::Arc;

use crate::base::{MonoNanos, PartitionIndex, ServerId};
use crate::controller::batch::{Batch, Batches};
use crate::controller::decide::Controller;
use crate::controller::image::{PartitionImage, TopicImage};
use crate::controller::replicas::{Cause, Members, settle};
use crate::controller::request::{ControllerError, ElectedPartition, Election};

use super::pass::changes;

/// Leaderships that one step of balancing moves, and how long it waits before the next.
const MOVES_MAX: usize = 1000;
const STEP_MS: u64 = 1000;
impl Controller {
    /// Leaderships leave servers that are drained or slow, and return to the preferred replicas.
    pub(super) fn balance_leaders(&mut self, now: MonoNanos, out: &mut Batches) {
        let limits = self.config.settings.cluster;
        let members = self.members();
        let relieve = |it: &PartitionImage| it.leader().is_some_and(|leader| members.of(leader).relieved);
        let moved = match members.iter().any(|(_, member)| member.relieved && !member.fenced) {
            true => self.settle_where(&Cause::Servers, &members, MOVES_MAX, relieve),
            false => Vec::new(),
        };
        self.enact_all(moved, out);
        if !self.due.leaders(now, limits.imbalance_check_ms) || !limits.rebalance {
            return;
        }
        let members = self.members();
        let astray = |it: &PartitionImage| it.leader() != it.replicas().first().copied();
        let moved = self.settle_where(&Cause::Preferred, &members, MOVES_MAX, astray);
        if !moved.is_empty() {
            self.due.more_leaders(now.plus_ms(STEP_MS));
        }
        self.enact_all(moved, out);
    }

    /// Elects leaders as an administrator asks: of all partitions that need it, or of those named.
    pub(in crate::controller) fn elect_leaders(
        &mut self,
        election: Election,
        named: Option<&[(String, PartitionIndex)]>,
        batch: &mut Batch,
    ) -> Vec<ElectedPartition> {
        let members = self.members();
        let wanted: Vec<(String, PartitionIndex)> = match named {
            Some(named) => named.to_vec(),
            None => self.needing(election),
        };
        wanted
            .into_iter()
            .map(|(topic, partition)| {
                let result = self.elect(election, &topic, partition, &members, batch);
                ElectedPartition { topic, partition, result }
            })
            .collect()
    }

    /// Partitions for which an election could change something.
    fn needing(&self, election: Election) -> Vec<(String, PartitionIndex)> {
        let needs = |it: &PartitionImage| match election {
            Election::Preferred => it.leader() != it.replicas().first().copied(),
            Election::Unclean => it.leader().is_none(),
        };
        let topics = self.decided.state.cluster.topics.values();
        let of = |topic: &Arc<TopicImage>| {
            let name = topic.name.to_string();
            let partitions = (0..).map(PartitionIndex).zip(&topic.partitions);
            let needing = partitions.filter(|(_, it)| needs(it)).map(|(index, _)| (name.clone(), index));
            needing.collect::<Vec<_>>()
        };
        topics.flat_map(of).collect()
    }

    fn elect(
        &mut self,
        election: Election,
        topic: &str,
        index: PartitionIndex,
        members: &Members,
        batch: &mut Batch,
    ) -> Result<(), ControllerError> {
        let topic = self.decided.state.cluster.topic(topic).ok_or(ControllerError::UnknownPartition)?;
        let partition = topic.partition(index).ok_or(ControllerError::UnknownPartition)?;
        let (cause, preferred) = match election {
            Election::Preferred => (Cause::Preferred, partition.replicas().first().copied()),
            Election::Unclean => (Cause::Unclean, None),
        };
        let is_led_well = match election {
            Election::Preferred => partition.leader() == preferred,
            Election::Unclean => partition.leader().is_some(),
        };
        if is_led_well {
            return Err(ControllerError::ElectionNotNeeded);
        }
        let next = settle(partition, &cause, members, &self.case(topic, index));
        let leader: Option<ServerId> = next.as_ref().and_then(|next| next.leader);
        let is_there = match election {
            Election::Preferred => leader == preferred,
            Election::Unclean => leader.is_some(),
        };
        match next.filter(|_| is_there) {
            Some(next) => {
                let records = changes(topic.id, vec![(index, next)]);
                self.commit(&records, batch)
            }
            None if election == Election::Preferred => Err(ControllerError::PreferredLeaderNotAvailable),
            None => Err(ControllerError::EligibleLeadersNotAvailable),
        }
    }
}
