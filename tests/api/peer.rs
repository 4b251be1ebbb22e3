//! A connection to a server of two shards: the real dispatch and the real controller, whose disk is instant. What the
//! other shards reply is up to each test.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use ringmain::api::{
    ConnectionState, Context, DiskSpace, FetchSessions, Gather, Gathered, Hints, NodeMeant, Step, Telemetry,
    dispatch,
};
use ringmain::base::rng::Rng;
use ringmain::base::{MonoNanos, Now, ShardId, TimestampMs};
use ringmain::config::Config;
use ringmain::controller::{
    Controller, ControllerConfig, ControllerRequest, MetadataImage, NewTopic, TopicImage, View,
};
use ringmain::protocol::{ApiKey, Message, decode_body, encode_request, response_header_version};
use ringmain::shard::{ShardReply, ShardRequest};

const CORRELATION_ID: i32 = 77;

pub struct Peer {
    pub config: Config,
    pub connection: ConnectionState,
    /// What shards were asked, controller requests left out.
    pub asked: Vec<(ShardId, ShardRequest)>,
    /// Slices in which batches were read after the first.
    pub slices: usize,
    controller: Controller,
    sessions: FetchSessions,
    telemetry: Telemetry,
    rng: Rng,
}

/// How a request ended.
#[derive(Debug, PartialEq)]
pub enum End {
    /// The body of the answer.
    Answer(Vec<u8>),
    Silent,
    Closed(String),
}

impl End {
    pub fn body(self) -> Vec<u8> {
        match self {
            End::Answer(body) => body,
            other => panic!("no answer but {other:?}"),
        }
    }

    pub fn reason(self) -> String {
        match self {
            End::Closed(reason) => reason,
            other => panic!("not closed but {other:?}"),
        }
    }
}

impl Peer {
    /// The peer of a server that has these topics, each with so many partitions.
    pub fn new(topics: &[(&str, i32)]) -> Peer {
        Peer::with(Config::default(), topics)
    }

    pub fn with(config: Config, topics: &[(&str, i32)]) -> Peer {
        let own =
            ControllerConfig { shards: 2, ..ControllerConfig::new("0123456789abcdefghijkl".into(), &config) };
        let mut peer = Peer {
            config,
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
            asked: Vec::new(),
            slices: 0,
            controller: Controller::new(own),
            sessions: FetchSessions::new(10, 7),
            telemetry: Telemetry::new(7),
            rng: Rng::seeded(7),
        };
        let topics = topics.iter().map(|(name, partitions)| NewTopic {
            name: (*name).to_owned(),
            partitions: *partitions,
            replication_factor: 1,
            assignments: Vec::new(),
            configs: BTreeMap::new(),
            internal: false,
        });
        let request = ControllerRequest::CreateTopics { topics: topics.collect(), validate_only: false };
        peer.decide(&request);
        peer
    }

    /// A topic with configs of its own.
    pub fn create(&mut self, name: &str, partitions: i32, configs: &[(&str, &str)]) {
        let configs = configs.iter().map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned())));
        let topic = NewTopic {
            name: name.to_owned(),
            partitions,
            replication_factor: 1,
            assignments: Vec::new(),
            configs: configs.collect(),
            internal: false,
        };
        self.decide(&ControllerRequest::CreateTopics { topics: vec![topic], validate_only: false });
    }

    pub fn image(&self) -> Arc<MetadataImage> {
        self.controller.image()
    }

    pub fn topic(&self, name: &str) -> Arc<TopicImage> {
        Arc::clone(self.image().topic(name).expect("a topic of this test"))
    }

    /// Sends a request; `shards` plays every shard but the controller.
    pub fn send<'m, M: Message<'m>>(
        &mut self,
        version: i16,
        request: &M,
        shards: impl FnMut(ShardId, &ShardRequest) -> ShardReply,
    ) -> End {
        let api = ApiKey::from_code(M::API_KEY).expect("a request has an API");
        let bytes = encode_request(api, version, CORRELATION_ID, Some("tester"), request)
            .expect("a request of this version")
            .to_vec();
        let header = if response_header_version(M::API_KEY, version) >= 1 { 5 } else { 4 };
        self.send_frame(&Bytes::copy_from_slice(&bytes[4..]), header, shards)
    }

    /// Sends a request that no shard but the controller's is asked about.
    pub fn ask<'m, M: Message<'m>>(&mut self, version: i16, request: &M) -> Vec<u8> {
        self.send(version, request, |_, request| panic!("nobody should be asked {request:?}")).body()
    }

    /// Sends a frame without its size; the answer's header must have `header` bytes.
    pub fn send_frame(
        &mut self,
        frame: &Bytes,
        header: usize,
        mut shards: impl FnMut(ShardId, &ShardRequest) -> ShardReply,
    ) -> End {
        let mut step = self.in_context(|context| dispatch(context, frame));
        loop {
            step = match step {
                Step::Reply(answer) => return End::Answer(body(&answer.to_vec(), header)),
                Step::Silent => return End::Silent,
                Step::Close { reason } => return End::Closed(reason),
                Step::Ask(ask) => {
                    let mut gather = Gather::new(ask);
                    self.reply(&mut gather, &mut shards);
                    let (then, replies) = gather.into_parts();
                    self.in_context(|context| then(context, replies))
                }
                Step::Read(mut reading) => {
                    while !reading.slice() {
                        self.slices += 1;
                    }
                    self.in_context(|context| reading.finish(context))
                }
            };
        }
    }

    /// Brings the replies last call first: their order must not matter.
    fn reply(&mut self, gather: &mut Gather, shards: &mut impl FnMut(ShardId, &ShardRequest) -> ShardReply) {
        let calls = gather.take_calls();
        assert!(calls.is_sorted_by(|(a, _), (b, _)| a < b), "one call per shard, ascending");
        for (left, (shard, request)) in calls.into_iter().enumerate().rev() {
            let reply = match &request {
                ShardRequest::Controller(request) => {
                    assert_eq!(shard, ShardId(0));
                    ShardReply::Controller(self.decide(request))
                }
                other => shards(shard, other),
            };
            let gathered = gather.on_reply(shard, reply);
            assert_eq!(gathered == Gathered::All, left == 0);
            if !matches!(request, ShardRequest::Controller(_)) {
                self.asked.push((shard, request));
            }
        }
    }

    fn decide(&mut self, request: &ControllerRequest) -> ringmain::controller::ControllerReply {
        let decision = self.controller.decide(request, &mut self.rng);
        for record in &decision.records {
            let offset = self.controller.image().version;
            self.controller.replay(record, offset).expect("the controller's own record");
        }
        decision.reply
    }

    fn in_context<T>(&mut self, run: impl FnOnce(&mut Context<'_>) -> T) -> T {
        let image = self.controller.image();
        run(&mut Context {
            served: &ringmain::api::SERVED,
            now: Now { mono: MonoNanos(0), wall: TimestampMs(0) },
            shard: ShardId(1),
            image: &image,
            config: &self.config,
            disk: DiskSpace { total_bytes: 1000, usable_bytes: 400 },
            answer_bytes_max: u32::MAX,
            answers_are_full: false,
            sessions: &mut self.sessions,
            telemetry: &mut self.telemetry,
            connection: &mut self.connection,
        })
    }
}

/// Checks an answer's frame and takes its body.
fn body(answer: &[u8], header: usize) -> Vec<u8> {
    let size = i32::try_from(answer.len() - 4).expect("a small answer");
    assert_eq!(answer[..4], size.to_be_bytes());
    assert_eq!(answer[4..8], CORRELATION_ID.to_be_bytes());
    assert!(answer[8..4 + header].iter().all(|byte| *byte == 0), "no tags in the header");
    answer[4 + header..].to_vec()
}

/// Reads an answer's body, whole.
pub fn read<'a, M: Message<'a>>(body: &'a [u8], version: i16) -> M {
    decode_body(body, version).expect("an answer of this version")
}
