//! Our errors as Kafka's codes: one exhaustive match each, so that a new error cannot go out unmapped.

use crate::controller::ControllerError;
use crate::protocol::ErrorCode;
use crate::record::{BatchError, Refusal, RefusedRecord};
use crate::shard::PartitionError;

/// What a refusal of the controller is to a client.
pub(super) fn controller_error(error: &ControllerError) -> ErrorCode {
    match error {
        ControllerError::TopicExists(_) => ErrorCode::TopicAlreadyExists,
        ControllerError::UnknownTopic => ErrorCode::UnknownTopicOrPartition,
        ControllerError::UnknownTopicId => ErrorCode::UnknownTopicId,
        ControllerError::InvalidTopicName(_) => ErrorCode::InvalidTopicException,
        ControllerError::InvalidPartitions(_) => ErrorCode::InvalidPartitions,
        ControllerError::InvalidReplicationFactor(_) => ErrorCode::InvalidReplicationFactor,
        ControllerError::InvalidReplicaAssignment(_) => ErrorCode::InvalidReplicaAssignment,
        ControllerError::InvalidConfig(_) => ErrorCode::InvalidConfig,
        ControllerError::InvalidRequest(_) => ErrorCode::InvalidRequest,
        ControllerError::PolicyViolation(_) => ErrorCode::PolicyViolation,
        ControllerError::DeletionDisabled => ErrorCode::TopicDeletionDisabled,
        ControllerError::InvalidProducerEpoch { .. } => ErrorCode::InvalidProducerEpoch,
        ControllerError::StorageFailed => ErrorCode::KafkaStorageError,
        ControllerError::NotController => ErrorCode::NotController,
        ControllerError::UnknownPartition => ErrorCode::UnknownTopicOrPartition,
        ControllerError::ElectionNotNeeded => ErrorCode::ElectionNotNeeded,
        ControllerError::PreferredLeaderNotAvailable => ErrorCode::PreferredLeaderNotAvailable,
        ControllerError::EligibleLeadersNotAvailable => ErrorCode::EligibleLeadersNotAvailable,
        ControllerError::NoReassignmentInProgress => ErrorCode::NoReassignmentInProgress,
        ControllerError::UnknownServer => ErrorCode::BrokerIdNotRegistered,
        ControllerError::StaleBrokerEpoch => ErrorCode::StaleBrokerEpoch,
    }
}

/// Why a partition did not do what was asked, to a client.
pub(super) fn partition_error(error: &PartitionError) -> ErrorCode {
    match error {
        // The images of two shards differ for a moment: the client should ask for metadata and try again.
        PartitionError::NotHere | PartitionError::NotLeader => ErrorCode::NotLeaderOrFollower,
        PartitionError::NotEnoughReplicas => ErrorCode::NotEnoughReplicas,
        PartitionError::NotEnoughReplicasAfterAppend => ErrorCode::NotEnoughReplicasAfterAppend,
        PartitionError::TimedOut => ErrorCode::RequestTimedOut,
        PartitionError::NotSettled => ErrorCode::OffsetNotAvailable,
        PartitionError::OffsetOutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        PartitionError::FencedLeaderEpoch { .. } => ErrorCode::FencedLeaderEpoch,
        PartitionError::UnknownLeaderEpoch { .. } => ErrorCode::UnknownLeaderEpoch,
        PartitionError::Batch(error) => batch_error(error),
        PartitionError::OutOfOrderSequence { .. } => ErrorCode::OutOfOrderSequenceNumber,
        PartitionError::InvalidProducerEpoch { .. } => ErrorCode::InvalidProducerEpoch,
        PartitionError::DiskFull | PartitionError::StorageFailed => ErrorCode::KafkaStorageError,
        PartitionError::Corrupt { .. } => ErrorCode::CorruptMessage,
        PartitionError::UnsupportedLookup { .. } => ErrorCode::UnsupportedVersion,
    }
}

/// What is wrong with a batch. CORRUPT_MESSAGE is retried by clients and so only for what transport may have done.
fn batch_error(error: &BatchError) -> ErrorCode {
    match error {
        BatchError::Length { .. } | BatchError::Crc { .. } => ErrorCode::CorruptMessage,
        BatchError::Codec { .. } => ErrorCode::UnsupportedCompressionType,
        BatchError::TooLarge { .. } => ErrorCode::MessageTooLarge,
        BatchError::Timestamp { .. } => ErrorCode::InvalidTimestamp,
        BatchError::Refused(records) => {
            let is_late = |record: &RefusedRecord| matches!(record.reason, Refusal::Timestamp { .. });
            if records.iter().any(is_late) { ErrorCode::InvalidTimestamp } else { ErrorCode::InvalidRecord }
        }
        BatchError::Transactional => ErrorCode::TransactionalIdAuthorizationFailed,
        BatchError::Short { .. }
        | BatchError::LastOffsetDelta { .. }
        | BatchError::Magic { .. }
        | BatchError::NotOne { .. }
        | BatchError::Count { .. }
        | BatchError::Control
        | BatchError::Producer { .. }
        | BatchError::Record { .. }
        | BatchError::Compression(_) => ErrorCode::InvalidRecord,
    }
}
