//! For the tests of APIs: a server of two shards whose controller is the real one and whose disk is instant.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::base::rng::Rng;
use crate::base::{MonoNanos, Now, ShardId, TimestampMs};
use crate::config::Config;
use crate::controller::{
    Controller, ControllerConfig, ControllerReply, ControllerRequest, MetadataImage, NewTopic, View,
};
use crate::protocol::{ApiKey, Message, Reader, RequestHeader, decode_body, encode_request};
use crate::shard::{ShardReply, ShardRequest};

use super::{ApiError, ConnectionState, Context, Step};

type Start = fn(&mut Context<'_>, &RequestHeader<'_>, &Bytes) -> Result<Step, ApiError>;

pub(super) struct Server {
    pub controller: Controller,
    pub config: Config,
    rng: Rng,
    connection: ConnectionState,
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
            connection: ConnectionState {
                software_name: String::new(),
                software_version: String::new(),
                view: View::Server,
                advertised_host: "localhost".into(),
                advertised_port: 9092,
            },
        }
    }

    /// Sends a request through its API and gives the answer's body.
    pub fn call<'m>(&mut self, start: Start, version: i16, request: &impl Message<'m>) -> Vec<u8> {
        let api = ApiKey::from_code(api_key(request)).expect("a request has an API");
        let frame = encode_request(api, version, 77, Some("test"), request)
            .expect("a request of this version")
            .to_vec();
        let mut reader = Reader::new(&frame[4..]);
        let header = RequestHeader::decode(&mut reader).expect("our own header");
        let body = Bytes::copy_from_slice(reader.rest());
        let step =
            self.in_context(|context| start(context, &header, &body)).expect("a request of this version");
        let answer = self.finish(step);
        let header_bytes = if version >= api.flexible_from() { 5 } else { 4 };
        assert_eq!(answer[4..8], 77i32.to_be_bytes());
        answer[4 + header_bytes..].to_vec()
    }

    fn finish(&mut self, step: Step) -> Vec<u8> {
        match step {
            Step::Reply(frame) => frame.to_vec(),
            Step::Ask(ask) => {
                let replies = ask.calls.iter().map(|(shard, request)| self.shard(*shard, request)).collect();
                let next = self.in_context(|context| (ask.then)(context, replies));
                self.finish(next)
            }
            other => panic!("no answer but {other:?}"),
        }
    }

    fn shard(&mut self, shard: ShardId, request: &ShardRequest) -> ShardReply {
        let ShardRequest::Controller(request) = request else { panic!("only the controller is here") };
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
            now: Now { mono: MonoNanos(0), wall: TimestampMs(0) },
            shard: ShardId(1),
            image: &Arc::clone(&image),
            config: &self.config,
            connection: &mut self.connection,
        })
    }
}

/// The image of a server with these topics and partition counts.
pub(super) fn image(shards: u16, topics: &[(&str, i32)]) -> Arc<MetadataImage> {
    let config = Config::default();
    let own = ControllerConfig { shards, ..ControllerConfig::new("0123456789abcdefghijkl".into(), &config) };
    let mut controller = Controller::new(own);
    let topics = topics.iter().map(|(name, partitions)| NewTopic {
        name: (*name).to_owned(),
        partitions: *partitions,
        replication_factor: 1,
        assignments: Vec::new(),
        configs: BTreeMap::new(),
        internal: false,
    });
    let request = ControllerRequest::CreateTopics { topics: topics.collect(), validate_only: false };
    for record in &controller.decide(&request, &mut Rng::seeded(7)).records {
        let offset = controller.image().version;
        controller.replay(record, offset).expect("the controller's own record");
    }
    controller.image()
}

fn api_key<'m, M: Message<'m>>(_: &M) -> i16 {
    M::API_KEY
}

/// Reads an answer's body.
pub(super) fn read<'a, M: Message<'a>>(body: &'a [u8], version: i16) -> M {
    decode_body(body, version).expect("an answer of this version")
}
