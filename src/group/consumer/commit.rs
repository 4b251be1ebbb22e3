//! Whether a member may commit and fetch offsets.

use crate::base::TopicId;
use crate::group::Name;

use super::{ConsumerGroup, GroupError, Member};

/// The generation in a request that does not name one.
const NO_GENERATION: i32 = -1;

/// The member that a request for offsets says it comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claim {
    pub member_id: Name,
    /// The member's epoch, or a classic member's generation; -1 outside membership.
    pub member_epoch: i32,
    /// The request's version can carry member epochs (OffsetCommit and OffsetFetch 9, TxnOffsetCommit any).
    pub knows_epochs: bool,
}

impl ConsumerGroup {
    /// Checks that a commit may be taken. A commit under the member's epoch is taken. A commit under an older epoch is taken if
    /// the member has had all its partitions since that epoch: no other member can have read on from there, and clients learn
    /// of a new epoch at their own pace (KIP-1251; KIP-848 as Kafka first had it refuses such commits). Outside membership,
    /// offsets of an empty group can be set.
    ///
    /// # Errors
    /// For a claim that names no member, or not the member's epoch.
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

    /// Checks that committed offsets may be fetched. The claim must name a member and its epoch: a member that was left behind
    /// must not read what another one has committed since. A classic member that names no generation (-1) is served, which
    /// Kafka does not do: @platformatic/kafka never names one, and would stop when its group begins to use the new protocol.
    ///
    /// # Errors
    /// For a claim that names no member, or not the member's epoch.
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
