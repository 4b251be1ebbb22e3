//! The topic under load: created, found, measured at both ends, deleted.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use ringmain::protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    DeleteTopicsRequest, DeleteTopicsResponse, DescribeConfigsRequest, DescribeConfigsResponse,
    ListOffsetsRequest, ListOffsetsResponse, MetadataRequest, MetadataResponse,
    create_partitions_request as partitions, create_topics_request as create,
    delete_topics_request as delete, describe_configs_request as configs, list_offsets_request as offsets,
    metadata_request as metadata,
};
use ringmain::protocol::{ApiKey, ErrorCode, decode_body};

use crate::broker::Broker;
use crate::error::BenchError;

/// A broker may take its time with ten thousand.
const LEADERS_WITHIN: Duration = Duration::from_secs(300);
const PAUSE_MAX: Duration = Duration::from_millis(500);

const TIMEOUT_MS: i32 = 30_000;
/// Kafka refuses requests for ten thousand.
const PARTITIONS_AT_ONCE: usize = 5000;

pub struct Topic {
    pub name: String,
    /// By index.
    pub partitions: Vec<Partition>,
}

#[derive(Clone, Debug)]
pub struct Partition {
    pub index: i32,
    pub leader: i32,
    pub leader_address: String,
}

/// Which end of a partition to ask for.
#[derive(Clone, Copy)]
pub enum End {
    Start = -2,
    End = -1,
}

/// Creates the topic unless it is there; says whether it did.
pub fn create(
    broker: &mut Broker,
    name: &str,
    partitions: usize,
    replication_factor: i16,
    configs: &[(String, String)],
) -> Result<bool, BenchError> {
    let configs = configs.iter().map(|(name, value)| create::CreatableTopicConfig {
        name: name.as_str().into(),
        value: Some(value.as_str().into()),
    });
    let topic = create::CreatableTopic {
        name: name.into(),
        num_partitions: count(partitions.min(PARTITIONS_AT_ONCE)),
        replication_factor,
        configs: configs.collect(),
        ..Default::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: TIMEOUT_MS, ..Default::default() };
    let (version, body) = broker.call(ApiKey::CreateTopics, 7, &request)?;
    let answer: CreateTopicsResponse<'_> = decode_body(&body, version)?;
    match answer.topics.first().ok_or(BenchError::Answer)?.error_code {
        0 => {}
        code if code == ErrorCode::TopicAlreadyExists.code() => {
            let found = leaders(broker, name)?.map_or(partitions, |topic| topic.partitions.len());
            if found < partitions {
                return Err(BenchError::Partitions { topic: name.to_owned(), found, wanted: partitions });
            }
            return Ok(false);
        }
        code => return Err(BenchError::Broker { what: "CreateTopics", code }),
    }
    for total in (PARTITIONS_AT_ONCE..partitions).step_by(PARTITIONS_AT_ONCE).skip(1).chain([partitions]) {
        if total > PARTITIONS_AT_ONCE {
            grow(broker, name, total)?;
        }
    }
    Ok(true)
}

/// Brings a topic to so many partitions.
fn grow(broker: &mut Broker, name: &str, total: usize) -> Result<(), BenchError> {
    let topic =
        partitions::CreatePartitionsTopic { name: name.into(), count: count(total), assignments: None };
    let request =
        CreatePartitionsRequest { topics: vec![topic], timeout_ms: TIMEOUT_MS, ..Default::default() };
    let (version, body) = broker.call(ApiKey::CreatePartitions, 3, &request)?;
    let answer: CreatePartitionsResponse<'_> = decode_body(&body, version)?;
    match answer.results.first().ok_or(BenchError::Answer)?.error_code {
        0 => Ok(()),
        code => Err(BenchError::Broker { what: "CreatePartitions", code }),
    }
}

fn count(partitions: usize) -> i32 {
    i32::try_from(partitions).unwrap_or(i32::MAX)
}

/// Whether there is such a topic.
pub fn exists(broker: &mut Broker, name: &str) -> Result<bool, BenchError> {
    Ok(leaders(broker, name)?.is_some())
}

/// What the topic's flush.messages says about what an acknowledgement means.
pub fn durability(broker: &mut Broker, name: &str) -> Result<String, BenchError> {
    const RESOURCE_TOPIC: i8 = 2;
    const FLUSH: &str = "flush.messages";
    let resource = configs::DescribeConfigsResource {
        resource_type: RESOURCE_TOPIC,
        resource_name: name.into(),
        configuration_keys: Some(vec![FLUSH.into()]),
    };
    let request = DescribeConfigsRequest { resources: vec![resource], ..Default::default() };
    let (version, body) = broker.call(ApiKey::DescribeConfigs, 3, &request)?;
    let answer: DescribeConfigsResponse<'_> = decode_body(&body, version)?;
    let mut entries = answer.results.iter().flat_map(|result| &result.configs);
    let value = entries.find(|entry| entry.name == FLUSH).and_then(|entry| entry.value.as_deref());
    Ok(match value {
        Some("1") => "synced to the disk before it is acknowledged (flush.messages=1)".to_owned(),
        Some(value) => format!("acknowledged from memory, not synced (flush.messages={value})"),
        None => "the broker does not say (no flush.messages)".to_owned(),
    })
}

pub fn delete(broker: &mut Broker, name: &str) -> Result<(), BenchError> {
    let request = DeleteTopicsRequest {
        topics: vec![delete::DeleteTopicState { name: Some(name.into()), ..Default::default() }],
        topic_names: vec![],
        timeout_ms: TIMEOUT_MS,
    };
    let by_name = DeleteTopicsRequest { topics: vec![], topic_names: vec![name.into()], ..request.clone() };
    let flexible = broker.versions().common(ApiKey::DeleteTopics, 6)? == 6;
    let request = if flexible { request } else { by_name };
    let (version, body) = broker.call(ApiKey::DeleteTopics, 6, &request)?;
    let answer: DeleteTopicsResponse<'_> = decode_body(&body, version)?;
    match answer.responses.first().ok_or(BenchError::Answer)?.error_code {
        0 => Ok(()),
        code => Err(BenchError::Broker { what: "DeleteTopics", code }),
    }
}

/// Waits until every partition has a leader that answers, and finds them all.
pub fn find(broker: &mut Broker, name: &str, partitions: usize) -> Result<Topic, BenchError> {
    let begun = Instant::now();
    let mut pause = Duration::from_millis(20);
    loop {
        match leaders(broker, name)? {
            Some(topic) if topic.partitions.len() >= partitions && settled(topic.offsets(End::End))? => {
                return Ok(topic);
            }
            _ => {}
        }
        if begun.elapsed() > LEADERS_WITHIN {
            return Err(BenchError::NoLeader(name.to_owned()));
        }
        sleep(pause);
        // Asking for thousands of offsets must not keep the broker from making them.
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Metadata may know a leader before the leader does.
fn settled(asked: Result<BTreeMap<i32, i64>, BenchError>) -> Result<bool, BenchError> {
    match asked {
        Ok(_) => Ok(true),
        Err(BenchError::Broker { code, .. })
            if ErrorCode::from_code(code).is_some_and(ErrorCode::is_retriable) =>
        {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

fn leaders(broker: &mut Broker, name: &str) -> Result<Option<Topic>, BenchError> {
    let topic = metadata::MetadataRequestTopic { name: Some(name.into()), ..Default::default() };
    let request =
        MetadataRequest { topics: Some(vec![topic]), allow_auto_topic_creation: false, ..Default::default() };
    let (version, body) = broker.call(ApiKey::Metadata, 9, &request)?;
    let answer: MetadataResponse<'_> = decode_body(&body, version)?;
    let nodes: BTreeMap<i32, String> =
        answer.brokers.iter().map(|node| (node.node_id, format!("{}:{}", node.host, node.port))).collect();
    let Some(topic) = answer.topics.first().filter(|topic| topic.error_code == 0) else {
        return Ok(None);
    };
    let mut partitions = Vec::new();
    for partition in &topic.partitions {
        let Some(address) = nodes.get(&partition.leader_id) else { return Ok(None) };
        partitions.push(Partition {
            index: partition.partition_index,
            leader: partition.leader_id,
            leader_address: address.clone(),
        });
    }
    partitions.sort_by_key(|partition| partition.index);
    Ok(Some(Topic { name: name.to_owned(), partitions }))
}

impl Topic {
    /// Start or end offset of each partition, from its leader.
    pub fn offsets(&self, end: End) -> Result<BTreeMap<i32, i64>, BenchError> {
        let mut by_leader: BTreeMap<(i32, &str), Vec<i32>> = BTreeMap::new();
        for partition in &self.partitions {
            let leader = (partition.leader, partition.leader_address.as_str());
            by_leader.entry(leader).or_default().push(partition.index);
        }
        let mut found = BTreeMap::new();
        for ((_, address), partitions) in by_leader {
            self.offsets_at(&mut Broker::connect(address)?, &partitions, end, &mut found)?;
        }
        Ok(found)
    }

    fn offsets_at(
        &self,
        broker: &mut Broker,
        partitions: &[i32],
        end: End,
        found: &mut BTreeMap<i32, i64>,
    ) -> Result<(), BenchError> {
        let wanted = partitions.iter().map(|index| offsets::ListOffsetsPartition {
            partition_index: *index,
            timestamp: end as i64,
            ..Default::default()
        });
        let topic =
            offsets::ListOffsetsTopic { name: self.name.as_str().into(), partitions: wanted.collect() };
        let request = ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() };
        let (version, body) = broker.call(ApiKey::ListOffsets, 6, &request)?;
        let answer: ListOffsetsResponse<'_> = decode_body(&body, version)?;
        for partition in answer.topics.iter().flat_map(|topic| &topic.partitions) {
            if partition.error_code != 0 {
                return Err(BenchError::Broker { what: "ListOffsets", code: partition.error_code });
            }
            found.insert(partition.partition_index, partition.offset);
        }
        Ok(())
    }
}
