//! A group changes from one protocol to the other with all its members (KIP-848's online migration).

use std::collections::BTreeMap;

use crate::base::MonoNanos;
use crate::controller::MetadataImage;
use crate::group::Name;
use crate::group::classic::Member as ClassicGroupMember;

use super::embedded::{read_assignment, read_subscription, write_assignment};
use super::{
    Assignment, Change, ClassicMember, ConsumerGroup, ConsumerGroupLimits, Context, Current, Decision,
    MemberState, Metadata,
};

/// What the classic group needs that a consumer group with only classic members becomes.
#[derive(Clone, Debug)]
pub(in crate::group) struct Handover {
    pub generation: i32,
    /// The members, each with its target assignment.
    pub members: Vec<ClassicGroupMember>,
    /// Members that are still in another epoch, each with that epoch.
    pub lagging: BTreeMap<Name, i32>,
    /// Every member has its target assignment, so no rebalance is needed.
    pub is_settled: bool,
}

impl ConsumerGroup {
    /// Makes a consumer group of a classic group's members. Each keeps the partitions it has, and the epoch is what was their
    /// generation. `None` if the metadata of one of them cannot be read.
    #[must_use]
    pub(in crate::group) fn from_classic<'a>(
        id: &Name,
        generation: i32,
        members: impl Iterator<Item = &'a ClassicGroupMember>,
        context: &Context<'_>,
    ) -> Option<Decision<ConsumerGroup>> {
        let mut group = ConsumerGroup::new(Name::clone(id));
        let mut journal = group.journal();
        let mut held = 0;
        group.write(&mut journal, Change::Group(Some(generation)));
        for member in members {
            let (metadata, assigned) = understood(member, context.image)?;
            // A partition that was assigned to two members stays with the first.
            let is_free = |topic, partition| !group.holders.contains_key(&(topic, partition));
            let (assigned, _) = assigned.split(is_free);
            held += assigned.len();
            let current = Current {
                epoch: generation,
                previous_epoch: generation,
                state: MemberState::Stable,
                assigned: assigned.clone(),
                revoking: Assignment::default(),
                given: assigned.iter().map(|partition| (partition, generation)).collect(),
            };
            group.write(&mut journal, Change::Member(Name::clone(&member.id), Some(metadata)));
            group.write(&mut journal, Change::Target(Name::clone(&member.id), Some(assigned)));
            group.write(&mut journal, Change::Current(Name::clone(&member.id), Some(current)));
        }
        assert_eq!(group.holders.len(), held, "no partition goes over with two members");
        group.write(&mut journal, Change::TargetEpoch(Some(generation)));
        group.start(context.now, context.limits);
        Some(journal.decision(group))
    }

    /// What the classic group needs that takes this one's place, and the records that delete this one. The classic group's
    /// generation is the epoch that the members were last told, so that they can continue with what they have.
    #[must_use]
    pub(in crate::group) fn to_classic(&self, now: MonoNanos) -> Decision<Handover> {
        let nothing = Assignment::default();
        let members = self.members.iter().filter_map(|(id, it)| {
            let classic = it.metadata.classic.as_ref()?;
            let metadata =
                classic.protocols.first().map(|(_, metadata)| metadata.clone()).unwrap_or_default();
            Some(ClassicGroupMember {
                id: Name::clone(id),
                instance_id: it.metadata.instance_id.clone(),
                client_id: Name::clone(&it.metadata.client_id),
                client_host: Name::clone(&it.metadata.client_host),
                session_timeout_ms: classic.session_timeout_ms,
                rebalance_timeout_ms: it.metadata.rebalance_timeout_ms,
                protocols: classic.protocols.clone(),
                assignment: write_assignment(
                    self.target.get(id).unwrap_or(&nothing),
                    &self.topics,
                    &metadata,
                ),
                joining: None,
                syncing: None,
                is_new: false,
                deadline: now.plus_ms(super::millis(classic.session_timeout_ms)),
            })
        });
        let lagging = self.members.iter().filter(|(_, it)| it.current.epoch != self.target_epoch);
        let handover = Handover {
            generation: self.target_epoch,
            members: members.collect(),
            lagging: lagging.map(|(id, it)| (Name::clone(id), it.current.epoch)).collect(),
            is_settled: self.is_settled(),
        };
        Decision { records: self.tombstones(), answer: handover }
    }

    /// Whether the group should go back to the classic protocol.
    #[must_use]
    pub(in crate::group) fn is_left_to_classic(&self, limits: &ConsumerGroupLimits) -> bool {
        limits.downgrade && self.is_only_classic() && self.members.len() <= limits.classic_size_max
    }
}

/// Reads a classic member's metadata and assignment, under the protocol that its group has chosen.
fn understood(member: &ClassicGroupMember, image: &MetadataImage) -> Option<(Metadata, Assignment)> {
    let (_, bytes) = member.protocols.first()?;
    let subscription = read_subscription(bytes, image)?;
    let metadata = Metadata {
        instance_id: member.instance_id.clone(),
        rack_id: subscription.rack_id,
        client_id: Name::clone(&member.client_id),
        client_host: Name::clone(&member.client_host),
        topics: subscription.topics,
        pattern: None,
        rebalance_timeout_ms: member.rebalance_timeout_ms,
        assignor: None,
        classic: Some(ClassicMember {
            session_timeout_ms: member.session_timeout_ms,
            protocols: member.protocols.clone(),
        }),
    };
    Some((metadata, read_assignment(&member.assignment, image)?))
}
