//! Questions to the controller, each with the kind of its answer. Answers to lists are in the order of the list.

use crate::base::{ProducerEpoch, ProducerId, Question};
use crate::pick;

use super::request::{
    ControllerError, ControllerReply, ControllerRequest, CreatedTopic, DeletedTopic, NewPartitions, NewTopic,
    ResourceConfigs, TopicName,
};

/// A question to the controller, answered with `A`.
pub type ControllerQuestion<A> = Question<ControllerRequest, ControllerReply, A>;

type Each<A> = Vec<Result<A, ControllerError>>;

impl ControllerRequest {
    #[must_use]
    pub fn create_topics(
        topics: Vec<NewTopic>,
        validate_only: bool,
    ) -> ControllerQuestion<Each<CreatedTopic>> {
        let asked = ControllerRequest::CreateTopics { topics, validate_only };
        Question::new(asked, pick!(ControllerReply::CreateTopics))
    }

    #[must_use]
    pub fn delete_topics(topics: Vec<TopicName>) -> ControllerQuestion<Each<DeletedTopic>> {
        Question::new(ControllerRequest::DeleteTopics { topics }, pick!(ControllerReply::DeleteTopics))
    }

    #[must_use]
    pub fn create_partitions(
        topics: Vec<NewPartitions>,
        validate_only: bool,
    ) -> ControllerQuestion<Each<()>> {
        let asked = ControllerRequest::CreatePartitions { topics, validate_only };
        Question::new(asked, pick!(ControllerReply::CreatePartitions))
    }

    #[must_use]
    pub fn alter_configs(
        resources: Vec<ResourceConfigs>,
        validate_only: bool,
    ) -> ControllerQuestion<Each<()>> {
        let asked = ControllerRequest::AlterConfigs { resources, validate_only };
        Question::new(asked, pick!(ControllerReply::AlterConfigs))
    }

    #[must_use]
    pub fn init_producer_id(
        current: Option<(ProducerId, ProducerEpoch)>,
    ) -> ControllerQuestion<Result<(ProducerId, ProducerEpoch), ControllerError>> {
        Question::new(ControllerRequest::InitProducerId { current }, pick!(ControllerReply::InitProducerId))
    }
}
