//! Fetch (1), versions 4-18.
//!
//! Every owning shard waits for the data on its own; the first reply, whatever it says, ends the wait of all: a shard
//! replies when it has enough, or an error. Records leave as references to the memory they lie in. A partition that cannot
//! be asked ends the wait at once, like an error on a shard.
//!
//! - v7: fetch sessions ([`session`]). Without one, partitions are answered in the order of the request; in one, shards
//!   and their partitions take turns, so that a busy one does not starve those behind it.
//! - v12: divergence from `lastFetchedEpoch` is reported; an epoch that nobody has led in is OFFSET_OUT_OF_RANGE.
//! - v13: topics go by id.
//! - v16: partitions that another core leads are refused once, with their leader ([`crate::api::cluster::hints`]).
//!
//! A partition that is named twice is fetched once, at the offset named last.
//!
//! Limits: `minBytes` counts per shard; `maxBytes` holds over all shards.
//!
//! Not done: transactions (no aborted ones exist), followers.

mod plan;
mod repeats;
mod session;

use std::sync::Arc;

use bytes::Bytes;

use crate::base::{LeaderEpoch, Offset, PartitionIndex, ShardId, TopicId, TopicPartition};
use crate::protocol::messages::fetch_request;
use crate::protocol::messages::fetch_response::{
    EpochEndOffset, FetchableTopicResponse, LeaderIdAndEpoch, PartitionData,
};
use crate::protocol::messages::{self, FetchResponse};
use crate::protocol::{ApiKey, ErrorCode, Records, RequestHeader};
use crate::shard::{
    FetchPartition, FetchRequest, FetchResult, Fetched, FetchedBy, Known, ShardQuestion, ShardRequest,
};

use crate::api::answer::{AnswerForm, decode, respond as respond_now};
use crate::api::cluster::hints::{self, Refused};
use crate::api::errors::partition_error;
use crate::api::split::ask;
use crate::api::topic_key::TopicKey;
use crate::api::{Api, ApiError, Context, Step, Wait};

use plan::{Key, NamedPartition, Plan, Wanted};

pub use session::{FetchSessions, METRICS as SESSION_METRICS};

/// First version with topic ids.
const IDS_FROM: i16 = 13;

/// What the epoch of a request says of sessions, when it is not the next of one.
const NO_SESSION: i32 = -1;
const NEW_SESSION: i32 = 0;

pub const API: Api = Api::new(ApiKey::Fetch, 4..=18, start);

pub fn start(context: &mut Context<'_>, header: &RequestHeader<'_>, body: &Bytes) -> Result<Step, ApiError> {
    let request: messages::FetchRequest<'_> = decode(header, body)?;
    let version = header.api_version;
    let asked = match request.session_epoch {
        NEW_SESSION | NO_SESSION => Ok(open(context, &request, version)),
        _ => resume(context, &request, version),
    };
    let asked = match asked {
        Ok(asked) => asked,
        Err(code) => return respond_now(header, &refusal(code)),
    };
    let refused = hints::of_fetch(context, version, &request);
    let wait_ms_max = if refused.is_empty() { at_least_0(request.max_wait_ms) } else { 0 };
    let mut merge = Merge {
        answer: AnswerForm::of(header)?,
        bytes_left: at_least_0(request.max_bytes)
            .min(context.config.fetch_bytes_max)
            .min(context.answer_bytes_max),
        read_committed: request.isolation_level == 1,
        any: false,
        refused,
    };
    let shared = FetchRequest {
        partitions: Arc::default(),
        first: 0,
        wait_ms_max,
        bytes_min: at_least_0(request.min_bytes),
        bytes_max: merge.bytes_left,
        read_committed: merge.read_committed,
        by: FetchedBy::Client,
    };
    let calls = match &asked {
        KeptPlan::Once(plan) => calls(plan, shared),
        KeptPlan::InSession { id, next_epoch } => match context.sessions.answering(*id, *next_epoch) {
            Ok(session) => calls(&session.plan, shared),
            Err(code) => return respond_now(header, &refusal(code)),
        },
    };
    Ok(ask(context, calls, Wait::FirstThenNudge, move |context, results| {
        if context.answers_are_full {
            // Others' were ready earlier. The client asks again, and waits for its turn before anything is read.
            merge.give_way();
        }
        match asked {
            KeptPlan::Once(mut plan) => merge.respond(&mut plan, None, results),
            KeptPlan::InSession { id, next_epoch } => match context.sessions.answering(id, next_epoch) {
                Ok(session) => merge.respond(&mut session.plan, Some((id, next_epoch)), results),
                Err(code) => merge.answer.send(&refusal(code)),
            },
        }
    }))
}

/// Where what is fetched is written down.
enum KeptPlan {
    Once(Plan),
    InSession { id: i32, next_epoch: i32 },
}

fn refusal(code: ErrorCode) -> FetchResponse<'static> {
    FetchResponse { error_code: code.code(), ..FetchResponse::default() }
}

fn at_least_0(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

/// A request that names all it wants; it ends the session it comes from.
fn open(context: &mut Context<'_>, request: &messages::FetchRequest<'_>, version: i16) -> KeptPlan {
    context.sessions.close(request.session_id);
    let replica = request.replica_id.max(request.replica_state.replica_id);
    let plan = plan(context, request, version, replica);
    if request.session_epoch != NEW_SESSION || replica >= 0 {
        return KeptPlan::Once(plan);
    }
    match context.sessions.open(context.now.mono, context.image, version >= IDS_FROM, plan) {
        Ok(id) => KeptPlan::InSession { id, next_epoch: 1 },
        Err(plan) => KeptPlan::Once(plan),
    }
}

/// A request that names only what has changed since the last one of its session.
fn resume(
    context: &mut Context<'_>,
    request: &messages::FetchRequest<'_>,
    version: i16,
) -> Result<KeptPlan, ErrorCode> {
    let (id, image) = (request.session_id, context.image);
    let by_id = version >= IDS_FROM;
    let sessions = &mut *context.sessions;
    let session = sessions.resume(context.now.mono, image, id, request.session_epoch, by_id)?;
    let next_epoch = session.epoch;
    for topic in &request.topics {
        let key = Key::of(topic_key(version, topic.topic_id, &topic.topic));
        for asked in &topic.partitions {
            if !sessions.set(id, image, key.clone(), asked.partition, wanted(asked)) {
                // It has grown out of all bounds: the client may begin anew, with a full fetch.
                sessions.close(id);
                return Err(ErrorCode::FetchSessionIdNotFound);
            }
        }
    }
    for topic in &request.forgotten_topics_data {
        let key = Key::of(topic_key(version, topic.topic_id, &topic.topic));
        topic.partitions.iter().for_each(|index| sessions.forget(id, &key, *index));
    }
    if sessions.answering(id, next_epoch)?.is_empty() {
        sessions.close(id);
        return Ok(KeptPlan::Once(Plan::default()));
    }
    Ok(KeptPlan::InSession { id, next_epoch })
}

fn topic_key<'a>(version: i16, id: TopicId, name: &'a str) -> TopicKey<'a> {
    if version >= IDS_FROM { TopicKey::Id(id) } else { TopicKey::Name(name) }
}

fn wanted(asked: &fetch_request::FetchPartition) -> Wanted {
    FetchPartition {
        partition: TopicPartition { topic: TopicId::ZERO, partition: PartitionIndex(asked.partition) },
        offset: Offset(asked.fetch_offset),
        current_leader_epoch: LeaderEpoch(asked.current_leader_epoch),
        last_fetched_epoch: LeaderEpoch(asked.last_fetched_epoch),
        bytes_max: at_least_0(asked.partition_max_bytes),
        known: Known::NOTHING,
    }
}

fn plan(context: &Context<'_>, request: &messages::FetchRequest<'_>, version: i16, replica: i32) -> Plan {
    // There are no followers: whoever asks as one is not in the partition's replicas.
    let refused = (replica >= 0).then_some(ErrorCode::NotLeaderOrFollower);
    let mut plan = Plan::default();
    let mut order = 0;
    for (number, topic) in (0..).zip(&*repeats::each_once(&request.topics)) {
        let key = Key::of(topic_key(version, topic.topic_id, &topic.topic));
        plan.topics.push(key.resolve(context.image));
        for asked in &topic.partitions {
            let named = NamedPartition { topic: number, index: asked.partition, order };
            plan.add(context.image, named, wanted(asked), refused);
            order += 1;
        }
    }
    plan
}

/// What is asked of each shard; nobody waits when some partition has failed already.
fn calls(plan: &Plan, shared: FetchRequest) -> Vec<(ShardId, ShardQuestion<Vec<FetchResult>>)> {
    let wait_ms_max = if plan.failed.is_empty() { shared.wait_ms_max } else { 0 };
    let asked = plan.asked().map(|call| {
        let partitions = Arc::clone(&call.partitions);
        let request = FetchRequest { partitions, first: call.first, wait_ms_max, ..shared.clone() };
        (call.shard, ShardRequest::fetch(request))
    });
    asked.collect()
}

/// The shards' answers becoming one.
struct Merge {
    answer: AnswerForm,
    /// Every shard may have used the whole limit; what comes later gives way.
    bytes_left: u32,
    read_committed: bool,
    /// Some partition's records are in already: the first go whole, whatever the limit.
    any: bool,
    /// Whatever their shards say.
    refused: Refused,
}

/// A partition's part of the answer.
struct Part {
    named: NamedPartition,
    /// Which call's which partition; `None` when nobody was asked.
    from: Option<(usize, usize)>,
    outcome: Result<Fetched, ErrorCode>,
}

impl Merge {
    /// `session` is the one the plan belongs to, and its epoch; `results` has a list per call.
    fn respond(
        mut self,
        plan: &mut Plan,
        session: Option<(i32, i32)>,
        results: Vec<Vec<FetchResult>>,
    ) -> Step {
        let mut parts = parts(plan, results);
        for part in &mut parts {
            if self.refused.leader(plan.topics[part.named.topic as usize].id, part.named.index).is_some() {
                part.outcome = Err(ErrorCode::NotLeaderOrFollower);
            }
        }
        match session {
            None => parts.sort_by_key(|part| part.named.order),
            Some((_, epoch)) => {
                // Shards take turns; within each, its partitions do.
                let calls = plan.calls.len().max(1);
                let turn = |call: usize| (call + usize::try_from(epoch).unwrap_or(0)) % calls;
                parts.sort_by_key(|part| part.from.map(|(call, _)| turn(call)));
            }
        }
        let answer = self.answer;
        let mut responses: Vec<FetchableTopicResponse<'_>> = Vec::new();
        let mut topic_before = None;
        for Part { named, from, outcome } in parts {
            let known = match &outcome {
                Ok(fetched) => Known { high_watermark: fetched.high_watermark, log_start: fetched.log_start },
                // When the error goes away, that is news.
                Err(_) => Known::NOTHING,
            };
            let mut data = match outcome {
                Ok(fetched) => self.data(named.index, fetched),
                Err(code) => self.failure(named.index, code),
            };
            let topic = plan.topics[named.topic as usize].id;
            if let Some(leader) = self.refused.leader(topic, named.index) {
                data.current_leader = LeaderIdAndEpoch { leader_id: leader.node, leader_epoch: leader.epoch };
            }
            if let (Some(_), Some((call, at))) = (session, from) {
                plan.told(call, at, known, !data.records.is_empty());
            }
            if topic_before != Some(named.topic) {
                topic_before = Some(named.topic);
                let topic = &plan.topics[named.topic as usize];
                let mut response = FetchableTopicResponse::default();
                if answer.version >= IDS_FROM {
                    response.topic_id = topic.id;
                } else {
                    response.topic = topic.name.to_string().into();
                }
                responses.push(response);
            }
            responses.last_mut().expect("just pushed").partitions.push(data);
        }
        let session_id = session.map_or(0, |(id, _)| id);
        let node_endpoints = self.refused.fetch_endpoints();
        answer.send(&FetchResponse { session_id, responses, node_endpoints, ..FetchResponse::default() })
    }

    /// No records go into the answer.
    fn give_way(&mut self) {
        self.any = true;
        self.bytes_left = 0;
    }

    fn data(&mut self, index: i32, fetched: Fetched) -> PartitionData<'static> {
        let mut data = PartitionData {
            high_watermark: fetched.high_watermark.0,
            last_stable_offset: fetched.last_stable_offset.0,
            log_start_offset: fetched.log_start.0,
            ..self.failure(index, ErrorCode::None)
        };
        if let Some(agreed) = fetched.diverging {
            data.diverging_epoch = EpochEndOffset { epoch: agreed.epoch.0, end_offset: agreed.end.0 };
        }
        if self.take(fetched.records_bytes()) {
            data.records = Records::Gather(fetched.records);
        }
        data
    }

    /// Whether this many more bytes of records go into the answer.
    fn take(&mut self, bytes: usize) -> bool {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        if bytes == 0 || (self.any && bytes > self.bytes_left) {
            return false;
        }
        self.any = true;
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
        true
    }

    /// Empty records, never null: some clients stumble over null.
    fn failure(&self, index: i32, code: ErrorCode) -> PartitionData<'static> {
        PartitionData {
            partition_index: index,
            error_code: code.code(),
            high_watermark: -1,
            aborted_transactions: self.read_committed.then(Vec::new),
            records: Records::EMPTY,
            ..PartitionData::default()
        }
    }
}

/// What failed before it was asked, and what shards had to say.
fn parts(plan: &Plan, results: Vec<Vec<FetchResult>>) -> Vec<Part> {
    let failed = plan.failed.iter();
    let mut parts: Vec<Part> =
        failed.map(|it| Part { named: it.named, from: None, outcome: Err(it.code) }).collect();
    let calls = plan.calls.iter().enumerate().filter(|(_, call)| !call.named.is_empty());
    for ((number, call), results) in calls.zip(results) {
        parts.extend(results.into_iter().filter_map(|result| {
            let at = result.index as usize;
            let outcome = result.outcome.map_err(|error| partition_error(&error));
            Some(Part { named: *call.named.get(at)?, from: Some((number, at)), outcome })
        }));
    }
    parts
}

#[cfg(test)]
mod tests;
