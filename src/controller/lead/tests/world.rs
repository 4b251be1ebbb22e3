//! Controllers on several servers, one metadata log, and a clock that the test sets. What the active controller decides is
//! committed at once, unless a test holds it back.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::rng::Rng;
use crate::base::{
    BrokerEpoch, DirectoryId, IncarnationId, LeaderEpoch, MonoNanos, Offset, PartitionIndex, Rule, ServerId,
    TopicPartition, VoterId, rules,
};
use crate::config::Config;
use crate::controller::image::{MetadataImage, PartitionImage};
use crate::controller::testing::create;
use crate::controller::{
    AlterIsr, Controller, ControllerConfig, ControllerError, ControllerOutput, ControllerReply,
    ControllerRequest, Damage, Dialled, Heartbeat, HeartbeatAnswer, HeartbeatError, IsrAsked, IsrOutcome,
    Join, NewTopic, RegisterError, Registration, Replace, Voter, Wants,
};

/// Names a rule that is off for the whole process: how a test shows that it would notice.
pub(super) const RULE_OFF: &str = "RINGMAIN_RULE_OFF";

pub(super) struct World {
    controllers: BTreeMap<i32, Controller>,
    pub active: i32,
    epoch: i32,
    /// Committed records.
    log: Vec<Vec<u8>>,
    /// Batches that are appended and not committed.
    pub tail: Vec<Vec<Vec<u8>>>,
    /// Whether decisions are committed at once.
    pub commits: bool,
    pub now_ms: u64,
    rng: Rng,
    /// What servers would register.
    pub servers: BTreeMap<i32, Registration>,
    /// Whom the controller wants to be dialled, and who is to vote.
    pub dial: Vec<i32>,
    pub voters: Option<Vec<Voter>>,
    /// Asks for in-sync sets that were made.
    asks: Cell<u64>,
}

impl World {
    /// Servers 1 to `count`; server 1 leads the quorum, and nobody has registered.
    pub fn new(count: i32) -> World {
        World::with(count, |_| {})
    }

    pub fn with(count: i32, change: impl Fn(&mut Config)) -> World {
        if let Ok(off) = std::env::var(RULE_OFF) {
            let rule = Rule::ALL.iter().find(|rule| rule.name() == off).expect("a rule");
            rules::switch_off(Some(*rule));
        }
        let controller = |server| {
            let mut config = Config::default();
            config.server_id = ServerId(server);
            change(&mut config);
            (server, Controller::new(ControllerConfig::new("cluster".into(), &config)))
        };
        let mut world = World {
            controllers: (1..=count).map(controller).collect(),
            active: 1,
            epoch: 0,
            log: Vec::new(),
            tail: Vec::new(),
            commits: true,
            now_ms: 1000,
            rng: Rng::seeded(1),
            servers: (1..=count).map(|server| (server, registration(server))).collect(),
            dial: Vec::new(),
            voters: None,
            asks: Cell::new(0),
        };
        world.controllers.values_mut().for_each(Controller::depose);
        world.elect(1);
        world
    }

    /// A cluster whose servers are all unfenced.
    pub fn running(count: i32) -> World {
        World::running_with(count, |_| {})
    }

    pub fn running_with(count: i32, change: impl Fn(&mut Config)) -> World {
        let mut world = World::with(count, change);
        for server in 1..=count {
            world.start(server);
        }
        world
    }

    pub fn controller(&self) -> &Controller {
        &self.controllers[&self.active]
    }

    /// The images of all controllers.
    pub fn images(&self) -> impl Iterator<Item = Arc<MetadataImage>> + '_ {
        self.controllers.values().map(Controller::image)
    }

    pub fn time(&self) -> MonoNanos {
        MonoNanos(self.now_ms * 1_000_000)
    }

    /// Another controller: what was not committed is lost. It knows no lanes yet.
    pub fn elect(&mut self, server: i32) {
        self.tail.clear();
        self.controllers.values_mut().for_each(Controller::depose);
        (self.active, self.epoch) = (server, self.epoch + 1);
        let active = self.controllers.get_mut(&server).expect("a server");
        let first = active.elected(LeaderEpoch(self.epoch));
        self.tail.push(vec![first]);
        self.commit(usize::MAX);
    }

    /// Tells the active controller something; what it decides is appended.
    pub fn tell<T>(
        &mut self,
        tell: impl FnOnce(&mut Controller, MonoNanos, &mut ControllerOutput) -> T,
    ) -> T {
        let (now, mut out) = (self.time(), ControllerOutput::default());
        let active = self.controllers.get_mut(&self.active).expect("a server");
        let told = tell(active, now, &mut out);
        self.dial.extend(out.dial.iter().map(|server| server.0));
        self.voters = out.voters.take().or(self.voters.take());
        self.tail.extend(out.batches.take());
        if self.commits {
            self.commit(usize::MAX);
        }
        told
    }

    /// The first batches that are not committed become it, everywhere.
    pub fn commit(&mut self, batches: usize) {
        for batch in self.tail.drain(..batches.min(self.tail.len())).collect::<Vec<_>>() {
            for record in batch {
                let offset = i64::try_from(self.log.len()).expect("small");
                for controller in self.controllers.values_mut() {
                    controller.replay(&record, offset).expect("a record of the log");
                }
                self.log.push(record);
            }
        }
    }

    /// Time passes in steps of at most 500 ms, as servers' heartbeats would make it; everybody named is heard.
    pub fn pass(&mut self, ms: u64, heard: &[i32]) {
        let end = self.now_ms + ms;
        while self.now_ms < end {
            self.now_ms = end.min(self.now_ms + 500);
            for server in heard {
                _ = self.beat(*server);
            }
            self.tick();
        }
    }

    pub fn tick(&mut self) {
        self.tell(Controller::tick);
    }

    /// A new life of a server registers, over a lane of its own.
    pub fn register(&mut self, server: i32) -> Result<(), RegisterError> {
        let fresh = IncarnationId(self.rng.uuid());
        let wanted = self.servers.get_mut(&server).expect("a server");
        wanted.incarnation = fresh;
        self.register_again(server)
    }

    pub fn register_again(&mut self, server: i32) -> Result<(), RegisterError> {
        let wanted = self.servers[&server].clone();
        self.tell(|controller, now, out| controller.register(&wanted, now, out))
    }

    /// A server asks for its id.
    pub fn join(&mut self, server: i32, replace: Replace) -> Result<ServerId, RegisterError> {
        let directory = self.servers[&server].directory;
        let join = Join { directory, server: Some(ServerId(server)), replace };
        self.tell(|controller, _, out| controller.join(&join, out))
    }

    /// A server registers, and says that it has caught up.
    pub fn start(&mut self, server: i32) {
        self.tick();
        self.join(server, Replace::No).expect("its own id");
        let registered = self.register(server);
        registered.expect("registered");
        self.beat(server).expect("heard");
        self.tick();
    }

    /// A server was killed: its next life finds the log as it is now.
    pub fn recover(&mut self, server: i32) {
        let end = i64::try_from(self.log.len()).expect("small");
        let registration = self.servers.get_mut(&server).expect("a server");
        (registration.recovered_end, registration.clean) = (Offset(end), false);
    }

    /// A server that was killed is back.
    pub fn restart(&mut self, server: i32) {
        self.recover(server);
        self.start(server);
    }

    pub fn beat(&mut self, server: i32) -> Result<HeartbeatAnswer, HeartbeatError> {
        self.beat_with(server, |_| {})
    }

    pub fn beat_with(
        &mut self,
        server: i32,
        change: impl FnOnce(&mut Heartbeat),
    ) -> Result<HeartbeatAnswer, HeartbeatError> {
        let end = Offset(i64::try_from(self.log.len()).expect("small"));
        let mut beat = Heartbeat {
            server: ServerId(server),
            broker_epoch: self.broker_epoch(server),
            applied: end,
            flushed: end,
            sequence: self.servers[&server].sequence,
            wants: Wants::Serve,
            slow_sync: false,
        };
        change(&mut beat);
        self.tell(|controller, now, out| controller.heartbeat(&beat, now, out))
    }

    /// The server has a lane to the controller again.
    pub fn lane(&mut self, server: i32) {
        let epoch = self.broker_epoch(server);
        self.tell(|controller, now, out| controller.lane_opened(ServerId(server), Some(epoch), now, out));
    }

    /// The server's lane is closed.
    pub fn close(&mut self, server: i32) {
        self.tell(|controller, now, out| controller.lane_closed(ServerId(server), now, out));
    }

    /// The server is killed: nobody listens any more.
    pub fn kill(&mut self, server: i32) {
        self.close(server);
        self.tell(|controller, now, out| controller.lane_refused(ServerId(server), now, out));
    }

    pub fn dialled(&mut self, server: i32, found: Dialled) {
        self.tell(|controller, now, out| controller.dialled(ServerId(server), found, now, out));
    }

    pub fn broker_epoch(&self, server: i32) -> BrokerEpoch {
        let servers = &self.controller().image().cluster.servers;
        servers.get(&ServerId(server)).map_or(BrokerEpoch(-1), |it| it.broker_epoch)
    }

    pub fn is_fenced(&self, server: i32) -> bool {
        self.controller().image().servers.get(&ServerId(server)).is_none_or(|it| it.fenced)
    }

    pub fn ask(&mut self, request: &ControllerRequest) -> ControllerReply {
        let active = self.controllers.get_mut(&self.active).expect("a server");
        let decision = active.decide(request, &mut self.rng);
        if !decision.records.is_empty() {
            self.tail.push(decision.records);
        }
        if self.commits {
            self.commit(usize::MAX);
        }
        decision.reply
    }

    /// A topic on these servers, one list for each partition.
    pub fn topic(&mut self, name: &str, assignments: &[&[i32]]) {
        let nodes = |servers: &&[i32]| servers.iter().map(|server| server * 1000).collect::<Vec<_>>();
        let assignments = (0..).map(PartitionIndex).zip(assignments.iter().map(nodes)).collect();
        self.create(NewTopic { assignments, ..crate::controller::testing::topic(name, -1) });
    }

    pub fn create(&mut self, topic: NewTopic) {
        let ControllerReply::CreateTopics(made) = self.ask(&create(vec![topic])) else {
            panic!("a creation")
        };
        made[0].as_ref().expect("created");
    }

    pub fn partition(&self, topic: &str, index: i32) -> PartitionImage {
        let image = self.controller().image();
        image.topics[topic].partition(PartitionIndex(index)).expect("a partition").clone()
    }

    /// A partition in short: `leader@epoch isr / elr / last known`.
    pub fn show(&self, topic: &str, index: i32) -> String {
        show(&self.partition(topic, index))
    }

    pub fn id(&self, topic: &str, index: i32) -> TopicPartition {
        let topic = self.controller().image().topics[topic].id;
        TopicPartition { topic, partition: PartitionIndex(index) }
    }

    /// What the leader of a partition would ask for.
    pub fn isr_asked(&self, topic: &str, index: i32, isr: &[i32]) -> AlterIsr {
        let now = self.partition(topic, index);
        let server = now.leader().unwrap_or(ServerId(0));
        let asked = IsrAsked {
            partition: self.id(topic, index),
            leader_epoch: now.leader_epoch(),
            partition_epoch: now.partition_epoch(),
            isr: isr.iter().map(|server| (ServerId(*server), self.broker_epoch(*server))).collect(),
            number: self.asks.replace(self.asks.get() + 1) + 1,
        };
        AlterIsr {
            server,
            broker_epoch: self.broker_epoch(server.0),
            quorum_epoch: LeaderEpoch(self.epoch),
            partitions: vec![asked],
        }
    }

    pub fn ask_isr(&mut self, asked: &AlterIsr) -> Result<Vec<IsrOutcome>, ControllerError> {
        self.tell(|controller, now, out| controller.alter_isr(asked, now, out))
    }

    /// The leader of a partition asks for this ISR.
    pub fn isr(&mut self, topic: &str, index: i32, isr: &[i32]) -> IsrOutcome {
        let asked = self.isr_asked(topic, index, isr);
        self.ask_isr(&asked).expect("the controller")[0]
    }
}

pub(super) fn show(partition: &PartitionImage) -> String {
    let list = |servers: &mut dyn Iterator<Item = ServerId>| {
        let servers: Vec<String> = servers.map(|server| server.to_string()).collect();
        if servers.is_empty() { "-".to_owned() } else { servers.join(",") }
    };
    let leader = partition.leader().map_or("nobody".to_owned(), |leader| leader.to_string());
    let (isr, elr) = (list(&mut partition.isr()), list(&mut partition.elr()));
    format!("{leader}@{} {isr} / {elr} / {}", partition.leader_epoch(), list(&mut partition.last_known()))
}

fn registration(server: i32) -> Registration {
    let byte = u8::try_from(server).expect("few servers");
    Registration {
        server: ServerId(server),
        directory: DirectoryId([byte; 16]),
        incarnation: IncarnationId([byte; 16]),
        voter: VoterId([byte; 16]),
        shards: 2,
        rack: None,
        client: (format!("host-{server}"), 9092),
        shard_ports: false,
        cluster: (format!("host-{server}"), 9192),
        protocol: (1, 1),
        clean: true,
        damaged: Damage::Nothing,
        recovered_end: Offset(0),
        sequence: 0,
    }
}
