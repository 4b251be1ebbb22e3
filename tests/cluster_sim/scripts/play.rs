//! What scripts are made of: steps with a cluster to which nothing happens by itself.

use std::collections::BTreeMap;

use ringmain::base::rng::Rng;
use ringmain::base::{
    NodeId, PartitionIndex, ProducerEpoch, ProducerId, ServerId, ShardId, TimestampMs, TopicPartition,
};
use ringmain::controller::{
    ConfigChange, ConfigOp, ConfigResource, ControllerReply, ControllerRequest, FactorChange, NewTopic,
    PartitionImage, Reassignment, ResourceConfigs, TopicName,
};
use ringmain::shard::{PartitionError, Shard, ShardReply, ShardRequest};

use super::super::{Course, Plan};
use crate::clients::{Acks, Answer, batch};
use crate::net::{At, Unblocked};
use crate::oracle::{Kind, Layout, RecordNumber, Topic};
use crate::queue::Span;
use crate::seam;
use crate::server::{End, State};

/// A server that is down stays so until it is booted.
const FOR_EVER: Span = Span::seconds(1_000_000);
const DAY: Span = Span::seconds(86_400);
const PATIENCE: Span = Span::seconds(40);

/// A cluster, and who plays with it.
pub struct Play {
    pub course: Course,
    producers: BTreeMap<TopicPartition, i32>,
}

/// A batch that was sent.
#[derive(Clone, Debug)]
pub struct Sent {
    partition: TopicPartition,
    records: Vec<RecordNumber>,
    bytes: bytes::Bytes,
    acks: Acks,
    number: u64,
}

impl Play {
    /// A cluster of so many servers, all of which serve.
    pub fn of(servers: usize) -> Play {
        let plan = Plan { seed: 11, length: DAY, layout: Layout::Together, is_told: true };
        let mut play = Play { course: Course::quiet(plan, servers), producers: BTreeMap::new() };
        play.course.begin_servers();
        play
    }

    /// A cluster whose first three servers vote.
    pub fn with_voters(servers: usize) -> Play {
        let mut play = Play::of(servers);
        play.until("three servers vote", Span::seconds(120), |it| {
            it.course.newest_image().is_some_and(|image| image.quorum.voters.len() == 3)
        });
        play
    }

    // Topics

    /// A topic with one partition on these servers, the first of which leads; with so many that must be in sync.
    pub fn topic(&mut self, name: &str, servers: &[At], minimum: u32) -> TopicPartition {
        let nodes = servers.iter().map(|at| NodeId::of_server(id_of(*at)).0).collect();
        let config = ("min.insync.replicas".to_owned(), Some(minimum.to_string()));
        let new = NewTopic {
            name: name.to_owned(),
            partitions: -1,
            replication_factor: -1,
            assignments: vec![(PartitionIndex(0), nodes)],
            configs: BTreeMap::from([config]),
            internal: false,
        };
        let request = ControllerRequest::CreateTopics { topics: vec![new], validate_only: false };
        let Some(ControllerReply::CreateTopics(created)) = self.control(request) else { panic!("no answer") };
        let id = created[0].as_ref().unwrap().id;
        let topic = Topic { name: name.to_owned(), kind: Kind::Plain, partitions: 1, server: 0 };
        self.course.oracle.born(id, topic);
        let partition = TopicPartition { topic: id, partition: PartitionIndex(0) };
        self.until_led(partition);
        partition
    }

    /// A topic on all of three servers, led by one that does not decide.
    pub fn topic_led_beside_the_controller(&mut self) -> (At, TopicPartition) {
        let controller = self.controller();
        let leader = (controller + 1) % 3;
        let partition = self.topic("a", &[leader, controller, 3 - controller - leader], 2);
        (leader, partition)
    }

    pub fn delete(&mut self, partition: TopicPartition) {
        self.course.oracle.doomed(partition.topic);
        let request = ControllerRequest::DeleteTopics { topics: vec![TopicName::Id(partition.topic)] };
        let Some(ControllerReply::DeleteTopics(deleted)) = self.control(request) else { panic!("no answer") };
        assert!(deleted[0].is_ok());
        self.course.oracle.gone(partition.topic);
    }

    pub fn set_minimum(&mut self, partition: TopicPartition, minimum: u32) {
        self.set(partition, "min.insync.replicas", &minimum.to_string());
    }

    pub fn set(&mut self, partition: TopicPartition, config: &str, value: &str) {
        let edit = vec![(config.to_owned(), ConfigOp::Set, Some(value.to_owned()))];
        let resource = ConfigResource::Topic(self.name(partition));
        let resources = vec![ResourceConfigs { resource, change: ConfigChange::Edit(edit) }];
        let request = ControllerRequest::AlterConfigs { resources, validate_only: false };
        let Some(ControllerReply::AlterConfigs(altered)) = self.control(request) else { panic!("no answer") };
        assert!(altered[0].is_ok());
    }

    /// Says whether the controller takes it.
    pub fn reassign(&mut self, partition: TopicPartition, servers: Option<&[At]>) -> bool {
        let nodes = |servers: &[At]| servers.iter().map(|at| NodeId::of_server(id_of(*at)).0).collect();
        let wanted = Reassignment {
            topic: self.name(partition),
            partition: partition.partition,
            replicas: servers.map(nodes),
        };
        let request = ControllerRequest::Reassign { partitions: vec![wanted], factor: FactorChange::Allowed };
        matches!(self.control(request), Some(ControllerReply::Reassign(done)) if done[0].is_ok())
    }

    /// Asks whoever decides, until somebody does.
    fn control(&mut self, request: ControllerRequest) -> Option<ControllerReply> {
        for _ in 0..200 {
            if let Some(controller) = self.course.controller().filter(|it| self.is_up(*it)) {
                let asked = ShardRequest::Controller(request.clone());
                if let Some(ShardReply::Controller(reply)) = self.course.ask(controller, ShardId(0), asked)
                    && !format!("{reply:?}").contains("NotController")
                {
                    return Some(reply);
                }
            }
            self.run(100);
        }
        None
    }

    fn name(&self, partition: TopicPartition) -> String {
        self.course.oracle.topic(partition.topic).unwrap().name.clone()
    }

    // Records

    /// Sends two records to whoever leads, as an idempotent producer if all are to have them.
    pub fn produce(&mut self, partition: TopicPartition, acks: Acks) -> Sent {
        let is_idempotent = acks == Acks::All;
        let records = self.course.oracle.send(partition, 2, acks, is_idempotent);
        let sequence = self.producers.entry(partition).or_insert(0);
        let producer = is_idempotent.then_some((ProducerId(77), ProducerEpoch(0), *sequence));
        *sequence += if is_idempotent { 2 } else { 0 };
        let bytes = batch(TimestampMs(1_700_000_000_000), producer, &records, &mut Rng::seeded(records[0].0));
        let mut sent = Sent { partition, records, bytes, acks, number: 0 };
        self.send_again(&mut sent);
        sent
    }

    pub fn send_again(&mut self, sent: &mut Sent) {
        let leader = self.leader(sent.partition).expect("somebody leads");
        self.send_to(leader, sent);
    }

    /// Sends a batch to a server, whether it leads or not.
    pub fn send_to(&mut self, server: At, sent: &mut Sent) {
        let request = ShardRequest::Produce(seam::produce(sent.partition, sent.bytes.clone(), sent.acks));
        let shard = self.course.owner(server, sent.partition).unwrap_or(ShardId(0));
        sent.number = self.course.begin_to_ask(server, shard, request);
    }

    /// What became of a batch, if that is known.
    pub fn answer(&mut self, sent: &Sent) -> Option<Result<i64, PartitionError>> {
        let Answer::Reply(ShardReply::Produce(results)) = self.course.told.get(&sent.number)? else {
            return None;
        };
        Some(results[0].outcome.clone().map(|appended| appended.base_offset.0))
    }

    /// The batch is acknowledged, sent again as often as it takes.
    pub fn expect_acked(&mut self, sent: &mut Sent) {
        let until = self.course.queue.now().plus(PATIENCE);
        let mut waited = 0;
        loop {
            waited += 1;
            match self.answer(sent) {
                Some(Ok(base)) => {
                    return self.course.oracle.acknowledged(sent.partition, base, &sent.records);
                }
                Some(Err(error)) => assert!(seam::is_retriable(&error), "{error}"),
                None if self.course.told.contains_key(&sent.number) => {}
                None if waited % 150 > 0 => {
                    self.run(20);
                    continue;
                }
                None => {}
            }
            self.run(100);
            assert!(self.course.queue.now() < until, "never acknowledged: {:?}", self.answer(sent));
            if self.leader(sent.partition).is_some() {
                self.send_again(sent);
            }
        }
    }

    /// The batch is not acknowledged within a time.
    pub fn expect_no_ack(&mut self, sent: &Sent, ms: u64) {
        self.run(ms);
        let answer = self.answer(sent);
        assert!(!matches!(answer, Some(Ok(_))), "{answer:?}");
    }

    // Servers

    pub fn is_up(&self, server: At) -> bool {
        self.course.servers[server].state() == State::Up
    }

    pub fn kill(&mut self, server: At) {
        self.course.end(server, End::Kill, FOR_EVER);
    }

    pub fn power(&mut self, servers: &[At]) {
        for server in servers {
            self.course.end(*server, End::Power, FOR_EVER);
        }
    }

    /// The disk of a server that is down is lost.
    pub fn lose_disk(&mut self, server: At) {
        let Course { servers, rng, .. } = &mut self.course;
        servers[server].reformat(rng);
    }

    pub fn boot(&mut self, server: At) {
        let life = self.course.servers[server].life();
        self.course.boot(server, life);
        self.run(5);
    }

    pub fn pause(&mut self, server: At, ms: u64) {
        self.course.pause(server, Span::ms(ms));
    }

    /// Nothing that a server's disk begins to do from now on ends, until it is told.
    pub fn stall_disk(&mut self, server: At) {
        self.course.servers[server].disk_times.stalled_until = self.course.queue.now().plus(DAY);
    }

    pub fn right_disk(&mut self, server: At) {
        self.course.right_disk(server);
    }

    pub fn low_disk(&mut self, server: At) {
        self.course.disk_space(server, 0);
    }

    // Links

    /// Nothing gets from one server to the other.
    pub fn cut(&mut self, from: At, to: At) {
        self.course.net.block(from, to);
    }

    pub fn cut_both(&mut self, one: At, other: At) {
        self.cut(one, other);
        self.cut(other, one);
    }

    /// A server hears nobody, and nobody hears it.
    pub fn isolate(&mut self, server: At) {
        for other in (0..self.course.servers.len()).filter(|it| *it != server) {
            self.cut_both(server, other);
        }
    }

    /// All links are as they should be.
    pub fn mend(&mut self) {
        let count = self.course.servers.len();
        let Course { net, queue, rng, .. } = &mut self.course;
        for (from, to) in (0..count).flat_map(|from| (0..count).map(move |to| (from, to))) {
            net.unblock(queue.now(), from, to, Unblocked::Reset, rng);
        }
        self.course.queue_arrivals();
    }

    // What is so

    pub fn partition(&self, partition: TopicPartition) -> Option<PartitionImage> {
        let image = self.course.newest_image()?;
        image.topic_by_id(partition.topic)?.partition(partition.partition).cloned()
    }

    /// Where a server's log of a partition begins.
    pub fn log_start(&self, server: At, partition: TopicPartition) -> Option<i64> {
        let mut replicas = self.course.servers[server].shards().flat_map(Shard::replicas);
        replicas.find(|it| it.id == partition).map(|it| it.log_start.0)
    }

    pub fn leader(&self, partition: TopicPartition) -> Option<At> {
        self.partition(partition)?.leader().map(at_of)
    }

    pub fn epoch(&self, partition: TopicPartition) -> i32 {
        self.partition(partition).unwrap().leader_epoch().0
    }

    pub fn isr(&self, partition: TopicPartition) -> Vec<At> {
        let mut isr: Vec<At> = self.partition(partition).unwrap().isr().map(at_of).collect();
        isr.sort_unstable();
        isr
    }

    pub fn elr(&self, partition: TopicPartition) -> Vec<At> {
        let mut elr: Vec<At> = self.partition(partition).unwrap().elr().map(at_of).collect();
        elr.sort_unstable();
        elr
    }

    pub fn controller(&self) -> At {
        self.course.controller().expect("somebody decides")
    }

    pub fn voters(&self) -> Vec<At> {
        let image = self.course.newest_image().expect("somebody is up");
        image.quorum.voters.iter().map(|voter| at_of(voter.server)).collect()
    }

    /// Servers that do not vote.
    pub fn observers(&self) -> Vec<At> {
        let voters = self.voters();
        (0..self.course.servers.len()).filter(|at| !voters.contains(at)).collect()
    }

    pub fn quorum_epoch(&self) -> i32 {
        self.course.newest_image().unwrap().quorum.epoch
    }

    // Time

    pub fn run(&mut self, ms: u64) {
        self.course.run_for(Span::ms(ms));
    }

    pub fn until(&mut self, what: &str, within: Span, is_so: impl Fn(&Play) -> bool) {
        let until = self.course.queue.now().plus(within);
        while !is_so(self) {
            assert!(self.course.queue.now() < until, "not within {} s: {what}", within.0 / 1_000_000_000);
            self.run(5);
        }
    }

    pub fn until_led(&mut self, partition: TopicPartition) {
        self.until("somebody leads", PATIENCE, |it| it.leader(partition).is_some_and(|at| it.is_up(at)));
    }

    pub fn until_led_by_other(&mut self, partition: TopicPartition, than: At) {
        let is_other = move |it: &Play| it.leader(partition).is_some_and(|at| at != than && it.is_up(at));
        self.until("another server leads", PATIENCE, is_other);
    }

    pub fn until_isr(&mut self, partition: TopicPartition, isr: &[At]) {
        self.until("the in-sync set is as it should be", PATIENCE, |it| it.isr(partition) == isr);
    }

    /// Every server serves, and everything is in sync; what was acknowledged is there, and all replicas are the same.
    pub fn end_well(mut self) {
        self.mend();
        for server in 0..self.course.servers.len() {
            self.right_disk(server);
        }
        self.course.wait_until(PATIENCE, "all is well", Course::is_well);
        self.course.check_everything();
        self.course.compare_replicas();
    }
}

fn id_of(at: At) -> ServerId {
    ServerId(i32::try_from(at).unwrap() + 1)
}

fn at_of(server: ServerId) -> At {
    usize::try_from(server.0 - 1).unwrap()
}
