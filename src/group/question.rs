//! Questions to a coordinator, each with the kind of its answer.

use std::sync::Arc;

use crate::base::Question;
use crate::pick;

use super::consumer::{DescribedConsumerGroup, Heartbeat, HeartbeatRequest};
use super::request::{
    CommitRequest, DescribedGroup, FetchOffsetsRequest, FetchedOffset, GroupError, GroupReply, GroupRequest,
    JoinRefused, JoinRequest, Joined, LeavingMember, MemberRef, SyncRequest, Synced,
};

/// A question to the coordinator of one group, answered with `A`.
pub type GroupQuestion<A> = Question<GroupRequest, GroupReply, A>;

/// One outcome for each of several things that were asked, in the order of the request; or one refusal for all.
pub type EachOrNone = Result<Vec<Result<(), GroupError>>, GroupError>;

impl GroupRequest {
    #[must_use]
    pub fn join(request: JoinRequest) -> GroupQuestion<Result<Joined, JoinRefused>> {
        Question::new(GroupRequest::Join(request), pick!(GroupReply::Join))
    }

    #[must_use]
    pub fn sync(request: SyncRequest) -> GroupQuestion<Result<Synced, GroupError>> {
        Question::new(GroupRequest::Sync(request), pick!(GroupReply::Sync))
    }

    #[must_use]
    pub fn heartbeat(group: Arc<str>, member: MemberRef) -> GroupQuestion<Result<(), GroupError>> {
        Question::new(GroupRequest::Heartbeat { group, member }, pick!(GroupReply::Heartbeat))
    }

    #[must_use]
    pub fn leave(group: Arc<str>, members: Vec<LeavingMember>) -> GroupQuestion<EachOrNone> {
        Question::new(GroupRequest::Leave { group, members }, pick!(GroupReply::Leave))
    }

    #[must_use]
    pub fn commit_offsets(request: CommitRequest) -> GroupQuestion<EachOrNone> {
        Question::new(GroupRequest::CommitOffsets(request), pick!(GroupReply::CommitOffsets))
    }

    #[must_use]
    pub fn fetch_offsets(
        request: FetchOffsetsRequest,
    ) -> GroupQuestion<Result<Vec<FetchedOffset>, GroupError>> {
        Question::new(GroupRequest::FetchOffsets(request), pick!(GroupReply::FetchOffsets))
    }

    #[must_use]
    pub fn describe(group: Arc<str>) -> GroupQuestion<Result<DescribedGroup, GroupError>> {
        Question::new(GroupRequest::Describe { group }, pick!(GroupReply::Describe))
    }

    #[must_use]
    pub fn delete(group: Arc<str>) -> GroupQuestion<Result<(), GroupError>> {
        Question::new(GroupRequest::Delete { group }, pick!(GroupReply::Delete))
    }

    #[must_use]
    pub fn delete_offsets(group: Arc<str>, partitions: Vec<(Arc<str>, i32)>) -> GroupQuestion<EachOrNone> {
        Question::new(GroupRequest::DeleteOffsets { group, partitions }, pick!(GroupReply::DeleteOffsets))
    }

    #[must_use]
    pub fn consumer_heartbeat(request: HeartbeatRequest) -> GroupQuestion<Result<Heartbeat, GroupError>> {
        Question::new(GroupRequest::ConsumerHeartbeat(request), pick!(GroupReply::ConsumerHeartbeat))
    }

    #[must_use]
    pub fn describe_consumers(group: Arc<str>) -> GroupQuestion<Result<DescribedConsumerGroup, GroupError>> {
        Question::new(GroupRequest::DescribeConsumers { group }, pick!(GroupReply::DescribeConsumers))
    }
}
