//! Our errors as Kafka's codes: one exhaustive match each, so that a new error cannot go out unmapped.

use crate::controller::ControllerError;
use crate::protocol::ErrorCode;

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
    }
}
