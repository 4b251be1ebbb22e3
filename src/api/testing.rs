//! For the tests of APIs: a server of two shards whose controller is the real one and whose disk is instant.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::base::rng::Rng;
use crate::base::{
    Home, LeaderEpoch, MonoNanos, Now, Offset, PartitionIndex, ProducerEpoch, ProducerId, ServerId, ShardId,
    TimestampMs, TopicId, TopicPartition,
};
use crate::config::Config;
use crate::controller::{
    ConfigChange, ConfigResource, Controller, ControllerConfig, ControllerReply, ControllerRequest,
    MetadataImage, NewPartitions, NewTopic, PartitionImage, Place, Resource, ResourceConfigs, TopicImage,
    TopicName, View,
};
use crate::protocol::{ApiKey, Message, Reader, RequestHeader, decode_body, encode_request};
use crate::shard::{
    Appended, EpochEnd, FetchRequest, FetchResult, Fetched, Known, ListedOffset, PartitionError,
    PartitionFacts, ProducePartition, ProduceResult, ProducerFacts, ShardReply, ShardRequest,
};

use super::row::Handler;
use super::{
    ConnectionState, Context, DiskSpace, FetchSessions, Hints, NodeMeant, Step, Telemetry, dispatch,
};

pub(super) struct Server {
    pub controller: Controller,
    pub config: Config,
    rng: Rng,
    pub sessions: FetchSessions,
    pub telemetry: Telemetry,
    pub now: MonoNanos,
    pub answers_are_full: bool,
    pub connection: ConnectionState,
}

impl Server {
    pub fn new() -> Server {
        Server::with(Config::default())
    }

    pub fn with(config: Config) -> Server {
        let own =
            ControllerConfig { shards: 2, ..ControllerConfig::new("0123456789abcdefghijkl".into(), &config) };
        Server {
            controller: Controller::new(own),
            config,
            rng: Rng::seeded(7),
            sessions: FetchSessions::new(10, 7),
            telemetry: Telemetry::new(7),
            now: MonoNanos(0),
            answers_are_full: false,
            connection: ConnectionState {
                software_name: String::new(),
                software_version: String::new(),
                client_host: "/127.0.0.1".into(),
                client_port: 7,
                node: NodeMeant::Unknown,
                view: View::Server,
                hints: Hints::default(),
                advertised_host: "localhost".into(),
                advertised_port: 9092,
            },
        }
    }

    /// Sends a request through its API and gives the answer's body.
    pub fn call<'m>(&mut self, handler: Handler, version: i16, request: &impl Message<'m>) -> Vec<u8> {
        let api = ApiKey::from_code(api_key(request)).expect("a request has an API");
        let frame = encode_request(api, version, 77, Some("test"), request)
            .expect("a request of this version")
            .to_vec();
        let mut reader = Reader::new(&frame[4..]);
        let header = RequestHeader::decode(&mut reader).expect("our own header");
        let body = Bytes::copy_from_slice(reader.rest());
        let step =
            self.in_context(|context| handler(context, &header, &body)).expect("a request of this version");
        let Step::Reply(frame) = self.finish(step) else { panic!("no answer") };
        let answer = frame.to_vec();
        let header_bytes = if version >= api.flexible_from() { 5 } else { 4 };
        assert_eq!(answer[4..8], 77i32.to_be_bytes());
        answer[4 + header_bytes..].to_vec()
    }

    /// Dispatches a request (without size prefix) to its last step.
    pub fn dispatch(&mut self, frame: &Bytes) -> Step {
        let step = self.in_context(|context| dispatch(context, frame));
        self.finish(step)
    }

    /// Creates a topic and gives its id.
    pub fn create(&mut self, name: &str, partitions: i32) -> TopicId {
        let request = create_topics_request(&[(name, partitions)]);
        self.shard(ShardId(0), &ShardRequest::Controller(request));
        self.controller.image().topic(name).expect("just created").id
    }

    pub fn grow(&mut self, name: &str, count: i32) {
        let topics = vec![NewPartitions { name: name.into(), count, assignments: None }];
        let request = ControllerRequest::CreatePartitions { topics, validate_only: false };
        self.shard(ShardId(0), &ShardRequest::Controller(request));
    }

    pub fn delete(&mut self, name: &str) {
        let request = ControllerRequest::DeleteTopics { topics: vec![TopicName::Name(name.into())] };
        self.shard(ShardId(0), &ShardRequest::Controller(request));
    }

    /// Has clients push metrics whose names begin so.
    pub fn subscribe(&mut self, name: &str, metrics: &str) {
        let change = ConfigChange::Replace(vec![("metrics".into(), Some(metrics.into()))]);
        let resource = ConfigResource::Other(Resource::ClientMetrics(name.into()));
        let resources = vec![ResourceConfigs { resource, change }];
        let request = ControllerRequest::AlterConfigs { resources, validate_only: false };
        self.shard(ShardId(0), &ShardRequest::Controller(request));
    }

    fn finish(&mut self, step: Step) -> Step {
        let ask = match step {
            Step::Ask(ask) => ask,
            Step::Read(mut reading) => {
                while !reading.slice() {}
                let next = self.in_context(|context| reading.finish(context));
                return self.finish(next);
            }
            step => return step,
        };
        assert!(ask.calls.is_sorted_by(|(one, _), (next, _)| one < next), "one call per shard, ascending");
        let replies = ask.calls.iter().map(|(shard, request)| self.shard(*shard, request)).collect();
        let next = self.in_context(|context| (ask.then)(context, replies));
        self.finish(next)
    }

    fn shard(&mut self, shard: ShardId, request: &ShardRequest) -> ShardReply {
        let request = match request {
            ShardRequest::Controller(request) => request,
            data => return stored(data),
        };
        assert_eq!(shard, ShardId(0));
        let decision = self.controller.decide(request, &mut self.rng);
        for record in &decision.records {
            let offset = self.controller.image().version;
            self.controller.replay(record, offset).expect("the controller's own record");
        }
        let reply: ControllerReply = decision.reply;
        ShardReply::Controller(reply)
    }

    fn in_context<T>(&mut self, run: impl FnOnce(&mut Context<'_>) -> T) -> T {
        let image = self.controller.image();
        run(&mut Context {
            served: &crate::api::SERVED,
            now: Now { mono: self.now, wall: TimestampMs(0) },
            shard: ShardId(1),
            image: &Arc::clone(&image),
            config: &self.config,
            disk: DiskSpace { total_bytes: 1000, usable_bytes: 400 },
            answer_bytes_max: u32::MAX,
            answers_are_full: self.answers_are_full,
            sessions: &mut self.sessions,
            telemetry: &mut self.telemetry,
            connection: &mut self.connection,
        })
    }
}

/// What a shard says whose partitions all begin at offset 5 and hold the bytes "batch"; those with odd numbers have
/// failed.
fn stored(request: &ShardRequest) -> ShardReply {
    match request {
        ShardRequest::Produce(request) => ShardReply::Produce(
            request
                .partitions
                .iter()
                .map(|ProducePartition { partition, .. }| ProduceResult {
                    partition: *partition,
                    outcome: healthy(*partition).map(|()| Appended {
                        base_offset: Offset(5),
                        log_append_time: TimestampMs::NONE,
                        log_start: Offset(5),
                    }),
                })
                .collect(),
        ),
        ShardRequest::Fetch(request) => ShardReply::Fetch(fetched(request)),
        ShardRequest::ListOffsets(partitions) => ShardReply::ListOffsets(
            partitions
                .iter()
                .map(|asked| {
                    healthy(asked.partition).map(|()| ListedOffset {
                        offset: Offset(5),
                        timestamp: TimestampMs(7),
                        leader_epoch: LeaderEpoch(2),
                    })
                })
                .collect(),
        ),
        ShardRequest::OffsetForLeaderEpoch(partitions) => ShardReply::OffsetForLeaderEpoch(
            partitions
                .iter()
                .map(|asked| {
                    healthy(asked.partition).map(|()| EpochEnd { epoch: LeaderEpoch(2), end: Offset(6) })
                })
                .collect(),
        ),
        ShardRequest::DeleteRecords(partitions) => ShardReply::DeleteRecords(
            partitions
                .iter()
                .map(|asked| healthy(asked.partition).map(|()| asked.before.unwrap_or(Offset(6))))
                .collect(),
        ),
        ShardRequest::DescribePartitions(partitions) => {
            let producer = ProducerFacts {
                id: ProducerId(7),
                epoch: ProducerEpoch(1),
                last_sequence: 41,
                last_timestamp: TimestampMs(9),
            };
            let facts = PartitionFacts { size_bytes: 500, producers: vec![producer] };
            let results = partitions.iter().map(|asked| healthy(*asked).map(|()| facts.clone()));
            ShardReply::DescribePartitions(results.collect())
        }
        other => panic!("no shard is asked {other:?} here"),
    }
}

/// Batches end at offset 6; what the asker knows already is left out.
fn fetched(request: &FetchRequest) -> Vec<FetchResult> {
    let known = Known { high_watermark: Offset(6), log_start: Offset(5) };
    let all = (0..).zip(request.partitions.iter()).skip(request.first);
    let turned = all.chain((0..).zip(request.partitions.iter()).take(request.first));
    let news = turned.filter(|(_, asked)| {
        asked.offset < Offset(6) || asked.known != known || healthy(asked.partition).is_err()
    });
    news.map(|(index, asked)| FetchResult {
        index,
        outcome: healthy(asked.partition).map(|()| Fetched {
            high_watermark: known.high_watermark,
            last_stable_offset: known.high_watermark,
            log_start: known.log_start,
            diverging: None,
            records: Vec::from_iter((asked.offset < Offset(6)).then(|| Bytes::from_static(b"batch").into())),
        }),
    })
    .collect()
}

fn healthy(partition: TopicPartition) -> Result<(), PartitionError> {
    if partition.partition.0 % 2 == 0 { Ok(()) } else { Err(PartitionError::StorageFailed) }
}

/// The image of a server with these topics and partition counts.
pub(super) fn image(shards: u16, topics: &[(&str, i32)]) -> Arc<MetadataImage> {
    let config = Config::default();
    let own = ControllerConfig { shards, ..ControllerConfig::new("0123456789abcdefghijkl".into(), &config) };
    let mut controller = Controller::new(own);
    let request = create_topics_request(topics);
    for record in &controller.decide(&request, &mut Rng::seeded(7)).records {
        let offset = controller.image().version;
        controller.replay(record, offset).expect("the controller's own record");
    }
    controller.image()
}

/// The image of server 1 of two: topic `spread` has a partition on each of its shards, one on server 2, and one that nobody leads.
pub(super) fn image_of_two_servers() -> Arc<MetadataImage> {
    let mut image = MetadataImage::clone(&image(2, &[]));
    let led = |server, home| PartitionImage::single(ServerId(server), LeaderEpoch(4), Home(home));
    image.put(TopicImage {
        id: TopicId([5; 16]),
        name: "spread".into(),
        ordinal: 0,
        partitions: vec![led(1, 6), led(2, 6), led(1, 7), PartitionImage::leaderless(ServerId(1), Home(8))],
        overrides: BTreeMap::new(),
        internal: false,
    });
    Arc::new(image)
}

/// The shard that leads a partition.
pub(super) fn home_of(image: &MetadataImage, topic: &str, index: i32) -> ShardId {
    let partition = image.topics[topic].partition(PartitionIndex(index)).expect("there");
    match image.place(partition) {
        Place::Here(shard) => shard,
        other => panic!("led {other:?}"),
    }
}

fn create_topics_request(topics: &[(&str, i32)]) -> ControllerRequest {
    let topics = topics.iter().map(|(name, partitions)| NewTopic {
        name: (*name).to_owned(),
        partitions: *partitions,
        replication_factor: 1,
        assignments: Vec::new(),
        configs: BTreeMap::new(),
        internal: false,
    });
    ControllerRequest::CreateTopics { topics: topics.collect(), validate_only: false }
}

fn api_key<'m, M: Message<'m>>(_: &M) -> i16 {
    M::API_KEY
}

/// Reads an answer's body.
pub(super) fn read<'a, M: Message<'a>>(body: &'a [u8], version: i16) -> M {
    decode_body(body, version).expect("an answer of this version")
}
