//! What comes when all batches of a request are read: the shards append them, and the answer is made of what they say.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::base::TopicId;
use crate::protocol::ErrorCode;
use crate::protocol::messages::ProduceResponse;
use crate::protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, PartitionProduceResponse, TopicProduceResponse,
};
use crate::record::BatchError;
use crate::shard::{self, Acks, PartitionError, ProducePartition, ProduceResult, ShardRequest};

use crate::api::answer::{AnswerForm, error_message};
use crate::api::cluster::hints::Refused;
use crate::api::errors::partition_error;
use crate::api::split::{Calls, Slots, ask_all};
use crate::api::{Context, Step, Wait};

/// First version with topic ids.
pub(super) const IDS_FROM: i16 = 13;

/// What is left to do when all batches are read.
pub(super) struct Rest {
    pub(super) answer: AnswerForm,
    pub(super) acks: Acks,
    pub(super) timeout_ms: u32,
    pub(super) zstd_allowed: bool,
    /// Partitions that another core leads, and the client is to go there.
    pub(super) refused: Refused,
}

impl Rest {
    pub(super) fn ask(self, context: &mut Context<'_>, calls: Calls<ProducePartition>, slots: Slots) -> Step {
        let Rest { answer, acks, timeout_ms, zstd_allowed, refused } = self;
        let silent = acks == Acks::None;
        let ask = |partitions| shard::ProduceRequest { partitions, zstd_allowed, acks, timeout_ms };
        ask_all(
            context,
            calls,
            Wait::All,
            |partitions| ShardRequest::produce(ask(partitions)),
            move |_, results| {
                if silent {
                    finish_silent(&slots, results)
                } else {
                    respond(answer, &slots, &refused, results)
                }
            },
        )
    }
}

fn finish_silent(slots: &Slots, results: Vec<Vec<ProduceResult>>) -> Step {
    let failures = slots.merge(results, |index, result| match result {
        Err(code) => Some(format!("partition {index}: {code:?}")),
        Ok(ProduceResult { outcome: Err(error), .. }) => Some(format!("partition {index}: {error}")),
        Ok(_) => None,
    });
    let mut failures = failures.flat_map(|(topic, partitions)| {
        partitions.into_iter().flatten().map(|failure| format!("topic {:?}, {failure}", topic.name))
    });
    match failures.next() {
        None => Step::Silent,
        Some(first) => Step::Close { reason: format!("Produce with acks=0 failed: {first}") },
    }
}

fn respond(answer: AnswerForm, slots: &Slots, refused: &Refused, results: Vec<Vec<ProduceResult>>) -> Step {
    let by_id = answer.version >= IDS_FROM;
    let topics = slots.merge(results, |index, result| match result {
        Err(code) => failure(index, code),
        Ok(result) => outcome(index, result),
    });
    let responses = topics.map(|(topic, mut partition_responses)| {
        for partition in &mut partition_responses {
            if let Some(leader) = refused.leader(topic.id, partition.index) {
                partition.current_leader =
                    LeaderIdAndEpoch { leader_id: leader.node, leader_epoch: leader.epoch };
            }
        }
        let mut response = TopicProduceResponse { partition_responses, ..TopicProduceResponse::default() };
        if by_id {
            response.topic_id = topic.id;
        } else {
            response.name = (&*topic.name).into();
        }
        response
    });
    answer.send(&ProduceResponse {
        responses: once_each(responses.collect()),
        node_endpoints: refused.produce_endpoints(),
        ..ProduceResponse::default()
    })
}

/// Puts the partitions of a topic that was named more than once together, as Kafka does.
fn once_each(topics: Vec<TopicProduceResponse<'_>>) -> Vec<TopicProduceResponse<'_>> {
    if topics.len() < 2 {
        return topics;
    }
    let mut places: HashMap<(TopicId, String), usize> = HashMap::new();
    let mut once: Vec<TopicProduceResponse<'_>> = Vec::with_capacity(topics.len());
    for topic in topics {
        match places.entry((topic.topic_id, topic.name.to_string())) {
            Entry::Occupied(first) => {
                once[*first.get()].partition_responses.extend(topic.partition_responses)
            }
            Entry::Vacant(vacant) => {
                vacant.insert(once.len());
                once.push(topic);
            }
        }
    }
    once
}

fn outcome(index: i32, result: ProduceResult) -> PartitionProduceResponse<'static> {
    match result.outcome {
        Ok(appended) => PartitionProduceResponse {
            index,
            base_offset: appended.base_offset.0,
            log_append_time_ms: appended.log_append_time.0,
            log_start_offset: appended.log_start.0,
            ..PartitionProduceResponse::default()
        },
        Err(error) => PartitionProduceResponse {
            record_errors: record_errors(&error),
            error_message: error_message(error.to_string()),
            ..failure(index, partition_error(&error))
        },
    }
}

fn failure(index: i32, code: ErrorCode) -> PartitionProduceResponse<'static> {
    PartitionProduceResponse {
        index,
        error_code: code.code(),
        base_offset: -1,
        ..PartitionProduceResponse::default()
    }
}

/// The records that spoiled their batch, each with what is wrong with it.
fn record_errors(error: &PartitionError) -> Vec<BatchIndexAndErrorMessage<'static>> {
    let named = |index: usize, message: String| BatchIndexAndErrorMessage {
        batch_index: i32::try_from(index).unwrap_or(i32::MAX),
        batch_index_error_message: error_message(message),
    };
    match error {
        PartitionError::Batch(BatchError::Refused(records)) => {
            records.iter().map(|record| named(record.index, record.reason.to_string())).collect()
        }
        PartitionError::Batch(BatchError::Record { index, problem }) => {
            vec![named(*index, problem.to_string())]
        }
        _ => Vec::new(),
    }
}
