//! The phases of a course: rounds of chaos, after each of which everything is put right, must be well, and is read.

use ringmain::base::{PartitionIndex, TopicPartition};
use ringmain::controller::{PartitionImage, Place};
use ringmain::shard::Shard;

use super::{Course, Outcome};
use crate::checks::{Invariant, require, violated};
use crate::clients::Rests;
use crate::event::{Event, Stage};
use crate::oracle::Layout;
use crate::queue::{Instant, Span};
use crate::server::{Server, State};

/// After the faults all must be well within this.
const RECOVERY: Span = Span::seconds(30);
/// A cluster is complete within this.
const BEGINNING: Span = Span::seconds(60);

impl Course {
    pub fn run(mut self) -> Outcome {
        self.course();
        Outcome {
            trace: self.trace.hash(),
            events: self.trace.events(),
            records: self.oracle.sent_count() as u64,
            lives: self.lives,
        }
    }

    /// The course itself, for whoever wants to look at what is left of it.
    pub fn course(&mut self) {
        self.begin();
        let end = Instant(0).plus(self.plan.length);
        while self.queue.now() < end {
            self.chaos();
            self.recover();
            self.check_everything();
        }
        self.compare_replicas();
        self.account();
    }

    fn begin(&mut self) {
        self.begin_servers();
        let mut stage = Stage { queue: &mut self.queue, rng: &mut self.rng };
        self.clients.add_usual(&mut stage);
        self.queue.after(Span::seconds(1), Event::Look);
    }

    /// The servers begin, and become a cluster.
    pub(super) fn begin_servers(&mut self) {
        for server in 0..self.servers.len() {
            self.queue.after(Span::ms(1), Event::Boot { server, life: 0 });
        }
        self.run_for(Span::ms(50));
        self.wait_until(BEGINNING, "the cluster begins", Course::is_well);
    }

    fn chaos(&mut self) {
        self.is_chaos = true;
        let mut stage = Stage { queue: &mut self.queue, rng: &mut self.rng };
        self.clients.rest(Rests::No, &mut stage);
        self.choose_later();
        let length = Span::ms(60_000 + self.rng.below(90_000));
        self.run_for(length);
    }

    /// Everything is put right, and all that was asked is answered in time.
    fn recover(&mut self) {
        self.heal();
        let mut stage = Stage { queue: &mut self.queue, rng: &mut self.rng };
        self.clients.rest(Rests::Yes, &mut stage);
        self.wait_until(RECOVERY, "all that was asked is answered", |it| {
            it.is_healed(it.queue.now()) && it.clients.are_idle()
        });
        self.wait_until(RECOVERY, "all replicas are in sync", Course::is_well);
    }

    /// Something must come true within a time.
    pub(super) fn wait_until(&mut self, within: Span, what: &str, is_so: impl Fn(&Course) -> bool) {
        let until = self.queue.now().plus(within);
        // Looking costs more than most events.
        let mut next_look = self.queue.now();
        loop {
            if self.queue.now() >= next_look {
                if is_so(self) {
                    return require(Invariant::Liveness, true, String::new);
                }
                if self.queue.now() > until {
                    let ails = self.ails().join("\n  ");
                    let within = within.0 / 1_000_000_000;
                    violated(Invariant::Liveness, format!("within {within} s {what}; but\n  {ails}"));
                }
                next_look = self.queue.now().plus(Span::ms(20));
            }
            self.step();
        }
    }

    /// Servers serve and are not fenced, and every partition has its leader and all its replicas in sync.
    pub(super) fn is_well(&self) -> bool {
        self.plan.layout == Layout::Apart || self.ails_of_servers().next().is_none()
    }

    /// What is not well, in words.
    fn ails(&self) -> Vec<String> {
        self.ails_of_servers().chain(self.clients.wait_for()).collect()
    }

    fn ails_of_servers(&self) -> impl Iterator<Item = String> + '_ {
        let states = self.servers.iter().filter(|it| it.state() != State::Up);
        let states = states.map(|it| format!("server {} is {:?}", it.id, it.state()));
        let images = || self.servers.iter().flat_map(Server::shards).map(Shard::current_image);
        let newest = images().max_by_key(|image| image.version);
        let version = newest.as_ref().map_or(0, |image| image.version);
        let behind = images().filter(move |image| image.version != version);
        let behind = behind.map(move |image| {
            format!("a shard of {} is at {} of {version}", image.here.server, image.version)
        });
        let served = self.servers.iter().filter_map(move |it| {
            let state = newest.as_ref().and_then(|image| image.servers.get(&it.id));
            let serves = state.is_some_and(|it| !it.fenced && !it.stopping);
            (!serves).then(|| format!("server {} is registered so: {state:?}", it.id))
        });
        let newest = images().max_by_key(|image| image.version);
        let partitions = newest.into_iter().flat_map(|image| {
            let all = image.topics.values().flat_map(|topic| topic.partitions_by_id());
            let ailing = all.filter(|(_, partition)| !is_settled(partition));
            ailing.map(|(id, partition)| format!("{id}: {partition:?}")).collect::<Vec<_>>()
        });
        states.chain(behind).chain(served).chain(partitions)
    }

    pub(super) fn run_for(&mut self, span: Span) {
        let until = self.queue.now().plus(span);
        while self.queue.now() < until {
            self.step();
        }
    }

    /// What the servers say of themselves must agree with what they have told others.
    pub(super) fn look(&mut self) {
        self.note(&[9]);
        self.look_at_replicas();
        let Course { servers, oracle, .. } = self;
        for shard in servers.iter().flat_map(Server::shards) {
            let image = shard.current_image();
            for end in shard.ends() {
                let Some(topic) = image.topic(&end.topic) else { continue };
                let index = PartitionIndex(end.partition);
                let Some(state) = topic.partition(index) else { continue };
                if let Place::Here(_) = image.place(state)
                    && let Some(log) = oracle.log(TopicPartition { topic: topic.id, partition: index })
                {
                    log.leads_to(state.leader_epoch(), end.end);
                }
            }
        }
    }
}

fn is_settled(partition: &PartitionImage) -> bool {
    partition.leader().is_some()
        && partition.isr().count() == partition.replicas().len()
        && partition.adding().count() == 0
        && partition.removing().count() == 0
}
