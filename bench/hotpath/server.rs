//! A server of one shard with no sockets, and a disk on which everything is done at once: requests take the way they take
//! in `server::requests` and `runtime::driver`, minus those. What is left out: receiving and sending, tasks, clocks, the mesh.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use ringmain::api::{
    ConnectionState, Context, DiskSpace, FetchSessions, Gather, Gathered, Hints, NodeMeant, Step, Telemetry,
    dispatch,
};
use ringmain::base::hash::IdMap;
use ringmain::base::rng::Rng;
use ringmain::base::{MonoNanos, Now, ShardId, TimestampMs};
use ringmain::commit::{CommitStart, FILES_MIN, GROUP_BYTES_MAX};
use ringmain::config::Config;
use ringmain::controller::{Controller, ControllerConfig, ControllerRequest, MetadataImage, NewTopic, View};
use ringmain::log::LogLimits;
use ringmain::protocol::Frame;
use ringmain::runtime::memory::ChunkMemory;
use ringmain::shard::{
    CompactionConfig, Effect, IoDone, IoRequest, RequestId, RetentionConfig, ScrubConfig, Shard, ShardConfig,
    ShardRecovery,
};

pub const TOPIC: &str = "flights";
pub const NOW: Now = Now { mono: MonoNanos(1), wall: TimestampMs(1_700_000_000_000) };
const HERE: ShardId = ShardId(0);
const CACHE_BYTES: usize = 64 << 20;

pub struct Server {
    shard: Shard,
    config: Config,
    sessions: FetchSessions,
    telemetry: Telemetry,
    connection: ConnectionState,
    asking: IdMap<u64, Gather>,
    next_ask: u64,
    under_way: VecDeque<IoRequest>,
    answers: Vec<Frame>,
}

impl Server {
    /// With one topic of one partition.
    pub fn start() -> Server {
        let config = Config::default();
        let memory = ChunkMemory::default();
        let live = memory.live();
        let recovered = recovered(&config);
        let allocate = Box::new(move |len| memory.allocate(len));
        Server {
            shard: Shard::new(shard_config(&config), recovered, allocate, live),
            config,
            sessions: FetchSessions::new(1000, 7),
            telemetry: Telemetry::new(7),
            connection: connection(),
            asking: IdMap::default(),
            next_ask: 0,
            under_way: VecDeque::new(),
            answers: Vec::new(),
        }
    }

    /// Begins a request; its answer is there when this returns, or after the next [`Server::turn`].
    pub fn handle(&mut self, frame: &Bytes) {
        let step = self.in_context(|context| dispatch(context, frame));
        self.take(step);
    }

    /// What follows a round of requests: the commit group is gathered, written and, once durable, answered.
    pub fn turn(&mut self) {
        loop {
            self.input(Shard::turn);
            if self.under_way.is_empty() {
                return;
            }
            while let Some(IoRequest { id, op: _ }) = self.under_way.pop_front() {
                self.input(|shard, now, effects| shard.io_done(now, id, IoDone::Done, effects));
            }
        }
    }

    pub fn take_answers(&mut self) -> Vec<Frame> {
        std::mem::take(&mut self.answers)
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Reply(frame) => self.answers.push(frame),
            Step::Ask(ask) => {
                let mut gather = Gather::new(ask);
                let calls = gather.take_calls();
                let number = self.next_ask;
                self.next_ask += 1;
                self.asking.insert(number, gather);
                let id = RequestId { origin: HERE, number };
                for (_, request) in calls {
                    self.input(|shard, now, effects| shard.request(now, id, request, effects));
                }
            }
            step @ (Step::Silent | Step::Close { .. } | Step::Read(_)) => {
                panic!("every request has an answer: {step:?}")
            }
        }
    }

    fn input(&mut self, give: impl FnOnce(&mut Shard, Now, &mut Vec<Effect>)) {
        let mut effects = Vec::new();
        give(&mut self.shard, NOW, &mut effects);
        for effect in effects {
            match effect {
                Effect::Io(request) => self.under_way.push_back(request),
                Effect::Reply { to, reply } => {
                    let gather = self.asking.get_mut(&to.number).expect("it was asked");
                    if gather.on_reply(HERE, reply) == Gathered::All {
                        self.complete(to.number);
                    }
                }
                effect => panic!("nothing of the kind happens here: {effect:?}"),
            }
        }
    }

    fn complete(&mut self, number: u64) {
        let gather = self.asking.remove(&number).expect("it is complete");
        let (then, replies) = gather.into_parts();
        let step = self.in_context(|context| then(context, replies));
        self.take(step);
    }

    fn in_context(&mut self, act: impl FnOnce(&mut Context<'_>) -> Step) -> Step {
        let image = Arc::clone(self.shard.current_image());
        act(&mut Context {
            served: &ringmain::api::SERVED,
            now: NOW,
            shard: HERE,
            image: &image,
            config: &self.config,
            disk: DiskSpace { total_bytes: 1 << 40, usable_bytes: 1 << 39 },
            answer_bytes_max: u32::MAX,
            answers_are_full: false,
            sessions: &mut self.sessions,
            telemetry: &mut self.telemetry,
            connection: &mut self.connection,
        })
    }
}

fn recovered(config: &Config) -> ShardRecovery {
    let files = (0..).take(FILES_MIN).collect();
    let commit = CommitStart {
        identity: [7; 16],
        next_sequence: 1,
        files,
        file_bytes: config.commit.file_bytes,
        files_max: config.commit.files_max.max(FILES_MIN),
        group_bytes_max: GROUP_BYTES_MAX,
    };
    ShardRecovery {
        commit,
        partitions: vec![],
        image: image(config),
        controller: None,
        directory: None,
        unplaced: Arc::default(),
    }
}

fn image(config: &Config) -> Arc<MetadataImage> {
    let mut controller = Controller::new(ControllerConfig::new("0123456789abcdefghijkl".into(), config));
    let topic = NewTopic {
        name: TOPIC.into(),
        partitions: 1,
        replication_factor: 1,
        assignments: vec![],
        configs: BTreeMap::new(),
        internal: false,
    };
    let request = ControllerRequest::CreateTopics { topics: vec![topic], validate_only: false };
    for record in &controller.decide(&request, &mut Rng::seeded(7)).records {
        let offset = controller.image().version;
        controller.replay(record, offset).expect("the controller's own record");
    }
    controller.image()
}

/// As the server makes it of a gibibyte; what is done in the background is left out.
fn shard_config(config: &Config) -> ShardConfig {
    ShardConfig {
        shard: HERE,
        shards: config.shards(),
        limits: LogLimits {
            direct_run_bytes: config.direct_run_bytes,
            chunk_bytes_max: config.chunk_bytes,
            create_allocate_bytes: 4 << 20,
            marks_step_bytes: 4 << 20,
        },
        cache_bytes: CACHE_BYTES,
        read_cache_bytes: 16 << 20,
        index_bytes: 4 << 20,
        read_bytes_max: 32 << 20,
        producers_max: 1000,
        unflushed_bytes_max: 32 << 20,
        groups: config.groups.clone(),
        retention: RetentionConfig {
            spares: None,
            check_ms: config.retention_check_ms,
            producer_expiration_ms: config.producer_id_expiration_ms,
        },
        compaction: CompactionConfig {
            enabled: false,
            backoff_ms: 1000,
            keys_max: 1000,
            bytes_per_second: 1,
        },
        scrub: ScrubConfig { period_ms: None, bytes_per_second: 1 },
        seed: 7,
        cluster: None,
    }
}

fn connection() -> ConnectionState {
    ConnectionState {
        software_name: String::new(),
        software_version: String::new(),
        client_host: "/127.0.0.1".into(),
        client_port: 7,
        node: NodeMeant::Unknown,
        view: View::Server,
        hints: Hints::default(),
        advertised_host: "localhost".into(),
        advertised_port: 9092,
    }
}
