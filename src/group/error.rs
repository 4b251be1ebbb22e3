//! Why a coordinator refuses a request.

/// Why a coordinator refuses. The api layer maps each to the Kafka error of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    #[error("the coordinator is still reading its log")]
    CoordinatorLoadInProgress,
    #[error("the coordinator is not available")]
    CoordinatorNotAvailable,
    #[error("this shard does not coordinate the group")]
    NotCoordinator,
    #[error("the group id is not valid")]
    InvalidGroupId,
    #[error("there is no such group")]
    GroupIdNotFound,
    #[error("the group has members")]
    NonEmptyGroup,
    #[error("the server coordinates as many groups as ringmain.groups.max allows")]
    TooManyGroups,
    #[error("the group has as many members as it may")]
    GroupMaxSizeReached,
    #[error("the group has no such member")]
    UnknownMemberId,
    #[error("join again with the member id in this answer")]
    MemberIdRequired,
    #[error("another member has taken this group instance id")]
    FencedInstanceId,
    #[error("the generation is not the group's")]
    IllegalGeneration,
    #[error("the group is rebalancing")]
    RebalanceInProgress,
    #[error("the member's protocols and the group's have nothing in common")]
    InconsistentGroupProtocol,
    #[error("the session timeout is out of bounds")]
    InvalidSessionTimeout,
    #[error("the commit's metadata is too long")]
    OffsetMetadataTooLarge,
    #[error("a member of the group is subscribed to the topic")]
    GroupSubscribedToTopic,
    #[error("the member epoch is not the member's")]
    StaleMemberEpoch,
    #[error("{0}")]
    InvalidRequest(&'static str),
    #[error("the member epoch is not the member's: it must let go of everything and join again")]
    FencedMemberEpoch,
    #[error("another member holds this group instance id and has not left")]
    UnreleasedInstanceId,
    #[error("no such assignor: there are uniform and range, as group.consumer.assignors allows")]
    UnsupportedAssignor,
    #[error("the topic pattern is too long, too large or no regular expression")]
    InvalidRegularExpression,
    #[error("members of a consumer group name their epochs, as this version cannot")]
    UnsupportedVersion,
}
