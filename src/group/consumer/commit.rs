//! Whether a member may commit and fetch offsets.

use crate::base::TopicId;
use crate::group::Name;

use super::{ConsumerGroup, GroupError, Member};

/// What a client says that says nothing of its generation.
const NO_GENERATION: i32 = -1;

/// Who a request for offsets says it comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claim {
    pub member_id: Name,
    /// Of a classic member its generation; -1 outside membership.
    pub member_epoch: i32,
    /// The request's version can carry member epochs (OffsetCommit and OffsetFetch 9, TxnOffsetCommit any).
    pub knows_epochs: bool,
}

impl ConsumerGroup {
    /// A commit under the member's epoch stands. One under an older epoch stands as well if the member has had all its
    /// partitions since then: nobody else can have moved on from there, and clients learn of a new epoch at their own pace
    /// (KIP-1251; KIP-848 as Kafka first had it makes them fail). Outside membership, offsets of an empty group can be set.
    ///
    /// # Errors
    /// The claim is not a member's, or not its epoch.
    pub fn check_commit(
        &self,
        claim: &Claim,
        partitions: impl IntoIterator<Item = (TopicId, i32)>,
    ) -> Result<(), GroupError> {
        if claim.member_epoch < 0 && self.members.is_empty() {
            return Ok(());
        }
        let member = self.claimed(claim)?;
        let mut partitions = partitions.into_iter();
        let given = &member.current.given;
        let since = |epoch| move |partition| given.get(&partition).is_some_and(|given| *given <= epoch);
        match claim.member_epoch {
            epoch if epoch == member.current.epoch => Ok(()),
            epoch if epoch < member.current.epoch && partitions.all(since(epoch)) => Ok(()),
            _ => Err(stale(member)),
        }
    }

    /// Who claims to be a member must be one, in the epoch it is in: what another one has committed meanwhile is not for
    /// somebody who has been left behind. A classic member that says no generation (-1) is served, other than by Kafka:
    /// @platformatic/kafka never says one, and would end when its group begins to use the new protocol.
    ///
    /// # Errors
    /// The claim is not a member's, or not its epoch.
    pub fn check_fetch(&self, claim: &Claim) -> Result<(), GroupError> {
        let member = self.members.get(&claim.member_id).ok_or(GroupError::UnknownMemberId)?;
        let says_none = claim.member_epoch == NO_GENERATION && member.metadata.classic.is_some();
        if says_none || claim.member_epoch == member.current.epoch { Ok(()) } else { Err(stale(member)) }
    }

    fn claimed(&self, claim: &Claim) -> Result<&Member, GroupError> {
        let member = self.members.get(&claim.member_id).ok_or(GroupError::UnknownMemberId)?;
        if member.metadata.classic.is_none() && !claim.knows_epochs {
            return Err(GroupError::UnsupportedVersion);
        }
        Ok(member)
    }
}

fn stale(member: &Member) -> GroupError {
    match member.metadata.classic {
        Some(_) => GroupError::IllegalGeneration,
        None => GroupError::StaleMemberEpoch,
    }
}
