//! Single requests, for what a well-behaved client would not send.

use ringmain::base::{
    NodeId, Offset, PartitionIndex, Payload, ProducerEpoch, ProducerId, TimestampMs, TopicId,
};
use ringmain::client::{Cluster, Connection, ConnectionOptions, Missing, Response};
use ringmain::protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use ringmain::protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use ringmain::protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use ringmain::protocol::messages::{
    DeleteRecordsRequest, DeleteRecordsResponse, FetchRequest, FetchResponse, InitProducerIdRequest,
    InitProducerIdResponse, ProduceRequest, ProduceResponse,
};
use ringmain::protocol::{ApiKey, ErrorCode, Records, encode_request};
use ringmain::record::{BatchBuilder, BatchHeader};

use super::server::{PATIENCE, Server};

/// A connection to the leader of one partition.
pub struct Wire {
    pub connection: Connection,
    topic: String,
    topic_id: TopicId,
    pub partition: PartitionIndex,
}

/// What the broker says of one produced batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Produced {
    pub error: ErrorCode,
    pub base_offset: Offset,
    pub log_append_time: TimestampMs,
}

/// What the broker says of one fetched partition.
#[derive(Clone, Debug)]
pub struct Fetched {
    pub error: ErrorCode,
    pub high_watermark: Offset,
    pub bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub min_bytes: i32,
    pub max_bytes: i32,
    pub max_wait_ms: i32,
}

impl Limits {
    /// Whatever is there, at once.
    pub const NOW: Limits = Limits { min_bytes: 0, max_bytes: 1 << 30, max_wait_ms: 0 };
}

impl Wire {
    pub fn to(server: &Server, topic: &str, partition: i32) -> Wire {
        let mut cluster: Cluster = server.cluster();
        let view = cluster.ready_topic(topic, Missing::Fail, PATIENCE).expect("the topic has leaders");
        let partition = PartitionIndex(partition);
        let leader: NodeId = cluster.leader(topic, partition).expect("the partition has one");
        let broker = cluster.brokers().iter().find(|broker| broker.node == leader).expect("a known node");
        let address = format!("{}:{}", broker.host, broker.port);
        let options = ConnectionOptions { request_timeout: PATIENCE, ..Default::default() };
        let connection = Connection::connect(&address, &options).expect("the leader answers");
        Wire { connection, topic: topic.to_owned(), topic_id: view.id, partition }
    }

    /// Another connection to the same place, for another partition there.
    pub fn beside(&self, partition: i32) -> Wire {
        let options = ConnectionOptions { request_timeout: PATIENCE, ..Default::default() };
        let connection = Connection::connect(self.connection.address(), &options).expect("it answers");
        Wire {
            connection,
            topic: self.topic.clone(),
            topic_id: self.topic_id,
            partition: PartitionIndex(partition),
        }
    }

    pub fn send_produce(&mut self, partition: PartitionIndex, batch: Vec<u8>) {
        self.connection.send(&self.produce_request(partition, batch, -1)).expect("the broker reads");
    }

    /// Produces with acks=0: nobody says what became of it.
    pub fn send_unanswered(&mut self, batch: Vec<u8>) {
        let request = self.produce_request(self.partition, batch, 0);
        let version = self.connection.version_up_to::<ProduceRequest<'_>>(i16::MAX).expect("served");
        self.connection.send_unanswered(&request, version).expect("the broker reads");
    }

    /// The bytes of a produce request, for whoever sends them in another way. The answer carries `correlation`.
    pub fn produce_bytes(&self, batch: Vec<u8>, correlation: i32) -> Vec<u8> {
        let request = self.produce_request(self.partition, batch, -1);
        let version = self.connection.version_up_to::<ProduceRequest<'_>>(i16::MAX).expect("served");
        encode_request(ApiKey::Produce, version, correlation, None, &request).expect("it encodes").to_vec()
    }

    fn produce_request(
        &self,
        partition: PartitionIndex,
        batch: Vec<u8>,
        acks: i16,
    ) -> ProduceRequest<'static> {
        let records = Records::Gather(vec![Payload::from(bytes::Bytes::from(batch))]);
        ProduceRequest {
            transactional_id: None,
            acks,
            timeout_ms: 30_000,
            topic_data: vec![TopicProduceData {
                name: self.topic.clone().into(),
                topic_id: self.topic_id,
                partition_data: vec![PartitionProduceData { index: partition.0, records }],
            }],
        }
    }

    pub fn receive_produced(&mut self) -> Produced {
        produced(&self.connection.receive().expect("the broker answers"))
    }

    pub fn produce(&mut self, batch: Vec<u8>) -> Produced {
        self.send_produce(self.partition, batch);
        self.receive_produced()
    }

    /// Produces a batch that must be taken, and returns its base offset.
    pub fn append(&mut self, batch: Vec<u8>) -> Offset {
        let produced = self.produce(batch);
        assert_eq!(produced.error, ErrorCode::None);
        produced.base_offset
    }

    pub fn send_fetch(&mut self, offset: Offset, limits: Limits) {
        self.send_fetch_of(&[self.partition.0], offset, limits);
    }

    pub fn send_fetch_of(&mut self, partitions: &[i32], offset: Offset, limits: Limits) {
        let asked = |partition: &i32| FetchPartition {
            partition: *partition,
            fetch_offset: offset.0,
            partition_max_bytes: limits.max_bytes,
            ..Default::default()
        };
        let request = FetchRequest {
            max_wait_ms: limits.max_wait_ms,
            min_bytes: limits.min_bytes,
            max_bytes: limits.max_bytes,
            topics: vec![FetchTopic {
                topic: self.topic.as_str().into(),
                topic_id: self.topic_id,
                partitions: partitions.iter().map(asked).collect(),
            }],
            ..Default::default()
        };
        self.connection.send(&request).expect("the broker reads");
    }

    pub fn receive_fetched(&mut self) -> Fetched {
        let answer = self.connection.receive().expect("the broker answers");
        let response: FetchResponse<'_> = answer.decode().expect("a fetch response");
        let partition = &response.responses[0].partitions[0];
        Fetched {
            error: code(partition.error_code),
            high_watermark: Offset(partition.high_watermark),
            bytes: partition.records.to_vec(),
        }
    }

    pub fn fetch(&mut self, offset: Offset, limits: Limits) -> Fetched {
        self.send_fetch(offset, limits);
        self.receive_fetched()
    }

    /// Deletes what is below an offset; the log's new start.
    pub fn delete_records(&mut self, offset: i64) -> Result<Offset, ErrorCode> {
        let partition = DeleteRecordsPartition { partition_index: self.partition.0, offset };
        let topic = DeleteRecordsTopic { name: self.topic.as_str().into(), partitions: vec![partition] };
        let request = DeleteRecordsRequest { topics: vec![topic], timeout_ms: 10_000 };
        let answer = self.connection.call(&request).expect("the broker answers");
        let response: DeleteRecordsResponse<'_> = answer.decode().expect("a DeleteRecords response");
        let partition = &response.topics[0].partitions[0];
        match code(partition.error_code) {
            ErrorCode::None => Ok(Offset(partition.low_watermark)),
            error => Err(error),
        }
    }

    pub fn init_producer_id(&mut self) -> (ProducerId, ProducerEpoch) {
        let request = InitProducerIdRequest {
            transactional_id: None,
            transaction_timeout_ms: i32::MAX,
            producer_id: -1,
            producer_epoch: -1,
            ..Default::default()
        };
        let mut answered = None;
        super::server::wait_until("the broker gives a producer id", || {
            let answer = self.connection.call(&request).expect("the broker answers");
            let response: InitProducerIdResponse = answer.decode().expect("an InitProducerId response");
            answered = Some((ProducerId(response.producer_id), ProducerEpoch(response.producer_epoch)));
            code(response.error_code) == ErrorCode::None
        });
        answered.expect("the wait ended")
    }
}

/// A batch of small records.
pub fn batch(values: &[&str]) -> Vec<u8> {
    builder(values).finish().expect("a batch")
}

pub fn builder(values: &[&str]) -> BatchBuilder {
    let mut builder = BatchBuilder::new(TimestampMs(1_700_000_000_000));
    for value in values {
        builder.append(None, Some(value.as_bytes()));
    }
    builder
}

/// The headers of fetched batches; the last one may be cut off.
pub fn headers(mut bytes: &[u8]) -> Vec<BatchHeader> {
    let mut headers = Vec::new();
    while let Ok(header) = BatchHeader::parse(bytes) {
        let Some(rest) = bytes.get(header.total_bytes()..) else { break };
        headers.push(header);
        bytes = rest;
    }
    headers
}

fn produced(answer: &Response) -> Produced {
    let response: ProduceResponse<'_> = answer.decode().expect("a produce response");
    let partition = &response.responses[0].partition_responses[0];
    Produced {
        error: code(partition.error_code),
        base_offset: Offset(partition.base_offset),
        log_append_time: TimestampMs(partition.log_append_time_ms),
    }
}

fn code(code: i16) -> ErrorCode {
    ErrorCode::from_code(code).expect("an error code that Kafka has")
}
