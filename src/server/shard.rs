//! One shard's thread: its listener, its connections, what they have asked, and the orderly end.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, RawFd};
use std::path::PathBuf;
use std::rc::{Rc, Weak};
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use glommio::channels::channel_mesh::FullMesh;
use glommio::net::TcpListener;

use crate::admin::ScrapeRequest;
use crate::api::{
    self, ConnectionState, Context, DiskSpace, FetchSessions, Gather, Gathered, Hints, Step, Telemetry,
};
use crate::base::hash::IdMap;
use crate::base::keys::KEY_ENTRY_BYTES;
use crate::base::metrics::{HopCounters, NetworkCounters, RequestCounters, SERIES_MAX, ShardMetrics};
use crate::base::{MonoNanos, ShardId};
use crate::config::{Changes, Config};
use crate::controller::View;
use crate::log::LogLimits;
use crate::protocol::ApiKey;
use crate::runtime::awake::Awake;
use crate::runtime::clock::Clock;
use crate::runtime::mesh::{Mesh, Message};
use crate::runtime::{Ending, Host, files};
use crate::shard::{
    CompactionConfig, PRODUCER_BYTES, RetentionConfig, ScrubConfig, ShardConfig, ShardRecovery, ShardReply,
    ShardRequest, SpareConfig,
};

use super::connection::{Connection, Moving};
use super::holdings::Pools;
use super::listener::Bound;
use super::overload::{Shortage, Standing, Verdict};
use super::peer::{self, NotKafka};
use super::pool::Pool;
use super::{preflight, send_buffer};

/// How often connections are looked over for idle and stuck ones.
const SWEEP: Duration = Duration::from_secs(1);
/// How often the free space is looked at: a fast disk takes less than the reserve in between.
const DISK_WATCH: Duration = Duration::from_millis(250);
/// Kept free of a large disk.
const RESERVE_BYTES_MAX: u64 = 1 << 30;
/// How long an orderly stop waits for requests in progress.
const DRAIN: Duration = Duration::from_secs(5);
/// Allocated when a segment begins with a direct run.
const CREATE_ALLOCATE_BYTES: u64 = 4 * 1024 * 1024;
/// After a crash, so much of a segment that was being appended to has no index: a lookup reads that in a few milliseconds.
const MARKS_STEP_BYTES: u64 = 4 * 1024 * 1024;
/// A shard's tail cache is this part of its memory; frames in progress get a quarter.
const CACHE_SHARE: u64 = 2;
/// What is read from segments, and kept for the next reader, gets this part; their indexes get a quarter of that.
const READ_CACHE_SHARE: u64 = 8;
const INDEX_SHARE: u64 = 4 * READ_CACHE_SHARE;
/// Idempotent producers are remembered in this part.
const PRODUCERS_SHARE: u64 = 32;
/// On its way to the disk without anybody waiting for it: this part, and at most some milliseconds' worth of a fast disk.
const UNFLUSHED_SHARE: u64 = 8;
const UNFLUSHED_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Answers that sockets have not taken get this part.
const ANSWERS_SHARE: u64 = 8;
/// Requests whose batches are read slice by slice at one time: each holds a decoder, and takes its turn on the processor.
const READINGS_MAX: usize = 2;
/// Longest name of a client's software in the counters.
const CLIENT_NAME_MAX: usize = 64;
/// A fetch is answered with at least this much if there is as much, however many answers wait.
const ANSWER_BYTES_MIN: usize = 64 * 1024;

/// What a shard's thread is given.
pub(super) struct ShardThread {
    pub(super) here: ShardId,
    pub(super) config: Config,
    pub(super) data: PathBuf,
    pub(super) recovered: ShardRecovery,
    pub(super) socket: Bound,
    pub(super) mesh: Option<FullMesh<Message<Moving>>>,
    pub(super) scraped: flume::Receiver<ScrapeRequest>,
    pub(super) stopping: flume::Receiver<()>,
    pub(super) started: mpsc::Sender<Result<ShardId, (ShardId, String)>>,
    pub(super) ending: Ending,
}

/// What all connections of a shard share.
pub(super) struct ShardServer {
    pub(super) host: Rc<Host<Moving>>,
    /// As read at start.
    settings: Config,
    /// With what was changed since, as of a version of the image.
    config: RefCell<Rc<Config>>,
    config_version: Cell<i64>,
    connections: RefCell<HashMap<RawFd, Weak<Connection>>>,
    by_ip: RefCell<HashMap<IpAddr, u32>>,
    leaving: RefCell<HashSet<RawFd>>,
    asking: RefCell<IdMap<u64, Asking>>,
    /// Fetches among them.
    fetching: Cell<usize>,
    next_ask: Cell<u64>,
    pub(super) pools: Pools,
    network: RefCell<NetworkCounters>,
    requests: RefCell<RequestCounters>,
    hops: RefCell<HopCounters>,
    latencies: RefCell<crate::base::metrics::Latencies>,
    last_malformed: Cell<Option<MonoNanos>>,
    disk: Cell<DiskSpace>,
    sessions: RefCell<FetchSessions>,
    telemetry: RefCell<Telemetry>,
}

/// A request whose batches are being read.
pub(super) struct Begun {
    /// Whose answer's place is kept.
    number: u64,
    api_key: i16,
    pub(super) reading: Box<api::Reading>,
}

/// A request that waits for shards.
struct Asking {
    connection: Rc<Connection>,
    /// Whose answer's place is kept.
    number: u64,
    gather: Gather,
    shards: Vec<ShardId>,
    api_key: i16,
    since: MonoNanos,
}

impl Asking {
    fn is_fetch(&self) -> bool {
        self.api_key == ApiKey::Fetch.code()
    }
}

impl ShardThread {
    /// The shard's whole life.
    pub(super) async fn run(self) {
        let awake = Awake::begin();
        if let Err(error) = files::probe(&self.data, self.here).await {
            let _ = self.started.send(Err((self.here, error.to_string())));
            return;
        }
        let (mesh, incoming) = Mesh::join(self.mesh, self.here, self.config.shards()).await;
        let config = shard_config(self.here, &self.config);
        let handles = files::handles_max(self.config.shards());
        let host = Host::new(config, self.recovered, &self.data, handles, Clock::start(), mesh, self.ending);
        let server = ShardServer::new(&host, self.config);
        host.run();
        drop(awake);
        if let Some(incoming) = incoming {
            let receiver = Rc::clone(&server);
            let receive: Rc<dyn Fn(ShardId, Message<Moving>)> = Rc::new(move |from, message| {
                if let Some(moving) = receiver.host.receive(from, message) {
                    Connection::arrive(&receiver, moving);
                }
            });
            // The mesh belongs to the host by now; its outgoing queues are reached through it.
            server.host.run_mesh(incoming, &receive);
        }
        glommio::spawn_local(Rc::clone(&server).accept(self.socket)).detach();
        glommio::spawn_local(Rc::clone(&server).sweep()).detach();
        glommio::spawn_local(Rc::clone(&server).watch_disk()).detach();
        glommio::spawn_local(Rc::clone(&server).answer_scrapes(self.scraped)).detach();
        let _ = self.started.send(Ok(self.here));
        // An error means the main thread is gone: stop as well.
        let _ = self.stopping.recv_async().await;
        server.stop().await;
    }
}

impl ShardServer {
    fn new(host: &Rc<Host<Moving>>, config: Config) -> Rc<ShardServer> {
        let pool = |bytes: u64| Rc::new(Pool::new(share(bytes, &config)));
        let pools = Pools {
            frames: pool(config.connections.queued_request_bytes),
            answers: pool(config.memory_bytes / ANSWERS_SHARE),
            readings: Rc::new(Pool::new(READINGS_MAX)),
        };
        let config_dir = config.data_dir.clone();
        let sessions = config.fetch_sessions_max.div_ceil(usize::from(config.shards()));
        let server = Rc::new(ShardServer {
            host: Rc::clone(host),
            config: RefCell::new(Rc::new(config.clone())),
            config_version: Cell::new(-1),
            settings: config,
            connections: RefCell::default(),
            by_ip: RefCell::default(),
            leaving: RefCell::default(),
            asking: RefCell::default(),
            fetching: Cell::default(),
            next_ask: Cell::new(0),
            pools,
            network: RefCell::default(),
            requests: RefCell::default(),
            hops: RefCell::default(),
            latencies: RefCell::default(),
            last_malformed: Cell::new(None),
            disk: Cell::new(preflight::disk_space(&config_dir)),
            sessions: RefCell::new(FetchSessions::new(sessions, entropy())),
            telemetry: RefCell::new(Telemetry::new(entropy())),
        });
        let replies = Rc::downgrade(&server);
        host.answer_with(Box::new(move |number, from, reply| {
            if let Some(server) = replies.upgrade() {
                server.replied(number, from, reply);
            }
        }));
        server
    }

    /// Starts a request. Everything that can be done at once is done when this returns; what must be done in slices first
    /// is for the connection.
    pub(super) fn handle(self: &Rc<Self>, connection: &Rc<Connection>, frame: Bytes) -> Option<Begun> {
        let api_key = peer::api_key(&frame);
        self.requests.borrow_mut().note(api_key);
        self.host.in_progress.set(self.host.in_progress.get() + 1);
        let number = connection.open_answer(api_key, frame.len());
        let begun = self.host.clock.mono();
        let step = self.in_context(connection, |context| api::dispatch(context, &frame));
        let nanos = self.host.clock.mono().since(begun);
        self.latencies.borrow_mut().dispatch.record(nanos);
        if matches!(step, Step::Reply(_)) {
            self.latencies.borrow_mut().other.record(nanos);
        }
        if let Step::Read(reading) = step {
            return Some(Begun { number, api_key, reading });
        }
        self.take(connection, number, api_key, step);
        None
    }

    /// Goes on with a request whose batches have been read.
    pub(super) fn go_on(self: &Rc<Self>, connection: &Rc<Connection>, begun: Begun) {
        let Begun { number, api_key, reading } = begun;
        let step = self.in_context(connection, |context| reading.finish(context));
        self.take(connection, number, api_key, step);
    }

    /// A shard has answered.
    fn replied(self: &Rc<Self>, number: u64, from: ShardId, reply: ShardReply) {
        let gathered = match self.asking.borrow_mut().get_mut(&number) {
            Some(asking) => asking.gather.on_reply(from, reply),
            None => return,
        };
        match gathered {
            Gathered::Part => {}
            Gathered::Nudge(shards) => {
                for shard in shards {
                    self.nudge(shard, number);
                }
            }
            Gathered::All => {
                let Some(asking) = self.asking.borrow_mut().remove(&number) else { return };
                self.fetching.set(self.fetching.get() - usize::from(asking.is_fetch()));
                self.note_latency(&asking);
                let (then, replies) = asking.gather.into_parts();
                let step = self.in_context(&asking.connection, |context| then(context, replies));
                self.take(&asking.connection, asking.number, asking.api_key, step);
            }
        }
    }

    /// The settings in force.
    pub(super) fn config(&self) -> Rc<Config> {
        let image = self.host.image();
        if self.config_version.replace(image.version) != image.version {
            self.reconfigure(&image.changes());
        }
        Rc::clone(&self.config.borrow())
    }

    fn reconfigure(&self, changes: &Changes) {
        if *changes == *self.config.borrow().changes() {
            return;
        }
        match self.settings.with_changes(changes) {
            Ok(changed) => {
                self.host.reconfigure(retention(&changed), compaction(&changed));
                *self.config.borrow_mut() = Rc::new(changed);
            }
            // The controller has tried the same.
            Err(error) => tracing::error!(%error, "changed settings are not in force"),
        }
    }

    fn nudge(self: &Rc<Self>, shard: ShardId, number: u64) {
        let id = crate::shard::RequestId { origin: self.host.here, number };
        // The nudge itself gets no answer: its number is nobody's.
        self.host.ask(shard, u64::MAX, ShardRequest::FetchNow(id));
    }

    fn take(self: &Rc<Self>, connection: &Rc<Connection>, number: u64, api_key: i16, step: Step) {
        match step {
            Step::Reply(frame) => connection.send(number, frame),
            Step::Silent => connection.silent(number),
            Step::Close { reason } => connection.close_after(number, &reason),
            Step::Read(_) => unreachable!("batches are read before anything else is done for their request"),
            Step::Ask(ask) => {
                let mut gather = Gather::new(ask);
                let calls = gather.take_calls();
                let shards: Vec<ShardId> = calls.iter().map(|(shard, _)| *shard).collect();
                let ask_number = self.next_ask.get();
                self.next_ask.set(ask_number + 1);
                if shards.iter().any(|shard| *shard != self.host.here) {
                    self.note_hop(&connection.state.borrow(), api_key);
                }
                let asking = Asking {
                    connection: Rc::clone(connection),
                    number,
                    gather,
                    shards,
                    api_key,
                    since: self.host.clock.mono(),
                };
                self.fetching.set(self.fetching.get() + usize::from(asking.is_fetch()));
                self.asking.borrow_mut().insert(ask_number, asking);
                for (shard, request) in calls {
                    self.host.ask(shard, ask_number, request);
                }
            }
        }
    }

    fn in_context<R>(&self, connection: &Connection, act: impl FnOnce(&mut Context<'_>) -> R) -> R {
        let (image, config) = (self.host.image(), self.config());
        let mut state = connection.state.borrow_mut();
        let mut sessions = self.sessions.borrow_mut();
        let mut telemetry = self.telemetry.borrow_mut();
        let mut context = Context {
            now: self.host.clock.now(),
            shard: self.host.here,
            image: &image,
            config: &config,
            disk: self.disk.get(),
            answer_bytes_max: self.answer_bytes_max(),
            answers_are_full: !self.pools.answers.has_room(),
            sessions: &mut sessions,
            telemetry: &mut telemetry,
            connection: &mut state,
        };
        act(&mut context)
    }

    /// Answers count when they are ready: those of fetches in progress are still to come.
    fn answer_bytes_max(&self) -> u32 {
        let share = self.pools.answers.share_beside(self.fetching.get());
        u32::try_from(share.max(ANSWER_BYTES_MIN)).unwrap_or(u32::MAX)
    }

    /// A request leaves the core of its connection.
    fn note_hop(&self, state: &ConnectionState, api_key: i16) {
        let api = match ApiKey::from_code(api_key) {
            Some(ApiKey::Produce) => "produce",
            Some(ApiKey::Fetch) => "fetch",
            _ => "other",
        };
        let view = match state.view {
            View::Server => "server",
            View::Shards => "shards",
            View::ShardPorts => "shard-ports",
        };
        let client = state.software_name.get(..CLIENT_NAME_MAX).unwrap_or(&state.software_name);
        self.hops.borrow_mut().note(api, view, client);
    }

    fn note_latency(&self, asking: &Asking) {
        let nanos = self.host.clock.mono().since(asking.since);
        let mut latencies = self.latencies.borrow_mut();
        let latency = match ApiKey::from_code(asking.api_key) {
            Some(ApiKey::Produce) => &mut latencies.produce,
            Some(ApiKey::Fetch) => &mut latencies.fetch,
            _ => &mut latencies.other,
        };
        latency.record(nanos);
        if asking.shards.iter().any(|shard| *shard != self.host.here) {
            latencies.cross_shard.record(nanos);
        }
    }

    /// Answers have been taken by a socket.
    pub(super) fn sent(&self, nanos: u64, bytes: usize) {
        self.latencies.borrow_mut().send.record(nanos);
        self.network.borrow_mut().bytes_sent += bytes as u64;
    }

    pub(super) fn received(&self, bytes: usize) {
        self.network.borrow_mut().bytes_received += bytes as u64;
    }

    pub(super) fn answered(&self, requests: usize) {
        self.host.in_progress.set(self.host.in_progress.get() - requests);
    }

    /// One line for what is no Kafka client, at most one a second for all of them.
    pub(super) fn malformed(&self, peer: SocketAddr, error: &NotKafka) {
        self.network.borrow_mut().connections_malformed += 1;
        let now = self.host.clock.mono();
        if self.last_malformed.get().is_none_or(|last| now.since(last) > 100_000_000) {
            self.last_malformed.set(Some(now));
            tracing::warn!(%peer, %error, "connection closed");
        }
    }

    pub(super) fn opened(&self, connection: &Rc<Connection>) {
        self.connections.borrow_mut().insert(connection.descriptor, Rc::downgrade(connection));
        *self.by_ip.borrow_mut().entry(connection.peer.ip()).or_default() += 1;
    }

    pub(super) fn closed(&self, descriptor: RawFd, peer: SocketAddr) {
        self.leaving.borrow_mut().remove(&descriptor);
        self.connections.borrow_mut().remove(&descriptor);
        let mut by_ip = self.by_ip.borrow_mut();
        if let Some(count) = by_ip.get_mut(&peer.ip()) {
            *count -= 1;
            if *count == 0 {
                by_ip.remove(&peer.ip());
            }
        }
    }

    pub(super) fn moved(&self, descriptor: RawFd) {
        self.network.borrow_mut().connections_moved += 1;
        self.leaving.borrow_mut().insert(descriptor);
    }

    pub(super) fn has_moved(&self, descriptor: RawFd) -> bool {
        self.leaving.borrow().contains(&descriptor)
    }

    async fn accept(self: Rc<Self>, socket: Bound) {
        // SAFETY: the socket is bound, listening, owned, and given up to the listener.
        let listener = unsafe { TcpListener::from_raw_fd(socket.socket.into_raw_fd()) };
        loop {
            match listener.accept().await {
                Ok(stream) => {
                    let (Ok(peer), Ok(local)) = (stream.peer_addr(), stream.local_addr()) else { continue };
                    if !self.admits(peer) {
                        continue;
                    }
                    self.network.borrow_mut().connections_accepted += 1;
                    // SAFETY: the stream is alive beyond the call, and its descriptor open.
                    let socket = unsafe { BorrowedFd::borrow_raw(stream.as_raw_fd()) };
                    send_buffer::size(socket, self.config().connections.send_buffer_bytes);
                    Connection::accept(&self, stream, peer, self.introduce(local, peer));
                }
                Err(error) => {
                    // Out of descriptors, most likely: give connections time to close.
                    tracing::warn!(%error, "cannot accept a connection");
                    glommio::timer::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// Whether the limits allow one more connection from there. Each shard holds its share of the total.
    fn admits(&self, peer: SocketAddr) -> bool {
        let config = self.config();
        let share = config.connections.count_max.div_ceil(u32::from(config.shards()));
        let from_there = self.by_ip.borrow().get(&peer.ip()).copied().unwrap_or(0);
        let admitted = self.connections.borrow().len() < share as usize
            && from_there < config.connections_max(peer.ip());
        if !admitted {
            let rejected = {
                let mut network = self.network.borrow_mut();
                network.connections_rejected += 1;
                network.connections_rejected
            };
            if rejected.is_power_of_two() {
                tracing::warn!(%peer, rejected, "connection refused: max.connections or max.connections.per.ip reached");
            }
        }
        admitted
    }

    fn introduce(&self, local: SocketAddr, peer: SocketAddr) -> ConnectionState {
        let shards = self.settings.shards();
        let node = api::node_of_port(&self.settings, shards, self.host.here);
        ConnectionState {
            software_name: String::new(),
            software_version: String::new(),
            client_host: format!("/{}", peer.ip()),
            client_port: peer.port(),
            node,
            view: api::view_of(&self.settings, shards, node),
            hints: Hints::default(),
            advertised_host: self.settings.advertised_host.clone().unwrap_or_else(|| local.ip().to_string()),
            advertised_port: self.settings.advertised_port.unwrap_or(self.settings.listen.port()),
        }
    }

    /// Closes connections that have been silent for too long, or that hold memory and do not move.
    async fn sweep(self: Rc<Self>) {
        loop {
            glommio::timer::sleep(SWEEP).await;
            let now = self.host.clock.mono();
            // Changes reach shards that nobody asks anything.
            drop(self.config());
            let Pools { frames, answers, readings: _ } = &self.pools;
            let shortage = Shortage {
                idle_ms_max: self.settings.connections.idle_ms,
                pools: !frames.has_room() || !answers.has_room(),
                reads: self.host.with_shard(crate::shard::Shard::reads_wait_for_memory),
            };
            for connection in self.alive() {
                let standing = connection.standing(now);
                let verdict = shortage.judge(&standing);
                if verdict == Verdict::Stays {
                    continue;
                }
                if verdict == Verdict::Stuck {
                    let Standing { held_bytes, .. } = standing;
                    tracing::warn!(peer = %connection.peer, held_bytes, "the peer does not take its answers, or send the rest of its request; connection closed");
                }
                self.network.borrow_mut().connections_idle_closed += 1;
                connection.close();
            }
        }
    }

    /// Looks at the free space again and again, for the shard and for DescribeLogDirs.
    async fn watch_disk(self: Rc<Self>) {
        loop {
            let disk = preflight::disk_space(&self.settings.data_dir);
            self.disk.set(disk);
            if let Ok(free) = u64::try_from(disk.usable_bytes) {
                self.host.disk_space(free, reserve_bytes(&self.settings, disk));
            }
            glommio::timer::sleep(DISK_WATCH).await;
        }
    }

    fn alive(&self) -> Vec<Rc<Connection>> {
        self.connections.borrow().values().filter_map(Weak::upgrade).collect()
    }

    async fn answer_scrapes(self: Rc<Self>, scraped: flume::Receiver<ScrapeRequest>) {
        while let Ok(request) = scraped.recv_async().await {
            // The administration thread may have given up waiting.
            let _ = request.reply.try_send(self.metrics());
        }
    }

    fn metrics(&self) -> ShardMetrics {
        let (log, gauges) = self.host.with_shard(|shard| (*shard.counters(), shard.gauges()));
        let (committed, ends) = self.host.with_shard(|shard| {
            (shard.committed().take(SERIES_MAX).collect(), shard.ends().take(SERIES_MAX).collect())
        });
        let mut metrics = ShardMetrics {
            shard: self.host.here,
            log,
            network: *self.network.borrow(),
            sessions: self.sessions.borrow().counters(),
            telemetry: self.telemetry.borrow().counters(),
            clients: self.telemetry.borrow().values(self.host.clock.mono()).cloned().collect(),
            cross_shard: self.host.cross_shard.get(),
            hops: self.hops.borrow().clone(),
            requests: self.requests.borrow().clone(),
            latency: self.latencies.borrow().clone(),
            committed,
            ends,
            ..ShardMetrics::default()
        };
        metrics.network.fetch_payload_bytes_copied = self.host.bytes_copied.get();
        metrics.latency.commit_write = self.host.commit_latency.borrow().clone();
        metrics.latency.segment_read = self.host.read_latency.borrow().clone();
        metrics.latency.commit_wait = self.host.with_shard(|shard| shard.commit_wait().clone());
        metrics.gauges.commit_pending_bytes = gauges.commit_pending_bytes as u64;
        metrics.gauges.commit_files = gauges.commit_files as u64;
        metrics.gauges.commit_files_free = gauges.commit_files_free as u64;
        metrics.gauges.writeback_waiting = gauges.writeback_waiting as u64;
        metrics.gauges.connections = self.connections.borrow().len() as u64;
        metrics.gauges.partitions = gauges.partitions as u64;
        metrics.gauges.producers = gauges.producers as u64;
        metrics.gauges.groups = gauges.groups as u64;
        metrics.gauges.group_members = gauges.group_members as u64;
        metrics.gauges.fetch_waiters = gauges.fetches_waiting as u64;
        metrics.gauges.requests_in_flight = self.host.in_progress.get() as u64;
        metrics.gauges.chunk_bytes = gauges.chunk_bytes as u64;
        metrics.gauges.read_cache_bytes = gauges.read_cache_bytes as u64;
        metrics.gauges.index_bytes = gauges.index_bytes as u64;
        metrics.gauges.scrub_left = gauges.scrub_left as u64;
        metrics.gauges.quarantined = gauges.quarantined;
        metrics.gauges.spares = gauges.spares as u64;
        metrics.gauges.spare_bytes = gauges.spare_bytes;
        metrics.gauges.frame_bytes = self.pools.frames.used() as u64;
        metrics.gauges.answer_bytes = self.pools.answers.used() as u64;
        metrics
    }

    /// Takes no more requests, answers those in progress, and brings the shard to its orderly end.
    async fn stop(self: &Rc<Self>) {
        for connection in self.alive() {
            connection.finish();
        }
        self.host.resign();
        let polls: Vec<(u64, Vec<ShardId>)> = {
            let asking = self.asking.borrow();
            let fetches = asking.iter().filter(|(_, it)| it.is_fetch());
            fetches.map(|(number, it)| (*number, it.shards.clone())).collect()
        };
        for (number, shards) in polls {
            shards.into_iter().for_each(|shard| self.nudge(shard, number));
        }
        let until = self.host.clock.mono().plus_ms(u64::try_from(DRAIN.as_millis()).unwrap_or(0));
        while self.host.in_progress.get() > 0 && self.host.clock.mono() < until {
            glommio::timer::sleep(Duration::from_millis(5)).await;
        }
        self.host.stop().await;
        for connection in self.alive() {
            connection.close();
        }
        // Their tasks end on their next turn.
        glommio::timer::sleep(Duration::from_millis(10)).await;
    }
}

/// Free space that producing must leave.
fn reserve_bytes(config: &Config, disk: DiskSpace) -> u64 {
    let automatic = u64::try_from(disk.total_bytes / 20).unwrap_or(0).min(RESERVE_BYTES_MAX);
    config.disk_reserve_bytes.unwrap_or(automatic)
}

fn shard_config(here: ShardId, config: &Config) -> ShardConfig {
    let indexes = config.memory_bytes / INDEX_SHARE;
    let read_cache = config.memory_bytes / READ_CACHE_SHARE - indexes;
    ShardConfig {
        shard: here,
        shards: config.shards(),
        limits: LogLimits {
            direct_run_bytes: config.direct_run_bytes,
            chunk_bytes_max: config.chunk_bytes,
            create_allocate_bytes: CREATE_ALLOCATE_BYTES,
            marks_step_bytes: MARKS_STEP_BYTES,
        },
        cache_bytes: share(config.memory_bytes / CACHE_SHARE, config),
        read_cache_bytes: share(read_cache, config),
        index_bytes: share(indexes, config),
        read_bytes_max: share(read_cache + config.memory_bytes / ANSWERS_SHARE, config),
        producers_max: share(config.memory_bytes / PRODUCERS_SHARE, config) / PRODUCER_BYTES,
        unflushed_bytes_max: share(config.memory_bytes / UNFLUSHED_SHARE, config).min(UNFLUSHED_BYTES_MAX),
        groups: config.groups.clone(),
        retention: retention(config),
        compaction: compaction(config),
        scrub: ScrubConfig {
            period_ms: config.scrub.period_ms,
            bytes_per_second: config.scrub.bytes_per_second / u64::from(config.shards()),
        },
        seed: entropy(),
    }
}

/// One shard's part of what the whole server may take.
fn share(bytes: u64, config: &Config) -> usize {
    usize::try_from(bytes / u64::from(config.shards())).unwrap_or(usize::MAX)
}

fn retention(config: &Config) -> RetentionConfig {
    RetentionConfig {
        check_ms: config.retention_check_ms,
        producer_expiration_ms: config.producer_id_expiration_ms,
        spares: config.segment_recycle.then(SpareConfig::default),
    }
}

fn compaction(config: &Config) -> CompactionConfig {
    let memory = usize::try_from(config.cleaner.memory_bytes / u64::from(config.shards()));
    CompactionConfig {
        enabled: config.cleaner.enabled,
        backoff_ms: config.cleaner.backoff_ms,
        keys_max: memory.unwrap_or(usize::MAX) / KEY_ENTRY_BYTES,
        bytes_per_second: config.cleaner.bytes_per_second / u64::from(config.shards()),
    }
}

/// Eight bytes of the kernel's entropy: ids drawn from them must differ from those of every earlier life.
fn entropy() -> u64 {
    let mut bytes = [0; 8];
    let drawn = std::fs::File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut bytes));
    drawn.expect("Linux always has /dev/urandom");
    u64::from_ne_bytes(bytes)
}
